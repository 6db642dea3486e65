//! LwM2M CBOR (11544): values in a map keyed by path.

use super::{DecodeError, Decoded, EncodeError, Scope};
use crate::{Record, ResourceTypes};

pub(super) fn decode<'a>(
    _scope: Scope<'_>,
    _payload: &'a [u8],
    _types: &dyn ResourceTypes,
) -> Result<Decoded<'a>, DecodeError> {
    todo!()
}

pub(super) fn encode(
    _scope: Scope<'_>,
    _records: &[Record<'_>],
    _types: &dyn ResourceTypes,
    _out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    todo!()
}
