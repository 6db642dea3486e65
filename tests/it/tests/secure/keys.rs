//! Devices that prove themselves with raw public keys and certificates.

use std::sync::Arc;

use lwm2m_dtls::{
    Certificate, CertificateChain, ClientConfig, ClientCredentials, PrivateKey, ServerCertificate,
    ServerCertificates, ServerExpectation, TrustStore,
};
use lwm2m_server::credentials::{
    CertificateRule, Credential, CredentialId, CredentialStore, MemoryCredentials, Proof,
};
use lwm2m_server::keys::{KeyMaterial, Keys, RevocationLists};
use lwm2m_server::{EventKind, Listener, Server};
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use super::peer::SecurePeer;
use crate::peer::event;

/// A key with its certificate.
struct Holder {
    certificate: Certificate,
    key: PrivateKey,
}

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn certificate(made: &rcgen::Certificate) -> Certificate {
    Certificate::from_der(made.der()).expect("a certificate")
}

impl Authority {
    fn new() -> Authority {
        let mut params = params("Our CA");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority {
            certificate: certificate(&params.self_signed(&key).expect("signed")),
            issuer: Issuer::new(params, key),
        }
    }

    fn issue(&self, params: &CertificateParams) -> Holder {
        let key = KeyPair::generate().expect("a key");
        Holder {
            certificate: certificate(&params.signed_by(&key, &self.issuer).expect("signed")),
            key: PrivateKey::from_der(key.serialized_der()).expect("P-256"),
        }
    }
}

impl Holder {
    fn chain(&self) -> CertificateChain {
        CertificateChain::new(vec![self.certificate.clone()]).expect("not empty")
    }

    /// As a device that expects exactly this server.
    fn client(&self, server: &Holder) -> ClientConfig {
        ClientConfig::new(ClientCredentials::X509 {
            own: Some((self.chain(), self.key.clone())),
            server: ServerExpectation::exactly(server.certificate.as_der()),
        })
    }

    /// What a server has that proves itself so.
    fn material(&self, authority: &Authority) -> KeyMaterial {
        let own = ServerCertificate::new(self.chain(), self.key.clone()).expect("a pair");
        let mut trust_store = TrustStore::new();
        trust_store
            .add(authority.certificate.clone())
            .expect("an authority");
        KeyMaterial {
            certificates: Some(ServerCertificates::new(own)),
            raw_public_key: Some(self.key.clone()),
            trust_store,
            ..KeyMaterial::default()
        }
    }
}

async fn server(keys: Keys, proof: Proof) -> Server {
    let store = Arc::new(MemoryCredentials::default());
    let id = CredentialId::new("devices").expect("an id");
    let mut credential = Credential::new(id, proof);
    if matches!(credential.proof, Proof::Rpk { .. }) {
        credential = credential.endpoints(["urn:rpk".parse().expect("a pattern")]);
    }
    store.add(vec![credential]).await.expect("taken");
    Server::builder()
        .listen(Listener::coaps(([127, 0, 0, 1], 0).into()))
        .credentials(store)
        .keys(keys)
        .start()
        .await
        .expect("the server starts")
}

async fn identity_of(server: &Server, endpoint: &str) -> String {
    let registration = server.registration(endpoint).await.expect("registered");
    registration.identity.to_string()
}

#[tokio::test]
async fn a_device_registers_with_its_certificate() {
    let authority = Authority::new();
    let own = authority.issue(&params("server"));
    let keys = Keys::new(own.material(&authority));
    let server = server(keys, Proof::X509(CertificateRule::default())).await;
    let device = authority.issue(&params("urn:x509"));
    let mut peer = SecurePeer::new(&server).await;
    peer.connect_with(device.client(&own))
        .await
        .expect("a session");
    peer.register("ep=urn:x509&lwm2m=1.1&lt=60").await;
    assert_eq!(identity_of(&server, "urn:x509").await, "x509 CN=urn:x509");
    // The certificate is no one else's.
    let code = peer.try_register("ep=urn:another&lwm2m=1.1&lt=60").await;
    assert!(!code.is_success(), "{code:?}");
}

/// A list in which this serial number is taken back.
fn revocations(authority: &Authority, serial: &[u8]) -> RevocationLists {
    revocation_list(&authority.issuer, serial)
}

/// The same of an issuer.
pub(crate) fn revocation_list(issuer: &Issuer<'static, KeyPair>, serial: &[u8]) -> RevocationLists {
    let revoked = rcgen::RevokedCertParams {
        serial_number: rcgen::SerialNumber::from_slice(serial),
        revocation_time: rcgen::date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 1),
        next_update: rcgen::date_time_ymd(2026, 2, 1),
        crl_number: rcgen::SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let list = list.signed_by(issuer).expect("signed");
    RevocationLists::parse(list.der()).expect("a list")
}

#[tokio::test]
async fn a_certificate_that_is_revoked_while_the_server_runs_is_refused_from_then_on() {
    let authority = Authority::new();
    let own = authority.issue(&params("server"));
    let keys = Keys::new(own.material(&authority));
    let server = server(keys.clone(), Proof::X509(CertificateRule::default())).await;
    let mut events = server.events();
    let [gone, good] = [("urn:gone", 7), ("urn:good", 8)].map(|(name, serial)| {
        let mut params = params(name);
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[serial]));
        authority.issue(&params)
    });
    let mut peer = SecurePeer::new(&server).await;
    peer.connect_with(gone.client(&own)).await.expect("before");
    let mut material = own.material(&authority);
    material.trust_store.revoke(revocations(&authority, &[7]));
    keys.replace(material);
    let mut peer = SecurePeer::new(&server).await;
    let refused = peer.connect_with(gone.client(&own)).await;
    refused.expect_err("revoked");
    let reason = event(&mut events, |event| match &event.kind {
        EventKind::Refused {
            operation: "handshake",
            reason,
            ..
        } => Some(reason.clone()),
        _ => None,
    });
    let reason = reason.await;
    assert_eq!(reason.code, "certificate-revoked");
    assert!(reason.message.contains("CN=urn:gone"), "{reason:?}");
    assert!(reason.hint.is_some());
    let mut peer = SecurePeer::new(&server).await;
    peer.connect_with(good.client(&own)).await.expect("another");
}

#[tokio::test]
async fn a_session_ends_when_its_certificate_is_revoked_and_is_not_continued() {
    let authority = Authority::new();
    let own = authority.issue(&params("server"));
    let keys = Keys::new(own.material(&authority));
    let server = server(keys.clone(), Proof::X509(CertificateRule::default())).await;
    let mut events = server.events();
    // One with the highest bit: a zero stands before it in DER.
    let [gone, good] = [("urn:gone", 0x87), ("urn:good", 0x88)].map(|(name, serial)| {
        let mut params = params(name);
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[serial]));
        authority.issue(&params)
    });
    let mut lost = SecurePeer::new(&server).await;
    lost.connect_with(gone.client(&own)).await.expect("before");
    lost.register("ep=urn:gone&lwm2m=1.1&lt=60").await;
    let mut kept = SecurePeer::new(&server).await;
    kept.connect_with(good.client(&own)).await.expect("before");
    let location = kept.register("ep=urn:good&lwm2m=1.1&lt=60").await;

    let mut material = own.material(&authority);
    material
        .trust_store
        .revoke(revocations(&authority, &[0x87]));
    keys.replace(material);
    let (identity, reason) = event(&mut events, |event| match &event.kind {
        EventKind::Refused {
            operation: "session",
            identity,
            reason,
            ..
        } => Some((identity.to_string(), reason.clone())),
        _ => None,
    })
    .await;
    assert_eq!(identity, "x509 CN=urn:gone");
    assert_eq!(reason.code, "certificate-revoked");
    assert!(reason.hint.is_some(), "{reason:?}");
    event(&mut events, |event| {
        matches!(event.kind, EventKind::Deregistered { .. }).then_some(())
    })
    .await;
    assert!(server.registration("urn:gone").await.is_none());

    // Instead of going on with the old session, it has to show its certificate.
    let refused = lost.resume_with(gone.client(&own)).await;
    refused.expect_err("revoked");
    let reason = event(&mut events, |event| match &event.kind {
        EventKind::Refused {
            operation: "handshake",
            reason,
            ..
        } => Some(reason.code),
        _ => None,
    });
    assert_eq!(reason.await, "certificate-revoked");

    // Nothing has happened to its neighbour.
    assert!(kept.post(&location).await.is_success());
    let continued = kept.resume_with(good.client(&own)).await;
    assert!(continued.expect("a session"), "it was not continued");
    assert!(kept.post(&location).await.is_success());
}

#[tokio::test]
async fn a_certificate_of_the_trust_store_is_believed_whatever_the_lists_say() {
    let authority = Authority::new();
    let own = authority.issue(&params("server"));
    let mut pinned = params("urn:pinned");
    pinned.serial_number = Some(rcgen::SerialNumber::from_slice(&[7]));
    let pinned = authority.issue(&pinned);
    let material = |revoked: &[u8]| {
        let mut material = own.material(&authority);
        let store = &mut material.trust_store;
        store.add(pinned.certificate.clone()).expect("pinned");
        store.revoke(revocations(&authority, revoked));
        material
    };
    let keys = Keys::new(material(&[9]));
    let server = server(keys.clone(), Proof::X509(CertificateRule::default())).await;
    let mut peer = SecurePeer::new(&server).await;
    peer.connect_with(pinned.client(&own)).await.expect("in");
    let location = peer.register("ep=urn:pinned&lwm2m=1.1&lt=60").await;
    keys.replace(material(&[7]));
    // With the keys of now, and after all shards have heard of them.
    let mut late = SecurePeer::new(&server).await;
    late.connect_with(pinned.client(&own)).await.expect("in");
    assert!(peer.post(&location).await.is_success());
    let continued = peer.resume_with(pinned.client(&own)).await;
    assert!(continued.expect("a session"), "it was not continued");
}

#[tokio::test]
async fn a_device_registers_with_its_raw_public_key() {
    let authority = Authority::new();
    let own = authority.issue(&params("server"));
    let device = PrivateKey::generate().expect("a key");
    let spki_sha256 = device.public_key().spki_sha256();
    let keys = Keys::new(own.material(&authority));
    let server = server(keys, Proof::Rpk { spki_sha256 }).await;
    let client = |key: PrivateKey| {
        ClientConfig::new(ClientCredentials::RawPublicKey {
            key,
            server: own.key.public_key().clone(),
        })
    };
    let mut peer = SecurePeer::new(&server).await;
    peer.connect_with(client(device)).await.expect("a session");
    peer.register("ep=urn:rpk&lwm2m=1.1&lt=60").await;
    let identity = identity_of(&server, "urn:rpk").await;
    assert!(identity.starts_with("rpk sha256:"), "{identity}");
    let stranger = PrivateKey::generate().expect("a key");
    let mut peer = SecurePeer::new(&server).await;
    peer.connect_with(client(stranger))
        .await
        .expect_err("refused");
}

#[tokio::test]
async fn a_chain_that_is_not_believed_is_told_with_the_certificate_at_fault() {
    let authority = Authority::new();
    let own = authority.issue(&params("server"));
    let keys = Keys::new(own.material(&authority));
    let server = server(keys, Proof::X509(CertificateRule::default())).await;
    let mut events = server.events();
    let mut expired = params("urn:old");
    expired.not_after = date_time_ymd(2020, 1, 1);
    for (device, word) in [
        (authority.issue(&expired), "certificate-expired"),
        (
            Authority::new().issue(&params("urn:x509")),
            "certificate-signature",
        ),
    ] {
        let mut peer = SecurePeer::new(&server).await;
        peer.connect_with(device.client(&own))
            .await
            .expect_err("refused");
        let (code, message, hint) = event(&mut events, |event| match &event.kind {
            EventKind::Refused {
                operation: "handshake",
                reason,
                ..
            } => Some((
                reason.code,
                reason.message.to_string(),
                reason.hint.is_some(),
            )),
            _ => None,
        })
        .await;
        assert_eq!((code, hint), (word, true), "{message}");
        assert!(
            message.contains("certificate 0 of the chain (CN=urn:"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn keys_are_exchanged_under_a_session_that_stands() {
    let authority = Authority::new();
    let (first, second) = (
        authority.issue(&params("first")),
        authority.issue(&params("second")),
    );
    let keys = Keys::new(first.material(&authority));
    let server = server(keys.clone(), Proof::X509(CertificateRule::default())).await;
    let device = authority.issue(&params("urn:x509"));
    let mut peer = SecurePeer::new(&server).await;
    peer.connect_with(device.client(&first))
        .await
        .expect("a session");
    let location = peer.register("ep=urn:x509&lwm2m=1.1&lt=60").await;

    keys.replace(second.material(&authority));
    let mut late = SecurePeer::new(&server).await;
    late.connect_with(device.client(&first))
        .await
        .expect_err("another certificate");
    late.connect_with(device.client(&second))
        .await
        .expect("a session");
    // The old session goes on.
    assert!(peer.post(&location).await.is_success());
}
