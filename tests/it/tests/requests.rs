//! Requests to devices.

use lwm2m_coap::Code;
use lwm2m_core::{Path, Value};
use lwm2m_server::{Content, RequestError};

use crate::peer::{Peer, server};

#[tokio::test]
async fn an_application_reads_a_resource() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    device.register("ep=a&lt=300&lwm2m=1.1&b=U").await;
    let handle = server.device("a");
    let read = tokio::spawn(async move { handle.read(Path::resource(3, 0, 9)).await });
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
async fn a_device_that_is_not_there_is_said_so() {
    let server = server(|_| {}).await;
    let read = server.device("nobody").read(Path::object(3)).await;
    assert_eq!(read, Err(RequestError::NotRegistered));
    let read = server.device("").read(Path::object(3)).await;
    assert_eq!(read, Err(RequestError::NotRegistered));
}
