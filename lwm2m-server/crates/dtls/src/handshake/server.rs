//! The server's side of a handshake.
//!
//! ```text
//! ClientHello ──> ServerHello .. ServerHelloDone ──> ClientKeyExchange ──> (verdict) ──> Finished
//! ```

use std::sync::Arc;

use super::extension::{ServerExtensions, max_fragment_bytes};
use super::hello::{ClientHello, ServerHello};
use super::message::{Message, MessageType, parse_psk_exchange};
use super::{Candidate, Conversation, Environment, Outcome, Step, unexpected};
use crate::cid::{Cid, PeerCid};
use crate::codec::{Write, numbers};
use crate::config::{ExtendedMasterSecret, ServerConfig, UnknownPskIdentity};
use crate::failure::Failure;
use crate::peer::{Identity, Lookup, Peer, Verdict};
use crate::prf::{MasterSecret, Sender, psk_premaster};
use crate::psk::Psk;
use crate::random::random_array;
use crate::record::{KeyBlock, Protection, VERSION_1_2};
use crate::suite::{CipherSuite, KeyExchange};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Hello,
    ClientKeyExchange,
    PskVerdict,
    Finished,
    Up,
}

/// A handshake with a client.
pub(crate) struct Server {
    config: Arc<ServerConfig>,
    state: State,
    /// What we may give the client as Connection ID.
    own_cid: Cid,
    client_random: [u8; 32],
    agreed: Option<Agreed>,
    identity: Identity,
    /// The identity is not known and the client shall not learn that.
    concealed: bool,
    candidates: Vec<Candidate>,
}

/// What the hellos agreed on.
struct Agreed {
    suite: CipherSuite,
    extended_master_secret: bool,
    server_random: [u8; 32],
    server_name: Option<Box<str>>,
    /// Ours, when Connection IDs are in use.
    own_cid: Option<Cid>,
    peer_cid: Option<PeerCid>,
}

impl Server {
    pub(crate) fn new(config: Arc<ServerConfig>, own_cid: Cid, client_random: [u8; 32]) -> Server {
        Server {
            config,
            state: State::Hello,
            own_cid,
            client_random,
            agreed: None,
            identity: Identity::Anonymous,
            concealed: false,
            candidates: Vec::new(),
        }
    }

    pub(super) fn message(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        message: &Message,
    ) -> Result<Step, Failure> {
        match (self.state, message.message_type) {
            (State::Hello, MessageType::ClientHello) => {
                conversation.hear(message, environment.limits)?;
                self.client_hello(conversation, environment, message.body())
            }
            (State::ClientKeyExchange, MessageType::ClientKeyExchange) => {
                conversation.hear(message, environment.limits)?;
                self.client_key_exchange(environment, message.body())
            }
            (State::Finished, MessageType::Finished) => {
                let [candidate] = &self.candidates[..] else {
                    return Err(Failure::BadFinished);
                };
                let limits = environment.limits;
                let master = &candidate.master;
                conversation.hear_finished(message, master, Sender::Client, limits)?;
                conversation.begin_flight();
                conversation.say_finished(master, Sender::Server);
                self.state = State::Up;
                Ok(Step::Up { send: true })
            }
            (_, found) => Err(unexpected(found, self.expected())),
        }
    }

    pub(super) fn answer(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        verdict: Verdict,
    ) -> Result<Step, Failure> {
        match self.state {
            State::PskVerdict => self.psk_verdict(conversation, environment, verdict),
            _ => Ok(Step::More),
        }
    }

    pub(super) fn candidates(&mut self) -> &mut Vec<Candidate> {
        &mut self.candidates
    }

    pub(super) fn expected(&self) -> &'static str {
        match self.state {
            State::Hello => "ClientHello",
            State::ClientKeyExchange => "ClientKeyExchange",
            State::PskVerdict => "the key of the psk identity",
            State::Finished => "Finished",
            State::Up => "application data",
        }
    }

    pub(super) fn bad_finished(&self) -> Failure {
        match &self.identity {
            Identity::Psk(identity) => {
                let identity = identity.clone();
                match self.concealed {
                    // The application hears the truth, the client the same alert as for a key.
                    true => Failure::ConcealedPskIdentity { identity },
                    false => Failure::WrongKey { identity },
                }
            }
            _ => Failure::BadFinished,
        }
    }

    pub(super) fn finish(mut self) -> Option<Outcome> {
        let agreed = self.agreed?;
        let candidate = self.candidates.pop()?;
        let peer = Peer {
            identity: self.identity,
            suite: agreed.suite,
            server_name: agreed.server_name,
            extended_master_secret: agreed.extended_master_secret,
            cid: agreed.own_cid.is_some(),
            resumed: false,
        };
        Some(Outcome {
            protection: candidate.protection,
            peer: Arc::new(peer),
        })
    }

    fn client_hello(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        body: &[u8],
    ) -> Result<Step, Failure> {
        let hello = ClientHello::parse(body).ok_or(Failure::Malformed("ClientHello"))?;
        let agreed = self.agree(environment, &hello)?;
        if let Some(code) = hello.extensions.max_fragment_length {
            let bytes = max_fragment_bytes(code);
            conversation.fragment_max =
                bytes.ok_or(Failure::IllegalParameter("max_fragment_length"))?;
        }
        let extensions = ServerExtensions {
            max_fragment_length: hello.extensions.max_fragment_length,
            extended_master_secret: agreed.extended_master_secret,
            cid: agreed.own_cid.as_ref().map(|cid| &cid.as_bytes()[..]),
            renegotiation_info: hello.signals_renegotiation(),
            ..ServerExtensions::default()
        };
        let suite = agreed.suite.code();
        let server_hello = ServerHello::new(&agreed.server_random, &[], suite, extensions);
        conversation.begin_flight();
        conversation.say(MessageType::ServerHello, |body| server_hello.write(body));
        if let Some(hint) = &self.config.psk_identity_hint {
            conversation.say(MessageType::ServerKeyExchange, |body| {
                body.put_vector16(hint);
            });
        }
        conversation.say(MessageType::ServerHelloDone, |_| {});
        self.agreed = Some(agreed);
        self.state = State::ClientKeyExchange;
        Ok(Step::Send)
    }

    fn agree(
        &self,
        environment: &mut Environment<'_>,
        hello: &ClientHello<'_>,
    ) -> Result<Agreed, Failure> {
        // Newer versions have lower numbers; a client of DTLS 1.3 still writes 1.2 here.
        let offered = hello.start.version;
        if offered > VERSION_1_2 || offered >> 8 != 0xfe {
            return Err(Failure::Version { offered });
        }
        if !hello.has_null_compression() {
            return Err(Failure::NoCommonParameter("compression method"));
        }
        let extended_master_secret = hello.extensions.extended_master_secret;
        let policy = self.config.extended_master_secret;
        if policy == ExtendedMasterSecret::Required && !extended_master_secret {
            return Err(Failure::NoExtendedMasterSecret);
        }
        let peer_cid = match hello.extensions.cid {
            Some(cid) if self.config.cid => {
                let too_long = Failure::IllegalParameter("Connection ID of more than 32 bytes");
                Some(PeerCid::new(cid).ok_or(too_long)?)
            }
            _ => None,
        };
        Ok(Agreed {
            suite: self.choose_suite(hello)?,
            extended_master_secret,
            server_random: random_array(environment.random),
            server_name: hello.extensions.server_name.map(Into::into),
            own_cid: peer_cid.map(|_| self.own_cid),
            peer_cid,
        })
    }

    /// The first of the client's suites that we can do.
    fn choose_suite(&self, hello: &ClientHello<'_>) -> Result<CipherSuite, Failure> {
        let usable = |suite: &CipherSuite| {
            self.config.suites.contains(suite) && suite.key_exchange() == KeyExchange::Psk
        };
        numbers(hello.start.suites)
            .filter_map(CipherSuite::from_code)
            .find(usable)
            .ok_or_else(|| Failure::NoCommonSuite {
                peer: numbers(hello.start.suites).collect(),
                ours: CipherSuite::ALL
                    .iter()
                    .filter(|suite| usable(suite))
                    .map(|suite| suite.code())
                    .collect(),
            })
    }

    fn client_key_exchange(
        &mut self,
        environment: &mut Environment<'_>,
        body: &[u8],
    ) -> Result<Step, Failure> {
        let identity = parse_psk_exchange(body).ok_or(Failure::Malformed("ClientKeyExchange"))?;
        let max = environment.limits.psk_identity_max;
        if identity.len() > max {
            return Err(Failure::TooLarge {
                what: "a psk identity",
                found: identity.len(),
                max,
            });
        }
        self.identity = Identity::Psk(identity.into());
        self.state = State::PskVerdict;
        let agreed = self.agreed.as_ref();
        Ok(Step::Ask(Lookup::Psk {
            identity: identity.into(),
            server_name: agreed.and_then(|agreed| agreed.server_name.clone()),
        }))
    }

    fn psk_verdict(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        verdict: Verdict,
    ) -> Result<Step, Failure> {
        let conceal = self.config.unknown_psk_identity == UnknownPskIdentity::Conceal;
        let keys = match verdict {
            Verdict::Psk { key, alternate } => [Some(key), alternate],
            Verdict::Overloaded => return Err(Failure::Overloaded),
            Verdict::Refuse => return Err(Failure::Refused),
            Verdict::Unknown | Verdict::Accept if conceal => {
                self.concealed = true;
                let nobodys: [u8; 16] = random_array(environment.random);
                [Psk::new(&nobodys).ok(), None]
            }
            Verdict::Unknown | Verdict::Accept => {
                let identity = match &self.identity {
                    Identity::Psk(identity) => identity.clone(),
                    _ => Box::default(),
                };
                return Err(Failure::UnknownPskIdentity { identity });
            }
        };
        for key in keys.iter().flatten() {
            self.derive(conversation, &psk_premaster(key))?;
        }
        self.state = State::Finished;
        Ok(Step::More)
    }

    /// Adds the keys that come of a premaster secret.
    fn derive(&mut self, conversation: &Conversation, premaster: &[u8]) -> Result<(), Failure> {
        let agreed = self.agreed.as_ref();
        let agreed = agreed.ok_or(Failure::Crypto("key derivation"))?;
        let (client, server) = (&self.client_random, &agreed.server_random);
        let master = match agreed.extended_master_secret {
            true => MasterSecret::extended(premaster, &conversation.transcript),
            false => MasterSecret::from_randoms(premaster, client, server),
        };
        let keys = KeyBlock::derive(&master, client, server);
        let (suite, own, peer) = (agreed.suite, agreed.own_cid, agreed.peer_cid);
        self.candidates.push(Candidate {
            protection: Protection::new(suite, keys, Sender::Server, own, peer),
            master,
        });
        Ok(())
    }
}
