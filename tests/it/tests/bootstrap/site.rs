//! A server that devices bootstrap and register at, in every way, and the credentials of both sides.

use std::sync::Arc;

use lwm2m_device::{BootstrapAccount, DtlsAccount};
use lwm2m_dtls::{
    Certificate, CertificateChain, ClientCredentials, PrivateKey, ServerCertificate,
    ServerCertificates, ServerExpectation, TrustStore,
};
use lwm2m_oscore::{KeyId, Parameters};
use lwm2m_server::bootstrap::{
    AccountSecurity, BootstrapPlan, MemoryBootstrap, OscoreAccount, ServerAccount,
};
use lwm2m_server::credentials::{
    CertificateRule, Credential, CredentialId, CredentialStore, MemoryCredentials,
    OscoreCredential, Proof, SecretKey,
};
use lwm2m_server::keys::{KeyMaterial, Keys};
use lwm2m_server::{EventKind, Events, Listener, Server, ServerConfig};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::peer::event;
use crate::secure::KEY;

/// How a device and a server prove themselves to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    NoSec,
    Psk,
    Rpk,
    X509,
    Oscore,
}

impl How {
    pub(crate) const SECURE: [How; 4] = [How::Psk, How::Rpk, How::X509, How::Oscore];

    /// The mode as identities show it.
    pub(crate) fn mode(self) -> &'static str {
        match self {
            How::NoSec => "nosec",
            How::Psk => "psk",
            How::Rpk => "rpk",
            How::X509 => "x509",
            How::Oscore => "oscore",
        }
    }

    fn is_dtls(self) -> bool {
        matches!(self, How::Psk | How::Rpk | How::X509)
    }
}

/// A key with its certificate.
pub(crate) struct Holder {
    pub(crate) certificate: Certificate,
    pub(crate) key: PrivateKey,
}

/// What a device holds to prove that it is an endpoint, and what its server holds for it.
pub(crate) struct Pass {
    pub(crate) how: How,
    /// The identity of a key and the common name of a certificate.
    pub(crate) name: String,
    pub(crate) holder: Holder,
    /// The ids of an OSCORE context: the device's, and the server's.
    ids: (Vec<u8>, Vec<u8>),
}

/// The listeners by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Coap,
    Coaps,
    CoapBootstrap,
    CoapsBootstrap,
    TcpBootstrap,
    TlsBootstrap,
    Tls,
}

pub(crate) struct Site {
    pub(crate) server: Server,
    pub(crate) plans: Arc<MemoryBootstrap>,
    pub(crate) credentials: Arc<MemoryCredentials>,
    pub(crate) events: Events,
    pub(crate) own: Holder,
    pub(crate) authority: Certificate,
    issuer: Issuer<'static, KeyPair>,
    /// Contexts that there are.
    contexts: u8,
}

impl Site {
    pub(crate) async fn open() -> Site {
        Site::configured(|_| {}).await
    }

    pub(crate) async fn configured(configure: impl FnOnce(&mut ServerConfig)) -> Site {
        let (authority, issuer) = authority();
        let own = issue(&issuer, "server");
        let plans = Arc::new(MemoryBootstrap::default());
        let credentials = Arc::new(MemoryCredentials::default());
        let mut config = ServerConfig::default();
        config.shards = 2;
        configure(&mut config);
        let any = || ([127, 0, 0, 1], 0).into();
        let server = Server::builder()
            .config(config)
            .listen(Listener::coap(any()))
            .listen(Listener::coaps(any()))
            .listen(Listener::coap(any()).bootstrap())
            .listen(Listener::coaps(any()).bootstrap())
            .listen(Listener::coap_tcp(any()).bootstrap())
            .listen(Listener::coaps_tcp(any()).bootstrap())
            .listen(Listener::coaps_tcp(any()))
            .keys(keys(&own, &authority))
            .credentials(credentials.clone())
            .bootstrap(plans.clone())
            .start()
            .await
            .expect("the server starts");
        Site {
            events: server.events(),
            server,
            plans,
            credentials,
            own,
            authority,
            issuer,
            contexts: 0,
        }
    }

    pub(crate) fn address(&self, port: Port) -> std::net::SocketAddr {
        self.server.local_addresses()[port as usize]
    }

    pub(crate) fn uri(&self, port: Port) -> String {
        self.server.local_uris()[port as usize].clone()
    }

    /// Makes what proves an endpoint, and gives the server its side of it.
    pub(crate) async fn pass(&mut self, how: How, endpoint: &str, purpose: &str) -> Pass {
        let name = format!("{purpose}-{endpoint}");
        self.contexts += 1;
        let pass = Pass {
            how,
            holder: issue(&self.issuer, &name),
            ids: (vec![b'd', self.contexts], vec![b's', self.contexts]),
            name,
        };
        if let Some(proof) = pass.proof() {
            let id = CredentialId::new(&pass.name).expect("an id");
            let credential = Credential::new(id, proof);
            let credential = credential.endpoints([endpoint.parse().expect("a pattern")]);
            let taken = self.credentials.add(vec![credential]).await;
            taken.expect("a good credential");
        }
        pass
    }

    /// The account of the bootstrap server from the side of a device.
    pub(crate) fn bootstrap_account(&self, pass: &Pass) -> BootstrapAccount {
        let port = match pass.how.is_dtls() {
            true => Port::CoapsBootstrap,
            false => Port::CoapBootstrap,
        };
        let account = BootstrapAccount::new(self.address(port));
        match pass.how {
            How::NoSec => account,
            How::Oscore => {
                let context = lwm2m_device::OscoreAccount::new(&pass.parameters(), 0);
                account.oscore(context.expect("parameters of a context"))
            }
            _ => account.dtls(DtlsAccount::new(self.client(pass))),
        }
    }

    /// What a device shows, and expects of the server.
    fn client(&self, pass: &Pass) -> ClientCredentials {
        let key = pass.holder.key.clone();
        match pass.how {
            How::Rpk => ClientCredentials::RawPublicKey {
                key,
                server: self.own.key.public_key().clone(),
            },
            How::X509 => ClientCredentials::X509 {
                own: Some((pass.holder.chain(), key)),
                server: ServerExpectation::exactly(self.own.certificate.as_der()),
            },
            _ => ClientCredentials::Psk {
                identity: pass.name.as_bytes().into(),
                key: lwm2m_dtls::Psk::new(KEY).expect("a key"),
            },
        }
    }

    /// The account of the server, as it is written into a device.
    pub(crate) fn server_account(&self, pass: &Pass) -> ServerAccount {
        let port = match pass.how.is_dtls() {
            true => Port::Coaps,
            false => Port::Coap,
        };
        self.server_account_at(port, pass)
    }

    pub(crate) fn server_account_at(&self, port: Port, pass: &Pass) -> ServerAccount {
        let key = &pass.holder.key;
        let security = match pass.how {
            How::NoSec | How::Oscore => AccountSecurity::NoSec,
            How::Psk => AccountSecurity::Psk {
                identity: pass.name.clone().into_bytes(),
                key: SecretKey::new(KEY).expect("a key"),
            },
            How::Rpk => {
                AccountSecurity::rpk(key, self.own.key.public_key()).expect("a key to write")
            }
            How::X509 => {
                let certificate = pass.holder.certificate.as_der();
                AccountSecurity::x509(certificate, key, self.own.certificate.as_der())
                    .expect("a key to write")
            }
        };
        let account = ServerAccount::new(101, self.uri(port), security).lifetime_s(86400);
        match pass.how {
            How::Oscore => account.oscore(OscoreAccount {
                master_secret: SecretKey::new(KEY).expect("a key"),
                sender_id: pass.ids.0.clone(),
                recipient_id: pass.ids.1.clone(),
                master_salt: b"salt".to_vec(),
                id_context: None,
            }),
            _ => account,
        }
    }

    /// Plans the account for an endpoint.
    pub(crate) fn plan(&self, endpoint: &str, pass: &Pass) {
        let account = self.server_account(pass);
        let plan = BootstrapPlan::replacing_accounts().account(&account);
        self.plans
            .set(endpoint, plan.read(lwm2m_core::Path::object(1)));
    }

    /// What is told of the bootstrap of an endpoint until it is over.
    pub(crate) async fn story(&mut self, endpoint: &str) -> Vec<String> {
        let mut story = Vec::new();
        loop {
            let (line, over) = event(&mut self.events, |event| {
                if event.endpoint.as_ref()?.as_str() != endpoint {
                    return None;
                }
                Some(match &event.kind {
                    EventKind::BootstrapStarted { identity, .. } => {
                        (format!("started {}", identity.mode()), false)
                    }
                    EventKind::BootstrapStepFailed {
                        operation,
                        path,
                        reason,
                        ..
                    } => (format!("{operation} {path} {}", reason.code), false),
                    EventKind::BootstrapFinished { failures, .. } => {
                        (format!("finished {failures}"), true)
                    }
                    EventKind::BootstrapFailed { reason, .. } => {
                        assert!(reason.hint.is_some(), "{reason:?}");
                        (format!("failed {}", reason.code), true)
                    }
                    EventKind::Refused { reason, .. } => {
                        assert!(reason.hint.is_some(), "{reason:?}");
                        (format!("refused {}", reason.code), true)
                    }
                    _ => return None,
                })
            })
            .await;
            story.push(line);
            if over {
                return story;
            }
        }
    }
}

impl Pass {
    /// The server's side; none without security.
    fn proof(&self) -> Option<Proof> {
        Some(match self.how {
            How::NoSec => return None,
            How::Psk => Proof::Psk {
                identity: self.name.as_bytes().into(),
                key: SecretKey::new(KEY).expect("a key"),
            },
            How::Rpk => Proof::Rpk {
                spki_sha256: self.holder.key.public_key().spki_sha256(),
            },
            How::X509 => Proof::X509(CertificateRule {
                common_name: Some(self.name.parse().expect("a pattern")),
                ..CertificateRule::default()
            }),
            How::Oscore => Proof::Oscore(OscoreCredential {
                master_secret: SecretKey::new(KEY).expect("a key"),
                master_salt: b"salt".to_vec(),
                sender_id: self.ids.1.clone(),
                recipient_id: self.ids.0.clone(),
                id_context: None,
                aead: 10,
                hmac: 5,
            }),
        })
    }

    /// An OSCORE context from the side of the device.
    pub(crate) fn parameters(&self) -> Parameters {
        Parameters {
            master_secret: KEY.to_vec().into(),
            master_salt: b"salt".to_vec(),
            id_context: None,
            sender_id: KeyId::new(&self.ids.0).expect("an id"),
            recipient_id: KeyId::new(&self.ids.1).expect("an id"),
        }
    }
}

impl Holder {
    fn chain(&self) -> CertificateChain {
        CertificateChain::new(vec![self.certificate.clone()]).expect("not empty")
    }
}

fn authority() -> (Certificate, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Our CA");
    let key = KeyPair::generate().expect("a key");
    let made = params.self_signed(&key).expect("signed");
    let certificate = Certificate::from_der(made.der()).expect("a certificate");
    (certificate, Issuer::new(params, key))
}

fn issue(issuer: &Issuer<'static, KeyPair>, name: &str) -> Holder {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().expect("a key");
    let made = params.signed_by(&key, issuer).expect("signed");
    Holder {
        certificate: Certificate::from_der(made.der()).expect("a certificate"),
        key: PrivateKey::from_der(key.serialized_der()).expect("P-256"),
    }
}

fn keys(own: &Holder, authority: &Certificate) -> Keys {
    let certificate = ServerCertificate::new(own.chain(), own.key.clone()).expect("a pair");
    let mut trust_store = TrustStore::new();
    trust_store.add(authority.clone()).expect("an authority");
    Keys::new(KeyMaterial {
        certificates: Some(ServerCertificates::new(certificate)),
        raw_public_key: Some(own.key.clone()),
        trust_store,
        ..KeyMaterial::default()
    })
}
