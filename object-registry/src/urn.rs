//! The URN of an object definition.

use lwm2m_core::ObjectVersion;

/// `urn:oma:lwm2m:{oma|ext|x}:{id}[:{version}]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectUrn {
    pub(crate) id: u16,
    pub(crate) version: Option<ObjectVersion>,
}

impl ObjectUrn {
    /// Reads a URN; none when it is not of the form.
    pub(crate) fn parse(text: &str) -> Option<ObjectUrn> {
        let mut parts = text.split(':');
        let prefix = [parts.next()?, parts.next()?, parts.next()?];
        if prefix != ["urn", "oma", "lwm2m"] || !matches!(parts.next()?, "oma" | "ext" | "x") {
            return None;
        }
        let id = id(parts.next()?)?;
        let version = match parts.next() {
            Some(version) => Some(version.parse().ok()?),
            None => None,
        };
        match parts.next() {
            Some(_) => None,
            None => Some(ObjectUrn { id, version }),
        }
    }
}

/// An object or resource id: a decimal number from 0 to 65534.
pub(crate) fn id(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let id = is_number.then(|| text.parse().ok()).flatten()?;
    (id < u16::MAX).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urns_with_and_without_version() {
        let urn = |id, version: Option<&str>| {
            let version = version.map(|version| version.parse().unwrap());
            Some(ObjectUrn { id, version })
        };
        let parse = ObjectUrn::parse;
        assert_eq!(parse("urn:oma:lwm2m:oma:3"), urn(3, None));
        assert_eq!(parse("urn:oma:lwm2m:ext:3303:1.1"), urn(3303, Some("1.1")));
        assert_eq!(parse("urn:oma:lwm2m:x:10254:1.0"), urn(10254, Some("1.0")));
        for text in [
            "",
            "oma:lwm2mx10314",
            "urn:oma:lwm2m: oma:8",
            "urn:oma:lwm2m:foo:8",
            "urn:oma:lwm2m:oma:",
            "urn:oma:lwm2m:oma:65535",
            "urn:oma:lwm2m:oma:+3",
            "urn:oma:lwm2m:oma:3:1",
            "urn:oma:lwm2m:oma:3:1.0:0",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
