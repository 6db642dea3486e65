//! Callers of the HTTP API that mean harm.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::random::Random;
use crate::http::api::Api;
use crate::site::{Site, V1_1, in_time};

/// Sends bytes, and gives all that comes back until the server closes.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // A server that has seen enough closes early.
    let _ = stream.write_all(request).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = in_time(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// An answer is a success, a problem document, or the word of the HTTP library without a body; a
/// connection may also close without any.
fn judge(answer: &str, request: &str) {
    let Some(rest) = answer.strip_prefix("HTTP/1.1 ") else {
        assert_eq!(answer, "", "{request}");
        return;
    };
    let (head, body) = rest.split_once("\r\n\r\n").expect("a head");
    let status: u16 = head[..3].parse().expect("a status");
    assert_ne!(status, 500, "{request}: {answer}");
    if status >= 400 && !body.is_empty() {
        let problem = head.contains("content-type: application/problem+json");
        assert!(problem, "{request}: {answer}");
        assert!(body.contains("urn:lwm2m:problem:"), "{request}: {answer}");
    }
}

async fn works(site: &Site, api: &Api) {
    let reply = api.get("/api/v1/clients/a/objects/3/0/16").await.ok();
    assert_eq!(reply["values"][0]["value"], "U");
    assert_eq!(site.value("/3/0/16").await, "U");
}

#[tokio::test]
async fn random_requests() {
    const METHODS: [&str; 7] = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "BREW"];
    const SEGMENTS: [&str; 27] = [
        "clients",
        "a",
        "b",
        "objects",
        "3",
        "0",
        "16",
        "1",
        "65535",
        "65536",
        "-1",
        "composite",
        "read",
        "write",
        "observations",
        "discover",
        "attributes",
        "execute",
        "create",
        "status",
        "%2f",
        "%ff",
        "%zz",
        "%",
        "..",
        "",
        "%00",
    ];
    const QUERIES: [&str; 12] = [
        "",
        "?",
        "?timeout_s=1",
        "?timeout_s=1e400",
        "?timeout_s=-1",
        "?format=tlv",
        "?unchecked=true",
        "?pmin=1&pmin=2",
        "?depth=99999999999999999999",
        "?%ff=%ff",
        "?limit=0&after=%00",
        "?mode=x",
    ];
    const BODIES: [&str; 12] = [
        "",
        "{}",
        "[]",
        "null",
        "{\"value\":",
        "{\"value\":1e999}",
        "{\"value\":\"\\ud800\"}",
        "{\"values\":{\"0/0\":1}}",
        "{\"paths\":[\"/\",\"/3\"]}",
        "{\"path\":\"/3/0/16\"}",
        "{\"arguments\":\"0='x'\"}",
        "{\"values\":{\"\":null}}",
    ];
    let site = Site::open(V1_1, |device| device).await;
    let api = Api::of(&site.server).await;
    let mut random = Random::new(4711);
    for number in 0..600 {
        let mut path = String::from("/api/v1");
        if random.below(2) == 0 {
            path.push_str("/clients/a");
        }
        for _ in 0..random.below(6) {
            path.push('/');
            path.push_str(SEGMENTS[random.below(SEGMENTS.len())]);
        }
        path.push_str(QUERIES[random.below(QUERIES.len())]);
        let body = match random.below(3) {
            0 => random.bytes(40),
            _ => random.pick(&BODIES).as_bytes().to_vec(),
        };
        let method = random.pick(&METHODS);
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        let request = [head.as_bytes(), &body].concat();
        let mut stream = TcpStream::connect(api.address).await.expect("a connection");
        stream.write_all(&request).await.expect("written");
        let mut answer = Vec::new();
        in_time(stream.read_to_end(&mut answer))
            .await
            .expect("closed");
        // A handler that panics would close the connection without a word.
        assert!(answer.starts_with(b"HTTP/1.1 "), "{head}");
        judge(&String::from_utf8_lossy(&answer), &head);
        if number % 100 == 0 {
            in_time(site.device.wait_registered())
                .await
                .expect("it comes back");
        }
    }
    in_time(site.device.wait_registered())
        .await
        .expect("it comes back");
}

#[tokio::test]
async fn bytes_that_are_no_http() {
    let site = Site::open(V1_1, |device| device).await;
    let api = Api::of(&site.server).await;
    let mut random = Random::new(815);
    let huge = format!(
        "GET /api/v1/status HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    let many: String = (0..5000).map(|n| format!("x{n}: y\r\n")).collect();
    let many = format!("GET /api/v1/status HTTP/1.1\r\n{many}\r\n");
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(1 << 20));
    for request in [
        huge.as_str(),
        &many,
        &long,
        "\r\n\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET /api/v1/clients/\u{0}/ HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /api/v1/clients/a/composite/read HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        "POST /api/v1/clients/a/composite/read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        "POST /api/v1/clients/a/composite/read HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = raw(api.address, request.as_bytes()).await;
        judge(&answer, &request[..request.len().min(80)]);
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    for _ in 0..100 {
        let bytes = random.bytes(200);
        let answer = raw(api.address, &bytes).await;
        judge(&answer, &format!("{bytes:02x?}"));
    }
    works(&site, &api).await;
}

#[tokio::test]
async fn a_body_of_one_byte_too_many_is_refused_everywhere() {
    let site = Site::open(V1_1, |device| device).await;
    let api = Api::of(&site.server).await;
    let body = "x".repeat(lwm2m_admin::BODY_MAX + 1);
    for (method, path) in [
        ("PUT", "objects/3/0/14"),
        ("POST", "objects/3/0"),
        ("POST", "execute/3/0/4"),
        ("POST", "create/16"),
        ("POST", "composite/read"),
        ("POST", "composite/write"),
        ("POST", "observations"),
    ] {
        let path = format!("/api/v1/clients/a/{path}");
        let reply = api.call(method, &path, &body).await;
        assert_eq!(
            (reply.status, reply.problem()),
            (413, "body-too-large"),
            "{path}"
        );
    }
    works(&site, &api).await;
}

#[tokio::test]
async fn half_open_connections_hold_nobody_up() {
    let site = Site::open(V1_1, |device| device).await;
    let api = Api::of(&site.server).await;
    let mut waiting = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(api.address).await.expect("a connection");
        let part: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET /api/v1/sta",
            _ => b"PUT /api/v1/clients/a/objects/3/0/14 HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{",
        };
        stream.write_all(part).await.expect("written");
        waiting.push(stream);
    }
    works(&site, &api).await;
    drop(waiting);
    works(&site, &api).await;
}
