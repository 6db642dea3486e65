//! Raw public keys and certificates, the server's and ours.

use super::Client;
use crate::certificate::{CertificateChain, CertificateFault, verify_server};
use crate::codec::Write;
use crate::config::ClientCredentials;
use crate::failure::Failure;
use crate::handshake::ecdhe::{self, ServerKeyExchange};
use crate::handshake::extension::{RAW_PUBLIC_KEY, X509};
use crate::handshake::hello::ServerHello;
use crate::handshake::message::MessageType;
use crate::handshake::{Conversation, Environment};
use crate::key::{PrivateKey, PublicKey};
use crate::peer::Identity;

impl Client {
    /// A server that does not know RFC 7250 answers with X.509 by saying nothing.
    pub(super) fn check_certificate_types(&self, hello: &ServerHello<'_>) -> Result<(), Failure> {
        let extensions = &hello.extensions;
        let (server, client) = (
            extensions.server_certificate_type,
            extensions.client_certificate_type,
        );
        let is_continued =
            !hello.session_id.is_empty() && hello.session_id == self.continuing.asked;
        let fits = match &self.config.credentials {
            ClientCredentials::Psk { .. } => server.is_none() && client.is_none(),
            // A session that is continued needs no certificate.
            _ if server.is_none() && client.is_none() && is_continued => true,
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
    pub(super) fn certificate(
        &mut self,
        environment: &Environment<'_>,
        body: &[u8],
    ) -> Result<Identity, Failure> {
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
                self.certificate = Some(chain.leaf().clone());
                Ok(Identity::X509(Box::new(identity)))
            }
            ClientCredentials::Psk { .. } => Err(Failure::IllegalParameter("Certificate")),
        }
    }

    /// The point of the server's share, which it has signed.
    pub(super) fn server_share(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
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
}

/// Says our certificate; answers the key that we must prove to hold.
pub(super) fn say_certificate<'a>(
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
