//! Block-wise transfer both ways (RFC 7959, RFC 9175 §3).

use bytes::Bytes;
use lwm2m_coap::{
    Block, BlockSize, Code, Config, Failure, Message, MessageType, OptionNumber, OutgoingRequest,
    Response,
};

use crate::pair::{Network, Pair, Seen, Side, built, content, get};

/// Bytes that differ from block to block.
fn body(length: usize) -> Bytes {
    (0..length).map(|at| (at / 16 + at) as u8).collect()
}

fn put(path: &'static str, body: Bytes) -> OutgoingRequest {
    OutgoingRequest::new(Code::PUT)
        .option(OptionNumber::URI_PATH, Bytes::from_static(path.as_bytes()))
        .payload(body)
}

fn block(number: u32, more: bool, bytes: usize) -> Block {
    Block {
        number,
        more,
        size: BlockSize::at_most(bytes),
    }
}

/// The only response or failure that the server saw.
fn outcome(pair: &Pair) -> &Seen {
    match &pair.server.seen[..] {
        [seen] => seen,
        seen => panic!("{seen:?}"),
    }
}

fn answered(code: Code, expected: &[u8]) -> impl Fn(&Seen) -> bool {
    let expected = expected.to_vec();
    move |seen| matches!(seen, Seen::Response { code: of, body, .. } if (*of, body) == (code, &expected))
}

fn small_blocks(bytes: usize) -> Config {
    Config {
        block_size: BlockSize::at_most(bytes),
        body_inline_max: bytes,
        ..Config::default()
    }
}

/// The Block options of what a side sent, requests or responses: (Block1, Block2).
fn blocks(pair: &Pair, side: Side) -> Vec<(Option<Block>, Option<Block>)> {
    let node = match side {
        Side::Server => &pair.server,
        Side::Device => &pair.device,
    };
    node.sent
        .iter()
        .map(|(_, datagram)| {
            let message = Message::parse(datagram).expect("ours");
            let of = |block: Option<Result<Block, _>>| block.map(|block| block.expect("ours"));
            (of(message.block1()), of(message.block2()))
        })
        .collect()
}

#[test]
fn a_body_of_a_request_arrives_in_blocks() {
    for length in [1, 1023, 1024, 1025, 2048, 5000] {
        let mut pair = Pair::new(1, Network::CALM);
        pair.device.service = Some(Box::new(|_| Some(Response::new(Code::CHANGED))));
        let request = put("5", body(length));
        pair.request(request);
        pair.drive();
        assert!(answered(Code::CHANGED, b"")(outcome(&pair)), "{length}");
        let requests = pair.take_requests(Side::Device);
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].body, body(length));
        let expected = length.div_ceil(1024);
        assert_eq!(pair.server.sent.len(), expected, "{length}");
        if expected > 1 {
            let first = Message::parse(&pair.server.sent[0].1).expect("ours");
            assert_eq!(first.uint(OptionNumber::SIZE1), Some(length as u32));
        }
    }
}

#[test]
fn a_body_of_a_response_arrives_in_blocks() {
    for length in [0, 1024, 1025, 2048, 70_000] {
        let mut pair = Pair::new(1, Network::CALM);
        pair.device.service = Some(content(body(length)));
        pair.request(get("5"));
        pair.drive();
        assert!(answered(Code::CONTENT, &body(length))(outcome(&pair)));
        assert_eq!(pair.take_requests(Side::Device).len(), 1);
        assert_eq!(pair.server.sent.len(), length.div_ceil(1024).max(1));
        if length > 1024 {
            let first = Message::parse(&pair.device.sent[0].1).expect("ours");
            assert_eq!(first.uint(OptionNumber::SIZE2), Some(length as u32));
            assert!(first.etag().is_some());
        }
    }
}

#[test]
fn a_receiver_may_ask_for_smaller_blocks() {
    let device = small_blocks(32);
    let mut pair = Pair::with(1, Network::CALM, small_blocks(64), device);
    pair.device.service = Some(Box::new(|_| Some(Response::new(Code::CHANGED))));
    pair.request(put("5", body(150)));
    pair.drive();
    assert!(answered(Code::CHANGED, b"")(outcome(&pair)));
    assert_eq!(pair.take_requests(Side::Device)[0].body, body(150));
    let sent = blocks(&pair, Side::Server);
    assert_eq!(sent[0].0, Some(block(0, true, 64)));
    assert_eq!(sent[1].0, Some(block(2, true, 32)));
    assert_eq!(sent.last().expect("blocks").0, Some(block(4, false, 32)));
    let echoes = blocks(&pair, Side::Device);
    assert_eq!(echoes[0].0, Some(block(0, true, 32)));
    assert_eq!(echoes.last().expect("echo").0, Some(block(4, false, 32)));
}

#[test]
fn a_requester_may_ask_for_smaller_blocks() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.device.service = Some(content(body(150)));
    let mut request = get("3");
    request.block_size = Some(BlockSize::at_most(64));
    pair.request(request);
    pair.drive();
    assert!(answered(Code::CONTENT, &body(150))(outcome(&pair)));
    let asked = blocks(&pair, Side::Server);
    let expected = [0, 1, 2].map(|number| (None, Some(block(number, false, 64))));
    assert_eq!(asked, expected);
}

#[test]
fn a_large_fetch_gets_a_large_answer() {
    let config = small_blocks(64);
    let mut pair = Pair::with(1, Network::CALM, config.clone(), config);
    pair.device.service = Some(content(body(200)));
    let request = OutgoingRequest::new(Code::FETCH)
        .uint(OptionNumber::CONTENT_FORMAT, 112)
        .uint(OptionNumber::ACCEPT, 112)
        .payload(body(130));
    pair.request(request);
    pair.drive();
    assert!(answered(Code::CONTENT, &body(200))(outcome(&pair)));
    let requests = pair.take_requests(Side::Device);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].body, body(130));
    // Block1 0, 1, 2, then Block2 1, 2, 3 with the same options and without payload.
    let asked = blocks(&pair, Side::Server);
    assert_eq!(asked[2].0, Some(block(2, false, 64)));
    assert_eq!(asked[3], (None, Some(block(1, false, 64))));
    assert_eq!(asked.len(), 6);
    let follow = Message::parse(&pair.server.sent[3].1).expect("ours");
    assert_eq!(follow.code(), Code::FETCH);
    assert_eq!(
        (follow.content_format(), follow.accept()),
        (Some(112), Some(112))
    );
    assert!(follow.payload().is_empty());
    let first = Message::parse(&pair.server.sent[0].1).expect("ours");
    assert_ne!(first.token(), follow.token());
    let echo = blocks(&pair, Side::Device);
    assert_eq!(
        echo[2],
        (Some(block(2, false, 64)), Some(block(0, true, 64)))
    );
}

#[test]
fn a_body_one_byte_too_large_is_refused_with_the_limit() {
    let device = Config {
        body_max: 2000,
        ..Config::default()
    };
    for (length, code) in [
        (2000, Code::CHANGED),
        (2001, Code::REQUEST_ENTITY_TOO_LARGE),
    ] {
        let mut pair = Pair::with(1, Network::CALM, Config::default(), device.clone());
        pair.device.service = Some(Box::new(|_| Some(Response::new(Code::CHANGED))));
        pair.request(put("5", body(length)));
        pair.drive();
        assert!(answered(code, b"")(outcome(&pair)));
        let last = &pair.device.sent.last().expect("an answer").1;
        let limit = Message::parse(last)
            .expect("ours")
            .uint(OptionNumber::SIZE1);
        assert_eq!(limit, (length > 2000).then_some(2000));
    }
}

#[test]
fn a_response_one_byte_too_large_fails() {
    let server = Config {
        body_max: 2000,
        ..Config::default()
    };
    let mut pair = Pair::with(1, Network::CALM, server.clone(), Config::default());
    pair.device.service = Some(content(body(2000)));
    pair.request(get("5"));
    pair.drive();
    assert!(answered(Code::CONTENT, &body(2000))(outcome(&pair)));

    let mut pair = Pair::with(1, Network::CALM, server, Config::default());
    pair.device.service = Some(content(body(2001)));
    let request = pair.request(get("5"));
    pair.drive();
    let failure = Failure::Block("the body exceeds the limit");
    assert_eq!(*outcome(&pair), Seen::Failed(request, failure));
}

#[test]
fn a_lost_body_starts_over() {
    let mut pair = Pair::with(1, Network::CALM, small_blocks(64), Config::default());
    pair.request(put("5", body(200)));
    let answer = |pair: &mut Pair, code, echo: Block| {
        pair.answer_latest(code, |b| b.uint(OptionNumber::BLOCK1, echo.encode()))
    };
    answer(&mut pair, Code::CONTINUE, block(0, true, 64));
    answer(
        &mut pair,
        Code::REQUEST_ENTITY_INCOMPLETE,
        block(1, true, 64),
    );
    let again = blocks(&pair, Side::Server).pop().expect("sent");
    assert_eq!(again.0, Some(block(0, true, 64)));
    // 4.13 with a smaller size starts over with that size.
    answer(
        &mut pair,
        Code::REQUEST_ENTITY_TOO_LARGE,
        block(0, true, 16),
    );
    let again = blocks(&pair, Side::Server).pop().expect("sent");
    assert_eq!(again.0, Some(block(0, true, 16)));
    // The application hears of an error that no start over helps.
    answer(&mut pair, Code::FORBIDDEN, block(0, true, 16));
    assert!(answered(Code::FORBIDDEN, b"")(outcome(&pair)));
}

#[test]
fn a_changed_body_is_fetched_anew() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.request(get("5"));
    let answer = |pair: &mut Pair, number, more, etag: &'static [u8], fill: u8| {
        pair.answer_latest(Code::CONTENT, move |builder| {
            builder
                .option(OptionNumber::ETAG, etag)
                .uint(OptionNumber::BLOCK2, block(number, more, 16).encode())
                .payload_of(&[fill; 16])
        });
    };
    answer(&mut pair, 0, true, b"old", 1);
    answer(&mut pair, 1, true, b"new", 3);
    let asked = blocks(&pair, Side::Server).pop().expect("sent");
    assert_eq!(asked.1, Some(block(0, false, 16)));
    answer(&mut pair, 0, true, b"new", 2);
    answer(&mut pair, 1, false, b"new", 3);
    let expected = [[2; 16], [3; 16]].concat();
    assert!(answered(Code::CONTENT, &expected)(outcome(&pair)));
}

#[test]
fn endless_blocks_end_at_the_limit() {
    let server = Config {
        body_max: 256,
        ..Config::default()
    };
    let mut pair = Pair::with(1, Network::CALM, server, Config::default());
    let request = pair.request(get("5"));
    for number in 0..17 {
        assert_eq!(pair.server.seen, []);
        pair.answer_latest(Code::CONTENT, move |builder| {
            builder
                .uint(OptionNumber::BLOCK2, block(number, true, 16).encode())
                .payload_of(&[0; 16])
        });
    }
    let failure = Failure::Block("the body exceeds the limit");
    assert_eq!(*outcome(&pair), Seen::Failed(request, failure));
}

#[test]
fn blocks_beyond_the_end_are_a_bad_option() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.device.service = Some(content(body(3000)));
    // Resuming at a later block works without the first.
    for (number, code, length) in [(2, Code::CONTENT, 952), (3, Code::BAD_OPTION, 0)] {
        let request = built(
            MessageType::Confirmable,
            Code::GET,
            number as u16,
            b"t",
            |b| {
                b.option(OptionNumber::URI_PATH, b"5")
                    .uint(OptionNumber::BLOCK2, block(number, false, 1024).encode())
            },
        );
        pair.inject(Side::Device, &request);
        pair.flush();
        let answer = pair.device.sent.last().expect("an answer").1.clone();
        let answer = Message::parse(&answer).expect("ours");
        assert_eq!((answer.code(), answer.payload().len()), (code, length));
    }
}

#[test]
fn bodies_with_different_request_tags_are_apart() {
    let mut pair = Pair::new(1, Network::CALM);
    pair.device.service = Some(Box::new(|_| Some(Response::new(Code::CHANGED))));
    let mut id = 0;
    let mut send = |pair: &mut Pair, tag: Option<&'static [u8]>, number, more, fill: u8| {
        id += 1;
        let request = built(MessageType::Confirmable, Code::PUT, id, b"t", |builder| {
            let builder = builder
                .option(OptionNumber::URI_PATH, b"5")
                .uint(OptionNumber::BLOCK1, block(number, more, 16).encode());
            let builder = match tag {
                Some(tag) => builder.option(OptionNumber::REQUEST_TAG, tag),
                None => builder,
            };
            builder.payload_of(&[fill; 16])
        });
        pair.inject(Side::Device, &request);
        pair.flush();
        let answer = pair.device.sent.last().expect("an answer").1.clone();
        Message::parse(&answer).expect("ours").code()
    };
    for (tag, fill) in [(None, 1), (Some(&b""[..]), 2), (Some(&b"a"[..]), 3)] {
        assert_eq!(send(&mut pair, tag, 0, true, fill), Code::CONTINUE);
    }
    for (tag, fill) in [(None, 1), (Some(&b""[..]), 2), (Some(&b"a"[..]), 3)] {
        assert_eq!(send(&mut pair, tag, 1, false, fill), Code::CHANGED);
    }
    let bodies = pair.take_requests(Side::Device);
    let bodies: Vec<_> = bodies.into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [[1; 32], [2; 32], [3; 32]]);
    // Nothing is left of them.
    assert_eq!(
        send(&mut pair, None, 1, false, 1),
        Code::REQUEST_ENTITY_INCOMPLETE
    );
}

#[test]
fn an_unfinished_body_is_dropped_after_the_exchange_lifetime() {
    for (seconds, code) in [(246, Code::CHANGED), (248, Code::REQUEST_ENTITY_INCOMPLETE)] {
        let mut pair = Pair::new(1, Network::CALM);
        pair.device.service = Some(Box::new(|_| Some(Response::new(Code::CHANGED))));
        let part = |number, more| {
            built(
                MessageType::Confirmable,
                Code::PUT,
                number as u16,
                b"t",
                |b| {
                    b.uint(OptionNumber::BLOCK1, block(number, more, 16).encode())
                        .payload_of(&[1; 16])
                },
            )
        };
        pair.inject(Side::Device, &part(0, true));
        pair.drive_s(seconds);
        pair.inject(Side::Device, &part(1, false));
        pair.flush();
        let answer = pair.device.sent.last().expect("an answer").1.clone();
        assert_eq!(Message::parse(&answer).expect("ours").code(), code);
    }
}
