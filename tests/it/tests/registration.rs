//! The registration interface.

use lwm2m_coap::{Code, OptionNumber};
use lwm2m_server::{ClientFilter, EventKind, Listener, Server};

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

#[tokio::test]
async fn n2_registering_anew_replaces_the_older_registration() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut first = Peer::new(&server).await;
    let mut second = Peer::new(&server).await;
    let old = first.register("ep=a&lwm2m=1.1").await;
    let new = second.register("ep=a&lwm2m=1.1").await;
    let replaced = |event: &lwm2m_server::Event| match &event.kind {
        EventKind::Registered { replaced, .. } => Some(*replaced),
        EventKind::Deregistered { .. } | EventKind::Expired { .. } => panic!("{event:?}"),
        _ => None,
    };
    assert!(!event(&mut events, replaced).await);
    assert!(event(&mut events, replaced).await);
    first.until_gone(&old).await;
    assert_eq!(second.post(&new).await, Code::CHANGED);
    assert_eq!(server.statistics().registrations, 1);
}

#[tokio::test]
async fn a_registration_that_is_not_updated_expires() {
    let server = server(|config| config.expiry_grace = std::time::Duration::ZERO).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=a&lt=1").await;
    let expired = event(&mut events, |event| match &event.kind {
        EventKind::Expired { registration } => Some(registration.endpoint.to_string()),
        _ => None,
    });
    assert_eq!(expired.await, "a");
    assert_eq!(device.post(&location).await, Code::NOT_FOUND);
}

#[tokio::test]
async fn parameters_of_all_versions_are_kept() {
    let server = server(|config| config.lifetime_s = 777).await;
    for (name, query, version, lifetime_s, binding) in [
        ("v10", "lt=60&lwm2m=1.0&b=UQ", "1.0", 60, "UQ"),
        ("v11", "lt=60&lwm2m=1.1&b=U&Q", "1.1", 60, "UQ"),
        (
            "v12",
            "lt=4294967295&lwm2m=1.2&b=UTSNMH",
            "1.2",
            u32::MAX,
            "UTSNMH",
        ),
        ("bare", "", "1.0", 777, "U"),
        ("zero", "lt=0&b=XYZ&Q=1", "1.0", 0, "UQ"),
    ] {
        let mut device = Peer::new(&server).await;
        device.register(&format!("ep={name}&{query}")).await;
        let seen = server.registration(name).await.expect("registered");
        assert_eq!(seen.version.as_str(), version, "{name}");
        assert_eq!(
            (seen.lifetime_s, seen.binding.to_string().as_str()),
            (lifetime_s, binding)
        );
    }
}

#[tokio::test]
async fn n10_names_are_kept_as_they_stand() {
    let server = server(|_| {}).await;
    for name in [
        "'; drop table",
        "a\nb",
        "%2f",
        "\u{1f4df}",
        "\u{0}",
        "x".repeat(252).as_str(),
    ] {
        let mut device = Peer::new(&server).await;
        device.register(&format!("ep={name}")).await;
        let seen = server.registration(name).await.expect("registered");
        assert_eq!(seen.endpoint.as_str(), name);
    }
}

#[tokio::test]
async fn n8_strange_links_are_left_out() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    let request = device
        .request(Code::POST, "rd?ep=a&lwm2m=1.1")
        .payload("</0/0>,</21>,</65535>,</70000>,</-1>,</a/b>, </1/0/> ;x=y, <3/0>,</3/0/1>");
    assert_eq!(device.exchange(request).await.code, Code::CREATED);
    let seen = server.registration("a").await.expect("registered");
    assert_eq!(
        seen.objects.paths,
        [(1, 0), (3, 0)].map(|(o, i)| lwm2m_core::Path::instance(o, i))
    );
}

#[tokio::test]
async fn an_update_brings_a_new_object_list() {
    let server = server(|_| {}).await;
    let mut events = server.events();
    let mut device = Peer::new(&server).await;
    let location = device.register("ep=a&lwm2m=1.1").await;
    for (list, changed) in [(OBJECTS, false), (&b"</1/0>,</3/0>,</5/0>"[..], true)] {
        let update = device.request(Code::POST, &location).payload(list);
        assert_eq!(device.exchange(update).await.code, Code::CHANGED);
        let told = event(&mut events, |event| match event.kind {
            EventKind::Updated {
                objects_changed, ..
            } => Some(objects_changed),
            _ => None,
        });
        assert_eq!(told.await, changed);
    }
    let seen = server.registration("a").await.expect("registered");
    assert!(seen.objects.has_object(5) && !seen.objects.has_object(4));
}

#[tokio::test]
async fn a_profile_stands_for_an_object_list() {
    let list = lwm2m_core::ObjectList::parse(b"</1/0>,</3/0>").expect("a list");
    let profile = ("6:27354b9a".to_owned(), list);
    let server = server(|config| config.profiles = vec![profile]).await;
    let mut device = Peer::new(&server).await;
    for (query, payload, code) in [
        ("ep=a&lwm2m=1.2&pid=6:27354b9a", "", Code::CREATED),
        ("ep=b&lwm2m=1.2&pid=6:27354b9a", "</4/0>", Code::CREATED),
        ("ep=c&lwm2m=1.2&pid=6:0", "", Code::CONFLICT),
        (
            "ep=d&lwm2m=1.2&pid=6:0",
            "</1/0>,</3/0>,</6/0>",
            Code::CREATED,
        ),
        ("ep=c&lwm2m=1.2&pid=6:0", "", Code::CREATED),
    ] {
        let request = device
            .request(Code::POST, &format!("rd?{query}"))
            .payload(payload);
        assert_eq!(device.exchange(request).await.code, code, "{query}");
    }
    for (name, objects) in [("a", 2), ("b", 3), ("c", 3), ("d", 3)] {
        let seen = server.registration(name).await.expect("registered");
        assert_eq!(seen.objects.paths.len(), objects, "{name}");
    }
}

#[tokio::test]
async fn host_and_port_in_a_request_are_nobodys_business() {
    let server = server(|_| {}).await;
    let mut device = Peer::new(&server).await;
    let request = device
        .request(Code::POST, "rd?ep=a&lwm2m=1.1")
        .option(OptionNumber::URI_HOST, "lwm2m.example.com")
        .option(OptionNumber::URI_PORT, [0x16, 0x33])
        .payload(OBJECTS);
    assert_eq!(device.exchange(request).await.code, Code::CREATED);
}

#[tokio::test]
async fn a_burst_to_a_listener_for_all_addresses_is_answered_in_batches() {
    const COUNT: usize = 64;
    let server = Server::builder()
        .listen(Listener::coap(([0, 0, 0, 0], 0).into()))
        .start()
        .await
        .expect("the server starts");
    let mut device = Peer::new(&server).await;
    device.server.set_ip([127, 0, 0, 1].into());
    let mut calls = server.statistics().send_calls;
    loop {
        for number in 0..COUNT {
            let query = format!("rd?ep=d{number}");
            let request = device.request(Code::POST, &query).payload(OBJECTS);
            device.send(&request.encode()).await;
        }
        for _ in 0..COUNT {
            assert_eq!(device.receive().await.code, Code::CREATED);
        }
        let before = std::mem::replace(&mut calls, server.statistics().send_calls);
        // A machine under load may take them one by one, but not for ever.
        if calls - before < COUNT as u64 / 2 {
            break;
        }
    }
    assert_eq!(server.statistics().registrations, COUNT as u64);
}
