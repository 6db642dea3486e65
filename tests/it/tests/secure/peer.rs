//! A device without a mind of its own, with DTLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lwm2m_coap::Code;
use lwm2m_dtls::{ClientConfig, Config, Endpoint, Event, Failure, Psk, SessionId, SystemRandom};
use lwm2m_server::Server;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::peer::{Incoming, OBJECTS, Outgoing, Peer};

/// How long a test waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct SecurePeer {
    /// Writes requests; its socket is ours.
    pub(crate) plain: Peer,
    /// Datagrams that were no DTLS.
    pub(crate) strangers: u64,
    /// Keeps what ends a handshake until something is sent.
    pub(crate) hold: bool,
    dtls: Endpoint<SocketAddr>,
    session: Option<SessionId>,
}

impl SecurePeer {
    pub(crate) async fn new(server: &Server) -> SecurePeer {
        SecurePeer::over(Peer::new(server).await)
    }

    /// A device that goes on with the socket of a plain one.
    pub(crate) fn over(plain: Peer) -> SecurePeer {
        let config = Config {
            server: None,
            ..Config::default()
        };
        SecurePeer {
            plain,
            strangers: 0,
            hold: false,
            dtls: Endpoint::new(config, SystemRandom),
            session: None,
        }
    }

    /// A device with a session.
    pub(crate) async fn connected(server: &Server, identity: &[u8], key: &[u8]) -> SecurePeer {
        let mut device = SecurePeer::new(server).await;
        device.connect(identity, key).await.expect("a session");
        device
    }

    /// Opens a session; what was before is forgotten.
    pub(crate) async fn connect(&mut self, identity: &[u8], key: &[u8]) -> Result<(), Failure> {
        let config = ClientConfig::psk(identity, Psk::new(key).expect("a key"));
        self.connect_with(config).await
    }

    /// Opens a session with these credentials.
    pub(crate) async fn connect_with(&mut self, config: ClientConfig) -> Result<(), Failure> {
        self.handshake(config).await.map(|_| ())
    }

    /// Continues the session from another port; true when the server knew it.
    pub(crate) async fn resume(&mut self, identity: &[u8], key: &[u8]) -> Result<bool, Failure> {
        let config = ClientConfig::psk(identity, Psk::new(key).expect("a key"));
        self.resume_with(config).await
    }

    /// The same with other credentials.
    pub(crate) async fn resume_with(&mut self, mut config: ClientConfig) -> Result<bool, Failure> {
        let session = self.session.expect("connected");
        config.resume = self.dtls.resumption(session);
        self.move_to_another_port().await;
        self.handshake(config).await
    }

    /// True when the session continues an earlier one.
    async fn handshake(&mut self, config: ClientConfig) -> Result<bool, Failure> {
        let server = self.plain.server;
        let session = self.dtls.connect(Instant::now(), server, Arc::new(config));
        let session = session.expect("room for a handshake");
        let handshake = async {
            loop {
                while let Some(event) = self.dtls.poll_event() {
                    match event {
                        Event::Up {
                            session: up, peer, ..
                        } if up == session => return Ok(peer.resumed),
                        Event::Failed {
                            session: of,
                            failure,
                            ..
                        } if of == session => return Err(failure),
                        _ => {}
                    }
                }
                self.flush().await;
                let mut buffer = [0; 2048];
                let length = self.plain.datagram(&mut buffer).await;
                self.dtls
                    .handle(Instant::now(), server, &mut buffer[..length]);
            }
        };
        let outcome = timeout(PATIENCE, handshake)
            .await
            .expect("the handshake ends");
        self.strangers += self.dtls.statistics().malformed;
        if !self.hold {
            self.flush().await;
        }
        self.session = Some(session);
        outcome
    }

    /// Goes on from another port, as behind a NAT.
    pub(crate) async fn move_to_another_port(&mut self) {
        self.plain.socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    }

    pub(crate) async fn send(&mut self, message: &[u8]) {
        let session = self.session.expect("connected");
        self.dtls
            .send(Instant::now(), session, message)
            .expect("the session is up");
        self.flush().await;
    }

    pub(crate) async fn receive(&mut self) -> Incoming {
        let server = self.plain.server;
        let search = async {
            loop {
                let mut buffer = [0; 2048];
                let length = self.plain.datagram(&mut buffer).await;
                let datagram = &mut buffer[..length];
                self.dtls.handle(Instant::now(), server, datagram);
                while let Some(event) = self.dtls.poll_event() {
                    if let Event::Data { range, .. } = event {
                        return Incoming::parse(&buffer[range]);
                    }
                }
                self.flush().await;
            }
        };
        timeout(PATIENCE, search).await.expect("a message comes")
    }

    /// Ends the session with a close_notify.
    pub(crate) async fn close(&mut self) {
        let session = self.session.expect("connected");
        self.dtls.close(Instant::now(), session);
        self.flush().await;
    }

    /// Waits for the close_notify of the server.
    pub(crate) async fn until_closed(&mut self) {
        let server = self.plain.server;
        let search = async {
            loop {
                let mut buffer = [0; 2048];
                let length = self.plain.datagram(&mut buffer).await;
                self.dtls
                    .handle(Instant::now(), server, &mut buffer[..length]);
                while let Some(event) = self.dtls.poll_event() {
                    if let Event::Down { .. } = event {
                        return;
                    }
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the session ends");
    }

    pub(crate) async fn exchange(&mut self, request: Outgoing) -> Incoming {
        self.send(&request.encode()).await;
        let answer = self.receive().await;
        assert_eq!(answer.message_id, request.message_id);
        answer
    }

    pub(crate) async fn try_register(&mut self, query: &str) -> Code {
        let request = self
            .plain
            .request(Code::POST, &format!("rd?{query}"))
            .format(40)
            .payload(OBJECTS);
        self.exchange(request).await.code
    }

    /// Registers with the query, and answers the location.
    pub(crate) async fn register(&mut self, query: &str) -> String {
        let request = self
            .plain
            .request(Code::POST, &format!("rd?{query}"))
            .format(40)
            .payload(OBJECTS);
        let answer = self.exchange(request).await;
        assert_eq!(answer.code, Code::CREATED);
        answer.location()
    }

    pub(crate) async fn post(&mut self, path: &str) -> Code {
        let request = self.plain.request(Code::POST, path);
        self.exchange(request).await.code
    }

    /// Sends what waits to be sent.
    pub(crate) async fn flush(&mut self) {
        while let Some(transmit) = self.dtls.poll_transmit() {
            let sent = self.plain.socket.send_to(&transmit.datagram, transmit.path);
            sent.await.expect("sent");
        }
    }
}
