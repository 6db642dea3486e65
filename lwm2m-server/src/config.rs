//! What the server goes by: defaults and limits, each with the key that changes it.

use std::time::Duration;

use lwm2m_dtls::{CipherSuite, ExtendedMasterSecret, UnknownPskIdentity};

/// The configuration of a [`Server`](crate::Server).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Shards, each a thread with its own socket; the number of cores by default. At most 4096, and
    /// 256 where a listener has DTLS: a Connection ID has an octet for its shard.
    pub shards: usize,
    /// Lifetime when a device gives none, in seconds; 300.
    pub lifetime_s: u32,
    /// How long after its lifetime a registration is kept; 93 s (MAX_TRANSMIT_WAIT).
    pub expiry_grace: Duration,
    /// How long a queue-mode device hears after its last message; 93 s.
    pub awake_time: Duration,
    /// How long a request may wait and run when the caller does not say; 120 s.
    pub request_timeout: Duration,
    /// What a refused device is told to wait when the server has no room, in seconds; 60.
    pub retry_after_s: u32,
    /// Whether devices with certificates must show theirs; required.
    pub client_authentication: ClientAuthentication,
    /// Object lists behind profile ids (`pid`, 1.2); more are learnt from registrations.
    pub profiles: Vec<(String, lwm2m_core::ObjectList)>,
    /// The CoAP engine.
    pub coap: lwm2m_coap::Config,
    /// DTLS.
    pub dtls: DtlsConfig,
    /// Connections: the longest message, and the times that a peer has.
    pub tcp: lwm2m_coap::tcp::ConnectionLimits,
    /// Bootstrap.
    pub bootstrap: BootstrapConfig,
    /// Limits.
    pub limits: Limits,
}

/// What bootstrap sessions go by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BootstrapConfig {
    /// Sessions at once; 4096. One more device is told to come back later.
    pub sessions_max: usize,
    /// Operations of one plan, besides the Finish; 256.
    pub operations_max: usize,
    /// How long a session may take; 240 s, a little less than devices wait (EXCHANGE_LIFETIME).
    pub session_timeout: Duration,
    /// How long the device may take for its answer to one request; 120 s.
    pub step_timeout: Duration,
    /// How long the store may take for its answer; 20 s.
    pub lookup_timeout: Duration,
}

impl Default for BootstrapConfig {
    fn default() -> BootstrapConfig {
        BootstrapConfig {
            sessions_max: 4096,
            operations_max: 256,
            session_timeout: Duration::from_secs(240),
            step_timeout: Duration::from_secs(120),
            lookup_timeout: Duration::from_secs(20),
        }
    }
}

/// Who does DTLS, see [`secure_datagram`](crate::secure_datagram).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DtlsBackend {
    /// `lwm2m-dtls`.
    #[default]
    Own,
    /// `webrtc-dtls`, with the feature of that name: pre-shared keys, or certificates where the
    /// server has one. At most 10 000 sessions and 256 handshakes on one shard.
    WebRtcDtls,
}

/// What handshakes over DTLS go by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DtlsConfig {
    /// What does it; [`DtlsBackend::Own`].
    pub backend: DtlsBackend,
    /// What may be agreed on; of what is in common, the client's order decides. All.
    pub suites: Vec<CipherSuite>,
    /// Whether clients must have RFC 7627; preferred.
    pub extended_master_secret: ExtendedMasterSecret,
    /// Connection IDs (RFC 9146) for clients that ask for them; true.
    pub cid: bool,
    /// What a client hears whose identity nobody knows, over TLS as well; the alert that says so.
    pub unknown_psk_identity: UnknownPskIdentity,
    /// How much of a chain of certificates a device may show.
    pub chain_limits: lwm2m_dtls::ChainLimits,
    /// Times.
    pub timing: lwm2m_dtls::Timing,
    /// Limits, for each shard; those of the library, and 1000 handshakes in a second from one address.
    pub limits: lwm2m_dtls::Limits,
}

impl Default for DtlsConfig {
    fn default() -> DtlsConfig {
        let lwm2m_dtls::Config { timing, limits, .. } = lwm2m_dtls::Config::default();
        let limits = lwm2m_dtls::Limits {
            handshakes_per_address_per_second_max: 1000,
            ..limits
        };
        DtlsConfig {
            backend: DtlsBackend::Own,
            suites: CipherSuite::ALL.to_vec(),
            extended_master_secret: ExtendedMasterSecret::Preferred,
            cid: true,
            unknown_psk_identity: UnknownPskIdentity::Alert,
            chain_limits: lwm2m_dtls::ChainLimits::default(),
            timing,
            limits,
        }
    }
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            shards: std::thread::available_parallelism().map_or(1, usize::from),
            lifetime_s: 300,
            expiry_grace: Duration::from_secs(93),
            awake_time: Duration::from_secs(93),
            request_timeout: Duration::from_secs(120),
            retry_after_s: 60,
            client_authentication: ClientAuthentication::Required,
            profiles: Vec::new(),
            coap: lwm2m_coap::Config::default(),
            dtls: DtlsConfig::default(),
            tcp: lwm2m_coap::tcp::ConnectionLimits::default(),
            bootstrap: BootstrapConfig::default(),
            limits: Limits::default(),
        }
    }
}

/// Whether a device must prove who it is where the server proves itself by a certificate. A
/// pre-shared or raw public key always proves both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuthentication {
    /// It must.
    #[default]
    Required,
    /// It may; one that does not is anonymous, as without security.
    Optional,
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
    /// Reports that wait for the one who follows an observation; 16.
    pub observation_queue_max: usize,
    /// Parameters of one Register that the server does not know and keeps; 16.
    pub annotations_max: usize,
    /// Register and Update requests of one shard that wait for interceptors; 10 000. One more is
    /// answered 5.03, with a Max-Age.
    pub parked_requests_max: usize,
    /// Those of one device among them; 8.
    pub parked_per_device_max: usize,
    /// The last resort for an interceptor that answers later: how long the server waits for an answer
    /// that a device or its values wait for; 10 s.
    pub hook_timeout: Duration,
    /// Values of one shard that wait for interceptors; 10 000. More are lost.
    pub transforms_max: usize,
    /// Those of one device among them; 64.
    pub transforms_per_device_max: usize,
    /// Look-ups of credentials that wait for interceptors, in all; 1024. For one more there is no
    /// credential.
    pub credential_lookups_max: usize,
    /// Credentials that interceptors granted and that may be used again; 10 000. More are asked for
    /// each time.
    pub granted_credentials_max: usize,
    /// What interceptors have yet to hear of registrations, updates and ends; 100 000.
    pub device_hooks_max: usize,
    /// The same of one device; 64.
    pub device_hooks_per_device_max: usize,
    /// Devices whose interceptors are called side by side; 64.
    pub device_hooks_parallel_max: usize,
    /// How long the next call about a device waits for an interceptor that does not come back; 30 s.
    pub device_hook_timeout: Duration,
    /// Devices whose observe plans are made side by side; 64. Others wait in line.
    pub observe_plans_parallel_max: usize,
    /// Devices besides those that do not answer while their plan is made; 10 000. With one more, those
    /// in line wait for the device instead.
    pub observe_plans_waiting_max: usize,
    /// Paths of one observe plan; 256. A plan of an interceptor with more is not taken.
    pub observe_targets_max: usize,
    /// Groups of one registration that failed and that their owner dropped or replaced; 16. One more
    /// stays as it is.
    pub observe_repairs_max: usize,
    /// Observe rules of the configuration, and of those that were set at run time; 1000.
    pub observe_rules_max: usize,
    /// Bytes of the file that keeps the rules that were set at run time; 16 MiB. A larger one is neither
    /// read nor written.
    pub observe_file_bytes_max: u64,
    /// Devices in a second that are looked at anew when observe rules change, or plugins that plan; 1000.
    /// New registrations do not wait for them.
    pub observe_replans_per_second: u32,
    /// How often a request of an observe plan that is not answered, or answered 5.03 or 4.29, goes out
    /// again; 3. One more, and a composite is observed path by path, anything else left alone.
    pub observe_retries_max: u32,
    /// When it goes out again; 60 s, doubled each time.
    pub observe_retry_delay: Duration,
    /// The longest time between two of them; an hour.
    pub observe_retry_delay_max: Duration,
    /// Endpoint names of devices that answered no Observe-Composite, which are known so that their next
    /// registrations begin with one Observe for each path; 10 000. One more pushes out the oldest; 0
    /// knows none.
    pub observe_unanswered_max: usize,
    /// How long a device is known so; a day. Composites are tried again before when its objects, its
    /// version or the strategy change.
    pub observe_unanswered_time: Duration,
    /// Registrations and changes that observe plans have yet to hear of; 100 000. One more, and all
    /// devices are looked at, in their time: `observe_replans_per_second`.
    pub observe_looks_max: usize,
    /// Profile ids that are known or learnt; 1024.
    pub profiles_max: usize,
    /// Peers of one shard whose device lives on another shard; 65536.
    pub routes_max: usize,
    /// Resets and error answers to one IP address in a second, on one shard; 1000, 0 for no limit.
    pub refusals_per_second: u32,
    /// OSCORE contexts that have been used since the server started; 1 000 000.
    pub oscore_contexts_max: usize,
    /// Addresses of the machine that get sockets of their own, one for each shard, when a listener
    /// is for all addresses; 32, at most 255. What comes to others is answered datagram by
    /// datagram.
    pub local_addresses_max: usize,
    /// Connections in all; 100 000.
    pub connections_max: usize,
    /// Connections from one IP address; 1024.
    pub connections_per_address_max: usize,
    /// Messages that wait to be written to one connection; 64. One more ends it.
    pub connection_queue_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            registrations_max: 2_000_000,
            device_queue_max: 64,
            observations_max: 256,
            mailbox_max: 4096,
            subscriber_queue_max: 4096,
            observation_queue_max: 16,
            annotations_max: 16,
            parked_requests_max: 10_000,
            parked_per_device_max: 8,
            hook_timeout: Duration::from_secs(10),
            transforms_max: 10_000,
            transforms_per_device_max: 64,
            credential_lookups_max: 1024,
            granted_credentials_max: 10_000,
            device_hooks_max: 100_000,
            device_hooks_per_device_max: 64,
            device_hooks_parallel_max: 64,
            device_hook_timeout: Duration::from_secs(30),
            observe_plans_parallel_max: 64,
            observe_plans_waiting_max: 10_000,
            observe_targets_max: 256,
            observe_repairs_max: 16,
            observe_rules_max: 1000,
            observe_file_bytes_max: 16 << 20,
            observe_replans_per_second: 1000,
            observe_retries_max: 3,
            observe_retry_delay: Duration::from_secs(60),
            observe_retry_delay_max: Duration::from_secs(3600),
            observe_unanswered_max: 10_000,
            observe_unanswered_time: Duration::from_secs(86_400),
            observe_looks_max: 100_000,
            profiles_max: 1024,
            routes_max: 1 << 16,
            refusals_per_second: 1000,
            oscore_contexts_max: 1_000_000,
            local_addresses_max: 32,
            connections_max: 100_000,
            connections_per_address_max: 1024,
            connection_queue_max: 64,
        }
    }
}
