//! A flight: the messages that are sent, and sent again, together (RFC 6347 §4.2.4).
//!
//! A flight keeps its messages whole. Each time that it is sent, they are cut to the room in the
//! datagrams anew, in records with new numbers.

use super::message::{Fragment, Message, MessageType, write_header};
use crate::record::{ContentType, Header, Protection, StreamProtection, write_plain, write_stream};

/// What is sent together.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    items: Vec<Item>,
}

#[derive(Debug)]
enum Item {
    Message { message: Message, protected: bool },
    ChangeCipherSpec,
}

/// How large things may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// A datagram.
    pub(crate) mtu: usize,
    /// The plaintext of a record.
    pub(crate) fragment: usize,
}

impl Flight {
    /// Adds a message of epoch 0.
    pub(crate) fn push(&mut self, message: Message) {
        self.items.push(Item::Message {
            message,
            protected: false,
        });
    }

    /// Adds a ChangeCipherSpec and the Finished message that it announces.
    pub(crate) fn push_finished(&mut self, message: Message) {
        debug_assert_eq!(message.message_type, MessageType::Finished);
        self.items.push(Item::ChangeCipherSpec);
        self.items.push(Item::Message {
            message,
            protected: true,
        });
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Writes the flight onto a stream. Nothing is sent twice there.
    pub(crate) fn write_to_stream(
        &self,
        out: &mut Vec<u8>,
        mut protection: Option<&mut StreamProtection>,
        fragment: usize,
    ) {
        for item in &self.items {
            let Item::Message { message, protected } = item else {
                write_stream(out, ContentType::ChangeCipherSpec, &[1]);
                continue;
            };
            let mut whole = Vec::new();
            message.write_to_stream(&mut whole);
            for piece in whole.chunks(fragment.max(1)) {
                match protection.as_deref_mut().filter(|_| *protected) {
                    // The numbers last for 2^48 records.
                    Some(protection) => _ = protection.seal(out, ContentType::Handshake, piece),
                    None => write_stream(out, ContentType::Handshake, piece),
                }
            }
        }
    }

    /// Writes the flight as datagrams. `sequence` is the next number of epoch 0.
    pub(crate) fn send(
        &self,
        sequence: &mut u64,
        mut protection: Option<&mut Protection>,
        room: Room,
        emit: &mut dyn FnMut(&[u8]),
    ) {
        let mut datagram = Vec::with_capacity(room.mtu);
        for item in &self.items {
            match item {
                Item::ChangeCipherSpec => {
                    if datagram.len() + Header::BYTES + 1 > room.mtu {
                        emit(&datagram);
                        datagram.clear();
                    }
                    write_plain(
                        &mut datagram,
                        ContentType::ChangeCipherSpec,
                        *sequence,
                        &[1],
                    );
                    *sequence += 1;
                }
                Item::Message { message, protected } => {
                    let protection = protection.as_deref_mut().filter(|_| *protected);
                    send_message(&mut datagram, message, sequence, protection, room, emit);
                }
            }
        }
        if !datagram.is_empty() {
            emit(&datagram);
        }
    }
}

fn send_message(
    datagram: &mut Vec<u8>,
    message: &Message,
    sequence: &mut u64,
    mut protection: Option<&mut Protection>,
    room: Room,
    emit: &mut dyn FnMut(&[u8]),
) {
    /// A piece that is not worth a record of its own, when a new datagram can hold more.
    const WORTHWHILE: usize = 64;
    let overhead = match &protection {
        Some(protection) => protection.overhead(),
        None => Header::BYTES,
    };
    let overhead = overhead + Fragment::HEADER;
    let body = message.body();
    let mut offset = 0;
    let mut record = Vec::new();
    loop {
        let rest = body.len() - offset;
        let free = room.mtu.saturating_sub(datagram.len());
        if !datagram.is_empty() && free < overhead + rest.min(WORTHWHILE) {
            emit(datagram);
            datagram.clear();
            continue;
        }
        // An MTU or a fragment length too small for anything still gets on, byte by byte.
        let fits = free.saturating_sub(overhead);
        let limit = room.fragment.saturating_sub(Fragment::HEADER);
        let length = rest.min(fits.min(limit).max(1));
        record.clear();
        let end = offset + length;
        write_header(
            &mut record,
            message.message_type,
            body.len(),
            message.sequence,
            offset,
            length,
        );
        record.extend_from_slice(&body[offset..end]);
        match &mut protection {
            // The numbers last for 2^48 records; a flight that cannot be sent is lost.
            Some(protection) => _ = protection.seal(datagram, ContentType::Handshake, &record),
            None => {
                write_plain(datagram, ContentType::Handshake, *sequence, &record);
                *sequence += 1;
            }
        }
        offset = end;
        if offset == body.len() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Reader;
    use crate::config::Limits;
    use crate::handshake::reassembly::Reassembly;

    fn datagrams(flight: &Flight, mtu: usize, fragment: usize) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let room = Room { mtu, fragment };
        flight.send(&mut 5, None, room, &mut |datagram| {
            sent.push(datagram.to_vec());
        });
        sent
    }

    #[test]
    fn a_flight_fits_its_datagrams_and_comes_together_again() {
        let bodies = [vec![1; 90], vec![2; 3000], vec![], vec![4; 100]];
        let mut flight = Flight::default();
        for (sequence, body) in bodies.iter().enumerate() {
            flight.push(Message::new(
                MessageType::Certificate,
                sequence as u16,
                body,
            ));
        }
        for (mtu, fragment) in [(1200, 1 << 14), (1200, 512), (128, 1 << 14), (20, 10)] {
            let mut reassembly = Reassembly::new(0);
            let mut numbers = Vec::new();
            for datagram in datagrams(&flight, mtu, fragment) {
                assert!(datagram.len() <= mtu.max(26), "{} of {mtu}", datagram.len());
                let mut rest = &datagram[..];
                while let Some(header) = Header::parse(rest) {
                    numbers.push(header.number.sequence());
                    let (record, next) = rest[header.bytes..].split_at(header.length);
                    assert!(record.len() <= fragment.max(13));
                    let fragment = Fragment::read(&mut Reader::new(record)).expect("a fragment");
                    let limits = Limits::default();
                    reassembly.add(&fragment, &limits).expect("within limits");
                    rest = next;
                }
                assert!(rest.is_empty());
            }
            let expected: Vec<u64> = (5..).take(numbers.len()).collect();
            assert_eq!(numbers, expected);
            for body in &bodies {
                assert_eq!(reassembly.next().expect("whole").body(), &body[..]);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_flight_comes_together_in_any_order(
            lengths in proptest::collection::vec(0_usize..2500, 1..6),
            mtu in Limits::MTU_MIN..1400,
            fragment in 64_usize..2000,
            keys in proptest::collection::vec(proptest::num::u32::ANY, 1..40),
        ) {
            let mut flight = Flight::default();
            let bodies: Vec<Vec<u8>> = lengths
                .iter()
                .enumerate()
                .map(|(index, length)| (0..*length).map(|at| (at + index) as u8).collect())
                .collect();
            for (sequence, body) in bodies.iter().enumerate() {
                flight.push(Message::new(MessageType::Certificate, sequence as u16, body));
            }
            let mut sent = datagrams(&flight, mtu, fragment);
            proptest::prop_assert!(sent.iter().all(|datagram| datagram.len() <= mtu));
            let mut turn = keys.iter().cycle();
            sent.sort_by_cached_key(|_| *turn.next().unwrap_or(&0));
            let mut reassembly = Reassembly::new(0);
            let mut whole = Vec::new();
            for datagram in &sent {
                let mut rest = &datagram[..];
                while let Some(header) = Header::parse(rest) {
                    let (record, next) = rest[header.bytes..].split_at(header.length);
                    let fragment = Fragment::read(&mut Reader::new(record)).expect("a fragment");
                    reassembly.add(&fragment, &Limits::default()).expect("within limits");
                    rest = next;
                }
                whole.extend(std::iter::from_fn(|| reassembly.next()));
            }
            let came: Vec<&[u8]> = whole.iter().map(Message::body).collect();
            let expected: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            proptest::prop_assert!(came == expected);
        }
    }

    #[test]
    fn small_messages_share_a_datagram() {
        let mut flight = Flight::default();
        flight.push(Message::new(MessageType::ServerHello, 1, &[0; 80]));
        flight.push(Message::new(MessageType::ServerHelloDone, 2, &[]));
        assert_eq!(datagrams(&flight, 1200, 1 << 14).len(), 1);
    }
}
