//! `[dtls]`: the server's keys and certificates, for DTLS and TLS; and what handshakes and sessions
//! of DTLS go by.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use lwm2m_dtls::{CipherSuite, ExtendedMasterSecret, Limits, UnknownPskIdentity};
use lwm2m_server::keys::{CertificateFiles, KeyFiles};
use lwm2m_server::{ClientAuthentication, DtlsBackend, DtlsConfig};
use serde::Deserialize;

use super::set;

/// As it is written. Relative paths start from the folder of the configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DtlsSection {
    server_certificate: Option<PathBuf>,
    server_private_key: Option<PathBuf>,
    trust_store: Option<PathBuf>,
    revocation_lists: Option<PathBuf>,
    client_authentication: Authentication,
    certificate: Vec<CertificateSection>,
    backend: Option<Backend>,
    suites: Option<Vec<String>>,
    connection_id: Option<bool>,
    extended_master_secret: Option<Requirement>,
    unknown_psk_identity: Option<Unknown>,
    retransmission_initial_s: Option<f64>,
    retransmission_max_s: Option<f64>,
    handshake_timeout_s: Option<f64>,
    bad_finished_grace_s: Option<f64>,
    last_flight_s: Option<f64>,
    cookie_lifetime_s: Option<f64>,
    session_idle_s: Option<f64>,
    mtu: Option<usize>,
    record_size_max: Option<u16>,
    handshakes_max: Option<usize>,
    handshakes_per_address_per_second_max: Option<u32>,
    sessions_max: Option<usize>,
    resumable_sessions_max: Option<usize>,
    handshake_message_max: Option<usize>,
    handshake_fragments_max: Option<usize>,
    reassembly_bytes_max: Option<usize>,
    transcript_bytes_max: Option<usize>,
    early_bytes_max: Option<usize>,
    psk_identity_max: Option<usize>,
    certificates_max: Option<usize>,
    chain_bytes_max: Option<usize>,
    unconfirmed_path_bytes: Option<usize>,
}

/// One more certificate, for clients that ask for one of its names.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateSection {
    server_certificate: PathBuf,
    server_private_key: PathBuf,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Authentication {
    #[default]
    Required,
    Optional,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Backend {
    #[serde(rename = "own")]
    Own,
    #[serde(rename = "webrtc-dtls")]
    WebRtcDtls,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Requirement {
    Preferred,
    Required,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unknown {
    Alert,
    Conceal,
}

impl DtlsSection {
    /// Holds the values to their ranges, and takes them over.
    pub(super) fn apply(&self, config: &mut DtlsConfig) -> anyhow::Result<()> {
        let backend = self.backend.map(|backend| match backend {
            Backend::Own => DtlsBackend::Own,
            Backend::WebRtcDtls => DtlsBackend::WebRtcDtls,
        });
        set(&mut config.backend, backend);
        if let Some(names) = &self.suites {
            config.suites = suites(names)?;
        }
        set(&mut config.cid, self.connection_id);
        let required = self.extended_master_secret.map(|wanted| match wanted {
            Requirement::Preferred => ExtendedMasterSecret::Preferred,
            Requirement::Required => ExtendedMasterSecret::Required,
        });
        set(&mut config.extended_master_secret, required);
        let unknown = self.unknown_psk_identity.map(|answer| match answer {
            Unknown::Alert => UnknownPskIdentity::Alert,
            Unknown::Conceal => UnknownPskIdentity::Conceal,
        });
        set(&mut config.unknown_psk_identity, unknown);
        self.apply_times(config)?;
        self.apply_limits(config)
    }

    fn apply_times(&self, config: &mut DtlsConfig) -> anyhow::Result<()> {
        let timing = &mut config.timing;
        let first = self.retransmission_initial_s;
        let longest = self.retransmission_max_s;
        for (key, seconds, target) in [
            (
                "retransmission_initial_s",
                first,
                &mut timing.retransmission_initial,
            ),
            (
                "retransmission_max_s",
                longest,
                &mut timing.retransmission_max,
            ),
            (
                "handshake_timeout_s",
                self.handshake_timeout_s,
                &mut timing.handshake_timeout,
            ),
            (
                "bad_finished_grace_s",
                self.bad_finished_grace_s,
                &mut timing.bad_finished_grace,
            ),
            ("last_flight_s", self.last_flight_s, &mut timing.last_flight),
            (
                "cookie_lifetime_s",
                self.cookie_lifetime_s,
                &mut timing.cookie_lifetime,
            ),
        ] {
            let seconds = within(key, seconds, 0.1, 3600.0)?;
            set(target, seconds.map(Duration::from_secs_f64));
        }
        if timing.retransmission_max < timing.retransmission_initial {
            bail!("[dtls] retransmission_max_s is less than retransmission_initial_s");
        }
        // 0 is the word for never.
        let idle = self.session_idle_s.filter(|seconds| *seconds != 0.0);
        let idle = within("session_idle_s", idle, 1.0, 31_536_000.0)?;
        if self.session_idle_s.is_some() {
            config.limits.session_idle = idle.map(Duration::from_secs_f64);
        }
        Ok(())
    }

    fn apply_limits(&self, config: &mut DtlsConfig) -> anyhow::Result<()> {
        let limits = &mut config.limits;
        let record_size = within("record_size_max", self.record_size_max, 64, 16_384)?;
        set(&mut limits.record_size_max, record_size);
        set(
            &mut limits.handshakes_per_address_per_second_max,
            self.handshakes_per_address_per_second_max,
        );
        let chain = &mut config.chain_limits;
        for (key, value, least, most, target) in [
            ("mtu", self.mtu, Limits::MTU_MIN, 16_384, &mut limits.mtu),
            (
                "handshakes_max",
                self.handshakes_max,
                1,
                1 << 20,
                &mut limits.handshakes_max,
            ),
            (
                "sessions_max",
                self.sessions_max,
                1,
                1 << 24,
                &mut limits.sessions_max,
            ),
            (
                "resumable_sessions_max",
                self.resumable_sessions_max,
                0,
                1 << 24,
                &mut limits.resumable_sessions_max,
            ),
            (
                "handshake_message_max",
                self.handshake_message_max,
                1024,
                (1 << 24) - 1,
                &mut limits.handshake_message_max,
            ),
            (
                "handshake_fragments_max",
                self.handshake_fragments_max,
                1,
                4096,
                &mut limits.handshake_fragments_max,
            ),
            (
                "reassembly_bytes_max",
                self.reassembly_bytes_max,
                1024,
                1 << 24,
                &mut limits.reassembly_bytes_max,
            ),
            (
                "transcript_bytes_max",
                self.transcript_bytes_max,
                4096,
                1 << 24,
                &mut limits.transcript_bytes_max,
            ),
            (
                "early_bytes_max",
                self.early_bytes_max,
                0,
                1 << 20,
                &mut limits.early_bytes_max,
            ),
            (
                "psk_identity_max",
                self.psk_identity_max,
                1,
                65_535,
                &mut limits.psk_identity_max,
            ),
            (
                "certificates_max",
                self.certificates_max,
                1,
                64,
                &mut chain.certificates_max,
            ),
            (
                "chain_bytes_max",
                self.chain_bytes_max,
                1024,
                1 << 20,
                &mut chain.chain_bytes_max,
            ),
            (
                "unconfirmed_path_bytes",
                self.unconfirmed_path_bytes,
                0,
                1 << 20,
                &mut limits.unconfirmed_path_bytes,
            ),
        ] {
            set(target, within(key, value, least, most)?);
        }
        Ok(())
    }

    /// Lets relative paths start from a folder.
    pub(super) fn start_from(&mut self, folder: &Path) {
        let of_server = [
            &mut self.server_certificate,
            &mut self.server_private_key,
            &mut self.trust_store,
            &mut self.revocation_lists,
        ];
        let further = self.certificate.iter_mut();
        let further =
            further.flat_map(|one| [&mut one.server_certificate, &mut one.server_private_key]);
        for path in of_server.into_iter().flatten().chain(further) {
            *path = folder.join(&*path);
        }
    }

    pub(super) fn client_authentication(&self) -> ClientAuthentication {
        match self.client_authentication {
            Authentication::Required => ClientAuthentication::Required,
            Authentication::Optional => ClientAuthentication::Optional,
        }
    }

    pub(super) fn key_files(&self) -> anyhow::Result<KeyFiles> {
        let mut certificates = Vec::new();
        match (&self.server_certificate, &self.server_private_key) {
            (certificate, Some(private_key)) => certificates.push(CertificateFiles {
                certificate: certificate.clone(),
                private_key: private_key.clone(),
            }),
            (Some(_), None) => bail!(
                "[dtls] server_certificate is of no use without its server_private_key; \
                 `lwm2m-server keygen` makes both"
            ),
            (None, None) if !self.certificate.is_empty() => bail!(
                "[[dtls.certificate]] is for further certificates; the first one is \
                 server_certificate and server_private_key of [dtls]"
            ),
            (None, None) => {}
        }
        certificates.extend(self.certificate.iter().map(|further| CertificateFiles {
            certificate: Some(further.server_certificate.clone()),
            private_key: further.server_private_key.clone(),
        }));
        if self.revocation_lists.is_some() && self.trust_store.is_none() {
            bail!("[dtls] revocation_lists are of no use without the trust_store of their CAs");
        }
        Ok(KeyFiles {
            certificates,
            trust_store: self.trust_store.clone(),
            revocation_lists: self.revocation_lists.clone(),
        })
    }
}

/// The suites of these names; at least one.
fn suites(names: &[String]) -> anyhow::Result<Vec<CipherSuite>> {
    let known = || CipherSuite::ALL.iter().copied();
    let list = || {
        known()
            .map(CipherSuite::name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    if names.is_empty() {
        bail!("[dtls] suites = []: name one of {}", list());
    }
    let of = |name: &String| {
        let suite = known().find(|suite| suite.name() == *name);
        suite.with_context(|| format!("[dtls] suites: {name} is none of {}", list()))
    };
    names.iter().map(of).collect()
}

/// Holds a value of `[dtls]` to its range.
fn within<T>(key: &str, value: Option<T>, least: T, most: T) -> anyhow::Result<Option<T>>
where
    T: PartialOrd + Copy + std::fmt::Display,
{
    match value {
        Some(value) if !(least..=most).contains(&value) => {
            bail!("[dtls] {key} = {value}: use {least} to {most}")
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests;
