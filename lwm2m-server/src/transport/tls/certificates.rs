//! TLS with certificates, and with raw public keys of TLS 1.3: rustls.
//!
//! The ClientHello says whether a client wants raw public keys; then it gets a configuration that
//! has nothing else. Chains are checked as over DTLS.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use lwm2m_dtls::{
    Alert, Certificate, CertificateChain, CertificateError as ChainError, PublicKey,
    ServerCertificates, TrustStore, verify_client,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{Acceptor, CertificateType, ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, ServerConfig, SignatureScheme, SupportedCipherSuite,
};
use tokio_rustls::LazyConfigAcceptor;

use super::hello::{ClientHello as Offer, Rewound, TLS_1_3};
use super::{Accepted, HandshakeError, Proof, alert};
use crate::identity::PeerIdentity;
use crate::keys::{KeyMaterial, Keys, PrivateKey};
use crate::shard::secure::certified;
use crate::{ClientAuthentication, Reason};

/// The protocol in ALPN (RFC 8323 §8.2).
const ALPN: &[u8] = b"coap";

/// The server's certificates and raw public key, for the listeners of all shards.
#[derive(Debug)]
pub(super) struct Certificates {
    keys: Option<Keys>,
    client_authentication: ClientAuthentication,
    provider: Arc<CryptoProvider>,
    /// For the keys of now.
    current: Mutex<Option<(Arc<KeyMaterial>, Arc<Configs>)>>,
}

/// How clients are answered.
#[derive(Debug)]
struct Configs {
    certificates: Option<Arc<ServerConfig>>,
    raw_public_key: Option<Arc<ServerConfig>>,
}

impl Certificates {
    pub(super) fn new(
        keys: Option<Keys>,
        client_authentication: ClientAuthentication,
    ) -> Certificates {
        Certificates {
            keys,
            client_authentication,
            provider: Arc::new(aws_lc_rs::default_provider()),
            current: Mutex::new(None),
        }
    }

    /// The suites that can be agreed on with the keys of now.
    pub(super) fn suites(&self) -> Vec<u16> {
        let Ok(configs) = self.configs() else {
            return Vec::new();
        };
        let has_1_2 = configs.certificates.is_some();
        let suites = self.provider.cipher_suites.iter();
        let suites = suites.filter(|suite| match suite {
            SupportedCipherSuite::Tls12(_) => has_1_2,
            SupportedCipherSuite::Tls13(_) => has_1_2 || configs.raw_public_key.is_some(),
        });
        suites.map(|suite| u16::from(suite.suite())).collect()
    }

    /// Takes a client in; answers what it has proven, which is nothing when it did not have to.
    pub(super) async fn accept(
        &self,
        io: Rewound,
        offer: Option<&Offer>,
    ) -> Result<Accepted, HandshakeError> {
        let configs = self.configs().map_err(tls_refused)?;
        let start = LazyConfigAcceptor::new(Acceptor::default(), io).await;
        let mut start = start.map_err(handshake_failed)?;
        let has_1_3 = offer.is_none_or(|offer| offer.offers(TLS_1_3));
        let Some(config) = configs.for_client(&start.client_hello(), has_1_3) else {
            alert::send(&mut start.io, Alert::HANDSHAKE_FAILURE).await;
            return Err(HandshakeError::NothingInCommon(no_keys()));
        };
        let raw = configs.raw_public_key.as_ref();
        let is_raw = raw.is_some_and(|raw| Arc::ptr_eq(raw, &config));
        let stream = start.into_stream(config).await.map_err(handshake_failed)?;
        let (_, connection) = stream.get_ref();
        let shown = connection
            .peer_certificates()
            .and_then(|chain| chain.first());
        let proof = match (shown, is_raw) {
            (None, _) => Proof::Nothing,
            (Some(spki), true) => Proof::Presented(PeerIdentity::rpk(spki)),
            (Some(leaf), false) => {
                let identity = Certificate::from_der(leaf)
                    .and_then(|leaf| lwm2m_dtls::X509Identity::of(&leaf));
                let identity = identity.map_err(|fault| {
                    HandshakeError::Refused(Reason::new(fault.reason(), fault.to_string()))
                })?;
                Proof::Presented(PeerIdentity::x509(certified(&identity)))
            }
        };
        Ok(Accepted {
            io: Box::new(stream),
            proof,
        })
    }

    /// The configurations for the keys of now.
    fn configs(&self) -> Result<Arc<Configs>, Error> {
        let material = self.keys.as_ref().map(Keys::current).unwrap_or_default();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, configs)) = &*current
            && Arc::ptr_eq(of, &material)
        {
            return Ok(Arc::clone(configs));
        }
        let configs = Arc::new(Configs {
            certificates: match &material.certificates {
                Some(certificates) => Some(self.with_certificates(certificates, &material)?),
                None => None,
            },
            raw_public_key: match &material.raw_public_key {
                Some(key) => Some(self.with_raw_public_key(key)?),
                None => None,
            },
        });
        *current = Some((material, Arc::clone(&configs)));
        Ok(configs)
    }

    fn with_certificates(
        &self,
        certificates: &ServerCertificates,
        material: &KeyMaterial,
    ) -> Result<Arc<ServerConfig>, Error> {
        let mut keys = Vec::new();
        for certificate in certificates.all() {
            let chain = certificate.chain().certificates().iter();
            let chain = chain.map(|one| CertificateDer::from(one.as_der().to_vec()));
            let key = self.certified_key(chain.collect(), certificate.key())?;
            keys.push((certificate.leaf().clone(), key));
        }
        let verifier = ChainVerifier {
            trust: material.trust_store.clone(),
            mandatory: self.client_authentication == ClientAuthentication::Required,
            algorithms: self.provider.signature_verification_algorithms,
        };
        let resolver = ByName {
            certificates: certificates.clone(),
            keys,
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let mut config = builder
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }

    fn with_raw_public_key(&self, key: &PrivateKey) -> Result<Arc<ServerConfig>, Error> {
        let spki = CertificateDer::from(key.public_key().as_spki().to_vec());
        let key = self.certified_key(vec![spki], key)?;
        let verifier = RawKeyVerifier {
            algorithms: self.provider.signature_verification_algorithms,
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider));
        let mut config = builder
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(RawKey(key)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Arc::new(config))
    }

    fn certified_key(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKey,
    ) -> Result<Arc<CertifiedKey>, Error> {
        let pkcs8 = key
            .to_pkcs8()
            .map_err(|error| Error::General(error.to_string()))?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_slice()));
        let key = aws_lc_rs::sign::any_ecdsa_type(&der)?;
        Ok(Arc::new(CertifiedKey::new(chain, key)))
    }
}

impl Configs {
    /// Raw public keys for a client that has and takes them, certificates for others.
    fn for_client(&self, hello: &ClientHello<'_>, has_1_3: bool) -> Option<Arc<ServerConfig>> {
        let has_raw = |types: Option<&[CertificateType]>| {
            types.is_some_and(|types| types.contains(&CertificateType::RawPublicKey))
        };
        let wants_raw =
            has_1_3 && has_raw(hello.server_cert_types()) && has_raw(hello.client_cert_types());
        let raw = self.raw_public_key.clone().filter(|_| wants_raw);
        raw.or_else(|| self.certificates.clone())
    }
}

/// Certificates by the name that a client asks for.
#[derive(Debug)]
struct ByName {
    certificates: ServerCertificates,
    keys: Vec<(Certificate, Arc<CertifiedKey>)>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let selected = self.certificates.select(hello.server_name()).certificate;
        let found = self.keys.iter().find(|(leaf, _)| leaf == selected.leaf());
        found.map(|(_, key)| Arc::clone(key))
    }
}

/// The server's raw public key.
#[derive(Debug)]
struct RawKey(Arc<CertifiedKey>);

impl ResolvesServerCert for RawKey {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

/// Checks the chains of clients.
#[derive(Debug)]
struct ChainVerifier {
    trust: TrustStore,
    mandatory: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for ChainVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Devices have one certificate, and a long list costs their radio.
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificates = std::iter::once(leaf)
            .chain(intermediates)
            .map(|der| Certificate::from_der(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        CertificateChain::new(certificates)
            .and_then(|chain| verify_client(&chain, &self.trust, now.as_secs()))
            .map_err(|error| {
                let error = OtherError(Arc::new(Untrusted(error)));
                Error::InvalidCertificate(CertificateError::Other(error))
            })?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks that clients have the private key behind the raw public key that they show.
#[derive(Debug)]
struct RawKeyVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for RawKeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        spki: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Whose it is, the credentials say.
        PublicKey::from_spki(spki)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _spki: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("raw public keys are for TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
        verify_tls13_signature_with_raw_key(message, &spki, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// A chain that is not believed, on its way through rustls.
#[derive(Debug)]
struct Untrusted(ChainError);

impl std::fmt::Display for Untrusted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Untrusted {}

fn handshake_failed(error: io::Error) -> HandshakeError {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(error) => tls_refused(Error::clone(error)),
        None => HandshakeError::Gone,
    }
}

fn tls_refused(error: Error) -> HandshakeError {
    if let Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = &error
        && let Some(Untrusted(chain)) = inner.downcast_ref()
    {
        let reason = Reason::new(chain.fault.reason(), chain.to_string());
        return HandshakeError::Refused(reason.hint(chain.fault.hint()));
    }
    let text = error.to_string();
    let reason = match error {
        Error::NoCertificatesPresented => Reason::new("certificate-missing", text)
            .hint("give the device a certificate, or make client_authentication \"optional\""),
        Error::NoApplicationProtocol => Reason::new("tls-no-coap", text)
            .hint("CoAP over TLS is called \"coap\" in ALPN (RFC 8323 section 8.2)"),
        Error::PeerIncompatible(_) => {
            let reason = Reason::new("tls-no-common-parameter", text).hint(
                "the server has TLS 1.2 and 1.3, with curve secp256r1 for keys and certificates",
            );
            return HandshakeError::NothingInCommon(reason);
        }
        Error::AlertReceived(AlertDescription::UnknownCA) => Reason::new("tls-peer-alert", text)
            .hint("the device does not believe the server's certificate: check /0/x/4"),
        Error::AlertReceived(_) => Reason::new("tls-peer-alert", text),
        _ => Reason::new("tls-handshake", text),
    };
    HandshakeError::Refused(reason)
}

fn no_keys() -> Reason {
    Reason::new(
        "tls-no-server-key",
        "the server has no certificate, and the client no raw public key",
    )
    .hint("configure [dtls] server_certificate and server_private_key")
}
