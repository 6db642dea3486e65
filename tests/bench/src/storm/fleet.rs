//! The simulated devices: what they send, and what they answer.

use lwm2m_coap::{Code, Message, MessageBuilder, MessageType, OptionNumber, Token};

use super::load::{Expect, Taken, Traffic};

/// What the devices report: the sensor value of a temperature.
pub(crate) const OBSERVED: &str = "/3303/0/5700";

/// Object lists that devices share: models of devices.
const SHARED_LISTS: u32 = 500;
/// Every so many devices, one has an object list that no other has.
const UNIQUE_EVERY: u32 = 4;
const LINKS: usize = 20;

/// What the devices of a phase do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A DTLS session; nothing without DTLS.
    Handshake,
    /// Register, with 20 links.
    Register,
    /// Update without parameters.
    Update,
    /// A notification that is not acknowledged.
    NotifyNon,
    /// A notification that is acknowledged.
    NotifyCon,
    /// Nothing of their own: they answer.
    Answer,
}

/// The devices of one generator.
pub(crate) struct Fleet {
    pub(crate) phase: Phase,
    first: u32,
    devices: Vec<Device>,
    links: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Device {
    message_id: u16,
    notifications: u16,
    format: u16,
    location: Segment,
    observation: Option<Token8>,
}

/// The last segment of a location.
#[derive(Debug, Clone, Copy, Default)]
struct Segment {
    length: u8,
    bytes: [u8; 32],
}

/// A token of a request; longer ones are not observed.
#[derive(Debug, Clone, Copy)]
struct Token8 {
    length: u8,
    bytes: [u8; 8],
}

impl Fleet {
    /// `count` devices from number `first` on.
    pub(crate) fn new(first: u32, count: u32) -> Fleet {
        let device = Device {
            message_id: 0,
            notifications: 0,
            format: 0,
            location: Segment::default(),
            observation: None,
        };
        Fleet {
            phase: Phase::Answer,
            first,
            devices: vec![device; count as usize],
            links: Vec::new(),
        }
    }

    /// How many devices.
    pub(crate) fn len(&self) -> u64 {
        self.devices.len() as u64
    }

    /// The number of a device among those of all generators.
    pub(crate) fn number(&self, index: usize) -> u32 {
        self.first + index as u32
    }

    /// Devices that the server observes.
    pub(crate) fn observed(&self) -> usize {
        let observed = |device: &&Device| device.observation.is_some();
        self.devices.iter().filter(observed).count()
    }

    fn register(&mut self, index: usize, out: &mut Vec<u8>) {
        let number = self.first + index as u32;
        self.links.clear();
        write_links(number, &mut self.links);
        let endpoint = format!("ep={}", endpoint_name(number));
        let token = token(number);
        let id = self.devices[index].message_id;
        MessageBuilder::new(out, MessageType::Confirmable, Code::POST, id, &token)
            .option(OptionNumber::URI_PATH, b"rd")
            .uint(OptionNumber::CONTENT_FORMAT, 40)
            .option(OptionNumber::URI_QUERY, endpoint.as_bytes())
            .option(OptionNumber::URI_QUERY, b"lt=86400")
            .option(OptionNumber::URI_QUERY, b"lwm2m=1.1")
            .option(OptionNumber::URI_QUERY, b"b=U")
            .payload(&self.links);
    }

    fn update(&self, index: usize, out: &mut Vec<u8>) {
        let device = &self.devices[index];
        let token = token(self.first + index as u32);
        let (kind, id) = (MessageType::Confirmable, device.message_id);
        MessageBuilder::new(out, kind, Code::POST, id, &token)
            .option(OptionNumber::URI_PATH, b"rd")
            .option(OptionNumber::URI_PATH, device.location.as_bytes())
            .finish();
    }

    fn notify(&self, index: usize, kind: MessageType, out: &mut Vec<u8>) {
        let device = &self.devices[index];
        let token = device.observation.and_then(|token| token.token());
        let token = token.unwrap_or(Token::EMPTY);
        MessageBuilder::new(out, kind, Code::CONTENT, device.message_id, &token)
            .uint(OptionNumber::OBSERVE, u32::from(device.notifications))
            .uint(OptionNumber::CONTENT_FORMAT, u32::from(device.format))
            .payload(value(device.format));
    }

    /// Answers a Read or Observe of any path with the value that it observes.
    fn serve(&mut self, index: usize, request: &Message<'_>, reply: &mut Vec<u8>) -> Taken {
        let Some(token) = Token::new(request.token()) else {
            return Taken::Ignored;
        };
        let (kind, id) = (MessageType::Acknowledgement, request.message_id());
        if request.code() != Code::GET {
            MessageBuilder::new(reply, kind, Code::METHOD_NOT_ALLOWED, id, &token).finish();
            return Taken::Served;
        }
        let device = &mut self.devices[index];
        let format = request.accept().unwrap_or(0);
        let mut answer = MessageBuilder::new(reply, kind, Code::CONTENT, id, &token);
        if request.observe() == Some(0) {
            device.format = format;
            device.observation = Token8::new(request.token());
            answer = answer.uint(OptionNumber::OBSERVE, u32::from(device.notifications));
        }
        answer
            .uint(OptionNumber::CONTENT_FORMAT, u32::from(format))
            .payload(value(format));
        Taken::Served
    }
}

impl Traffic for Fleet {
    fn message(&mut self, index: usize, again: bool, out: &mut Vec<u8>) -> Expect {
        let device = &mut self.devices[index];
        if !again {
            device.message_id = device.message_id.wrapping_add(1);
            if matches!(self.phase, Phase::NotifyNon | Phase::NotifyCon) {
                device.notifications = device.notifications.wrapping_add(1);
            }
        }
        match self.phase {
            Phase::Register => self.register(index, out),
            Phase::Update => self.update(index, out),
            Phase::NotifyNon => self.notify(index, MessageType::NonConfirmable, out),
            Phase::NotifyCon => self.notify(index, MessageType::Confirmable, out),
            Phase::Handshake | Phase::Answer => {}
        }
        match self.phase {
            Phase::Handshake | Phase::NotifyNon | Phase::Answer => Expect::Nothing,
            Phase::Register | Phase::Update | Phase::NotifyCon => Expect::Answer,
        }
    }

    fn sync(&mut self, index: usize, out: &mut Vec<u8>) {
        let device = &mut self.devices[index];
        device.message_id = device.message_id.wrapping_add(1);
        let (kind, id) = (MessageType::Confirmable, device.message_id);
        MessageBuilder::new(out, kind, Code::EMPTY, id, &Token::EMPTY).finish();
    }

    fn take(&mut self, index: usize, datagram: &[u8], reply: &mut Vec<u8>) -> Taken {
        let Ok(message) = Message::parse(datagram) else {
            return Taken::Ignored;
        };
        let device = &mut self.devices[index];
        let mine = message.message_id() == device.message_id;
        match (message.message_type(), message.code()) {
            (_, code) if code.is_request() => self.serve(index, &message, reply),
            // The answer to a ping in the phase where one is sent, and a refusal elsewhere.
            (MessageType::Reset, _) if mine && self.phase == Phase::NotifyNon => Taken::Answered,
            (MessageType::Reset, code) if mine => Taken::Refused(code),
            (MessageType::Acknowledgement, Code::EMPTY)
                if self.phase == Phase::NotifyCon && mine =>
            {
                Taken::Answered
            }
            (_, Code::EMPTY) => Taken::Ignored,
            (kind, code) => {
                if kind == MessageType::Confirmable {
                    let id = message.message_id();
                    let kind = MessageType::Acknowledgement;
                    MessageBuilder::new(reply, kind, Code::EMPTY, id, &Token::EMPTY).finish();
                }
                if !code.is_success() {
                    return Taken::Refused(code);
                }
                if self.phase == Phase::Register {
                    device.location = Segment::new(message.location_path().last());
                }
                Taken::Answered
            }
        }
    }
}

impl Segment {
    /// Takes the segment; empty when there is none or it is too long, so that Updates fail.
    fn new(value: Option<&[u8]>) -> Segment {
        let mut segment = Segment::default();
        if let Some(value) = value
            && let Some(bytes) = segment.bytes.get_mut(..value.len())
        {
            bytes.copy_from_slice(value);
            segment.length = value.len() as u8;
        }
        segment
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Token8 {
    fn new(value: &[u8]) -> Option<Token8> {
        let mut bytes = [0; 8];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Token8 {
            length: value.len() as u8,
            bytes,
        })
    }

    fn token(&self) -> Option<Token> {
        Token::new(&self.bytes[..usize::from(self.length)])
    }
}

/// The name of a device.
pub(crate) fn endpoint_name(number: u32) -> String {
    format!("urn:dev:ops:32473-{number:09}")
}

fn token(number: u32) -> Token {
    let mut token = *b"benchdev";
    token[..4].copy_from_slice(&number.to_be_bytes());
    Token::new(&token).unwrap_or(Token::EMPTY)
}

/// 20 links: one of 500 lists, or one that no other device has.
fn write_links(number: u32, out: &mut Vec<u8>) {
    let unique = number.is_multiple_of(UNIQUE_EVERY);
    let variant = if unique {
        SHARED_LISTS + number
    } else {
        number % SHARED_LISTS
    };
    out.extend_from_slice(b"</>;rt=\"oma.lwm2m\";ct=112");
    let usual = ["1/0", "3/0", "4/0", "5/0", "6/0", "7/0", "10/0", "3303/0"];
    for path in usual {
        out.extend_from_slice(format!(",</{path}>").as_bytes());
    }
    // The rest depends on the list, which the instance numbers of two objects spell out.
    let objects = [3200, 3201, 3202, 3304, 3305, 3306, 3311, 3312, 3313, 3323];
    for object in objects {
        out.extend_from_slice(format!(",</{object}/0>").as_bytes());
    }
    let (high, low) = (variant / 60_000, variant % 60_000);
    out.extend_from_slice(format!(",</3336/{low}>,</3347/{high}>").as_bytes());
    debug_assert_eq!(usual.len() + objects.len() + 2, LINKS);
}

/// 22.5 at [`OBSERVED`], in a Content-Format.
fn value(format: u16) -> &'static [u8] {
    match format {
        60 => b"\xfa\x41\xb4\0\0",
        110 => b"[{\"n\":\"/3303/0/5700\",\"v\":22.5}]",
        112 => b"\x81\xa2\x00\x6c/3303/0/5700\x02\xfa\x41\xb4\0\0",
        11_542 => b"\xe4\x16\x44\x41\xb4\0\0",
        11_544 => b"\xa1\x83\x19\x0c\xe7\0\x19\x16\x44\xfa\x41\xb4\0\0",
        _ => b"22.5",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use lwm2m_core::{ContentFormat, ObjectList, Path, Untyped, codec};

    use super::*;

    fn links(number: u32) -> Vec<u8> {
        let mut links = Vec::new();
        write_links(number, &mut links);
        links
    }

    #[test]
    fn a_quarter_of_the_object_lists_is_unique() {
        let lists: HashSet<_> = (0..100_000).map(links).collect();
        // The others share those of the 500 whose number is no unique device's: 375.
        assert_eq!(lists.len(), 25_000 + 375);
        let list = ObjectList::parse(&links(99_999)).unwrap();
        assert_eq!((list.paths.len(), list.ignored.len()), (LINKS, 0));
    }

    #[test]
    fn every_format_holds_a_value_at_the_observed_path() {
        let path: Path = OBSERVED.parse().unwrap();
        for format in [
            ContentFormat::Text,
            ContentFormat::Cbor,
            ContentFormat::SenmlJson,
            ContentFormat::SenmlCbor,
            ContentFormat::Tlv,
            ContentFormat::Lwm2mCbor,
        ] {
            let payload = value(format.number());
            let decoded = codec::decode(format, path.into(), payload, &Untyped).unwrap();
            let records = decoded.strict().unwrap();
            assert_eq!(records.len(), 1, "{format:?}");
            assert_eq!(records[0].path, path, "{format:?}");
        }
    }

    #[test]
    fn a_device_registers_is_observed_and_notifies() {
        let mut fleet = Fleet::new(40, 2);
        let (mut out, mut reply) = (Vec::new(), Vec::new());
        fleet.phase = Phase::Register;
        assert_eq!(fleet.message(1, false, &mut out), Expect::Answer);
        let register = Message::parse(&out).unwrap();
        let queries: Vec<_> = register.uri_query().collect();
        assert_eq!(queries[0], b"ep=urn:dev:ops:32473-000000041");

        let mut answer = Vec::new();
        let kind = MessageType::Acknowledgement;
        let id = register.message_id();
        MessageBuilder::new(&mut answer, kind, Code::CREATED, id, &token(41))
            .option(OptionNumber::LOCATION_PATH, b"rd")
            .option(OptionNumber::LOCATION_PATH, b"5a3f")
            .finish();
        assert_eq!(fleet.take(1, &answer, &mut reply), Taken::Answered);
        assert!(reply.is_empty());

        fleet.phase = Phase::Update;
        out.clear();
        fleet.message(1, false, &mut out);
        let update = Message::parse(&out).unwrap();
        assert_eq!(update.uri_path().last(), Some(&b"5a3f"[..]));

        let mut observe = Vec::new();
        let asked = Token::new(&[7; 8]).unwrap();
        MessageBuilder::new(&mut observe, MessageType::Confirmable, Code::GET, 9, &asked)
            .uint(OptionNumber::OBSERVE, 0)
            .uint(OptionNumber::ACCEPT, 112)
            .finish();
        assert_eq!(fleet.take(1, &observe, &mut reply), Taken::Served);
        assert_eq!(fleet.observed(), 1);
        let first = Message::parse(&reply).unwrap();
        assert_eq!((first.observe(), first.token()), (Some(0), &[7; 8][..]));

        fleet.phase = Phase::NotifyNon;
        out.clear();
        assert_eq!(fleet.message(1, false, &mut out), Expect::Nothing);
        let notification = Message::parse(&out).unwrap();
        assert_eq!(notification.observe(), Some(1));
        assert_eq!(notification.token(), [7; 8]);
    }
}
