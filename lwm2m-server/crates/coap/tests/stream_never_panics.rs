//! Whatever comes over a connection, however it is cut: no panic, and no message longer than the
//! peer takes.

use std::time::{Duration, Instant};

use lwm2m_coap::tcp::{Connection, ConnectionLimits, FrameBuilder, Incoming};
use lwm2m_coap::{Code, Config, Endpoint, Event, OptionNumber, OutgoingRequest, Response, Token};
use proptest::prelude::*;

/// The longest message that the peer takes when it says nothing else.
const PEER_MAX: usize = 1152;

#[derive(Debug, Clone)]
enum Move {
    /// Bytes without sense.
    Noise(Vec<u8>),
    /// A message: code, token, options, payload.
    Message(u8, u8, Vec<(u16, Vec<u8>)>, usize),
    /// An answer to the latest request of ours: code, options, payload.
    Answer(u8, Vec<(u16, Vec<u8>)>, usize),
    Ask(usize, bool),
    Respond(usize),
    Cancel,
    Wait(u32),
}

fn options() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    // Observe, paths, formats, both blocks, sizes, and what nobody knows.
    let number = prop_oneof![
        Just(6_u16),
        Just(11),
        Just(12),
        Just(23),
        Just(27),
        Just(60),
        any::<u16>()
    ];
    let option = (number, proptest::collection::vec(any::<u8>(), 0..4));
    proptest::collection::vec(option, 0..4).prop_map(|mut options| {
        options.sort();
        options
    })
}

fn moves() -> impl Strategy<Value = Move> {
    let code = || {
        prop_oneof![
            0_u8..8,
            Just(0x45),
            Just(0x5f),
            Just(0x88),
            0xe0_u8..0xe6,
            any::<u8>()
        ]
    };
    let length = || prop_oneof![0_usize..40, Just(1024), Just(2048), 0_usize..3000];
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Move::Noise),
        6 => (code(), 0_u8..3, options(), length())
            .prop_map(|(code, token, options, length)| Move::Message(code, token, options, length)),
        6 => (code(), options(), length())
            .prop_map(|(code, options, length)| Move::Answer(code, options, length)),
        3 => (length(), any::<bool>()).prop_map(|(length, observe)| Move::Ask(length, observe)),
        3 => length().prop_map(Move::Respond),
        1 => Just(Move::Cancel),
        1 => (0_u32..300_000).prop_map(Move::Wait),
    ]
}

fn frame(code: u8, token: &[u8], options: &[(u16, Vec<u8>)], length: usize) -> Vec<u8> {
    let token = Token::new(token).expect("short");
    let mut bytes = Vec::new();
    options
        .iter()
        .fold(
            FrameBuilder::new(&mut bytes, Code(code), &token),
            |frame, (number, value)| frame.option(OptionNumber(*number), value),
        )
        .payload(&vec![7; length]);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_stream_is_survived(
        seed in any::<u64>(),
        cut in 1_usize..2000,
        sequence in proptest::collection::vec(moves(), 0..40),
    ) {
        let mut now = Instant::now();
        let mut limits = ConnectionLimits::default();
        limits.message_max = 4096;
        let mut connection = Connection::new(now, limits);
        let mut endpoint = Endpoint::<u8>::new(Config::default(), seed);
        let (mut requests, mut handles, mut latest) = (Vec::new(), Vec::new(), Vec::new());
        // A peer that does blocks, and says nothing of its size.
        let mut input = vec![0x10, 0xe1, 0x40];
        let mut stands = true;
        for step in sequence {
            match step {
                Move::Noise(bytes) => input.extend(bytes),
                Move::Message(code, token, options, length) => {
                    input.extend(frame(code, &[token][..usize::from(token.min(1))], &options, length));
                }
                Move::Answer(code, options, length) => {
                    input.extend(frame(code, &latest, &options, length));
                }
                Move::Ask(length, observe) => {
                    let mut request = OutgoingRequest::new(Code::FETCH).payload(vec![3; length]);
                    request.observe = observe.then_some(true);
                    requests.extend(endpoint.request(now, 1, request));
                }
                Move::Respond(length) => {
                    if let Some(handle) = handles.pop() {
                        let response = Response::new(Code::CONTENT).payload(vec![5; length]);
                        endpoint.respond(now, handle, response.uint(OptionNumber::OBSERVE, 0));
                    }
                }
                Move::Cancel => {
                    if let Some(request) = requests.pop() {
                        endpoint.cancel(request);
                    }
                }
                Move::Wait(ms) => {
                    now += Duration::from_millis(u64::from(ms));
                    endpoint.handle_timeout(now);
                    stands &= connection.handle_timeout(now).is_ok();
                }
            }
            let bytes = std::mem::take(&mut input);
            for mut part in bytes.chunks(cut) {
                while stands {
                    match connection.receive(now, &mut part) {
                        Err(_) => stands = false,
                        Ok(Incoming::More) => break,
                        Ok(Incoming::Signal) => {}
                        Ok(Incoming::Capabilities(capabilities)) => {
                            let mut capabilities = capabilities;
                            capabilities.max_message_size = PEER_MAX as u32;
                            endpoint.connect(now, 1, capabilities);
                        }
                        Ok(Incoming::Message(frame)) => {
                            let event = endpoint.receive_frame(now, 1, frame);
                            if let Some(Event::Request(request)) = event {
                                handles.push(request.handle);
                            }
                        }
                    }
                }
            }
            if !stands {
                endpoint.forget_peer(1);
            }
            while let Some(transmit) = endpoint.poll_transmit() {
                prop_assert!(
                    !endpoint.is_connected(1) || transmit.datagram.len() <= PEER_MAX,
                    "{} bytes", transmit.datagram.len()
                );
                if let Ok(message) = lwm2m_coap::tcp::parse_frame(&transmit.datagram) {
                    latest = message.token().to_vec();
                    latest.truncate(Token::MAX);
                }
            }
            while endpoint.poll_event().is_some() {}
            connection.poll_transmit();
        }
    }
}
