//! Raw public keys and certificates: who gets in, who does not, and what each side learns.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_dtls::{
    Alert, CertificateFault, CertificateUsage, CipherSuite, ClientAuthentication, ClientConfig,
    ClientCredentials, Config, Failure, Identity, Limits, Lookup, MatchingType, PrivateKey,
    ServerCertificate, ServerCertificates, ServerConfig, ServerExpectation, TrustStore,
    UnknownServerName, Verdict,
};
use rcgen::{ExtendedKeyUsagePurpose, SanType, date_time_ymd};

use crate::make::{Authority, Holder, chain_of, named};
use crate::pair::Pair;

/// A CA for all, a server and a device.
pub(crate) struct World {
    root: Authority,
    server: Holder,
    device: Holder,
    server_key: PrivateKey,
    device_key: PrivateKey,
}

impl World {
    pub(crate) fn new() -> World {
        let root = Authority::root("Root");
        let mut params = named("server");
        params.subject_alt_names = vec![dns("lwm2m.example")];
        let server = root.issue(&params);
        let device = root.issue(&named("urn:imei:350000000000001"));
        let key = || PrivateKey::generate().expect("a key");
        World {
            root,
            server,
            device,
            server_key: key(),
            device_key: key(),
        }
    }

    fn pair(&self, change: impl FnOnce(&mut ServerConfig)) -> Pair {
        let mut server = self.server();
        change(&mut server);
        Pair::with_server(Config {
            server: Some(Arc::new(server)),
            ..Config::default()
        })
    }

    /// A server with a raw public key and a certificate.
    pub(crate) fn server(&self) -> ServerConfig {
        let chain = chain_of(&[&self.server.certificate]);
        let certificate = ServerCertificate::new(chain, self.server.key.clone());
        let certificate = certificate.expect("key and certificate belong together");
        ServerConfig {
            raw_public_key: Some(self.server_key.clone()),
            certificates: Some(Arc::new(ServerCertificates::new(certificate))),
            trust: Some(Arc::new(self.root.store())),
            ..ServerConfig::default()
        }
    }

    pub(crate) fn raw_public_key(&self) -> ClientConfig {
        ClientConfig::new(ClientCredentials::RawPublicKey {
            key: self.device_key.clone(),
            server: self.server_key.public_key().clone(),
        })
    }

    pub(crate) fn x509(&self) -> ClientConfig {
        self.x509_as(Some(&self.device), self.expectation())
    }

    fn x509_as(&self, own: Option<&Holder>, server: ServerExpectation) -> ClientConfig {
        ClientConfig::new(ClientCredentials::X509 {
            own: own.map(|holder| (chain_of(&[&holder.certificate]), holder.key.clone())),
            server,
        })
    }

    /// The CA of the server, by usage 2, and its name.
    fn expectation(&self) -> ServerExpectation {
        ServerExpectation {
            usage: CertificateUsage::TrustAnchorAssertion,
            matching: MatchingType::Exact,
            certificate: self.root.certificate.as_der().into(),
            name: Some("lwm2m.example".into()),
            store: Arc::new(TrustStore::new()),
        }
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().expect("a name"))
}

const ECDHE: [CipherSuite; 3] = [
    CipherSuite::EcdheEcdsaCcm8,
    CipherSuite::EcdheEcdsaCcm,
    CipherSuite::EcdheEcdsaGcm,
];

#[test]
fn raw_public_keys_prove_both_sides() {
    let world = World::new();
    for suite in ECDHE {
        let mut pair = world.pair(|_| {});
        let (client, server) = pair.establish(ClientConfig {
            suites: vec![suite],
            ..world.raw_public_key()
        });
        let (_, peer) = pair.server.last_up().expect("up");
        let device = world.device_key.public_key().clone();
        assert_eq!(peer.identity, Identity::RawPublicKey(device.clone()));
        assert_eq!((peer.suite, peer.extended_master_secret), (suite, true));
        let (_, peer) = pair.client.last_up().expect("up");
        let key = world.server_key.public_key().clone();
        assert_eq!(peer.identity, Identity::RawPublicKey(key));
        let expected = Lookup::RawPublicKey {
            public_key: device,
            server_name: None,
        };
        assert_eq!(pair.lookups, [expected]);
        pair.send_from_client(client, b"up");
        pair.send_from_server(server, b"down");
        pair.run();
        assert_eq!(pair.server.texts(), [b"up"]);
        assert_eq!(pair.client.texts(), [b"down"]);
    }
}

#[test]
fn certificates_prove_both_sides() {
    let world = World::new();
    for suite in ECDHE {
        let mut pair = world.pair(|_| {});
        pair.establish(ClientConfig {
            suites: vec![suite],
            server_name: Some("lwm2m.example".into()),
            ..world.x509()
        });
        let (_, peer) = pair.server.last_up().expect("up");
        let Identity::X509(identity) = &peer.identity else {
            panic!("{peer:?}");
        };
        let name = identity.common_name.as_deref();
        assert_eq!(name, Some("urn:imei:350000000000001"));
        assert_eq!(peer.server_name.as_deref(), Some("lwm2m.example"));
        let [Lookup::X509 { chain, .. }] = &pair.lookups[..] else {
            panic!("{:?}", pair.lookups);
        };
        assert_eq!(chain.leaf(), &world.device.certificate);
    }
}

#[test]
fn a_chain_longer_than_a_datagram_comes_in_pieces() {
    let root = Authority::root("Root");
    let below = root.below(crate::make::authority_params("Intermediate"));
    let mut params = named("server");
    params.subject_alt_names = (0..60).map(|n| dns(&format!("name-{n}.example"))).collect();
    let server = below.issue(&params);
    let world = World::new();
    let chain = chain_of(&[&server.certificate, &below.certificate]);
    let certificate = ServerCertificate::new(chain, server.key.clone()).expect("they fit");
    let mut pair = Pair::with(
        1,
        Config {
            server: Some(Arc::new(ServerConfig {
                certificates: Some(Arc::new(ServerCertificates::new(certificate))),
                trust: Some(Arc::new(world.root.store())),
                ..ServerConfig::default()
            })),
            limits: Limits {
                mtu: 300,
                ..Limits::default()
            },
            ..Config::default()
        },
        Config::default(),
    );
    let expectation = ServerExpectation {
        usage: CertificateUsage::TrustAnchorAssertion,
        matching: MatchingType::Exact,
        certificate: root.certificate.as_der().into(),
        name: Some("name-7.example".into()),
        store: Arc::new(TrustStore::new()),
    };
    pair.establish(world.x509_as(Some(&world.device), expectation));
    assert!(pair.server.sent.len() > 6);
    assert!(
        pair.server
            .sent
            .iter()
            .all(|datagram| datagram.len() <= 300)
    );
}

#[test]
fn proofs_survive_a_bad_network() {
    let world = World::new();
    let mut up = 0;
    for round in 0..20 {
        let mut pair = world.pair(|_| {});
        for _ in 0..round {
            pair.draw(2);
        }
        pair.network.loss = 20;
        pair.network.duplication = 20;
        pair.network.jitter = Duration::from_millis(500);
        pair.lookup_takes = Duration::from_millis(300);
        let config = if round % 2 == 0 {
            world.x509()
        } else {
            world.raw_public_key()
        };
        pair.connect(config);
        pair.pass(Duration::from_secs(119));
        let failed = [pair.client.failures(), pair.server.failures()].concat();
        let timeout = |failure: &Failure| matches!(failure, Failure::Timeout { .. });
        assert!(failed.iter().all(timeout), "round {round}: {failed:?}");
        up += usize::from((pair.client.ups(), pair.server.ups()) == (1, 1));
    }
    assert!(up >= 15, "{up} of 20");
}

#[test]
fn an_unknown_raw_public_key_is_named_by_its_hash() {
    let world = World::new();
    let mut pair = world.pair(|_| {});
    pair.verdict = Verdict::Unknown;
    pair.connect(world.raw_public_key());
    pair.run();
    let sha256 = world.device_key.public_key().spki_sha256();
    assert_eq!(
        pair.server.failures(),
        [Failure::UnknownPublicKey { sha256 }]
    );
    assert_eq!(
        pair.client.failures(),
        [Failure::PeerAlert(Alert::CERTIFICATE_UNKNOWN)]
    );
}

#[test]
fn a_server_with_another_raw_public_key_is_refused() {
    let world = World::new();
    let mut pair = world.pair(|_| {});
    let other = World::new();
    pair.connect(ClientConfig::new(ClientCredentials::RawPublicKey {
        key: world.device_key.clone(),
        server: other.server_key.public_key().clone(),
    }));
    pair.run();
    let sha256 = world.server_key.public_key().spki_sha256();
    assert_eq!(pair.client.failures(), [Failure::WrongPublicKey { sha256 }]);
    assert_eq!(
        pair.server.failures(),
        [Failure::PeerAlert(Alert::CERTIFICATE_UNKNOWN)]
    );
}

#[test]
fn the_certificate_at_fault_is_named() {
    let world = World::new();
    let stranger = World::new();
    let mut expired = named("expired");
    expired.not_after = date_time_ymd(2026, 2, 1);
    let mut usage = named("usage");
    usage.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let issue = |params| world.root.issue(params);
    let cases = [
        (
            issue(&expired),
            "certificate-expired",
            Alert::CERTIFICATE_EXPIRED,
        ),
        (
            issue(&usage),
            "certificate-usage",
            Alert::UNSUPPORTED_CERTIFICATE,
        ),
    ];
    for (holder, reason, alert) in cases {
        let mut pair = world.pair(|_| {});
        pair.connect(world.x509_as(Some(&holder), world.expectation()));
        pair.run();
        let [Failure::Certificate(error)] = &pair.server.failures()[..] else {
            panic!("{:?}", pair.server.failures());
        };
        assert_eq!(error.fault.reason(), reason);
        let culprit = error.culprit.as_ref().expect("a certificate is to blame");
        assert_eq!(culprit.subject, holder.certificate.subject());
        assert_eq!(pair.client.failures(), [Failure::PeerAlert(alert)]);
    }
    let mut pair = world.pair(|_| {});
    pair.connect(world.x509_as(Some(&stranger.device), world.expectation()));
    pair.run();
    assert_eq!(pair.server.failures().len(), 1);
    assert!(matches!(
        &pair.server.failures()[0],
        Failure::Certificate(error) if matches!(
            error.fault,
            CertificateFault::BadSignature | CertificateFault::UnknownIssuer { .. }
        )
    ));
}

#[test]
fn a_server_of_another_name_is_refused() {
    let world = World::new();
    let mut pair = world.pair(|_| {});
    let expectation = ServerExpectation {
        name: Some("other.example".into()),
        ..world.expectation()
    };
    pair.connect(world.x509_as(Some(&world.device), expectation));
    pair.run();
    let [Failure::Certificate(error)] = &pair.client.failures()[..] else {
        panic!("{:?}", pair.client.failures());
    };
    assert_eq!(error.fault.reason(), "certificate-name");
}

#[test]
fn client_authentication_is_required_optional_or_none() {
    let world = World::new();
    let run = |policy| {
        let mut pair = world.pair(|server| server.client_authentication = policy);
        pair.connect(world.x509_as(None, world.expectation()));
        pair.run();
        pair
    };
    let pair = run(ClientAuthentication::Required);
    assert!(matches!(
        &pair.server.failures()[..],
        [Failure::Certificate(error)] if error.fault == CertificateFault::Missing
    ));
    for policy in [ClientAuthentication::Optional, ClientAuthentication::None] {
        let pair = run(policy);
        let (_, peer) = pair.server.last_up().expect("up");
        assert_eq!(peer.identity, Identity::Anonymous);
        assert_eq!(pair.lookups, []);
    }
    // Who shows a certificate where none is needed still proves it.
    let mut pair = world.pair(|server| {
        server.client_authentication = ClientAuthentication::Optional;
    });
    pair.establish(world.x509());
    let (_, peer) = pair.server.last_up().expect("up");
    assert!(matches!(peer.identity, Identity::X509(_)));
}

#[test]
fn the_server_name_selects_the_certificate() {
    let world = World::new();
    let mut params = named("second");
    params.subject_alt_names = vec![dns("second.example")];
    let second = world.root.issue(&params);
    let holder = |holder: &Holder| {
        let chain = chain_of(&[&holder.certificate]);
        ServerCertificate::new(chain, holder.key.clone()).expect("they fit")
    };
    let mut certificates = ServerCertificates::new(holder(&world.server));
    certificates.add(holder(&second));
    let certificates = Arc::new(certificates);
    let ask = |name: &str, expected: &str, policy| {
        let mut pair = world.pair(|server| {
            server.certificates = Some(certificates.clone());
            server.unknown_server_name = policy;
        });
        let expectation = ServerExpectation {
            name: Some(expected.into()),
            ..world.expectation()
        };
        pair.connect(ClientConfig {
            server_name: Some(name.into()),
            ..world.x509_as(Some(&world.device), expectation)
        });
        pair.run();
        pair
    };
    let default = UnknownServerName::Default;
    assert_eq!(
        ask("second.example", "second.example", default)
            .server
            .ups(),
        1
    );
    assert_eq!(
        ask("lwm2m.example", "lwm2m.example", default).server.ups(),
        1
    );
    assert_eq!(
        ask("third.example", "lwm2m.example", default).server.ups(),
        1
    );
    let refused = ask("third.example", "lwm2m.example", UnknownServerName::Alert);
    let expected = Failure::UnrecognizedName {
        name: "third.example".into(),
    };
    assert_eq!(refused.server.failures(), [expected]);
    assert_eq!(
        refused.client.failures(),
        [Failure::PeerAlert(Alert::UNRECOGNIZED_NAME)]
    );
}

#[test]
fn without_a_key_only_psk_is_offered() {
    let world = World::new();
    let mut pair = Pair::new();
    pair.connect(world.x509());
    pair.run();
    let [Failure::NoCommonSuite { peer, ours }] = &pair.server.failures()[..] else {
        panic!("{:?}", pair.server.failures());
    };
    assert_eq!(peer[..], [0xc0ae, 0xc02b, 0xc0ac, 0x00ff]);
    assert_eq!(ours[..], [0xc0a8, 0x00a8, 0xc0a4]);
}

#[test]
fn a_server_without_raw_public_keys_says_what_is_missing() {
    let world = World::new();
    let mut pair = world.pair(|server| server.raw_public_key = None);
    pair.connect(world.raw_public_key());
    pair.run();
    assert_eq!(
        pair.server.failures(),
        [Failure::NoCommonParameter("kind of server certificate")]
    );
}

#[test]
fn a_certificate_that_has_expired_meanwhile_does_not_continue_a_session() {
    let world = World::new();
    let mut params = named("soon expired");
    params.not_after = date_time_ymd(2026, 6, 2);
    let device = world.root.issue(&params);
    let mut pair = world.pair(|_| {});
    let config = world.x509_as(Some(&device), world.expectation());
    let (client, _) = pair.establish(config.clone());
    let resume = pair.client.endpoint.resumption(client);
    assert!(resume.is_some());
    let config = ClientConfig { resume, ..config };
    pair.establish(config.clone());
    assert!(pair.server.last_up().expect("up").1.resumed);
    // Noon was an hour ago; the certificate ends at midnight, the ticket at noon.
    pair.pass(Duration::from_secs(13 * 3600));
    pair.connect(config);
    pair.run();
    assert!(matches!(
        &pair.server.failures()[..],
        [Failure::Certificate(error)] if matches!(error.fault, CertificateFault::Expired { .. })
    ));
}

#[test]
fn a_session_of_nobody_is_not_continued_where_somebody_is_required() {
    let world = World::new();
    let key = lwm2m_dtls::TicketKey::generate();
    let policy = |policy| {
        let resumption = lwm2m_dtls::ServerResumption {
            ticket_key: Some(key.clone()),
            ..lwm2m_dtls::ServerResumption::default()
        };
        world.pair(|server| {
            server.client_authentication = policy;
            server.resumption = Some(resumption);
        })
    };
    let mut pair = policy(ClientAuthentication::Optional);
    let config = world.x509_as(None, world.expectation());
    let (client, _) = pair.establish(config.clone());
    let resume = pair.client.endpoint.resumption(client);
    let mut stricter = policy(ClientAuthentication::Required);
    stricter.connect(ClientConfig { resume, ..config });
    stricter.run();
    assert!(matches!(
        &stricter.server.failures()[..],
        [Failure::Certificate(error)] if error.fault == CertificateFault::Missing
    ));
}

#[test]
fn a_slow_verdict_parks_the_handshake() {
    let world = World::new();
    let mut pair = world.pair(|_| {});
    pair.lookup_takes = Duration::from_secs(5);
    pair.establish(world.x509());
    assert_eq!(pair.server.endpoint.statistics().retransmitted, 0);
}
