//! Every limit, at one more than it allows.

use lwm2m_coap::{
    Block, BlockSize, Code, Config, Endpoint, Event, MessageType, OptionNumber, OutgoingRequest,
    RequestError, Response,
};
use std::time::Instant;

use crate::pair::{Network, Pair, Seen, Side, built, get};

use MessageType::{Acknowledgement, Confirmable, NonConfirmable, Reset};

fn device(config: Config) -> Pair {
    let mut pair = Pair::with(1, Network::CALM, Config::default(), config);
    pair.device.service = Some(Box::new(|_| Some(Response::new(Code::CHANGED))));
    pair
}

/// What the device sends upon a datagram.
fn reaction(pair: &mut Pair, datagram: &[u8]) -> Option<(MessageType, Code)> {
    pair.device.sent.clear();
    pair.inject(Side::Device, datagram);
    pair.flush();
    pair.headers(Side::Device).pop()
}

#[test]
fn a_token_longer_than_allowed_is_reset() {
    let mut pair = device(Config {
        token_max: 20,
        ..Config::default()
    });
    let request = |message_type, length: usize| {
        built(
            message_type,
            Code::POST,
            length as u16,
            &vec![1; length],
            |b| b,
        )
    };
    let at = request(Confirmable, 20);
    assert_eq!(
        reaction(&mut pair, &at),
        Some((Acknowledgement, Code::CHANGED))
    );
    let above = request(Confirmable, 21);
    assert_eq!(reaction(&mut pair, &above), Some((Reset, Code::EMPTY)));
    assert_eq!(reaction(&mut pair, &request(NonConfirmable, 21)), None);
    assert_eq!(pair.take_requests(Side::Device).len(), 1);
}

#[test]
fn more_options_than_allowed_are_a_bad_request() {
    let mut pair = device(Config {
        options_max: 10,
        ..Config::default()
    });
    for (count, code) in [(10, Code::CHANGED), (11, Code::BAD_REQUEST)] {
        let request = built(Confirmable, Code::POST, count, b"", |mut draft| {
            for _ in 0..count {
                draft = draft.option(OptionNumber::URI_QUERY, b"q");
            }
            draft
        });
        assert_eq!(reaction(&mut pair, &request), Some((Acknowledgement, code)));
    }
}

#[test]
fn more_bodies_than_allowed_take_the_place_of_the_oldest() {
    let config = Config {
        transfers_max: 3,
        transfers_per_peer_max: 2,
        ..Config::default()
    };
    let mut endpoint = Endpoint::<u32>::new(config, 1);
    let now = Instant::now();
    let mut block = |peer: u32, path: &[u8], number: u32| {
        let block = Block {
            number,
            more: true,
            size: BlockSize::at_most(16),
        };
        let message_id = u16::from(path[0]) << 8 | number as u16;
        let request = built(Confirmable, Code::PUT, message_id, b"", |b| {
            b.option(OptionNumber::URI_PATH, path)
                .uint(OptionNumber::BLOCK1, block.encode())
                .payload_of(&[0; 16])
        });
        endpoint.receive(now, peer, &request);
        Code(endpoint.poll_transmit().expect("an answer").datagram[1])
    };
    let gone = Code::REQUEST_ENTITY_INCOMPLETE;
    for path in [b"a", b"b", b"c"] {
        assert_eq!(block(1, path, 0), Code::CONTINUE);
    }
    assert_eq!(block(1, b"a", 1), gone);
    assert_eq!(block(2, b"a", 0), Code::CONTINUE);
    assert_eq!(block(3, b"a", 0), Code::CONTINUE);
    assert_eq!(block(1, b"b", 1), gone);
    assert_eq!(block(1, b"c", 1), Code::CONTINUE);
}

#[test]
fn the_oldest_remembered_message_goes_first() {
    let mut pair = device(Config {
        deduplication_max: 3,
        ..Config::default()
    });
    let request = |id| built(Confirmable, Code::POST, id, b"", |b| b);
    for id in 0..4 {
        reaction(&mut pair, &request(id));
    }
    assert_eq!(pair.take_requests(Side::Device).len(), 4);
    reaction(&mut pair, &request(1));
    assert_eq!(pair.take_requests(Side::Device).len(), 0);
    reaction(&mut pair, &request(0));
    assert_eq!(pair.take_requests(Side::Device).len(), 1);
}

#[test]
fn unacknowledged_notifications_are_bounded() {
    let mut pair = Pair::with(
        1,
        Network::CALM,
        Config::default(),
        Config {
            peer_queue_max: 2,
            ..Config::default()
        },
    );
    pair.request(get("3303"));
    pair.drive_s(1);
    let handle = pair.take_requests(Side::Device).remove(0).handle;
    let now = pair.now;
    let mut notify = |confirmable| {
        let response = Response::new(Code::CONTENT);
        let endpoint = &mut pair.device.endpoint;
        endpoint
            .notify(now, handle, confirmable, response)
            .map(|_| ())
    };
    assert_eq!(notify(true), Ok(()));
    assert_eq!(notify(true), Ok(()));
    assert_eq!(notify(true), Err(RequestError::QueueFull));
    assert_eq!(notify(false), Ok(()));
}

#[test]
fn separate_responses_beyond_the_limit_are_not_confirmable() {
    let mut pair = Pair::with(
        1,
        Network::CALM,
        Config::default(),
        Config {
            peer_queue_max: 2,
            ..Config::default()
        },
    );
    for id in 0..3 {
        let request = built(Confirmable, Code::GET, id, b"", |b| b);
        pair.inject(Side::Device, &request);
    }
    pair.drive_s(2);
    pair.device.sent.clear();
    pair.network.loss = 1.0;
    let now = pair.now;
    for asked in pair.take_requests(Side::Device) {
        let response = Response::new(Code::CONTENT);
        pair.device.endpoint.respond(now, asked.handle, response);
    }
    pair.flush();
    assert_eq!(
        pair.headers(Side::Device),
        [
            (Confirmable, Code::CONTENT),
            (Confirmable, Code::CONTENT),
            (NonConfirmable, Code::CONTENT)
        ]
    );
}

#[test]
fn what_no_message_can_carry_is_not_taken() {
    let mut endpoint = Endpoint::<u32>::new(Config::default(), 1);
    let now = Instant::now();
    let mut request = |request| endpoint.request(now, 1, request).map(|_| ());
    let value = vec![0; OptionNumber::VALUE_MAX + 1];
    let long = get("3").option(OptionNumber::URI_QUERY, value);
    assert_eq!(request(long), Err(RequestError::TooLarge));
    let mut blocks = OutgoingRequest::new(Code::PUT).payload(vec![0; 16 << 20]);
    blocks.block_size = Some(BlockSize::at_most(16));
    assert_eq!(request(blocks.clone()), Ok(()));
    blocks.payload = vec![0; (16 << 20) + 1].into();
    assert_eq!(request(blocks), Err(RequestError::TooLarge));
    let mut token = get("3");
    token.token = lwm2m_coap::Token::new(&[0; 9]);
    assert_eq!(request(token), Err(RequestError::Token));
}

#[test]
fn an_option_of_a_response_that_no_message_can_carry_is_an_error_of_ours() {
    let mut pair = device(Config::default());
    pair.device.service = Some(Box::new(|_| {
        let value = vec![0; OptionNumber::VALUE_MAX + 1];
        Some(Response::new(Code::CONTENT).option(OptionNumber::LOCATION_PATH, value))
    }));
    let request = built(Confirmable, Code::GET, 1, b"", |b| b);
    assert_eq!(
        reaction(&mut pair, &request),
        Some((Acknowledgement, Code::INTERNAL_SERVER_ERROR))
    );
}

#[test]
fn many_short_lived_timers_do_not_pile_up() {
    // 200 000 requests, each acknowledged at once and answered: their timers are swept.
    let mut endpoint = Endpoint::<u32>::new(Config::default(), 1);
    let now = Instant::now();
    for peer in 0..200_000 {
        let request = endpoint.request(now, peer % 100, get("3")).expect("taken");
        let asked = endpoint.poll_transmit().expect("sent").datagram;
        let mut answer = vec![0x68, 0x45, asked[2], asked[3]];
        answer.extend_from_slice(&asked[4..12]);
        assert!(matches!(
            endpoint.receive(now, peer % 100, &answer),
            Some(Event::Response(response)) if response.request == request
        ));
    }
    assert!(format!("{endpoint:?}").matches("Transmission(").count() < 10_000);
}

#[test]
fn a_flood_of_pings_leaves_no_state_and_is_answered_within_limits() {
    let mut pair = device(Config::default());
    let flood = |pair: &mut Pair| {
        pair.device.sent.clear();
        for id in 0..1000_u16 {
            let [high, low] = id.to_be_bytes();
            pair.inject(Side::Device, &[0x40, 0, high, low]);
        }
        pair.flush();
        pair.device.sent.len()
    };
    assert_eq!(flood(&mut pair), 100);
    assert_eq!(pair.device.endpoint.poll_timeout(), None);
    assert!(pair.device.seen.iter().all(|seen| *seen == Seen::Ping));
    pair.drive_s(1);
    assert_eq!(flood(&mut pair), 100);
}

#[test]
fn refusals_are_answered_within_limits() {
    let mut pair = device(Config::default());
    let bad = bytes::Bytes::from_static(&[0x40, 0x1f, 0, 1]);
    for _ in 0..101 {
        pair.inject(Side::Device, &bad);
    }
    pair.flush();
    let refused = [(Acknowledgement, Code::METHOD_NOT_ALLOWED); 100];
    assert_eq!(pair.headers(Side::Device), refused);
}
