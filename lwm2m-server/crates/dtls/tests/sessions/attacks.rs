//! What a stranger on the network can do: nothing that lasts.

use std::time::Duration;

use lwm2m_dtls::{Alert, CidOffer, ClientConfig, DownReason, Event, Failure, Psk, Timing};

use crate::pair::{IDENTITY, Pair, client_config, key, known};

fn no_cid() -> ClientConfig {
    ClientConfig {
        cid: CidOffer::None,
        ..client_config()
    }
}

fn record(content_type: u8, epoch: u16, sequence: u64, fragment: &[u8]) -> Vec<u8> {
    let mut record = vec![content_type, 0xfe, 0xfd];
    record.extend_from_slice(&epoch.to_be_bytes());
    record.extend_from_slice(&sequence.to_be_bytes()[2..]);
    record.extend_from_slice(&(fragment.len() as u16).to_be_bytes());
    record.extend_from_slice(fragment);
    record
}

/// The session still carries data, and nobody has heard otherwise.
fn assert_alive(pair: &mut Pair, client: lwm2m_dtls::SessionId) {
    pair.send_from_client(client, b"alive");
    pair.run();
    assert_eq!(pair.server.texts().last(), Some(&&b"alive"[..]));
    let down = |event: &Event<_>| matches!(event, Event::Down { .. });
    assert!(!pair.server.events.iter().any(down));
}

// One such record ends a session of webrtc-dtls with a fatal alert.
#[test]
fn a_forged_record_of_epoch_1_does_not_end_the_session() {
    for config in [no_cid(), client_config()] {
        let mut pair = Pair::new();
        let (client, _) = pair.establish(config);
        let sent = pair.server.sent.len();
        let home = pair.client.address;
        for content_type in 20..=26 {
            for length in [0, 1, 8, 16, 17, 40] {
                let forged = record(content_type, 1, 1000, &vec![0x5a; length]);
                pair.inject(home, &forged);
            }
        }
        assert_eq!(pair.server.sent.len(), sent, "and nothing is answered");
        assert_alive(&mut pair, client);
    }
}

#[test]
fn a_plain_alert_does_not_end_the_session() {
    let mut pair = Pair::new();
    let (client, _) = pair.establish(no_cid());
    let home = pair.client.address;
    for alert in [[2, 40], [1, 0], [2, 0], [2, 115]] {
        pair.inject(home, &record(21, 0, 99, &alert));
    }
    assert_alive(&mut pair, client);
}

// webrtc-dtls keeps 29 KB for it, and its accept() waits.
#[test]
fn an_unanswered_client_hello_leaves_no_state() {
    let mut pair = Pair::new();
    let to = pair.server.address;
    for port in 0..200_u16 {
        let from = std::net::SocketAddr::from(([203, 0, 113, 1], 1000 + port));
        let now = pair.now;
        let config = std::sync::Arc::new(client_config());
        let begun = pair.client.endpoint.connect(now, to, config);
        begun.expect("the client may begin");
        let hello = pair.client.endpoint.poll_transmit().expect("a ClientHello");
        pair.inject(from, &hello.datagram);
        let answer = pair.server.sent.last().expect("a HelloVerifyRequest");
        assert!(answer.len() < hello.datagram.len(), "no amplification");
    }
    assert_eq!(pair.server.endpoint.handshakes(), 0);
    assert_eq!(pair.server.endpoint.sessions(), 0);
    assert_eq!(pair.server.endpoint.next_timeout(), None);
    assert_eq!(pair.server.endpoint.statistics().cookies, 200);
    assert_eq!(pair.server.events, []);
}

#[test]
fn a_cookie_is_good_for_its_address_only() {
    let mut pair = Pair::new();
    pair.establish(client_config());
    let with_cookie = pair.client.sent[1].clone();
    let elsewhere = "203.0.113.9:1".parse().expect("an address");
    pair.inject(elsewhere, &with_cookie);
    assert_eq!(pair.server.endpoint.handshakes(), 0);
    assert_eq!(pair.server.endpoint.statistics().cookies, 2);
}

#[test]
fn a_cookie_does_not_last() {
    let mut pair = Pair::new();
    let (client, _) = pair.establish(client_config());
    let now = pair.now;
    pair.client.endpoint.close(now, client);
    pair.run();
    let with_cookie = pair.client.sent[1].clone();
    let home = pair.client.address;
    pair.pass(2 * Timing::default().cookie_lifetime + Duration::from_secs(1));
    pair.inject(home, &with_cookie);
    assert_eq!(pair.server.endpoint.handshakes(), 0);
    assert_eq!(pair.server.endpoint.statistics().cookies, 2);
}

#[test]
fn a_replayed_hello_of_the_session_begins_nothing() {
    let mut pair = Pair::new();
    let (client, _) = pair.establish(no_cid());
    let with_cookie = pair.client.sent[1].clone();
    let home = pair.client.address;
    pair.inject(home, &with_cookie);
    assert_eq!(pair.server.endpoint.handshakes(), 0);
    assert_alive(&mut pair, client);
}

#[test]
fn a_second_hello_replaces_the_session_only_when_it_has_the_key() {
    let mut pair = Pair::new();
    let (client, server) = pair.establish(no_cid());
    // A stranger at the same address, who gets as far as it can.
    let wrong = Psk::new(b"a wrong key").expect("a key");
    pair.connect(ClientConfig {
        cid: CidOffer::None,
        ..ClientConfig::psk(IDENTITY, wrong)
    });
    pair.pass(Duration::from_millis(500));
    assert_eq!(pair.server.endpoint.handshakes(), 1);
    pair.send_from_client(client, b"the first");
    pair.pass(Duration::from_millis(100));
    assert_eq!(pair.server.data, [(server, b"the first".to_vec())]);
    pair.pass(Duration::from_secs(200));
    let expected = Failure::WrongKey {
        identity: IDENTITY.into(),
    };
    assert_eq!(pair.server.failures(), [expected]);
    assert_alive(&mut pair, client);
    // The device itself, after a restart.
    let (_, second) = pair.establish(no_cid());
    assert_ne!(second, server);
    let events = &pair.server.events;
    assert!(events.iter().any(|event| matches!(
        event,
        Event::Up { session, replaces: Some(replaced), .. }
            if *session == second && *replaced == server
    )));
    assert!(events.iter().any(|event| matches!(
        event,
        Event::Down { session, reason: DownReason::Replaced, .. } if *session == server
    )));
    assert_eq!(pair.server.endpoint.sessions(), 1);
}

#[test]
fn records_of_other_epochs_and_plain_data_are_passed_over() {
    let mut pair = Pair::new();
    let (client, _) = pair.establish(no_cid());
    let home = pair.client.address;
    pair.inject(home, &record(23, 0, 5, b"plain"));
    pair.inject(home, &record(23, 2, 5, b"another epoch, not ours at all"));
    assert_eq!(pair.server.data, []);
    assert_alive(&mut pair, client);
}

#[test]
fn a_replayed_record_is_not_given_twice() {
    let mut pair = Pair::new();
    let (client, _) = pair.establish(no_cid());
    for index in 0..100_u8 {
        pair.send_from_client(client, &[index]);
    }
    pair.run();
    let records = pair.captured.clone();
    for (from, record) in records.iter().rev() {
        pair.inject(*from, record);
    }
    assert_eq!(pair.server.data.len(), 100);
    assert_alive(&mut pair, client);
}

#[test]
fn dtls_1_0_is_refused() {
    let mut pair = Pair::new();
    pair.connect(client_config());
    pair.run();
    // The hello with the cookie of another version: the cookie covers the version, so ask anew.
    let home = "203.0.113.9:2".parse().expect("an address");
    let mut hello = pair.client.sent[0].clone();
    hello[25..27].copy_from_slice(&[0xfe, 0xff]);
    pair.inject(home, &hello);
    let request = pair
        .server
        .sent
        .last()
        .expect("a HelloVerifyRequest")
        .clone();
    let cookie = &request[28..];
    let mut with = hello[13..].to_vec();
    // Behind version, random and the empty session id stands the empty cookie.
    let at = 12 + 2 + 32 + 1;
    with.splice(at..=at, [&[cookie.len() as u8], cookie].concat());
    let length = (with.len() - 12) as u32;
    with[1..4].copy_from_slice(&length.to_be_bytes()[1..]);
    with[9..12].copy_from_slice(&length.to_be_bytes()[1..]);
    with[5] = 1;
    pair.inject(home, &record(22, 0, 1, &with));
    assert_eq!(
        pair.server.failures(),
        [Failure::Version { offered: 0xfeff }]
    );
    let alert = pair.server.sent.last().expect("an alert");
    assert_eq!(alert[13..], [2, Alert::PROTOCOL_VERSION.0]);
}

#[test]
fn a_handshake_that_stops_is_given_up() {
    let mut pair = Pair::new();
    pair.connect(client_config());
    // HelloVerifyRequest and ServerHello pass; then nothing does.
    pair.pass(Duration::from_millis(35));
    pair.network.loss = 100;
    pair.pass(Duration::from_secs(300));
    assert_eq!(pair.server.endpoint.handshakes(), 0);
    let expected = Failure::Timeout {
        expected: "ClientKeyExchange",
    };
    assert_eq!(pair.server.failures(), [expected]);
}

#[test]
fn a_forged_finished_does_not_fail_a_handshake_whose_own_is_good() {
    let mut pair = Pair::new();
    pair.lookup_takes = Duration::from_millis(300);
    pair.connect(no_cid());
    pair.pass(Duration::from_millis(35));
    let home = pair.client.address;
    pair.inject(home, &record(22, 1, 0, &[0x5a; 40]));
    pair.inject(home, &record(22, 1, 7, &[0x5a; 40]));
    pair.run();
    assert_eq!(pair.server.ups(), 1);
    assert_eq!(pair.server.failures(), []);
}

#[test]
fn early_records_have_a_limit() {
    let mut pair = Pair::new();
    pair.lookup_takes = Duration::from_millis(300);
    pair.connect(no_cid());
    pair.pass(Duration::from_millis(50));
    let home = pair.client.address;
    // The client's own Finished came first; what a stranger adds is dropped at the limit.
    for sequence in 1..1000 {
        pair.inject(home, &record(22, 1, sequence, &[0x5a; 500]));
    }
    pair.run();
    assert_eq!(pair.server.ups(), 1);
}

#[test]
fn a_lost_last_flight_is_repeated() {
    let mut pair = Pair::new();
    let client = pair.connect(no_cid());
    // Three round trips of 20 ms, but for the last way.
    pair.pass(Duration::from_millis(45));
    pair.network.loss = 100;
    pair.pass(Duration::from_millis(10));
    assert_eq!((pair.server.ups(), pair.client.ups()), (1, 0));
    pair.network.loss = 0;
    pair.pass(Duration::from_secs(30));
    assert_eq!(pair.client.ups(), 1);
    assert_alive(&mut pair, client);
    // Once the client has shown that it has it, the flight is gone.
    assert_eq!(pair.server.endpoint.statistics().retransmitted, 1);
}

#[test]
fn any_bytes_are_taken_without_harm() {
    let mut pair = Pair::new();
    let (client, _) = pair.establish(no_cid());
    let home = pair.client.address;
    let records: Vec<Vec<u8>> = pair.client.sent.clone();
    for round in 0..3000 {
        let mut bytes = records[round % records.len()].clone();
        for _ in 0..=pair.draw(4) {
            let at = pair.draw(bytes.len() as u64) as usize;
            bytes[at] = pair.draw(256) as u8;
        }
        let length = pair.draw(bytes.len() as u64 + 1) as usize;
        let from = match round % 3 {
            0 => home,
            other => std::net::SocketAddr::from(([203, 0, 113, 1], other as u16)),
        };
        pair.inject(from, &bytes[..length.max(1)]);
    }
    pair.keys.insert(IDENTITY.to_vec(), known(key()));
    assert_alive(&mut pair, client);
}
