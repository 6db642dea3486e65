//! DTLS, both sides, with all that a network, time and applications can do to them.

#![no_main]

use lwm2m_fuzz::dtls::{Mode, World};
use lwm2m_fuzz::steps::Steps;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut steps = Steps::new(data);
    let mode = Mode::of(steps.below(3));
    let mut world = World::new(mode, u64::from(steps.byte()));
    world.answers = steps.below(4) != 1;
    world.connect();
    while !steps.is_empty() {
        world.step(&mut steps);
    }
    world.finish();
});
