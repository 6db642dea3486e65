//! TLS below connections (`coaps+tcp`), all kinds of it on one port.
//!
//! ```text
//! ClientHello ─┬─ a pre-shared key ──────────────> tls_psk: OpenSSL, with the feature `tls-psk`
//!              ├─ the same, without the feature ─> own: TLS 1.2
//!              ├─ raw public keys and TLS 1.2 ───> own
//!              └─ else ──────────────────────────> certificates: rustls
//! ```
//!
//! A client offers a pre-shared key when it has one. Without the feature, one that has it for TLS
//! 1.3 only is refused, with a reason that names the feature. What a certificate or a raw public key
//! has proven is looked up among the credentials after the handshake, a pre-shared key before.

pub(super) mod alert;
mod certificates;
pub(super) mod hello;
mod own;

use std::sync::Arc;

use lwm2m_dtls::Failure;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use self::certificates::Certificates;
use self::hello::ClientHello;
use self::own::OwnTls;
#[cfg(feature = "tls-psk")]
use super::tls_psk::PreSharedKeys;
use crate::credentials::CredentialStore;
use crate::identity::{Authenticated, PeerIdentity};
use crate::keys::Keys;
use crate::{Reason, ServerConfig, StartError};

/// TLS for the listeners of all shards.
#[derive(Debug)]
pub(crate) struct Tls {
    certificates: Certificates,
    own: OwnTls,
    #[cfg(feature = "tls-psk")]
    pre_shared_keys: PreSharedKeys,
}

/// A client that was taken in.
pub(super) struct Accepted {
    pub(super) io: Box<dyn ByteStream>,
    pub(super) proof: Proof,
}

/// A connection, whatever is below.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// What a handshake says of the peer.
#[derive(Debug)]
pub(super) enum Proof {
    /// The peer did not have to prove anything.
    Nothing,
    /// Who it is, not yet that we know it.
    Presented(PeerIdentity),
    /// It holds the key of a credential.
    Authenticated(Authenticated),
}

/// Why a handshake did not succeed.
#[derive(Debug)]
pub(super) enum HandshakeError {
    /// The peer went away, as whoever only looks for open ports does.
    Gone,
    /// What the operator should know.
    Refused(Reason),
    /// The peer cannot do what we can; with what is known when nothing better can be said.
    NothingInCommon(Reason),
}

impl Tls {
    pub(crate) fn new(keys: Option<Keys>, config: &ServerConfig) -> Result<Tls, StartError> {
        Ok(Tls {
            certificates: Certificates::new(keys.clone(), config.client_authentication),
            own: OwnTls::new(keys, config),
            #[cfg(feature = "tls-psk")]
            pre_shared_keys: PreSharedKeys::new(config.dtls.unknown_psk_identity)
                .map_err(|error| StartError::PreSharedKeys(error.into()))?,
        })
    }

    /// Takes a client in.
    pub(super) async fn accept(
        &self,
        io: TcpStream,
        credentials: Option<&Arc<dyn CredentialStore>>,
    ) -> Result<Accepted, HandshakeError> {
        let read = ClientHello::read(io).await;
        let (hello, io) = read.map_err(|_| HandshakeError::Gone)?;
        #[cfg(feature = "tls-psk")]
        if let (Some(hello), Some(credentials)) = (&hello, credentials)
            && let Some(version) = PreSharedKeys::version_for(hello)
        {
            let accepted = self.pre_shared_keys.accept(io, hello, version, credentials);
            return accepted.await;
        }
        if let Some(hello) = &hello
            && self.own.is_for(hello, credentials.is_some())
        {
            return self.own.accept(io, credentials).await;
        }
        let accepted = self.certificates.accept(io, hello.as_ref()).await;
        accepted.map_err(|error| match (error, &hello) {
            (HandshakeError::NothingInCommon(reason), Some(hello)) => {
                HandshakeError::Refused(self.nothing_in_common(hello, credentials, reason))
            }
            (error, _) => error,
        })
    }

    /// Suites with a pre-shared key that can be agreed on.
    fn psk_suites(&self) -> Vec<u16> {
        #[cfg(feature = "tls-psk")]
        return PreSharedKeys::suites();
        #[cfg(not(feature = "tls-psk"))]
        self.own.psk_suites().collect()
    }

    /// Why a client cannot be served.
    fn nothing_in_common(
        &self,
        hello: &ClientHello,
        credentials: Option<&Arc<dyn CredentialStore>>,
        otherwise: Reason,
    ) -> Reason {
        if hello.offers_psk() && credentials.is_some() && !cfg!(feature = "tls-psk") {
            return psk_not_built();
        }
        let mut ours = credentials.map(|_| self.psk_suites()).unwrap_or_default();
        ours.extend(self.certificates.suites());
        if hello.suites.iter().any(|suite| ours.contains(suite)) {
            return otherwise;
        }
        let peer = hello.suites.clone();
        let failure = Failure::NoCommonSuite { peer, ours };
        let reason = Reason::new("tls-no-common-suite", failure.to_string());
        match failure.hint() {
            Some(hint) => reason.hint(hint),
            None => reason,
        }
    }
}

/// The same words as over DTLS.
pub(super) fn refused(failure: &Failure) -> HandshakeError {
    let reason = Reason::new(failure.reason(), failure.to_string());
    HandshakeError::Refused(match failure.hint() {
        Some(hint) => reason.hint(hint),
        None => reason,
    })
}

fn psk_not_built() -> Reason {
    Reason::new(
        "tls-psk-not-built",
        "the device offers a pre-shared key over TLS in a way that this server was built without",
    )
    .hint(
        "build the server with the feature tls-psk (cargo build --features tls-psk), let the \
         device offer TLS_PSK_WITH_AES_128_CCM_8 in TLS 1.2, or let it use its key over coaps:// \
         (DTLS)",
    )
}
