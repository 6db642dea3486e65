//! The registration interface.

use lwm2m_coap::{Code, OptionNumber};
use lwm2m_server::{ClientFilter, EventKind};

use crate::peer::{OBJECTS, Peer, event, refusal, server};

#[tokio::test]
async fn a_device_registers_updates_and_leaves() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    let location = device
        .register("ep=urn:dev:ops:1&lt=300&lwm2m=1.1&b=U&sms=49171&type=meter")
        .await;
    assert!(location.starts_with("rd/") && location.len() <= 35);
    let registration = event(&mut events, |event| match &event.kind {
        EventKind::Registered {
            registration,
            replaced: false,
        } => Some(registration.clone()),
        _ => None,
    })
    .await;
    assert_eq!(registration.endpoint.as_str(), "urn:dev:ops:1");
    assert_eq!(format!("rd/{}", registration.id), location);
    assert_eq!(registration.sms.as_deref(), Some("49171"));
    let annotations = [("type".to_owned(), "meter".to_owned())];
    assert_eq!(registration.annotations, annotations);
    assert!(registration.objects.has_object(4));

    assert_eq!(
        device.post(&format!("{location}?lt=20")).await,
        Code::CHANGED
    );
    let seen = server
        .registration("urn:dev:ops:1")
        .await
        .expect("registered");
    assert_eq!((seen.lifetime_s, seen.awake), (20, true));
    assert_eq!(seen.peer, device.socket.local_addr().expect("bound"));

    assert_eq!(device.delete(&location).await, Code::DELETED);
    event(&mut events, |event| {
        matches!(event.kind, EventKind::Deregistered { .. }).then_some(())
    })
    .await;
    assert_eq!(server.registration("urn:dev:ops:1").await, None);
    assert_eq!(device.delete(&location).await, Code::NOT_FOUND);
    assert_eq!(
        refusal(&mut events).await,
        (Code::NOT_FOUND, "unknown-registration")
    );
    server.shutdown().await;
}

#[tokio::test]
async fn n1_a_repeated_register_is_one_registration() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    let request = device
        .request(Code::POST, "rd?ep=a&lt=300&lwm2m=1.1")
        .payload(OBJECTS)
        .encode();
    device.send(&request).await;
    let first = device.receive().await;
    for _ in 0..4 {
        device.send(&request).await;
        assert_eq!(device.receive().await, first);
    }
    let statistics = server.statistics();
    assert_eq!((statistics.registrations, statistics.registered), (1, 1));
}

#[tokio::test]
async fn registrations_page_in_the_order_of_their_names() {
    let server = server(|config| config.shards = 4).await;
    let mut devices = Vec::new();
    for number in (0..20).rev() {
        let mut device = Peer::new(&server).await;
        device.register(&format!("ep=d{number:02}")).await;
        devices.push(device);
    }
    let mut filter = ClientFilter::default();
    filter.limit = Some(7);
    let mut names = Vec::new();
    loop {
        let page = server.registrations(filter.clone()).await;
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 7);
        filter.after = Some(last.endpoint.to_string());
        names.extend(page.iter().map(|r| r.endpoint.to_string()));
    }
    let expected: Vec<String> = (0..20).map(|number| format!("d{number:02}")).collect();
    assert_eq!(names, expected);
}

#[tokio::test]
async fn the_server_says_what_it_has() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    let discover = device.request(Code::GET, ".well-known/core");
    let answer = device.exchange(discover).await;
    assert_eq!(answer.code, Code::CONTENT);
    assert_eq!(answer.uint(OptionNumber::CONTENT_FORMAT), Some(40));
    assert!(String::from_utf8_lossy(&answer.payload).contains("</rd>"));
}
