//! DTLS reassembly: a good handshake in pieces that overlap, come in any order and come twice
//! leads to a session all the same.

#![no_main]

use lwm2m_fuzz::dtls::{Mode, World, fragmented};
use lwm2m_fuzz::steps::Steps;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut steps = Steps::new(data);
    let mode = Mode::of(steps.below(3));
    let mut world = World::new(mode, u64::from(steps.byte()));
    world.connect();
    while !steps.is_empty() {
        let Some(datagram) = world.intercept() else {
            break;
        };
        let pieces = fragmented(&datagram, &mut steps);
        world.deliver_as(&pieces);
    }
    world.settle();
    assert!(world.is_up(), "{mode:?}");
    assert!(world.echoes());
    world.finish();
});
