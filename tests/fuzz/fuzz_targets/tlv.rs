//! TLV: the first byte says the path of the request, the rest is the payload.

#![no_main]

use lwm2m_core::ContentFormat;
use lwm2m_fuzz::{reads_and_writes, split_request};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some((path, payload)) = split_request(data) {
        reads_and_writes(ContentFormat::Tlv, path, payload);
    }
});
