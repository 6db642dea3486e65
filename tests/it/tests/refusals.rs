//! What the server does not take, and what it says about it.

use lwm2m_coap::Code;

use crate::peer::{OBJECTS, Peer, refusal, server};

#[tokio::test]
async fn n9_n10_n11_bad_parameters_are_refused_with_reason() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    let long = format!("ep={}", "x".repeat(256));
    let many = (0..17).fold("ep=a".to_owned(), |query, n| format!("{query}&x{n}=1"));
    for (query, code, reason) in [
        ("lt=60", Code::BAD_REQUEST, "endpoint-missing"),
        ("ep=", Code::BAD_REQUEST, "endpoint-missing"),
        ("ep=a&lt=-1", Code::BAD_REQUEST, "lifetime-malformed"),
        (
            "ep=a&lt=99999999999",
            Code::BAD_REQUEST,
            "lifetime-malformed",
        ),
        ("ep=a&lt=abc", Code::BAD_REQUEST, "lifetime-malformed"),
        ("ep=a&lt=", Code::BAD_REQUEST, "lifetime-malformed"),
        ("ep=a&lt=1&lt=1", Code::BAD_REQUEST, "parameter-twice"),
        ("ep=a&x=1&x=1", Code::BAD_REQUEST, "parameter-twice"),
        (
            "ep=a&lwm2m=1.3",
            Code::PRECONDITION_FAILED,
            "version-unsupported",
        ),
        (
            "ep=a&lwm2m=2.0",
            Code::PRECONDITION_FAILED,
            "version-unsupported",
        ),
        ("ep=a&lwm2m=1", Code::BAD_REQUEST, "version-malformed"),
        ("ep=a&lwm2m=1.1.1", Code::BAD_REQUEST, "version-malformed"),
        ("ep=a&Q=maybe", Code::BAD_REQUEST, "queue-mode-malformed"),
        (&many, Code::BAD_REQUEST, "parameters-too-many"),
    ] {
        let request = device
            .request(Code::POST, &format!("rd?{query}"))
            .payload(OBJECTS);
        assert_eq!(device.exchange(request).await.code, code, "{query}");
        assert_eq!(refusal(&mut events).await, (code, reason), "{query}");
    }
    // An option longer than 255 bytes is no Uri-Query: the engine refuses it.
    let request = device
        .request(Code::POST, &format!("rd?{long}"))
        .payload(OBJECTS);
    let code = device.exchange(request).await.code;
    assert!(
        [Code::BAD_OPTION, Code::BAD_REQUEST].contains(&code),
        "{code}"
    );
    assert_eq!(server.statistics().registrations, 0);
}

#[tokio::test]
async fn a_name_that_is_not_utf8_is_refused() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    let request = device
        .request(Code::POST, "rd")
        .option(lwm2m_coap::OptionNumber::URI_QUERY, b"ep=\xff\xfe")
        .payload(OBJECTS);
    assert_eq!(device.exchange(request).await.code, Code::BAD_REQUEST);
    assert_eq!(
        refusal(&mut events).await,
        (Code::EMPTY, "datagram-refused")
    );
}

#[tokio::test]
async fn object_lists_are_refused_with_the_code_that_clients_act_on() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    for (version, format, payload, code, reason) in [
        (
            "1.1",
            40,
            "</1/0",
            Code::BAD_REQUEST,
            "object-list-malformed",
        ),
        ("1.1", 40, "", Code::BAD_REQUEST, "object-list-missing"),
        ("1.2", 40, "", Code::CONFLICT, "object-list-missing"),
        (
            "1.1",
            50,
            "</1/0>",
            Code::UNSUPPORTED_CONTENT_FORMAT,
            "object-list-format",
        ),
    ] {
        let request = device
            .request(Code::POST, &format!("rd?ep=a&lwm2m={version}"))
            .format(format)
            .payload(payload);
        assert_eq!(device.exchange(request).await.code, code, "{payload}");
        assert_eq!(refusal(&mut events).await, (code, reason));
    }
}

#[tokio::test]
async fn n5_locations_that_do_not_exist_are_not_found() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=a").await;
    let mut guessed = location.clone();
    let last = if guessed.pop() == Some('1') { '2' } else { '1' };
    guessed.push(last);
    for path in [
        "rd/unknown",
        "rd/0000000000000000000000",
        "rd/zzzzzzzzzzzzzzzzzzzzzz",
        guessed.as_str(),
        &format!("rd/{}", "0".repeat(200)),
        "rd/a/b",
    ] {
        assert_eq!(device.post(path).await, Code::NOT_FOUND, "{path}");
        assert_eq!(device.delete(path).await, Code::NOT_FOUND, "{path}");
    }
    assert_eq!(device.post(&location).await, Code::CHANGED);
    // Ten thousand bytes of location, in as many segments as fit.
    let long = vec!["x".repeat(200); 6].join("/");
    let code = device.post(&format!("rd/{long}")).await;
    assert!(
        [Code::NOT_FOUND, Code::BAD_REQUEST].contains(&code),
        "{code}"
    );
}

#[tokio::test]
async fn paths_and_methods_that_the_server_does_not_have() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    for (method, path, code, reason) in [
        (
            Code::GET,
            "rd",
            Code::METHOD_NOT_ALLOWED,
            "method-not-allowed",
        ),
        (
            Code::PUT,
            "rd/x",
            Code::METHOD_NOT_ALLOWED,
            "method-not-allowed",
        ),
        (
            Code::DELETE,
            "rd",
            Code::METHOD_NOT_ALLOWED,
            "method-not-allowed",
        ),
        (
            Code::PUT,
            "dp",
            Code::METHOD_NOT_ALLOWED,
            "method-not-allowed",
        ),
        (
            Code::POST,
            ".well-known/core",
            Code::METHOD_NOT_ALLOWED,
            "method-not-allowed",
        ),
        (Code::GET, "", Code::NOT_FOUND, "unknown-path"),
        (Code::POST, "bs", Code::NOT_FOUND, "no-bootstrap"),
        (Code::FETCH, "3/0", Code::NOT_FOUND, "unknown-path"),
    ] {
        let request = device.request(method, path);
        assert_eq!(device.exchange(request).await.code, code, "{path}");
        assert_eq!(refusal(&mut events).await, (code, reason), "{path}");
    }
}

#[tokio::test]
async fn an_update_that_is_refused_changes_nothing() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=a&lt=60&lwm2m=1.1&b=U").await;
    for query in ["lt=x", "lt=1&lt=2", "lt=5&Q=x", "ep=b", "lwm2m=1.2&lt=5"] {
        assert_eq!(
            device.post(&format!("{location}?{query}")).await,
            Code::BAD_REQUEST
        );
    }
    let broken = device
        .request(Code::POST, &format!("{location}?lt=5&sms=1&Q"))
        .payload("</1/0");
    assert_eq!(device.exchange(broken).await.code, Code::BAD_REQUEST);
    let seen = server.registration("a").await.expect("registered");
    assert_eq!(
        (seen.lifetime_s, seen.sms, seen.binding.queue),
        (60, None, false)
    );
    assert!(seen.objects.has_object(4));
}
