//! Web pages of other origins may look, but not change anything.
//!
//! A browser sends a simple POST anywhere without asking; it says so in `Sec-Fetch-Site`, older
//! ones in `Origin`. Programs send neither.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

pub(crate) async fn same_origin(request: Request, next: Next) -> Response {
    let safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    if safe || from_here(request.headers()) {
        next.run(request).await
    } else {
        Problem::cross_origin().into_response()
    }
}

fn from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    match text(ORIGIN.as_str()) {
        None => true,
        Some(origin) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some() && authority == text(HOST.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_other_origins_are_refused() {
        for (headers, here) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (
                &[("origin", "http://localhost:80"), ("host", "localhost:80")],
                true,
            ),
            (
                &[("origin", "http://evil.example"), ("host", "localhost:80")],
                false,
            ),
            (&[("origin", "null"), ("host", "localhost")], false),
            (&[("origin", "null")], false),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    let name = name.parse::<axum::http::HeaderName>().unwrap();
                    (name, HeaderValue::from_static(value))
                })
                .collect();
            assert_eq!(from_here(&headers), here, "{headers:?}");
        }
    }
}
