//! LwM2M CBOR.

#![no_main]

use lwm2m_core::{ContentFormat, Path};
use lwm2m_fuzz::reads_and_writes;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    reads_and_writes(ContentFormat::Lwm2mCbor, Path::ROOT, data);
});
