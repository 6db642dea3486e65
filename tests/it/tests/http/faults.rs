//! What goes wrong is a problem document, whatever it is.

use std::time::Duration;

use lwm2m_coap::Code;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::api::{serve, setup, setup_with};
use crate::peer::event;

#[tokio::test]
async fn nonsense_is_refused_with_the_reason() {
    let (_server, api, _device) = setup("1.1").await;
    let a = "/api/v1/clients/a";
    let long = format!("/api/v1/clients/{}", "x".repeat(256));
    for (method, path, body, status, word) in [
        ("GET", "/", "", 404, "unknown-route"),
        ("GET", "/api/v1", "", 404, "unknown-route"),
        ("GET", "/api/v1/client", "", 404, "unknown-route"),
        ("GET", &format!("{a}/objects/"), "", 404, "unknown-route"),
        (
            "GET",
            "/api/v1/clients//objects/3",
            "",
            400,
            "invalid-endpoint",
        ),
        ("PATCH", a, "", 405, "method-not-allowed"),
        ("POST", "/api/v1/status", "", 405, "method-not-allowed"),
        (
            "GET",
            &format!("{a}/execute/3/0/4"),
            "",
            405,
            "method-not-allowed",
        ),
        ("BREW", a, "", 405, "method-not-allowed"),
        ("GET", &long, "", 400, "invalid-endpoint"),
        ("GET", "/api/v1/clients/%ff", "", 400, "invalid-path"),
        ("GET", "/api/v1/clients/%zz", "", 404, "not-registered"),
        ("GET", "/api/v1/clients/b", "", 404, "not-registered"),
        (
            "GET",
            "/api/v1/clients/b/objects/3",
            "",
            404,
            "not-registered",
        ),
        (
            "GET",
            "/api/v1/clients/b/observations",
            "",
            404,
            "not-registered",
        ),
        ("GET", &format!("{a}/objects/3/0/"), "", 400, "invalid-path"),
        ("GET", &format!("{a}/objects/3//0"), "", 400, "invalid-path"),
        ("GET", &format!("{a}/objects/x"), "", 400, "invalid-path"),
        ("GET", &format!("{a}/objects/03"), "", 400, "invalid-path"),
        ("GET", &format!("{a}/objects/-1"), "", 400, "invalid-path"),
        (
            "GET",
            &format!("{a}/objects/65535"),
            "",
            400,
            "invalid-path",
        ),
        (
            "GET",
            &format!("{a}/objects/1/2/3/4/5"),
            "",
            400,
            "invalid-path",
        ),
        ("GET", &format!("{a}/objects/%ff"), "", 400, "invalid-path"),
        ("GET", "/api/v1/objects/x", "", 400, "invalid-path"),
        (
            "DELETE",
            &format!("{a}/observations/x"),
            "",
            400,
            "invalid-path",
        ),
        (
            "DELETE",
            &format!("{a}/observations/9"),
            "",
            404,
            "no-observation",
        ),
        ("GET", &format!("{a}?x=1"), "", 400, "invalid-parameter"),
        (
            "GET",
            &format!("{a}/objects/3?format=xml"),
            "",
            400,
            "invalid-parameter",
        ),
        (
            "GET",
            &format!("{a}/objects/3?format=%ff"),
            "",
            400,
            "invalid-parameter",
        ),
        (
            "GET",
            &format!("{a}/objects/3?timeout_s=0"),
            "",
            400,
            "invalid-parameter",
        ),
        (
            "GET",
            &format!("{a}/discover/3?depth=many"),
            "",
            400,
            "invalid-parameter",
        ),
        (
            "GET",
            "/api/v1/clients?limit=0",
            "",
            400,
            "invalid-parameter",
        ),
        (
            "GET",
            "/api/v1/clients?limit=1001",
            "",
            400,
            "invalid-parameter",
        ),
        ("GET", "/api/v1/events?x", "", 400, "invalid-parameter"),
        (
            "PUT",
            &format!("{a}/attributes/3?pmin=x"),
            "",
            400,
            "invalid-parameter",
        ),
        (
            "PUT",
            &format!("{a}/attributes/3?colour=red"),
            "",
            400,
            "invalid-parameter",
        ),
        (
            "PUT",
            &format!("{a}/attributes/3"),
            "",
            400,
            "invalid-request",
        ),
        (
            "PUT",
            &format!("{a}/objects/3/0/14"),
            "",
            400,
            "invalid-body",
        ),
        (
            "PUT",
            &format!("{a}/objects/3/0/14"),
            "{",
            400,
            "invalid-body",
        ),
        (
            "PUT",
            &format!("{a}/objects/3/0/14"),
            "[]",
            400,
            "invalid-body",
        ),
        (
            "PUT",
            &format!("{a}/objects/3/0/14"),
            "\"x\"",
            400,
            "invalid-body",
        ),
        (
            "PUT",
            &format!("{a}/objects/3/0/14"),
            r#"{"v":1}"#,
            400,
            "invalid-body",
        ),
        (
            "PUT",
            &format!("{a}/objects/3/0/14"),
            r#"{"value":1}"#,
            400,
            "invalid-value",
        ),
        (
            "PUT",
            &format!("{a}/objects/3"),
            r#"{"values":{"0/14":"x"}}"#,
            400,
            "invalid-request",
        ),
        (
            "POST",
            &format!("{a}/execute/3/0/4"),
            r#"{"arguments":"x"}"#,
            400,
            "invalid-value",
        ),
        (
            "POST",
            &format!("{a}/execute/3/0/9"),
            "",
            422,
            "against-model",
        ),
        (
            "POST",
            &format!("{a}/create/16/0/0"),
            "{}",
            400,
            "invalid-path",
        ),
        (
            "POST",
            &format!("{a}/create/16?instance=9"),
            "{}",
            400,
            "invalid-parameter",
        ),
        ("POST", &format!("{a}/create/3"), "{}", 422, "against-model"),
        (
            "POST",
            &format!("{a}/composite/read"),
            "{}",
            400,
            "invalid-body",
        ),
        (
            "POST",
            &format!("{a}/composite/read"),
            r#"{"paths":["3"]}"#,
            400,
            "invalid-path",
        ),
        (
            "POST",
            &format!("{a}/composite/read"),
            r#"{"paths":[]}"#,
            400,
            "invalid-request",
        ),
        (
            "POST",
            &format!("{a}/composite/write"),
            r#"{"values":{}}"#,
            400,
            "invalid-request",
        ),
        (
            "POST",
            &format!("{a}/observations"),
            "{}",
            400,
            "invalid-body",
        ),
        (
            "POST",
            &format!("{a}/observations"),
            r#"{"path":"/3/0/9","attributes":{"pmin":5}}"#,
            422,
            "not-in-version",
        ),
        (
            "GET",
            &format!("{a}/discover/3?depth=1"),
            "",
            422,
            "not-in-version",
        ),
        (
            "DELETE",
            &format!("{a}/objects/3/0"),
            "",
            422,
            "against-model",
        ),
    ] {
        let reply = api.call(method, path, body).await;
        let found = (reply.status, reply.problem());
        assert_eq!(found, (status, word), "{method} {path} {body}");
    }
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let (_server, api, device) = setup("1.1").await;
    let path = "/api/v1/clients/a/objects/3/0/14";
    let body = |size: usize| {
        let text = "x".repeat(size - r#"{"value":""}"#.len());
        format!(r#"{{"value":"{text}"}}"#)
    };
    let reply = api
        .call("PUT", path, &body(lwm2m_admin::BODY_MAX + 1))
        .await;
    assert_eq!((reply.status, reply.problem()), (413, "body-too-large"));
    // What fits is sent, block by block; the device has enough after the first.
    let reply = api.start("PUT", path, &body(lwm2m_admin::BODY_MAX));
    serve(&device, |mut answer| {
        answer.code = Code::REQUEST_ENTITY_TOO_LARGE;
        answer
    })
    .await;
    let reply = reply.await.expect("no panic");
    assert_eq!(reply.body["coap_code"], "4.13");
}

#[tokio::test]
async fn a_device_that_refuses_is_quoted() {
    let (_server, api, device) = setup("1.1").await;
    for (code, status, number) in [
        (Code::NOT_FOUND, 404, "4.04"),
        (Code::UNAUTHORIZED, 403, "4.01"),
        (Code::INTERNAL_SERVER_ERROR, 502, "5.00"),
    ] {
        let reply = api.start("GET", "/api/v1/clients/a/objects/3/0/99", "");
        serve(&device, |mut answer| {
            answer.code = code;
            answer.payload("not here")
        })
        .await;
        let reply = reply.await.expect("no panic");
        assert_eq!((reply.status, reply.problem()), (status, "device-refused"));
        assert_eq!(reply.body["coap_code"], number);
        let detail = reply.body["detail"].as_str().unwrap();
        assert!(detail.ends_with(": not here"), "{detail}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_the_protocol_is_a_bad_gateway() {
    let (_server, api, device) = setup("1.1").await;
    for (code, format, payload, word) in [
        (Code::CHANGED, 0, "87", "protocol-violation"),
        (Code::CONTENT, 50, "87", "protocol-violation"),
        (Code::CONTENT, 110, "[{", "undecodable-answer"),
    ] {
        let reply = api.start("GET", "/api/v1/clients/a/objects/3/0/9", "");
        serve(&device, |mut answer| {
            answer.code = code;
            answer.format(format).payload(payload)
        })
        .await;
        let reply = reply.await.expect("no panic");
        assert_eq!((reply.status, reply.problem()), (502, word));
    }
}

#[tokio::test]
async fn a_web_page_of_another_origin_changes_nothing() {
    let (_server, api, _device) = setup("1.1").await;
    let call = |origin: String| {
        let url = format!("http://{}/api/v1/clients/b/execute/3/0/4", api.address);
        tokio::task::spawn_blocking(move || {
            let config = ureq::Agent::config_builder().http_status_as_error(false);
            let agent: ureq::Agent = config.build().into();
            let request = agent.post(&url).header("origin", origin);
            request.send_empty().expect("an answer").status().as_u16()
        })
    };
    let foreign = call("http://evil.example".to_owned());
    assert_eq!(foreign.await.expect("no panic"), 403);
    let own = call(format!("http://{}", api.address));
    assert_eq!(own.await.expect("no panic"), 404);
}

#[tokio::test]
async fn a_request_ends_with_its_caller() {
    // One request fills the queue of the sleeping device.
    let (server, api, mut device) = setup_with("1.1", |config| {
        config.awake_time = Duration::from_millis(1);
        config.limits.device_queue_max = 1;
    })
    .await;
    let mut events = server.events();
    device.register("ep=a&lt=300&lwm2m=1.1&b=U&Q").await;
    event(&mut events, |event| {
        matches!(event.kind, lwm2m_server::EventKind::Asleep).then_some(())
    })
    .await;
    let path = "/api/v1/clients/a/objects/3/0/0?timeout_s=0.02";
    let outcome = async |word: &str| {
        let search = async {
            loop {
                let reply = api.get(path).await;
                if reply.problem() == word {
                    return reply;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), search)
            .await
            .expect("it comes to that")
    };
    // Our own tries take the only place now and then, so that the other caller is turned away.
    let (caller, full) = loop {
        let mut caller = TcpStream::connect(api.address).await.expect("a connection");
        caller
            .write_all(b"GET /api/v1/clients/a/objects/3/0/9 HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .expect("written");
        tokio::select! {
            readable = caller.readable() => readable.expect("an open connection"),
            full = outcome("queue-full") => break (caller, full),
        }
    };
    assert_eq!((full.status, full.retry_after.as_str()), (503, "10"));
    drop(caller);
    let room = outcome("asleep").await;
    assert_eq!(room.status, 504);
}
