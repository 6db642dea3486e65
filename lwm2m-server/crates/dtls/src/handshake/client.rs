//! The client's side of a handshake.
//!
//! ```text
//! (HelloVerifyRequest) ──> ServerHello
//!     psk:   ──> (ServerKeyExchange) ──> ServerHelloDone ──> Finished
//!     ecdhe: ──> Certificate ──> ServerKeyExchange ──> (CertificateRequest) ──> ServerHelloDone ──> ..
//! ```

mod proving;

use std::sync::Arc;

use self::proving::say_certificate;
use super::ecdhe::{self, Share};
use super::extension::{ClientExtensions, ECDSA_SHA256, RAW_PUBLIC_KEY, SECP256R1, UNCOMPRESSED};
use super::hello::{ClientHello, HelloStart, RENEGOTIATION_SIGNAL, ServerHello};
use super::message::{
    HelloVerifyRequest, Message, MessageType, NewSessionTicket, parse_psk_exchange,
};
use super::wire::Wire;
use super::{Candidate, Conversation, Environment, Outcome, Step, unexpected};
use crate::certificate::Certificate;
use crate::cid::{Cid, PeerCid};
use crate::codec::Write;
use crate::config::{CidOffer, ClientConfig, ClientCredentials, ExtendedMasterSecret};
use crate::failure::Failure;
use crate::key::PrivateKey;
use crate::peer::{Identity, Peer};
use crate::prf::{MasterSecret, Sender, psk_premaster};
use crate::random::random_array;
use crate::record::{KeyBlock, PLAINTEXT_MAX, Protection};
use crate::resumption::Resumption;
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

/// What the hellos said about continuing sessions.
#[derive(Debug, Clone, Default)]
struct Continuing {
    /// The id that we asked for; made up when there is a ticket, to see whether it is taken.
    asked: Vec<u8>,
    /// The server takes the session that we asked for.
    is_granted: bool,
    /// The server's id for a new session.
    session_id: Vec<u8>,
    /// A ticket will come, or has come.
    ticket_due: bool,
    ticket: Vec<u8>,
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
    certificate: Option<Certificate>,
    /// The point of the server's share.
    server_point: Vec<u8>,
    /// We were asked to prove who we are.
    is_asked: bool,
    continuing: Continuing,
    candidates: Vec<Candidate>,
}

/// What the hellos agreed on.
struct Agreed {
    suite: CipherSuite,
    extended_master_secret: bool,
    server_random: [u8; 32],
    own_cid: Option<Cid>,
    peer_cid: Option<PeerCid>,
    /// Of RFC 8449.
    record_size_limit: Option<u16>,
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
        let mut continuing = Continuing::default();
        if let Some(resume) = &config.resume {
            continuing.asked = match resume.ticket.is_empty() {
                true => resume.session_id.clone(),
                false => random_array::<32>(environment.random).to_vec(),
            };
        }
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
            certificate: None,
            server_point: Vec::new(),
            is_asked: false,
            continuing,
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
            (State::ServerHello { cookies_left }, MessageType::HelloVerifyRequest)
                if conversation.wire == Wire::Datagram =>
            {
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
                let agreed = self.server_hello(conversation.wire, body)?;
                if let Some(limit) = agreed.record_size_limit {
                    let inner = usize::from(limit) - usize::from(agreed.peer_cid.is_some());
                    conversation.fragment_max = inner.min(PLAINTEXT_MAX);
                }
                if self.continuing.is_granted {
                    conversation.hear(message, limits)?;
                    return self.continue_session(agreed);
                }
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
            (State::Finished, MessageType::NewSessionTicket) if self.continuing.ticket_due => {
                let ticket = NewSessionTicket::parse(body);
                let ticket = ticket.ok_or(Failure::Malformed("NewSessionTicket"))?;
                self.continuing.ticket = ticket.ticket.to_vec();
                self.continuing.ticket_due = false;
            }
            (State::Finished, MessageType::Finished) => {
                let candidate = self.candidates.first().ok_or(Failure::BadFinished)?;
                let master = &candidate.master;
                conversation.hear_finished(message, master, Sender::Server, limits)?;
                self.state = State::Up;
                let send = self.continuing.is_granted;
                if send {
                    conversation.begin_flight();
                    conversation.say_finished(master, Sender::Client);
                }
                return Ok(Step::Up { send });
            }
            _ => return Err(self.unexpected(message)),
        }
        conversation.hear(message, limits)?;
        Ok(Step::More)
    }

    pub(super) fn awaits_finished(&self) -> bool {
        self.state == State::Finished && !self.candidates.is_empty()
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
        let continuing = self.continuing;
        let resumed = self
            .config
            .resume
            .as_ref()
            .filter(|_| continuing.is_granted);
        let (identity, certificate) = match (&self.config.credentials, resumed) {
            (_, Some(resumed)) => {
                let peer = &resumed.peer;
                (peer.identity.clone(), peer.certificate.clone())
            }
            (ClientCredentials::Psk { identity, .. }, None) => {
                (Identity::Psk(identity.clone()), None)
            }
            (_, None) => (self.server?, self.certificate),
        };
        let peer = Arc::new(Peer {
            identity,
            certificate,
            suite: agreed.suite,
            server_name: self.config.server_name.clone(),
            extended_master_secret: agreed.extended_master_secret,
            cid: agreed.own_cid.is_some(),
            resumed: resumed.is_some(),
            key_label: 0,
        });
        let resumption = match resumed {
            Some(resumed) if continuing.ticket.is_empty() => Some(resumed.clone()),
            _ if continuing.ticket.is_empty() && continuing.session_id.is_empty() => None,
            _ => Some(Resumption {
                master: candidate.master,
                peer: peer.clone(),
                session_id: continuing.session_id,
                ticket: continuing.ticket,
            }),
        };
        Some(Outcome {
            protection: candidate.protection,
            peer,
            resumption: resumption.map(Box::new),
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
        let resume = self.config.resume.as_ref();
        let protocols = self.config.application_protocol.as_ref().map(|protocol| {
            let mut list = Vec::new();
            list.put_vector8(protocol);
            list
        });
        let group = SECP256R1.to_be_bytes();
        let algorithm = ECDSA_SHA256.to_be_bytes();
        let hello = ClientHello {
            start: HelloStart {
                version: conversation.wire.version(),
                random: &self.client_random,
                session_id: &self.continuing.asked,
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
                record_size_limit: self.config.record_size_limit,
                protocols: protocols.as_deref(),
                session_ticket: Some(resume.map_or(&[], |resume| &resume.ticket[..])),
                cid: match self.config.cid {
                    CidOffer::None => None,
                    CidOffer::Empty => Some(&[]),
                    CidOffer::Both => Some(self.own_cid.as_bytes()),
                },
                ..ClientExtensions::default()
            },
        };
        conversation.begin_flight();
        let wire = conversation.wire;
        conversation.say(MessageType::ClientHello, |body| hello.write(wire, body));
    }

    fn server_hello(&mut self, wire: Wire, body: &[u8]) -> Result<Agreed, Failure> {
        let hello = ServerHello::parse(body).ok_or(Failure::Malformed("ServerHello"))?;
        if hello.version != wire.version() {
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
        let protocol = self.config.application_protocol.as_deref();
        if extensions.unknown.is_some()
            || extensions.protocol.is_some() && extensions.protocol != protocol
            || extensions.max_fragment_length.is_some()
            || extensions.record_size_limit.is_some() && self.config.record_size_limit.is_none()
            || extensions.cid.is_some() && !cid_offered
        {
            return Err(Failure::UnofferedExtension);
        }
        if extensions.record_size_limit.is_some_and(|limit| limit < 64) {
            return Err(Failure::IllegalParameter("record_size_limit"));
        }
        if hello.compression != 0 {
            return Err(Failure::IllegalParameter("compression method"));
        }
        let policy = self.config.extended_master_secret;
        if policy == ExtendedMasterSecret::Required && !extensions.extended_master_secret {
            return Err(Failure::NoExtendedMasterSecret);
        }
        self.check_certificate_types(&hello)?;
        self.continuing.ticket_due = extensions.session_ticket;
        let asked = &self.continuing.asked;
        self.continuing.is_granted = !asked.is_empty() && hello.session_id == *asked;
        self.continuing.session_id = hello.session_id.to_vec();
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
            record_size_limit: extensions.record_size_limit,
        })
    }

    /// Goes on with the secret of the earlier session.
    fn continue_session(&mut self, agreed: Agreed) -> Result<Step, Failure> {
        let resume = self.config.resume.as_ref();
        let resume = resume.ok_or(Failure::IllegalParameter("session id"))?;
        if agreed.suite != resume.peer.suite {
            return Err(Failure::IllegalParameter(
                "cipher suite of a continued session",
            ));
        }
        // RFC 7627 §5.3.
        if agreed.extended_master_secret != resume.peer.extended_master_secret {
            return Err(Failure::NoExtendedMasterSecret);
        }
        self.candidates
            .push(self.candidate(&agreed, resume.master.clone()));
        self.agreed = Some(agreed);
        self.state = State::Finished;
        Ok(Step::More)
    }

    fn candidate(&self, agreed: &Agreed, master: MasterSecret) -> Candidate {
        let keys = KeyBlock::derive(&master, &self.client_random, &agreed.server_random);
        let (own, peer) = (agreed.own_cid, agreed.peer_cid);
        Candidate {
            label: 0,
            protection: Protection::new(agreed.suite, keys, Sender::Client, own, peer),
            master,
        }
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
        let candidate = self.candidate(agreed, master);
        conversation.say_finished(&candidate.master, Sender::Client);
        self.candidates.push(candidate);
        self.state = State::Finished;
        Ok(Step::Send)
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
