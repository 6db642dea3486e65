//! Connections of devices: a task for each, on the shard that accepted it.
//!
//! ```text
//! accept ──> session ──> [TLS] ──> Connection (signals, time-outs) ──> StreamInput ──> shard
//!               ^                        │
//!               └── queue of messages <──┴── SessionTable::send <── any shard
//! ```
//!
//! A task that finds the shard's input full waits, and reads no more meanwhile. Its queue is bounded:
//! a peer that does not read what it is sent loses its connection.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lwm2m_coap::tcp::{Capabilities, Connection, ConnectionEnd, ConnectionLimits, Incoming};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};

use super::session::{SessionEnd, SessionTable};
use super::tls::{Accepted, ByteStream, HandshakeError, Proof, Tls};
use super::{Peer, SessionId};
use crate::Reason;
use crate::credentials::{Credential, CredentialStore};
use crate::hooks::CredentialRequest;
use crate::identity::{Authenticated, PeerIdentity};

/// What connections tell their shard.
#[derive(Debug)]
pub(crate) enum StreamInput {
    /// A connection stands, or its peer can do more than it said.
    Connected {
        peer: Peer,
        capabilities: Capabilities,
    },
    /// TLS has proven who the peer is; comes before all else.
    Authenticated {
        peer: Peer,
        authenticated: Arc<Authenticated>,
    },
    /// A request or a response.
    Message { peer: Peer, frame: Bytes },
    /// A connection has ended; with a reason when it was not in good order.
    Ended { peer: Peer, reason: Option<Reason> },
    /// A connection was refused, or its handshake has failed.
    Refused {
        address: SocketAddr,
        operation: &'static str,
        identity: PeerIdentity,
        reason: Reason,
    },
}

/// What the connections of a shard share.
pub(crate) struct Streams {
    pub(crate) inputs: mpsc::Sender<StreamInput>,
    pub(crate) sessions: Arc<SessionTable>,
    pub(crate) credentials: Option<Arc<dyn CredentialStore>>,
    pub(crate) limits: ConnectionLimits,
    /// Messages that wait for one peer.
    pub(crate) queue_max: usize,
}

/// After a failure to accept, as when there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// For the last words on a connection, which nobody may hear.
const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes that one call reads. All connections of a thread share the buffer: an idle one has none.
const READ_MAX: usize = 16 << 10;

/// Bytes of queued messages that one call writes.
const WRITE_MAX: usize = 16 << 10;

thread_local! {
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into());
}

/// Accepts connections, until the runtime ends.
pub(crate) async fn accept(
    listener: TcpListener,
    index: u8,
    tls: Option<Arc<Tls>>,
    streams: Arc<Streams>,
) {
    loop {
        match listener.accept().await {
            Ok((io, address)) => {
                let peer = Peer::new(index, address, 0);
                tokio::spawn(serve(io, peer, tls.clone(), Arc::clone(&streams)));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection to its end.
async fn serve(io: TcpStream, peer: Peer, tls: Option<Arc<Tls>>, streams: Arc<Streams>) {
    let address = peer.address();
    let (sender, queue) = mpsc::channel(streams.queue_max.max(1));
    let session = match streams.sessions.open(address.ip(), sender) {
        Ok(session) => OpenSession(session, &streams.sessions),
        Err(no_room) => {
            let reason = no_room.reason();
            // A flood of connections is told of as far as there is room.
            let identity = PeerIdentity::Anonymous;
            streams.tell_refused(address, "connection", identity, reason);
            return;
        }
    };
    let peer = peer.on_connection(session.0);
    // Messages are written as a whole: waiting for more of them costs a round trip.
    let _ = io.set_nodelay(true);
    let end = match tls {
        None => Exchange::new(io, peer, queue, &streams).run().await,
        Some(tls) => {
            // As long as for the first message.
            let patience = streams.limits.capabilities_timeout;
            match timeout(patience, streams.handshake(&tls, io, peer)).await {
                Ok(Some(io)) => Exchange::new(io, peer, queue, &streams).run().await,
                Ok(None) => End::Ours,
                Err(_) => {
                    let reason = Reason::new("tls-timeout", "the TLS handshake takes too long");
                    let identity = PeerIdentity::Anonymous;
                    streams.tell_refused(address, "handshake", identity, reason);
                    End::Ours
                }
            }
        }
    };
    if let End::Broken(error) = &end {
        tracing::debug!(peer = %address, %error, "connection broke");
    }
    let reason = match session.close() {
        Some(SessionEnd::Told) => None,
        Some(SessionEnd::QueueFull) => Some(queue_full()),
        None => end.reason(),
    };
    tracing::debug!(peer = %address, ?end, "connection ended");
    let _ = streams
        .inputs
        .send(StreamInput::Ended { peer, reason })
        .await;
}

impl Streams {
    /// Finds out who the peer is; none when it is refused, or gone.
    async fn handshake(&self, tls: &Tls, io: TcpStream, peer: Peer) -> Option<Box<dyn ByteStream>> {
        let address = peer.address();
        let Accepted { io, proof } = match tls.accept(io, self.credentials.as_ref()).await {
            Ok(accepted) => accepted,
            Err(HandshakeError::Gone) => return None,
            Err(HandshakeError::Refused(reason) | HandshakeError::NothingInCommon(reason)) => {
                self.tell_refused(address, "handshake", PeerIdentity::Anonymous, reason);
                return None;
            }
        };
        let authenticated = match proof {
            Proof::Nothing => return Some(io),
            Proof::Presented(presented) => self.authenticate(address, presented).await?,
            Proof::Authenticated(authenticated) => authenticated,
        };
        let input = StreamInput::Authenticated {
            peer,
            authenticated: Arc::new(authenticated),
        };
        self.inputs.send(input).await.ok()?;
        Some(io)
    }

    /// Looks up who has proven itself; none when nobody knows it.
    async fn authenticate(
        &self,
        address: SocketAddr,
        presented: PeerIdentity,
    ) -> Option<Authenticated> {
        let candidates = match &self.credentials {
            Some(store) => {
                let request = CredentialRequest {
                    presented: presented.clone(),
                    scheme: Some("coaps+tcp"),
                    peer: Some(address),
                };
                store.look_up_for(&request).await
            }
            None => Vec::new(),
        };
        let fits = |c: &Arc<Credential>| c.identify(&presented).is_some();
        let credentials: Vec<_> = candidates.into_iter().filter(fits).collect();
        let identity = credentials.first().and_then(|c| c.identify(&presented));
        let Some(identity) = identity else {
            let word = match presented {
                PeerIdentity::Rpk(_) => "rpk-unknown",
                _ => "certificate-unknown",
            };
            let reason = Reason::new(word, "no credential stands for what the device has proven")
                .hint("add a credential for the device");
            self.tell_refused(address, "handshake", presented, reason);
            return None;
        };
        Some(Authenticated {
            identity,
            credentials,
        })
    }

    /// Tells of a refusal, as far as there is room.
    fn tell_refused(
        &self,
        address: SocketAddr,
        operation: &'static str,
        identity: PeerIdentity,
        reason: Reason,
    ) {
        let _ = self.inputs.try_send(StreamInput::Refused {
            address,
            operation,
            identity,
            reason,
        });
    }
}

/// A session that is closed at the latest when its task goes.
struct OpenSession<'s>(SessionId, &'s SessionTable);

impl OpenSession<'_> {
    fn close(self) -> Option<SessionEnd> {
        self.1.close(self.0)
    }
}

impl Drop for OpenSession<'_> {
    fn drop(&mut self) {
        self.1.close(self.0);
    }
}

/// How a connection ended.
#[derive(Debug)]
enum End {
    /// The protocol says so.
    Protocol(ConnectionEnd),
    /// The peer closed it.
    Closed,
    /// It broke.
    Broken(io::Error),
    /// What is written is not taken.
    NotRead,
    /// The session was ended, or the shard is gone.
    Ours,
}

/// The bytes of one connection.
struct Exchange<'s, S> {
    io: S,
    peer: Peer,
    connection: Connection,
    queue: mpsc::Receiver<Bytes>,
    streams: &'s Streams,
    /// What is being written, and how much of it has been.
    out: Vec<u8>,
    written: usize,
    /// Since when it is not taken.
    stuck: Option<Instant>,
}

/// What a turn of a connection brought.
enum Turn {
    /// Bytes came and were cut into these.
    Read(Result<Vec<StreamInput>, End>),
    Wrote(io::Result<usize>),
    Queued(Option<Bytes>),
    Due,
}

impl<'s, S: AsyncRead + AsyncWrite + Unpin> Exchange<'s, S> {
    fn new(io: S, peer: Peer, queue: mpsc::Receiver<Bytes>, streams: &'s Streams) -> Self {
        Exchange {
            io,
            peer,
            connection: Connection::new(Instant::now(), streams.limits),
            queue,
            streams,
            out: Vec::new(),
            written: 0,
            stuck: None,
        }
    }

    async fn run(mut self) -> End {
        let end = loop {
            self.fill();
            let outcome = match self.turn().await {
                Turn::Read(Err(end)) => Err(end),
                Turn::Read(Ok(inputs)) => self.hand_on(inputs).await,
                Turn::Wrote(Ok(0)) => Err(End::Closed),
                Turn::Wrote(Ok(count)) => {
                    self.written += count;
                    self.stuck = None;
                    Ok(())
                }
                Turn::Wrote(Err(error)) => Err(End::Broken(error)),
                Turn::Queued(None) => Err(End::Ours),
                Turn::Queued(Some(message)) => {
                    self.out.extend_from_slice(&message);
                    Ok(())
                }
                Turn::Due => self.due(),
            };
            if let Err(end) = outcome {
                break end;
            }
        };
        self.farewell().await;
        end
    }

    /// Takes up what is to be written next, when nothing is left of what was.
    fn fill(&mut self) {
        if self.written < self.out.len() {
            return;
        }
        self.out.clear();
        self.written = 0;
        if let Some(signals) = self.connection.poll_transmit() {
            self.out = signals;
        }
        while self.out.len() < WRITE_MAX
            && let Ok(message) = self.queue.try_recv()
        {
            self.out.extend_from_slice(&message);
        }
    }

    /// Waits until something can be done.
    async fn turn(&mut self) -> Turn {
        let now = Instant::now();
        let writes = self.written < self.out.len();
        let patience = self.streams.limits.message_timeout;
        let mut due = self.connection.poll_timeout();
        if writes {
            let stuck = *self.stuck.get_or_insert(now);
            due = due.min(stuck + patience);
        }
        let Exchange {
            io,
            peer,
            connection,
            queue,
            out,
            written,
            ..
        } = self;
        let mut alarm = std::pin::pin!(sleep_until(due.into()));
        poll_fn(|cx| {
            if writes
                && let Poll::Ready(wrote) = Pin::new(&mut *io).poll_write(cx, &out[*written..])
            {
                return Poll::Ready(Turn::Wrote(wrote));
            }
            if !writes && let Poll::Ready(queued) = queue.poll_recv(cx) {
                return Poll::Ready(Turn::Queued(queued));
            }
            // Whoever does not read our signals is not heard until it does.
            if !connection.has_transmit()
                && let Poll::Ready(read) = poll_read(io, connection, *peer, cx)
            {
                return Poll::Ready(Turn::Read(read));
            }
            ready!(alarm.as_mut().poll(cx));
            Poll::Ready(Turn::Due)
        })
        .await
    }

    /// Gives the shard what came, and waits while it has no room.
    async fn hand_on(&mut self, inputs: Vec<StreamInput>) -> Result<(), End> {
        for input in inputs {
            let sent = self.streams.inputs.send(input).await;
            sent.map_err(|_| End::Ours)?;
        }
        Ok(())
    }

    fn due(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let patience = self.streams.limits.message_timeout;
        if self.stuck.is_some_and(|stuck| stuck + patience <= now) {
            return Err(End::NotRead);
        }
        self.connection.handle_timeout(now).map_err(End::Protocol)
    }

    /// Says what is left to say, and closes.
    async fn farewell(&mut self) {
        let last = self.connection.poll_transmit().unwrap_or_default();
        let rest = &self.out[self.written..];
        let farewell = async {
            self.io.write_all(rest).await?;
            self.io.write_all(&last).await?;
            self.io.shutdown().await
        };
        // Whoever ended it in bad order does not have to hear of it.
        let _ = timeout(FAREWELL, farewell).await;
    }
}

/// Reads, and cuts what came into messages.
fn poll_read<S: AsyncRead + Unpin>(
    io: &mut S,
    connection: &mut Connection,
    peer: Peer,
    cx: &mut std::task::Context<'_>,
) -> Poll<Result<Vec<StreamInput>, End>> {
    READ_BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        if let Err(error) = ready!(Pin::new(io).poll_read(cx, &mut buffer)) {
            return Poll::Ready(Err(End::Broken(error)));
        }
        let mut bytes = buffer.filled();
        if bytes.is_empty() {
            return Poll::Ready(Err(End::Closed));
        }
        let now = Instant::now();
        let mut inputs = Vec::new();
        loop {
            match connection.receive(now, &mut bytes) {
                Err(end) => return Poll::Ready(Err(End::Protocol(end))),
                Ok(Incoming::More) => return Poll::Ready(Ok(inputs)),
                Ok(Incoming::Signal) => {}
                Ok(Incoming::Capabilities(capabilities)) => {
                    inputs.push(StreamInput::Connected { peer, capabilities });
                }
                Ok(Incoming::Message(frame)) => inputs.push(StreamInput::Message {
                    peer,
                    frame: Bytes::copy_from_slice(frame),
                }),
            }
        }
    })
}

impl End {
    /// The fact for the operator; none when the end was in good order.
    fn reason(&self) -> Option<Reason> {
        let protocol = match self {
            End::Closed | End::Broken(_) | End::Ours => return None,
            End::NotRead => return Some(queue_full()),
            End::Protocol(protocol) => protocol,
        };
        let text = protocol.to_string();
        Some(match protocol {
            ConnectionEnd::Released => return None,
            ConnectionEnd::NotCapabilities | ConnectionEnd::NoCapabilities => {
                Reason::new("csm-missing", text)
                    .hint("CoAP over TCP begins with a CSM (RFC 8323 section 5.3)")
            }
            ConnectionEnd::Frame(_) => Reason::new("frame-malformed", text)
                .hint("raise tcp.message_max when the message was too long"),
            ConnectionEnd::Slow => Reason::new("message-incomplete", text),
            ConnectionEnd::Silent => Reason::new("connection-silent", text)
                .hint("the device, or a box on the way, has gone without a word"),
            ConnectionEnd::Aborted(_) => Reason::new("connection-aborted", text),
            _ => Reason::new("connection-refused", text),
        })
    }
}

fn queue_full() -> Reason {
    Reason::new("send-queue-full", "the peer does not read what it is sent")
        .hint("limits.connection_queue_max messages wait at most")
}
