//! Serving the API over sockets: how many callers at once, and how long a slow one may take.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lwm2m_server::Server;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::router_with_more;

/// What callers of the API may take of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpLimits {
    /// Connections at the same time; one more is answered 503 and closed. 1024.
    pub connections_max: usize,
    /// Event streams at the same time; one more is answered 503. 256.
    pub event_streams_max: usize,
    /// How long a caller may take for the head of a request, the time between two requests of a
    /// connection included. 30 s.
    pub header_timeout: Duration,
    /// How long a caller may pause within the body of a request. 30 s.
    pub body_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        HttpLimits {
            connections_max: 1024,
            event_streams_max: 256,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
        }
    }
}

/// Serves the API over HTTP/1.1 to whoever connects, within the limits.
///
/// # Errors
/// The listener cannot accept any more.
///
/// # Cancel safety
/// Dropping the future closes all connections; until then it does not end.
pub async fn serve(listener: TcpListener, server: Server, limits: HttpLimits) -> io::Result<()> {
    serve_with_more(listener, server, limits, Router::new()).await
}

/// The same with routes of somebody else below `/api/v1`, see
/// [`router_with_more`](crate::router_with_more).
///
/// # Errors
/// The listener cannot accept any more.
///
/// # Cancel safety
/// As [`serve`].
pub async fn serve_with_more(
    listener: TcpListener,
    server: Server,
    limits: HttpLimits,
    more: Router<Server>,
) -> io::Result<()> {
    let service = TowerToHyperService::new(router_with_more(server, &limits, more));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout);
    let mut connections = JoinSet::new();
    loop {
        let stream = accept(&listener).await?;
        while connections.try_join_next().is_some() {}
        if connections.len() >= limits.connections_max {
            tracing::warn!(
                connections_max = limits.connections_max,
                "HTTP connection refused"
            );
            refuse(&stream);
            continue;
        }
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "HTTP connection ended");
            }
        });
    }
}

/// The next connection. What concerns one connection, or will be over soon, is not an error of the
/// listener.
async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            Err(error) => {
                // Out of file descriptors, most likely.
                tracing::error!(%error, "cannot accept HTTP connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How long to wait when the system has no room for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// Tells a caller that there is no room. It fits into the empty buffer of a new connection.
fn refuse(stream: &TcpStream) {
    const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
                          connection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = stream.try_write(BUSY);
}
