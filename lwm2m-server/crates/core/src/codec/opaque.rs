//! Opaque (42): the bytes of one value.

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
