//! Devices that say what field notes tell, message by message.

use lwm2m_coap::{Code, MessageType, OptionNumber};
use lwm2m_core::{Path, Record, Request, WriteMode};
use lwm2m_server::{CancelMode, Device, EventKind, RequestError, RequestOptions, Response, Server};
use tokio::task::JoinHandle;

use crate::peer::{Incoming, Peer, event, server};
use crate::site::{execute, in_time, path, values};

async fn registered() -> (Server, Peer, Device) {
    let server = server(|_| {}).await;
    let mut peer = Peer::new(&server).await;
    peer.register("ep=a&lwm2m=1.1").await;
    let device = server.device("a");
    (server, peer, device)
}

fn ask(device: &Device, request: Request) -> JoinHandle<Result<Response, RequestError>> {
    let device = device.clone();
    tokio::spawn(async move { device.send(request, RequestOptions::default()).await })
}

fn read(at: &str) -> Request {
    crate::site::read(at)
}

fn lifetime(seconds: i32) -> Request {
    let path = Path::resource(1, 0, 1);
    Request::Write {
        path,
        mode: WriteMode::Replace,
        records: vec![Record::new(path, seconds)],
        format: None,
    }
}

async fn answered(
    task: JoinHandle<Result<Response, RequestError>>,
) -> Result<Response, RequestError> {
    in_time(task).await.expect("no panic")
}

/// Answers the next request with text.
async fn serve(peer: &Peer, text: &str) -> Incoming {
    let request = peer.receive().await;
    let answer = peer.answer(&request, Code::CONTENT).format(0).payload(text);
    peer.send(&answer.encode()).await;
    request
}

#[tokio::test]
async fn content_where_changed_is_due() {
    let (_server, peer, device) = registered().await;
    for request in [lifetime(60), execute("/1/0/8")] {
        let task = ask(&device, request);
        let request = peer.receive().await;
        let answer = peer.answer(&request, Code::CONTENT);
        peer.send(&answer.encode()).await;
        let response = answered(task).await.expect("a success all the same");
        assert_eq!(response.code, Code::CONTENT);
    }
    let task = ask(&device, read("/3/0/0"));
    serve(&peer, "x").await;
    assert_eq!(
        values(&answered(task).await.expect("it answers")),
        ["/3/0/0=x"]
    );
}

#[tokio::test]
async fn codes_that_no_operation_has() {
    let (_server, peer, device) = registered().await;
    for code in [Code::CHANGED, Code::VALID, Code::new(2, 31)] {
        let task = ask(&device, read("/3/0/0"));
        let request = peer.receive().await;
        peer.send(&peer.answer(&request, code).encode()).await;
        let outcome = answered(task).await;
        assert!(
            matches!(
                outcome,
                Err(RequestError::Protocol(_) | RequestError::Refused { .. })
            ),
            "{code:?}: {outcome:?}"
        );
    }
    // A code of class 7 makes no acknowledgement of it. Content without payload and format is an
    // empty value.
    let task = ask(&device, read("/3/0/0"));
    let request = peer.receive().await;
    let signal = peer.answer(&request, Code::new(7, 1));
    peer.send(&signal.encode()).await;
    peer.send(&peer.answer(&request, Code::CONTENT).encode())
        .await;
    assert_eq!(
        values(&answered(task).await.expect("it answers")),
        ["/3/0/0="]
    );
}

#[tokio::test]
async fn an_update_comes_before_the_answer_that_caused_it() {
    let (server, mut peer, device) = registered().await;
    let id = server.registration("a").await.expect("registered").id;
    let task = ask(&device, lifetime(60));
    let request = peer.receive().await;
    let update = peer.request(Code::POST, &format!("rd/{id}?lt=60"));
    peer.send(&update.encode()).await;
    let changed = peer.receive().await;
    assert_eq!(
        (changed.code, changed.message_id),
        (Code::CHANGED, update.message_id)
    );
    peer.send(&peer.answer(&request, Code::CHANGED).encode())
        .await;
    assert_eq!(answered(task).await.expect("changed").code, Code::CHANGED);
    let registration = server.registration("a").await.expect("registered");
    assert_eq!(registration.lifetime_s, 60);
}

#[tokio::test]
async fn observing_anew_changes_the_token() {
    let (server, peer, device) = registered().await;
    let mut events = server.events();
    let observe = || Request::Observe {
        path: path("/3/0/9"),
        attributes: Default::default(),
        accept: None,
    };
    let mut started = Vec::new();
    for text in ["50", "51"] {
        let task = ask(&device, observe());
        let mut request = peer.receive().await;
        if request.uint(OptionNumber::OBSERVE) == Some(1) {
            // The server ends the first before it starts the second.
            let answer = peer.answer(&request, Code::CONTENT);
            peer.send(&answer.encode()).await;
            request = peer.receive().await;
        }
        let answer = peer
            .answer(&request, Code::CONTENT)
            .option(OptionNumber::OBSERVE, [1])
            .format(0)
            .payload(text);
        peer.send(&answer.encode()).await;
        let response = answered(task).await.expect("it answers");
        started.push((request, response.observation.expect("it stands")));
    }
    assert_ne!(started[0].0.token, started[1].0.token);
    // The device has forgotten the first; only the second notifies.
    let (request, id) = &started[1];
    let mut notification = peer
        .answer(request, Code::CONTENT)
        .option(OptionNumber::OBSERVE, [2])
        .format(0)
        .payload("52");
    notification.message_type = MessageType::Confirmable;
    notification.message_id = 9000;
    peer.send(&notification.encode()).await;
    let ack = peer.receive().await;
    assert_eq!(
        (ack.message_type, ack.message_id),
        (MessageType::Acknowledgement, 9000)
    );
    let value = event(&mut events, |event| match &event.kind {
        EventKind::Notification {
            id: named, values, ..
        } if named == id => {
            let text = values.records[0].value.to_text().into_owned();
            (text == "52").then_some(text)
        }
        _ => None,
    });
    assert_eq!(value.await, "52");
}

#[tokio::test]
async fn a_cancellation_is_answered_by_an_empty_acknowledgement_only() {
    let soon = |config: &mut lwm2m_server::ServerConfig| {
        config.coap.response_timeout = std::time::Duration::from_millis(200);
    };
    let server = server(soon).await;
    let mut peer = Peer::new(&server).await;
    peer.register("ep=a&lwm2m=1.1").await;
    let device = server.device("a");
    let task = ask(
        &device,
        Request::Observe {
            path: path("/3/0/9"),
            attributes: Default::default(),
            accept: None,
        },
    );
    let request = peer.receive().await;
    let answer = peer
        .answer(&request, Code::CONTENT)
        .option(OptionNumber::OBSERVE, [1])
        .format(0)
        .payload("50");
    peer.send(&answer.encode()).await;
    let id = answered(task).await.expect("it answers").observation;
    let cancel = tokio::spawn({
        let device = device.clone();
        async move {
            device
                .cancel(id.expect("it stands"), CancelMode::Active)
                .await
        }
    });
    let request = peer.receive().await;
    assert_eq!(request.uint(OptionNumber::OBSERVE), Some(1));
    let mut ack = peer.answer(&request, Code::EMPTY);
    ack.token.clear();
    peer.send(&ack.encode()).await;
    let outcome = in_time(cancel).await.expect("no panic");
    assert_eq!(outcome, Err(RequestError::NoResponse));
    // It is over on our side, and the next request runs.
    assert_eq!(device.observations().await, Ok(Vec::new()));
    let task = ask(&device, read("/3/0/0"));
    serve(&peer, "x").await;
    assert!(answered(task).await.is_ok());
}

#[tokio::test]
async fn a_send_has_no_token() {
    let (server, mut peer, _device) = registered().await;
    let mut events = server.events();
    for message_type in [MessageType::Confirmable, MessageType::NonConfirmable] {
        let mut send = peer
            .request(Code::POST, "dp")
            .format(110)
            .payload(br#"[{"n":"/3/0/9","v":42}]"#);
        send.token.clear();
        send.message_type = message_type;
        peer.send(&send.encode()).await;
        let answer = peer.receive().await;
        assert_eq!((answer.code, answer.token.len()), (Code::CHANGED, 0));
        let value = event(&mut events, |event| match &event.kind {
            EventKind::Send { values } => Some(values.records[0].value.to_text().into_owned()),
            _ => None,
        });
        assert_eq!(value.await, "42");
    }
}

#[tokio::test]
async fn a_separate_response_overtakes_its_acknowledgement_and_comes_twice() {
    let (_server, peer, device) = registered().await;
    let task = ask(&device, read("/3/0/0"));
    let request = peer.receive().await;
    let mut response = peer.answer(&request, Code::CONTENT).format(0).payload("x");
    response.message_type = MessageType::Confirmable;
    response.message_id = 4000;
    for _ in 0..2 {
        peer.send(&response.encode()).await;
        let ack = peer.receive().await;
        assert_eq!(
            (ack.message_type, ack.message_id),
            (MessageType::Acknowledgement, 4000)
        );
    }
    let mut ack = peer.answer(&request, Code::EMPTY);
    ack.token.clear();
    peer.send(&ack.encode()).await;
    assert_eq!(
        values(&answered(task).await.expect("it answers")),
        ["/3/0/0=x"]
    );
    let task = ask(&device, read("/3/0/1"));
    serve(&peer, "y").await;
    assert_eq!(
        values(&answered(task).await.expect("it answers")),
        ["/3/0/1=y"]
    );
}

#[tokio::test]
async fn an_error_with_a_content_format_that_does_not_exist() {
    let (_server, peer, device) = registered().await;
    let task = ask(&device, read("/3/0/0"));
    let request = peer.receive().await;
    let answer = peer
        .answer(&request, Code::NOT_FOUND)
        .format(65535)
        .payload([0xff, 0, 1]);
    peer.send(&answer.encode()).await;
    let outcome = answered(task).await;
    assert!(
        matches!(
            outcome,
            Err(RequestError::Refused {
                code: Code::NOT_FOUND,
                ..
            })
        ),
        "{outcome:?}"
    );
}
