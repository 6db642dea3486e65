//! Register, Update, De-register and what brings them about.

use std::time::Duration;

use lwm2m_coap::{Code, Message, OptionNumber, Response};
use lwm2m_core::{ContentFormat, Path, Version};
use lwm2m_device::objects::{Temperature, portfolio};
use lwm2m_device::{Device, DeviceEvent, RegistrationError};

use crate::pair::{DEVICE, Pair, SERVER, to};

#[test]
fn registers_as_each_version_does() {
    for (version, queue_mode, query, list) in [
        (
            Version::V1_0,
            false,
            "b=U&ep=dev&lt=300&lwm2m=1.0",
            "</1/0>,</3/0>",
        ),
        (
            Version::V1_0,
            true,
            "b=UQ&ep=dev&lt=300&lwm2m=1.0",
            "</1/0>,</3/0>",
        ),
        (
            Version::V1_1,
            true,
            "Q&b=U&ep=dev&lt=300&lwm2m=1.1",
            "</>;rt=\"oma.lwm2m\";ct=\"60 110 112 11542\",</1/0>,</3/0>",
        ),
        (
            Version::V1_2,
            false,
            "b=U&ep=dev&lt=300&lwm2m=1.2",
            "</>;rt=\"oma.lwm2m\";ct=\"60 110 112 320 322 11542 11544\",</1/0>,</3/0>",
        ),
    ] {
        let mut pair = Pair::new(
            Device::builder("dev")
                .version(version)
                .queue_mode(queue_mode),
        );
        pair.start();
        let register = &pair.seen[0];
        assert_eq!(
            (register.method, register.path.as_str()),
            (Code::POST, "/rd")
        );
        assert_eq!(register.query, query);
        assert_eq!(register.format, Some(40));
        assert_eq!(String::from_utf8_lossy(&register.body), list);
        let registered = DeviceEvent::Registered {
            location: "rd/r1".to_owned(),
            version,
        };
        assert_eq!(pair.events, [registered]);
        assert_eq!(pair.client.location().as_deref(), Some("rd/r1"));
    }
}

#[test]
fn alternate_path_and_extra_parameters() {
    let builder = Device::builder("dev")
        .alternate_path("/lwm2m")
        .query("sms=4915112345678")
        .object(portfolio());
    let mut pair = Pair::new(builder);
    pair.start();
    assert_eq!(
        pair.seen[0].query,
        "b=U&ep=dev&lt=300&lwm2m=1.1&sms=4915112345678"
    );
    assert_eq!(
        String::from_utf8_lossy(&pair.seen[0].body),
        "</lwm2m>;rt=\"oma.lwm2m\";ct=\"60 110 112 11542\",</lwm2m/1/0>,</lwm2m/3/0>,</lwm2m/16/0>"
    );
    assert_eq!(pair.get("/lwm2m/1/0/1", None).text(), "300");
    assert_eq!(pair.get("/1/0/1", None).code, Code::NOT_FOUND);
}

#[test]
fn updates_before_the_lifetime_ends() {
    let mut pair = Pair::registered(Device::builder("dev").lifetime_s(100));
    pair.advance(79);
    assert_eq!(pair.take_seen(), []);
    pair.advance(2);
    let seen = pair.take_seen();
    assert_eq!(seen.len(), 1);
    let update = &seen[0];
    assert_eq!(
        (update.method, update.path.as_str()),
        (Code::POST, "/rd/r1")
    );
    assert_eq!((update.query.as_str(), update.body.len()), ("", 0));
    pair.advance(800);
    assert_eq!(pair.take_seen().len(), 10);
}

#[test]
fn a_lifetime_of_zero_never_updates() {
    let mut pair = Pair::registered(Device::builder("dev").lifetime_s(0));
    pair.advance(10_000_000);
    assert_eq!(pair.take_seen(), []);
}

#[test]
fn a_written_lifetime_is_told() {
    let mut pair = Pair::registered(Device::builder("dev"));
    assert_eq!(pair.put("/1/0/1", ContentFormat::Text, "60"), Code::CHANGED);
    assert_eq!(pair.take_seen()[0].query, "lt=60");
    assert_eq!(pair.put("/1/0/1", ContentFormat::Text, "60"), Code::CHANGED);
    assert_eq!(pair.take_seen(), [], "the server knows");
    pair.advance(49);
    assert_eq!(
        pair.take_seen()[0].query,
        "",
        "the new lifetime drives the Updates"
    );
}

#[test]
fn a_created_instance_is_told() {
    let builder = Device::builder("dev").object(Temperature::new(1));
    let mut pair = Pair::registered(builder);
    assert_eq!(
        pair.post("/3303", ContentFormat::Tlv, []).code,
        Code::CREATED
    );
    let update = pair.take_seen().remove(0);
    assert_eq!(update.format, Some(40));
    let list = String::from_utf8(update.body).unwrap();
    assert!(list.ends_with(",</3303/0>,</3303/1>"), "{list}");
    assert_eq!(pair.delete("/3303/0"), Code::DELETED);
    let list = String::from_utf8(pair.take_seen().remove(0).body).unwrap();
    assert!(list.ends_with(",</3/0>,</3303/1>"), "{list}");
}

#[test]
fn update_trigger_and_disable() {
    let builder = Device::builder("dev").server_settings(|settings| settings.disable_s = 50);
    let mut pair = Pair::registered(builder);
    assert_eq!(pair.execute("/1/0/8"), Code::CHANGED);
    assert_eq!(pair.take_seen()[0].path, "/rd/r1");
    assert_eq!(pair.execute("/1/0/4"), Code::CHANGED);
    let seen = pair.take_seen();
    assert_eq!(
        (seen[0].method, seen[0].path.as_str()),
        (Code::DELETE, "/rd/r1")
    );
    assert!(!pair.client.is_registered());
    pair.advance(49);
    assert_eq!(pair.take_seen(), []);
    pair.advance(1);
    assert_eq!(pair.take_seen()[0].path, "/rd");
}

#[test]
fn a_request_is_answered_before_what_it_causes() {
    let mut pair = Pair::registered(Device::builder("dev"));
    let (device, server) = (DEVICE.parse().unwrap(), SERVER.parse().unwrap());
    let disable = to(Code::POST, "/1/0/4");
    pair.server.request(pair.now, device, disable).unwrap();
    let request = pair.server.poll_transmit().unwrap();
    pair.client.receive(pair.now, server, &request.datagram);
    let codes: Vec<Code> = std::iter::from_fn(|| pair.client.poll_transmit())
        .map(|transmit| Message::parse(&transmit.datagram).unwrap().code())
        .collect();
    assert_eq!(codes, [Code::CHANGED, Code::DELETE]);
}

#[test]
fn deregisters() {
    let mut pair = Pair::registered(Device::builder("dev"));
    pair.client.deregister(pair.now);
    pair.settle();
    assert_eq!(pair.take_seen()[0].method, Code::DELETE);
    assert_eq!(pair.events, [DeviceEvent::Deregistered]);
    assert!(pair.client.is_stopped());
    pair.advance(1_000_000);
    assert_eq!(pair.take_seen(), []);
}

#[test]
fn registers_anew_when_the_server_has_forgotten() {
    let mut pair = Pair::registered(Device::builder("dev"));
    pair.answers.push_back(Response::new(Code::NOT_FOUND));
    pair.client.update(pair.now);
    pair.settle();
    let paths: Vec<String> = pair.take_seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/rd/r1", "/rd"]);
    assert_eq!(pair.client.location().as_deref(), Some("rd/r2"));
}

#[test]
fn reboots() {
    let mut pair = Pair::registered(Device::builder("dev"));
    pair.observe("/3/0/9", None);
    assert_eq!(pair.client.observation_count(), 1);
    assert_eq!(
        pair.execute("/3/0/4"),
        Code::CHANGED,
        "the answer goes out first"
    );
    assert!(pair.client.is_registered());
    pair.advance(1);
    assert_eq!(pair.take_seen()[0].path, "/rd", "no De-register");
    assert_eq!(pair.client.observation_count(), 0);
    assert!(pair.events.contains(&DeviceEvent::Rebooted));
}

#[test]
fn steps_down_on_precondition_failed() {
    let mut pair = Pair::new(Device::builder("dev").version(Version::V1_2));
    let refused = Response::new(Code::PRECONDITION_FAILED);
    pair.answers.extend([refused.clone(), refused]);
    pair.start();
    let versions: Vec<bool> = ["1.2", "1.1", "1.0"]
        .iter()
        .zip(&pair.seen)
        .map(|(version, seen)| seen.query.ends_with(&format!("lwm2m={version}")))
        .collect();
    assert_eq!(versions, [true; 3]);
    assert_eq!(pair.client.version(), Version::V1_0);
    let list = String::from_utf8_lossy(&pair.seen[2].body).into_owned();
    assert_eq!(list, "</1>;ver=1.2,</1/0>,</3>;ver=1.2,</3/0>");
}

#[test]
fn a_refused_registration_is_reported_and_repeated() {
    let mut pair = Pair::new(Device::builder("dev"));
    let forbidden = Response::new(Code::FORBIDDEN).payload(&b"unknown endpoint"[..]);
    let busy = Response::new(Code::SERVICE_UNAVAILABLE).uint(OptionNumber::MAX_AGE, 40);
    pair.answers.extend([forbidden, busy]);
    pair.start();
    let reason = RegistrationError::Refused {
        code: Code::FORBIDDEN,
        reason: "unknown endpoint".to_owned(),
    };
    assert_eq!(
        reason.to_string(),
        "refused with 4.03 Forbidden: unknown endpoint"
    );
    assert_eq!(pair.events, [DeviceEvent::RegistrationFailed(reason)]);
    pair.take_seen();
    pair.advance(5);
    assert_eq!(pair.take_seen().len(), 1, "after the first pause");
    pair.advance(39);
    assert_eq!(pair.take_seen(), [], "Max-Age of 5.03 counts");
    pair.advance(1);
    assert!(pair.client.is_registered());
}

#[test]
fn no_answer_is_reported_and_repeated() {
    let mut pair = Pair::new(Device::builder("dev"));
    pair.cut = true;
    pair.start();
    pair.advance(94);
    let failed = RegistrationError::NoAnswer(lwm2m_coap::Failure::NotAcknowledged);
    assert_eq!(pair.events, [DeviceEvent::RegistrationFailed(failed)]);
    pair.cut = false;
    pair.advance(120);
    assert!(pair.client.is_registered());
}

#[test]
fn queue_mode_sleeps_and_wakes() {
    let builder = Device::builder("dev").queue_mode(true).lifetime_s(1000);
    let mut pair = Pair::registered(builder);
    pair.advance(92);
    assert_eq!(pair.get("/1/0/1", None).code, Code::CONTENT, "awake");
    pair.advance(93);
    assert_eq!(pair.events.last(), Some(&DeviceEvent::Asleep));
    let id = pair.send(crate::pair::to(Code::GET, "/1/0/1"));
    assert_eq!(pair.reply(id), None, "asleep");
    pair.client.update(pair.now);
    pair.settle();
    assert!(pair.events.contains(&DeviceEvent::Awake));
    pair.advance_by(Duration::from_secs(60));
    assert!(
        pair.reply(id).is_some_and(|reply| reply.is_ok()),
        "by retransmission"
    );
}

#[test]
fn sends_and_is_muted() {
    let mut pair = Pair::registered(Device::builder("dev"));
    let path = Path::resource(1, 0, 1);
    pair.client.send(pair.now, &[path]).unwrap();
    pair.settle();
    let sent = pair.take_seen().remove(0);
    assert_eq!(
        (sent.method, sent.path.as_str(), sent.format),
        (Code::POST, "/dp", Some(112))
    );
    assert!(
        matches!(pair.events.last(), Some(DeviceEvent::Sent { outcome: Ok(code), .. })
        if *code == Code::CHANGED)
    );
    assert_eq!(pair.put("/1/0/23", ContentFormat::Text, "1"), Code::CHANGED);
    assert_eq!(
        pair.client.send(pair.now, &[path]),
        Err(lwm2m_device::SendError::Muted)
    );
}
