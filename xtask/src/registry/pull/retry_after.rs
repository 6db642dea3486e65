//! The pause that a server asks for when it is busy.

use std::time::Duration;

use ureq::http::HeaderMap;
use ureq::http::header::{DATE, RETRY_AFTER};

/// What `Retry-After` says: seconds, or a date (RFC 9110 §10.2.3); none when it says nothing.
///
/// A date counts from the `Date` of the same answer: the clocks of the two sides may differ.
pub(super) fn pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(asked).ok()?;
    let now = httpdate::parse_http_date(text(DATE)?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE_OF_ANSWER: &str = "Fri, 31 Dec 1999 23:59:58 GMT";

    #[test]
    fn is_read_as_seconds_or_as_a_date() {
        for (asked, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sat, 01 Jan 2000 00:00:59 GMT", Some(61)),
            ("Fri, 31 Dec 1999 20:00:00 GMT", Some(0)),
            ("-1", None),
            ("99999999999999999999999", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, asked.parse().unwrap());
            let is_date = expected.is_some() && asked.contains(',');
            assert_eq!(pause(&headers).is_some(), expected.is_some() && !is_date);
            headers.insert(DATE, DATE_OF_ANSWER.parse().unwrap());
            assert_eq!(pause(&headers).map(|pause| pause.as_secs()), expected);
        }
        assert_eq!(pause(&HeaderMap::new()), None);
    }
}
