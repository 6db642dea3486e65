//! The content formats of LwM2M payloads.

use std::fmt;
use std::str::FromStr;

/// A payload format of LwM2M 1.0 to 1.2 with its CoAP Content-Format number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ContentFormat {
    /// 0, `text/plain`: one value.
    Text,
    /// 40, `application/link-format`: registration, Discover.
    Link,
    /// 42, `application/octet-stream`: one Opaque value.
    Opaque,
    /// 60, `application/cbor`: one value (1.1).
    Cbor,
    /// 110, `application/senml+json` (1.1).
    SenmlJson,
    /// 112, `application/senml+cbor` (1.1).
    SenmlCbor,
    /// 320, `application/senml-etch+json`: bodies of composite requests (1.2).
    SenmlEtchJson,
    /// 322, `application/senml-etch+cbor`: bodies of composite requests (1.2).
    SenmlEtchCbor,
    /// 11542, `application/vnd.oma.lwm2m+tlv`.
    Tlv,
    /// 11543, `application/vnd.oma.lwm2m+json` (1.0, only read from later versions).
    Json,
    /// 11544, `application/vnd.oma.lwm2m+cbor` (1.2).
    Lwm2mCbor,
}

impl ContentFormat {
    /// Every format, by number.
    pub const ALL: [ContentFormat; 11] = [
        ContentFormat::Text,
        ContentFormat::Link,
        ContentFormat::Opaque,
        ContentFormat::Cbor,
        ContentFormat::SenmlJson,
        ContentFormat::SenmlCbor,
        ContentFormat::SenmlEtchJson,
        ContentFormat::SenmlEtchCbor,
        ContentFormat::Tlv,
        ContentFormat::Json,
        ContentFormat::Lwm2mCbor,
    ];

    /// The CoAP Content-Format number that we send.
    pub const fn number(self) -> u16 {
        match self {
            ContentFormat::Text => 0,
            ContentFormat::Link => 40,
            ContentFormat::Opaque => 42,
            ContentFormat::Cbor => 60,
            ContentFormat::SenmlJson => 110,
            ContentFormat::SenmlCbor => 112,
            ContentFormat::SenmlEtchJson => 320,
            ContentFormat::SenmlEtchCbor => 322,
            ContentFormat::Tlv => 11542,
            ContentFormat::Json => 11543,
            ContentFormat::Lwm2mCbor => 11544,
        }
    }

    /// The format of a received number, the pre-IANA numbers 1541 to 1544 of early 1.0 stacks
    /// included; none for a format that LwM2M does not use.
    pub const fn from_number(number: u16) -> Option<ContentFormat> {
        Some(match number {
            0 | 1541 => ContentFormat::Text,
            40 => ContentFormat::Link,
            42 | 1544 => ContentFormat::Opaque,
            60 => ContentFormat::Cbor,
            110 => ContentFormat::SenmlJson,
            112 => ContentFormat::SenmlCbor,
            320 => ContentFormat::SenmlEtchJson,
            322 => ContentFormat::SenmlEtchCbor,
            1542 | 11542 => ContentFormat::Tlv,
            1543 | 11543 => ContentFormat::Json,
            11544 => ContentFormat::Lwm2mCbor,
            _ => return None,
        })
    }

    /// The short name used in configuration, command line and HTTP API.
    pub const fn name(self) -> &'static str {
        match self {
            ContentFormat::Text => "text",
            ContentFormat::Link => "link",
            ContentFormat::Opaque => "opaque",
            ContentFormat::Cbor => "cbor",
            ContentFormat::SenmlJson => "senml-json",
            ContentFormat::SenmlCbor => "senml-cbor",
            ContentFormat::SenmlEtchJson => "senml-etch-json",
            ContentFormat::SenmlEtchCbor => "senml-etch-cbor",
            ContentFormat::Tlv => "tlv",
            ContentFormat::Json => "json",
            ContentFormat::Lwm2mCbor => "lwm2m-cbor",
        }
    }
}

impl fmt::Display for ContentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ContentFormat {
    type Err = ContentFormatError;

    /// Reads a [name](ContentFormat::name) or a number.
    fn from_str(text: &str) -> Result<ContentFormat, ContentFormatError> {
        ContentFormat::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .or_else(|| text.parse().ok().and_then(ContentFormat::from_number))
            .ok_or(ContentFormatError)
    }
}

/// A text that names no content format of LwM2M.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no LwM2M content format; use one of text, link, opaque, cbor, senml-json, senml-cbor, \
     senml-etch-json, senml-etch-cbor, tlv, json, lwm2m-cbor, or a number"
)]
pub struct ContentFormatError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_round_trip() {
        for format in ContentFormat::ALL {
            assert_eq!(ContentFormat::from_number(format.number()), Some(format));
            assert_eq!(format.name().parse(), Ok(format));
            assert_eq!(format.number().to_string().parse(), Ok(format));
        }
        assert_eq!(ContentFormat::from_number(1542), Some(ContentFormat::Tlv));
        assert_eq!(ContentFormat::from_number(11545), None);
    }
}
