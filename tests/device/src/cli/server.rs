//! The server that is meant, and whether anything listens there.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::net::{TcpStream, UdpSocket};

/// The default port of `coap://`.
const PORT: u16 = 5683;

/// The default port of `coaps://`.
const SECURE_PORT: u16 = 5684;

/// How long a server may take to answer a CoAP ping.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long the system may take to tell that nothing listens at a port.
const NOBODY: Duration = Duration::from_millis(200);

/// A server, and whether it is meant to be secure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// `coaps://` or `coaps+tcp://`
    pub(super) is_secure: bool,
    /// `coap+tcp://` or `coaps+tcp://`
    pub(super) is_stream: bool,
}

/// Reads `coap://host[:port]`, or the same with `coaps`, `coap+tcp` or `coaps+tcp`, plain when there
/// is no scheme, and looks the name up.
pub(super) async fn resolve(argument: &str, text: &str) -> Result<Target> {
    let (authority, is_secure, is_stream) = authority(argument, text)?;
    let target = with_port(authority, if is_secure { SECURE_PORT } else { PORT });
    let mut found = tokio::net::lookup_host(&target)
        .await
        .with_context(|| format!("{argument} {text}: cannot find the host '{authority}'"))?;
    let address = found
        .next()
        .ok_or_else(|| anyhow!("{argument} {text}: '{authority}' has no address"))?;
    Ok(Target {
        address,
        is_secure,
        is_stream,
    })
}

/// Sends a CoAP ping. False when nothing comes back in time. A secure server says nothing to it, so
/// there only a port where nobody listens can be told.
///
/// # Errors
/// The system knows that nothing listens there, or of no way there.
pub(super) async fn answers(argument: &str, target: Target) -> Result<bool> {
    let server = target.address;
    if target.is_stream {
        return match tokio::time::timeout(PATIENCE, TcpStream::connect(server)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => bail!(
                "{argument}: nothing listens at {server} (TCP); start the server, or name another \
                 one"
            ),
            Ok(Err(error)) => {
                Err(error).with_context(|| format!("{argument}: cannot reach {server}"))
            }
            Ok(Ok(_)) => Ok(true),
            Err(_) => Ok(false),
        };
    }
    let patience = if target.is_secure { NOBODY } else { PATIENCE };
    let local = match server {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = UdpSocket::bind(local)
        .await
        .context("cannot open a socket")?;
    let unreachable = || format!("{argument}: cannot reach {server}");
    socket.connect(server).await.with_context(unreachable)?;
    let ping = [0x40, 0, 0x4c, 0x57];
    socket.send(&ping).await.with_context(unreachable)?;
    let mut buffer = [0; 64];
    match tokio::time::timeout(patience, socket.recv(&mut buffer)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => bail!(
            "{argument}: nothing listens at {server} (UDP); start the server, or name another one"
        ),
        Ok(Err(error)) => Err(error).with_context(unreachable),
        Ok(Ok(_)) => Ok(true),
        Err(_) => Ok(target.is_secure),
    }
}

/// Host and port, and whether the scheme is a secure one, and one for connections.
fn authority<'t>(argument: &str, text: &'t str) -> Result<(&'t str, bool, bool)> {
    let (authority, is_secure, is_stream) = match text.split_once("://") {
        None => (text, false, false),
        Some(("coap", rest)) => (rest, false, false),
        Some(("coaps", rest)) => (rest, true, false),
        Some(("coap+tcp", rest)) => (rest, false, true),
        Some(("coaps+tcp", _)) if !cfg!(feature = "tls-psk") => {
            bail!("{argument} {text}: coaps+tcp needs the feature tls-psk of lwm2m-device")
        }
        Some(("coaps+tcp", rest)) => (rest, true, true),
        Some((scheme, _)) => bail!(
            "{argument} {text}: unknown scheme '{scheme}'; use coap, coaps, coap+tcp or coaps+tcp"
        ),
    };
    let authority = authority.trim_end_matches('/');
    if authority.is_empty() || authority.contains(['/', '?', '@']) {
        bail!("{argument} {text}: expected coap://host:port");
    }
    Ok((authority, is_secure, is_stream))
}

fn with_port(authority: &str, port: u16) -> String {
    let after_brackets = authority
        .rsplit_once(']')
        .map_or(authority, |(_, rest)| rest);
    if after_brackets.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn resolves_addresses() {
        for (text, expected) in [
            ("coap://127.0.0.1:5000", "127.0.0.1:5000"),
            ("coap://127.0.0.1/", "127.0.0.1:5683"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("coap://[::1]", "[::1]:5683"),
            ("coap://[::1]:5000", "[::1]:5000"),
            ("coaps://127.0.0.1", "127.0.0.1:5684"),
            ("coaps://127.0.0.1:5685", "127.0.0.1:5685"),
            ("coap+tcp://127.0.0.1", "127.0.0.1:5683"),
            #[cfg(feature = "tls-psk")]
            ("coaps+tcp://127.0.0.1", "127.0.0.1:5684"),
        ] {
            let target = resolve("--server", text).await.unwrap();
            assert_eq!(target.address.to_string(), expected);
            assert_eq!(target.is_secure, text.starts_with("coaps"));
            assert_eq!(target.is_stream, text.contains("+tcp"));
        }
    }

    #[tokio::test]
    async fn says_what_is_wrong() {
        for (text, word) in [
            #[cfg(not(feature = "tls-psk"))]
            ("coaps+tcp://127.0.0.1", "the feature tls-psk"),
            ("http://127.0.0.1", "unknown scheme"),
            ("coap://", "expected coap://host:port"),
            ("coap://127.0.0.1/rd", "expected coap://host:port"),
            ("coap://127.0.0.1:99999", "cannot find the host"),
        ] {
            let error = resolve("--server", text).await.unwrap_err();
            assert!(error.to_string().contains(word), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn tells_a_closed_port_from_a_silent_one() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let target = |is_secure, is_stream| Target {
            address,
            is_secure,
            is_stream,
        };
        let (plain, secure, stream) = (
            target(false, false),
            target(true, false),
            target(false, true),
        );
        assert!(!answers("--server", plain).await.unwrap());
        assert!(answers("--server", secure).await.unwrap());
        drop(silent);
        for target in [plain, secure, stream] {
            let error = answers("--server", target).await.unwrap_err();
            assert!(error.to_string().contains("nothing listens at"), "{error}");
        }
    }
}
