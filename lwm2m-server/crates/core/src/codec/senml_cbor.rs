//! SenML CBOR (112) and SenML-ETCH CBOR (322).

use super::senml::Pack;
use super::{DecodeError, Decoded, EncodeError, Scope};
use crate::{Path, Record, ResourceTypes};

pub(super) fn decode<'a>(
    _scope: Scope<'_>,
    _payload: &'a [u8],
    _types: &dyn ResourceTypes,
    _pack: Pack,
) -> Result<Decoded<'a>, DecodeError> {
    todo!()
}

pub(super) fn encode(
    _scope: Scope<'_>,
    _records: &[Record<'_>],
    _types: &dyn ResourceTypes,
    _pack: Pack,
    _out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    todo!()
}

pub(super) fn decode_paths(
    _prefix: &str,
    _payload: &[u8],
    _pack: Pack,
) -> Result<Vec<Path>, DecodeError> {
    todo!()
}

pub(super) fn encode_paths(_prefix: &str, _paths: &[Path], _out: &mut Vec<u8>) {
    todo!()
}
