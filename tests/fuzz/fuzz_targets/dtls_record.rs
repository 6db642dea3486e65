//! The DTLS record layer: whatever comes from anywhere, a session that stands goes on, and who has
//! shown no cookie takes no room.

#![no_main]

use std::cell::RefCell;

use lwm2m_fuzz::dtls::{Address, CLIENT, Mode, SERVER, STRANGER, World};
use lwm2m_fuzz::steps::Steps;

thread_local! {
    /// A session is set up once, and must still be there after all inputs.
    static WORLD: RefCell<World> = RefCell::new(World::established(Mode::Psk));
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    WORLD.with_borrow_mut(|world| {
        let mut steps = Steps::new(data);
        while !steps.is_empty() {
            let from = [STRANGER, CLIENT, SERVER, Address(2)][steps.below(4)];
            let to = [SERVER, CLIENT][steps.below(2)];
            let datagram = steps.bytes();
            world.inject(from, to, datagram);
            assert_eq!(world.server_load(), (1, 0));
        }
        assert!(world.echoes(), "the session stands");
    });
});
