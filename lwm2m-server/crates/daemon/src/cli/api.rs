//! The HTTP API, seen from outside.

use std::fmt;
use std::io::Read;

use anyhow::{Context, bail};
use serde_json::Value;
use ureq::http::Uri;

use super::table::printable;

/// A connection to the API of one server.
pub(crate) struct Api {
    agent: ureq::Agent,
    base: String,
}

/// An answer that is a problem document (RFC 9457).
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) document: Value,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Diagnostics of devices are quoted in it.
        let text = |key| {
            self.document
                .get(key)
                .and_then(Value::as_str)
                .map(printable)
        };
        match text("title") {
            Some(title) => f.write_str(&title)?,
            None => f.write_str("the server refused the request")?,
        }
        if let Some(detail) = text("detail") {
            write!(f, ": {detail}")?;
        }
        let errors = self.document.get("errors").and_then(Value::as_array);
        for error in errors
            .into_iter()
            .flatten()
            .filter(|error| error.get("line").is_some())
        {
            let of = |key| super::table::text(error, key);
            write!(f, "\n  line {}: ", of("line"))?;
            match of("field").as_str() {
                "" => {}
                field => write!(f, "{field}: ")?,
            }
            f.write_str(&of("message"))?;
        }
        if let Some(hint) = text("hint") {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// What a request sends.
pub(crate) enum Method {
    Get,
    Delete,
    Put(Option<Value>),
    Post(Option<Value>),
    /// Text of this Content-Type.
    PostText(String, &'static str),
}

impl Api {
    /// Checks the address; no connection is made yet.
    pub(crate) fn new(server: &str) -> anyhow::Result<Api> {
        let base = server.trim_end_matches('/');
        let uri: Uri = base
            .parse()
            .with_context(|| format!("--server {server}: no URL"))?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            bail!("--server {server}: use http://HOST:PORT");
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build();
        Ok(Api {
            agent: config.into(),
            base: format!("{base}/api/v1"),
        })
    }

    /// Sends a request and reads the JSON of the answer; null when there is none.
    pub(crate) fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<Value> {
        let mut response = self.send(method, path, query)?;
        let text = response
            .body_mut()
            .with_config()
            .limit(64 << 20)
            .read_to_string()
            .context("the server's answer broke off")?;
        let success = response.status().is_success();
        if success && text.is_empty() {
            return Ok(Value::Null);
        }
        match serde_json::from_str(&text) {
            Ok(value) if success => Ok(value),
            Ok(document) => Err(Problem { document }.into()),
            Err(_) => bail!(
                "{} answered {} with something that is no JSON: is it an lwm2m-server?",
                self.base,
                response.status()
            ),
        }
    }

    /// Opens a stream of server-sent events.
    pub(crate) fn stream(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<impl Read + use<>> {
        let response = self.send(Method::Get, path, query)?;
        if !response.status().is_success() {
            bail!("{} answered {}", self.base, response.status());
        }
        Ok(response.into_body().into_reader())
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<ureq::http::Response<ureq::Body>> {
        let mut url = format!("{}{path}", self.base);
        for (index, (key, value)) in query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(key);
            if !value.is_empty() {
                url.push('=');
                url.push_str(&encode(value));
            }
        }
        let outcome = match method {
            Method::Get => self.agent.get(&url).call(),
            Method::Delete => self.agent.delete(&url).call(),
            Method::Put(Some(body)) => self.agent.put(&url).send_json(body),
            Method::Put(None) => self.agent.put(&url).send_empty(),
            Method::Post(Some(body)) => self.agent.post(&url).send_json(body),
            Method::Post(None) => self.agent.post(&url).send_empty(),
            Method::PostText(text, content_type) => {
                self.agent.post(&url).content_type(content_type).send(text)
            }
        };
        outcome.with_context(|| {
            format!(
                "no server answers at {}: start one with `lwm2m-server --demo`, or name another \
                 with --server",
                self.base
            )
        })
    }
}

/// Percent-encodes one segment of a path or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_name_stays_one_segment() {
        assert_eq!(encode("urn:imei:35"), "urn:imei:35");
        assert_eq!(encode("a/b ?#%é"), "a%2Fb%20%3F%23%25%C3%A9");
    }

    #[test]
    fn only_http_urls_are_taken() {
        assert!(Api::new("http://127.0.0.1:8080/").is_ok());
        for wrong in [
            "",
            "127.0.0.1:8080",
            "ftp://x",
            "https://x",
            "http://",
            "http://a b",
        ] {
            assert!(Api::new(wrong).is_err(), "{wrong}");
        }
    }
}
