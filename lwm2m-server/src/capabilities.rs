//! What a server can do, as it was built and as it was started.

use lwm2m_core::Version;
use lwm2m_dtls::{CipherSuite, ExtendedMasterSecret, KeyExchange};

use crate::keys::{KeyMaterial, Keys};
use crate::secure_datagram::Capabilities;
use crate::shard::Shared;
use crate::{Listener, Server};

/// What a server can do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerCapabilities {
    /// The version of this crate.
    pub version: &'static str,
    /// Versions of LwM2M, the lowest first.
    pub lwm2m_versions: Vec<Version>,
    /// Bindings that devices reach it by: `U` and `T`.
    pub bindings: Vec<&'static str>,
    /// Where it listens, as URIs.
    pub listeners: Vec<String>,
    /// Shards.
    pub shards: usize,
    /// DTLS; none when no listener has it.
    pub dtls: Option<DtlsCapabilities>,
    /// TLS; none when no listener has it.
    pub tls: Option<TlsCapabilities>,
    /// OSCORE (RFC 8613), where credentials say so.
    pub oscore: bool,
    /// A bootstrap server is behind one of the listeners.
    pub bootstrap: bool,
    /// Optional parts that are compiled in.
    pub features: Vec<&'static str>,
}

/// What it can do over DTLS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DtlsCapabilities {
    /// What the backend can do, whatever the configuration makes of it.
    pub backend: Capabilities,
    /// What devices may prove themselves by with the keys that the server has: `psk`, `rpk`, `x509`.
    pub modes: Vec<&'static str>,
    /// Suites that can be agreed on for these modes, by their names of IANA.
    pub suites: Vec<&'static str>,
    /// Connection IDs are given out; the bytes that they have.
    pub connection_id_bytes: Option<usize>,
    /// Sessions can be continued.
    pub resumption: bool,
    /// Devices without the extended master secret (RFC 7627) are refused.
    pub extended_master_secret_required: bool,
    /// Sessions that one shard has at most.
    pub sessions_max: usize,
    /// Handshakes in flight that one shard has at most.
    pub handshakes_max: usize,
}

/// What it can do over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsCapabilities {
    /// What devices may prove themselves by with the keys that the server has: `psk`, `rpk`, `x509`.
    pub modes: Vec<&'static str>,
}

impl Server {
    /// What the server can do, as it was built and as it was started.
    pub fn capabilities(&self) -> ServerCapabilities {
        let shared = self.shared();
        let keys = shared.keys.as_ref().map(Keys::current).unwrap_or_default();
        let listeners = &shared.listeners;
        let has = |is: fn(&Listener) -> bool| listeners.iter().any(is);
        let bindings = [
            ("U", has(|listener| !listener.is_stream())),
            ("T", has(Listener::is_stream)),
        ];
        // It was put together when the server started, so it can be.
        let backend = shared.dtls().ok().flatten();
        ServerCapabilities {
            version: env!("CARGO_PKG_VERSION"),
            lwm2m_versions: vec![Version::V1_0, Version::V1_1, Version::V1_2],
            bindings: chosen(&bindings),
            listeners: self.local_uris(),
            shards: shared.config.shards,
            dtls: backend.map(|backend| DtlsCapabilities::of(backend, shared, &keys)),
            tls: has(Listener::is_tls).then(|| TlsCapabilities::of(shared, &keys)),
            oscore: shared.oscore.is_some(),
            bootstrap: has(Listener::is_for_bootstrap),
            features: chosen(&[
                ("tls-psk", cfg!(feature = "tls-psk")),
                ("webrtc-dtls", cfg!(feature = "webrtc-dtls")),
            ]),
        }
    }
}

impl DtlsCapabilities {
    fn of(backend: Capabilities, shared: &Shared, keys: &KeyMaterial) -> DtlsCapabilities {
        let dtls = &shared.config.dtls;
        let has_credentials = shared.credentials.is_some();
        let (psk, certified) = (
            has_credentials && backend.psk,
            keys.certificates.is_some() || keys.raw_public_key.is_some(),
        );
        let modes = [
            ("psk", psk),
            (
                "rpk",
                backend.raw_public_key && keys.raw_public_key.is_some(),
            ),
            ("x509", backend.x509 && keys.certificates.is_some()),
        ];
        let is_of_use = |suite: &&CipherSuite| match suite.key_exchange() {
            KeyExchange::Psk => psk,
            _ => certified && backend.x509,
        };
        let usable = dtls.suites.iter().filter(is_of_use);
        let (sessions, handshakes) = (dtls.limits.sessions_max, dtls.limits.handshakes_max);
        DtlsCapabilities {
            modes: chosen(&modes),
            suites: usable.map(|suite| suite.name()).collect(),
            connection_id_bytes: (backend.cid && dtls.cid).then_some(CONNECTION_ID_BYTES),
            resumption: backend.resumption,
            extended_master_secret_required: dtls.extended_master_secret
                == ExtendedMasterSecret::Required
                && backend.backend == "lwm2m-dtls",
            sessions_max: backend
                .sessions_max
                .map_or(sessions, |max| max.min(sessions)),
            handshakes_max: backend
                .handshakes_max
                .map_or(handshakes, |max| max.min(handshakes)),
            backend,
        }
    }
}

impl TlsCapabilities {
    fn of(shared: &Shared, keys: &KeyMaterial) -> TlsCapabilities {
        // OpenSSL has suites of its own; without it, they are those of DTLS.
        let mut suites = shared.config.dtls.suites.iter();
        let has_psk = cfg!(feature = "tls-psk")
            || suites.any(|suite| suite.key_exchange() == KeyExchange::Psk);
        let modes = [
            ("psk", has_psk && shared.credentials.is_some()),
            ("rpk", keys.raw_public_key.is_some()),
            ("x509", keys.certificates.is_some()),
        ];
        TlsCapabilities {
            modes: chosen(&modes),
        }
    }
}

/// The Connection IDs of `lwm2m-dtls`: shard, slot, generation, and what cannot be guessed.
const CONNECTION_ID_BYTES: usize = 8;

fn chosen(words: &[(&'static str, bool)]) -> Vec<&'static str> {
    let chosen = words.iter().filter(|(_, holds)| *holds);
    chosen.map(|(word, _)| *word).collect()
}
