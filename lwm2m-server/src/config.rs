//! What the server goes by: defaults and limits, each with the key that changes it.

use std::time::Duration;

/// The configuration of a [`Server`](crate::Server).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Shards, each a thread with its own socket; the number of cores by default.
    pub shards: usize,
    /// Lifetime when a device gives none, in seconds; 300.
    pub lifetime_s: u32,
    /// How long after its lifetime a registration is kept; 93 s (MAX_TRANSMIT_WAIT).
    pub expiry_grace: Duration,
    /// How long a queue-mode device hears after its last message; 93 s.
    pub awake_time: Duration,
    /// How long a request may wait and run when the caller does not say; 120 s.
    pub request_timeout: Duration,
    /// The CoAP engine.
    pub coap: lwm2m_coap::Config,
    /// Limits.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            lifetime_s: 300,
            expiry_grace: Duration::from_secs(93),
            awake_time: Duration::from_secs(93),
            request_timeout: Duration::from_secs(120),
            coap: lwm2m_coap::Config::default(),
            limits: Limits::default(),
        }
    }
}

/// Bounds on everything that a peer or a caller can feed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Registrations in all; 2 000 000.
    pub registrations_max: usize,
    /// Requests that wait for one device; 64.
    pub device_queue_max: usize,
    /// Observations of one device; 256.
    pub observations_max: usize,
    /// Commands that wait for one shard; 4096.
    pub mailbox_max: usize,
    /// Events that wait for one subscriber; 4096.
    pub subscriber_queue_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            registrations_max: 2_000_000,
            device_queue_max: 64,
            observations_max: 256,
            mailbox_max: 4096,
            subscriber_queue_max: 4096,
        }
    }
}
