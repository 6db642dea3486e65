//! Between handshakes and the credential store: what DTLS asks, in the words of the store, and what
//! the store says, in those of DTLS.

use std::sync::Arc;
use std::time::SystemTime;

use lwm2m_dtls::{Identity, Lookup, Psk, ServerResumption, Verdict};

use super::search::Question;
use crate::credentials::{Credential, Proof};
use crate::identity::{PeerIdentity, X509Identity, sha256};
use crate::keys::KeyMaterial;
use crate::shard::Now;
use crate::{ClientAuthentication, ServerConfig};

/// How clients are answered.
pub(crate) fn answers(
    config: &ServerConfig,
    keys: &KeyMaterial,
    resumption: Option<&ServerResumption>,
) -> lwm2m_dtls::ServerConfig {
    let dtls = &config.dtls;
    let trust = &keys.trust_store;
    lwm2m_dtls::ServerConfig {
        suites: dtls.suites.clone(),
        extended_master_secret: dtls.extended_master_secret,
        cid: dtls.cid,
        unknown_psk_identity: dtls.unknown_psk_identity,
        chain_limits: dtls.chain_limits,
        raw_public_key: keys.raw_public_key.clone(),
        certificates: keys.certificates.clone().map(Arc::new),
        client_authentication: match config.client_authentication {
            ClientAuthentication::Required => lwm2m_dtls::ClientAuthentication::Required,
            ClientAuthentication::Optional => lwm2m_dtls::ClientAuthentication::Optional,
        },
        resumption: resumption.cloned(),
        trust: (!trust.is_empty()).then(|| Arc::new(trust.clone())),
        ..lwm2m_dtls::ServerConfig::default()
    }
}

/// The identity that a handshake asks about.
pub(super) fn presented_by(
    lookup: &Lookup,
    keys: &KeyMaterial,
    unix_s: u64,
) -> Option<PeerIdentity> {
    Some(match lookup {
        Lookup::Psk {
            identity,
            server_name,
        } => PeerIdentity::psk(identity, server_name.as_deref()),
        Lookup::RawPublicKey { public_key, .. } => PeerIdentity::rpk(public_key.as_spki()),
        Lookup::X509 { identity, .. } => PeerIdentity::x509(certified(identity)),
        // A certificate that has expired or was revoked meanwhile is to be shown again, and refused
        // then.
        Lookup::Resume { peer } => match &peer.identity {
            Identity::X509(identity) if expired(identity, unix_s) => return None,
            _ => return presented_in(peer).filter(|presented| !keys.has_revoked(presented)),
        },
        _ => return None,
    })
}

/// The identity that a session has.
pub(super) fn presented_in(peer: &lwm2m_dtls::Peer) -> Option<PeerIdentity> {
    presented(&peer.identity, peer.server_name.as_deref())
}

fn presented(identity: &Identity, server_name: Option<&str>) -> Option<PeerIdentity> {
    Some(match identity {
        Identity::Psk(identity) => PeerIdentity::psk(identity, server_name),
        Identity::RawPublicKey(key) => PeerIdentity::rpk(key.as_spki()),
        Identity::X509(identity) => PeerIdentity::x509(certified(identity)),
        _ => return None,
    })
}

fn expired(identity: &lwm2m_dtls::X509Identity, unix_s: u64) -> bool {
    identity.not_after_unix_s < i64::try_from(unix_s).unwrap_or(i64::MAX)
}

pub(super) fn unix_s(now: Now) -> u64 {
    let since = now.wall.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// What a validated certificate says.
pub(crate) fn certified(identity: &lwm2m_dtls::X509Identity) -> X509Identity {
    let names = identity.uris.iter().chain(&identity.dns_names);
    X509Identity {
        common_name: identity.common_name.clone(),
        alternative_names: names.cloned().collect(),
        issuer_name: identity.issuer_name.clone(),
        serial: identity.serial.clone(),
        fingerprint: identity.fingerprint,
        spki_sha256: identity.public_key.spki_sha256(),
    }
}

/// Tells the keys of one identity apart, also in a session that continues another one.
pub(crate) fn label_of(credential: &Credential) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = sha256(credential.id.as_str().as_bytes());
    // 0 says that nobody knows which key it was.
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
}

/// What a handshake is told of the credentials that were found.
pub(crate) fn verdict_of(
    question: Question,
    presented: &PeerIdentity,
    credentials: &[Arc<Credential>],
) -> Verdict {
    if question == Question::Admission {
        let known = credentials.iter().any(|c| c.identify(presented).is_some());
        return match known {
            true => Verdict::Accept,
            false => Verdict::Unknown,
        };
    }
    let mut keys = credentials.iter().filter_map(|credential| {
        let Proof::Psk { key, .. } = &credential.proof else {
            return None;
        };
        let key = Psk::new(key.expose()).ok()?;
        Some(key.labelled(label_of(credential)))
    });
    match keys.next() {
        Some(key) => Verdict::Psk {
            key,
            alternate: keys.next(),
        },
        None => Verdict::Unknown,
    }
}
