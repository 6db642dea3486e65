//! TLS 1.2, both sides, with all that a network and applications can do to them; and any bytes.

#![no_main]

use lwm2m_fuzz::dtls::Mode;
use lwm2m_fuzz::steps::Steps;
use lwm2m_fuzz::tls::Stream;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut steps = Steps::new(data);
    let mut stream = Stream::new(Mode::of(steps.below(3)));
    while !steps.is_empty() {
        stream.step(&mut steps);
    }
    stream.finish();
});
