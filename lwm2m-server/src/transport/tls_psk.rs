//! TLS with pre-shared keys (RFC 4279, RFC 8446 §4.2.11): OpenSSL, with the feature `tls-psk`.
//!
//! ```text
//! TLS 1.3  ClientHello ───────> identity ─> credential store ─> key ─> OpenSSL
//! TLS 1.2  ClientHello ─> OpenSSL ─> ServerHello
//!          ClientKeyExchange ─> identity ─> credential store ─> key ─> OpenSSL
//! ```
//!
//! OpenSSL asks for a key and wants it at once, and a store may take its time. So the identity is
//! read on its way to OpenSSL, and the bytes wait for the store ([`held`]).
//!
//! While a device changes its key it has two. In TLS 1.3 the ClientHello says which one it holds
//! ([`binder`]). In TLS 1.2 that shows only at the end: a handshake that fails with one key is
//! remembered, and the next one of the device goes on with the other ([`recall`]).
//!
//! Each session begins with a whole handshake: one that continues another has no identity in
//! OpenSSL.

mod binder;
mod held;
mod keys;
mod recall;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use lwm2m_dtls::{Alert, UnknownPskIdentity};
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{
    AlpnError, Error, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
    SslSessionCacheMode, SslVersion, select_next_proto,
};
use tokio_openssl::SslStream;

use self::held::Held;
use self::keys::{HandshakeKeys, Search, SharedKeys, lock};
use self::recall::Recall;
use super::tls::hello::{ClientHello, Rewound, TLS_1_2, TLS_1_3};
use super::tls::{Accepted, HandshakeError, Proof, alert, refused};
use crate::Reason;
use crate::credentials::CredentialStore;
use crate::identity::Authenticated;
use crate::shard::sessions::revoked;

/// Suites of TLS 1.2: their code points, and what OpenSSL calls them. With AEAD only, those that
/// LwM2M names first.
const SUITES_1_2: &[(u16, &str)] = &[
    (0xccac, "ECDHE-PSK-CHACHA20-POLY1305"),
    (0xc0a8, "PSK-AES128-CCM8"),
    (0x00a8, "PSK-AES128-GCM-SHA256"),
    (0xc0a4, "PSK-AES128-CCM"),
    (0x00a9, "PSK-AES256-GCM-SHA384"),
    (0xccab, "PSK-CHACHA20-POLY1305"),
];

/// The same of TLS 1.3. A key stands for SHA-256: with another hash OpenSSL would pass it over.
const SUITES_1_3: &[(u16, &str)] = &[
    (0x1301, "TLS_AES_128_GCM_SHA256"),
    (0x1304, "TLS_AES_128_CCM_SHA256"),
    (0x1305, "TLS_AES_128_CCM_8_SHA256"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
];

/// `SSL_OP_ALLOW_NO_DHE_KEX`: a key without Diffie-Hellman, as all suites of TLS 1.2 that LwM2M
/// demands have it. With it where the client can.
const ALLOW_NO_DHE_KEX: SslOptions = SslOptions::from_bits_retain(1 << 10);

/// Takes clients in by their pre-shared keys.
pub(super) struct PreSharedKeys {
    context: SslContext,
    /// Where OpenSSL finds the keys of a handshake.
    keys: Index<Ssl, SharedKeys>,
    unknown: UnknownPskIdentity,
    recall: Arc<Mutex<Recall>>,
}

impl fmt::Debug for PreSharedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreSharedKeys").finish_non_exhaustive()
    }
}

impl PreSharedKeys {
    pub(super) fn new(unknown: UnknownPskIdentity) -> Result<PreSharedKeys, ErrorStack> {
        let keys = Ssl::new_ex_index::<SharedKeys>()?;
        let mut context = context()?;
        context.set_psk_server_callback(move |ssl, identity, buffer| {
            let Some(keys) = ssl.ex_data(keys) else {
                return Ok(0);
            };
            Ok(lock(keys).give(identity.unwrap_or_default(), buffer))
        });
        Ok(PreSharedKeys {
            context: context.build(),
            keys,
            unknown,
            recall: Arc::default(),
        })
    }

    /// The code points of all suites.
    pub(super) fn suites() -> Vec<u16> {
        let suites = SUITES_1_2.iter().chain(SUITES_1_3);
        suites.map(|(code, _)| *code).collect()
    }

    /// The version that a client gets; none for a client that offers no key, or no suite of ours.
    pub(super) fn version_for(hello: &ClientHello) -> Option<u16> {
        let common =
            |ours: &[(u16, &str)]| ours.iter().any(|(code, _)| hello.suites.contains(code));
        if hello.offers(TLS_1_3) && !hello.offered.is_empty() && common(SUITES_1_3) {
            return Some(TLS_1_3);
        }
        (hello.offers(TLS_1_2) && common(SUITES_1_2)).then_some(TLS_1_2)
    }

    /// Takes a client in, with this version.
    pub(super) async fn accept(
        &self,
        mut io: Rewound,
        hello: &ClientHello,
        version: u16,
        credentials: &Arc<dyn CredentialStore>,
    ) -> Result<Accepted, HandshakeError> {
        let keys = SharedKeys::default();
        let search = Search {
            credentials: Arc::clone(credentials),
            server_name: hello.server_name.clone(),
            unknown: self.unknown,
            recall: Arc::clone(&self.recall),
            address: io.address(),
            keys: Arc::clone(&keys),
        };
        let io = if version == TLS_1_3 {
            search.offered(hello).await;
            // OpenSSL would ask for a certificate instead.
            let unknown = lock(&keys).nothing_to_try();
            if let Some(failure) = unknown {
                alert::send(&mut io, Alert::UNKNOWN_PSK_IDENTITY).await;
                return Err(refused(&failure));
            }
            Held::passing(io)
        } else {
            Held::watching(io, search)
        };
        let mut stream = self.stream(io, version, &keys).map_err(internal)?;
        let handshake = Pin::new(&mut stream).accept().await;
        let keys = std::mem::take(&mut *lock(&keys));
        if let Err(error) = handshake {
            if version == TLS_1_2 && is_wrong_key(&error) {
                lock(&self.recall).failed(&keys);
            }
            return Err(failed(&error, &keys));
        }
        // OpenSSL calls a session of TLS 1.3 that stands on a key a resumed one.
        let stands_on_key = version == TLS_1_2 || stream.ssl().session_reused();
        let authenticated = match stands_on_key {
            true => self.authenticate(keys, credentials).await?,
            false => return Err(without_key()),
        };
        Ok(Accepted {
            io: Box::new(stream),
            proof: Proof::Authenticated(authenticated),
        })
    }

    fn stream(
        &self,
        io: Held,
        version: u16,
        keys: &SharedKeys,
    ) -> Result<SslStream<Held>, ErrorStack> {
        let version = match version {
            TLS_1_3 => SslVersion::TLS1_3,
            _ => SslVersion::TLS1_2,
        };
        let mut ssl = Ssl::new(&self.context)?;
        ssl.set_min_proto_version(Some(version))?;
        ssl.set_max_proto_version(Some(version))?;
        ssl.set_ex_data(self.keys, Arc::clone(keys));
        SslStream::new(ssl, io)
    }

    /// Who the holder of the key is that the handshake has used.
    async fn authenticate(
        &self,
        keys: HandshakeKeys,
        credentials: &Arc<dyn CredentialStore>,
    ) -> Result<Authenticated, HandshakeError> {
        let used = keys.into_used();
        let (presented, credential) = used.ok_or_else(without_key)?;
        // The peer may have taken its time, and the credential may have gone meanwhile.
        let current = credentials.look_up(&presented).await;
        let current = current.iter().find(|current| **current == credential);
        current
            .and_then(|credential| Authenticated::by(credential, &presented))
            .ok_or_else(|| HandshakeError::Refused(revoked()))
    }
}

fn context() -> Result<SslContextBuilder, ErrorStack> {
    const COAP: &[u8] = b"\x04coap";
    let names = |suites: &[(u16, &'static str)]| -> Vec<&'static str> {
        suites.iter().map(|(_, name)| *name).collect()
    };
    let mut context = SslContext::builder(SslMethod::tls_server())?;
    // LwM2M demands CCM_8, whose tag of 8 bytes is below the other security levels.
    context.set_cipher_list(&format!("{}:@SECLEVEL=0", names(SUITES_1_2).join(":")))?;
    context.set_ciphersuites(&names(SUITES_1_3).join(":"))?;
    context.set_groups_list("X25519:P-256:P-384")?;
    context.set_options(
        SslOptions::NO_TICKET
            | SslOptions::NO_RENEGOTIATION
            | SslOptions::NO_COMPRESSION
            | ALLOW_NO_DHE_KEX,
    );
    context.set_num_tickets(0)?;
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_session_id_context(b"lwm2m")?;
    // What is not taken at once may be sent from elsewhere; idle connections have no buffers.
    context.set_mode(
        SslMode::AUTO_RETRY
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::RELEASE_BUFFERS,
    );
    context.set_alpn_select_callback(|_, theirs| {
        select_next_proto(COAP, theirs).ok_or(AlpnError::ALERT_FATAL)
    });
    Ok(context)
}

/// Reasons of OpenSSL (`SSL_R_…`).
mod reason {
    pub(super) const DIGEST_CHECK_FAILED: i32 = 149;
    pub(super) const NO_SHARED_CIPHER: i32 = 193;
    pub(super) const NO_APPLICATION_PROTOCOL: i32 = 235;
    pub(super) const BINDER_DOES_NOT_VERIFY: i32 = 253;
    pub(super) const DECRYPTION_FAILED_OR_BAD_RECORD_MAC: i32 = 281;
    /// An alert of the peer; its description is added.
    pub(super) const PEER_ALERT: i32 = 1000;
}

/// What the TLS of OpenSSL gives as the reason; none when the connection has ended.
fn fault_of(error: &Error) -> Option<&openssl::error::Error> {
    /// `ERR_LIB_SSL`. What the ciphers have to say comes first, and says less.
    const TLS: i32 = 20;
    let errors = error.ssl_error()?.errors();
    let of_tls = errors
        .iter()
        .rev()
        .find(|error| error.library_code() == TLS);
    of_tls.or(errors.last())
}

fn is_wrong_key(error: &Error) -> bool {
    let wrong_key = [
        reason::DIGEST_CHECK_FAILED,
        reason::BINDER_DOES_NOT_VERIFY,
        reason::DECRYPTION_FAILED_OR_BAD_RECORD_MAC,
    ];
    fault_of(error).is_some_and(|fault| wrong_key.contains(&fault.reason_code()))
}

/// Why a handshake did not succeed.
fn failed(error: &Error, keys: &HandshakeKeys) -> HandshakeError {
    let Some(fault) = fault_of(error) else {
        return HandshakeError::Gone;
    };
    if let Some(failure) = keys.nothing_known() {
        return refused(&failure);
    }
    if is_wrong_key(error)
        && let Some(failure) = keys.wrong_key()
    {
        return refused(&failure);
    }
    let text = fault.reason().unwrap_or("the handshake failed");
    HandshakeError::Refused(match fault.reason_code() {
        reason::NO_SHARED_CIPHER => {
            let hint = "the suites agree, but not what they need: curve secp256r1, or a pre-shared \
                        key for SHA-256 in TLS 1.3";
            Reason::new("tls-no-common-parameter", text).hint(hint)
        }
        reason::NO_APPLICATION_PROTOCOL => Reason::new("tls-no-coap", text)
            .hint("CoAP over TLS is called \"coap\" in ALPN (RFC 8323 section 8.2)"),
        reason::PEER_ALERT.. => Reason::new("tls-peer-alert", text),
        _ => Reason::new("tls-handshake", text),
    })
}

fn without_key() -> HandshakeError {
    let text = "the handshake did not use the key that the device offers";
    HandshakeError::Refused(Reason::new("tls-handshake", text))
}

fn internal(error: ErrorStack) -> HandshakeError {
    HandshakeError::Refused(Reason::new("internal", error.to_string()))
}
