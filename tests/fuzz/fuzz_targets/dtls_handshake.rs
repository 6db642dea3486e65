//! DTLS handshake messages: one message of a good handshake has another body, or a changed one.
//!
//! The first bytes say how the sides prove who they are, which datagram and which message of it;
//! the rest is the body, or what is changed in it.

#![no_main]

use lwm2m_fuzz::dtls::{Mode, World, mutate, with_body};
use lwm2m_fuzz::steps::Steps;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [mode, place, index, how, rest @ ..] = data else {
        return;
    };
    let mut world = World::new(Mode::of(usize::from(*mode)), 1);
    world.connect();
    for _ in 0..place % 16 {
        match world.intercept() {
            Some(datagram) => world.deliver_as(&[datagram]),
            None => break,
        }
    }
    if let Some(datagram) = world.intercept() {
        let instead = match how % 2 {
            0 => vec![with_body(&datagram, usize::from(*index % 8), rest)],
            _ => mutate(&datagram, &mut Steps::new(rest)),
        };
        world.deliver_as(&instead);
    }
    world.settle();
    world.finish();
});
