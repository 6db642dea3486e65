//! What somebody may have meant who wrote a key or a value that is not known.

use anyhow::anyhow;

/// The error, and below it what may have been meant.
pub(super) fn explained(error: toml::de::Error, reference: &str) -> anyhow::Error {
    let hint = meant(error.message(), reference);
    match hint {
        Some(hint) => anyhow!("{}\n{hint}", error.to_string().trim_end()),
        None => error.into(),
    }
}

/// Reads what serde says: "unknown field `a`, expected one of `b`, `c`".
fn meant(message: &str, reference: &str) -> Option<String> {
    let (unknown, nearest) = lwm2m_plugins::unknown_name(message)?;
    if let Some(nearest) = nearest {
        return Some(format!("did you mean `{nearest}`?"));
    }
    let section = section_of(unknown, reference)?;
    Some(format!("`{unknown}` is a key of [{section}]"))
}

/// The section of the reference that has a key.
fn section_of<'r>(key: &str, reference: &'r str) -> Option<&'r str> {
    let mut section = None;
    for line in reference.lines() {
        let line = line.trim_start_matches(['#', ' ']);
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_start_matches('[').split(']').next();
        } else if line.split('=').next().map(str::trim) == Some(key) {
            return section;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE: &str = "[server]\nlifetime = 3\n[dtls]\n# trust_store = 4\n";

    #[test]
    fn the_nearest_key_is_offered_when_it_is_near() {
        let meant = |message| meant(message, REFERENCE);
        let one_of = "unknown field `lifetme`, expected one of `bind`, `lifetime`";
        assert_eq!(meant(one_of).as_deref(), Some("did you mean `lifetime`?"));
        let variant = "unknown variant `optonal`, expected `required` or `optional`";
        assert_eq!(meant(variant).as_deref(), Some("did you mean `optional`?"));
        assert_eq!(meant("unknown field `x`, expected one of `bind`"), None);
        assert_eq!(meant("invalid type: string `lifetme`"), None);
    }

    #[test]
    fn a_key_of_another_section_is_sent_there() {
        let elsewhere = "unknown field `trust_store`, expected one of `bind`, `lifetime`";
        let meant = meant(elsewhere, REFERENCE);
        assert_eq!(meant.as_deref(), Some("`trust_store` is a key of [dtls]"));
    }
}
