//! Reading and answering CoAP messages, compared with coap-lite in the same run.
//!
//! `parse` reads a datagram. `turn` reads it, looks at what a server looks at, and writes the
//! answer into a buffer that is used again.

use std::hint::black_box;

use anyhow::ensure;
use coap_lite::{CoapOption, MessageClass, MessageType as PacketType, Packet, ResponseType};
use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};

use crate::report::{Cell, Report};
use crate::timing::{COUNTING, Rounds, measure};

/// Measures all messages with both codecs.
pub(crate) fn run(rounds: &Rounds) -> anyhow::Result<Report> {
    let columns: &[_] = if COUNTING {
        &[
            "message",
            "bytes",
            "codec",
            "parse_allocations",
            "turn_allocations",
        ]
    } else {
        &[
            "message",
            "bytes",
            "codec",
            "parse_ns",
            "parse_median_ns",
            "turn_ns",
            "turn_median_ns",
        ]
    };
    let mut report = Report::new("CoAP messages, read and answered", columns);
    for (name, datagram) in [
        ("register, 20 links", register()),
        ("update", update()),
        ("notify", notify()),
    ] {
        ensure!(
            ours_turn(&datagram, &mut Vec::new()).is_some() && theirs_turn(&datagram).is_some(),
            "{name} is no message"
        );
        let mut out = Vec::new();
        let ours = [
            measure(rounds, || {
                _ = black_box(Message::parse(black_box(&datagram)))
            }),
            measure(rounds, || {
                _ = black_box(ours_turn(black_box(&datagram), &mut out))
            }),
        ];
        let theirs = [
            measure(rounds, || {
                _ = black_box(Packet::from_bytes(black_box(&datagram)))
            }),
            measure(rounds, || _ = black_box(theirs_turn(black_box(&datagram)))),
        ];
        for (codec, figures) in [("lwm2m-coap", ours), ("coap-lite", theirs)] {
            let mut row = vec![
                Cell::Text(name.to_owned()),
                Cell::Number(datagram.len() as f64, 0),
                Cell::Text(codec.to_owned()),
            ];
            row.extend(figures.into_iter().flatten());
            report.row(row);
        }
    }
    Ok(report)
}

/// What the server does with a message before and after its own work.
fn ours_turn(datagram: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let understood = |number| {
        matches!(
            number,
            OptionNumber::URI_PATH | OptionNumber::URI_QUERY | OptionNumber::ACCEPT
        )
    };
    let message = Message::parse(datagram).ok()?;
    message.check_options(64, understood).ok()?;
    black_box(message.content_format());
    black_box(message.observe());
    message
        .uri_path()
        .for_each(|segment| _ = black_box(segment));
    message.uri_query().for_each(|item| _ = black_box(item));

    out.clear();
    let token = Token::new(message.token())?;
    let (kind, id) = (MessageType::Acknowledgement, message.message_id());
    if message.code().is_request() {
        MessageBuilder::new(out, kind, Code::CREATED, id, &token)
            .option(OptionNumber::LOCATION_PATH, b"rd")
            .option(OptionNumber::LOCATION_PATH, b"5a3f")
            .finish();
    } else {
        MessageBuilder::new(out, kind, Code::EMPTY, id, &Token::EMPTY).finish();
    }
    Some(out.len())
}

/// The same with coap-lite.
fn theirs_turn(datagram: &[u8]) -> Option<usize> {
    let packet = Packet::from_bytes(datagram).ok()?;
    black_box(packet.get_content_format());
    black_box(packet.get_observe_value());
    for number in [CoapOption::UriPath, CoapOption::UriQuery] {
        let values = packet.get_option(number).into_iter().flatten();
        values.for_each(|value| _ = black_box(value));
    }

    let mut answer = Packet::new();
    answer.header.set_version(1);
    answer.header.set_type(PacketType::Acknowledgement);
    answer.header.message_id = packet.header.message_id;
    if let MessageClass::Request(_) = packet.header.code {
        answer.header.code = MessageClass::Response(ResponseType::Created);
        answer.set_token(packet.get_token().to_vec());
        answer.add_option(CoapOption::LocationPath, b"rd".to_vec());
        answer.add_option(CoapOption::LocationPath, b"5a3f".to_vec());
    } else {
        answer.header.code = MessageClass::Empty;
    }
    Some(answer.to_bytes().ok()?.len())
}

/// A Register with 20 links, 294 bytes.
fn register() -> Vec<u8> {
    request(&[b"rd"], |message| {
        message
            .uint(OptionNumber::CONTENT_FORMAT, 40)
            .option(
                OptionNumber::URI_QUERY,
                b"ep=urn:dev:ops:0018AB-watermeter-000000000042",
            )
            .option(OptionNumber::URI_QUERY, b"lt=86400")
            .option(OptionNumber::URI_QUERY, b"lwm2m=1.2")
            .option(OptionNumber::URI_QUERY, b"b=UQ")
            .payload(object_links().as_bytes());
    })
}

/// The payload of a Register: the root and 20 object instances.
pub(crate) fn object_links() -> String {
    let links = [
        "1/0", "3/0", "4/0", "5/0", "6/0", "7/0", "10/0", "3303/0", "3303/1", "3303/2", "3304/0",
        "3304/1", "3305/0", "3306/0", "3311/0", "3312/0", "3313/0", "3323/0", "3336/0", "3347/0",
    ];
    let links: Vec<String> = links.iter().map(|path| format!("</{path}>")).collect();
    format!("</>;rt=\"oma.lwm2m\";ct=112,{}", links.join(","))
}

/// An Update without parameters.
fn update() -> Vec<u8> {
    request(&[b"rd", b"5a3f"], |message| message.finish())
}

/// A notification of one number as CBOR.
fn notify() -> Vec<u8> {
    let mut out = Vec::new();
    let token = token();
    MessageBuilder::new(
        &mut out,
        MessageType::Confirmable,
        Code::CONTENT,
        0x9101,
        &token,
    )
    .uint(OptionNumber::OBSERVE, 70_000)
    .uint(OptionNumber::CONTENT_FORMAT, 60)
    .payload(&[0xfb, 0x40, 0x36, 0x80, 0, 0, 0, 0, 0]);
    out
}

fn request(path: &[&[u8]], finish: impl FnOnce(MessageBuilder<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    let token = token();
    let start = MessageBuilder::new(
        &mut out,
        MessageType::Confirmable,
        Code::POST,
        0x7d34,
        &token,
    );
    finish(path.iter().fold(start, |message, segment| {
        message.option(OptionNumber::URI_PATH, segment)
    }));
    out
}

fn token() -> Token {
    Token::new(&[1, 2, 3, 4, 5, 6, 7, 8]).unwrap_or(Token::EMPTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_are_those_of_the_table() {
        assert_eq!(register().len(), 294);
        assert_eq!(update().len(), 20);
        for datagram in [register(), update(), notify()] {
            let mut ours = Vec::new();
            let length = ours_turn(&datagram, &mut ours);
            assert_eq!(length, theirs_turn(&datagram));
        }
    }
}
