//! Messages from their fragments, in order (RFC 6347 §4.2.3).

use std::collections::VecDeque;

use super::message::{Fragment, Message, MessageType};
use crate::config::Limits;
use crate::failure::Failure;

/// Puts the messages of a peer together.
#[derive(Debug)]
pub(crate) struct Reassembly {
    /// Number of the message that is due.
    next: u16,
    /// The message that is due and those after it, each none until a fragment of it has come.
    partial: VecDeque<Option<Partial>>,
    bytes: usize,
}

#[derive(Debug)]
struct Partial {
    message_type: MessageType,
    body: Vec<u8>,
    /// Disjoint ranges that have come, in order.
    ranges: Vec<(usize, usize)>,
}

impl Reassembly {
    /// Messages kept ahead of the one that is due.
    const AHEAD_MAX: u16 = 8;

    pub(crate) fn new(next: u16) -> Reassembly {
        Reassembly {
            next,
            partial: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Number of the message that is due.
    pub(crate) fn due(&self) -> u16 {
        self.next
    }

    /// Takes a fragment. What is old, too far ahead, or contradicts an earlier fragment is passed
    /// over: it may have been forged.
    pub(crate) fn add(&mut self, fragment: &Fragment<'_>, limits: &Limits) -> Result<(), Failure> {
        let ahead = fragment.sequence.wrapping_sub(self.next);
        if ahead >= Reassembly::AHEAD_MAX {
            return Ok(());
        }
        let too_large = |what, found, max| Failure::TooLarge { what, found, max };
        if fragment.length > limits.handshake_message_max {
            let max = limits.handshake_message_max;
            return Err(too_large("a handshake message", fragment.length, max));
        }
        let at = usize::from(ahead);
        while self.partial.len() <= at {
            self.partial.push_back(None);
        }
        let partial = match &mut self.partial[at] {
            Some(partial) => partial,
            empty @ None => {
                let bytes = self.bytes + fragment.length;
                if bytes > limits.reassembly_bytes_max {
                    let max = limits.reassembly_bytes_max;
                    return Err(too_large("handshake messages in pieces", bytes, max));
                }
                self.bytes = bytes;
                empty.insert(Partial {
                    message_type: fragment.message_type,
                    body: vec![0; fragment.length],
                    ranges: Vec::new(),
                })
            }
        };
        if partial.message_type == fragment.message_type && partial.body.len() == fragment.length {
            partial.add(fragment, limits.handshake_fragments_max);
        }
        Ok(())
    }

    /// The message that is due, once it is whole.
    pub(crate) fn next(&mut self) -> Option<Message> {
        let first = self.partial.front()?.as_ref()?;
        if !first.is_whole() {
            return None;
        }
        let partial = self.partial.pop_front()??;
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        self.bytes -= partial.body.len();
        Some(Message::new(partial.message_type, sequence, &partial.body))
    }
}

impl Partial {
    fn add(&mut self, fragment: &Fragment<'_>, ranges_max: usize) {
        let (start, end) = (fragment.offset, fragment.offset + fragment.data.len());
        let first = self.ranges.partition_point(|range| range.1 < start);
        let last = self.ranges.partition_point(|range| range.0 <= end);
        if first == last && self.ranges.len() >= ranges_max.max(1) {
            return;
        }
        self.body[start..end].copy_from_slice(fragment.data);
        let joined = self.ranges[first..last]
            .iter()
            .fold((start, end), |joined, range| {
                (joined.0.min(range.0), joined.1.max(range.1))
            });
        self.ranges.splice(first..last, [joined]);
    }

    fn is_whole(&self) -> bool {
        self.ranges == [(0, self.body.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragment(sequence: u16, length: usize, offset: usize, data: &[u8]) -> Fragment<'_> {
        Fragment {
            message_type: MessageType::Certificate,
            length,
            sequence,
            offset,
            data,
        }
    }

    fn limits() -> Limits {
        Limits::default()
    }

    #[test]
    fn fragments_in_any_order_with_overlaps_make_the_message() {
        let body: Vec<u8> = (0..100).collect();
        let pieces = [(60, 100), (0, 10), (0, 10), (30, 70), (5, 31)];
        let mut reassembly = Reassembly::new(4);
        for (start, end) in pieces {
            assert_eq!(reassembly.next(), None);
            let piece = fragment(4, 100, start, &body[start..end]);
            reassembly.add(&piece, &limits()).expect("within limits");
        }
        let message = reassembly.next().expect("whole");
        assert_eq!((message.sequence, message.body()), (4, &body[..]));
        assert_eq!((reassembly.due(), reassembly.bytes), (5, 0));
    }

    #[test]
    fn messages_come_in_order_whatever_the_network_does() {
        let mut reassembly = Reassembly::new(0);
        for sequence in [2, 1, 8, 0] {
            let whole = fragment(sequence, 1, 0, &[9]);
            reassembly.add(&whole, &limits()).expect("within limits");
        }
        let order: Vec<u16> = std::iter::from_fn(|| reassembly.next())
            .map(|message| message.sequence)
            .collect();
        assert_eq!(order, [0, 1, 2], "8 was too far ahead");
    }

    #[test]
    fn an_empty_message_is_whole_at_once() {
        let mut reassembly = Reassembly::new(0);
        reassembly
            .add(&fragment(0, 0, 0, &[]), &limits())
            .expect("ok");
        assert!(reassembly.next().is_some());
    }

    #[test]
    fn a_message_one_byte_above_the_limit_is_refused() {
        let limits = limits();
        let max = limits.handshake_message_max;
        let mut reassembly = Reassembly::new(0);
        assert!(reassembly.add(&fragment(0, max, 0, &[1]), &limits).is_ok());
        let mut reassembly = Reassembly::new(0);
        assert_eq!(
            reassembly.add(&fragment(0, max + 1, 0, &[1]), &limits),
            Err(Failure::TooLarge {
                what: "a handshake message",
                found: max + 1,
                max,
            })
        );
    }

    #[test]
    fn messages_in_pieces_together_have_a_limit() {
        let limits = Limits {
            handshake_message_max: 10,
            reassembly_bytes_max: 20,
            ..limits()
        };
        let mut reassembly = Reassembly::new(0);
        for (sequence, length) in [(0, 10), (1, 10)] {
            let piece = fragment(sequence, length, 0, &[1]);
            assert!(reassembly.add(&piece, &limits).is_ok());
        }
        assert!(reassembly.add(&fragment(2, 1, 0, &[1]), &limits).is_err());
    }

    #[test]
    fn one_piece_apart_above_the_limit_is_passed_over() {
        let limits = Limits {
            handshake_fragments_max: 5,
            ..limits()
        };
        let mut reassembly = Reassembly::new(0);
        for at in 0..6 {
            let piece = fragment(0, 400, 2 * at, &[7]);
            reassembly.add(&piece, &limits).expect("within limits");
        }
        let ranges = |reassembly: &Reassembly| {
            let partial = reassembly.partial[0].as_ref().expect("in reception");
            partial.ranges.len()
        };
        assert_eq!(ranges(&reassembly), 5);
        // What joins others is no further piece.
        let piece = fragment(0, 400, 1, &[7; 300]);
        reassembly.add(&piece, &limits).expect("within limits");
        assert_eq!(ranges(&reassembly), 1);
    }
}
