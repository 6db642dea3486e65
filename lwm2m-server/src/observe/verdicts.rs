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

/// True when the device says that it does not take an Observe-Composite as such. A reset rejects what
/// a stack cannot process (RFC 7252 §4.2), as a FETCH. No answer in time says nothing of the kind.
pub(super) fn is_of_composites(error: &RequestError) -> bool {
    let codes = [
        Code::BAD_REQUEST,
        Code::BAD_OPTION,
        Code::NOT_FOUND,
        Code::METHOD_NOT_ALLOWED,
        Code::NOT_ACCEPTABLE,
        Code::REQUEST_ENTITY_TOO_LARGE,
        Code::UNSUPPORTED_CONTENT_FORMAT,
        Code::NOT_IMPLEMENTED,
    ];
    match error {
        RequestError::Refused { code, .. } => codes.contains(code),
        RequestError::Reset => true,
        _ => false,
    }
}

/// True for a code that says something of all composites of a device, and not of the paths of one.
pub(super) fn is_of_method(code: Option<Code>) -> bool {
    let of_method = [
        Code::METHOD_NOT_ALLOWED,
        Code::NOT_IMPLEMENTED,
        Code::BAD_OPTION,
    ];
    code.is_none_or(|code| of_method.contains(&code))
}

/// True when the same request may succeed later: nobody answered in time.
pub(super) fn is_silence(error: &RequestError) -> bool {
    matches!(error, RequestError::Deadline | RequestError::NoResponse)
}

/// True when the same request may succeed later: the device has no time for it.
pub(super) fn is_busy(error: &RequestError) -> bool {
    let codes = [Code::SERVICE_UNAVAILABLE, Code::TOO_MANY_REQUESTS];
    code_of(error).is_some_and(|code| codes.contains(&code))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_says_that_there_are_no_composites() {
        let refused = |code| RequestError::Refused {
            code,
            diagnostic: None,
        };
        for (error, composites, later) in [
            (refused(Code::BAD_OPTION), true, false),
            (refused(Code::NOT_FOUND), true, false),
            (refused(Code::METHOD_NOT_ALLOWED), true, false),
            (refused(Code::NOT_IMPLEMENTED), true, false),
            (RequestError::Reset, true, false),
            (RequestError::Deadline, false, true),
            (RequestError::NoResponse, false, true),
            (refused(Code::SERVICE_UNAVAILABLE), false, true),
            (refused(Code::TOO_MANY_REQUESTS), false, true),
            (refused(Code::UNAUTHORIZED), false, false),
            (RequestError::Asleep, false, false),
        ] {
            assert_eq!(is_of_composites(&error), composites, "{error}");
            assert_eq!(is_silence(&error) || is_busy(&error), later, "{error}");
        }
    }
}
