//! Datagrams that are no messages, or that nobody should send (N46).

use lwm2m_coap::{Code, MessageType};
use serde_json::Value as Json;

use super::random::Random;
use crate::peer::{Incoming, Peer};
use crate::site::{Site, V1_1};

/// The vectors of datagram transports: their names, bytes and reactions.
fn vectors() -> Vec<(String, Vec<u8>, Option<String>)> {
    let text = include_str!("../../../../lwm2m-server/crates/coap/tests/coap_vectors.json");
    let vectors: Json = serde_json::from_str(text).expect("the vectors are json");
    let list = vectors["vectors"].as_array().expect("a list");
    list.iter()
        .filter(|vector| vector["transport"] == "udp")
        .map(|vector| {
            let name = vector["name"].as_str().expect("a name").to_owned();
            let bytes = unhex(vector["hex"].as_str().expect("hex"));
            let reaction = vector["reaction"].as_str().map(str::to_owned);
            (name, bytes, reaction)
        })
        .collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ascii");
            u8::from_str_radix(pair, 16).expect("hex")
        })
        .collect()
}

const PING: [u8; 4] = [0x40, 0, 0x77, 0x77];

/// What the server sends before its answer to a ping that follows.
async fn reaction(peer: &Peer, datagram: &[u8]) -> Option<Incoming> {
    peer.send(datagram).await;
    peer.send(&PING).await;
    let first = peer.receive().await;
    if first.message_id == 0x7777 {
        assert_eq!(first.message_type, MessageType::Reset);
        return None;
    }
    let pong = peer.receive().await;
    assert_eq!(
        (pong.message_id, pong.message_type),
        (0x7777, MessageType::Reset)
    );
    Some(first)
}

#[tokio::test]
async fn malformed_datagrams_get_the_stated_reaction() {
    let site = Site::open(V1_1, |device| device).await;
    let mut count = 0;
    for (name, datagram, stated) in vectors() {
        let Some(stated) = stated else {
            continue;
        };
        count += 1;
        // Each from a peer of its own: a ping is remembered as a message of its peer.
        let peer = Peer::new(&site.server).await;
        let found = reaction(&peer, &datagram).await;
        let found = found.map(|message| {
            assert_eq!(message.message_id.to_be_bytes(), datagram[2..4], "{name}");
            (message.message_type, message.code)
        });
        let acknowledged = |code| Some((MessageType::Acknowledgement, code));
        let expected = match name.as_str() {
            // Tokens of nine bytes are known (RFC 8974), and Observe is elective: a request for
            // nothing that we have.
            "tkl-9-without-rfc8974" | "bad-observe-4-bytes" => acknowledged(Code::NOT_FOUND),
            _ if stated.starts_with("CON: RST") => Some((MessageType::Reset, Code::EMPTY)),
            _ if stated.contains("4.02") => acknowledged(Code::BAD_OPTION),
            _ if stated.contains("4.00") => acknowledged(Code::BAD_REQUEST),
            _ => None,
        };
        assert_eq!(found, expected, "{name}: {stated}");
    }
    assert_eq!(count, 22, "vectors with a reaction");
    assert_eq!(site.value("/3/0/16").await, "U");
}

/// Changes some bytes of a message, cuts it, or makes it longer.
fn mutate(random: &mut Random, message: &[u8]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] = random.byte(),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            _ => bytes.insert(at, random.byte()),
        }
    }
    bytes
}

#[tokio::test]
async fn twenty_thousand_random_datagrams() {
    const SOURCES: usize = 50;
    const ROUNDS: usize = 20;
    const BATCH: usize = 20;
    let mut site = Site::configured(
        V1_1,
        |config| {
            config.limits.registrations_max = 40;
            config.coap.transfers_max = 10;
            config.coap.deduplication_max = 500;
            // The pings below are answered by resets.
            config.limits.refusals_per_second = 0;
            config.coap.rejections_per_second_max = u16::MAX;
        },
        |device| device,
    )
    .await;
    let id = site.observe("/3/0/0", "").await;
    let messages: Vec<Vec<u8>> = vectors().into_iter().map(|(_, bytes, _)| bytes).collect();
    let mut random = Random::new(20_000);
    let mut sources = Vec::new();
    for _ in 0..SOURCES {
        sources.push(Peer::new(&site.server).await);
    }
    for round in 0..ROUNDS {
        for source in &sources {
            for _ in 0..BATCH {
                let datagram = match random.below(4) {
                    0 => random.bytes(64),
                    _ => {
                        let message = random.pick(&messages).clone();
                        mutate(&mut random, &message)
                    }
                };
                source.send(&datagram).await;
            }
            // The server has taken them when it answers what follows.
            let ping = [0x40, 0, 0xf0, round as u8];
            source.send(&ping).await;
            loop {
                let message = source.receive().await;
                if message.message_type == MessageType::Reset && message.datagram[2..] == ping[2..]
                {
                    break;
                }
            }
        }
        let name = format!("Round {round}");
        site.change("/3/0/0", name.clone()).await;
        while site.notified(id).await != [format!("/3/0/0={name}")] {}
        assert_eq!(site.value("/3/0/16").await, "U");
    }
    let sent = (SOURCES * ROUNDS * BATCH) as u64;
    let statistics = site.server.statistics();
    assert!(statistics.coap.received >= sent, "{statistics:?}");
    assert!(statistics.coap.malformed > sent / 10, "{statistics:?}");
    assert!(statistics.registrations <= 40, "{statistics:?}");
    site.device.update().await.expect("the device runs");
    site.updated().await;
}
