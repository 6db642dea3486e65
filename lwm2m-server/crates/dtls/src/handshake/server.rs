//! The server's side of a handshake.
//!
//! ```text
//! ClientHello ──> ServerHello .. ServerHelloDone
//!     psk:    ──> ClientKeyExchange ──> (verdict) ──> Finished
//!     ecdhe:  ──> Certificate ──> ClientKeyExchange ──> CertificateVerify ──> (verdict) ──> Finished
//! ```

use std::sync::Arc;

use super::agreement::{Agreed, CertificateType};
use super::ecdhe::{self, ServerKeyExchange, Share};
use super::extension::max_fragment_bytes;
use super::hello::{ClientHello, ServerHello};
use super::message::{Message, MessageType, parse_psk_exchange};
use super::{Candidate, Conversation, Environment, Outcome, Step, unexpected};
use crate::certificate::{CertificateChain, CertificateFault, verify_client};
use crate::cid::Cid;
use crate::codec::Write;
use crate::config::{ClientAuthentication, ServerConfig, UnknownPskIdentity};
use crate::failure::Failure;
use crate::key::{PrivateKey, PublicKey};
use crate::peer::{Identity, Lookup, Peer, Verdict};
use crate::prf::{MasterSecret, Sender, psk_premaster};
use crate::psk::Psk;
use crate::random::random_array;
use crate::record::{KeyBlock, Protection};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Hello,
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
    /// The identity is not known and the client shall not learn that.
    concealed: bool,
    candidates: Vec<Candidate>,
}

impl Server {
    pub(crate) fn new(config: Arc<ServerConfig>, own_cid: Cid, client_random: [u8; 32]) -> Server {
        Server {
            config,
            state: State::Hello,
            own_cid,
            client_random,
            agreed: None,
            share: None,
            identity: Identity::Anonymous,
            chain: None,
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
            State::ProofVerdict => self.proof_verdict(verdict),
            _ => Ok(Step::More),
        }
    }

    pub(super) fn candidates(&mut self) -> &mut Vec<Candidate> {
        &mut self.candidates
    }

    pub(super) fn expected(&self) -> &'static str {
        match self.state {
            State::Hello => "ClientHello",
            State::Certificate => "Certificate",
            State::ClientKeyExchange => "ClientKeyExchange",
            State::PskVerdict => "the key of the psk identity",
            State::CertificateVerify => "CertificateVerify",
            State::ProofVerdict => "the verdict about the certificate",
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
        let agreed = Agreed::on(&hello, &self.config, self.own_cid, environment.random)?;
        if let Some(code) = hello.extensions.max_fragment_length {
            let bytes = max_fragment_bytes(code);
            conversation.fragment_max =
                bytes.ok_or(Failure::IllegalParameter("max_fragment_length"))?;
        }
        let (suite, random) = (agreed.suite.code(), &agreed.server_random);
        let server_hello = ServerHello::new(random, &[], suite, agreed.extensions());
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

    /// Shows who we are, and asks the client for the same.
    fn prove(&mut self, conversation: &mut Conversation, agreed: &Agreed) -> Result<(), Failure> {
        let proofs = agreed.proofs.as_ref();
        let proofs = proofs.ok_or(Failure::Crypto("choosing a certificate"))?;
        let key: &PrivateKey = match (&proofs.certificate, &self.config.raw_public_key) {
            (Some(certificate), _) => {
                conversation.say(MessageType::Certificate, |body| {
                    certificate.chain().encode(body);
                });
                certificate.key()
            }
            (None, Some(key)) => {
                conversation.say(MessageType::Certificate, |body| {
                    ecdhe::write_raw_public_key(body, key.public_key().as_spki());
                });
                key
            }
            (None, None) => return Err(Failure::Crypto("choosing a certificate")),
        };
        let share = Share::generate()?;
        let point = share.point();
        let signed = ecdhe::signed_exchange(&self.client_random, &agreed.server_random, point);
        let signature = key.sign(&signed);
        let signature = signature.map_err(|_| Failure::Crypto("signing"))?;
        conversation.say(MessageType::ServerKeyExchange, |body| {
            let exchange = ServerKeyExchange {
                point,
                signature: &signature,
            };
            exchange.write(body);
        });
        self.share = Some(share);
        if proofs.client.is_some() {
            conversation.say(
                MessageType::CertificateRequest,
                ecdhe::write_certificate_request,
            );
            self.state = State::Certificate;
        }
        Ok(())
    }

    fn certificate(
        &mut self,
        environment: &mut Environment<'_>,
        body: &[u8],
    ) -> Result<Step, Failure> {
        self.state = State::ClientKeyExchange;
        let proofs = self
            .agreed
            .as_ref()
            .and_then(|agreed| agreed.proofs.as_ref());
        let shown = match proofs.and_then(|proofs| proofs.client) {
            Some(CertificateType::RawPublicKey) => self.raw_public_key(body)?,
            _ => self.x509(environment, body)?,
        };
        if !shown && self.config.client_authentication == ClientAuthentication::Required {
            return Err(Failure::Certificate(CertificateFault::Missing.of_chain()));
        }
        Ok(Step::More)
    }

    /// False when the client has no key.
    fn raw_public_key(&mut self, body: &[u8]) -> Result<bool, Failure> {
        let malformed = Failure::Malformed("Certificate");
        let spki = ecdhe::parse_raw_public_key(body).ok_or(malformed)?;
        if spki.is_empty() {
            return Ok(false);
        }
        let key = PublicKey::from_spki(spki).map_err(|_| Failure::UnsupportedPublicKey)?;
        self.identity = Identity::RawPublicKey(key);
        Ok(true)
    }

    /// False when the client has no certificate.
    fn x509(&mut self, environment: &mut Environment<'_>, body: &[u8]) -> Result<bool, Failure> {
        let chain = CertificateChain::decode(body, self.config.chain_limits)?;
        let (Some(chain), Some(trust)) = (chain, &self.config.trust) else {
            return Ok(false);
        };
        let identity = verify_client(&chain, trust, environment.unix_s)?;
        self.identity = Identity::X509(Box::new(identity));
        self.chain = Some(chain);
        Ok(true)
    }

    fn client_share(
        &mut self,
        conversation: &Conversation,
        share: Share,
        body: &[u8],
    ) -> Result<Step, Failure> {
        let malformed = Failure::Malformed("ClientKeyExchange");
        let point = ecdhe::parse_client_point(body).ok_or(malformed)?;
        self.derive(conversation, &share.agree(point)?)?;
        self.state = match self.identity {
            Identity::Anonymous => State::Finished,
            _ => State::CertificateVerify,
        };
        Ok(Step::More)
    }

    fn certificate_verify(
        &mut self,
        conversation: &Conversation,
        body: &[u8],
    ) -> Result<(), Failure> {
        let signature = ecdhe::parse_certificate_verify(body)?;
        let key = match &self.identity {
            Identity::RawPublicKey(key) => key,
            Identity::X509(identity) => &identity.public_key,
            _ => return Err(Failure::BadSignature),
        };
        let verified = key.verify(&conversation.transcript, signature);
        verified.map_err(|_| Failure::BadSignature)
    }

    /// Asks about a client that has proved to hold its key.
    fn ask(&mut self) -> Result<Step, Failure> {
        let agreed = self.agreed.as_ref();
        let server_name = agreed.and_then(|agreed| agreed.server_name.clone());
        let lookup = match (&self.identity, self.chain.take()) {
            (Identity::RawPublicKey(public_key), _) => Lookup::RawPublicKey {
                public_key: public_key.clone(),
                server_name,
            },
            (Identity::X509(identity), Some(chain)) => Lookup::X509 {
                identity: identity.clone(),
                chain,
                server_name,
            },
            _ => return Err(Failure::Crypto("asking for a verdict")),
        };
        self.state = State::ProofVerdict;
        Ok(Step::Ask(lookup))
    }

    fn proof_verdict(&mut self, verdict: Verdict) -> Result<Step, Failure> {
        match verdict {
            Verdict::Accept => {
                self.state = State::Finished;
                Ok(Step::More)
            }
            Verdict::Overloaded => Err(Failure::Overloaded),
            Verdict::Unknown => Err(match &self.identity {
                Identity::RawPublicKey(key) => Failure::UnknownPublicKey {
                    sha256: key.spki_sha256(),
                },
                _ => Failure::UnknownCertificate,
            }),
            Verdict::Refuse | Verdict::Psk { .. } => Err(Failure::Refused),
        }
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
