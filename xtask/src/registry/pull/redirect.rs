//! Where a redirect leads, and whether to go there.

use ureq::http::Uri;

/// The target of a `Location` header (RFC 9110 §10.2.2), when it is a place in the web.
///
/// The error continues a sentence that starts with "the redirect".
pub(super) fn target(from: &Uri, location: &str) -> Result<Uri, String> {
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", |found| found.as_str());
    let path = from.path();
    let text = if location.is_empty() {
        return Err("has no Location".to_owned());
    } else if scheme_of(location).is_some() {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = path.rfind('/').and_then(|slash| path.get(..=slash));
        format!("{scheme}://{authority}{}{location}", folder.unwrap_or("/"))
    };
    let text = text.split('#').next().unwrap_or_default();
    let refused = |why| Err(format!("to {location} is refused: {why}"));
    match scheme_of(text).map(str::to_ascii_lowercase).as_deref() {
        Some("https") => {}
        Some("http") if scheme == "http" => {}
        Some("http") => return refused("it leaves https"),
        _ => return refused("only http and https are followed"),
    }
    match text.parse::<Uri>() {
        Ok(uri) if uri.authority().is_some() => Ok(uri),
        _ => refused("it is no URL"),
    }
}

/// `abc` of `abc:def` (RFC 3986 §3.1).
fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    (is_scheme && scheme.chars().all(is_word)).then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(from: &str, location: &str) -> Result<String, String> {
        target(&from.parse().unwrap(), location).map(|uri| uri.to_string())
    }

    #[test]
    fn follows_absolute_and_relative_places() {
        for (from, location, expected) in [
            ("http://a:1/b/c.xml", "http://d/e.xml", "http://d/e.xml"),
            ("http://a:1/b/c.xml", "https://d/e.xml", "https://d/e.xml"),
            ("https://a/b/c.xml", "//d/e.xml", "https://d/e.xml"),
            ("http://a:1/b/c.xml", "/e.xml", "http://a:1/e.xml"),
            ("http://a:1/b/c.xml", "e.xml#f", "http://a:1/b/e.xml"),
        ] {
            assert_eq!(follow(from, location).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn refuses_every_other_place() {
        for (from, location) in [
            ("http://a/b", ""),
            ("http://a/b", "file:///etc/passwd"),
            ("http://a/b", "FILE:///etc/passwd"),
            ("http://a/b", "ftp://d/e"),
            ("http://a/b", "data:text/xml,<a/>"),
            ("http://a/b", "http://"),
            ("https://a/b", "http://a/b"),
        ] {
            assert!(follow(from, location).is_err(), "{location}");
        }
    }
}
