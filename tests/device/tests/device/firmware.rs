//! Firmware update by push, over the wire.

use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::ContentFormat;
use lwm2m_device::Device;
use lwm2m_device::objects::Firmware;

use crate::pair::Pair;

fn pair() -> Pair {
    let firmware = Firmware::new("1.0.0").install_time(Duration::from_secs(5));
    Pair::registered(Device::builder("dev").object(firmware))
}

fn state_and_result(pair: &mut Pair) -> String {
    let state = pair.get("/5/0/3", None).text().to_owned();
    format!("{state}/{}", pair.get("/5/0/5", None).text())
}

#[test]
fn int_770_push_in_blocks_install_and_register_anew() {
    let mut pair = pair();
    let mut image = b"version=2.0.0\n".to_vec();
    image.resize(5000, 0x55);
    assert_eq!(
        pair.put("/5/0/0", ContentFormat::Opaque, image),
        Code::CHANGED
    );
    assert_eq!(state_and_result(&mut pair), "2/0");
    assert_eq!(pair.get("/5/0/7", None).text(), "2.0.0");
    assert_eq!(pair.execute("/5/0/2"), Code::CHANGED);
    assert_eq!(state_and_result(&mut pair), "3/0");
    pair.advance(6);
    assert_eq!(pair.take_seen()[0].path, "/rd", "after the restart");
    assert_eq!(state_and_result(&mut pair), "0/1");
    assert_eq!(pair.get("/3/0/3", None).text(), "2.0.0");
}

#[test]
fn int_755_756_772_resets_and_wrong_states() {
    let mut pair = pair();
    assert_eq!(pair.execute("/5/0/2"), Code::METHOD_NOT_ALLOWED);
    assert_eq!(
        pair.put("/5/0/0", ContentFormat::Opaque, [0]),
        Code::CHANGED
    );
    assert_eq!(state_and_result(&mut pair), "0/0");
    assert_eq!(
        pair.put("/5/0/0", ContentFormat::Opaque, [1, 2, 3]),
        Code::CHANGED
    );
    assert_eq!(state_and_result(&mut pair), "2/0");
    assert_eq!(pair.put("/5/0/1", ContentFormat::Text, ""), Code::CHANGED);
    assert_eq!(state_and_result(&mut pair), "0/0");
    for (uri, expected) in [("https://example.org/fw", "0/9"), ("nonsense", "0/7")] {
        assert_eq!(pair.put("/5/0/1", ContentFormat::Text, uri), Code::CHANGED);
        assert_eq!(state_and_result(&mut pair), expected);
    }
}

#[test]
fn int_771_pull_from_the_server() {
    let mut pair = pair();
    let file = lwm2m_coap::Response::new(Code::CONTENT).payload(vec![7; 3000]);
    pair.answers.push_back(file);
    let uri = format!("coap://{}/fw/token", crate::pair::SERVER);
    assert_eq!(pair.put("/5/0/1", ContentFormat::Text, uri), Code::CHANGED);
    let seen = pair.take_seen();
    assert_eq!(
        (seen[0].method, seen[0].path.as_str()),
        (Code::GET, "/fw/token")
    );
    assert_eq!(state_and_result(&mut pair), "2/0");

    pair.post("/5/0/10", ContentFormat::Text, "");
    assert_eq!(state_and_result(&mut pair), "0/10");
    pair.answers
        .push_back(lwm2m_coap::Response::new(Code::NOT_FOUND));
    let uri = format!("coap://{}/fw/other", crate::pair::SERVER);
    assert_eq!(pair.put("/5/0/1", ContentFormat::Text, uri), Code::CHANGED);
    assert_eq!(state_and_result(&mut pair), "0/7");
}

#[test]
fn int_760_the_state_is_observed() {
    let mut pair = pair();
    pair.observe("/5/0/3", Some(ContentFormat::Text));
    assert_eq!(
        pair.put("/5/0/0", ContentFormat::Opaque, [1, 2, 3]),
        Code::CHANGED
    );
    let notified = pair.take_notified();
    assert_eq!(notified[0].body, b"2");
}
