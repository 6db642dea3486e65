//! Everything that goes wrong, as problem documents (RFC 9457).

mod bootstrap;
mod observe;

use std::borrow::Cow;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use lwm2m_server::RequestError;
use lwm2m_server::credentials::{CredentialError, CredentialStoreError, ImportError};
use serde::Serialize;

/// What the `type` of every problem begins with.
const TYPE: &str = "urn:lwm2m:problem:";

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    word: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: Box<str>,
    coap_code: Option<Box<str>>,
    hint: Option<Cow<'static, str>>,
    retry_after_s: Option<u16>,
    errors: Vec<Fault>,
}

/// One of several things that are wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<&'static str>,
    pub(crate) message: String,
}

#[derive(Serialize)]
struct Document<'p> {
    #[serde(rename = "type")]
    problem_type: String,
    title: &'p str,
    status: u16,
    detail: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    coap_code: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'p str>,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'p [Fault],
}

impl Problem {
    fn new(
        word: &'static str,
        title: &'static str,
        status: StatusCode,
        detail: impl Into<String>,
    ) -> Problem {
        Problem {
            word,
            title,
            status,
            detail: detail.into().into(),
            coap_code: None,
            hint: None,
            retry_after_s: None,
            errors: Vec::new(),
        }
    }

    fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    fn retry_after_s(mut self, seconds: u16) -> Problem {
        self.retry_after_s = Some(seconds);
        self
    }

    fn bad_request(word: &'static str, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem::new(word, title, StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn unknown_route(path: &str) -> Problem {
        let detail = format!("there is nothing at {path}");
        Problem::new(
            "unknown-route",
            "No such path",
            StatusCode::NOT_FOUND,
            detail,
        )
        .hint(
            "all paths begin with /api/v1, as in /api/v1/clients; endpoint names are \
                 percent-encoded",
        )
    }

    pub(crate) fn method_not_allowed(method: &Method) -> Problem {
        Problem::new(
            "method-not-allowed",
            "Wrong method",
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{method} is not among the methods of this path"),
        )
    }

    pub(crate) fn cross_origin() -> Problem {
        Problem::new(
            "cross-origin",
            "Refused for another origin",
            StatusCode::FORBIDDEN,
            "a web page of another origin asked for a change",
        )
    }

    pub(crate) fn body_too_large(max: usize) -> Problem {
        Problem::new(
            "body-too-large",
            "Body too large",
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("a body has at most {max} bytes"),
        )
    }

    pub(crate) fn too_many_streams() -> Problem {
        Problem::new(
            "too-many-streams",
            "Too many event streams",
            StatusCode::SERVICE_UNAVAILABLE,
            "all places for readers of events are taken",
        )
        .hint("close streams that nobody reads, or raise http.event_streams_max")
        .retry_after_s(10)
    }

    pub(crate) fn body(detail: impl Into<String>) -> Problem {
        Problem::bad_request("invalid-body", "Invalid body", detail)
    }

    pub(crate) fn path(detail: impl Into<String>) -> Problem {
        Problem::bad_request("invalid-path", "Invalid path", detail)
            .hint("an LwM2M path has up to four numbers, as in 3/0/9")
    }

    pub(crate) fn endpoint(detail: impl Into<String>) -> Problem {
        Problem::bad_request("invalid-endpoint", "Invalid endpoint name", detail)
    }

    pub(crate) fn parameter(detail: impl Into<String>) -> Problem {
        Problem::bad_request("invalid-parameter", "Invalid parameter", detail)
    }

    pub(crate) fn no_credentials() -> Problem {
        Problem::new(
            "no-credentials",
            "No store of credentials",
            StatusCode::NOT_FOUND,
            "this server was built without a store of credentials",
        )
        .hint("give it one: Server::builder().credentials(…)")
    }

    pub(crate) fn unknown_credential(id: &str) -> Problem {
        Problem::new(
            "unknown-credential",
            "No such credential",
            StatusCode::NOT_FOUND,
            format!("there is no credential {id:?}"),
        )
        .hint("GET /api/v1/credentials lists them")
    }

    pub(crate) fn credential(error: &CredentialError) -> Problem {
        let field = Some(error.field);
        let message = error.message.clone();
        let problem = Problem::bad_request(
            "invalid-credential",
            "Invalid credential",
            error.to_string(),
        );
        problem.errors(vec![Fault {
            line: None,
            field,
            message,
        }])
    }

    pub(crate) fn import(errors: Vec<ImportError>) -> Problem {
        let detail = match errors.first() {
            Some(first) if errors.len() > 1 => {
                format!(
                    "nothing was added: {first}, and {} more errors",
                    errors.len() - 1
                )
            }
            Some(first) => format!("nothing was added: {first}"),
            None => "nothing was added".to_owned(),
        };
        let fault = |error: ImportError| Fault {
            line: error.line,
            field: error.field,
            message: error.message,
        };
        let faults = errors.into_iter().map(fault).collect();
        Problem::bad_request("invalid-import", "Invalid import", detail).errors(faults)
    }

    fn errors(mut self, errors: Vec<Fault>) -> Problem {
        self.errors = errors;
        self
    }

    pub(crate) fn value(detail: impl Into<String>) -> Problem {
        Problem::bad_request("invalid-value", "Invalid value", detail)
    }

    pub(crate) fn unknown_object(detail: impl Into<String>) -> Problem {
        Problem::new(
            "unknown-object",
            "No model of this object",
            StatusCode::NOT_FOUND,
            detail,
        )
    }

    pub(crate) fn not_registered(endpoint: &str) -> Problem {
        Problem::new(
            "not-registered",
            "Device not registered",
            StatusCode::NOT_FOUND,
            format!("no device named {endpoint:?} is registered"),
        )
        .hint("GET /api/v1/clients lists the registered devices")
    }

    fn refused(class: u8, detail: u8, code: String, diagnostic: Option<String>) -> Problem {
        let status = match (class, detail) {
            (4, 1 | 3) => StatusCode::FORBIDDEN,
            (4, 0 | 4..=6 | 8 | 9 | 12 | 13 | 15 | 22 | 29) => {
                StatusCode::from_u16(400 + u16::from(detail)).unwrap_or(StatusCode::BAD_GATEWAY)
            }
            _ => StatusCode::BAD_GATEWAY,
        };
        let hint = match (class, detail) {
            (4, 0) => "the device finds the request malformed, or a value out of its range",
            (4, 1) => "the device's access control forbids it, or the object is closed to servers",
            (4, 4) => "the device has nothing at this path; Discover lists what it has",
            (4, 5) => "the device does not allow this operation there",
            (4, 6) => "the device has no such format for its answer; try another format",
            (4, 15) => "the device does not read this format; try another format",
            _ => "",
        };
        let detail = match diagnostic {
            Some(diagnostic) => format!("the device answered {code}: {diagnostic}"),
            None => format!("the device answered {code}"),
        };
        let number = code.split(' ').next().unwrap_or_default().into();
        let problem = Problem::new("device-refused", "The device refused", status, detail);
        let problem = Problem {
            coap_code: Some(number),
            ..problem
        };
        match hint {
            "" => problem,
            hint => problem.hint(hint),
        }
    }
}

impl From<CredentialStoreError> for Problem {
    fn from(error: CredentialStoreError) -> Problem {
        let detail = error.to_string();
        match error {
            CredentialStoreError::Refused { error, .. } => Problem::credential(&error),
            CredentialStoreError::Taken { .. } => Problem::new(
                "credential-taken",
                "At odds with another credential",
                StatusCode::CONFLICT,
                detail,
            )
            .hint(
                "an identity has one key, and two while they change: remove the old credential \
                 first, or choose another id",
            ),
            CredentialStoreError::NotFound(id) => Problem::unknown_credential(id.as_str()),
            CredentialStoreError::Full { .. } | CredentialStoreError::TooManyPatterns { .. } => {
                Problem::new(
                    "credentials-full",
                    "No room for more credentials",
                    StatusCode::CONFLICT,
                    detail,
                )
                .hint("raise credentials_max or patterns_max in [credentials], or remove some")
            }
            _ => Problem::new(
                "credentials-unavailable",
                "The credentials cannot be changed",
                StatusCode::SERVICE_UNAVAILABLE,
                detail,
            )
            .retry_after_s(10),
        }
    }
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Problem {
        let unchecked =
            "?unchecked=true, or --unchecked in the command line, sends it nevertheless";
        let detail = error.to_string();
        let of = |word, title, status| Problem::new(word, title, status, detail.clone());
        match error {
            RequestError::Refused { code, diagnostic } => {
                let text = format!("{code:?}");
                Problem::refused(code.class(), code.detail(), text, diagnostic)
            }
            RequestError::NotAcknowledged => of(
                "device-silent",
                "The device is silent",
                StatusCode::GATEWAY_TIMEOUT,
            )
            .hint("it may be off, asleep without queue mode, or at another address by now"),
            RequestError::NoResponse => of(
                "no-response",
                "The device did not respond",
                StatusCode::GATEWAY_TIMEOUT,
            )
            .hint("it took the request; some devices stay silent on operations they do not know"),
            RequestError::Reset => of(
                "device-reset",
                "The device rejected the message",
                StatusCode::BAD_GATEWAY,
            ),
            RequestError::Protocol(_) => of(
                "protocol-violation",
                "The device broke the protocol",
                StatusCode::BAD_GATEWAY,
            ),
            RequestError::Undecodable(_) => of(
                "undecodable-answer",
                "The answer cannot be decoded",
                StatusCode::BAD_GATEWAY,
            )
            .hint("another format may work: add ?format=tlv or ?format=senml-json"),
            RequestError::NotRegistered => of(
                "not-registered",
                "Device not registered",
                StatusCode::NOT_FOUND,
            )
            .hint("GET /api/v1/clients lists the registered devices"),
            RequestError::Invalid(_) => of(
                "invalid-request",
                "Not an LwM2M request",
                StatusCode::BAD_REQUEST,
            ),
            RequestError::AgainstModel(_) => of(
                "against-model",
                "The object model rules it out",
                StatusCode::UNPROCESSABLE_ENTITY,
            )
            .hint(unchecked),
            RequestError::NotInVersion { .. } => of(
                "not-in-version",
                "Not in the device's LwM2M version",
                StatusCode::UNPROCESSABLE_ENTITY,
            )
            .hint(unchecked),
            RequestError::Unencodable(_) => of(
                "unencodable",
                "The values cannot be written",
                StatusCode::BAD_REQUEST,
            ),
            RequestError::NoObservation => of(
                "no-observation",
                "No such observation",
                StatusCode::NOT_FOUND,
            ),
            RequestError::Asleep => of(
                "asleep",
                "The device is asleep",
                StatusCode::GATEWAY_TIMEOUT,
            )
            .hint("a larger timeout_s lets the request wait for the device's next contact"),
            RequestError::NotConnected => of(
                "not-connected",
                "The device is not connected",
                StatusCode::GATEWAY_TIMEOUT,
            )
            .hint("a larger timeout_s lets the request wait until the device connects again"),
            RequestError::Deadline => of(
                "deadline",
                "The deadline passed",
                StatusCode::GATEWAY_TIMEOUT,
            )
            .hint("timeout_s says how long a request may wait and run"),
            RequestError::RegistrationEnded => of(
                "registration-ended",
                "The registration ended",
                StatusCode::GONE,
            ),
            RequestError::QueueFull => of(
                "queue-full",
                "Too many requests wait for this device",
                StatusCode::SERVICE_UNAVAILABLE,
            )
            .retry_after_s(10),
            RequestError::TooManyObservations { .. } => of(
                "too-many-observations",
                "Too many observations of this device",
                StatusCode::CONFLICT,
            )
            .hint("cancel one first, or observe several paths in one composite"),
            RequestError::Overloaded => of(
                "overloaded",
                "The server is overloaded",
                StatusCode::SERVICE_UNAVAILABLE,
            )
            .retry_after_s(1),
            RequestError::ShuttingDown => of(
                "shutting-down",
                "The server is shutting down",
                StatusCode::SERVICE_UNAVAILABLE,
            )
            .retry_after_s(10),
            _ => of(
                "request-failed",
                "The request failed",
                StatusCode::BAD_GATEWAY,
            ),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            problem_type: format!("{TYPE}{}", self.word),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            coap_code: self.coap_code.as_deref(),
            hint: self.hint.as_deref(),
            errors: &self.errors,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        // A 405 has an Allow header (RFC 9110 §15.5.6). The router puts its own; the device's
        // 4.05 says that nothing is allowed.
        if self.coap_code.is_some() && self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(ALLOW, HeaderValue::from_static(""));
        }
        response
    }
}

#[cfg(test)]
mod tests;
