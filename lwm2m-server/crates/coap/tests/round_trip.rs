//! What the builders write, the parsers read, on datagrams and on streams cut anywhere.

use lwm2m_coap::tcp::{
    Capabilities, CapabilitiesMessage, FrameBuilder, FrameDecoder, FrameError, Signal,
};
use lwm2m_coap::{
    Block, BlockSize, Code, Message, MessageBuilder, MessageType, OptionFault, OptionNumber,
    ParseErrorKind, Token,
};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn datagrams(content in contents(), message_type in types(), id: u16) {
        let mut datagram = b"before".to_vec();
        content
            .options
            .iter()
            .fold(
                MessageBuilder::new(&mut datagram, message_type, content.code, id, &content.token),
                |builder, (number, value)| builder.option(*number, value),
            )
            .payload(&content.payload);
        let message = Message::parse(&datagram[6..]);
        prop_assert!(message.is_ok(), "{:?}", message);
        let message = message.expect("checked");
        prop_assert_eq!(message.message_type(), message_type);
        prop_assert_eq!(message.message_id(), id);
        prop_assert!(content.is_in(&message), "{:?}", message);
    }

    #[test]
    fn streams_cut_anywhere(
        contents in vec(contents(), 1..6),
        pieces in vec(1_usize..40, 1..20),
    ) {
        let mut stream = Vec::new();
        for content in &contents {
            content.write_frame(&mut stream);
        }
        let mut decoder = FrameDecoder::new(100_000);
        let mut expected = contents.iter();
        let mut rest = stream.as_slice();
        for piece in pieces.iter().cycle() {
            let (mut input, after) = rest.split_at((*piece).min(rest.len()));
            rest = after;
            while let Some(message) = decoder.decode(&mut input).expect("well-formed") {
                let content = expected.next();
                prop_assert!(content.is_some_and(|content| content.is_in(&message)));
            }
            prop_assert!(input.is_empty());
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(expected.next().is_none());
        prop_assert_eq!(decoder.buffered(), 0);
    }

    /// Any bytes: the same messages or the same error, however they are cut.
    #[test]
    fn cuts_change_nothing(bytes in vec(prop_oneof![any::<u8>(), 0_u8..16], 0..200)) {
        let mut whole = Vec::new();
        let mut decoder = FrameDecoder::new(64);
        let error = read_all(&mut decoder, &bytes, &mut whole);

        let mut single = Vec::new();
        let mut decoder = FrameDecoder::new(64);
        let mut cut_error = None;
        for byte in &bytes {
            cut_error = read_all(&mut decoder, std::slice::from_ref(byte), &mut single);
            prop_assert!(decoder.buffered() <= 64);
        }
        prop_assert_eq!(whole, single);
        if bytes.is_empty() {
            prop_assert_eq!(error, None);
        } else {
            prop_assert_eq!(error, cut_error);
        }
    }

    #[test]
    fn blocks(number in 0..=Block::NUMBER_MAX, more: bool, szx in 0_u8..=6) {
        let size = BlockSize::from_szx(szx).expect("a size");
        let block = Block { number, more, size };
        let mut datagram = Vec::new();
        MessageBuilder::new(&mut datagram, MessageType::Confirmable, Code::PUT, 1, &Token::EMPTY)
            .uint(OptionNumber::BLOCK1, block.encode())
            .finish();
        let message = Message::parse(&datagram).expect("a message");
        prop_assert_eq!(message.block1(), Some(Ok(block)));
        prop_assert_eq!(message.block2(), None);
    }
}

/// Reads to the end of `bytes` or to an error.
fn read_all(
    decoder: &mut FrameDecoder,
    mut bytes: &[u8],
    messages: &mut Vec<[Vec<u8>; 4]>,
) -> Option<FrameError> {
    loop {
        match decoder.decode(&mut bytes) {
            Ok(Some(message)) => messages.push([
                vec![message.code().0],
                message.token().to_vec(),
                message.option_bytes().to_vec(),
                message.payload().to_vec(),
            ]),
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

#[test]
fn a_length_reserves_nothing_and_the_limit_holds() {
    let frame = |payload: usize| {
        let mut out = Vec::new();
        FrameBuilder::new(&mut out, Code::CONTENT, &Token::EMPTY).payload(&vec![b'x'; payload]);
        out
    };
    // 1 + 2 + 1 bytes of header, 1 of marker.
    let limit = 1152;
    let fits = frame(limit - 5);
    assert_eq!(fits.len(), limit);
    let mut decoder = FrameDecoder::new(limit);
    let message = decoder.decode(&mut fits.as_slice()).expect("it fits");
    assert_eq!(message.expect("whole").payload().len(), limit - 5);

    let too_large = frame(limit - 4);
    let error = FrameError::TooLarge { announced: 1153 };
    // Known as soon as the header is: nothing of the body is kept.
    assert_eq!(decoder.decode(&mut &too_large[..4]).map(|_| ()), Err(error));
    assert_eq!(decoder.decode(&mut fits.as_slice()).map(|_| ()), Err(error));

    let mut decoder = FrameDecoder::new(usize::MAX);
    let announces_4_gib = [0xf0, 0xff, 0xff, 0xff, 0xff, 0x45, 0xff];
    assert!(matches!(
        decoder.decode(&mut &announces_4_gib[..]),
        Ok(None)
    ));
    assert_eq!(decoder.buffered(), 7);
}

#[test]
fn lengths_of_all_widths_are_written_and_read() {
    for payload in [0, 11, 12, 13, 267, 268, 65_803, 65_804, 65_805, 70_000] {
        let payload = vec![7; payload];
        let token = Token::new(&[9; 64]).expect("the longest");
        let mut stream = Vec::new();
        FrameBuilder::new(&mut stream, Code::CONTENT, &token).payload(&payload);
        let mut decoder = FrameDecoder::new(100_000);
        let message = decoder.decode(&mut stream.as_slice()).expect("well-formed");
        let message = message.expect("whole");
        assert_eq!(message.token(), token.as_bytes());
        assert_eq!(message.payload(), payload);
    }
}

#[test]
fn a_stream_knows_bert_and_no_reserved_class() {
    let mut stream = Vec::new();
    FrameBuilder::new(&mut stream, Code::PUT, &Token::EMPTY)
        .option(OptionNumber::BLOCK1, &[0x2f])
        .finish();
    let mut decoder = FrameDecoder::new(1152);
    let mut input = stream.as_slice();
    let message = decoder.decode(&mut input).expect("well-formed");
    let message = message.expect("whole");
    let block = message.block1().expect("present").expect("bert");
    assert_eq!((block.size, block.offset()), (BlockSize::BERT, 2048));
    assert_eq!(message.check_options(64, |_| true), Ok(()));

    let reserved = decoder.decode(&mut &[0x00, 0x20][..]).map(|_| ());
    let error = FrameError::Malformed(ParseErrorKind::ReservedClass);
    assert_eq!(reserved, Err(error));
}

#[test]
fn a_csm_changes_what_it_lists() {
    let mut capabilities = Capabilities::default();
    assert!(!capabilities.takes_bert());
    let first = CapabilitiesMessage {
        max_message_size: Some(8192),
        block_wise: true,
        extended_token_length: None,
    };
    capabilities.update(&first);
    let second = CapabilitiesMessage {
        extended_token_length: Some(64),
        ..CapabilitiesMessage::default()
    };
    capabilities.update(&second);
    let expected = Capabilities {
        max_message_size: 8192,
        block_wise: true,
        extended_token_length: 64,
    };
    assert_eq!(capabilities, expected);
    assert!(capabilities.takes_bert());

    // RFC 8974 §2.2.2 bounds the value.
    capabilities.update(&CapabilitiesMessage {
        extended_token_length: Some(3),
        ..CapabilitiesMessage::default()
    });
    assert_eq!(capabilities.extended_token_length, 8);
}

#[test]
fn signals_are_written_and_read() {
    for signal in [
        Signal::Csm(CapabilitiesMessage::default()),
        Signal::Ping { custody: true },
        Signal::Pong { custody: false },
        Signal::Release {
            alternative_address: Some(b"coap+tcp://other"),
            hold_off_s: Some(60),
        },
        Signal::Abort {
            bad_csm_option: Some(7),
            diagnostic: b"why",
        },
    ] {
        let mut stream = Vec::new();
        signal.write(&Token::EMPTY, &mut stream);
        let mut decoder = FrameDecoder::new(1152);
        let message = decoder.decode(&mut stream.as_slice()).expect("well-formed");
        let message = message.expect("whole");
        assert_eq!(Signal::read(&message), Ok(Some(signal)));
    }
}

type Options<'v> = &'v [(OptionNumber, &'v [u8])];

#[test]
fn critical_options_are_checked_by_the_table() {
    let check = |options: Options<'_>, options_max| {
        let mut datagram = Vec::new();
        options
            .iter()
            .fold(
                MessageBuilder::new(
                    &mut datagram,
                    MessageType::Confirmable,
                    Code::GET,
                    1,
                    &Token::EMPTY,
                ),
                |builder, (number, value)| builder.option(*number, value),
            )
            .finish();
        let message = Message::parse(&datagram).expect("a message");
        message.check_options(options_max, |number| number != OptionNumber::OSCORE)
    };
    let path = OptionNumber::URI_PATH;
    assert_eq!(check(&[(path, b"rd"), (path, b"1")], 2), Ok(()));
    assert_eq!(
        check(&[(path, b"rd"), (path, b"1"), (path, b"2")], 2),
        Err(OptionFault::TooMany)
    );
    let faults: [(Options<'_>, OptionFault, Code); 6] = [
        (
            &[(OptionNumber::OSCORE, b"")],
            OptionFault::Unknown(OptionNumber::OSCORE),
            Code::BAD_OPTION,
        ),
        (
            &[(OptionNumber::ACCEPT, b"abc")],
            OptionFault::Length(OptionNumber::ACCEPT),
            Code::BAD_OPTION,
        ),
        (
            &[(OptionNumber::ACCEPT, b"a"), (OptionNumber::ACCEPT, b"a")],
            OptionFault::Repeated(OptionNumber::ACCEPT),
            Code::BAD_OPTION,
        ),
        (
            &[(path, b"\xff")],
            OptionFault::NotText(path),
            Code::BAD_REQUEST,
        ),
        (
            &[(OptionNumber::BLOCK1, b"\x07")],
            OptionFault::BlockSize(OptionNumber::BLOCK1),
            Code::BAD_REQUEST,
        ),
        (
            &[(OptionNumber::PROXY_URI, b"coap://x")],
            OptionFault::Proxy,
            Code::PROXYING_NOT_SUPPORTED,
        ),
    ];
    for (options, fault, code) in faults {
        assert_eq!(check(options, 64), Err(fault));
        assert_eq!(fault.code(), code);
    }
    // Elective ones are passed over, whatever is wrong with them.
    assert_eq!(
        check(
            &[
                (OptionNumber::OBSERVE, b"1234"),
                (OptionNumber::CONTENT_FORMAT, b"1"),
                (OptionNumber::CONTENT_FORMAT, b"2"),
                (OptionNumber(2050), b"?"),
            ],
            64
        ),
        Ok(())
    );
}

#[test]
#[should_panic(expected = "ascending order")]
fn options_out_of_order_are_a_bug_of_the_caller() {
    let mut out = Vec::new();
    FrameBuilder::new(&mut out, Code::GET, &Token::EMPTY)
        .option(OptionNumber::URI_QUERY, b"")
        .option(OptionNumber::URI_PATH, b"")
        .finish();
}

#[derive(Debug, Clone)]
struct Content {
    code: Code,
    token: Token,
    options: Vec<(OptionNumber, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Content {
    fn write_frame(&self, out: &mut Vec<u8>) {
        self.options
            .iter()
            .fold(
                FrameBuilder::new(out, self.code, &self.token),
                |builder, (number, value)| builder.option(*number, value),
            )
            .payload(&self.payload);
    }

    fn is_in(&self, message: &Message<'_>) -> bool {
        message.code() == self.code
            && message.token() == self.token.as_bytes()
            && message.payload() == self.payload
            && message
                .options()
                .map(|option| (option.number, option.value.to_vec()))
                .eq(self.options.iter().cloned())
    }
}

fn contents() -> impl Strategy<Value = Content> {
    let codes = prop_oneof![0x41_u8..=0x5f, 0x80_u8..=0xbf].prop_map(Code);
    let tokens = prop_oneof![vec(any::<u8>(), 0..=8), vec(any::<u8>(), 0..=Token::MAX)]
        .prop_map(|bytes| Token::new(&bytes).expect("at most the longest"));
    let values = prop_oneof![
        8 => vec(any::<u8>(), 0..14),
        2 => vec(any::<u8>(), 260..280),
        1 => Just(vec![1; OptionNumber::VALUE_MAX]),
    ];
    let numbers = prop_oneof![0_u16..70, any::<u16>()].prop_map(OptionNumber);
    let options = vec((numbers, values), 0..6).prop_map(|mut options| {
        options.sort_by_key(|(number, _)| *number);
        let mut long_seen = false;
        options.retain(|(_, value)| value.len() < 1000 || !std::mem::replace(&mut long_seen, true));
        options
    });
    (codes, tokens, options, vec(any::<u8>(), 0..300)).prop_map(
        |(code, token, options, payload)| Content {
            code,
            token,
            options,
            payload,
        },
    )
}

/// The types that carry any response.
fn types() -> impl Strategy<Value = MessageType> {
    prop_oneof![
        Just(MessageType::Confirmable),
        Just(MessageType::NonConfirmable),
        Just(MessageType::Acknowledgement),
    ]
}
