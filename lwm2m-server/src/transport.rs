//! The sockets: the only place where bytes leave and enter.
//!
//! Each shard has a socket of its own for each listener, all bound to the same address with
//! `SO_REUSEPORT`; the kernel keeps a peer on one of them. Datagrams come and leave in batches,
//! with the don't-fragment bit set, and a reply leaves from the address that the request came to.
//!
//! A socket that is bound to all addresses must name that address for each datagram, and sends
//! them one by one. So a listener for all addresses has sockets for the single ones as well, see
//! [`binding`]; only what comes to an address that the machine got later takes the slow way.

mod binding;
mod outgoing;
mod peer;
mod session;
pub(crate) mod stream;
mod tls;
#[cfg(feature = "tls-psk")]
mod tls_psk;

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use lwm2m_coap::Transmit;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSocketState};
use tokio::io::Interest;

pub(crate) use binding::{Bound, BoundSocket, BoundStream, bind};
pub(crate) use outgoing::Outgoing;
pub(crate) use peer::{Peer, SessionSlot};
pub(crate) use session::{SessionId, SessionTable};
pub(crate) use tls::Tls;

/// One of our addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Local {
    ip: IpAddr,
    /// The interface of an address that is unique on its link only, 0 for others.
    scope: u32,
}

impl Local {
    /// An address of the interface with this index.
    fn new(ip: IpAddr, interface: u32) -> Local {
        let ip = ip.to_canonical();
        let scope = match ip {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => interface,
            _ => 0,
        };
        Local { ip, scope }
    }
}

/// The sockets of one shard.
#[derive(Debug)]
pub(crate) struct Transport {
    sockets: Vec<ListenerSocket>,
    /// Where the sockets of a listener are: the first is that of the listener itself, the others
    /// are those for single addresses, by the index of the address.
    ways: Vec<Vec<usize>>,
    /// Our addresses that peers speak to, where a listener is for all of them; the first stands
    /// for "whichever". Those with sockets of their own come first, alike on all shards.
    locals: Vec<Local>,
    /// Datagrams that nobody may answer.
    refused: u64,
    /// System calls that sent datagrams.
    send_calls: u64,
}

#[derive(Debug)]
struct ListenerSocket {
    io: tokio::net::UdpSocket,
    state: UdpSocketState,
    is_ipv6: bool,
    listener: u8,
    local: SocketLocal,
}

/// Our address, as a socket knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SocketLocal {
    /// The socket has one, this index of [`Transport::locals`].
    Fixed(u8),
    /// The socket is for all addresses, so that replies must name theirs.
    Named,
}

/// Buffers for one batch of datagrams.
pub(crate) struct Batch {
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
}

impl Batch {
    // The system may put several datagrams of one peer together (GRO), up to 64 KiB. The odd size
    // keeps the heads of the buffers out of one set of the cache.
    const BUFFER: usize = (64 << 10) + 192;

    pub(crate) fn new() -> Batch {
        Batch {
            bytes: vec![0; Batch::BUFFER * BATCH_SIZE],
            meta: [RecvMeta::default(); BATCH_SIZE],
        }
    }
}

/// What became of datagrams that are to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// They left, or the system refused them for good.
    Done,
    /// The socket is full; try again when it is writable.
    Blocked,
}

impl Transport {
    /// Takes the sockets of a shard; within its runtime.
    pub(crate) fn new(bound: Vec<BoundSocket>) -> io::Result<Transport> {
        let mut transport = Transport {
            sockets: Vec::new(),
            ways: Vec::new(),
            locals: vec![Local::new(Ipv6Addr::UNSPECIFIED.into(), 0)],
            refused: 0,
            send_calls: 0,
        };
        for socket in bound {
            transport.add(socket)?;
        }
        Ok(transport)
    }

    fn add(&mut self, bound: BoundSocket) -> io::Result<()> {
        let BoundSocket {
            socket,
            listener,
            local,
        } = bound;
        let address = socket.local_addr()?;
        let index = local.map_or(0, |local| local_index(&mut self.locals, local));
        let io = tokio::net::UdpSocket::from_std(socket)?;
        let listener_index = usize::from(listener);
        self.ways
            .resize_with(self.ways.len().max(listener_index + 1), Vec::new);
        let ways = &mut self.ways[listener_index];
        // An address without a socket of its own takes the way of all.
        let all = ways.first().copied().unwrap_or(self.sockets.len());
        ways.resize(ways.len().max(usize::from(index) + 1), all);
        ways[usize::from(index)] = self.sockets.len();
        self.sockets.push(ListenerSocket {
            state: UdpSocketState::new((&io).into())?,
            io,
            is_ipv6: address.is_ipv6(),
            listener,
            local: match address.ip().is_unspecified() {
                true => SocketLocal::Named,
                false => SocketLocal::Fixed(index),
            },
        });
        Ok(())
    }

    /// The socket that a peer speaks to.
    fn socket_of(&self, peer: &Peer) -> Option<&ListenerSocket> {
        let ways = self.ways.get(usize::from(peer.listener))?;
        let way = ways.get(usize::from(peer.local())).or(ways.first())?;
        self.sockets.get(*way)
    }

    /// Ready when a socket may have datagrams.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ready = Poll::Pending;
        for socket in &self.sockets {
            if socket.io.poll_recv_ready(cx).is_ready() {
                ready = Poll::Ready(());
            }
        }
        ready
    }

    /// Ready when the socket of a peer may take datagrams again.
    pub(crate) fn poll_writable(&self, peer: &Peer, cx: &mut Context<'_>) -> Poll<()> {
        match self.socket_of(peer) {
            Some(socket) => socket.io.poll_send_ready(cx).map(|_| ()),
            None => Poll::Ready(()),
        }
    }

    /// Receives one batch from each socket and hands out the datagrams; true when a socket may
    /// have more.
    pub(crate) fn receive(
        &mut self,
        batch: &mut Batch,
        mut each: impl FnMut(Peer, &mut [u8]),
    ) -> bool {
        let mut more = false;
        for socket in &self.sockets {
            let Batch { bytes, meta } = batch;
            let mut buffers = bytes.chunks_exact_mut(Batch::BUFFER).map(IoSliceMut::new);
            let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = std::array::from_fn(|_| {
                buffers
                    .next()
                    .expect("invariant: there are BATCH_SIZE buffers")
            });
            let mut count = 0;
            let received = socket.io.try_io(Interest::READABLE, || {
                count = socket.state.recv((&socket.io).into(), &mut slices, meta)?;
                // A batch that is not full has emptied the queue. Saying so spares the call that
                // would find it empty: what comes later wakes the socket again.
                match count {
                    BATCH_SIZE => Ok(()),
                    _ => Err(io::ErrorKind::WouldBlock.into()),
                }
            });
            match received {
                Ok(()) => more = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    // Left over from a datagram that we sent; the next one is not concerned.
                    tracing::debug!(%error, "receive failed");
                    more = true;
                    continue;
                }
            }
            for (meta, buffer) in meta
                .iter()
                .zip(bytes.chunks_exact_mut(Batch::BUFFER))
                .take(count)
            {
                let received = &mut buffer[..meta.len.min(Batch::BUFFER)];
                let stride = if meta.stride == 0 {
                    received.len()
                } else {
                    meta.stride
                };
                if !answerable(meta.addr, meta.dst_ip) {
                    self.refused += received.len().div_ceil(stride.max(1)).max(1) as u64;
                    tracing::trace!(peer = %meta.addr, to = ?meta.dst_ip, "datagram not answerable");
                    continue;
                }
                let local = match (socket.local, meta.dst_ip) {
                    (SocketLocal::Fixed(local), _) => local,
                    (SocketLocal::Named, Some(ip)) => {
                        local_index(&mut self.locals, Local::new(ip, scope_of(&meta.addr)))
                    }
                    (SocketLocal::Named, None) => 0,
                };
                let peer = Peer::new(socket.listener, meta.addr, local);
                if received.len() <= stride {
                    each(peer, received);
                } else {
                    received
                        .chunks_mut(stride)
                        .for_each(|datagram| each(peer, datagram));
                }
            }
        }
        more
    }

    /// Datagrams that were dropped because nobody may answer them.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Sends datagrams in their order; what did not fit stays.
    pub(crate) fn send(&mut self, outgoing: &mut Outgoing) -> Sent {
        outgoing.drain(|run| {
            let sent = self.send_run(run)?;
            self.send_calls += 1;
            Ok(sent)
        })
    }

    /// System calls that sent datagrams.
    pub(crate) fn send_calls(&self) -> u64 {
        self.send_calls
    }

    /// Sends the first datagrams of a run; answers how many left.
    fn send_run(&self, run: &[Transmit<Peer>]) -> io::Result<usize> {
        let [first, ..] = run else {
            return Ok(0);
        };
        let Some(socket) = self.socket_of(&first.peer) else {
            return Ok(run.len());
        };
        let src_ip = match socket.local {
            SocketLocal::Fixed(_) => None,
            SocketLocal::Named => self.local_of(&first.peer).map(|local| local.ip),
        };
        #[cfg(target_os = "linux")]
        if run.len() >= TOGETHER_MIN && src_ip.is_none() {
            let send = || outgoing::send_together(&socket.io, socket.is_ipv6, run);
            return socket.io.try_io(Interest::WRITABLE, send);
        }
        let datagram = quinn_udp::Transmit {
            destination: first.peer.destination(socket.is_ipv6),
            ecn: None,
            contents: &first.datagram,
            segment_size: None,
            src_ip,
        };
        socket.io.try_io(Interest::WRITABLE, || {
            socket.state.try_send((&socket.io).into(), &datagram)
        })?;
        Ok(1)
    }

    /// The peer as another shard may know it, and the address of ours behind `local`.
    pub(crate) fn local_of(&self, peer: &Peer) -> Option<Local> {
        match peer.local() {
            0 => None,
            local => self.locals.get(usize::from(local)).copied(),
        }
    }

    /// A peer that another shard has received from.
    pub(crate) fn adopt(&mut self, peer: Peer, local: Option<Local>) -> Peer {
        let local = local.map_or(0, |local| local_index(&mut self.locals, local));
        peer.speaking_to(local)
    }
}

/// Fewer datagrams than this leave one by one: to describe several at once costs about as much as
/// the calls that it spares.
#[cfg(target_os = "linux")]
const TOGETHER_MIN: usize = 4;

/// False for a datagram that has no port to answer to, or was not meant for us alone. LwM2M knows
/// no requests to groups, and an answer to one is what an amplifier is made of.
fn answerable(from: SocketAddr, to: Option<IpAddr>) -> bool {
    let to_many = match to.map(|to| to.to_canonical()) {
        Some(IpAddr::V4(to)) => to.is_multicast() || to.is_broadcast(),
        Some(IpAddr::V6(to)) => to.is_multicast(),
        None => false,
    };
    from.port() != 0 && !to_many
}

/// The interface that a peer is behind, 0 when its address says none.
fn scope_of(address: &SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    }
}

/// The index of one of our addresses. A machine with more than 255 of them answers from whichever
/// for the rest.
fn local_index(locals: &mut Vec<Local>, local: Local) -> u8 {
    if let Some(index) = locals.iter().skip(1).position(|known| *known == local) {
        return index as u8 + 1;
    }
    if locals.len() > usize::from(u8::MAX) {
        return 0;
    }
    locals.push(local);
    (locals.len() - 1) as u8
}

#[cfg(test)]
mod tests;
