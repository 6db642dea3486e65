//! Replace, intercept, subscribe.

pub(crate) mod credentials;
mod deciding;
mod devices;

use std::sync::{Arc, mpsc};

use lwm2m_coap::Code;
use lwm2m_core::{Path, Value};
use lwm2m_server::hooks::{Batch, Outcome};
use lwm2m_server::{
    Annotations, Answer, Authorizer, Content, Decision, EventKind, Interceptor, Listener, Reason,
    Refusal, Registration, RegistrationRequest, Server, StartError,
};

use crate::peer::{OBJECTS, Peer, event, refusal};

struct OnlyMeters;

impl Authorizer for OnlyMeters {
    fn authorize(&self, request: &RegistrationRequest<'_>) -> Result<(), Refusal> {
        if request.endpoint.as_str().starts_with("meter") {
            return Ok(());
        }
        Err(Refusal {
            code: Code::FORBIDDEN,
            reason: Reason::new("no-meter", "only meters").hint("call it meter-N"),
        })
    }
}

struct Tenant;

impl Interceptor for Tenant {
    fn on_register(&self, registration: &Arc<Registration>) -> Answer<Decision> {
        Answer::Now(match registration.endpoint.as_str() {
            "meter-cursed" => panic!("a bug in an extension"),
            "meter-stolen" => Decision::Reject(Refusal {
                code: Code::BAD_REQUEST,
                reason: Reason::new("stolen", "reported stolen"),
            }),
            _ => Decision::Annotate(Annotations::fact("tenant", "north")),
        })
    }

    fn transform(&self, batch: &Arc<Batch>) -> Answer<Outcome> {
        assert_eq!(batch.annotations[0].1, "north");
        let mut records = batch.records.clone();
        for record in &mut records {
            if let Value::Integer(number) = record.value {
                record.value = Value::Integer(number * 2);
            }
        }
        Answer::Now(Outcome::Replace(records))
    }
}

#[tokio::test]
async fn hooks_are_called_in_their_order() {
    let (heard, hears) = mpsc::channel();
    let server = Server::builder()
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .authorizer(OnlyMeters)
        .intercept(Tenant)
        .on(move |event| {
            if let EventKind::Registered { registration, .. } = &event.kind {
                let _ = heard.send(registration.endpoint.to_string());
            }
        })
        .start()
        .await
        .expect("the server starts");
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    for (name, code, reason) in [
        ("stranger", Code::FORBIDDEN, "no-meter"),
        ("meter-stolen", Code::BAD_REQUEST, "stolen"),
        (
            "meter-cursed",
            Code::INTERNAL_SERVER_ERROR,
            "extension-panicked",
        ),
    ] {
        let request = device
            .request(Code::POST, &format!("rd?ep={name}"))
            .payload(OBJECTS);
        assert_eq!(device.exchange(request).await.code, code);
        assert_eq!(refusal(&mut events).await, (code, reason));
    }
    device.register("ep=meter-1&lwm2m=1.1").await;
    let first = tokio::task::spawn_blocking(move || hears.recv());
    assert_eq!(first.await.expect("no panic").expect("heard"), "meter-1");

    let handle = server.device("meter-1");
    let read = tokio::spawn(async move { handle.read_path(Path::resource(3, 0, 9)).await });
    let request = device.receive().await;
    let answer = device
        .answer(&request, Code::CONTENT)
        .format(0)
        .payload("21");
    device.send(&answer.encode()).await;
    let response = read.await.expect("no panic").expect("an answer");
    let Content::Values(values) = response.content else {
        panic!("values");
    };
    assert_eq!(values.records[0].value, Value::Integer(42));

    let send = device
        .request(Code::POST, "dp")
        .format(110)
        .payload(r#"[{"n":"/3/0/9","v":4}]"#);
    assert_eq!(device.exchange(send).await.code, Code::CHANGED);
    let values = event(&mut events, |event| match &event.kind {
        EventKind::Send { values } => Some(values.clone()),
        _ => None,
    });
    assert_eq!(values.await.records[0].value, Value::Integer(8));
}

#[tokio::test]
async fn a_server_without_a_listener_does_not_start() {
    let started = Server::builder().start().await;
    assert!(matches!(started, Err(StartError::NoListener)));
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_server() {
    let server = Server::builder()
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
        .start()
        .await
        .expect("the server starts");
    let mut events = server.events();
    let device = server.device("a");
    drop(server);
    assert!(device.observations().await.is_err());
    drop(device);
    assert!(events.next().await.is_none());
}
