//! Raw public keys and certificates, ours and the client's.

use super::{Server, State};
use crate::certificate::{CertificateChain, CertificateFault, verify_client};
use crate::config::ClientAuthentication;
use crate::failure::Failure;
use crate::handshake::agreement::{Agreed, CertificateType};
use crate::handshake::ecdhe::{self, ServerKeyExchange, Share};
use crate::handshake::message::MessageType;
use crate::handshake::{Conversation, Environment, Step};
use crate::key::{PrivateKey, PublicKey};
use crate::peer::{Identity, Lookup, Verdict};

impl Server {
    /// Shows who we are, and asks the client for the same.
    pub(super) fn prove(
        &mut self,
        conversation: &mut Conversation,
        agreed: &Agreed,
    ) -> Result<(), Failure> {
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

    pub(super) fn certificate(
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
        self.certificate = Some(chain.leaf().clone());
        self.identity = Identity::X509(Box::new(identity));
        self.chain = Some(chain);
        Ok(true)
    }

    pub(super) fn client_share(
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

    pub(super) fn certificate_verify(
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
    pub(super) fn ask(&mut self) -> Result<Step, Failure> {
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

    pub(super) fn proof_verdict(&mut self, verdict: Verdict) -> Result<Step, Failure> {
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
}
