//! Requests to devices.

use lwm2m_coap::Code;
use lwm2m_core::{Path, Value, WriteMode};
use lwm2m_server::{Content, RequestError};

use crate::peer::{Peer, poll_once, server};

#[tokio::test]
async fn an_application_reads_a_resource() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    device.register("ep=a&lt=300&lwm2m=1.1&b=U").await;
    let handle = server.device("a");
    let read = tokio::spawn(async move { handle.read_path(Path::resource(3, 0, 9)).await });
    let request = device.receive().await;
    assert_eq!(
        (request.code, request.path().as_str()),
        (Code::GET, "3/0/9")
    );
    let answer = device
        .answer(&request, Code::CONTENT)
        .format(0)
        .payload("87");
    device.send(&answer.encode()).await;
    let response = read.await.expect("no panic").expect("an answer");
    let Content::Values(values) = response.content else {
        panic!("values");
    };
    assert_eq!(values.records[0].value, Value::Integer(87));
}

#[tokio::test]
async fn writes_and_reads_of_many_callers_go_one_at_a_time() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    device.register("ep=a&lt=300&lwm2m=1.1&b=U").await;
    let callers: Vec<_> = (0..20)
        .map(|number| {
            let handle = server.device("a");
            let records = vec![lwm2m_core::Record::new(
                Path::resource(1, 0, 1),
                60 + number,
            )];
            tokio::spawn(async move {
                handle
                    .write_path(Path::resource(1, 0, 1), WriteMode::Replace, records)
                    .await
            })
        })
        .collect();
    for _ in 0..20 {
        let request = device.receive().await;
        assert_eq!(request.code, Code::PUT);
        let mut nothing = [0; 16];
        assert!(
            device.socket.try_recv(&mut nothing).is_err(),
            "one at a time"
        );
        device
            .send(&device.answer(&request, Code::CHANGED).encode())
            .await;
    }
    for caller in callers {
        assert!(caller.await.expect("no panic").is_ok());
    }
}

#[tokio::test]
async fn a_device_that_is_not_there_is_said_so() {
    let server = server(|_| {}).await;
    let read = server.device("nobody").read_path(Path::object(3)).await;
    assert_eq!(read, Err(RequestError::NotRegistered));
    let read = server.device("").read_path(Path::object(3)).await;
    assert_eq!(read, Err(RequestError::NotRegistered));
}

#[tokio::test]
async fn a_dropped_future_withdraws_a_request_that_waits() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    device.register("ep=a&lwm2m=1.1").await;
    let handle = server.device("a");
    let first = tokio::spawn({
        let handle = handle.clone();
        async move { handle.read_path(Path::resource(3, 0, 0)).await }
    });
    let request = device.receive().await;
    let mut waiting = Box::pin(handle.read_path(Path::resource(3, 0, 1)));
    assert!(poll_once(&mut waiting).await.is_none());
    drop(waiting);
    let last = tokio::spawn(async move { handle.read_path(Path::resource(3, 0, 2)).await });
    let answer = device
        .answer(&request, Code::CONTENT)
        .format(0)
        .payload("x");
    device.send(&answer.encode()).await;
    assert!(first.await.expect("no panic").is_ok());
    let request = device.receive().await;
    assert_eq!(request.path(), "3/0/2");
    let answer = device
        .answer(&request, Code::CONTENT)
        .format(0)
        .payload("x");
    device.send(&answer.encode()).await;
    assert!(last.await.expect("no panic").is_ok());
}

#[tokio::test]
async fn stopping_fails_what_waits() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    device.register("ep=a&lwm2m=1.1").await;
    let mut events = server.events();
    let (one, two) = (server.device("a"), server.device("a"));
    let on_its_way = tokio::spawn(async move { one.read_path(Path::resource(3, 0, 0)).await });
    device.receive().await;
    let waiting = tokio::spawn(async move { two.read_path(Path::resource(3, 0, 1)).await });
    let late = server.device("a");
    server.shutdown().await;
    for read in [on_its_way, waiting] {
        assert_eq!(
            read.await.expect("no panic"),
            Err(RequestError::ShuttingDown)
        );
    }
    assert!(events.next().await.is_none());
    let read = late.read_path(Path::resource(3, 0, 0)).await;
    assert_eq!(read, Err(RequestError::ShuttingDown));
}
