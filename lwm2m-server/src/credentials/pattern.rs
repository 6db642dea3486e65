//! Names with gaps: `meter-7`, `urn:imei:35*`, `{identity}`, `urn:dev:{cn}`.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use crate::identity::{PeerIdentity, bytes_as_text, hex};

/// A name, or what names have to look like.
///
/// `*` stands for any text, also none; `{…}` for what the identity of the peer says, taken
/// literally: `{identity}` for any identity (of a certificate: its common name, or one of its
/// alternative names), `{cn}`, `{san}`, `{serial}`, `{fingerprint}` for a part of a certificate. A
/// backslash takes its meaning from the character behind it. Everything else stands for itself;
/// comparison is exact, upper and lower case are different.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamePattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Part {
    Literal(String),
    Any,
    Field(Field),
}

/// What an identity says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Field {
    Identity,
    CommonName,
    AlternativeName,
    Serial,
    Fingerprint,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamePatternError {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// More than [`NamePattern::LEN_MAX`].
    #[error("it is longer than {} bytes", NamePattern::LEN_MAX)]
    TooLong,
    /// More than [`NamePattern::PARTS_MAX`].
    #[error("it has more than {} parts", NamePattern::PARTS_MAX)]
    TooManyParts,
    /// A brace that is not closed, or a backslash at the end.
    #[error("it breaks off")]
    Unfinished,
    /// No such field.
    #[error(
        "{{{0}}} is not known: use {{identity}}, {{cn}}, {{san}}, {{serial}} or {{fingerprint}}"
    )]
    UnknownField(String),
}

impl NamePattern {
    /// The longest pattern, in bytes.
    pub const LEN_MAX: usize = 255;

    /// Pieces of text, stars and fields in one pattern.
    pub const PARTS_MAX: usize = 16;

    /// The pattern that only this name fits, whatever characters it has.
    pub fn exact(name: &str) -> NamePattern {
        NamePattern(vec![Part::Literal(name.to_owned())])
    }

    /// `{identity}`: the name is the identity itself.
    pub fn identity() -> NamePattern {
        NamePattern(vec![Part::Field(Field::Identity)])
    }

    /// The one name that fits; none when there may be several.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Literal(name)] => Some(name),
            _ => None,
        }
    }

    /// True when it takes something from the identity.
    pub fn has_fields(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Field(_)))
    }

    /// True when it has a star, so that its names cannot be listed.
    pub fn is_open(&self) -> bool {
        self.0.contains(&Part::Any)
    }

    /// True when `name` fits for a peer of this identity.
    pub fn matches(&self, name: &str, identity: &PeerIdentity) -> bool {
        self.fits(name, |field| Some(field.values(identity)))
    }

    /// True when `name` fits for some peer, whatever its identity says.
    pub fn may_match(&self, name: &str) -> bool {
        self.fits(name, |_| None)
    }

    /// The names that fit for a peer of this identity, when stars leave no choice.
    pub fn names(&self, identity: &PeerIdentity) -> Vec<String> {
        let mut names = vec![String::new()];
        for part in &self.0 {
            names = match part {
                Part::Any => return Vec::new(),
                Part::Literal(text) => names.iter().map(|name| format!("{name}{text}")).collect(),
                Part::Field(field) => {
                    let values = field.values(identity);
                    let with = |name: &String| -> Vec<String> {
                        values
                            .iter()
                            .map(|value| format!("{name}{value}"))
                            .collect()
                    };
                    names.iter().flat_map(with).take(NAMES_MAX).collect()
                }
            };
        }
        names
    }

    /// Walks along `name` with all the places where the parts so far may end, so that the time is
    /// bounded by the lengths, not by the number of ways. A field without values fits nothing, an
    /// unknown one anything.
    fn fits(&self, name: &str, values: impl Fn(Field) -> Option<Vec<String>>) -> bool {
        let mut ends: HashSet<usize> = HashSet::from([0]);
        for part in &self.0 {
            let behind = |text: &str| -> HashSet<usize> {
                let fits = |end: &&usize| name[**end..].starts_with(text);
                ends.iter()
                    .filter(fits)
                    .map(|end| end + text.len())
                    .collect()
            };
            let anything = || -> HashSet<usize> {
                let first = ends.iter().copied().min().unwrap_or(name.len() + 1);
                (first..=name.len())
                    .filter(|end| name.is_char_boundary(*end))
                    .collect()
            };
            ends = match part {
                Part::Literal(text) => behind(text),
                Part::Any => anything(),
                Part::Field(field) => match values(*field) {
                    Some(values) => values.iter().flat_map(|value| behind(value)).collect(),
                    None => anything(),
                },
            };
        }
        ends.contains(&name.len())
    }
}

/// Names that one identity can stand for; a certificate may have many alternative names.
const NAMES_MAX: usize = 64;

impl FromStr for NamePattern {
    type Err = NamePatternError;

    fn from_str(text: &str) -> Result<NamePattern, NamePatternError> {
        if text.is_empty() {
            return Err(NamePatternError::Empty);
        }
        if text.len() > NamePattern::LEN_MAX {
            return Err(NamePatternError::TooLong);
        }
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            let part = match character {
                '*' => Part::Any,
                '{' => {
                    let (name, behind) = rest
                        .as_str()
                        .split_once('}')
                        .ok_or(NamePatternError::Unfinished)?;
                    rest = behind.chars();
                    Part::Field(Field::named(name)?)
                }
                character => {
                    let literal = match character {
                        '\\' => rest.next().ok_or(NamePatternError::Unfinished)?,
                        character => character,
                    };
                    if let Some(Part::Literal(text)) = parts.last_mut() {
                        text.push(literal);
                        continue;
                    }
                    Part::Literal(literal.into())
                }
            };
            if part == Part::Any && parts.last() == Some(&Part::Any) {
                continue;
            }
            if parts.len() == NamePattern::PARTS_MAX {
                return Err(NamePatternError::TooManyParts);
            }
            parts.push(part);
        }
        Ok(NamePattern(parts))
    }
}

impl fmt::Display for NamePattern {
    /// Writes what [`NamePattern::from_str`] reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Any => f.write_str("*")?,
                Part::Field(field) => write!(f, "{{{}}}", field.name())?,
                Part::Literal(text) => {
                    for character in text.chars() {
                        if matches!(character, '*' | '{' | '\\') {
                            f.write_str("\\")?;
                        }
                        write!(f, "{character}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Field {
    const ALL: [Field; 5] = [
        Field::Identity,
        Field::CommonName,
        Field::AlternativeName,
        Field::Serial,
        Field::Fingerprint,
    ];

    fn name(self) -> &'static str {
        match self {
            Field::Identity => "identity",
            Field::CommonName => "cn",
            Field::AlternativeName => "san",
            Field::Serial => "serial",
            Field::Fingerprint => "fingerprint",
        }
    }

    fn named(name: &str) -> Result<Field, NamePatternError> {
        let named = |field: &Field| field.name() == name;
        let unknown = || NamePatternError::UnknownField(name.to_owned());
        Field::ALL.into_iter().find(named).ok_or_else(unknown)
    }

    /// What the identity says; several for alternative names, none where it says nothing.
    fn values(self, identity: &PeerIdentity) -> Vec<String> {
        let mut values = match (self, identity) {
            (Field::Identity, PeerIdentity::Psk(psk)) => {
                vec![bytes_as_text(&psk.identity).into_owned()]
            }
            (Field::Identity, PeerIdentity::Rpk(rpk)) => vec![hex(&rpk.sha256)],
            (Field::Identity, PeerIdentity::Oscore(oscore)) => {
                vec![bytes_as_text(&oscore.sender_id).into_owned()]
            }
            (Field::Identity, PeerIdentity::X509(x509)) => {
                let names = x509.common_name.iter().chain(&x509.alternative_names);
                names.cloned().collect()
            }
            (Field::CommonName, PeerIdentity::X509(x509)) => {
                x509.common_name.iter().cloned().collect()
            }
            (Field::AlternativeName, PeerIdentity::X509(x509)) => x509.alternative_names.clone(),
            (Field::Serial, PeerIdentity::X509(x509)) => vec![hex(&x509.serial)],
            (Field::Fingerprint, PeerIdentity::X509(x509)) => vec![hex(&x509.fingerprint)],
            _ => Vec::new(),
        };
        values.retain(|value| !value.is_empty());
        values
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::X509Identity;

    fn pattern(text: &str) -> NamePattern {
        text.parse().expect(text)
    }

    fn certificate(common_name: &str, names: &[&str]) -> PeerIdentity {
        PeerIdentity::x509(X509Identity {
            common_name: Some(common_name.to_owned()),
            alternative_names: names.iter().map(|name| (*name).to_owned()).collect(),
            serial: vec![0x0a, 0xff],
            ..X509Identity::default()
        })
    }

    #[test]
    fn names_fit_exactly_by_star_and_by_identity() {
        let psk = PeerIdentity::psk(b"dev*1", None);
        let x509 = certificate("meter", &["urn:a", "b.example"]);
        for (text, name, identity, fits) in [
            ("meter-7", "meter-7", &psk, true),
            ("meter-7", "Meter-7", &psk, false),
            ("meter-7", "meter-77", &psk, false),
            ("urn:imei:35*", "urn:imei:35", &psk, true),
            ("urn:imei:35*", "urn:imei:351", &psk, true),
            ("urn:imei:35*", "urn:imei:36", &psk, false),
            ("*", "é", &psk, true),
            ("a*b*c", "a-b-b-c", &psk, true),
            ("a*b*c", "a-c-b", &psk, false),
            ("{identity}", "dev*1", &psk, true),
            ("{identity}", "dev-1", &psk, false),
            ("urn:dev:{identity}", "urn:dev:dev*1", &psk, true),
            ("{cn}", "dev*1", &psk, false),
            ("{identity}", "meter", &x509, true),
            ("{identity}", "urn:a", &x509, true),
            ("{san}", "meter", &x509, false),
            ("{cn}/{san}-*", "meter/b.example-5", &x509, true),
            ("urn:dev:{serial}", "urn:dev:0aff", &x509, true),
            ("{identity}", "nosec", &PeerIdentity::Anonymous, false),
            (r"a\*", "a*", &psk, true),
            (r"a\*", "ab", &psk, false),
            (r"\{cn}\\", r"{cn}\", &psk, true),
        ] {
            let fitting = pattern(text).matches(name, identity);
            assert_eq!(fitting, fits, "{text} {name} {identity}");
        }
    }

    #[test]
    fn a_name_that_some_peer_may_have_is_covered() {
        assert!(pattern("urn:dev:{cn}").may_match("urn:dev:x"));
        assert!(!pattern("urn:dev:{cn}").may_match("urn:imei:x"));
        let names = pattern("urn:{identity}").names(&certificate("a", &["b"]));
        assert_eq!(names, ["urn:a", "urn:b"]);
        assert!(pattern("*").names(&certificate("a", &[])).is_empty());
    }

    #[test]
    fn an_empty_field_fits_nothing() {
        assert!(!pattern("x{cn}").matches("x", &certificate("", &[])));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, error) in [
            ("", NamePatternError::Empty),
            ("a{cn", NamePatternError::Unfinished),
            ("a\\", NamePatternError::Unfinished),
            ("{ep}", NamePatternError::UnknownField("ep".to_owned())),
            (&"x".repeat(256), NamePatternError::TooLong),
            (&"*a".repeat(9), NamePatternError::TooManyParts),
        ] {
            assert_eq!(text.parse::<NamePattern>(), Err(error), "{text}");
        }
        assert!("x".repeat(255).parse::<NamePattern>().is_ok());
        assert!("*a".repeat(8).parse::<NamePattern>().is_ok());
    }

    #[test]
    fn many_stars_cost_no_more_than_their_length() {
        let wild = pattern("*a*a*a*a*a*a*a*b");
        assert!(!wild.may_match(&"a".repeat(255)));
    }

    proptest! {
        #[test]
        fn a_name_is_its_own_pattern_and_reads_back(name in "\\PC{1,40}") {
            let exact = NamePattern::exact(&name);
            prop_assert!(exact.may_match(&name));
            prop_assert_eq!(exact.to_string().parse(), Ok(exact));
        }

        #[test]
        fn never_panics_and_reads_back(text in "[ab*{}\\\\é]{0,20}", name in "[abé]{0,20}") {
            if let Ok(pattern) = text.parse::<NamePattern>() {
                pattern.may_match(&name);
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
            }
        }
    }
}
