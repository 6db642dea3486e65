//! The vectors of `coap_vectors.json`: every message reads as described and is written back to
//! the same bytes, every malformed one gets the verdict it deserves.

use lwm2m_coap::tcp::{FrameBuilder, FrameDecoder, Signal};
use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};
use serde_json::Value;

#[test]
fn all_are_read_as_described() {
    let file: Value = serde_json::from_str(include_str!("coap_vectors.json")).expect("JSON");
    let vectors = file["vectors"].as_array().expect("a list");
    let (mut described, mut restricted) = (0, 0);
    for vector in vectors {
        let name = text(&vector["name"]);
        let bytes = hex(&vector["hex"]);
        let stream = text(&vector["transport"]) == "tcp";
        if let Value::String(reaction) = &vector["reaction"] {
            let verdict = if stream {
                verdict_on_stream(&bytes)
            } else {
                verdict_on_datagram(&bytes)
            };
            assert_eq!(verdict, Verdict::described(reaction, &bytes), "{name}");
            restricted += 1;
        } else {
            if stream {
                check_stream(vector, &bytes);
            } else {
                check_datagram(vector, &bytes);
            }
            described += 1;
        }
    }
    assert_eq!(file["count"], 89);
    assert_eq!((described, restricted), (64, 25));
}

fn check_datagram(vector: &Value, bytes: &[u8]) {
    let name = text(&vector["name"]);
    let message = Message::parse(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    let message_type = match text(&vector["type"]) {
        "CON" => MessageType::Confirmable,
        "NON" => MessageType::NonConfirmable,
        "ACK" => MessageType::Acknowledgement,
        "RST" => MessageType::Reset,
        other => panic!("{name}: {other}"),
    };
    assert_eq!(message.message_type(), message_type, "{name}");
    assert_eq!(vector["message_id"], message.message_id(), "{name}");
    check_fields(vector, &message);

    // Ours are never longer than 8 bytes; what is echoed is at most `Token::MAX`.
    let Some(token) = Token::new(message.token()) else {
        assert_eq!(name, "token-extended-300");
        return;
    };
    let mut written = Vec::new();
    let id = message.message_id();
    message
        .options()
        .fold(
            MessageBuilder::new(&mut written, message_type, message.code(), id, &token),
            |builder, option| builder.option(option.number, option.value),
        )
        .payload(message.payload());
    assert_eq!(written, bytes, "{name}");

    if token.as_bytes().len() <= 8 {
        let packet = message.to_packet().expect("a short token");
        let mut written = Vec::new();
        MessageBuilder::from_packet(&packet, &mut written).expect("a packet of ours");
        assert_eq!(written, bytes, "{name} through a packet");
    } else {
        assert!(message.to_packet().is_err(), "{name}");
    }
}

fn check_stream(vector: &Value, bytes: &[u8]) {
    let name = text(&vector["name"]);
    let mut decoder = FrameDecoder::new(8192);
    let mut input = bytes;
    let message = decoder
        .decode(&mut input)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
        .unwrap_or_else(|| panic!("{name} is not complete"));
    assert!(input.is_empty(), "{name}");
    check_fields(vector, &message);

    let token = Token::new(message.token()).expect("a short token");
    let mut written = Vec::new();
    message
        .options()
        .fold(
            FrameBuilder::new(&mut written, message.code(), &token),
            |builder, option| builder.option(option.number, option.value),
        )
        .payload(message.payload());
    assert_eq!(written, bytes, "{name}");

    if let Some(signal) = Signal::read(&message).unwrap_or_else(|error| panic!("{name}: {error}")) {
        let mut written = Vec::new();
        signal.write(&token, &mut written);
        assert_eq!(written, bytes, "{name} as a signal");
    } else {
        assert!(!message.code().is_signaling(), "{name}");
    }
}

fn check_fields(vector: &Value, message: &Message<'_>) {
    let name = text(&vector["name"]);
    assert_eq!(vector["code"], message.code().to_string(), "{name}");
    assert_eq!(message.token(), hex(&vector["token"]), "{name}");
    assert_eq!(message.payload(), hex(&vector["payload"]), "{name}");
    let options = vector["options"].as_array().expect("options");
    assert_eq!(message.options().count(), options.len(), "{name}");
    for (option, described) in message.options().zip(options) {
        assert_eq!(described["number"], option.number.0, "{name}");
        assert_eq!(option.value, hex(&described["hex"]), "{name}");
        // Signaling options have numbers of their own.
        if !matches!(text(&described["name"]), "unknown" | "signaling") {
            assert_eq!(described["name"], option.number.name(), "{name}");
        }
    }
}

/// What is to be done with a message.
#[derive(Debug, PartialEq)]
enum Verdict {
    Accept,
    Drop,
    Reset,
    Respond(Code),
    PassOver(OptionNumber),
    Abort { bad_csm_option: Option<u16> },
}

impl Verdict {
    /// The words of the file.
    fn described(reaction: &str, bytes: &[u8]) -> Verdict {
        let confirmable = bytes.first().is_some_and(|first| first & 0x30 == 0);
        match reaction {
            "silently drop" | "silently drop (unknown version MUST be ignored)" | "drop" => {
                Verdict::Drop
            }
            "CON: RST"
            | "CON: RST; else drop"
            | "CON: RST; NON: drop"
            | "CON: RST; NON/ACK/RST: drop" => match confirmable {
                true => Verdict::Reset,
                false => Verdict::Drop,
            },
            "CON: RST; NON: drop - unless RFC 8974 is implemented, then it is a valid 9-byte token" => {
                Verdict::Accept
            }
            "treat option as unrecognised: Observe is elective -> ignore" => {
                Verdict::PassOver(OptionNumber::OBSERVE)
            }
            "4.02 Bad Option" => Verdict::Respond(Code::BAD_OPTION),
            "4.00 Bad Request" => Verdict::Respond(Code::BAD_REQUEST),
            "Abort and close" => Verdict::Abort {
                bad_csm_option: None,
            },
            "Abort 7.05 with Bad-CSM-Option" => Verdict::Abort {
                bad_csm_option: Some(1),
            },
            other => panic!("unknown reaction {other:?}"),
        }
    }
}

fn verdict_on_datagram(bytes: &[u8]) -> Verdict {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) if error.reset() => return Verdict::Reset,
        Err(_) => return Verdict::Drop,
    };
    let understood = |number| {
        matches!(
            number,
            OptionNumber::URI_PATH | OptionNumber::ACCEPT | OptionNumber::BLOCK2
        )
    };
    if let Err(fault) = message.check_options(64, understood) {
        return Verdict::Respond(fault.code());
    }
    match message.value(OptionNumber::OBSERVE) {
        Some(_) if message.observe().is_none() => Verdict::PassOver(OptionNumber::OBSERVE),
        _ => Verdict::Accept,
    }
}

fn verdict_on_stream(bytes: &[u8]) -> Verdict {
    let mut decoder = FrameDecoder::new(8192);
    let signal = match decoder.decode(&mut &*bytes) {
        Ok(message) => match Signal::read(&message.expect("a whole message")) {
            Ok(_) => return Verdict::Accept,
            Err(error) => error.abort(),
        },
        Err(error) => error.abort(),
    };
    match signal {
        Signal::Abort { bad_csm_option, .. } => Verdict::Abort { bad_csm_option },
        other => panic!("{other:?} is no abort"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = text(value);
    assert!(digits.len().is_multiple_of(2));
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex"))
        .collect()
}
