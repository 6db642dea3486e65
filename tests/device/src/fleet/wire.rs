//! The messages of compact devices, written and read without an engine.

use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};
use lwm2m_core::codec::{self, Scope};
use lwm2m_core::{ContentFormat, Path, PathLevel, Record, Untyped};

use super::{Job, StormConfig};

/// What a compact device knows of one of its observers.
#[derive(Debug, PartialEq)]
pub(super) struct Observer {
    pub(super) token: Box<[u8]>,
    pub(super) paths: Box<[Path]>,
    pub(super) format: ContentFormat,
}

/// The token of a request: its message id, and the lower half of the device's number. Thus a
/// repetition has the token of the original, and a message id used again has another.
pub(super) fn token(message_id: u16, device: u32) -> Token {
    let [a, b] = message_id.to_be_bytes();
    let [_, _, c, d] = device.to_be_bytes();
    Token::new(&[a, b, c, d]).unwrap_or(Token::EMPTY)
}

/// Writes the request of a job for one device, numbered from 1 on.
pub(super) fn request(
    out: &mut Vec<u8>,
    config: &StormConfig,
    job: &Job,
    device: u32,
    message_id: u16,
    location: &[u8],
) {
    let token = token(message_id, device);
    let code = match job {
        Job::Deregister => Code::DELETE,
        _ => Code::POST,
    };
    let builder = MessageBuilder::new(out, MessageType::Confirmable, code, message_id, &token);
    if *job == Job::Register {
        return register(builder, config, device);
    }
    let segments = location.split(|byte| *byte == b'/');
    segments
        .fold(builder, |builder, segment| {
            builder.option(OptionNumber::URI_PATH, segment)
        })
        .finish();
}

fn register(builder: MessageBuilder<'_>, config: &StormConfig, device: u32) {
    let own = config.own_links_every;
    let own = own.filter(|every| device.is_multiple_of(*every));
    let list = match own {
        // One link that hardly another device has.
        Some(_) => format!(
            "{},</{}/{}>",
            config.links,
            30_000 + device % 2_000,
            device / 2_000
        ),
        None => config.links.clone(),
    };
    let builder = builder
        .option(OptionNumber::URI_PATH, b"rd")
        .uint(
            OptionNumber::CONTENT_FORMAT,
            u32::from(ContentFormat::Link.number()),
        )
        .option(
            OptionNumber::URI_QUERY,
            format!("ep={}{device}", config.prefix).as_bytes(),
        )
        .option(
            OptionNumber::URI_QUERY,
            format!("lt={}", config.lifetime_s).as_bytes(),
        )
        .option(
            OptionNumber::URI_QUERY,
            format!("lwm2m={}", config.version).as_bytes(),
        )
        .option(OptionNumber::URI_QUERY, b"b=U");
    let builder = match config.queue_mode {
        true => builder.option(OptionNumber::URI_QUERY, b"Q"),
        false => builder,
    };
    builder.payload(list.as_bytes());
}

/// Writes a notification; `sequence` also makes the value.
pub(super) fn notification(
    out: &mut Vec<u8>,
    observer: &Observer,
    confirmable: bool,
    message_id: u16,
    sequence: u32,
) {
    let message_type = if confirmable {
        MessageType::Confirmable
    } else {
        MessageType::NonConfirmable
    };
    let token = Token::new(&observer.token).unwrap_or(Token::EMPTY);
    let value = 20.0 + f64::from(sequence % 100) / 10.0;
    MessageBuilder::new(out, message_type, Code::CONTENT, message_id, &token)
        .uint(OptionNumber::OBSERVE, sequence & 0x00ff_ffff)
        .uint(
            OptionNumber::CONTENT_FORMAT,
            u32::from(observer.format.number()),
        )
        .payload(&content(&observer.paths, observer.format, value));
}

/// Writes the answer to a request of the server. An observer comes of an observe request.
pub(super) fn answer(out: &mut Vec<u8>, message: &Message<'_>) -> Option<Observer> {
    let (message_type, message_id) = match message.message_type() {
        MessageType::Confirmable => (MessageType::Acknowledgement, message.message_id()),
        _ => (MessageType::NonConfirmable, message.message_id()),
    };
    let token = Token::new(message.token()).unwrap_or(Token::EMPTY);
    let answer = |out: &mut Vec<u8>, code| {
        MessageBuilder::new(out, message_type, code, message_id, &token).finish();
    };
    let paths = match message.code() {
        Code::GET => match path(message) {
            Some(path) => vec![path],
            None => {
                answer(out, Code::NOT_FOUND);
                return None;
            }
        },
        Code::FETCH => composite_paths(message),
        Code::DELETE => {
            answer(out, Code::DELETED);
            return None;
        }
        _ => {
            answer(out, Code::CHANGED);
            return None;
        }
    };
    let format = accepted(message);
    let builder = MessageBuilder::new(out, message_type, Code::CONTENT, message_id, &token);
    let observes = message.uint(OptionNumber::OBSERVE) == Some(0);
    let builder = if observes {
        builder.uint(OptionNumber::OBSERVE, 1)
    } else {
        builder
    };
    let body = content(&paths, format, 20.0);
    builder
        .uint(OptionNumber::CONTENT_FORMAT, u32::from(format.number()))
        .payload(&body);
    observes.then(|| Observer {
        token: message.token().into(),
        paths: paths.into(),
        format,
    })
}

/// The format that the server asks for; SenML CBOR for composites, else text.
fn accepted(message: &Message<'_>) -> ContentFormat {
    let asked = message
        .uint(OptionNumber::ACCEPT)
        .and_then(|number| u16::try_from(number).ok())
        .and_then(ContentFormat::from_number);
    asked.unwrap_or(match message.code() {
        Code::FETCH => ContentFormat::SenmlCbor,
        _ => ContentFormat::Text,
    })
}

/// One value at each path; empty when the format cannot carry that.
fn content(paths: &[Path], format: ContentFormat, value: f64) -> Vec<u8> {
    let records: Vec<Record<'_>> = paths
        .iter()
        .map(|path| Record::new(resource(path), value))
        .collect();
    let scope = match paths {
        [path] => Scope::from(*path),
        _ => Scope::from(Path::ROOT),
    };
    let mut body = Vec::new();
    if codec::encode(format, scope, &records, &Untyped, &mut body).is_err() {
        body.clear();
    }
    body
}

/// A resource at or below a path.
fn resource(path: &Path) -> Path {
    match (path.level(), path.ids()) {
        (PathLevel::Object, [object, ..]) => Path::resource(*object, 0, 5700),
        (PathLevel::ObjectInstance, [object, instance, ..]) => {
            Path::resource(*object, *instance, 5700)
        }
        _ => *path,
    }
}

fn path(message: &Message<'_>) -> Option<Path> {
    let mut path = Path::ROOT;
    for segment in message.values(OptionNumber::URI_PATH) {
        let id = std::str::from_utf8(segment).ok()?.parse().ok()?;
        path = path.child(id).ok()?;
    }
    (!path.is_root()).then_some(path)
}

fn composite_paths(message: &Message<'_>) -> Vec<Path> {
    let format = message
        .content_format()
        .and_then(ContentFormat::from_number);
    let format = format.unwrap_or(ContentFormat::SenmlCbor);
    codec::decode_paths(format, "", message.payload()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> StormConfig {
        let mut config = StormConfig::new("127.0.0.1:5683".parse().unwrap(), 10);
        config.links = "</1/0>".to_owned();
        config.own_links_every = Some(4);
        config
    }

    #[test]
    fn requests_are_well_formed() {
        let mut out = Vec::new();
        request(&mut out, &config(), &Job::Register, 3, 7, b"");
        let message = Message::parse(&out).unwrap();
        let query: Vec<&[u8]> = message.values(OptionNumber::URI_QUERY).collect();
        let expected: [&[u8]; 4] = [b"ep=storm-3", b"lt=300", b"lwm2m=1.1", b"b=U"];
        assert_eq!(query, expected);
        assert_eq!(
            (message.payload(), message.token()),
            (&b"</1/0>"[..], &[0, 7, 0, 3][..])
        );

        out.clear();
        request(&mut out, &config(), &Job::Register, 4, 8, b"");
        assert_eq!(
            Message::parse(&out).unwrap().payload(),
            b"</1/0>,</30004/0>"
        );

        out.clear();
        request(&mut out, &config(), &Job::Update, 3, 9, b"rd/ab");
        let message = Message::parse(&out).unwrap();
        let path: Vec<&[u8]> = message.values(OptionNumber::URI_PATH).collect();
        let expected: [&[u8]; 2] = [b"rd", b"ab"];
        assert_eq!((message.code(), path), (Code::POST, expected.to_vec()));
    }

    #[test]
    fn answers_and_observers() {
        let mut asked = Vec::new();
        let token = Token::new(&[1, 2, 3]).unwrap();
        MessageBuilder::new(&mut asked, MessageType::Confirmable, Code::GET, 5, &token)
            .uint(OptionNumber::OBSERVE, 0)
            .option(OptionNumber::URI_PATH, b"3303")
            .option(OptionNumber::URI_PATH, b"0")
            .option(OptionNumber::URI_PATH, b"5700")
            .uint(OptionNumber::ACCEPT, 112)
            .finish();
        let mut out = Vec::new();
        let observer = answer(&mut out, &Message::parse(&asked).unwrap()).unwrap();
        let answered = Message::parse(&out).unwrap();
        assert_eq!(answered.message_type(), MessageType::Acknowledgement);
        assert_eq!((answered.code(), answered.message_id()), (Code::CONTENT, 5));
        assert_eq!(answered.content_format(), Some(112));

        let mut out = Vec::new();
        notification(&mut out, &observer, false, 77, 15);
        let notified = Message::parse(&out).unwrap();
        assert_eq!(notified.token(), [1, 2, 3]);
        assert_eq!(notified.uint(OptionNumber::OBSERVE), Some(15));
        let scope = Path::resource(3303, 0, 5700).into();
        let format = ContentFormat::SenmlCbor;
        let decoded = codec::decode(format, scope, notified.payload(), &Untyped).unwrap();
        assert_eq!(decoded.records[0].value, lwm2m_core::Value::Float(21.5));
    }

    #[test]
    fn other_requests_get_their_codes() {
        for (method, code) in [
            (Code::GET, Code::NOT_FOUND),
            (Code::PUT, Code::CHANGED),
            (Code::POST, Code::CHANGED),
            (Code::DELETE, Code::DELETED),
        ] {
            let mut asked = Vec::new();
            let message_type = MessageType::Confirmable;
            MessageBuilder::new(&mut asked, message_type, method, 5, &Token::EMPTY).finish();
            let mut out = Vec::new();
            let observer = answer(&mut out, &Message::parse(&asked).unwrap());
            assert_eq!(observer, None);
            assert_eq!(Message::parse(&out).unwrap().code(), code);
        }
    }
}
