//! Who a message is from or for, as one shard names it.

use std::hash::{Hash, Hasher};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use super::SessionId;

/// A peer as one shard knows it: the listener that it uses, and what tells it from others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    ip: Ipv6Addr,
    port: u16,
    pub(super) listener: u8,
    /// The shard of the session; 0 without.
    shard: u8,
    known_by: KnownBy,
}

/// What tells a peer from others of its listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KnownBy {
    /// Its address, and our address that it speaks to.
    Address {
        /// Index into [`Transport::locals`]; 0 leaves the choice to the system.
        local: u8,
        scope: u32,
    },
    /// A session, whatever its address is by now: that of the peer is only for people.
    Session { generation: u32, slot: u32 },
    /// A connection, whose messages are those of streams.
    Connection(SessionId),
}

/// Where a session is: its shard, its slot there and, as slots are used again, which one of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SessionSlot {
    pub(crate) shard: u8,
    pub(crate) generation: u32,
    pub(crate) slot: u32,
}

impl Peer {
    /// A peer without a session.
    pub(crate) fn new(listener: u8, address: SocketAddr, local: u8) -> Peer {
        let (ip, scope) = match address {
            SocketAddr::V4(address) => (address.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(address) => (*address.ip(), address.scope_id()),
        };
        Peer {
            ip,
            port: address.port(),
            listener,
            shard: 0,
            known_by: KnownBy::Address { local, scope },
        }
    }

    /// The peer of a session that was opened from here.
    pub(crate) fn in_session(self, session: SessionSlot) -> Peer {
        let SessionSlot {
            shard,
            generation,
            slot,
        } = session;
        Peer {
            shard,
            known_by: KnownBy::Session { generation, slot },
            ..self
        }
    }

    /// The peer at the other end of a connection.
    pub(crate) fn on_connection(self, connection: SessionId) -> Peer {
        Peer {
            known_by: KnownBy::Connection(connection),
            ..self
        }
    }

    /// The session; none for a peer that is known by its address or connection.
    pub(crate) fn session(&self) -> Option<SessionSlot> {
        match self.known_by {
            KnownBy::Session { generation, slot } => Some(SessionSlot {
                shard: self.shard,
                generation,
                slot,
            }),
            KnownBy::Address { .. } | KnownBy::Connection(_) => None,
        }
    }

    /// The index of the listener.
    pub(crate) fn listener(&self) -> u8 {
        self.listener
    }

    /// The connection; none for a peer that sends datagrams.
    pub(crate) fn connection(&self) -> Option<SessionId> {
        match self.known_by {
            KnownBy::Connection(connection) => Some(connection),
            KnownBy::Address { .. } | KnownBy::Session { .. } => None,
        }
    }

    /// The same peer, which speaks to another of our addresses.
    pub(super) fn speaking_to(self, local: u8) -> Peer {
        match self.known_by {
            KnownBy::Address { scope, .. } => Peer {
                known_by: KnownBy::Address { local, scope },
                ..self
            },
            KnownBy::Session { .. } | KnownBy::Connection(_) => self,
        }
    }

    fn has_address_only(&self) -> bool {
        matches!(self.known_by, KnownBy::Address { .. })
    }

    /// The address, or the one that a session was opened from; that of a dual-stack socket in its
    /// IPv4 form.
    pub(crate) fn address(&self) -> SocketAddr {
        match self.ip.to_ipv4_mapped() {
            Some(ip) => (ip, self.port).into(),
            None => SocketAddrV6::new(self.ip, self.port, 0, self.scope()).into(),
        }
    }

    /// The address as a socket of the family takes it.
    pub(super) fn destination(&self, is_ipv6: bool) -> SocketAddr {
        match is_ipv6 {
            true => SocketAddrV6::new(self.ip, self.port, 0, self.scope()).into(),
            false => self.address(),
        }
    }

    /// The IP address, an IPv4 one in its mapped form.
    pub(crate) fn ip(&self) -> Ipv6Addr {
        self.ip
    }

    pub(super) fn scope(&self) -> u32 {
        match self.known_by {
            KnownBy::Address { scope, .. } => scope,
            KnownBy::Session { .. } | KnownBy::Connection(_) => 0,
        }
    }

    /// Which of our addresses it speaks to.
    pub(super) fn local(&self) -> u8 {
        match self.known_by {
            KnownBy::Address { local, .. } => local,
            KnownBy::Session { .. } | KnownBy::Connection(_) => 0,
        }
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Peer) -> bool {
        let alike = (self.listener, self.shard) == (other.listener, other.shard)
            && self.known_by == other.known_by;
        alike && (!self.has_address_only() || (self.ip, self.port) == (other.ip, other.port))
    }
}

impl Eq for Peer {}

// A message is looked up by its peer several times: two numbers hash faster than a slice and four.
impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.known_by {
            KnownBy::Address { local, scope } => {
                let [high, low] = self.port.to_be_bytes();
                let rest = u64::from(u32::from_be_bytes([high, low, self.listener, local]));
                state.write_u128(self.ip.to_bits());
                state.write_u64(u64::from(scope) << 32 | rest);
            }
            KnownBy::Session { generation, slot } => {
                state.write_u64(u64::from(generation) << 32 | u64::from(slot));
                state.write_u16(u16::from_be_bytes([self.shard, self.listener]));
            }
            KnownBy::Connection(connection) => state.write_u64(connection.to_bits()),
        }
    }
}

impl lwm2m_dtls::Path for Peer {
    fn octets(&self) -> [u8; 24] {
        let mut octets = [0; 24];
        octets[..16].copy_from_slice(&self.ip.octets());
        octets[16..18].copy_from_slice(&self.port.to_be_bytes());
        octets[18..20].copy_from_slice(&[self.listener, self.local()]);
        octets[20..].copy_from_slice(&self.scope().to_be_bytes());
        octets
    }
}
