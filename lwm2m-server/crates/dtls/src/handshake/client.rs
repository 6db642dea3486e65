//! The client's side of a handshake.
//!
//! ```text
//! (HelloVerifyRequest) ──> ServerHello .. ServerHelloDone ──> Finished
//! ```

use std::sync::Arc;

use super::extension::ClientExtensions;
use super::hello::{ClientHello, HelloStart, RENEGOTIATION_SIGNAL, ServerHello};
use super::message::{HelloVerifyRequest, Message, MessageType, parse_psk_exchange};
use super::{Candidate, Conversation, Environment, Outcome, Step, unexpected};
use crate::cid::{Cid, PeerCid};
use crate::codec::Write;
use crate::config::{CidOffer, ClientConfig, ClientCredentials, ExtendedMasterSecret};
use crate::failure::Failure;
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
    /// A hint may come before.
    ServerHelloDone {
        hint: bool,
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
        match (self.state, message.message_type) {
            (State::ServerHello { cookies_left }, MessageType::HelloVerifyRequest) => {
                let request = HelloVerifyRequest::parse(message.body())
                    .ok_or(Failure::Malformed("HelloVerifyRequest"))?;
                let left = cookies_left.checked_sub(1);
                let cookies_left = left.ok_or_else(|| self.unexpected(message))?;
                self.state = State::ServerHello { cookies_left };
                conversation.forget();
                self.say_hello(conversation, request.cookie);
                Ok(Step::Send)
            }
            (State::ServerHello { .. }, MessageType::ServerHello) => {
                conversation.hear(message, environment.limits)?;
                self.agreed = Some(self.server_hello(message.body())?);
                self.state = State::ServerHelloDone { hint: false };
                Ok(Step::More)
            }
            (State::ServerHelloDone { hint: false }, MessageType::ServerKeyExchange) => {
                conversation.hear(message, environment.limits)?;
                parse_psk_exchange(message.body())
                    .ok_or(Failure::Malformed("ServerKeyExchange"))?;
                self.state = State::ServerHelloDone { hint: true };
                Ok(Step::More)
            }
            (State::ServerHelloDone { .. }, MessageType::ServerHelloDone) => {
                conversation.hear(message, environment.limits)?;
                self.exchange_keys(conversation)
            }
            (State::Finished, MessageType::Finished) => {
                let candidate = self.candidates.first().ok_or(Failure::BadFinished)?;
                let master = &candidate.master;
                let limits = environment.limits;
                conversation.hear_finished(message, master, Sender::Server, limits)?;
                self.state = State::Up;
                Ok(Step::Up { send: false })
            }
            _ => Err(self.unexpected(message)),
        }
    }

    pub(super) fn candidates(&mut self) -> &mut Vec<Candidate> {
        &mut self.candidates
    }

    pub(super) fn expected(&self) -> &'static str {
        match self.state {
            State::ServerHello { .. } => "ServerHello",
            State::ServerHelloDone { .. } => "ServerHelloDone",
            State::Finished => "Finished",
            State::Up => "application data",
        }
    }

    pub(super) fn finish(mut self) -> Option<Outcome> {
        let agreed = self.agreed?;
        let candidate = self.candidates.pop()?;
        let ClientCredentials::Psk { identity, .. } = &self.config.credentials;
        let peer = Peer {
            identity: Identity::Psk(identity.clone()),
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
        if extensions.unknown.is_some() || extensions.cid.is_some() && !cid_offered {
            return Err(Failure::UnofferedExtension);
        }
        if hello.compression != 0 {
            return Err(Failure::IllegalParameter("compression method"));
        }
        let policy = self.config.extended_master_secret;
        if policy == ExtendedMasterSecret::Required && !extensions.extended_master_secret {
            return Err(Failure::NoExtendedMasterSecret);
        }
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

    fn exchange_keys(&mut self, conversation: &mut Conversation) -> Result<Step, Failure> {
        let agreed = self.agreed.as_ref();
        let agreed = agreed.ok_or(Failure::Crypto("key derivation"))?;
        let ClientCredentials::Psk { identity, key } = &self.config.credentials;
        conversation.begin_flight();
        conversation.say(MessageType::ClientKeyExchange, |body| {
            body.put_vector16(identity);
        });
        let premaster = psk_premaster(key);
        let (client, server) = (&self.client_random, &agreed.server_random);
        let master = match agreed.extended_master_secret {
            true => MasterSecret::extended(&premaster, &conversation.transcript),
            false => MasterSecret::from_randoms(&premaster, client, server),
        };
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

/// The suites that the credentials fit.
fn usable(config: &ClientConfig) -> impl Iterator<Item = CipherSuite> + '_ {
    let ClientCredentials::Psk { .. } = &config.credentials;
    let suites = config.suites.iter().copied();
    suites.filter(|suite| suite.key_exchange() == KeyExchange::Psk)
}
