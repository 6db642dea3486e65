//! SenML CBOR: packs with values, and packs with names only.

#![no_main]

use lwm2m_core::{ContentFormat, Path};
use lwm2m_fuzz::{reads_and_writes, reads_and_writes_paths};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    reads_and_writes(ContentFormat::SenmlCbor, Path::ROOT, data);
    reads_and_writes_paths(ContentFormat::SenmlCbor, data);
});
