//! Deviations, each as the field shows it.

use std::time::Duration;

use lwm2m_coap::{Code, Failure};
use lwm2m_core::ContentFormat;
use lwm2m_device::{Device, Quirks};

use crate::pair::{Pair, to, with_body};

fn pair(set: impl FnOnce(&mut Quirks)) -> Pair {
    let mut quirks = Quirks::default();
    set(&mut quirks);
    Pair::registered(Device::builder("dev").lifetime_s(0).quirks(quirks))
}

#[test]
fn no_content_format_and_no_accept() {
    let mut pair = pair(|quirks| quirks.no_content_format = true);
    assert_eq!(pair.get("/1/0/1", None).format, None);
    let mut pair = crate::quirks::pair(|quirks| quirks.ignore_accept = true);
    let reply = pair.get("/1/0/1", Some(ContentFormat::Tlv));
    assert_eq!(reply.format, Some(ContentFormat::Text));
}

#[test]
fn composite_requests_are_acknowledged_and_never_answered() {
    let mut pair = pair(|quirks| quirks.composite_without_answer = true);
    let fetch = with_body(to(Code::FETCH, "/"), ContentFormat::SenmlJson, "[]");
    let id = pair.send(fetch);
    pair.advance(120);
    assert_eq!(pair.reply(id), None, "acknowledged, so it waits");
    pair.advance(200);
    assert_eq!(pair.reply(id), Some(Err(Failure::NoResponse)));
    let mut pair = crate::quirks::pair(|quirks| quirks.composite_refused = true);
    let fetch = with_body(to(Code::FETCH, "/"), ContentFormat::SenmlJson, "[]");
    assert_eq!(pair.ask(fetch).code, Code::METHOD_NOT_ALLOWED);
}

#[test]
fn separate_and_slow_answers() {
    let mut pair = pair(|quirks| quirks.separate_responses = true);
    let id = pair.send(to(Code::GET, "/1/0/1"));
    assert_eq!(pair.reply(id), None);
    pair.advance(1);
    assert_eq!(pair.reply(id).unwrap().unwrap().text(), "0");

    let mut pair = crate::quirks::pair(|quirks| quirks.answer_delay = Duration::from_secs(30));
    let id = pair.send(to(Code::GET, "/1/0/1"));
    pair.advance(29);
    assert_eq!(pair.reply(id), None);
    pair.advance(2);
    assert_eq!(pair.reply(id).unwrap().unwrap().text(), "0");
}

#[test]
fn silence_and_wrong_tokens_end_without_a_response() {
    let mut pair = pair(|quirks| quirks.silent = true);
    let id = pair.send(to(Code::GET, "/1/0/1"));
    pair.advance(300);
    assert_eq!(pair.reply(id), Some(Err(Failure::NoResponse)));
    let mut pair = crate::quirks::pair(|quirks| quirks.wrong_tokens = true);
    let id = pair.send(to(Code::GET, "/1/0/1"));
    pair.advance(300);
    assert!(matches!(pair.reply(id), Some(Err(_))));
}

#[test]
fn registrations_that_lack_things() {
    let quirks = |set: fn(&mut Quirks)| {
        let mut quirks = Quirks::default();
        set(&mut quirks);
        let mut pair = Pair::new(Device::builder("dev").quirks(quirks));
        pair.start();
        pair.seen.remove(0)
    };
    assert_eq!(
        quirks(|q| q.no_binding = true).query,
        "ep=dev&lt=300&lwm2m=1.1"
    );
    assert_eq!(quirks(|q| q.no_version = true).query, "b=U&ep=dev&lt=300");
    assert_eq!(
        quirks(|q| q.register_without_content_format = true).format,
        None
    );
    let slashes = quirks(|q| q.trailing_slashes = true).body;
    assert!(String::from_utf8_lossy(&slashes).ends_with(",</1/0/>,</3/0/>"));
    let list = quirks(|q| q.object_list = Some("<6/0>, <3/0>".to_owned())).body;
    assert_eq!(list, b"<6/0>, <3/0>");
}

#[test]
fn a_new_observation_replaces_the_old_one() {
    let mut pair = pair(|quirks| quirks.one_observation_per_path = true);
    pair.observe("/1/0/1", None);
    pair.observe("/1/0/1", None);
    assert_eq!(pair.client.observation_count(), 1);
}
