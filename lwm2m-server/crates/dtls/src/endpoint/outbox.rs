//! Datagrams and events on their way out.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::types::{Event, Transmit};

/// The queues of [`Endpoint::poll_transmit`](super::Endpoint::poll_transmit) and
/// [`Endpoint::poll_event`](super::Endpoint::poll_event).
///
/// Datagrams are cut from chunks, which are used again once all datagrams of them are sent.
#[derive(Debug)]
pub(super) struct Outbox<P> {
    transmits: VecDeque<Transmit<P>>,
    pub(super) events: VecDeque<Event<P>>,
    chunk: BytesMut,
    /// Where records are put together.
    pub(super) scratch: Vec<u8>,
}

impl<P: Copy> Outbox<P> {
    const CHUNK: usize = 16 << 10;

    pub(super) fn new() -> Outbox<P> {
        Outbox {
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            chunk: BytesMut::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, path: P, datagram: &[u8]) {
        let datagram = cut(&mut self.chunk, datagram);
        self.transmits.push_back(Transmit { path, datagram });
    }

    /// Lines up what was put together in `scratch`, and clears it.
    pub(super) fn push_scratch(&mut self, path: P) {
        let datagram = cut(&mut self.chunk, &self.scratch);
        self.scratch.clear();
        self.transmits.push_back(Transmit { path, datagram });
    }

    pub(super) fn pop(&mut self) -> Option<Transmit<P>> {
        self.transmits.pop_front()
    }
}

fn cut(chunk: &mut BytesMut, datagram: &[u8]) -> Bytes {
    if chunk.capacity() < datagram.len() {
        chunk.reserve(Outbox::<()>::CHUNK.max(datagram.len()));
    }
    chunk.extend_from_slice(datagram);
    chunk.split().freeze()
}
