//! The server that is meant, and whether anything listens there.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::net::UdpSocket;

/// The default port of `coap://`.
const PORT: u16 = 5683;

/// How long a server may take to answer a CoAP ping.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads `coap://host[:port]`, the scheme being optional, and looks the name up.
pub(super) async fn resolve(text: &str) -> Result<SocketAddr> {
    let authority = authority(text)?;
    let target = with_port(authority);
    let mut found = tokio::net::lookup_host(&target)
        .await
        .with_context(|| format!("--server {text}: cannot find the host '{authority}'"))?;
    found
        .next()
        .ok_or_else(|| anyhow!("--server {text}: '{authority}' has no address"))
}

/// Sends a CoAP ping. False when nothing comes back in time.
///
/// # Errors
/// The system knows that nothing listens there, or of no way there.
pub(super) async fn answers(server: SocketAddr) -> Result<bool> {
    let local = match server {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    };
    let socket = UdpSocket::bind(local)
        .await
        .context("cannot open a socket")?;
    let unreachable = || format!("--server: cannot reach {server}");
    socket.connect(server).await.with_context(unreachable)?;
    let ping = [0x40, 0, 0x4c, 0x57];
    socket.send(&ping).await.with_context(unreachable)?;
    let mut buffer = [0; 64];
    match tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => bail!(
            "--server: nothing listens at {server} (UDP); start the server, or name another one"
        ),
        Ok(Err(error)) => Err(error).with_context(unreachable),
        Ok(Ok(_)) => Ok(true),
        Err(_) => Ok(false),
    }
}

fn authority(text: &str) -> Result<&str> {
    let authority = match text.split_once("://") {
        None => text,
        Some(("coap", rest)) => rest,
        Some((scheme @ ("coaps" | "coap+tcp" | "coaps+tcp"), _)) => {
            bail!("--server {text}: {scheme} is not supported; use coap://host:port")
        }
        Some((scheme, _)) => bail!("--server {text}: unknown scheme '{scheme}'; use coap://"),
    };
    let authority = authority.trim_end_matches('/');
    if authority.is_empty() || authority.contains(['/', '?', '@']) {
        bail!("--server {text}: expected coap://host:port");
    }
    Ok(authority)
}

fn with_port(authority: &str) -> String {
    let after_brackets = authority
        .rsplit_once(']')
        .map_or(authority, |(_, rest)| rest);
    if after_brackets.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:{PORT}")
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
        ] {
            assert_eq!(resolve(text).await.unwrap().to_string(), expected);
        }
    }

    #[tokio::test]
    async fn says_what_is_wrong() {
        for (text, word) in [
            ("coaps://127.0.0.1", "coaps is not supported"),
            ("http://127.0.0.1", "unknown scheme"),
            ("coap://", "expected coap://host:port"),
            ("coap://127.0.0.1/rd", "expected coap://host:port"),
            ("coap://127.0.0.1:99999", "cannot find the host"),
        ] {
            let error = resolve(text).await.unwrap_err();
            assert!(error.to_string().contains(word), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn tells_a_closed_port_from_a_silent_one() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        assert!(!answers(address).await.unwrap());
        drop(silent);
        let error = answers(address).await.unwrap_err();
        assert!(error.to_string().contains("nothing listens at"), "{error}");
    }
}
