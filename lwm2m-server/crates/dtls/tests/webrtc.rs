//! Against `webrtc-dtls`, over sockets of this machine, in both directions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lwm2m_dtls::{
    Certificate, CertificateChain, CipherSuite, ClientConfig, ClientCredentials, Config, Endpoint,
    Event, Identity, Lookup, Peer, PrivateKey, Psk, ServerCertificate, ServerCertificates,
    ServerConfig, ServerExpectation, SessionId, SystemRandom, TrustStore, Verdict,
};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use webrtc_dtls::cipher_suite::CipherSuiteId;
use webrtc_dtls::config::{ClientAuthType, Config as WebrtcConfig, ExtendedMasterSecretType};
use webrtc_dtls::conn::DTLSConn;
use webrtc_dtls::crypto::Certificate as WebrtcCertificate;
use webrtc_util::Conn;

const IDENTITY: &[u8] = b"urn:imei:350000000000001";
const KEY: &[u8] = b"0123456789abcdef";

/// Generous, since the tests run under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// An endpoint of ours on a socket.
struct Ours {
    socket: UdpSocket,
    endpoint: Endpoint<SocketAddr>,
    up: Option<(SessionId, Arc<Peer>)>,
    received: Vec<Vec<u8>>,
}

impl Ours {
    async fn new(config: Config) -> Ours {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let mut endpoint = Endpoint::new(config, SystemRandom);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let unix_s = since.expect("after 1970").as_secs();
        endpoint.set_unix_time(Instant::now(), unix_s);
        Ours {
            socket,
            endpoint,
            up: None,
            received: Vec::new(),
        }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("bound")
    }

    /// Runs until `done`.
    async fn run(&mut self, done: impl Fn(&Ours) -> bool) {
        let run = async {
            let mut buffer = [0; 4096];
            loop {
                self.drain(&buffer).await;
                if done(self) {
                    return;
                }
                let due = self.endpoint.next_timeout();
                let due = due.unwrap_or_else(|| Instant::now() + PATIENCE);
                tokio::select! {
                    received = self.socket.recv_from(&mut buffer) => {
                        // A port that is closed answers by an error, which is of no interest.
                        if let Ok((length, from)) = received {
                            let now = Instant::now();
                            self.endpoint.handle(now, from, &mut buffer[..length]);
                        }
                    }
                    () = tokio::time::sleep_until(due.into()) => {
                        self.endpoint.on_timeout(Instant::now());
                    }
                }
            }
        };
        timeout(PATIENCE, run).await.expect("within the time");
    }

    async fn drain(&mut self, buffer: &[u8]) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Lookup {
                    session, lookup, ..
                } => {
                    let verdict = match lookup {
                        Lookup::Psk { identity, .. } if &identity[..] == IDENTITY => Verdict::Psk {
                            key: Psk::new(KEY).expect("16 bytes"),
                            alternate: None,
                        },
                        Lookup::Psk { .. } => Verdict::Unknown,
                        _ => Verdict::Accept,
                    };
                    self.endpoint.answer(Instant::now(), session, verdict);
                }
                Event::Up { session, peer, .. } => self.up = Some((session, peer)),
                Event::Data { range, .. } => self.received.push(buffer[range].to_vec()),
                Event::Failed { failure, .. } => panic!("{failure}"),
                _ => {}
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            let sent = self.socket.send_to(&transmit.datagram, transmit.path).await;
            sent.expect("loopback");
        }
    }

    /// Runs until the session is up and data has gone both ways.
    async fn exchange(&mut self) -> Arc<Peer> {
        self.run(|ours| ours.up.is_some()).await;
        let (session, peer) = self.up.clone().expect("up");
        let now = Instant::now();
        self.endpoint.send(now, session, b"from ours").expect("up");
        self.run(|ours| !ours.received.is_empty()).await;
        assert_eq!(self.received, [b"from webrtc"]);
        peer
    }
}

/// An end of webrtc-dtls towards `peer`, which says one thing and hears one.
async fn webrtc(peer: SocketAddr, socket: UdpSocket, config: WebrtcConfig, is_client: bool) {
    // It asks rustls for the provider of the process, which rustls cannot guess when the features
    // of a whole workspace select two. The first call decides; the later ones change nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let talk = async {
        socket.connect(peer).await.expect("loopback");
        let conn = DTLSConn::new(Arc::new(socket), config, is_client, None).await;
        let conn = conn.expect("a handshake");
        let mut buffer = [0; 1500];
        let length = conn.recv(&mut buffer).await.expect("data");
        assert_eq!(&buffer[..length], b"from ours");
        conn.send(b"from webrtc").await.expect("data");
        // It stays until the other has heard.
        conn
    };
    let conn = timeout(PATIENCE, talk).await.expect("within the time");
    conn.close().await.expect("closed");
}

fn psk_config(suite: CipherSuiteId) -> WebrtcConfig {
    WebrtcConfig {
        cipher_suites: vec![suite],
        psk: Some(Arc::new(|_| Ok(KEY.to_vec()))),
        psk_identity_hint: Some(IDENTITY.to_vec()),
        extended_master_secret: ExtendedMasterSecretType::Require,
        ..WebrtcConfig::default()
    }
}

const PSK: [(CipherSuiteId, CipherSuite); 3] = [
    (
        CipherSuiteId::Tls_Psk_With_Aes_128_Ccm_8,
        CipherSuite::PskCcm8,
    ),
    (CipherSuiteId::Tls_Psk_With_Aes_128_Ccm, CipherSuite::PskCcm),
    (
        CipherSuiteId::Tls_Psk_With_Aes_128_Gcm_Sha256,
        CipherSuite::PskGcm,
    ),
];

#[tokio::test]
async fn a_client_with_a_psk_comes_to_our_server() {
    for (theirs, suite) in PSK {
        let mut ours = Ours::new(Config::default()).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let client = webrtc(ours.address(), socket, psk_config(theirs), true);
        let (peer, ()) = tokio::join!(ours.exchange(), client);
        assert_eq!(peer.identity, Identity::Psk(IDENTITY.into()));
        assert_eq!(peer.suite, suite);
        assert!(peer.extended_master_secret);
    }
}

#[tokio::test]
async fn our_client_with_a_psk_comes_to_a_server() {
    for (theirs, suite) in PSK {
        let mut ours = Ours::new(Config::default()).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let to = socket.local_addr().expect("bound");
        let config = ClientConfig {
            suites: vec![suite],
            ..ClientConfig::psk(IDENTITY, Psk::new(KEY).expect("16 bytes"))
        };
        let begun = ours.endpoint.connect(Instant::now(), to, Arc::new(config));
        begun.expect("begun");
        let server = webrtc(ours.address(), socket, psk_config(theirs), false);
        let (peer, ()) = tokio::join!(ours.exchange(), server);
        assert_eq!(peer.suite, suite);
        assert!(peer.extended_master_secret);
    }
}

const ECDHE: [(CipherSuiteId, CipherSuite); 3] = [
    (
        CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Ccm_8,
        CipherSuite::EcdheEcdsaCcm8,
    ),
    (
        CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Ccm,
        CipherSuite::EcdheEcdsaCcm,
    ),
    (
        CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
        CipherSuite::EcdheEcdsaGcm,
    ),
];

/// A certificate of theirs, and the same as ours.
fn theirs() -> (WebrtcCertificate, Certificate) {
    let theirs = WebrtcCertificate::generate_self_signed(["device.example".to_owned()]);
    let theirs = theirs.expect("a certificate");
    let certificate = Certificate::from_der(&theirs.certificate[0]).expect("a certificate");
    (theirs, certificate)
}

/// A certificate of ours with its key.
fn own() -> (CertificateChain, PrivateKey) {
    let made = rcgen::generate_simple_self_signed(["server.example".to_owned()]);
    let made = made.expect("a certificate");
    let certificate = Certificate::from_der(made.cert.der()).expect("a certificate");
    let chain = CertificateChain::new(vec![certificate]).expect("one");
    let key = PrivateKey::from_der(made.signing_key.serialized_der());
    (chain, key.expect("P-256"))
}

#[tokio::test]
async fn a_client_with_a_certificate_comes_to_our_server() {
    for (id, suite) in ECDHE {
        let (theirs, certificate) = theirs();
        let (chain, key) = own();
        let mut trust = TrustStore::new();
        trust.add(certificate.clone()).expect("can be trusted");
        let own = ServerCertificate::new(chain, key).expect("they fit");
        let mut ours = Ours::new(Config {
            server: Some(Arc::new(ServerConfig {
                certificates: Some(Arc::new(ServerCertificates::new(own))),
                trust: Some(Arc::new(trust)),
                ..ServerConfig::default()
            })),
            ..Config::default()
        })
        .await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let config = WebrtcConfig {
            certificates: vec![theirs],
            cipher_suites: vec![id],
            insecure_skip_verify: true,
            extended_master_secret: ExtendedMasterSecretType::Require,
            ..WebrtcConfig::default()
        };
        let client = webrtc(ours.address(), socket, config, true);
        let (peer, ()) = tokio::join!(ours.exchange(), client);
        let Identity::X509(identity) = &peer.identity else {
            panic!("{peer:?}");
        };
        assert_eq!(identity.fingerprint, certificate.fingerprint());
        assert_eq!(peer.suite, suite);
    }
}

#[tokio::test]
async fn our_client_with_a_certificate_comes_to_a_server() {
    for (id, suite) in ECDHE {
        let (theirs, certificate) = theirs();
        let mut ours = Ours::new(Config::default()).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let to = socket.local_addr().expect("bound");
        let credentials = ClientCredentials::X509 {
            own: Some(own()),
            server: ServerExpectation::exactly(certificate.as_der()),
        };
        let config = ClientConfig {
            suites: vec![suite],
            ..ClientConfig::new(credentials)
        };
        let begun = ours.endpoint.connect(Instant::now(), to, Arc::new(config));
        begun.expect("begun");
        let config = WebrtcConfig {
            certificates: vec![theirs],
            cipher_suites: vec![id],
            client_auth: ClientAuthType::RequireAnyClientCert,
            extended_master_secret: ExtendedMasterSecretType::Require,
            ..WebrtcConfig::default()
        };
        let server = webrtc(ours.address(), socket, config, false);
        let (peer, ()) = tokio::join!(ours.exchange(), server);
        assert!(matches!(peer.identity, Identity::X509(_)));
        assert_eq!(peer.suite, suite);
    }
}
