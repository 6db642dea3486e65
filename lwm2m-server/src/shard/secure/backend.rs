//! The backend of DTLS that the configuration names.

use std::sync::Arc;

use super::proof::answers;
use super::shard_octet;
use crate::keys::KeyMaterial;
use crate::secure_datagram::SecureDatagram;
use crate::shard::Shared;
use crate::transport::Peer;
use crate::{DtlsBackend, StartError};

/// Puts the backend of a shard together.
///
/// # Errors
/// It is not compiled in, or does not take the server's keys.
pub(in crate::shard) fn backend(
    shard: u16,
    shared: &Shared,
    keys: &KeyMaterial,
) -> Result<Box<dyn SecureDatagram<Peer>>, StartError> {
    match shared.config.dtls.backend {
        DtlsBackend::Own => Ok(own(shard, shared, keys)),
        #[cfg(feature = "webrtc-dtls")]
        DtlsBackend::WebRtcDtls => webrtc::backend(shared, keys),
        #[cfg(not(feature = "webrtc-dtls"))]
        DtlsBackend::WebRtcDtls => Err(StartError::DtlsBackendMissing("webrtc-dtls")),
    }
}

fn own(shard: u16, shared: &Shared, keys: &KeyMaterial) -> Box<dyn SecureDatagram<Peer>> {
    let config = &shared.config;
    let dtls = lwm2m_dtls::Config {
        shard: shard_octet(shard),
        server: Some(Arc::new(answers(config, keys, Some(&shared.resumption)))),
        timing: config.dtls.timing,
        limits: config.dtls.limits,
    };
    Box::new(lwm2m_dtls::Endpoint::new(dtls, lwm2m_dtls::SystemRandom))
}

#[cfg(feature = "webrtc-dtls")]
mod webrtc {
    use super::*;
    use crate::credentials::{CredentialStore, LookUp, Proof, SecretKey};
    use crate::identity::PeerIdentity;
    use crate::secure_datagram::{WebRtcDtls, WebRtcDtlsConfig, WebRtcDtlsProof};

    /// With certificates where the server has one and a trust store, else with pre-shared keys.
    pub(super) fn backend(
        shared: &Shared,
        keys: &KeyMaterial,
    ) -> Result<Box<dyn SecureDatagram<Peer>>, StartError> {
        let dtls = &shared.config.dtls;
        let proof = match &keys.certificates {
            Some(certificates) => WebRtcDtlsProof::X509 {
                server: certificates.default_certificate().as_ref().clone(),
                trust: Arc::new(keys.trust_store.clone()),
                client_authentication: shared.config.client_authentication,
            },
            None => {
                let store = shared.credentials.clone();
                WebRtcDtlsProof::Psk(Arc::new(move |identity| {
                    key_of(store.as_deref()?, identity)
                }))
            }
        };
        let defaults = WebRtcDtlsConfig::new(proof);
        let config = WebRtcDtlsConfig {
            sessions_max: dtls.limits.sessions_max.min(defaults.sessions_max),
            handshakes_max: dtls.limits.handshakes_max.min(defaults.handshakes_max),
            handshake_timeout: dtls.timing.handshake_timeout,
            retransmission: dtls.timing.retransmission_initial,
            session_idle: dtls.limits.session_idle.unwrap_or(defaults.session_idle),
            suites: dtls.suites.clone(),
            ..defaults
        };
        match WebRtcDtls::new(config) {
            Ok(backend) => Ok(Box::new(backend)),
            Err(error) => Err(StartError::DtlsBackend(error.to_string())),
        }
    }

    /// The key of an identity, which has to be known at once.
    fn key_of(store: &dyn CredentialStore, identity: &[u8]) -> Option<SecretKey> {
        let LookUp::Now(credentials) = store.look_up(&PeerIdentity::psk(identity, None)) else {
            tracing::warn!("webrtc-dtls cannot wait for this store of credentials");
            return None;
        };
        credentials
            .iter()
            .find_map(|credential| match &credential.proof {
                Proof::Psk { key, .. } => Some(key.clone()),
                _ => None,
            })
    }
}
