//! Devices that are connected over TLS: certificates and raw public keys.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::Path;
use lwm2m_dtls::X509Identity;
use lwm2m_server::credentials::{
    CertificateRule, Credential, CredentialId, CredentialStore, MemoryCredentials, NamePattern,
    Proof,
};
use lwm2m_server::keys::{
    Certificate, CertificateChain, KeyMaterial, Keys, PrivateKey, ServerCertificate,
    ServerCertificates, TrustStore,
};
use lwm2m_server::{ClientAuthentication, EventKind, Events, Listener, Server, ServerConfig};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::peer::Peer;
use crate::hooks::credentials::Lender;
use crate::peer::event;
use crate::secure::keys::revocation_list;

/// An authority that certifies.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

/// A key and the chain that certifies it.
struct Certified {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let der = params.self_signed(&key).expect("signed").der().clone();
        let issuer = Issuer::new(params, key);
        Authority { issuer, der }
    }

    fn certify(&self, name: &str) -> Certified {
        let names = vec!["localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Certified {
            chain: vec![certificate.der().clone()],
            key,
        }
    }
}

impl Certified {
    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).expect("PKCS#8")
    }
}

/// A server with a certificate, which is its raw public key as well, and credentials for the
/// certificate of `urn:a` and one raw public key.
pub(super) struct Site {
    pub(super) server: Server,
    store: Arc<MemoryCredentials>,
    keys: Keys,
    authority: Authority,
    spki: Vec<u8>,
    raw: KeyPair,
    events: Events,
}

impl Site {
    pub(super) async fn open(configure: impl FnOnce(&mut ServerConfig)) -> Site {
        Site::build(configure, false).await
    }

    /// `lends` has an interceptor grant the credentials, without a store.
    async fn build(configure: impl FnOnce(&mut ServerConfig), lends: bool) -> Site {
        let authority = Authority::new("Our CA");
        let own = authority.certify("server");
        let key = PrivateKey::from_der(&own.key.serialize_der()).expect("a key");
        let spki = key.public_key().as_spki().to_vec();
        let chain = CertificateChain::parse(&own.chain[0]).expect("a chain");
        let certificate = ServerCertificate::new(chain, key.clone()).expect("they belong");
        let keys = Keys::new(KeyMaterial {
            certificates: Some(ServerCertificates::new(certificate)),
            raw_public_key: Some(key),
            trust_store: TrustStore::parse(&authority.der).expect("an authority"),
            ..KeyMaterial::default()
        });
        let raw = KeyPair::generate().expect("a key");
        let raw_key = PrivateKey::from_der(&raw.serialize_der()).expect("a key");
        let pattern = |text: &str| text.parse::<NamePattern>().expect("a pattern");
        let id = |text| CredentialId::new(text).expect("an id");
        let store = Arc::new(MemoryCredentials::default());
        let rule = CertificateRule {
            common_name: Some(pattern("urn:a")),
            ..CertificateRule::default()
        };
        let spki_sha256 = raw_key.public_key().spki_sha256();
        let credentials = vec![
            Credential::new(id("a"), Proof::X509(rule)).endpoints([pattern("urn:a")]),
            Credential::new(id("raw"), Proof::Rpk { spki_sha256 }).endpoints([pattern("urn:raw")]),
        ];
        store.add(credentials).await.expect("taken");
        let mut config = ServerConfig::default();
        config.shards = 2;
        configure(&mut config);
        let builder = Server::builder()
            .config(config)
            .listen(Listener::coaps_tcp(([127, 0, 0, 1], 0).into()))
            .keys(keys.clone());
        let builder = match lends {
            true => builder.intercept(Lender(store.clone())),
            false => builder.credentials(store.clone()),
        };
        let server = builder.start().await.expect("the server starts");
        Site {
            events: server.events(),
            server,
            store,
            keys,
            authority,
            spki,
            raw,
        }
    }

    async fn connect(&self, config: ClientConfig) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
        let io = TcpStream::connect(self.server.local_addresses()[0]).await?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, io)
            .await?;
        Ok(Peer::over(stream))
    }

    /// A client that has this certificate, if any.
    fn with_certificate(&self, certified: Option<&Certified>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der.clone()).expect("a root");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match certified {
            None => builder.with_no_client_auth(),
            Some(certified) => builder
                .with_client_auth_cert(certified.chain.clone(), certified.private_key())
                .expect("they belong"),
        };
        config.alpn_protocols = vec![b"coap".to_vec()];
        config
    }

    /// A client that has this raw public key.
    fn with_raw_key(&self, key: &KeyPair) -> ClientConfig {
        raw_public_key(&key.serialize_der(), &self.spki)
    }

    /// The server's raw public key.
    pub(super) fn public_key(&self) -> lwm2m_dtls::PublicKey {
        lwm2m_dtls::PublicKey::from_spki(&self.spki).expect("a key")
    }

    /// The one that the server knows.
    pub(super) fn raw_key(&self) -> PrivateKey {
        PrivateKey::from_der(&self.raw.serialize_der()).expect("a key")
    }

    pub(super) async fn refusal(&mut self) -> &'static str {
        event(&mut self.events, |event| match &event.kind {
            EventKind::Refused {
                operation: "handshake",
                reason,
                ..
            } => Some(reason.code),
            _ => None,
        })
        .await
    }
}

/// A client over TLS 1.3 that has this raw public key (PKCS#8), and knows the server's (SPKI).
pub(crate) fn raw_public_key(key: &[u8], server: &[u8]) -> ClientConfig {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let private = PrivateKeyDer::try_from(key.to_vec()).expect("PKCS#8");
    let signing = aws_lc_rs::sign::any_ecdsa_type(&private).expect("a key");
    let spki = signing.public_key().expect("its public half");
    let spki = CertificateDer::from(spki.as_ref().to_vec());
    let key = Arc::new(CertifiedKey::new(vec![spki], signing));
    let verifier = KnownKey(server.to_vec());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    config.alpn_protocols = vec![b"coap".to_vec()];
    config
}

/// Believes one raw public key.
#[derive(Debug)]
struct KnownKey(Vec<u8>);

impl ServerCertVerifier for KnownKey {
    fn verify_server_cert(
        &self,
        spki: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match spki.as_ref() == self.0 {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::General("another key".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
        let algorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &spki, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Registers, is read, observed and updates.
pub(super) async fn lives<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Server,
    device: &mut Peer<S>,
    endpoint: &str,
) -> String {
    use lwm2m_coap::OptionNumber;
    let location = device.register(&format!("ep={endpoint}")).await;
    let path = Path::resource(3, 0, 0);
    let handle = server.device(endpoint);
    let observing = tokio::spawn(async move { handle.observe_path(path).await });
    let request = device.next().await;
    let options = [
        (OptionNumber::OBSERVE, vec![1]),
        (OptionNumber::CONTENT_FORMAT, vec![]),
    ];
    device
        .answer(&request, Code::CONTENT, &options, b"one")
        .await;
    let response = observing.await.expect("no panic").expect("observed");
    assert_eq!(response.raw, &b"one"[..]);
    let mut events = server.events();
    device
        .answer(&request, Code::CONTENT, &options, b"two")
        .await;
    event(&mut events, |event| {
        matches!(event.kind, EventKind::Notification { .. }).then_some(())
    })
    .await;
    let handle = server.device(endpoint);
    let reading = tokio::spawn(async move { handle.read_path(path).await });
    let request = device.next().await;
    // Larger than a record of TLS and than a message of ours.
    let value = "x".repeat(7000);
    device
        .answer(&request, Code::CONTENT, &options[1..], value.as_bytes())
        .await;
    let response = reading.await.expect("no panic").expect("read");
    assert_eq!(response.raw, value.as_bytes());
    let answer = device.ask(Code::POST, &location, b"").await;
    assert_eq!(answer.code, Code::CHANGED);
    location
}

#[tokio::test]
async fn a_device_with_a_certificate_lives_its_life() {
    let mut site = Site::open(|_| {}).await;
    assert!(site.server.local_uris()[0].starts_with("coaps+tcp://"));
    let certified = site.authority.certify("urn:a");
    let config = site.with_certificate(Some(&certified));
    let mut device = site.connect(config.clone()).await.expect("connected");
    device.exchange_capabilities().await;
    let location = lives(&site.server, &mut device, "urn:a").await;
    let registration = site.server.registration("urn:a").await.expect("registered");
    assert_eq!(registration.identity.to_string(), "x509 CN=urn:a");
    // Not under the name of another.
    let answer = device
        .ask(
            Code::POST,
            "rd?ep=urn:b&lwm2m=1.1&lt=60",
            crate::peer::OBJECTS,
        )
        .await;
    assert_eq!(answer.code, Code::BAD_REQUEST);
    // Over further connections, to whichever shard.
    for _ in 0..6 {
        device = site.connect(config.clone()).await.expect("connected");
        device.exchange_capabilities().await;
        let answer = device.ask(Code::POST, &location, b"").await;
        assert_eq!(answer.code, Code::CHANGED);
    }
    let id = CredentialId::new("a").expect("an id");
    site.store.remove(id).await.expect("removed");
    device.until_closed().await;
    event(&mut site.events, |event| {
        matches!(event.kind, EventKind::Deregistered { .. }).then_some(())
    })
    .await;
    assert!(site.server.registration("urn:a").await.is_none());
}

#[tokio::test]
async fn a_connection_ends_when_its_certificate_is_revoked() {
    let mut site = Site::open(|_| {}).await;
    let certified = site.authority.certify("urn:a");
    let config = site.with_certificate(Some(&certified));
    let mut device = site.connect(config.clone()).await.expect("connected");
    device.exchange_capabilities().await;
    device.register("ep=urn:a").await;
    let leaf = Certificate::from_der(&certified.chain[0]).expect("a certificate");
    let serial = X509Identity::of(&leaf).expect("P-256").serial;
    let mut material = KeyMaterial::clone(&site.keys.current());
    let lists = revocation_list(&site.authority.issuer, &serial);
    material.trust_store.revoke(lists);
    site.keys.replace(material);
    device.until_closed().await;
    event(&mut site.events, |event| {
        matches!(event.kind, EventKind::Deregistered { .. }).then_some(())
    })
    .await;
    assert!(site.server.registration("urn:a").await.is_none());
    // The client has a ticket of TLS 1.3, which is of no use to it any more.
    if let Ok(mut device) = site.connect(config).await {
        device.until_closed().await;
    }
    assert_eq!(site.refusal().await, "certificate-revoked");
}

#[tokio::test]
async fn credentials_that_an_interceptor_grants_are_as_good() {
    let mut site = Site::build(|_| {}, true).await;
    let certified = site.authority.certify("urn:a");
    let config = site.with_certificate(Some(&certified));
    let mut device = site.connect(config).await.expect("connected");
    device.exchange_capabilities().await;
    lives(&site.server, &mut device, "urn:a").await;
    let config = site.with_raw_key(&site.raw);
    let mut device = site.connect(config).await.expect("connected");
    device.exchange_capabilities().await;
    lives(&site.server, &mut device, "urn:raw").await;
    let other = KeyPair::generate().expect("a key");
    let mut stranger = site.connect(site.with_raw_key(&other)).await.expect("TLS");
    assert_eq!(stranger.until_closed().await, []);
    assert_eq!(site.refusal().await, "rpk-unknown");
}

#[tokio::test]
async fn a_device_with_a_raw_public_key_lives_its_life() {
    let mut site = Site::open(|_| {}).await;
    let config = site.with_raw_key(&site.raw);
    let mut device = site.connect(config).await.expect("connected");
    device.exchange_capabilities().await;
    lives(&site.server, &mut device, "urn:raw").await;
    let registration = site
        .server
        .registration("urn:raw")
        .await
        .expect("registered");
    assert_eq!(registration.identity.mode(), "rpk");
    // Another key proves nothing.
    let other = KeyPair::generate().expect("a key");
    let mut stranger = site.connect(site.with_raw_key(&other)).await.expect("TLS");
    assert_eq!(stranger.until_closed().await, []);
    assert_eq!(site.refusal().await, "rpk-unknown");
}

#[tokio::test]
async fn a_handshake_that_fails_says_why() {
    let mut site = Site::open(|_| {}).await;
    // In TLS 1.3 the client hears of it after the handshake.
    let nobody = site.with_certificate(None);
    if let Ok(mut device) = site.connect(nobody).await {
        device.until_closed().await;
    }
    assert_eq!(site.refusal().await, "certificate-missing");

    let foreign = Authority::new("Their CA").certify("urn:a");
    if let Ok(mut device) = site.connect(site.with_certificate(Some(&foreign))).await {
        device.until_closed().await;
    }
    assert_eq!(site.refusal().await, "certificate-issuer-unknown");

    let unknown = site.authority.certify("urn:z");
    let mut device = site
        .connect(site.with_certificate(Some(&unknown)))
        .await
        .expect("TLS");
    assert_eq!(device.until_closed().await, []);
    assert_eq!(site.refusal().await, "certificate-unknown");

    let certified = site.authority.certify("urn:a");
    let mut config = site.with_certificate(Some(&certified));
    config.alpn_protocols = vec![b"h2".to_vec()];
    assert!(site.connect(config).await.is_err());
    assert_eq!(site.refusal().await, "tls-no-coap");

    let address = site.server.local_addresses()[0];
    let mut plain = TcpStream::connect(address).await.expect("connected");
    plain
        .write_all(&[0, 0xe1, 0x01, 0x01, 0xaa])
        .await
        .expect("written");
    assert_eq!(site.refusal().await, "tls-handshake");

    // Time is short for this one alone: the others have work to do in it.
    let mut site = Site::open(|config| {
        config.tcp.capabilities_timeout = Duration::from_millis(500);
    })
    .await;
    let address = site.server.local_addresses()[0];
    let _silent = TcpStream::connect(address).await.expect("connected");
    assert_eq!(site.refusal().await, "tls-timeout");
}

#[tokio::test]
async fn a_device_may_stay_anonymous_where_that_is_allowed() {
    let site = Site::open(|config| {
        config.client_authentication = ClientAuthentication::Optional;
    })
    .await;
    let mut device = site
        .connect(site.with_certificate(None))
        .await
        .expect("TLS");
    device.exchange_capabilities().await;
    lives(&site.server, &mut device, "urn:free").await;
    // Names that credentials stand for are not for it.
    let answer = device
        .ask(
            Code::POST,
            "rd?ep=urn:a&lwm2m=1.1&lt=60",
            crate::peer::OBJECTS,
        )
        .await;
    assert_eq!(answer.code, Code::BAD_REQUEST);
}
