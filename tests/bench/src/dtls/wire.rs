//! Datagrams between devices and a server in one process, in buffers that are used again.

use std::net::SocketAddr;

/// Datagrams in order, each with the device that sends or gets it.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    bytes: Vec<u8>,
    /// The device, and where the datagram ends.
    ends: Vec<(SocketAddr, usize)>,
}

impl Datagrams {
    /// Makes room for so many bytes and datagrams.
    pub(super) fn reserve(&mut self, bytes: usize, datagrams: usize) {
        self.bytes.reserve(bytes);
        self.ends.reserve(datagrams);
    }

    /// Adds a datagram.
    pub(super) fn push(&mut self, device: SocketAddr, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push((device, self.bytes.len()));
    }

    /// True when there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Hands all datagrams over, and forgets them.
    pub(super) fn drain(&mut self, mut take: impl FnMut(SocketAddr, &mut [u8])) {
        let mut start = 0;
        for (device, end) in &self.ends {
            take(*device, &mut self.bytes[start..*end]);
            start = *end;
        }
        self.bytes.clear();
        self.ends.clear();
    }

    /// Moves the datagrams of another to the end of these.
    pub(super) fn append(&mut self, other: &mut Datagrams) {
        other.drain(|device, datagram| self.push(device, datagram));
    }
}

/// The end of DTLS that is measured. It echoes what devices send.
pub(super) trait Server {
    /// Takes a datagram of a device. What it has to say may come now, or from
    /// [`Server::settle`].
    fn take(&mut self, device: SocketAddr, datagram: &mut [u8], out: &mut Datagrams);

    /// Does what is left to do.
    fn settle(&mut self, out: &mut Datagrams) {
        let _ = out;
    }
}
