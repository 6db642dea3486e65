//! What holds for all messages.

use lwm2m_coap::{Code, Message, OptionNumber};
use lwm2m_oscore::{OscoreOption, UnprotectError};
use proptest::prelude::*;

use crate::common::{answer, ask, hear, message, pair, parse, take};

const METHODS: [Code; 6] = [
    Code::GET,
    Code::POST,
    Code::PUT,
    Code::DELETE,
    Code::FETCH,
    Code::IPATCH,
];

const RESPONSES: [Code; 4] = [
    Code::CONTENT,
    Code::CHANGED,
    Code::NOT_FOUND,
    Code::CONTINUE,
];

/// Options of both classes, unknown ones too, but not those that cannot be protected.
fn options() -> impl Strategy<Value = Vec<(OptionNumber, Vec<u8>)>> {
    let number = prop_oneof![
        Just(3u16),
        Just(7),
        Just(11),
        Just(12),
        Just(15),
        Just(16),
        Just(23),
        Just(27),
        Just(39),
        Just(252),
        Just(258),
        500u16..60000,
    ];
    let option = (number, prop::collection::vec(any::<u8>(), 0..20));
    prop::collection::vec(option, 0..12).prop_map(|mut options| {
        options.sort_by_key(|(number, _)| *number);
        options
            .into_iter()
            .map(|(number, value)| (OptionNumber(number), value))
            .collect()
    })
}

fn built(
    code: Code,
    observe: bool,
    options: &[(OptionNumber, Vec<u8>)],
    payload: &[u8],
) -> Vec<u8> {
    let mut all: Vec<(OptionNumber, &[u8])> = options
        .iter()
        .map(|(number, value)| (*number, &value[..]))
        .collect();
    if observe {
        all.push((OptionNumber::OBSERVE, &[]));
        all.sort_by_key(|(number, _)| *number);
    }
    message(code, &all, payload)
}

proptest! {
    #[test]
    fn a_request_arrives_as_it_was(
        method in prop::sample::select(&METHODS[..]),
        observe: bool,
        options in options(),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (mut device, mut server) = pair();
        let plain = built(method, observe, &options, &payload);
        let (outer, _) = ask(&mut device, &plain);
        let expected = if observe { Code::FETCH } else { Code::POST };
        prop_assert_eq!(parse(&outer).code(), expected);
        let inside = [OptionNumber::URI_PATH, OptionNumber::URI_QUERY, OptionNumber::BLOCK1];
        for number in inside {
            prop_assert_eq!(parse(&outer).value(number), None);
        }
        prop_assert_eq!(take(&mut server, &outer).expect("authentic").0, plain);
    }

    #[test]
    fn a_response_arrives_as_it_was(
        code in prop::sample::select(&RESPONSES[..]),
        observe: bool,
        options in options(),
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (mut device, mut server) = pair();
        let (outer, mut binding) = ask(&mut server, &built(Code::GET, observe, &[], &[]));
        let (_, request) = take(&mut device, &outer).expect("authentic");
        // The first number of the device is 0, which is also the empty value of Observe.
        let plain = built(code, observe, &options, &payload);
        let outer = answer(&mut device, &request.binding, &plain);
        prop_assert_eq!(hear(&server, &mut binding, &outer).expect("authentic"), plain);
    }

    #[test]
    fn no_byte_of_what_is_protected_may_change(
        options in options(),
        payload in prop::collection::vec(any::<u8>(), 0..50),
        at: prop::sample::Index,
        by in 1u8..,
    ) {
        let (mut device, mut server) = pair();
        let plain = built(Code::POST, false, &options, &payload);
        let (outer, _) = ask(&mut device, &plain);
        let ciphertext = parse(&outer).payload().len();
        let mut changed = outer.clone();
        let at = outer.len() - 1 - at.index(ciphertext);
        changed[at] ^= by;
        prop_assert_eq!(take(&mut server, &changed), Err(UnprotectError::Decryption));

        let (_, request) = take(&mut server, &outer).expect("authentic");
        let mut response = answer(&mut server, &request.binding, &built(Code::CONTENT, false, &options, &payload));
        let at = response.len() - 1 - at % parse(&response).payload().len();
        response[at] ^= by;
        let (_, mut binding) = ask(&mut device, &plain);
        prop_assert_eq!(hear(&device, &mut binding, &response), Err(UnprotectError::Decryption));
    }

    #[test]
    fn no_byte_of_the_option_may_change(
        id in prop::collection::vec(any::<u8>(), 0..5),
        at: prop::sample::Index,
        by in 1u8..,
    ) {
        use crate::common::{context, parameters, side};
        prop_assume!(id != b"srv");
        let shared = parameters("0102", "03", Some("0405"));
        let mut device = context(&side(&shared, &id, b"srv"), 300);
        let mut server = context(&side(&shared, b"srv", &id), 0);
        let plain = built(Code::GET, false, &[], &[]);
        let (outer, _) = ask(&mut device, &plain);
        let value = parse(&outer).value(OptionNumber::OSCORE).expect("protected").to_vec();
        let at = at.index(value.len());
        let mut changed = value.clone();
        changed[at] ^= by;
        let outer = message(Code::POST, &[(OptionNumber::OSCORE, &changed)], parse(&outer).payload());
        // The kid and its context only choose the keys: that is the table's part.
        let same_number = OscoreOption::decode(&changed)
            .is_ok_and(|option| option.partial_iv.map(|own| own.number()) == Some(300) && option.kid.is_some());
        prop_assert_eq!(take(&mut server, &outer).is_ok(), same_number);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(
        value in prop::collection::vec(any::<u8>(), 0..20),
        payload in prop::collection::vec(any::<u8>(), 0..50),
        code: u8,
    ) {
        let (mut device, mut server) = pair();
        let forged = message(Code(code), &[(OptionNumber::OSCORE, &value)], &payload);
        let Ok(message) = Message::parse(&forged) else { return Ok(()) };
        let mut plain = Vec::new();
        prop_assert!(server.unprotect_request(&message, &payload, &mut plain).is_err());
        let (_, mut binding) = ask(&mut device, &built(Code::GET, false, &[], &[]));
        let heard = device.unprotect_response(&mut binding, &message, &payload, &mut plain);
        prop_assert!(heard.is_err() && plain.is_empty());
    }
}
