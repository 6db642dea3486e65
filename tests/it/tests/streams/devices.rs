//! What a device does over a connection, and over the next one.

use lwm2m_coap::{Code, OptionNumber};
use lwm2m_core::{Path, Record, Request, Value, WriteMode};
use lwm2m_server::{EventKind, RequestError, RequestOptions, Server};
use tokio::task::JoinHandle;

use super::peer::{Incoming, MESSAGE_MAX, Peer, server};
use crate::peer::event;
use crate::site::in_time;

fn name() -> Path {
    Path::resource(3, 0, 0)
}

fn text() -> Vec<(OptionNumber, Vec<u8>)> {
    vec![(OptionNumber::CONTENT_FORMAT, vec![])]
}

fn observed(sequence: u8) -> Vec<(OptionNumber, Vec<u8>)> {
    vec![
        (OptionNumber::OBSERVE, vec![sequence]),
        (OptionNumber::CONTENT_FORMAT, vec![]),
    ]
}

/// Reads the manufacturer, while the test plays the device.
fn read(server: &Server) -> JoinHandle<Result<String, RequestError>> {
    let device = server.device("a");
    tokio::spawn(async move {
        let response = device.read_path(name()).await?;
        Ok(String::from_utf8_lossy(&response.raw).into_owned())
    })
}

#[tokio::test]
async fn a_device_registers_is_read_observed_and_leaves() {
    let server = server(|_| {}).await;
    let uri = server.local_uris().remove(0);
    assert!(uri.starts_with("coap+tcp://127.0.0.1:"), "{uri}");
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=a").await;
    let registration = server.registration("a").await.expect("registered");
    assert_eq!(registration.peer, device.io.local_addr().expect("bound"));
    assert_eq!(server.statistics().connections, 1);

    let reading = read(&server);
    let request = device.next().await;
    assert_eq!(
        (request.code, request.path().as_str()),
        (Code::GET, "3/0/0")
    );
    device
        .answer(&request, Code::CONTENT, &text(), b"Acme")
        .await;
    assert_eq!(reading.await.expect("no panic").as_deref(), Ok("Acme"));

    let handle = server.device("a");
    let observing = tokio::spawn(async move { handle.observe_path(name()).await });
    let request = device.next().await;
    assert_eq!(request.uint(OptionNumber::OBSERVE), Some(0));
    device
        .answer(&request, Code::CONTENT, &observed(1), b"one")
        .await;
    let response = observing.await.expect("no panic").expect("observed");
    let id = response.observation.expect("it stands");
    for value in [b"two", b"tri"] {
        // The same number: a stream keeps the order.
        device
            .answer(&request, Code::CONTENT, &observed(1), value)
            .await;
        let values = event(&mut events, |event| match &event.kind {
            EventKind::Notification { id: of, values, .. } if *of == id => {
                Some(format!("{:?}", values.records))
            }
            _ => None,
        });
        let shown = String::from_utf8_lossy(value).into_owned();
        let mut values = values.await;
        while !values.contains(&shown) {
            values = event(&mut events, |event| match &event.kind {
                EventKind::Notification { values, .. } => Some(format!("{:?}", values.records)),
                _ => None,
            })
            .await;
        }
    }
    let cancelled = server
        .device("a")
        .cancel(id, lwm2m_server::CancelMode::Passive)
        .await;
    assert_eq!(cancelled, Ok(()));
    let cancel = device.next().await;
    assert_eq!(cancel.uint(OptionNumber::OBSERVE), Some(1));
    assert_eq!(cancel.token, request.token);
    device.answer(&cancel, Code::CONTENT, &text(), b"tri").await;

    assert_eq!(
        device.ask(Code::POST, &location, b"").await.code,
        Code::CHANGED
    );
    assert_eq!(
        device.ask(Code::DELETE, &location, b"").await.code,
        Code::DELETED
    );
    assert_eq!(server.registration("a").await, None);
    server.shutdown().await;
    assert_eq!(device.receive().await, None);
}

#[tokio::test]
async fn a_large_body_comes_and_goes_in_blocks_of_several_kib() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    device.register("ep=a").await;
    let large: Vec<u8> = (0..20_000u32).map(|at| (at / 3) as u8).collect();
    let path = Path::resource(5, 0, 0);
    let records = vec![Record::new(path, Value::Opaque(large.clone().into()))];
    let handle = server.device("a");
    let writing = tokio::spawn(async move {
        let request = Request::Write {
            path,
            mode: WriteMode::Replace,
            records,
            format: None,
        };
        let mut options = RequestOptions::default();
        options.unchecked = true;
        handle.send(request, options).await
    });
    let mut body = Vec::new();
    let mut messages = 0;
    loop {
        let part = device.next().await;
        let block = part.uint(OptionNumber::BLOCK1).expect("a block");
        assert_eq!((block & 7, block as usize >> 4), (7, body.len() / 1024));
        assert!(part.payload.len() < MESSAGE_MAX);
        body.extend_from_slice(&part.payload);
        messages += 1;
        let more = block & 8 != 0;
        let code = if more { Code::CONTINUE } else { Code::CHANGED };
        let echo = block.to_be_bytes()[2..].to_vec();
        let echo = vec![(OptionNumber::BLOCK1, echo)];
        device.answer(&part, code, &echo, b"").await;
        if !more {
            break;
        }
    }
    // Three blocks of 1024 bytes in each message.
    assert_eq!(messages, 7);
    assert!(body.windows(large.len()).any(|window| window == large));
    assert!(writing.await.expect("no panic").is_ok());

    let reading = read(&server);
    let value = "x".repeat(5000);
    let parts = value.as_bytes().chunks(2048);
    let count = parts.len();
    for (index, part) in parts.enumerate() {
        let request = device.next().await;
        let asked = request.uint(OptionNumber::BLOCK2);
        assert_eq!(
            asked.map(|block| block >> 4),
            (index > 0).then_some(2 * index as u32)
        );
        let more = u8::from(index + 1 < count);
        let block = (2 * index as u8) << 4 | more << 3 | 7;
        let mut options = text();
        options.push((OptionNumber::BLOCK2, vec![block]));
        device.answer(&request, Code::CONTENT, &options, part).await;
    }
    assert_eq!(reading.await.expect("no panic"), Ok(value));
}

#[tokio::test]
async fn a_registration_outlives_its_connection() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=a").await;
    // Each connection comes to whichever shard, and finds the registration where it is.
    for round in 0..12 {
        let handle = server.device("a");
        let observing = tokio::spawn(async move { handle.observe_path(name()).await });
        let request = device.next().await;
        device
            .answer(&request, Code::CONTENT, &observed(1), b"v")
            .await;
        assert!(observing.await.expect("no panic").is_ok(), "{round}");
        let under_way = read(&server);
        device.next().await;
        drop(device);
        assert_eq!(
            under_way.await.expect("no panic"),
            Err(RequestError::NotConnected),
            "{round}"
        );
        let reason = event(&mut events, |event| match &event.kind {
            EventKind::ObservationEnded { reason, .. } => Some(reason.code),
            _ => None,
        });
        assert_eq!(reason.await, "connection-ended");
        assert!(server.registration("a").await.is_some());
        let waiting = read(&server);
        device = Peer::new(&server).await;
        assert_eq!(
            device.ask(Code::POST, &location, b"").await.code,
            Code::CHANGED
        );
        let request = device.next().await;
        device
            .answer(&request, Code::CONTENT, &text(), b"back")
            .await;
        assert_eq!(waiting.await.expect("no panic").as_deref(), Ok("back"));
        let peer = server.registration("a").await.expect("registered").peer;
        assert_eq!(peer, device.io.local_addr().expect("bound"));
    }
}

#[tokio::test]
async fn a_device_takes_its_registration_to_another_connection_while_the_old_one_stands() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut old = Peer::new(&server).await;
    let location = old.register("ep=a").await;
    let handle = server.device("a");
    let observing = tokio::spawn(async move { handle.observe_path(name()).await });
    let request = old.next().await;
    old.answer(&request, Code::CONTENT, &observed(1), b"v")
        .await;
    observing.await.expect("no panic").expect("observed");

    let mut new = Peer::new(&server).await;
    assert_eq!(
        new.ask(Code::POST, &location, b"").await.code,
        Code::CHANGED
    );
    let ended = event(&mut events, |event| match &event.kind {
        EventKind::ObservationEnded { reason, .. } => Some(reason.code),
        _ => None,
    });
    assert_eq!(ended.await, "connection-ended");
    // The old connection is told, and can still be used.
    assert_eq!(old.next().await.uint(OptionNumber::OBSERVE), Some(1));
    assert_eq!(old.register("ep=b").await.split('/').count(), 2);
    let reading = read(&server);
    let request: Incoming = new.next().await;
    new.answer(&request, Code::CONTENT, &text(), b"new").await;
    assert_eq!(reading.await.expect("no panic").as_deref(), Ok("new"));
    // A Register over a third one replaces it.
    let mut third = Peer::new(&server).await;
    assert_ne!(third.register("ep=a").await, location);
    // The shard that had it may hear of it after the answer.
    let gone = async { while new.ask(Code::POST, &location, b"").await.code != Code::NOT_FOUND {} };
    in_time(gone).await;
}

#[tokio::test]
async fn what_waits_for_a_device_that_does_not_come_back_runs_out_of_time() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    device.register("ep=a").await;
    drop(device);
    let mut options = RequestOptions::default();
    options.timeout = Some(std::time::Duration::from_millis(300));
    let request = Request::Read {
        path: name(),
        accept: None,
    };
    let outcome = server.device("a").send(request, options).await;
    assert_eq!(outcome.err(), Some(RequestError::NotConnected));
}
