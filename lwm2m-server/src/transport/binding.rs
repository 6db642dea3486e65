//! Binding the sockets of all shards.
//!
//! ```text
//! 192.0.2.1:5683   one socket for each shard
//! 0.0.0.0:5683     one socket for each shard ── what comes to an address that is new or not known
//!                    and for each address of the machine one socket more for each shard
//! ```
//!
//! The kernel prefers the socket with the more precise address. Such a socket need not name its
//! address for each datagram, so what it sends leaves in batches.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};

use socket2::{Domain, Socket, Type};

use super::Local;
use crate::{Listener, StartError};

/// The sockets of all shards.
pub(crate) struct Bound {
    /// By shard.
    pub(crate) shards: Vec<Vec<BoundSocket>>,
    /// Of the listeners, in their order.
    pub(crate) addresses: Vec<SocketAddr>,
    /// For connections, by shard.
    pub(crate) streams: Vec<Vec<BoundStream>>,
}

/// A socket of one shard that accepts connections.
#[derive(Debug)]
pub(crate) struct BoundStream {
    pub(crate) socket: std::net::TcpListener,
    /// The index of its listener.
    pub(crate) listener: u8,
    /// Whether TLS is below.
    pub(crate) tls: bool,
}

/// A socket of one shard.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    pub(super) socket: UdpSocket,
    /// The index of its listener.
    pub(super) listener: u8,
    /// Which of our addresses it is for, when its listener is for all of them.
    pub(super) local: Option<Local>,
}

/// Binds every listener once for each shard. A listener for all addresses gets sockets of their
/// own for `local_addresses_max` of them.
pub(crate) fn bind(
    listeners: &[Listener],
    shards: usize,
    local_addresses_max: usize,
) -> Result<Bound, StartError> {
    let locals = match TOGETHER {
        true => local_addresses(local_addresses_max.min(usize::from(u8::MAX))),
        false => Vec::new(),
    };
    bind_with(listeners, shards, &locals)
}

/// Binds on a machine that has these addresses.
fn bind_with(listeners: &[Listener], shards: usize, locals: &[Local]) -> Result<Bound, StartError> {
    let mut bound = Bound {
        shards: (0..shards).map(|_| Vec::new()).collect(),
        addresses: Vec::new(),
        streams: (0..shards).map(|_| Vec::new()).collect(),
    };
    for (index, listener) in listeners.iter().enumerate() {
        let asked = listener.address();
        let kind = match listener.is_stream() {
            true => Type::STREAM,
            false => Type::DGRAM,
        };
        let fail = |source| StartError::Bind {
            address: asked,
            source,
        };
        let ipv4_has_its_own = listeners.iter().any(|other| {
            let address = other.address();
            let same_port = address.port() == asked.port() && asked.port() != 0;
            address.is_ipv4() && same_port && other.is_stream() == listener.is_stream()
        });
        let bind = Bind {
            kind,
            dual: !ipv4_has_its_own,
        };
        if listener.is_stream() {
            bound
                .add_stream(index as u8, listener, bind)
                .map_err(fail)?;
            continue;
        }
        let locals: Vec<Local> = match asked.ip().is_unspecified() {
            true => locals
                .iter()
                .copied()
                .filter(|l| l.is_part_of(&asked, bind.dual))
                .collect(),
            false => Vec::new(),
        };
        let share = shards > 1 || !locals.is_empty();
        let sockets = bind.each(asked, shards, share).map_err(fail)?;
        let address = local_address(&sockets).map_err(fail)?;
        bound.addresses.push(address);
        for (shard, socket) in bound.shards.iter_mut().zip(sockets) {
            shard.push(BoundSocket {
                socket: socket.into(),
                listener: index as u8,
                local: None,
            });
        }
        for local in locals {
            let address = local.socket_address(address.port());
            let sockets: io::Result<Vec<UdpSocket>> = (0..shards)
                .map(|_| Ok(bind.one(address, true)?.into()))
                .collect();
            match sockets {
                Ok(sockets) => bound.add(index as u8, local, sockets),
                // It may have gone, or is not ready yet: the socket for all addresses serves it.
                Err(error) => {
                    tracing::info!(%address, %error, "no socket for this address alone");
                }
            }
        }
    }
    Ok(bound)
}

impl Bound {
    /// Binds a listener for connections.
    fn add_stream(&mut self, index: u8, listener: &Listener, bind: Bind) -> io::Result<()> {
        let shards = self.streams.len();
        let sockets = bind.each(listener.address(), shards, shards > 1)?;
        self.addresses.push(local_address(&sockets)?);
        for (shard, socket) in self.streams.iter_mut().zip(sockets) {
            socket.listen(BACKLOG)?;
            shard.push(BoundStream {
                socket: socket.into(),
                listener: index,
                tls: listener.is_tls(),
            });
        }
        Ok(())
    }

    fn add(&mut self, listener: u8, local: Local, sockets: Vec<UdpSocket>) {
        for (shard, socket) in self.shards.iter_mut().zip(sockets) {
            shard.push(BoundSocket {
                socket,
                listener,
                local: Some(local),
            });
        }
    }
}

/// Whether the system sends several datagrams with one call; without that, sockets for single
/// addresses are of no use.
const TOGETHER: bool = cfg!(target_os = "linux");

/// The addresses of this machine, each once; at most `max`.
fn local_addresses(max: usize) -> Vec<Local> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::info!(%error, "the addresses of the machine are not known");
        Vec::new()
    });
    let mut locals: Vec<Local> = Vec::new();
    for interface in interfaces {
        let local = Local::new(interface.ip(), interface.index.unwrap_or_default());
        if locals.contains(&local) {
            continue;
        }
        if locals.len() >= max {
            tracing::info!(max, "more addresses than limits.local_addresses_max");
            break;
        }
        locals.push(local);
    }
    locals
}

impl Local {
    /// True when a socket for all addresses takes what comes to this one.
    fn is_part_of(&self, all: &SocketAddr, dual: bool) -> bool {
        match (self.ip, all) {
            (IpAddr::V4(_), SocketAddr::V4(_)) | (IpAddr::V6(_), SocketAddr::V6(_)) => true,
            (IpAddr::V4(_), SocketAddr::V6(_)) => dual,
            (IpAddr::V6(_), SocketAddr::V4(_)) => false,
        }
    }

    fn socket_address(&self, port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V4(ip) => (ip, port).into(),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, self.scope).into(),
        }
    }
}

/// Connections that wait to be accepted; the system may allow less.
const BACKLOG: i32 = 1024;

fn local_address(sockets: &[Socket]) -> io::Result<SocketAddr> {
    let first = sockets.first().ok_or(io::ErrorKind::InvalidInput)?;
    let address = first.local_addr()?.as_socket();
    address.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// What sockets of a listener have in common.
#[derive(Debug, Clone, Copy)]
struct Bind {
    kind: Type,
    /// An address for all of IPv6 stands for all of IPv4, too.
    dual: bool,
}

impl Bind {
    /// Binds a socket for each shard; the port that the system chooses is the same for all.
    fn each(self, asked: SocketAddr, shards: usize, share: bool) -> io::Result<Vec<Socket>> {
        let mut sockets = vec![self.first(asked, share)?];
        let address = local_address(&sockets)?;
        while sockets.len() < shards {
            sockets.push(self.one(address, share)?);
        }
        Ok(sockets)
    }

    /// Binds the first socket of a listener. Sharing a port is for our own sockets: another process
    /// on it is an error.
    fn first(self, address: SocketAddr, share: bool) -> io::Result<Socket> {
        // Linux lets others in from the moment that the option is set.
        #[cfg(target_os = "linux")]
        {
            let socket = self.one(address, false)?;
            socket.set_reuse_port(share)?;
            Ok(socket)
        }
        #[cfg(not(target_os = "linux"))]
        {
            if address.port() != 0 {
                self.one(address, false)?;
            }
            self.one(address, share)
        }
    }

    fn one(self, address: SocketAddr, share: bool) -> io::Result<Socket> {
        const RECEIVE_BUFFER: usize = 4 << 20;
        let socket = Socket::new(Domain::for_address(address), self.kind, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(!(self.dual && address.ip().is_unspecified()))?;
        }
        #[cfg(unix)]
        socket.set_reuse_port(share)?;
        #[cfg(not(unix))]
        let _ = share;
        if self.kind == Type::DGRAM {
            // The system may grant less; a storm then loses datagrams, which CoAP repeats.
            let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        } else {
            // Connections of an earlier run that are being closed do not keep the port.
            #[cfg(unix)]
            socket.set_reuse_address(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_for_all_addresses_has_the_addresses_of_its_family() {
        let v4 = Local::new([10, 0, 0, 1].into(), 0);
        let v6 = Local::new(std::net::Ipv6Addr::LOCALHOST.into(), 0);
        let all_v4 = SocketAddr::from(([0, 0, 0, 0], 1));
        let all_v6 = SocketAddr::from(([0; 16], 1));
        assert!(v4.is_part_of(&all_v4, true) && !v6.is_part_of(&all_v4, true));
        assert!(v6.is_part_of(&all_v6, false) && !v4.is_part_of(&all_v6, false));
        assert!(v4.is_part_of(&all_v6, true));
    }

    #[test]
    fn a_link_local_address_is_bound_with_its_interface() {
        let local = Local::new("fe80::1".parse().expect("an address"), 3);
        assert_eq!(local.socket_address(7).to_string(), "[fe80::1%3]:7");
        let global = Local::new("2001:db8::1".parse().expect("an address"), 3);
        assert_eq!(global.socket_address(7).to_string(), "[2001:db8::1]:7");
    }

    #[test]
    fn an_address_that_cannot_be_bound_is_left_to_the_socket_for_all() {
        let all = Listener::coap(([0, 0, 0, 0], 0).into());
        // One that is for documents, and one that every machine has.
        let locals = [[203, 0, 113, 7], [127, 0, 0, 1]].map(|ip| Local::new(ip.into(), 0));
        let bound = bind_with(&[all], 2, &locals).expect("bound");
        for sockets in bound.shards {
            let of: Vec<_> = sockets.into_iter().map(|socket| socket.local).collect();
            assert_eq!(of, [None, Some(locals[1])]);
        }
    }

    #[test]
    fn no_more_local_addresses_than_the_limit() {
        // Every machine has an address, the loopback.
        let all = local_addresses(usize::MAX);
        assert!(all.contains(&Local::new([127, 0, 0, 1].into(), 0)));
        assert_eq!(local_addresses(all.len() - 1), all[..all.len() - 1]);
        assert!(local_addresses(0).is_empty());
    }
}
