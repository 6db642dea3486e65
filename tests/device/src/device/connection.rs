//! The connection of a device to its server, made again whenever it ends.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lwm2m_coap::tcp::{Capabilities, Connection, ConnectionLimits, Incoming};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::sleep_until;
use crate::Retry;
#[cfg(feature = "tls-psk")]
use crate::TlsAccount;

/// Messages that wait to be written, and pieces of news that wait for the device.
const QUEUE_MAX: usize = 64;

/// How long it may take until a connection stands.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is below a connection.
#[derive(Debug, Clone, Default)]
pub(super) enum Below {
    /// TCP, without security.
    #[default]
    Tcp,
    /// TLS.
    #[cfg(feature = "tls-psk")]
    Tls(TlsAccount),
}

impl Below {
    /// The identity of a pre-shared key.
    pub(super) fn identity(&self) -> Option<&[u8]> {
        match self {
            Below::Tcp => None,
            #[cfg(feature = "tls-psk")]
            Below::Tls(account) => Some(account.identity()),
        }
    }
}

/// The device's side of the task that has the connection.
pub(super) struct ServerConnection {
    orders: mpsc::Sender<Order>,
    news: mpsc::Receiver<News>,
}

enum Order {
    Send(Bytes),
    /// Ends the connection, and makes another one.
    Again,
}

/// What has become of the connection.
pub(super) enum News {
    /// It stands; with our address.
    Connected(SocketAddr, Capabilities),
    Frame(Bytes),
    Ended(String),
}

impl ServerConnection {
    /// Connects on the current tokio runtime, until it is dropped.
    pub(super) fn open(server: SocketAddr, below: Below, retry: Retry) -> ServerConnection {
        let (orders, received) = mpsc::channel(QUEUE_MAX);
        let (sender, news) = mpsc::channel(QUEUE_MAX);
        let task = Task {
            server,
            below,
            retry,
            orders: received,
            news: sender,
            local: server,
        };
        tokio::spawn(task.run());
        ServerConnection { orders, news }
    }

    /// Sends a message; one too many is lost, as on a network.
    pub(super) fn send(&self, frame: Bytes) {
        let _ = self.orders.try_send(Order::Send(frame));
    }

    /// Makes another connection, as after a restart.
    pub(super) async fn again(&self) {
        // The task ends with us.
        let _ = self.orders.send(Order::Again).await;
    }

    pub(super) async fn next(&mut self) -> News {
        let gone = || News::Ended("the connection is given up".to_owned());
        self.news.recv().await.unwrap_or_else(gone)
    }
}

struct Task {
    server: SocketAddr,
    below: Below,
    retry: Retry,
    orders: mpsc::Receiver<Order>,
    news: mpsc::Sender<News>,
    /// Our address, once there is a connection.
    local: SocketAddr,
}

/// How a connection ended.
enum End {
    /// Somehow; says how.
    Lost(String),
    /// As the device wished.
    Again,
    /// The device is gone.
    Stopped,
}

impl Task {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let end = match timeout(PATIENCE, open(self.server, &self.below)).await {
                Ok(Ok((io, local))) => {
                    failures = 0;
                    self.local = local;
                    self.exchange(io).await
                }
                Ok(Err(error)) => End::Lost(error.to_string()),
                Err(_) => End::Lost("no connection in time".to_owned()),
            };
            let (reason, pause) = match end {
                End::Stopped => return,
                End::Again => ("the device ends it".to_owned(), Duration::ZERO),
                End::Lost(reason) => {
                    failures += 1;
                    (reason, self.retry.pause(failures))
                }
            };
            if self.news.send(News::Ended(reason)).await.is_err() || !self.wait(pause).await {
                return;
            }
        }
    }

    /// Waits; what is to be sent meanwhile is lost. False when the device is gone.
    async fn wait(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                () = sleep_until(Some(until)) => return true,
                order = self.orders.recv() => match order {
                    None => return false,
                    Some(Order::Again) => return true,
                    Some(Order::Send(_)) => {}
                },
            }
        }
    }

    async fn exchange(&mut self, mut io: impl AsyncRead + AsyncWrite + Unpin) -> End {
        let mut connection = Connection::new(Instant::now(), ConnectionLimits::default());
        let mut read = Vec::new();
        let end = loop {
            if let Some(signals) = connection.poll_transmit()
                && let Err(error) = io.write_all(&signals).await
            {
                return End::Lost(error.to_string());
            }
            let due = connection.poll_timeout();
            let outcome = tokio::select! {
                count = io.read_buf(&mut read) => match count {
                    Ok(0) => Err(End::Lost("the server closed it".to_owned())),
                    Ok(_) => self.take(&mut connection, &mut read).await,
                    Err(error) => Err(End::Lost(error.to_string())),
                },
                order = self.orders.recv() => match order {
                    Some(Order::Send(frame)) => {
                        let written = io.write_all(&frame).await;
                        written.map_err(|error| End::Lost(error.to_string()))
                    }
                    Some(Order::Again) => Err(End::Again),
                    None => Err(End::Stopped),
                },
                () = sleep_until(Some(due)) => {
                    let outcome = connection.handle_timeout(Instant::now());
                    outcome.map_err(|end| End::Lost(end.to_string()))
                }
            };
            if let Err(end) = outcome {
                break end;
            }
        };
        let last = connection.poll_transmit().unwrap_or_default();
        // Who has gone does not hear it.
        if io.write_all(&last).await.is_ok() {
            let _ = timeout(PATIENCE, io.shutdown()).await;
        }
        end
    }

    /// Hands on what came.
    async fn take(&self, connection: &mut Connection, read: &mut Vec<u8>) -> Result<(), End> {
        let bytes = std::mem::take(read);
        let mut input = bytes.as_slice();
        loop {
            let news = match connection.receive(Instant::now(), &mut input) {
                Err(end) => return Err(End::Lost(end.to_string())),
                Ok(Incoming::More) => return Ok(()),
                Ok(Incoming::Signal) => continue,
                Ok(Incoming::Capabilities(capabilities)) => {
                    News::Connected(self.local, capabilities)
                }
                Ok(Incoming::Message(frame)) => News::Frame(Bytes::copy_from_slice(frame)),
            };
            self.news.send(news).await.map_err(|_| End::Stopped)?;
        }
    }
}

/// A connection, whatever is below.
trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// Connects; gives our address, too.
async fn open(server: SocketAddr, below: &Below) -> io::Result<(Box<dyn ByteStream>, SocketAddr)> {
    let io = TcpStream::connect(server).await?;
    io.set_nodelay(true)?;
    let local = io.local_addr()?;
    let io: Box<dyn ByteStream> = match below {
        Below::Tcp => Box::new(io),
        #[cfg(feature = "tls-psk")]
        Below::Tls(account) => Box::new(account.connect(io).await?),
    };
    Ok((io, local))
}
