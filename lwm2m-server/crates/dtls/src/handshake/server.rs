//! The server's side of a handshake.
//!
//! ```text
//! ClientHello ──> ServerHello .. ServerHelloDone
//!     psk:    ──> ClientKeyExchange ──> (verdict) ──> Finished
//!     ecdhe:  ──> Certificate ──> ClientKeyExchange ──> CertificateVerify ──> (verdict) ──> Finished
//! ```

mod proving;
mod resuming;

use std::sync::Arc;

use super::agreement::Agreed;
use super::ecdhe::Share;
use super::hello::{ClientHello, ServerHello};
use super::message::{Message, MessageType, parse_psk_exchange};
use super::{Candidate, Conversation, Environment, Outcome, Step, unexpected};
use crate::certificate::{Certificate, CertificateChain};
use crate::cid::Cid;
use crate::codec::Write;
use crate::config::{ServerConfig, UnknownPskIdentity};
use crate::failure::Failure;
use crate::peer::{Identity, Lookup, Peer, Verdict};
use crate::prf::{MasterSecret, Sender, psk_premaster};
use crate::psk::Psk;
use crate::random::random_array;
use crate::record::{KeyBlock, Protection};
use crate::resumption::{Resumable, SessionCache};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Hello,
    ResumeVerdict,
    Certificate,
    ClientKeyExchange,
    PskVerdict,
    CertificateVerify,
    ProofVerdict,
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
    share: Option<Share>,
    identity: Identity,
    /// What the client showed, until the application has seen it.
    chain: Option<CertificateChain>,
    certificate: Option<Certificate>,
    /// The session that the client wants to continue, until it is decided.
    resumable: Option<Resumable>,
    /// The peer of the session that is continued.
    resumed: Option<Arc<Peer>>,
    /// What we will remember the session by.
    session_id: Option<[u8; SessionCache::ID]>,
    /// The identity is not known and the client shall not learn that.
    concealed: bool,
    candidates: Vec<Candidate>,
}

impl Server {
    pub(crate) fn new(config: Arc<ServerConfig>, own_cid: Cid) -> Server {
        Server {
            config,
            state: State::Hello,
            own_cid,
            client_random: [0; 32],
            agreed: None,
            share: None,
            identity: Identity::Anonymous,
            chain: None,
            certificate: None,
            resumable: None,
            resumed: None,
            session_id: None,
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
        let body = message.body();
        match (self.state, message.message_type) {
            (State::Hello, MessageType::ClientHello) => {
                conversation.hear(message, environment.limits)?;
                self.client_hello(conversation, environment, body)
            }
            (State::Certificate, MessageType::Certificate) => {
                conversation.hear(message, environment.limits)?;
                self.certificate(environment, body)
            }
            (State::ClientKeyExchange, MessageType::ClientKeyExchange) => {
                conversation.hear(message, environment.limits)?;
                match self.share.take() {
                    Some(share) => self.client_share(conversation, share, body),
                    None => self.psk_identity(environment, body),
                }
            }
            (State::CertificateVerify, MessageType::CertificateVerify) => {
                self.certificate_verify(conversation, body)?;
                conversation.hear(message, environment.limits)?;
                self.ask()
            }
            (State::Finished, MessageType::Finished) => {
                self.finished(conversation, environment, message)
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
            State::ResumeVerdict => self.resume_verdict(conversation, environment, verdict),
            State::PskVerdict => self.psk_verdict(conversation, environment, verdict),
            State::ProofVerdict => self.proof_verdict(verdict),
            _ => Ok(Step::More),
        }
    }

    pub(super) fn awaits_finished(&self) -> bool {
        self.state == State::Finished && !self.candidates.is_empty()
    }

    pub(super) fn candidates(&mut self) -> &mut Vec<Candidate> {
        &mut self.candidates
    }

    pub(super) fn expected(&self) -> &'static str {
        match self.state {
            State::Hello => "ClientHello",
            State::ResumeVerdict => "the verdict about the session to continue",
            State::Certificate => "Certificate",
            State::ClientKeyExchange => "ClientKeyExchange",
            State::PskVerdict => "the key of the psk identity",
            State::CertificateVerify => "CertificateVerify",
            State::ProofVerdict => "the verdict about the certificate",
            State::Finished => "Finished",
            State::Up => "application data",
        }
    }

    pub(super) fn bad_finished(&self) -> Option<Failure> {
        let Identity::Psk(identity) = &self.identity else {
            return None;
        };
        let identity = identity.clone();
        Some(match self.concealed {
            // The application hears the truth, the client the same alert as for a key.
            true => Failure::ConcealedPskIdentity { identity },
            false => Failure::WrongKey { identity },
        })
    }

    pub(super) fn finish(mut self) -> Option<Outcome> {
        let peer = self.peer()?;
        let candidate = self.candidates.pop()?;
        Some(Outcome {
            protection: candidate.protection,
            peer: Arc::new(peer),
            resumption: None,
        })
    }

    fn peer(&self) -> Option<Peer> {
        let agreed = self.agreed.as_ref()?;
        let resumed = self.resumed.as_deref();
        Some(Peer {
            identity: resumed
                .map_or(&self.identity, |peer| &peer.identity)
                .clone(),
            certificate: match resumed {
                Some(peer) => peer.certificate.clone(),
                None => self.certificate.clone(),
            },
            suite: agreed.suite,
            server_name: agreed.server_name.clone(),
            extended_master_secret: agreed.extended_master_secret,
            cid: agreed.own_cid.is_some(),
            resumed: resumed.is_some(),
            key_label: match resumed {
                Some(peer) => peer.key_label,
                None => self
                    .candidates
                    .first()
                    .map_or(0, |candidate| candidate.label),
            },
        })
    }

    fn finished(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        message: &Message,
    ) -> Result<Step, Failure> {
        let [candidate] = &self.candidates[..] else {
            return Err(Failure::BadFinished);
        };
        let (master, limits) = (&candidate.master, environment.limits);
        conversation.hear_finished(message, master, Sender::Client, limits)?;
        self.state = State::Up;
        if self.resumed.is_some() {
            return Ok(Step::Up { send: false });
        }
        conversation.begin_flight();
        self.remember(conversation, environment, master);
        conversation.say_finished(master, Sender::Server);
        Ok(Step::Up { send: true })
    }

    fn client_hello(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        body: &[u8],
    ) -> Result<Step, Failure> {
        let hello =
            ClientHello::parse(conversation.wire, body).ok_or(Failure::Malformed("ClientHello"))?;
        self.client_random = *hello.start.random;
        if let Some(session) = self.find_resumable(environment, &hello)? {
            let peer = session.peer.clone();
            self.resumable = Some(session);
            self.state = State::ResumeVerdict;
            return Ok(Step::Ask(Lookup::Resume { peer }));
        }
        self.full_handshake(conversation, environment, &hello)
    }

    fn full_handshake(
        &mut self,
        conversation: &mut Conversation,
        environment: &mut Environment<'_>,
        hello: &ClientHello<'_>,
    ) -> Result<Step, Failure> {
        let random = &mut *environment.random;
        let agreed = Agreed::on(
            conversation.wire,
            hello,
            &self.config,
            self.own_cid,
            random,
            None,
        )?;
        conversation.fragment_max = agreed.fragment_max()?;
        if self.config.resumption.is_some() && !agreed.ticket && !environment.cache.is_off() {
            self.session_id = Some(random_array(environment.random));
        }
        let id = self.session_id.as_ref().map_or(&[][..], |id| &id[..]);
        let (suite, random) = (agreed.suite.code(), &agreed.server_random);
        let server_hello = ServerHello::new(
            conversation.wire,
            random,
            id,
            suite,
            agreed.extensions(environment.limits),
        );
        conversation.begin_flight();
        conversation.say(MessageType::ServerHello, |body| server_hello.write(body));
        self.state = State::ClientKeyExchange;
        if agreed.proofs.is_some() {
            self.prove(conversation, &agreed)?;
        } else if let Some(hint) = &self.config.psk_identity_hint {
            conversation.say(MessageType::ServerKeyExchange, |body| {
                body.put_vector16(hint);
            });
        }
        conversation.say(MessageType::ServerHelloDone, |_| {});
        self.agreed = Some(agreed);
        Ok(Step::Send)
    }

    fn psk_identity(
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
            if let Some(candidate) = self.candidates.last_mut() {
                candidate.label = key.label();
            }
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
        let candidate = self.candidate(agreed, master);
        self.candidates.push(candidate);
        Ok(())
    }

    fn candidate(&self, agreed: &Agreed, master: MasterSecret) -> Candidate {
        let keys = KeyBlock::derive(&master, &self.client_random, &agreed.server_random);
        let (own, peer) = (agreed.own_cid, agreed.peer_cid);
        Candidate {
            label: 0,
            protection: Protection::new(agreed.suite, keys, Sender::Server, own, peer),
            master,
        }
    }
}
