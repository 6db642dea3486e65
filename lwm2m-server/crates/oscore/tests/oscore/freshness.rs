//! Replays, Echo after the loss of the window, notifications in their order, nonces used once.

use std::collections::HashSet;

use lwm2m_coap::{Code, OptionNumber};
use lwm2m_oscore::{
    DeriveError, Freshness, OscoreOption, PARTIAL_IV_MAX, ProtectError, ReplayState,
    SecurityContext, UnprotectError,
};

use crate::common::{answer, ask, context, hear, message, pair, parameters, parse, side, take};

fn get() -> Vec<u8> {
    message(Code::GET, &[(OptionNumber::URI_PATH, b"3")], &[])
}

fn observe() -> Vec<u8> {
    let options: [(OptionNumber, &[u8]); 2] =
        [(OptionNumber::OBSERVE, &[]), (OptionNumber::URI_PATH, b"3")];
    message(Code::GET, &options, &[])
}

fn content(observe: Option<&[u8]>, payload: &[u8]) -> Vec<u8> {
    let options = observe.map(|value| (OptionNumber::OBSERVE, value));
    message(Code::CONTENT, options.as_slice(), payload)
}

#[test]
fn a_request_is_taken_once_and_those_too_old_never() {
    let (mut device, mut server) = pair();
    let sent: Vec<Vec<u8>> = (0..40).map(|_| ask(&mut device, &get()).0).collect();
    for number in [39, 8, 20] {
        take(&mut server, &sent[number]).expect("new");
        assert_eq!(
            take(&mut server, &sent[number]),
            Err(UnprotectError::Replay)
        );
    }
    assert_eq!(take(&mut server, &sent[7]), Err(UnprotectError::Replay));
    assert_eq!(UnprotectError::Replay.code(), Code::UNAUTHORIZED);
}

/// Else a forged number would shut the device out.
#[test]
fn a_request_that_is_not_authentic_does_not_move_the_window() {
    let (mut device, mut server) = pair();
    let (good, _) = ask(&mut device, &get());
    let mut forged = good.clone();
    // The Partial IV, behind header, token, option header and flags.
    forged[8] = 0x77;
    assert_eq!(take(&mut server, &forged), Err(UnprotectError::Decryption));
    take(&mut server, &good).expect("as if nothing had been");
}

#[test]
fn an_unknown_window_is_opened_by_an_echo_and_by_nothing_else() {
    let (mut device, _) = pair();
    let shared = parameters("0102030405060708090a0b0c0d0e0f10", "9e7ca92223786340", None);
    let mut server =
        SecurityContext::derive(&side(&shared, b"srv", b"dev1"), ReplayState::Unknown, 500)
            .expect("parameters of a context");
    server.reserve(600);

    let (first, mut binding) = ask(&mut device, &get());
    let (_, request) = take(&mut server, &first).expect("authentic");
    assert_eq!(request.freshness, Freshness::Unknown);
    let echo = server.challenge([7; 8]);
    assert_eq!(server.challenge([8; 8]), echo, "one stands at a time");
    let unauthorized = message(Code::UNAUTHORIZED, &[(OptionNumber::ECHO, &echo)], &[]);
    let challenged = answer(&mut server, &request.binding, &unauthorized);
    let option = parse(&challenged)
        .value(OptionNumber::OSCORE)
        .expect("protected");
    let own = OscoreOption::decode(option).expect("an option").partial_iv;
    assert_eq!(
        own.map(|own| own.number()),
        Some(500),
        "the request's nonce may be used already"
    );
    let heard = hear(&device, &mut binding, &challenged).expect("authentic");
    assert_eq!(parse(&heard).value(OptionNumber::ECHO), Some(&echo[..]));

    for wrong in [&[7u8; 7][..], &[9; 8], &[]] {
        let options = [
            (OptionNumber::URI_PATH, &b"3"[..]),
            (OptionNumber::ECHO, wrong),
        ];
        let (repeated, _) = ask(&mut device, &message(Code::GET, &options, &[]));
        let (_, request) = take(&mut server, &repeated).expect("authentic");
        assert_eq!(request.freshness, Freshness::Unknown, "{wrong:?}");
    }
    let options = [
        (OptionNumber::URI_PATH, &b"3"[..]),
        (OptionNumber::ECHO, &echo[..]),
    ];
    let (repeated, _) = ask(&mut device, &message(Code::GET, &options, &[]));
    let (_, request) = take(&mut server, &repeated).expect("authentic");
    assert_eq!(request.freshness, Freshness::Fresh);
    assert_eq!(take(&mut server, &first), Err(UnprotectError::Replay));
    assert_eq!(take(&mut server, &repeated), Err(UnprotectError::Replay));
    let (next, _) = ask(&mut device, &get());
    assert_eq!(
        take(&mut server, &next).expect("new").1.freshness,
        Freshness::Fresh
    );
}

#[test]
fn notifications_are_taken_in_their_order_and_each_once() {
    let (mut device, mut server) = pair();
    let (outer, mut binding) = ask(&mut server, &observe());
    assert_eq!(parse(&outer).code(), Code::FETCH);
    let (plain, request) = take(&mut device, &outer).expect("authentic");
    assert_eq!(plain, observe());
    let notify = |device: &mut SecurityContext, number: u8| {
        let plain = content(Some(&[number]), &[number]);
        answer(device, &request.binding, &plain)
    };
    let sent: Vec<Vec<u8>> = (1..=4).map(|number| notify(&mut device, number)).collect();
    assert_eq!(parse(&sent[0]).code(), Code::CONTENT);
    let mut sequence = Vec::new();
    for index in [0, 2] {
        let heard = hear(&server, &mut binding, &sent[index]).expect("newer");
        assert_eq!(parse(&heard).payload(), [index as u8 + 1]);
        sequence.push(parse(&heard).observe());
    }
    assert_eq!(sequence, [Some(0), Some(2)], "the Partial IV orders them");
    for older in [2, 1, 0] {
        let refused = hear(&server, &mut binding, &sent[older]);
        assert_eq!(refused, Err(UnprotectError::Stale));
    }
    hear(&server, &mut binding, &sent[3]).expect("newer");
}

#[test]
fn a_response_without_a_number_is_heard_once() {
    let (mut device, mut server) = pair();
    let (outer, mut binding) = ask(&mut server, &get());
    let (_, request) = take(&mut device, &outer).expect("authentic");
    let response = answer(&mut device, &request.binding, &content(None, b"1"));
    hear(&server, &mut binding, &response).expect("the response");
    let again = hear(&server, &mut binding, &response);
    assert_eq!(again, Err(UnprotectError::Stale));
}

/// A response is bound to its request: it does not answer another one.
#[test]
fn a_response_does_not_answer_another_request() {
    let (mut device, mut server) = pair();
    let (first, _) = ask(&mut server, &get());
    let (_, mut second) = ask(&mut server, &get());
    let (_, request) = take(&mut device, &first).expect("authentic");
    let response = answer(&mut device, &request.binding, &content(None, b"1"));
    let refused = hear(&server, &mut second, &response);
    assert_eq!(refused, Err(UnprotectError::Decryption));
}

#[test]
fn no_response_repeats_a_nonce() {
    let (mut device, mut server) = pair();
    let mut numbers = HashSet::new();
    let mut bare = 0;
    let requests: Vec<_> = (0..40).map(|_| ask(&mut device, &get()).0).collect();
    for outer in &requests {
        let (_, request) = take(&mut server, outer).expect("new");
        for _ in 0..3 {
            let response = answer(&mut server, &request.binding, &content(None, b"1"));
            let value = parse(&response)
                .value(OptionNumber::OSCORE)
                .expect("protected");
            match OscoreOption::decode(value).expect("an option").partial_iv {
                Some(own) => assert!(numbers.insert(own), "{own:?} twice"),
                None => bare += 1,
            }
        }
    }
    assert_eq!((bare, numbers.len()), (40, 80));
}

#[test]
fn nothing_is_protected_without_a_reserve_or_with_all_numbers_used() {
    let shared = parameters("00", "", None);
    let parameters = side(&shared, b"a", b"b");
    let mut context = context(&parameters, PARTIAL_IV_MAX);
    ask(&mut context, &get());
    let mut content = Vec::new();
    let refused = context.protect_request(&parse(&get()), &mut content);
    assert_eq!(refused.err(), Some(ProtectError::SequenceExhausted));

    let mut restarted = SecurityContext::derive(&parameters, ReplayState::Unknown, 64)
        .expect("parameters of a context");
    let refused = restarted.protect_request(&parse(&get()), &mut content);
    assert_eq!(refused.err(), Some(ProtectError::SequenceNotReserved));
    assert!(content.is_empty());
    restarted.reserve(65);
    assert_eq!(
        (restarted.sequence_next(), restarted.sequence_left()),
        (64, 1)
    );
    ask(&mut restarted, &get());
    assert_eq!(restarted.sequence_left(), 0);
}

#[test]
fn refuses_parameters_of_which_nonces_would_repeat() {
    let shared = parameters("00", "", None);
    let derive = |parameters| SecurityContext::derive(&parameters, ReplayState::Unused, 0).err();
    assert_eq!(
        derive(side(&shared, b"a", b"a")),
        Some(DeriveError::EqualIds)
    );
    let empty = parameters("", "", None);
    assert_eq!(
        derive(side(&empty, b"a", b"b")),
        Some(DeriveError::EmptySecret)
    );
}

#[test]
fn secrets_are_not_shown() {
    let shared = parameters("aabbccdd", "", None);
    let parameters = side(&shared, b"a", b"b");
    let shown = format!("{parameters:?} {:?}", context(&parameters, 0));
    assert!(shown.contains("61") && shown.contains("62"), "{shown}");
    for secret in ["aabb", "170", "204, 221"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn messages_that_cannot_be_protected_use_no_number() {
    let (mut device, _) = pair();
    for number in [OptionNumber::OSCORE, OptionNumber::PROXY_URI] {
        let plain = message(Code::GET, &[(number, b"x")], &[]);
        let refused = device.protect_request(&parse(&plain), &mut Vec::new());
        assert_eq!(refused.err(), Some(ProtectError::Option));
    }
    assert_eq!(device.sequence_next(), 0);
}
