//! Serving requests and taking notifications allocates next to nothing.

use std::time::{Duration, Instant};

use lwm2m_coap::{
    Code, Config, Endpoint, Event, MessageBuilder, MessageType, OptionNumber, OutgoingRequest,
    Response, Token,
};

fn request(message_id: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let message_type = MessageType::Confirmable;
    let token = Token::new(&message_id.to_be_bytes()).expect("short");
    MessageBuilder::new(&mut out, message_type, Code::POST, message_id, &token)
        .option(OptionNumber::URI_PATH, b"rd")
        .option(OptionNumber::URI_PATH, b"5a3f")
        .finish();
    out
}

#[test]
fn a_request_costs_an_allocation_in_a_hundred() {
    let config = Config {
        deduplication_max: 1000,
        ..Config::default()
    };
    let mut endpoint = Endpoint::<u64>::new(config, 1);
    let now = Instant::now();
    let mut serve = |requests: &[Vec<u8>]| {
        for (peer, datagram) in requests.iter().enumerate() {
            let Some(Event::Request(request)) = endpoint.receive(now, peer as u64, datagram) else {
                panic!("a request");
            };
            endpoint.respond(now, request.handle, Response::new(Code::CHANGED));
            assert!(endpoint.poll_transmit().is_some());
        }
    };
    let requests: Vec<_> = (0..4000).map(request).collect();
    serve(&requests[..2000]);
    let count = allocation_counter::measure(|| serve(&requests[2000..]));
    // Chunks of 8 KiB, which hold hundreds of answers, and nothing for each message.
    assert!(count.count_total <= 20, "{}", count.count_total);
}

#[test]
fn a_notification_costs_none() {
    let mut endpoint = Endpoint::<u64>::new(Config::default(), 1);
    let now = Instant::now();
    let mut observe = OutgoingRequest::new(Code::GET).option(OptionNumber::URI_PATH, &b"3303"[..]);
    observe.observe = Some(true);
    endpoint.request(now, 1, observe).expect("taken");
    let asked = endpoint.poll_transmit().expect("sent").datagram;
    let mut message = vec![0x68, 0x45, asked[2], asked[3]];
    message.extend_from_slice(&asked[4..12]);
    message.extend_from_slice(&[0x62, 0, 0]);
    endpoint.receive(now, 1, &message).expect("established");
    message[0] = 0x58;
    let count = allocation_counter::measure(|| {
        for sequence in 1..2000_u16 {
            message[13..15].copy_from_slice(&sequence.to_be_bytes());
            let event = endpoint.receive(now, 1, &message);
            assert!(matches!(event, Some(Event::Notification(_))));
        }
    });
    assert_eq!(count.count_total, 0);
}

#[test]
fn an_observation_costs_a_bounded_number_of_bytes() {
    let now = Instant::now();
    let mut endpoint = Endpoint::<u64>::new(Config::default(), 1);
    let peers = 8192;
    let count = allocation_counter::measure(|| {
        for peer in 0..peers {
            let path = OptionNumber::URI_PATH;
            let mut observe = OutgoingRequest::new(Code::GET).option(path, &b"3303"[..]);
            observe.observe = Some(true);
            endpoint.request(now, peer, observe).expect("taken");
            let asked = endpoint.poll_transmit().expect("sent").datagram;
            let mut answer = vec![0x68, 0x45, asked[2], asked[3]];
            answer.extend_from_slice(&asked[4..12]);
            answer.extend_from_slice(&[0x61, 1]);
            endpoint.receive(now, peer, &answer).expect("established");
        }
        // Timers of requests that have ended are gone.
        endpoint.handle_timeout(now + Duration::from_secs(300));
    });
    let each = count.bytes_current as u64 / peers;
    // The peer, the observation, and the slack of tables that double.
    assert!(each <= 320, "{each} bytes");
    assert_eq!(endpoint.peer_status(7).observations, 1);
}
