//! Observations.

use lwm2m_coap::{Code, MessageType, OptionNumber};
use lwm2m_core::{Path, Value};
use lwm2m_objects::device::BatteryLevel;
use lwm2m_server::{CancelMode, EventKind, ObservationError};

use crate::peer::{Peer, event, server};

#[tokio::test]
async fn an_observation_lives_from_request_to_cancel() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    device.register("ep=a&lwm2m=1.1").await;
    let handle = server.device("a");
    let path = Path::resource(3, 0, 9);
    let observe = tokio::spawn({
        let handle = handle.clone();
        async move { handle.observe_path(path).await }
    });
    let request = device.receive().await;
    assert_eq!(request.uint(OptionNumber::OBSERVE), Some(0));
    let first = device
        .answer(&request, Code::CONTENT)
        .option(OptionNumber::OBSERVE, [1])
        .format(0)
        .payload("50");
    device.send(&first.encode()).await;
    let response = observe.await.expect("no panic").expect("accepted");
    let id = response.observation.expect("it stands");

    for (sequence, text) in [(2, "51"), (3, "52")] {
        let mut notification = device
            .answer(&request, Code::CONTENT)
            .option(OptionNumber::OBSERVE, [sequence])
            .format(0)
            .payload(text);
        notification.message_type = MessageType::Confirmable;
        notification.message_id = 7000 + u16::from(sequence);
        device.send(&notification.encode()).await;
        let ack = device.receive().await;
        assert_eq!(
            (ack.code, ack.message_id),
            (Code::EMPTY, notification.message_id)
        );
    }
    let mut values = Vec::new();
    for _ in 0..3 {
        let value = event(&mut events, |event| match &event.kind {
            EventKind::Notification {
                id: named, values, ..
            } => {
                assert_eq!(*named, id);
                Some(values.records[0].value.clone())
            }
            _ => None,
        });
        values.push(value.await);
    }
    assert_eq!(values, [50, 51, 52].map(Value::Integer));
    let standing = handle.observations().await.expect("registered");
    assert_eq!((standing.len(), standing[0].notifications), (1, 2));

    let cancel = tokio::spawn({
        let handle = handle.clone();
        async move { handle.cancel(id, CancelMode::Active).await }
    });
    let request = device.receive().await;
    assert_eq!(request.uint(OptionNumber::OBSERVE), Some(1));
    device
        .send(&device.answer(&request, Code::CONTENT).encode())
        .await;
    assert_eq!(cancel.await.expect("no panic"), Ok(()));
    assert!(handle.observations().await.expect("registered").is_empty());
}

#[tokio::test]
async fn a_typed_observation_tells_of_what_it_cannot_read_and_goes_on() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    device.register("ep=a&lwm2m=1.1").await;
    let handle = server.device("a");
    let observe = tokio::spawn(async move { handle.observe::<BatteryLevel>().await });
    let request = device.receive().await;
    let answer = |sequence: u8, payload: &str| {
        let mut answer = device
            .answer(&request, Code::CONTENT)
            .option(OptionNumber::OBSERVE, [sequence])
            .format(110)
            .payload(payload);
        if sequence > 1 {
            answer.message_type = MessageType::Confirmable;
            answer.message_id = 7000 + u16::from(sequence);
        }
        answer.encode()
    };
    // The observation stands, although its first value is broken.
    device.send(&answer(1, "[{")).await;
    let mut levels = observe.await.expect("no panic").expect("it stands");
    assert!(levels.id().is_some());
    let broken = levels.next().await;
    assert!(matches!(
        broken,
        Some(Err(ObservationError::Undecodable(_)))
    ));
    device.send(&answer(2, r#"[{"n":"/3/0/9","v":51}]"#)).await;
    assert_eq!(device.receive().await.code, Code::EMPTY);
    assert_eq!(levels.next().await, Some(Ok(51)));
    device.send(&answer(3, "]")).await;
    assert_eq!(device.receive().await.code, Code::EMPTY);
    let broken = levels.next().await;
    assert!(matches!(
        broken,
        Some(Err(ObservationError::Undecodable(_)))
    ));
    server.shutdown().await;
    assert_eq!(levels.next().await, None);
}
