//! What a simulated client is told before it starts.

use std::net::SocketAddr;
use std::time::Duration;

use lwm2m_core::{ContentFormat, Version};

use super::{BootstrapAccount, DtlsAccount, OscoreAccount};
use crate::Quirks;

/// The settings of a [`Client`](crate::Client).
///
/// Lifetime, default periods and binding are not here but in the Server object, where servers
/// change them.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The endpoint name.
    pub endpoint_name: String,
    /// The server.
    pub server: SocketAddr,
    /// The client connects to the server (binding T), and datagrams are for downloads only; false.
    pub connects: bool,
    /// DTLS with the server; none without.
    pub dtls: Option<DtlsAccount>,
    /// The security context that protects everything between client and server; none without.
    pub oscore: Option<OscoreAccount>,
    /// The bootstrap server that gives the three above, which are its own until then; none for a
    /// client that has its account.
    pub bootstrap: Option<BootstrapAccount>,
    /// The enabler version of the first Register; lower ones follow on 4.12.
    pub version: Version,
    /// Queue mode: `b=UQ` in 1.0, the flag `Q` since 1.1.
    pub queue_mode: bool,
    /// How long a client in queue mode listens after its last message; 93 s.
    pub awake_for: Duration,
    /// The alternate path without trailing slash (`/lwm2m`), empty for none.
    pub alternate_path: String,
    /// Formats beyond text, opaque and, in 1.0, TLV; none: all of the version.
    pub formats: Option<Vec<ContentFormat>>,
    /// The format of answers to requests without Accept; none: by version.
    pub default_format: Option<ContentFormat>,
    /// The Short Server ID's instance in the Server object.
    pub server_instance: u16,
    /// Query items of the Register beyond those of the version, as in `sms=4915112345678`.
    pub extra_query: Vec<String>,
    /// Pauses between attempts to register.
    pub retry: Retry,
    /// How long a reboot takes; 100 ms.
    pub reboot_time: Duration,
    /// The Update goes out after this share of the lifetime; 0.8.
    pub update_after: f64,
    /// The most observations; a further one is answered without Observe. 256.
    pub observations_max: usize,
    /// The most notifications kept while the server is out of reach, for each observation, when
    /// no `hqmax` says less; 64.
    pub stored_max: usize,
    /// The most answers that wait for their time ([`Quirks::answer_delay`]); further ones go out at
    /// once. 64.
    pub delayed_max: usize,
    /// The most events that wait for their reader; the oldest goes. 4096.
    pub events_max: usize,
    /// Deviations from the specification.
    pub quirks: Quirks,
    /// Limits and timers of the CoAP engine.
    pub coap: lwm2m_coap::Config,
}

impl ClientConfig {
    /// A client of LwM2M 1.1 without queue mode.
    pub fn new(endpoint_name: impl Into<String>, server: SocketAddr) -> ClientConfig {
        let coap = lwm2m_coap::Config {
            body_max: 16 << 20,
            transfers_max: 8,
            deduplication_max: 256,
            chunk_bytes: 512,
            ..lwm2m_coap::Config::default()
        };
        ClientConfig {
            endpoint_name: endpoint_name.into(),
            server,
            connects: false,
            dtls: None,
            oscore: None,
            bootstrap: None,
            version: Version::V1_1,
            queue_mode: false,
            awake_for: Duration::from_secs(93),
            alternate_path: String::new(),
            formats: None,
            default_format: None,
            server_instance: 0,
            extra_query: Vec::new(),
            retry: Retry::default(),
            reboot_time: Duration::from_millis(100),
            update_after: 0.8,
            observations_max: 256,
            stored_max: 64,
            delayed_max: 64,
            events_max: 4096,
            quirks: Quirks::default(),
            coap,
        }
    }
}

/// Pauses between attempts to register: the first, then twice as long each time up to a limit.
///
/// The specification's own figures are 60 s and 16 minutes (`/1/x/17`, `/1/x/18`); ours are
/// shorter, for people who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The pause after the first failure; 5 s.
    pub first: Duration,
    /// The longest pause; 60 s.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            first: Duration::from_secs(5),
            longest: Duration::from_secs(60),
        }
    }
}

impl Retry {
    /// The pause after this many failures in a row.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let retry = Retry::default();
        let pauses: Vec<u64> = [1, 2, 3, 4, 5, 1000]
            .map(|failures| retry.pause(failures).as_secs())
            .to_vec();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
    }
}
