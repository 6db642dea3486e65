//! What callers may take of the server: connections, streams, time.

use std::time::Duration;

use lwm2m_admin::HttpLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::api::Api;
use crate::peer::server;

const STATUS: &[u8] = b"GET /api/v1/status HTTP/1.1\r\nhost: a\r\n\r\n";
const EVENTS: &[u8] = b"GET /api/v1/events HTTP/1.1\r\nhost: a\r\n\r\n";

fn limits(change: impl FnOnce(&mut HttpLimits)) -> HttpLimits {
    let mut limits = HttpLimits::default();
    change(&mut limits);
    limits
}

async fn api(limits: HttpLimits) -> (lwm2m_server::Server, Api) {
    let server = server(|_| {}).await;
    let api = Api::with(&server, limits).await;
    (server, api)
}

/// A caller that writes bytes of its own.
async fn caller(api: &Api, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(api.address).await.expect("connected");
    stream.write_all(bytes).await.expect("written");
    stream
}

/// The first bytes of the answer.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 256];
    let count = stream.read(&mut bytes).await.expect("an answer");
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_a_place_comes_free() {
    let (_server, api) = api(limits(|limits| limits.connections_max = 2)).await;
    let mut first = caller(&api, STATUS).await;
    let mut second = caller(&api, STATUS).await;
    assert!(head(&mut first).await.starts_with("HTTP/1.1 200"));
    assert!(head(&mut second).await.starts_with("HTTP/1.1 200"));
    let mut third = TcpStream::connect(api.address).await.expect("connected");
    assert!(head(&mut third).await.starts_with("HTTP/1.1 503"));
    drop(first);
    // The server notices the end of a connection a moment later.
    loop {
        let mut again = TcpStream::connect(api.address).await.expect("connected");
        if again.write_all(STATUS).await.is_err() {
            continue;
        }
        let mut bytes = [0; 16];
        match again.read(&mut bytes).await {
            Ok(count) if bytes[..count].starts_with(b"HTTP/1.1 200") => break,
            _ => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn one_stream_too_many_is_told_so_and_a_place_comes_free() {
    let (_server, api) = api(limits(|limits| limits.event_streams_max = 1)).await;
    let mut first = caller(&api, EVENTS).await;
    assert!(head(&mut first).await.starts_with("HTTP/1.1 200"));
    let refused = api.call("GET", "/api/v1/events", "").await;
    assert_eq!(refused.problem(), "too-many-streams");
    assert_eq!((refused.status, refused.retry_after.as_str()), (503, "10"));
    drop(first);
    loop {
        let mut again = caller(&api, EVENTS).await;
        if head(&mut again).await.starts_with("HTTP/1.1 200") {
            break;
        }
    }
}

#[tokio::test]
async fn who_does_not_finish_a_head_is_closed() {
    let limits = limits(|limits| limits.header_timeout = Duration::from_millis(200));
    let (_server, api) = api(limits).await;
    let mut slow = caller(&api, &STATUS[..20]).await;
    let mut rest = Vec::new();
    // Closed with or without a word; a server that waits for ever fails this test by hanging.
    let _ = slow.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
    let mut idle = caller(&api, STATUS).await;
    let _ = idle.read_to_end(&mut rest).await;
    assert!(rest.starts_with(b"HTTP/1.1 200"), "answered, then closed");
}

#[tokio::test]
async fn who_does_not_finish_a_body_is_refused() {
    let limits = limits(|limits| limits.body_timeout = Duration::from_millis(200));
    let (_server, api) = api(limits).await;
    let request = b"POST /api/v1/clients/a/composite/read HTTP/1.1\r\nhost: a\r\n\
        content-type: application/json\r\ncontent-length: 50\r\n\r\n{\"paths\":";
    let mut slow = caller(&api, request).await;
    let answer = head(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}
