//! What one peer, one address and all of them together may take: the limit, and one above it.

use std::net::SocketAddr;
use std::time::Duration;

use lwm2m_dtls::{ClientConfig, Config, Event, Limits, Overload};

use crate::pair::{Pair, client_config};

/// Why the server dropped ClientHellos.
fn dropped(pair: &Pair) -> Vec<Overload> {
    let dropped = pair.server.events.iter().filter_map(|event| match event {
        Event::Dropped { overload, .. } => Some(*overload),
        _ => None,
    });
    dropped.collect()
}

fn pair_with(limits: Limits) -> Pair {
    Pair::with_server(Config {
        limits,
        ..Config::default()
    })
}

#[test]
fn handshakes_have_a_limit() {
    let limits = Limits {
        handshakes_max: 3,
        ..Limits::default()
    };
    let mut pair = Pair::with_server(Config {
        limits,
        ..Config::default()
    });
    pair.lookup_takes = Duration::from_secs(30);
    for port in 0..4_u16 {
        pair.client.address = SocketAddr::from(([203, 0, 113, 1], 1000 + port));
        pair.connect(client_config());
        pair.pass(Duration::from_millis(200));
    }
    assert_eq!(pair.server.endpoint.handshakes(), 3);
    assert_eq!(pair.server.endpoint.statistics().overloaded, 1);
    assert_eq!(dropped(&pair), [Overload::Handshakes { max: 3 }]);
    assert_eq!(
        pair.server.failures(),
        [],
        "no alert: the device will try again"
    );
}

#[test]
fn sessions_have_a_limit() {
    let limits = Limits {
        sessions_max: 2,
        ..Limits::default()
    };
    let mut pair = Pair::with_server(Config {
        limits,
        ..Config::default()
    });
    for port in 0..3_u16 {
        pair.client.address = SocketAddr::from(([203, 0, 113, 1], 1000 + port));
        pair.connect(client_config());
        pair.pass(Duration::from_millis(200));
    }
    assert_eq!(pair.server.endpoint.sessions(), 2);
    assert!(pair.server.endpoint.statistics().overloaded > 0);
    assert_eq!(dropped(&pair)[0], Overload::Sessions { max: 2 });
}

#[test]
fn handshakes_of_one_address_have_a_limit_and_others_do_not_notice() {
    let mut pair = pair_with(Limits {
        handshakes_per_address_per_second_max: 3,
        ..Limits::default()
    });
    let knock = |pair: &mut Pair, host: u8, port: u16| {
        pair.client.address = SocketAddr::from(([203, 0, 113, host], port));
        pair.connect(client_config());
        pair.pass(Duration::from_millis(60));
        pair.server.ups()
    };
    for port in 0..3 {
        assert_eq!(knock(&mut pair, 1, 1000 + port), usize::from(port) + 1);
    }
    assert_eq!(knock(&mut pair, 1, 1003), 3, "one more than the limit");
    assert_eq!(dropped(&pair), [Overload::HandshakesOfAddress { max: 3 }]);
    assert_eq!(pair.server.endpoint.statistics().overloaded, 1);
    assert_eq!(knock(&mut pair, 2, 1000), 4, "another address");
    pair.pass(Duration::from_secs(1));
    assert!(knock(&mut pair, 1, 1004) > 4, "a second later");
    assert_eq!(pair.server.failures(), []);
}

#[test]
fn a_record_above_the_limit_is_dropped_and_clients_that_ask_are_told() {
    let limits = Limits {
        record_size_max: 100,
        ..Limits::default()
    };
    for asks in [None, Some(1 << 14)] {
        let mut pair = pair_with(limits);
        let (client, _) = pair.establish(ClientConfig {
            record_size_limit: asks,
            cid: lwm2m_dtls::CidOffer::None,
            ..client_config()
        });
        pair.send_from_client(client, &[7; 100]);
        let too_long = pair.client.endpoint.send(pair.now, client, &[8; 101]);
        let told = asks.is_some();
        assert_eq!(too_long.is_err(), told, "{too_long:?}");
        pair.send_from_client(client, &[9; 99]);
        pair.run();
        let lengths: Vec<usize> = pair.server.texts().iter().map(|text| text.len()).collect();
        assert_eq!(lengths, [100, 99]);
        assert_eq!(pair.server.endpoint.statistics().discarded > 0, !told);
    }
}
