//! Send: values that devices report by themselves.

use lwm2m_coap::Code;
use lwm2m_server::EventKind;

use crate::peer::{Peer, event, refusal, server};

#[tokio::test]
async fn a_send_becomes_an_event() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    device.register("ep=a&lwm2m=1.1").await;
    let mut send = device
        .request(Code::POST, "dp")
        .format(110)
        .payload(r#"[{"n":"/3/0/9","v":42}]"#);
    send.token.clear();
    assert_eq!(device.exchange(send).await.code, Code::CHANGED);
    let (endpoint, values) = event(&mut events, |event| match &event.kind {
        EventKind::Send { values } => Some((event.endpoint.clone(), values.clone())),
        _ => None,
    })
    .await;
    assert_eq!(endpoint.expect("known").as_str(), "a");
    assert_eq!(values.records[0].path.to_string(), "/3/0/9");
    assert_eq!(server.statistics().refused, 0);
}

#[tokio::test]
async fn n45_a_send_that_does_not_fit_is_refused() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut stranger = Peer::new(&server).await;
    let send = stranger
        .request(Code::POST, "dp")
        .format(112)
        .payload([0x80]);
    assert_eq!(stranger.exchange(send).await.code, Code::NOT_FOUND);
    assert_eq!(
        refusal(&mut events).await,
        (Code::NOT_FOUND, "not-registered")
    );

    let mut device = Peer::new(&server).await;
    device.register("ep=a&lwm2m=1.1").await;
    for (format, payload, codes) in [
        (Some(112), &[0x80][..], &[Code::CHANGED][..]),
        (Some(112), b"", &[Code::BAD_REQUEST]),
        (None, &[0x80], &[Code::BAD_REQUEST]),
        (
            Some(110),
            br#"[{"n":"/9/0/1","vs":"x"}]"#,
            &[Code::NOT_FOUND],
        ),
        (
            Some(110),
            br#"[{"n":"/0/0/1","v":1}]"#,
            &[Code::NOT_FOUND, Code::BAD_REQUEST],
        ),
        (
            Some(110),
            br#"[{"n":"/3/0/9","vs":"x"}]"#,
            &[Code::BAD_REQUEST],
        ),
        (Some(110), br#"[{"n":"/3/0/9","#, &[Code::BAD_REQUEST]),
        (Some(0), b"1", &[Code::BAD_REQUEST]),
    ] {
        let mut send = device.request(Code::POST, "dp").payload(payload);
        if let Some(format) = format {
            send = send.format(format);
        }
        let code = device.exchange(send).await.code;
        assert!(codes.contains(&code), "{code} for {format:?} {payload:?}");
    }
}
