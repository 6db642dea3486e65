//! Each backend of `SecureDatagram` serves a client of `lwm2m-dtls`.

#![allow(clippy::unwrap_used)] // tests

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lwm2m_dtls::{
    Certificate, CertificateChain, ClientConfig, ClientCredentials, Config, Endpoint, Event,
    PrivateKey, Psk, ServerCertificate, ServerCertificates, ServerConfig, ServerExpectation,
    SessionId, SystemRandom, TrustStore,
};
use lwm2m_server::secure_datagram::{
    Capabilities, Identity, Lookup, SecureDatagram, SecureEvent, Verdict,
};

const IDENTITY: &[u8] = b"urn:imei:350123451234560";
const KEY: &[u8] = b"0123456789abcdef";
/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

type Backend = Box<dyn SecureDatagram<SocketAddr>>;

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A key with its certificate.
struct Holder {
    certificate: Certificate,
    key: PrivateKey,
}

impl Holder {
    fn new(name: &str) -> Holder {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new([]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap();
        Holder {
            certificate: Certificate::from_der(certificate.der()).unwrap(),
            key: PrivateKey::from_der(key.serialized_der()).unwrap(),
        }
    }

    fn chain(&self) -> CertificateChain {
        CertificateChain::new(vec![self.certificate.clone()]).unwrap()
    }

    fn as_server(&self) -> ServerCertificate {
        ServerCertificate::new(self.chain(), self.key.clone()).unwrap()
    }
}

fn trusting(device: &Holder) -> Arc<TrustStore> {
    let mut store = TrustStore::new();
    store.add(device.certificate.clone()).unwrap();
    Arc::new(store)
}

fn x509_client(device: &Holder, server: &Holder) -> ClientConfig {
    ClientConfig::new(ClientCredentials::X509 {
        own: Some((device.chain(), device.key.clone())),
        server: ServerExpectation::exactly(server.certificate.as_der()),
    })
}

fn own(server: ServerConfig) -> Backend {
    let config = Config {
        server: Some(Arc::new(server)),
        ..Config::default()
    };
    Box::new(Endpoint::<SocketAddr>::new(config, SystemRandom))
}

/// A client and a backend, without a network between them.
struct World {
    backend: Backend,
    client: Endpoint<SocketAddr>,
    events: Vec<SecureEvent<SocketAddr>>,
    heard: Vec<Vec<u8>>,
    client_heard: Vec<Vec<u8>>,
    client_events: Vec<Event<SocketAddr>>,
}

impl World {
    fn new(mut backend: Backend) -> World {
        backend.set_unix_time(Instant::now(), unix_s());
        let config = Config {
            server: None,
            ..Config::default()
        };
        let mut client = Endpoint::new(config, SystemRandom);
        client.set_unix_time(Instant::now(), unix_s());
        World {
            backend,
            client,
            events: Vec::new(),
            heard: Vec::new(),
            client_heard: Vec::new(),
            client_events: Vec::new(),
        }
    }

    fn connect(&mut self, config: ClientConfig) -> SessionId {
        let begun = self
            .client
            .connect(Instant::now(), at(5684), Arc::new(config));
        begun.unwrap()
    }

    /// Carries datagrams until something holds.
    async fn until(&mut self, holds: impl Fn(&World) -> bool) {
        let carried = tokio::time::timeout(PATIENCE, async {
            loop {
                self.carry();
                if holds(self) {
                    return;
                }
                let due = self.client.next_timeout().into_iter();
                let due = due.chain(self.backend.next_timeout()).min();
                let due = due.unwrap_or_else(|| Instant::now() + PATIENCE);
                tokio::select! {
                    () = poll_fn(|context| self.backend.poll_ready(context)) => {}
                    () = tokio::time::sleep_until(due.into()) => {
                        self.client.on_timeout(Instant::now());
                        self.backend.on_timeout(Instant::now());
                    }
                }
            }
        });
        let outcome = carried.await;
        assert!(
            outcome.is_ok(),
            "{:?} {:?}",
            self.events,
            self.client_events
        );
    }

    fn carry(&mut self) {
        loop {
            let mut is_quiet = true;
            while let Some(transmit) = self.client.poll_transmit() {
                let mut datagram = transmit.datagram.to_vec();
                self.backend
                    .handle(Instant::now(), at(40_000), &mut datagram);
                self.take_events(&datagram);
                is_quiet = false;
            }
            self.take_events(&[]);
            while let Some(transmit) = self.backend.poll_transmit() {
                let mut datagram = transmit.datagram.to_vec();
                self.client.handle(Instant::now(), at(5684), &mut datagram);
                while let Some(event) = self.client.poll_event() {
                    match event {
                        Event::Data { range, .. } => {
                            self.client_heard.push(datagram[range].to_vec());
                        }
                        event => self.client_events.push(event),
                    }
                }
                is_quiet = false;
            }
            if is_quiet {
                return;
            }
        }
    }

    fn take_events(&mut self, datagram: &[u8]) {
        while let Some(event) = self.backend.poll_event() {
            match &event {
                SecureEvent::Data { data, .. } => {
                    self.heard.push(data.within(datagram).unwrap().to_vec());
                }
                SecureEvent::Lookup {
                    session, lookup, ..
                } => {
                    let verdict = match lookup {
                        Lookup::Psk { identity, .. } if **identity == *IDENTITY => Verdict::Psk {
                            key: Psk::new(KEY).unwrap(),
                            alternate: None,
                        },
                        Lookup::Psk { .. } => Verdict::Unknown,
                        _ => Verdict::Accept,
                    };
                    self.backend.answer(Instant::now(), *session, verdict);
                }
                _ => self.events.push(event),
            }
        }
    }

    /// A session, data both ways, and its end; answers who the client was shown to be.
    async fn serves(mut self, config: ClientConfig) -> Identity {
        let of_client = self.connect(config);
        let is_up = |it: &SecureEvent<SocketAddr>| matches!(it, SecureEvent::Up { .. });
        self.until(|world| {
            let client = world.client_events.iter();
            let client = client.filter(|event| matches!(event, Event::Up { .. }));
            client.count() == 1 && world.events.iter().any(is_up)
        })
        .await;
        let Some(SecureEvent::Up { session, peer, .. }) = self.events.pop() else {
            panic!("no session");
        };
        assert_eq!(self.backend.path(session), Some(at(40_000)));
        assert_eq!(self.backend.peer(session), Some(peer.clone()));
        self.client
            .send(Instant::now(), of_client, b"register")
            .unwrap();
        self.until(|world| world.heard == [b"register".to_vec()])
            .await;
        self.backend
            .send(Instant::now(), session, b"created")
            .unwrap();
        self.until(|world| world.client_heard == [b"created".to_vec()])
            .await;
        self.backend.close(Instant::now(), session);
        self.until(|world| {
            let mut client = world.client_events.iter();
            let mut server = world.events.iter();
            client.any(|event| matches!(event, Event::Down { .. }))
                && server.any(|event| matches!(event, SecureEvent::Down { .. }))
        })
        .await;
        assert!(self.backend.send(Instant::now(), session, b"late").is_err());
        peer.identity.clone()
    }

    /// The reason of the handshake that fails.
    async fn refuses(mut self, config: ClientConfig) -> &'static str {
        self.connect(config);
        let failed = |event: &SecureEvent<SocketAddr>| match event {
            SecureEvent::Failed { reason, .. } => Some(reason.code),
            _ => None,
        };
        self.until(|world| world.events.iter().any(|event| failed(event).is_some()))
            .await;
        self.events.iter().find_map(failed).unwrap()
    }
}

fn common_name(identity: &Identity) -> Option<&str> {
    match identity {
        Identity::X509(identity) => identity.common_name.as_deref(),
        _ => None,
    }
}

fn psk_client(identity: &[u8]) -> ClientConfig {
    ClientConfig::psk(identity, Psk::new(KEY).unwrap())
}

#[tokio::test]
async fn the_default_serves_pre_shared_keys() {
    let world = World::new(own(ServerConfig::default()));
    let identity = world.serves(psk_client(IDENTITY)).await;
    assert_eq!(identity, Identity::Psk(IDENTITY.into()));
    let world = World::new(own(ServerConfig::default()));
    assert_eq!(
        world.refuses(psk_client(b"nobody")).await,
        "psk-identity-unknown"
    );
}

#[tokio::test]
async fn the_default_serves_certificates() {
    let (server, device) = (Holder::new("server"), Holder::new("device"));
    let config = |trusted: &Holder| ServerConfig {
        certificates: Some(Arc::new(ServerCertificates::new(server.as_server()))),
        trust: Some(trusting(trusted)),
        ..ServerConfig::default()
    };
    let world = World::new(own(config(&device)));
    let identity = world.serves(x509_client(&device, &server)).await;
    assert_eq!(common_name(&identity), Some("device"));
    let world = World::new(own(config(&Holder::new("another"))));
    let reason = world.refuses(x509_client(&device, &server)).await;
    assert_eq!(reason, "certificate-issuer-unknown");
}

#[test]
fn the_default_says_what_it_can_do() {
    let capabilities: Capabilities = own(ServerConfig::default()).capabilities();
    assert_eq!(capabilities.backend, "lwm2m-dtls");
    assert!(capabilities.psk && capabilities.raw_public_key && capabilities.x509);
    assert!(capabilities.cid && capabilities.stateless_cookie && capabilities.parked_lookup);
}

#[cfg(feature = "webrtc-dtls")]
mod webrtc {
    use lwm2m_server::ClientAuthentication;
    use lwm2m_server::credentials::SecretKey;
    use lwm2m_server::secure_datagram::{WebRtcDtls, WebRtcDtlsConfig, WebRtcDtlsProof};

    use super::*;

    fn psk() -> WebRtcDtlsConfig {
        WebRtcDtlsConfig::new(WebRtcDtlsProof::Psk(Arc::new(|identity: &[u8]| {
            (identity == IDENTITY).then(|| SecretKey::new(KEY).unwrap())
        })))
    }

    fn x509(server: &Holder, trusted: &Holder) -> WebRtcDtlsConfig {
        WebRtcDtlsConfig::new(WebRtcDtlsProof::X509 {
            server: server.as_server(),
            trust: trusting(trusted),
            client_authentication: ClientAuthentication::Required,
        })
    }

    fn backend(config: WebRtcDtlsConfig) -> Backend {
        Box::new(WebRtcDtls::<SocketAddr>::new(config).unwrap())
    }

    #[tokio::test]
    async fn pre_shared_keys_are_served() {
        let world = World::new(backend(psk()));
        let identity = world.serves(psk_client(IDENTITY)).await;
        assert_eq!(identity, Identity::Psk(IDENTITY.into()));
    }

    #[tokio::test]
    async fn an_unknown_identity_is_said() {
        let world = World::new(backend(psk()));
        assert_eq!(
            world.refuses(psk_client(b"nobody")).await,
            "psk-identity-unknown"
        );
    }

    #[tokio::test]
    async fn certificates_are_served() {
        let (server, device) = (Holder::new("server"), Holder::new("device"));
        let world = World::new(backend(x509(&server, &device)));
        let identity = world.serves(x509_client(&device, &server)).await;
        assert_eq!(common_name(&identity), Some("device"));
    }

    #[tokio::test]
    async fn certificates_are_exchanged() {
        let (old, server, device) = (
            Holder::new("old"),
            Holder::new("new"),
            Holder::new("device"),
        );
        let mut backend = backend(x509(&old, &Holder::new("another")));
        backend.set_server(Arc::new(ServerConfig {
            certificates: Some(Arc::new(ServerCertificates::new(server.as_server()))),
            trust: Some(trusting(&device)),
            ..ServerConfig::default()
        }));
        let identity = World::new(backend)
            .serves(x509_client(&device, &server))
            .await;
        assert_eq!(common_name(&identity), Some("device"));
    }

    #[tokio::test]
    async fn a_chain_that_is_not_believed_is_said() {
        let (server, device) = (Holder::new("server"), Holder::new("device"));
        let world = World::new(backend(x509(&server, &Holder::new("another"))));
        let reason = world.refuses(x509_client(&device, &server)).await;
        assert_eq!(reason, "certificate-issuer-unknown");
    }

    #[tokio::test]
    async fn one_handshake_too_many_is_not_begun() {
        let mut config = psk();
        config.handshakes_max = 2;
        let mut world = World::new(backend(config));
        world.connect(psk_client(IDENTITY));
        let hello = world.client.poll_transmit().unwrap().datagram;
        for port in [1, 2, 3] {
            world
                .backend
                .handle(Instant::now(), at(port), &mut hello.to_vec());
        }
        let mut answered = Vec::new();
        let two = tokio::time::timeout(PATIENCE, async {
            while answered.len() < 2 {
                poll_fn(|context| world.backend.poll_ready(context)).await;
                while let Some(transmit) = world.backend.poll_transmit() {
                    answered.push(transmit.path.port());
                }
            }
        });
        two.await.unwrap();
        answered.sort_unstable();
        assert_eq!(answered, [1, 2]);
    }

    #[tokio::test]
    async fn what_is_no_client_hello_costs_nothing() {
        let mut world = World::new(backend(psk()));
        let record = [23, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        world
            .backend
            .handle(Instant::now(), at(1), &mut record.clone());
        let sessions = format!("{:?}", world.backend.capabilities());
        assert!(sessions.contains("webrtc-dtls"));
        assert_eq!(world.backend.poll_event(), None);
        assert_eq!(world.backend.poll_transmit(), None);
    }

    #[test]
    fn it_says_what_it_cannot_do() {
        let capabilities = backend(psk()).capabilities();
        assert_eq!(capabilities.backend, "webrtc-dtls");
        assert!(capabilities.psk && !capabilities.x509 && !capabilities.raw_public_key);
        assert!(!capabilities.cid && !capabilities.resumption && !capabilities.export);
        assert!(!capabilities.stateless_cookie && !capabilities.parked_lookup);
    }
}
