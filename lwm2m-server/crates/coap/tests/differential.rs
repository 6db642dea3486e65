//! Our parser and builder against `coap-lite`, on packets that it writes and on damaged bytes.
//!
//! Where the two differ, ours is stricter. [`Difference`] lists all cases, each with its reason;
//! any other difference fails.

use std::collections::LinkedList;

use coap_lite::{CoapOption, MessageType as PacketType, Packet};
use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, ParseErrorKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn packets_read_the_same(packet in packets()) {
        let bytes = packet.to_bytes_unlimited().expect("a valid packet");
        let message = Message::parse(&bytes);
        prop_assert!(message.is_ok(), "{:?}", message);
        let message = message.expect("checked");
        same_fields(&message, &packet)?;
        prop_assert_eq!(message.to_packet(), Ok(packet.clone()));

        let mut written = Vec::new();
        MessageBuilder::from_packet(&packet, &mut written).expect("a valid packet");
        prop_assert_eq!(written, bytes);
    }

    #[test]
    fn damaged_bytes_read_the_same(packet in packets(), damages in vec(damages(), 1..6)) {
        let mut bytes = packet.to_bytes_unlimited().expect("a valid packet");
        for damage in damages {
            damage.apply(&mut bytes);
        }
        same_verdict(&bytes)?;
    }

    #[test]
    fn any_bytes_read_the_same(bytes in vec(any::<u8>(), 0..64)) {
        same_verdict(&bytes)?;
    }

    /// Random bytes are mostly refused at once: give them a header that is in order.
    #[test]
    fn any_options_read_the_same(
        token_length in 0_u8..=15,
        rest in vec(prop_oneof![any::<u8>(), 0xd0_u8..=0xef, Just(0xff)], 0..48),
    ) {
        let mut bytes = vec![0x40 | token_length, 1, 0, 1];
        bytes.extend(rest);
        same_verdict(&bytes)?;
    }
}

fn same_verdict(bytes: &[u8]) -> Result<(), TestCaseError> {
    match (Message::parse(bytes), Packet::from_bytes(bytes)) {
        (Ok(message), Ok(packet)) => same_fields(&message, &packet),
        (Err(_), Err(_)) => Ok(()),
        (Ok(message), Err(error)) => {
            prop_assert!(
                Difference::of_accepted(&message).is_some(),
                "only we accept {:02x?}: {:?}",
                bytes,
                error
            );
            Ok(())
        }
        (Err(error), Ok(packet)) => {
            prop_assert!(
                Difference::of_refused(error.kind(), bytes, &packet).is_some(),
                "only we refuse {:02x?}: {}",
                bytes,
                error
            );
            Ok(())
        }
    }
}

/// Where we read a datagram differently from `coap-lite` 0.13.
#[derive(Debug, PartialEq)]
enum Difference {
    /// It reads a datagram of any version; RFC 7252 §3: unknown versions are ignored in silence.
    Version,
    /// It takes a marker at the end as an empty payload; RFC 7252 §3: a format error.
    MarkerWithoutPayload,
    /// It reads an Empty message with a token, options or a payload; RFC 7252 §4.1: a format
    /// error.
    EmptyWithContent,
    /// It does not look at which codes go with which types; RFC 7252 §4.2, §4.3 and table 1.
    CodeAndType,
    /// It reads classes without a meaning: 1, 6 and 7 are reserved (RFC 7252 §12.1), 3 has no
    /// codes assigned.
    ReservedClass,
    /// It knows tokens of 8 bytes at most; RFC 8974 §2.1 extends them.
    ExtendedToken,
    /// It adds the extended length in 16 bits, so that it refuses values above 65535 bytes;
    /// RFC 7252 §3.1 goes up to 65804.
    LongValue,
}

impl Difference {
    fn of_refused(kind: ParseErrorKind, bytes: &[u8], packet: &Packet) -> Option<Difference> {
        let code = Code(packet.header.code.into());
        let found = match kind {
            ParseErrorKind::Version if bytes[0] >> 6 != 1 => Difference::Version,
            ParseErrorKind::MarkerWithoutPayload if bytes.last() == Some(&0xff) => {
                Difference::MarkerWithoutPayload
            }
            ParseErrorKind::EmptyWithContent if code == Code::EMPTY && bytes.len() > 4 => {
                Difference::EmptyWithContent
            }
            ParseErrorKind::EmptyNonConfirmable
            | ParseErrorKind::ResetWithContent
            | ParseErrorKind::AcknowledgedRequest
                if packet.header.get_type() != PacketType::Confirmable =>
            {
                Difference::CodeAndType
            }
            ParseErrorKind::ReservedClass if matches!(code.class(), 1 | 3 | 6 | 7) => {
                Difference::ReservedClass
            }
            _ => return None,
        };
        Some(found)
    }

    fn of_accepted(message: &Message<'_>) -> Option<Difference> {
        if message.token().len() > 8 {
            Some(Difference::ExtendedToken)
        } else if message.options().any(|option| option.value.len() > 65535) {
            Some(Difference::LongValue)
        } else {
            None
        }
    }
}

#[test]
fn each_difference_exists() {
    let refused = |bytes: &[u8]| {
        let error = Message::parse(bytes).expect_err("refused by us");
        let packet = Packet::from_bytes(bytes).expect("accepted by coap-lite");
        Difference::of_refused(error.kind(), bytes, &packet)
    };
    assert_eq!(refused(&[0x80, 1, 0, 1]), Some(Difference::Version));
    assert_eq!(
        refused(&[0x40, 1, 0, 1, 0xff]),
        Some(Difference::MarkerWithoutPayload)
    );
    for content in [&[0x41, 0, 0, 1, 9][..], &[0x40, 0, 0, 1, 0xff, 9]] {
        assert_eq!(refused(content), Some(Difference::EmptyWithContent));
    }
    for mismatch in [[0x50, 0, 0, 1], [0x60, 1, 0, 1], [0x70, 0x45, 0, 1]] {
        assert_eq!(refused(&mismatch), Some(Difference::CodeAndType));
    }
    for code in [0x20, 0x60, 0xc0, 0xe1] {
        assert_eq!(
            refused(&[0x40, code, 0, 1]),
            Some(Difference::ReservedClass)
        );
    }

    let accepted = |bytes: &[u8]| {
        Packet::from_bytes(bytes).expect_err("refused by coap-lite");
        Difference::of_accepted(&Message::parse(bytes).expect("accepted by us"))
    };
    let extended = [0x49, 1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    assert_eq!(accepted(&extended), Some(Difference::ExtendedToken));
    let mut long = vec![0x40, 1, 0, 1, 0x0e, 0xff, 0xff];
    long.resize(long.len() + 65804, 0);
    assert_eq!(accepted(&long), Some(Difference::LongValue));
}

fn same_fields(message: &Message<'_>, packet: &Packet) -> Result<(), TestCaseError> {
    let message_type = match packet.header.get_type() {
        PacketType::Confirmable => MessageType::Confirmable,
        PacketType::NonConfirmable => MessageType::NonConfirmable,
        PacketType::Acknowledgement => MessageType::Acknowledgement,
        PacketType::Reset => MessageType::Reset,
    };
    prop_assert_eq!(message.message_type(), message_type);
    prop_assert_eq!(message.code().0, u8::from(packet.header.code));
    prop_assert_eq!(message.message_id(), packet.header.message_id);
    prop_assert_eq!(message.token(), packet.get_token());
    prop_assert_eq!(message.payload(), &packet.payload);
    let theirs = packet
        .options()
        .flat_map(|(number, values)| values.iter().map(move |value| (*number, value.as_slice())));
    let ours = message
        .options()
        .map(|option| (option.number.0, option.value));
    prop_assert!(ours.eq(theirs), "{:?}", message);
    Ok(())
}

/// Packets that both sides accept: codes that go with the type, tokens of 8 bytes at most.
fn packets() -> impl Strategy<Value = Packet> {
    let headers = prop_oneof![
        2 => (Just(PacketType::Confirmable), request_or_response()),
        2 => (Just(PacketType::NonConfirmable), request_or_response()),
        2 => (Just(PacketType::Acknowledgement), responses()),
    ];
    let values = prop_oneof![
        4 => vec(any::<u8>(), 0..14),
        1 => vec(any::<u8>(), 250..280),
    ];
    let numbers = prop_oneof![0_u16..70, 0_u16..600, any::<u16>()];
    (
        headers,
        any::<u16>(),
        vec(any::<u8>(), 0..=8),
        vec((numbers, values), 0..8),
        vec(any::<u8>(), 0..40),
    )
        .prop_map(|((message_type, code), id, token, options, payload)| {
            let mut packet = Packet::new();
            packet.header.set_version(1);
            packet.header.set_type(message_type);
            packet.header.code = code.into();
            packet.header.message_id = id;
            packet.set_token(token);
            for (number, value) in options {
                packet.add_option(CoapOption::from(number), value);
            }
            packet.payload = payload;
            packet
        })
}

fn request_or_response() -> impl Strategy<Value = u8> {
    prop_oneof![1_u8..=31, responses()]
}

fn responses() -> impl Strategy<Value = u8> {
    prop_oneof![0x40_u8..=0x5f, 0x80_u8..=0xbf]
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match self {
            Damage::Flip(at, bits) => bytes[at.index(length)] ^= bits,
            Damage::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Damage::Remove(at) => {
                bytes.remove(at.index(length));
            }
            Damage::Cut(at) => bytes.truncate(at.index(length)),
        }
    }
}

fn damages() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), 1_u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        (any::<Index>(), Just(0xff)).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        any::<Index>().prop_map(Damage::Remove),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

#[test]
fn a_packet_that_does_not_fit_is_refused_whole() {
    let mut packet = Packet::new();
    packet.set_option(
        CoapOption::Unknown(2048),
        LinkedList::from([vec![0; 3], vec![0; 65805]]),
    );
    let mut out = b"before".to_vec();
    MessageBuilder::from_packet(&packet, &mut out).expect_err("the value is too long");
    assert_eq!(out, b"before");
}
