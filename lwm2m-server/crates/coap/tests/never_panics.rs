//! Whatever comes in whatever order: no panic, no event that was not asked for, bounded answers.

use std::time::{Duration, Instant};

use bytes::Bytes;
use lwm2m_coap::{
    BlockSize, Code, Config, Endpoint, Event, OptionNumber, OutgoingRequest, Response,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Move {
    /// Bytes without sense.
    Noise(Vec<u8>),
    /// A header that makes sense, then bytes that may.
    Message(u8, u8, u8, Vec<u8>),
    /// The latest datagrams of the endpoint come back, changed at one place.
    Echo(usize, usize, u8),
    /// A response to the latest request, with these options and payload.
    Answer(u8, Vec<u8>),
    Ask(u8, usize, bool),
    Respond(u8, usize),
    Notify(bool, usize),
    Cancel(usize),
    Rename(u8, u8),
    Forget(u8),
    Wait(u32),
}

fn moves() -> impl Strategy<Value = Move> {
    let code = prop_oneof![
        0_u8..8,
        Just(0x45),
        Just(0x44),
        Just(0x5f),
        Just(0x88),
        Just(0x8d),
        any::<u8>()
    ];
    // Fragments that look like options: Observe, Block2, Block1, ETag, paths.
    let option = prop_oneof![
        (0_u8..4).prop_map(|n| vec![0x61, n]),
        any::<u8>().prop_map(|value| vec![0xd1, 10, value]),
        any::<u8>().prop_map(|value| vec![0xd1, 14, value]),
        any::<(u8, u8)>().prop_map(|(a, b)| vec![0x62, a, b]),
        Just(vec![0xb1, b'3']),
        (1_usize..70).prop_map(|length| [vec![0xff], vec![7; length]].concat()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    let tail = || {
        let option = option.clone();
        proptest::collection::vec(option, 0..4).prop_map(|parts| parts.concat())
    };
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Move::Noise),
        (0x40_u8..0x80, code.clone(), 0_u8..4, tail())
            .prop_map(|(first, code, id, rest)| Move::Message(first, code, id, rest)),
        (0_usize..4, 0_usize..40, any::<u8>()).prop_map(|(n, at, bits)| Move::Echo(n, at, bits)),
        (code, tail()).prop_map(|(code, rest)| Move::Answer(code, rest)),
        (0_u8..3, 0_usize..200, any::<bool>()).prop_map(|(p, l, o)| Move::Ask(p, l, o)),
        (any::<u8>(), 0_usize..200).prop_map(|(code, length)| Move::Respond(code, length)),
        (any::<bool>(), 0_usize..200).prop_map(|(con, length)| Move::Notify(con, length)),
        (0_usize..4).prop_map(Move::Cancel),
        (0_u8..3, 0_u8..3).prop_map(|(from, to)| Move::Rename(from, to)),
        (0_u8..3).prop_map(Move::Forget),
        (0_u32..300_000).prop_map(Move::Wait),
    ]
}

fn config() -> Config {
    Config {
        block_size: BlockSize::at_most(16),
        body_inline_max: 32,
        body_max: 128,
        transfers_max: 2,
        deduplication_max: 4,
        peer_queue_max: 2,
        nstart: 2,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn any_sequence_is_survived(
        seed in any::<u64>(),
        sequence in proptest::collection::vec((0_u8..3, moves()), 0..60),
    ) {
        let mut endpoint = Endpoint::<u8>::new(config(), seed);
        let mut now = Instant::now();
        let (mut sent, mut requests, mut handles) = (Vec::<Bytes>::new(), Vec::new(), Vec::new());
        for (peer, step) in sequence {
            let mut input = None;
            match step {
                Move::Noise(bytes) => input = Some(bytes),
                Move::Message(first, code, id, rest) => {
                    let mut message = vec![first & 0xf2, code, 0, id];
                    message.extend_from_slice(&[1, 2][..usize::from(first & 2)]);
                    message.extend(rest);
                    input = Some(message);
                }
                Move::Echo(back, at, bits) => {
                    input = sent.iter().rev().nth(back).map(|sent| {
                        let mut bytes = sent.to_vec();
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte ^= bits;
                        }
                        bytes
                    });
                }
                Move::Answer(code, rest) => {
                    let ask = |sent: &&Bytes| matches!(sent[1], 1..=7) && sent[0] & 0xf == 8;
                    input = sent.iter().rev().find(ask).map(|asked| {
                        let mut answer = vec![0x68, code, asked[2], asked[3]];
                        answer.extend_from_slice(&asked[4..12]);
                        answer.extend(rest);
                        answer
                    });
                }
                Move::Ask(method, length, observes) => {
                    let mut request = OutgoingRequest::new(Code([1, 3, 5][usize::from(method)]))
                        .option(OptionNumber::URI_PATH, &b"3"[..])
                        .payload(vec![9; length]);
                    request.observe = observes.then_some(true);
                    requests.extend(endpoint.request(now, peer, request));
                }
                Move::Respond(code, length) => {
                    if let Some(handle) = handles.pop() {
                        let response = Response::new(Code(code)).payload(vec![8; length]);
                        endpoint.respond(now, handle, response.uint(OptionNumber::OBSERVE, 1));
                        handles.insert(0, handle);
                    }
                }
                Move::Notify(confirmable, length) => {
                    if let Some(handle) = handles.last() {
                        let response = Response::new(Code::CONTENT).payload(vec![8; length]);
                        let _ = endpoint.notify(now, *handle, confirmable, response);
                    }
                }
                Move::Cancel(back) => {
                    if let Some(request) = requests.iter().rev().nth(back) {
                        endpoint.cancel(*request);
                    }
                }
                Move::Rename(from, to) => endpoint.move_peer(from, to),
                Move::Forget(peer) => endpoint.forget_peer(peer),
                Move::Wait(ms) => {
                    now += Duration::from_millis(u64::from(ms));
                    endpoint.handle_timeout(now);
                }
            }
            if let Some(bytes) = input {
                if let Some(Event::Request(request)) = endpoint.receive(now, peer, &bytes) {
                    handles.push(request.handle);
                }
                // One answer to the datagram, and what it sets free: NSTART requests.
                let answers = std::iter::from_fn(|| endpoint.poll_transmit());
                let answers: Vec<_> = answers.map(|transmit| transmit.datagram).collect();
                prop_assert!(answers.len() <= 3, "{} answers", answers.len());
                sent.extend(answers);
            }
            sent.extend(std::iter::from_fn(|| endpoint.poll_transmit()).map(|sent| sent.datagram));
            while endpoint.poll_event().is_some() {}
        }
        // All comes to rest, except observations.
        for _ in 0..10_000 {
            let Some(at) = endpoint.poll_timeout() else {
                break;
            };
            endpoint.handle_timeout(at);
            while endpoint.poll_transmit().is_some() {}
        }
        prop_assert_eq!(endpoint.poll_timeout(), None);
        for peer in 0..3 {
            let status = endpoint.peer_status(peer);
            prop_assert_eq!((status.outstanding, status.queued), (0, 0));
        }
    }
}
