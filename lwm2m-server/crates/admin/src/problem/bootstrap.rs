//! What is wrong with a change of the bootstrap plans.

use axum::http::StatusCode;
use lwm2m_server::bootstrap::BootstrapStoreError;

use super::Problem;

impl From<BootstrapStoreError> for Problem {
    fn from(error: BootstrapStoreError) -> Problem {
        let detail = error.to_string();
        let of = |word, title, status| Problem::new(word, title, status, detail.clone());
        match error {
            BootstrapStoreError::NotHere => {
                of("no-plans", "No plans are kept here", StatusCode::NOT_FOUND)
                    .hint("give the server a FileBootstrap, or make them where its store has them")
            }
            BootstrapStoreError::NotFound(_) => {
                of("unknown-plan", "No such plan", StatusCode::NOT_FOUND)
                    .hint("GET /api/v1/bootstrap/plans lists them")
            }
            BootstrapStoreError::Taken(_) => of(
                "plan-taken",
                "There is such a plan already",
                StatusCode::CONFLICT,
            )
            .hint("remove it first"),
            BootstrapStoreError::Full { .. } => {
                of("plans-full", "No room for more plans", StatusCode::CONFLICT)
                    .hint("a pattern, as in urn:imei:35*, stands for many devices")
            }
            BootstrapStoreError::Invalid(_) => {
                Problem::bad_request("invalid-plan", "Invalid plan", detail)
            }
            _ => of(
                "plans-unavailable",
                "The plans cannot be changed",
                StatusCode::SERVICE_UNAVAILABLE,
            )
            .retry_after_s(10),
        }
    }
}
