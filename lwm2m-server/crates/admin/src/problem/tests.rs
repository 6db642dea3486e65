use lwm2m_core::Version;
use lwm2m_core::codec::{DecodeError, EncodeError};
use lwm2m_core::{ContentFormat, Path};
use lwm2m_server::{Code, RequestError};
use serde_json::Value as Json;

use super::*;

async fn document(problem: Problem) -> (u16, Json) {
    let response = problem.into_response();
    let status = response.status().as_u16();
    assert_eq!(
        response.headers().get(CONTENT_TYPE).unwrap(),
        "application/problem+json"
    );
    let body = axum::body::to_bytes(response.into_body(), 1 << 16)
        .await
        .unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn refused(class: u8, detail: u8) -> RequestError {
    RequestError::Refused {
        code: Code::new(class, detail),
        diagnostic: None,
    }
}

#[tokio::test]
async fn a_refusal_names_the_code_and_what_to_do() {
    let error = RequestError::Refused {
        code: Code::new(4, 4),
        diagnostic: Some("no such thing".to_owned()),
    };
    let (status, document) = document(Problem::from(error)).await;
    assert_eq!(status, 404);
    assert_eq!(document["type"], "urn:lwm2m:problem:device-refused");
    assert_eq!(document["title"], "The device refused");
    assert_eq!(document["status"], 404);
    assert_eq!(
        document["detail"],
        "the device answered 4.04 Not Found: no such thing"
    );
    assert_eq!(document["coap_code"], "4.04");
    assert!(document["hint"].as_str().unwrap().contains("Discover"));
}

#[tokio::test]
async fn codes_of_devices_become_statuses() {
    for (class, detail, status) in [
        (4, 0, 400),
        (4, 1, 403),
        (4, 2, 502),
        (4, 3, 403),
        (4, 4, 404),
        (4, 5, 405),
        (4, 6, 406),
        (4, 8, 408),
        (4, 9, 409),
        (4, 12, 412),
        (4, 13, 413),
        (4, 15, 415),
        (4, 22, 422),
        (4, 29, 429),
        (4, 30, 502),
        (5, 0, 502),
        (5, 1, 502),
        (5, 3, 502),
        (5, 31, 502),
    ] {
        let (number, document) = document(Problem::from(refused(class, detail))).await;
        assert_eq!(number, status, "{class}.{detail:02}");
        assert_eq!(document["status"], status);
        assert_eq!(document["coap_code"], format!("{class}.{detail:02}"));
    }
}

#[tokio::test]
async fn every_error_has_its_word_and_status() {
    let encode = EncodeError::Format(ContentFormat::Text);
    let decode = DecodeError::Level {
        path: Path::object(3),
    };
    let version = RequestError::NotInVersion {
        version: Version::V1_0,
        operation: "Read-Composite",
    };
    for (error, word, status) in [
        (RequestError::NotAcknowledged, "device-silent", 504),
        (RequestError::NoResponse, "no-response", 504),
        (RequestError::Reset, "device-reset", 502),
        (
            RequestError::Protocol("x".to_owned()),
            "protocol-violation",
            502,
        ),
        (decode.into(), "undecodable-answer", 502),
        (RequestError::NotRegistered, "not-registered", 404),
        (
            RequestError::Invalid("x".to_owned()),
            "invalid-request",
            400,
        ),
        (
            RequestError::AgainstModel("x".to_owned()),
            "against-model",
            422,
        ),
        (version, "not-in-version", 422),
        (encode.into(), "unencodable", 400),
        (RequestError::NoObservation, "no-observation", 404),
        (RequestError::Asleep, "asleep", 504),
        (RequestError::Deadline, "deadline", 504),
        (RequestError::RegistrationEnded, "registration-ended", 410),
        (RequestError::QueueFull, "queue-full", 503),
        (
            RequestError::TooManyObservations { max: 256 },
            "too-many-observations",
            409,
        ),
        (RequestError::Overloaded, "overloaded", 503),
        (RequestError::ShuttingDown, "shutting-down", 503),
    ] {
        let detail = error.to_string();
        let problem = Problem::from(error);
        let retry = problem.retry_after_s;
        let (number, document) = document(problem).await;
        assert_eq!(number, status, "{word}");
        assert_eq!(document["type"], format!("urn:lwm2m:problem:{word}"));
        assert_eq!(document["detail"], detail);
        assert_eq!(document.get("coap_code"), None);
        assert_eq!(retry.is_some(), status == 503, "{word}");
    }
}

#[test]
fn overload_says_when_to_come_back() {
    let response = Problem::from(RequestError::Overloaded).into_response();
    assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "1");
    let response = Problem::from(refused(4, 5)).into_response();
    assert!(response.headers().contains_key(ALLOW));
}
