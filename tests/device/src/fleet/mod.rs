//! Many devices in one process.
//!
//! [`Fleet`] runs full clients, each with its own socket, for up to some ten thousand devices.
//! [`Storm`] goes beyond: compact devices that only register, update and notify, many of them to a
//! socket.

mod counters;
mod members;
mod storm;
mod wire;

pub use counters::{FleetCounters, FleetStatus};
pub use members::{Fleet, FleetConfig, FleetError};
pub use storm::{Job, Storm, StormConfig, StormError, StormOutcome};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Sockets on one source address: well below the 28 000 ports that Linux gives out by itself.
const SOCKETS_PER_ADDRESS: usize = 10_000;

/// Files that a process needs besides its sockets.
const OTHER_FILES: u64 = 64;

/// Where the socket of this number binds to: towards a server on loopback the source addresses
/// 127.0.0.1, 127.0.0.2, ... take turns.
pub(crate) fn source(server: &SocketAddr, number: usize) -> SocketAddr {
    let ip: IpAddr = match server.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => {
            let turn = u32::try_from(number / SOCKETS_PER_ADDRESS).unwrap_or(0);
            Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + turn).into()
        }
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}

/// Raises the soft limit of open files to what this many sockets need.
///
/// # Errors
/// The hard limit, when it is lower.
pub(crate) fn allow_sockets(sockets: usize) -> Result<(), u64> {
    let needed = sockets as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if let Some(hard) = limit.maximum.filter(|hard| *hard < needed) {
        return Err(hard);
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| limit.current.unwrap_or(needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_addresses_take_turns_on_loopback() {
        let server: SocketAddr = "127.0.0.1:5683".parse().unwrap();
        for (number, expected) in [
            (0, "127.0.0.1:0"),
            (9_999, "127.0.0.1:0"),
            (10_000, "127.0.0.2:0"),
            (99_999, "127.0.0.10:0"),
        ] {
            assert_eq!(source(&server, number).to_string(), expected);
        }
        let far: SocketAddr = "192.0.2.1:5683".parse().unwrap();
        assert_eq!(source(&far, 99_999).to_string(), "0.0.0.0:0");
    }
}
