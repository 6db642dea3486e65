//! A server whose DTLS is that of webrtc-dtls: what it can do, and what it says of the rest.

#![allow(clippy::unwrap_used)] // tests

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::{Code, Message};
use lwm2m_core::{Path, Version};
use lwm2m_device::{Device, DeviceBuilder, DtlsAccount};
use lwm2m_dtls::{ClientCredentials, ServerExpectation};
use lwm2m_server::credentials::{
    CertificateRule, Credential, CredentialId, CredentialStore, MemoryCredentials, Proof, SecretKey,
};
use lwm2m_server::keys::{
    Certificate, CertificateChain, KeyMaterial, Keys, PrivateKey, ServerCertificate,
    ServerCertificates, TrustStore,
};
use lwm2m_server::{DtlsBackend, EventKind, Events, Listener, Server, ServerConfig};
use tokio::net::UdpSocket;
use webrtc_dtls::config::Config as WebRtcConfig;
use webrtc_dtls::conn::DTLSConn;
use webrtc_dtls::crypto::Certificate as WebRtcCertificate;
use webrtc_util::Conn;

const KEY: &[u8] = b"sixteen bytes ok";
/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

async fn server(shards: usize) -> (Server, Arc<MemoryCredentials>) {
    let store = Arc::new(MemoryCredentials::default());
    let proof = Proof::Psk {
        identity: b"a".as_slice().into(),
        key: SecretKey::new(KEY).unwrap(),
    };
    let credential = Credential::new(CredentialId::new("a").unwrap(), proof);
    store.add(vec![credential]).await.unwrap();
    let mut config = ServerConfig::default();
    config.shards = shards;
    config.dtls.backend = DtlsBackend::WebRtcDtls;
    let server = Server::builder()
        .config(config)
        .listen(Listener::coaps(([127, 0, 0, 1], 0).into()))
        .credentials(store.clone())
        .start()
        .await
        .unwrap();
    (server, store)
}

fn device(server: &Server, identity: &[u8], key: &[u8]) -> DeviceBuilder {
    Device::builder("a")
        .server(server.local_addresses()[0])
        .version(Version::V1_1)
        .lifetime_s(86400)
        .dtls(DtlsAccount::psk(identity, key).unwrap())
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

async fn until<T>(events: &mut Events, pick: impl Fn(&EventKind) -> Option<T>) -> T {
    in_time(async {
        loop {
            let event = events.next().await.unwrap().unwrap();
            if let Some(picked) = pick(&event.kind) {
                return picked;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_device_registers_is_read_and_updates_on_whichever_shard() {
    let (server, _store) = server(2).await;
    for _ in 0..4 {
        let device = device(&server, b"a", KEY).start().await.unwrap();
        in_time(device.wait_registered()).await.unwrap();
        let registration = server.registration("a").await.unwrap();
        assert_eq!(registration.identity.to_string(), "psk a");
        // Asked for while nothing comes in: the loop is woken by the backend alone.
        let at_server = server.device("a");
        in_time(at_server.read_path(Path::object(3))).await.unwrap();
        let mut events = server.events();
        device.update().await.unwrap();
        until(&mut events, |kind| {
            matches!(kind, EventKind::Updated { .. }).then_some(())
        })
        .await;
        device.stop().await;
    }
}

#[tokio::test]
async fn who_is_not_known_is_refused_and_told_of() {
    let (server, _store) = server(1).await;
    let mut events = server.events();
    let device = device(&server, b"nobody", KEY).start().await.unwrap();
    let refused = until(&mut events, |kind| match kind {
        EventKind::Refused {
            operation: "handshake",
            reason,
            ..
        } => Some((reason.code, reason.hint.is_some())),
        _ => None,
    });
    assert_eq!(refused.await, ("psk-identity-unknown", true));
    device.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_its_credential() {
    let (server, store) = server(1).await;
    let device = device(&server, b"a", KEY).start().await.unwrap();
    in_time(device.wait_registered()).await.unwrap();
    let mut events = server.events();
    store.remove(CredentialId::new("a").unwrap()).await.unwrap();
    until(&mut events, |kind| {
        matches!(kind, EventKind::Deregistered { .. }).then_some(())
    })
    .await;
    assert!(server.registration("a").await.is_none());
    device.stop().await;
}

#[tokio::test]
async fn its_limits_are_told() {
    let (server, _store) = server(1).await;
    let capabilities = server.capabilities();
    assert!(capabilities.features.contains(&"webrtc-dtls"));
    let dtls = capabilities.dtls.unwrap();
    assert_eq!(dtls.backend.backend, "webrtc-dtls");
    assert_eq!(dtls.modes, ["psk"]);
    assert_eq!(dtls.suites.len(), 3);
    assert_eq!((dtls.connection_id_bytes, dtls.resumption), (None, false));
    assert_eq!((dtls.sessions_max, dtls.handshakes_max), (10_000, 256));
}

/// A key with the certificate of a name.
struct Holder {
    certificate: Certificate,
    key: PrivateKey,
    /// Both as text.
    pem: String,
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
        let secret = key.serialize_pem().replace("PRIVATE KEY", "PRIVATE_KEY");
        Holder {
            certificate: Certificate::from_der(certificate.der()).unwrap(),
            key: PrivateKey::from_der(key.serialized_der()).unwrap(),
            pem: secret + &certificate.pem(),
        }
    }

    fn chain(&self) -> CertificateChain {
        CertificateChain::new(vec![self.certificate.clone()]).unwrap()
    }

    /// As a device that expects exactly this server.
    fn account(&self, server: &Holder) -> DtlsAccount {
        DtlsAccount::new(ClientCredentials::X509 {
            own: Some((self.chain(), self.key.clone())),
            server: ServerExpectation::exactly(server.certificate.as_der()),
        })
    }
}

/// A server with a certificate, for the device `a` with one.
async fn certified(backend: DtlsBackend, own: &Holder, device: &Holder) -> Server {
    let store = Arc::new(MemoryCredentials::default());
    let rule = CertificateRule {
        common_name: Some("a".parse().unwrap()),
        ..CertificateRule::default()
    };
    let credential = Credential::new(CredentialId::new("a").unwrap(), Proof::X509(rule));
    let credential = credential.endpoints(["a".parse().unwrap()]);
    store.add(vec![credential]).await.unwrap();
    let pair = ServerCertificate::new(own.chain(), own.key.clone()).unwrap();
    let mut trust_store = TrustStore::new();
    trust_store.add(device.certificate.clone()).unwrap();
    let mut config = ServerConfig::default();
    config.shards = 2;
    config.dtls.backend = backend;
    Server::builder()
        .config(config)
        .listen(Listener::coaps(([127, 0, 0, 1], 0).into()))
        .credentials(store)
        .keys(Keys::new(KeyMaterial {
            certificates: Some(ServerCertificates::new(pair)),
            trust_store,
            ..KeyMaterial::default()
        }))
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_device_with_a_certificate_registers_and_is_read() {
    let (own, good) = (Holder::new("server"), Holder::new("a"));
    let server = certified(DtlsBackend::WebRtcDtls, &own, &good).await;
    assert_eq!(server.capabilities().dtls.unwrap().modes, ["x509"]);
    let device = device(&server, b"a", KEY).dtls(good.account(&own));
    let device = device.start().await.unwrap();
    in_time(device.wait_registered()).await.unwrap();
    let registration = server.registration("a").await.unwrap();
    assert_eq!(registration.identity.to_string(), "x509 CN=a");
    let at_server = server.device("a");
    in_time(at_server.read_path(Path::object(3))).await.unwrap();
    device.stop().await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_and_told_of() {
    let (own, good) = (Holder::new("server"), Holder::new("a"));
    let server = certified(DtlsBackend::WebRtcDtls, &own, &good).await;
    let mut events = server.events();
    // The same name, another key.
    let strange = Holder::new("a").account(&own);
    let device = device(&server, b"a", KEY).dtls(strange);
    let device = device.start().await.unwrap();
    let refused = until(&mut events, |kind| match kind {
        EventKind::Refused {
            operation: "handshake",
            reason,
            ..
        } => Some((reason.code, reason.hint.is_some())),
        _ => None,
    });
    assert_eq!(refused.await, ("certificate-issuer-unknown", true));
    device.stop().await;
}

/// A Register of `a` by a client of webrtc-dtls; the code of the answer.
async fn registers(server: SocketAddr, certificate: &str) -> Code {
    // It asks for the provider of the process, of which there may be two.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    let config = WebRtcConfig {
        certificates: vec![WebRtcCertificate::from_pem(certificate).unwrap()],
        insecure_skip_verify: true,
        ..WebRtcConfig::default()
    };
    let connected = DTLSConn::new(Arc::new(socket), config, true, None);
    let connection = in_time(connected).await.unwrap();
    let request = b"\x40\x02\x00\x07\xb2rd\x11\x28\x34ep=a\x09lwm2m=1.1\xff</1/0>,</3/0>";
    in_time(connection.send(request)).await.unwrap();
    let mut answer = [0; 1500];
    let length = in_time(connection.recv(&mut answer)).await.unwrap();
    let code = Message::parse(&answer[..length]).unwrap().code();
    connection.close().await.unwrap();
    code
}

#[tokio::test]
async fn a_client_of_it_registers_with_a_certificate_at_either_backend() {
    for backend in [DtlsBackend::Own, DtlsBackend::WebRtcDtls] {
        let (own, good) = (Holder::new("server"), Holder::new("a"));
        let server = certified(backend, &own, &good).await;
        let code = registers(server.local_addresses()[0], &good.pem).await;
        assert_eq!(code, Code::CREATED, "{backend:?}");
        let registration = server.registration("a").await.unwrap();
        assert_eq!(registration.identity.to_string(), "x509 CN=a");
    }
}
