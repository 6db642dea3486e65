//! The check values of RFC 8613 Appendix C, and a Register.

use lwm2m_coap::Code;
use lwm2m_oscore::{Parameters, SecurityContext};

use crate::common::{answer, ask, context, hear, parameters, parse, side, take, unhex};

const SECRET: &str = "0102030405060708090a0b0c0d0e0f10";
const SALT: &str = "9e7ca92223786340";

/// A request of the appendix, its sender having this Sender ID and the other one `01`.
fn request(shared: &Parameters, sender: &[u8], plain: &str, outer: &str) {
    let (plain, outer) = (unhex(plain), unhex(outer));
    let mut client = context(&side(shared, sender, &[1]), 20);
    let mut server = context(&side(shared, &[1], sender), 0);
    let (protected, _) = ask(&mut client, &plain);
    assert_eq!(protected, outer);
    let (read, _) = take(&mut server, &outer).expect("authentic");
    assert_eq!(read, plain);
}

/// Appendices C.1 and C.4: the keys show in the ciphertext.
#[test]
fn request_with_a_master_salt() {
    request(
        &parameters(SECRET, SALT, None),
        &[],
        "44015d1f00003974396c6f63616c686f737483747631",
        "44025d1f00003974396c6f63616c686f7374620914ff612f1092f1776f1c1668b3825e",
    );
}

/// Appendices C.2 and C.5.
#[test]
fn request_without_a_master_salt() {
    request(
        &parameters(SECRET, "", None),
        &[0],
        "440171c30000b932396c6f63616c686f737483747631",
        "440271c30000b932396c6f63616c686f737463091400ff4ed339a5a379b0b8bc731fffb0",
    );
}

/// Appendices C.3 and C.6.
#[test]
fn request_with_an_id_context() {
    request(
        &parameters(SECRET, SALT, Some("37cbf3210017a2d3")),
        &[],
        "44012f8eef9bbf7a396c6f63616c686f737483747631",
        "44022f8eef9bbf7a396c6f63616c686f73746b19140837cbf3210017a2d3ff\
         72cd7273fd331ac45cffbe55c3",
    );
}

fn client_and_server() -> (SecurityContext, SecurityContext) {
    let shared = parameters(SECRET, SALT, None);
    let client = context(&side(&shared, &[], &[1]), 20);
    (client, context(&side(&shared, &[1], &[]), 0))
}

/// Appendices C.7 and C.8: the first response takes the nonce of the request, the next has a
/// Partial IV of its own.
#[test]
fn responses() {
    let (mut client, mut server) = client_and_server();
    let plain = unhex("44015d1f00003974396c6f63616c686f737483747631");
    let (outer, mut binding) = ask(&mut client, &plain);
    let (_, taken) = take(&mut server, &outer).expect("authentic");
    let plain = unhex("64455d1f00003974ff48656c6c6f20576f726c6421");
    for expected in [
        "64445d1f0000397490ffdbaad1e9a7e7b2a813d3c31524378303cdafae119106",
        "64445d1f00003974920100ff4d4c13669384b67354b2b6175ff4b8658c666a6cf88e",
    ] {
        let protected = answer(&mut server, &taken.binding, &plain);
        assert_eq!(protected, unhex(expected));
        let read = hear(&client, &mut binding, &protected).expect("authentic");
        assert_eq!(read, plain);
    }
}

#[test]
fn register_of_a_device() {
    let shared = parameters(SECRET, SALT, None);
    let outer = unhex(
        "420212344a1796090064657631ff\
         656e74c0d5497ede3a852eae015ba764583434153146b0b93fc74df9585be58ac0a0c1bf0dbd3512905708\
         0cd13969ee2c70a9b5c8",
    );
    let mut server = context(&side(&shared, b"srv", b"dev1"), 0);
    let (plain, _) = take(&mut server, &outer).expect("authentic");
    let message = parse(&plain);
    assert_eq!(
        (message.code(), message.content_format()),
        (Code::POST, Some(40))
    );
    assert!(message.uri_path().eq([b"rd"]));
    assert!(message.uri_query().any(|item| item == b"ep=dev1"));
    assert!(message.payload().starts_with(b"</"));

    let mut device = context(&side(&shared, b"dev1", b"srv"), 0);
    assert_eq!(ask(&mut device, &plain).0, outer);
}
