//! What the answer to a step of a plan means for the plan.

use lwm2m_coap::Code;
use lwm2m_core::ContentFormat;

use super::run::Outcome;
use crate::RequestError;
use crate::hooks::ObserveFailure;

/// How a run ends for an error that says nothing about what was asked for; none for others.
pub(super) fn trouble(error: &RequestError) -> Option<Outcome> {
    match error {
        RequestError::RegistrationEnded
        | RequestError::NotRegistered
        | RequestError::ShuttingDown => Some(Outcome::Gone),
        RequestError::Overloaded | RequestError::QueueFull => Some(Outcome::Busy),
        RequestError::Asleep | RequestError::NotConnected | RequestError::NotAcknowledged => {
            Some(Outcome::Unfinished)
        }
        _ => None,
    }
}

/// True when an Observe-Composite was not taken as such. A device that acknowledges it and then says
/// nothing is one of those.
pub(super) fn is_of_composites(error: &RequestError) -> bool {
    let codes = [
        Code::BAD_REQUEST,
        Code::BAD_OPTION,
        Code::NOT_FOUND,
        Code::METHOD_NOT_ALLOWED,
        Code::UNSUPPORTED_CONTENT_FORMAT,
        Code::NOT_IMPLEMENTED,
    ];
    match error {
        RequestError::Refused { code, .. } => codes.contains(code),
        RequestError::NoResponse | RequestError::Deadline | RequestError::Reset => true,
        _ => false,
    }
}

/// True for the formats in which a composite request may name its paths as well.
pub(super) fn carries_names(format: &ContentFormat) -> bool {
    matches!(format, ContentFormat::SenmlJson | ContentFormat::SenmlCbor)
}

pub(super) fn code_of(error: &RequestError) -> Option<Code> {
    match error {
        RequestError::Refused { code, .. } => Some(*code),
        _ => None,
    }
}

pub(super) fn failure(error: Option<&RequestError>) -> ObserveFailure {
    match error {
        Some(RequestError::Refused { code, .. }) => match *code {
            Code::NOT_FOUND => ObserveFailure::NotFound,
            Code::METHOD_NOT_ALLOWED | Code::UNAUTHORIZED | Code::FORBIDDEN => {
                ObserveFailure::NotAllowed
            }
            Code::NOT_ACCEPTABLE | Code::UNSUPPORTED_CONTENT_FORMAT => {
                ObserveFailure::UnsupportedFormat
            }
            _ => ObserveFailure::Other,
        },
        Some(
            RequestError::NotAcknowledged
            | RequestError::NoResponse
            | RequestError::Deadline
            | RequestError::Asleep
            | RequestError::NotConnected,
        ) => ObserveFailure::Timeout,
        _ => ObserveFailure::Other,
    }
}
