//! TLV (11542), the binary format of LwM2M 1.0 (Core 1.2.2 §7.4.3).

mod decode;
mod encode;
mod header;
mod value;

pub(super) use decode::decode;
pub(super) use encode::encode;

use crate::ContentFormat;

const FORMAT: ContentFormat = ContentFormat::Tlv;
