//! What is wrong with a change of the observe rules.

use axum::http::StatusCode;
use lwm2m_server::observe::{ObserveDocumentError, ObserveRuleError, ObserveRuleFault};

use super::{Fault, Problem};

impl From<ObserveDocumentError> for Problem {
    fn from(error: ObserveDocumentError) -> Problem {
        invalid(error.key, error.message.clone(), error.message)
    }
}

impl From<ObserveRuleError> for Problem {
    fn from(error: ObserveRuleError) -> Problem {
        let detail = error.to_string();
        let of = |word, title, status| Problem::new(word, title, status, detail.clone());
        match error {
            ObserveRuleError::Invalid(error) => match error.fault {
                ObserveRuleFault::TooMany(_) => {
                    of("rules-full", "No room for more rules", StatusCode::CONFLICT)
                        .hint("a pattern, as in urn:imei:35*, stands for many devices")
                }
                fault => invalid(fault.key(), fault.to_string(), detail),
            },
            ObserveRuleError::NotFound(_) => {
                of("unknown-rule", "No such rule", StatusCode::NOT_FOUND)
                    .hint("GET /api/v1/observe/rules lists them")
            }
            ObserveRuleError::OfConfiguration(_) => of(
                "rule-of-configuration",
                "A rule of the configuration",
                StatusCode::CONFLICT,
            )
            .hint(
                "edit [observe] of the configuration, which is read again when it changes; or set \
                 another rule for these endpoints, which then counts instead: with the strategy \
                 plugin it observes nothing",
            ),
            ObserveRuleError::FileUnusable(_) => of(
                "rules-file-unusable",
                "The file of the rules is broken",
                StatusCode::CONFLICT,
            )
            .hint("somebody has edited it: mend it, or remove it, and try again"),
            _ => of(
                "rules-unavailable",
                "The rules cannot be changed",
                StatusCode::SERVICE_UNAVAILABLE,
            )
            .retry_after_s(10),
        }
    }
}

fn invalid(key: &'static str, message: String, detail: String) -> Problem {
    let fault = Fault {
        line: None,
        field: Some(key),
        message,
    };
    Problem::bad_request("invalid-rule", "Invalid observe rule", detail).errors(vec![fault])
}
