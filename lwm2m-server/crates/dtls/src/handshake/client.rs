//! The client's side of a handshake.
//!
//! ```text
//! (HelloVerifyRequest) ──> ServerHello
//!     psk:   ──> (ServerKeyExchange) ──> ServerHelloDone ──> Finished
//!     ecdhe: ──> Certificate ──> ServerKeyExchange ──> (CertificateRequest) ──> ServerHelloDone ──> ..
//! ```

use std::sync::Arc;

use super::ecdhe::{self, ServerKeyExchange, Share};
use super::extension::{
    ClientExtensions, ECDSA_SHA256, RAW_PUBLIC_KEY, SECP256R1, UNCOMPRESSED, X509,
};
use super::hello::{ClientHello, HelloStart, RENEGOTIATION_SIGNAL, ServerHello};
use super::message::{HelloVerifyRequest, Message, MessageType, parse_psk_exchange};
use super::{Candidate, Conversation, Environment, Outcome, Step, unexpected};
use crate::certificate::{CertificateChain, CertificateFault, verify_server};
use crate::cid::{Cid, PeerCid};
use crate::codec::Write;
use crate::config::{CidOffer, ClientConfig, ClientCredentials, ExtendedMasterSecret};
use crate::failure::Failure;
use crate::key::{PrivateKey, PublicKey};
use crate::peer::{Identity, Peer};
use crate::prf::{MasterSecret, Sender, psk_premaster};
use crate::random::random_array;
use crate::record::{KeyBlock, Protection, VERSION_1_2};
use crate::suite::{CipherSuite, KeyExchange};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A HelloVerifyRequest may come so many times.
    ServerHello {
        cookies_left: u8,
    },
    Certificate,
    ServerKeyExchange,
    /// A hint may come before, or a CertificateRequest.
    ServerHelloDone {
        may_come: Option<MessageType>,
    },
    Finished,
    Up,
}

/// A handshake with a server.
pub(crate) struct Client {
    config: Arc<ClientConfig>,
    state: State,
    /// What the server shall put into its records.
    own_cid: Cid,
    client_random: [u8; 32],
    /// Code points that were offered.
    offered: Vec<u8>,
    agreed: Option<Agreed>,
    /// Who the server is, once it has shown it.
    server: Option<Identity>,
    /// The point of the server's share.
    server_point: Vec<u8>,
    /// We were asked to prove who we are.
    is_asked: bool,
    candidates: Vec<Candidate>,
}

/// What the hellos agreed on.
struct Agreed {
    suite: CipherSuite,
    extended_master_secret: bool,
    server_random: [u8; 32],
    own_cid: Option<Cid>,
    peer_cid: Option<PeerCid>,
}

impl Client {
    const COOKIES_MAX: u8 = 3;

    /// Begins: the flight with the ClientHello is in the conversation.
    pub(crate) fn start(
        config: Arc<ClientConfig>,
        own_cid: Cid,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
    ) -> Result<Client, Failure> {
        let mut offered = Vec::new();
        for suite in usable(&config) {
            offered.put_u16(suite.code());
        }
        if offered.is_empty() {
            return Err(Failure::NoCommonSuite {
                peer: Vec::new(),
                ours: config.suites.iter().map(|suite| suite.code()).collect(),
            });
        }
        offered.put_u16(RENEGOTIATION_SIGNAL);
        let client = Client {
            config,
            state: State::ServerHello {
                cookies_left: Client::COOKIES_MAX,
            },
            own_cid,
            client_random: random_array(environment.random),
            offered,
            agreed: None,
            server: None,
            server_point: Vec::new(),
            is_asked: false,
            candidates: Vec::new(),
        };
        client.say_hello(conversation, &[]);
        Ok(client)
    }

    pub(super) fn message(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        message: &Message,
    ) -> Result<Step, Failure> {
        let limits = environment.limits;
        let body = message.body();
        match (self.state, message.message_type) {
            (State::ServerHello { cookies_left }, MessageType::HelloVerifyRequest) => {
                let request = HelloVerifyRequest::parse(body);
                let request = request.ok_or(Failure::Malformed("HelloVerifyRequest"))?;
                let left = cookies_left.checked_sub(1);
                let cookies_left = left.ok_or_else(|| self.unexpected(message))?;
                self.state = State::ServerHello { cookies_left };
                conversation.forget();
                self.say_hello(conversation, request.cookie);
                return Ok(Step::Send);
            }
            (State::ServerHello { .. }, MessageType::ServerHello) => {
                let agreed = self.server_hello(body)?;
                self.state = match agreed.suite.key_exchange() {
                    KeyExchange::Psk => State::ServerHelloDone {
                        may_come: Some(MessageType::ServerKeyExchange),
                    },
                    KeyExchange::EcdheEcdsa => State::Certificate,
                };
                self.agreed = Some(agreed);
            }
            (State::Certificate, MessageType::Certificate) => {
                self.server = Some(self.certificate(environment, body)?);
                self.state = State::ServerKeyExchange;
            }
            (State::ServerKeyExchange, MessageType::ServerKeyExchange) => {
                self.server_point = self.server_share(body)?;
                self.state = State::ServerHelloDone {
                    may_come: Some(MessageType::CertificateRequest),
                };
            }
            (State::ServerHelloDone { may_come }, found) if may_come == Some(found) => {
                match found {
                    MessageType::CertificateRequest => {
                        let fits = ecdhe::parse_certificate_request(body);
                        self.is_asked = true;
                        if !fits.ok_or(Failure::Malformed("CertificateRequest"))? {
                            return Err(Failure::NoCommonParameter("signature algorithm"));
                        }
                    }
                    _ => {
                        let hint = parse_psk_exchange(body);
                        hint.ok_or(Failure::Malformed("ServerKeyExchange"))?;
                    }
                }
                self.state = State::ServerHelloDone { may_come: None };
            }
            (State::ServerHelloDone { .. }, MessageType::ServerHelloDone) => {
                conversation.hear(message, limits)?;
                return self.exchange_keys(conversation);
            }
            (State::Finished, MessageType::Finished) => {
                let candidate = self.candidates.first().ok_or(Failure::BadFinished)?;
                let master = &candidate.master;
                conversation.hear_finished(message, master, Sender::Server, limits)?;
                self.state = State::Up;
                return Ok(Step::Up { send: false });
            }
            _ => return Err(self.unexpected(message)),
        }
        conversation.hear(message, limits)?;
        Ok(Step::More)
    }

    pub(super) fn candidates(&mut self) -> &mut Vec<Candidate> {
        &mut self.candidates
    }

    pub(super) fn expected(&self) -> &'static str {
        match self.state {
            State::ServerHello { .. } => "ServerHello",
            State::Certificate => "Certificate",
            State::ServerKeyExchange => "ServerKeyExchange",
            State::ServerHelloDone { .. } => "ServerHelloDone",
            State::Finished => "Finished",
            State::Up => "application data",
        }
    }

    pub(super) fn finish(mut self) -> Option<Outcome> {
        let agreed = self.agreed?;
        let candidate = self.candidates.pop()?;
        let identity = match (&self.config.credentials, self.server) {
            (ClientCredentials::Psk { identity, .. }, _) => Identity::Psk(identity.clone()),
            (_, server) => server?,
        };
        let peer = Peer {
            identity,
            suite: agreed.suite,
            server_name: self.config.server_name.clone(),
            extended_master_secret: agreed.extended_master_secret,
            cid: agreed.own_cid.is_some(),
            resumed: false,
        };
        Some(Outcome {
            protection: candidate.protection,
            peer: Arc::new(peer),
        })
    }

    fn unexpected(&self, message: &Message) -> Failure {
        unexpected(message.message_type, self.expected())
    }

    fn say_hello(&self, conversation: &mut Conversation, cookie: &[u8]) {
        let is_ecdhe = !matches!(self.config.credentials, ClientCredentials::Psk { .. });
        let is_rpk = matches!(
            self.config.credentials,
            ClientCredentials::RawPublicKey { .. }
        );
        let group = SECP256R1.to_be_bytes();
        let algorithm = ECDSA_SHA256.to_be_bytes();
        let hello = ClientHello {
            start: HelloStart {
                version: VERSION_1_2,
                random: &self.client_random,
                session_id: &[],
                cookie,
                suites: &self.offered,
                compressions: &[0],
            },
            extensions: ClientExtensions {
                server_name: self.config.server_name.as_deref(),
                groups: is_ecdhe.then_some(&group),
                point_formats: is_ecdhe.then_some(&[UNCOMPRESSED]),
                signature_algorithms: is_ecdhe.then_some(&algorithm),
                client_certificate_types: is_rpk.then_some(&[RAW_PUBLIC_KEY]),
                server_certificate_types: is_rpk.then_some(&[RAW_PUBLIC_KEY]),
                extended_master_secret: true,
                cid: match self.config.cid {
                    CidOffer::None => None,
                    CidOffer::Empty => Some(&[]),
                    CidOffer::Both => Some(self.own_cid.as_bytes()),
                },
                ..ClientExtensions::default()
            },
        };
        conversation.begin_flight();
        conversation.say(MessageType::ClientHello, |body| hello.write(body));
    }

    fn server_hello(&self, body: &[u8]) -> Result<Agreed, Failure> {
        let hello = ServerHello::parse(body).ok_or(Failure::Malformed("ServerHello"))?;
        if hello.version != VERSION_1_2 {
            let offered = hello.version;
            return Err(Failure::Version { offered });
        }
        let suite = CipherSuite::from_code(hello.suite)
            .filter(|suite| usable(&self.config).any(|each| each == *suite))
            .ok_or(Failure::IllegalParameter(
                "cipher suite that we did not offer",
            ))?;
        let extensions = &hello.extensions;
        let cid_offered = self.config.cid != CidOffer::None;
        if extensions.unknown.is_some()
            || extensions.max_fragment_length.is_some()
            || extensions.record_size_limit.is_some()
            || extensions.session_ticket
            || extensions.cid.is_some() && !cid_offered
        {
            return Err(Failure::UnofferedExtension);
        }
        if hello.compression != 0 {
            return Err(Failure::IllegalParameter("compression method"));
        }
        let policy = self.config.extended_master_secret;
        if policy == ExtendedMasterSecret::Required && !extensions.extended_master_secret {
            return Err(Failure::NoExtendedMasterSecret);
        }
        self.check_certificate_types(&hello)?;
        let too_long = Failure::IllegalParameter("Connection ID of more than 32 bytes");
        let peer_cid = match extensions.cid {
            Some(cid) => Some(PeerCid::new(cid).ok_or(too_long)?),
            None => None,
        };
        let both = self.config.cid == CidOffer::Both;
        Ok(Agreed {
            suite,
            extended_master_secret: extensions.extended_master_secret,
            server_random: *hello.random,
            own_cid: peer_cid.filter(|_| both).map(|_| self.own_cid),
            peer_cid,
        })
    }

    /// A server that does not know RFC 7250 answers with X.509 by saying nothing.
    fn check_certificate_types(&self, hello: &ServerHello<'_>) -> Result<(), Failure> {
        let extensions = &hello.extensions;
        let (server, client) = (
            extensions.server_certificate_type,
            extensions.client_certificate_type,
        );
        let fits = match &self.config.credentials {
            ClientCredentials::Psk { .. } => server.is_none() && client.is_none(),
            ClientCredentials::RawPublicKey { .. } => {
                server == Some(RAW_PUBLIC_KEY) && client.is_none_or(|kind| kind == RAW_PUBLIC_KEY)
            }
            ClientCredentials::X509 { .. } => [server, client]
                .into_iter()
                .flatten()
                .all(|kind| kind == X509),
        };
        fits.then_some(())
            .ok_or(Failure::NoCommonParameter("kind of certificate"))
    }

    /// Who the server says that it is, and may be.
    fn certificate(&self, environment: &Environment<'_>, body: &[u8]) -> Result<Identity, Failure> {
        match &self.config.credentials {
            ClientCredentials::RawPublicKey { server, .. } => {
                let spki = ecdhe::parse_raw_public_key(body);
                let spki = spki.ok_or(Failure::Malformed("Certificate"))?;
                let key = PublicKey::from_spki(spki).map_err(|_| Failure::UnsupportedPublicKey)?;
                if key != *server {
                    let sha256 = key.spki_sha256();
                    return Err(Failure::WrongPublicKey { sha256 });
                }
                Ok(Identity::RawPublicKey(key))
            }
            ClientCredentials::X509 { server, .. } => {
                let chain = CertificateChain::decode(body, self.config.chain_limits)?;
                let missing = || CertificateFault::Missing.of_chain();
                let chain = chain.ok_or_else(missing)?;
                let (reference, unix_s) = (server.reference(), environment.unix_s);
                let identity = verify_server(&chain, &reference, &server.store, unix_s)?;
                Ok(Identity::X509(Box::new(identity)))
            }
            ClientCredentials::Psk { .. } => Err(Failure::IllegalParameter("Certificate")),
        }
    }

    /// The point of the server's share, which it has signed.
    fn server_share(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let exchange = ServerKeyExchange::parse(body)?;
        let agreed = self.agreed.as_ref();
        let agreed = agreed.ok_or(Failure::Crypto("key derivation"))?;
        let (client, server) = (&self.client_random, &agreed.server_random);
        let signed = ecdhe::signed_exchange(client, server, exchange.point);
        let key = match &self.server {
            Some(Identity::RawPublicKey(key)) => key,
            Some(Identity::X509(identity)) => &identity.public_key,
            _ => return Err(Failure::BadSignature),
        };
        let verified = key.verify(&signed, exchange.signature);
        verified.map_err(|_| Failure::BadSignature)?;
        Ok(exchange.point.to_vec())
    }

    fn exchange_keys(&mut self, conversation: &mut Conversation) -> Result<Step, Failure> {
        let agreed = self.agreed.as_ref();
        let agreed = agreed.ok_or(Failure::Crypto("key derivation"))?;
        conversation.begin_flight();
        let mut proof: Option<&PrivateKey> = None;
        if self.is_asked {
            proof = say_certificate(conversation, &self.config.credentials);
        }
        let premaster = match &self.config.credentials {
            ClientCredentials::Psk { identity, key } => {
                conversation.say(MessageType::ClientKeyExchange, |body| {
                    body.put_vector16(identity);
                });
                psk_premaster(key)
            }
            _ => {
                let share = Share::generate()?;
                conversation.say(MessageType::ClientKeyExchange, |body| {
                    body.put_vector8(share.point());
                });
                share.agree(&self.server_point)?
            }
        };
        let (client, server) = (&self.client_random, &agreed.server_random);
        let master = match agreed.extended_master_secret {
            true => MasterSecret::extended(&premaster, &conversation.transcript),
            false => MasterSecret::from_randoms(&premaster, client, server),
        };
        if let Some(key) = proof {
            let signature = key.sign(&conversation.transcript);
            let signature = signature.map_err(|_| Failure::Crypto("signing"))?;
            conversation.say(MessageType::CertificateVerify, |body| {
                ecdhe::write_signature(body, &signature);
            });
        }
        let keys = KeyBlock::derive(&master, client, server);
        let (suite, own, peer) = (agreed.suite, agreed.own_cid, agreed.peer_cid);
        conversation.say_finished(&master, Sender::Client);
        self.candidates.push(Candidate {
            protection: Protection::new(suite, keys, Sender::Client, own, peer),
            master,
        });
        self.state = State::Finished;
        Ok(Step::Send)
    }
}

/// Says our certificate; answers the key that we must prove to hold.
fn say_certificate<'a>(
    conversation: &mut Conversation,
    credentials: &'a ClientCredentials,
) -> Option<&'a PrivateKey> {
    match credentials {
        ClientCredentials::RawPublicKey { key, .. } => {
            conversation.say(MessageType::Certificate, |body| {
                ecdhe::write_raw_public_key(body, key.public_key().as_spki());
            });
            Some(key)
        }
        ClientCredentials::X509 {
            own: Some((chain, key)),
            ..
        } => {
            conversation.say(MessageType::Certificate, |body| chain.encode(body));
            Some(key)
        }
        _ => {
            conversation.say(MessageType::Certificate, |body| body.put_u24(0));
            None
        }
    }
}

/// The suites that the credentials fit.
fn usable(config: &ClientConfig) -> impl Iterator<Item = CipherSuite> + '_ {
    let exchange = match config.credentials {
        ClientCredentials::Psk { .. } => KeyExchange::Psk,
        _ => KeyExchange::EcdheEcdsa,
    };
    let suites = config.suites.iter().copied();
    suites.filter(move |suite| suite.key_exchange() == exchange)
}
