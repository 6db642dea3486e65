//! The query of a request. Every key is known, or the request is refused: a typing error must not
//! pass as a default.

use std::str::FromStr;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lwm2m_core::ContentFormat;
use lwm2m_server::RequestOptions;

use crate::problem::Problem;

/// The longest `timeout_s`, in seconds: a week.
const TIMEOUT_S_MAX: f64 = 604_800.0;

/// The keys and values of a query that have not been taken yet.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    fn parse(query: &str) -> Result<Query, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for item in query.split('&').filter(|item| !item.is_empty()) {
            let (key, value) = item.split_once('=').unwrap_or((item, ""));
            let (key, value) = (decoded(key)?, decoded(value)?);
            if pairs.iter().any(|(known, _)| *known == key) {
                return Err(Problem::parameter(format!("{key:?} is given twice")));
            }
            pairs.push((key, value));
        }
        Ok(Query(pairs))
    }

    /// Takes the value of a key.
    pub(crate) fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.remove(at).1)
    }

    /// Takes the value of a key as a `T`.
    pub(crate) fn parsed<T>(&mut self, key: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        self.take(key)
            .map(|text| {
                text.parse()
                    .map_err(|error| Problem::parameter(format!("{key}={text:?}: {error}")))
            })
            .transpose()
    }

    /// Takes a content format.
    pub(crate) fn format(&mut self, key: &str) -> Result<Option<ContentFormat>, Problem> {
        self.parsed(key)
    }

    /// Takes `timeout_s` and `unchecked`.
    pub(crate) fn options(&mut self) -> Result<RequestOptions, Problem> {
        let mut options = RequestOptions::default();
        options.timeout = match self.parsed::<f64>("timeout_s")? {
            None => None,
            Some(seconds) if seconds > 0.0 && seconds <= TIMEOUT_S_MAX => {
                Some(Duration::from_secs_f64(seconds))
            }
            Some(seconds) => {
                return Err(Problem::parameter(format!(
                    "timeout_s={seconds}: seconds above 0, at most {TIMEOUT_S_MAX}"
                )));
            }
        };
        options.unchecked = match self.take("unchecked").as_deref() {
            None | Some("false") => false,
            Some("true" | "") => true,
            Some(other) => {
                return Err(Problem::parameter(format!(
                    "unchecked={other:?}: true or false"
                )));
            }
        };
        Ok(options)
    }

    /// Takes all that is left, in the form `key=value` or `key`.
    pub(crate) fn items(&mut self) -> Vec<String> {
        let items = self.0.drain(..);
        items
            .map(|(key, value)| match value.as_str() {
                "" => key,
                value => format!("{key}={value}"),
            })
            .collect()
    }

    /// Refuses what was not taken.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(Problem::parameter(format!(
                "{key:?} is no parameter of this request"
            ))),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query, Problem> {
        Query::parse(parts.uri.query().unwrap_or_default())
    }
}

/// Percent-decoding as forms do it: `+` is a space.
fn decoded(text: &str) -> Result<String, Problem> {
    let broken = || Problem::parameter(format!("{text:?} is not percent-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2).ok_or_else(broken)?;
                let digits = std::str::from_utf8(digits).map_err(|_| broken())?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return Err(broken());
                }
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| broken())?);
                rest = tail;
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_forms_write() {
        let mut query = Query::parse("a=1%2F2+3&b=&c&d=%F0%9F%94%8C&&").unwrap();
        assert_eq!(query.take("a").as_deref(), Some("1/2 3"));
        assert_eq!(query.take("d").as_deref(), Some("\u{1f50c}"));
        assert_eq!(query.items(), ["b", "c"]);
        assert!(query.finish().is_ok());
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for query in ["a=%", "a=%4", "a=%zz", "a=%+1", "%ff=1", "a=1&a=2"] {
            assert!(Query::parse(query).is_err(), "{query}");
        }
        assert!(Query::parse("typo=1").unwrap().finish().is_err());
    }

    #[test]
    fn options_have_their_range() {
        let options = |query: &str| Query::parse(query).unwrap().options();
        let given = options("timeout_s=2.5&unchecked=true").unwrap();
        assert_eq!(given.timeout, Some(Duration::from_millis(2500)));
        assert!(given.unchecked);
        assert!(!options("unchecked=false").unwrap().unchecked);
        assert_eq!(options("").unwrap(), RequestOptions::default());
        assert!(options("timeout_s=604800").is_ok());
        for query in [
            "timeout_s=0",
            "timeout_s=-1",
            "timeout_s=604801",
            "timeout_s=NaN",
            "timeout_s=inf",
            "timeout_s=x",
            "unchecked=maybe",
        ] {
            assert!(options(query).is_err(), "{query}");
        }
    }

    #[test]
    fn formats_go_by_name_or_number() {
        let mut query = Query::parse("format=tlv&accept=112&other=xml").unwrap();
        assert_eq!(query.format("format"), Ok(Some(ContentFormat::Tlv)));
        assert_eq!(query.format("accept"), Ok(Some(ContentFormat::SenmlCbor)));
        assert!(query.format("other").is_err());
        assert_eq!(query.format("none"), Ok(None));
    }
}
