//! The enabler version that a device registers with.

use std::fmt;
use std::str::FromStr;

/// The value of `lwm2m=` in a Register request: `1.0`, `1.1` or `1.2` (Core 1.2.2 §6.2.1).
///
/// Micro releases (1.1.1, 1.2.2) have no value of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// LwM2M 1.0
    V1_0,
    /// LwM2M 1.1
    V1_1,
    /// LwM2M 1.2
    V1_2,
}

impl Version {
    /// The text of the `lwm2m` parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Version, VersionError> {
        match text {
            "1.0" => Ok(Version::V1_0),
            "1.1" => Ok(Version::V1_1),
            "1.2" => Ok(Version::V1_2),
            _ if is_major_minor(text) => Err(VersionError::Unsupported),
            _ => Err(VersionError::Malformed),
        }
    }
}

fn is_major_minor(text: &str) -> bool {
    let number = |part: &str| {
        !part.is_empty() && part.len() <= 5 && part.bytes().all(|b| b.is_ascii_digit())
    };
    text.split_once('.')
        .is_some_and(|(major, minor)| number(major) && number(minor))
}

/// Why a text is no version that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// Well-formed, but another version than 1.0, 1.1 and 1.2: answered with 4.12.
    #[error("LwM2M 1.0, 1.1 and 1.2 are supported")]
    Unsupported,
    /// Not of the form `major.minor`: answered with 4.00.
    #[error("a LwM2M version has the form major.minor, as in 1.1")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_unsupported_from_malformed() {
        assert_eq!("1.2".parse(), Ok(Version::V1_2));
        for text in ["1.3", "2.0", "0.9", "1.10"] {
            assert_eq!(
                text.parse::<Version>(),
                Err(VersionError::Unsupported),
                "{text}"
            );
        }
        for text in ["", "1", "1.1.1", "1.", ".1", "a.b", "1.1 ", "999999.1"] {
            assert_eq!(
                text.parse::<Version>(),
                Err(VersionError::Malformed),
                "{text}"
            );
        }
    }
}
