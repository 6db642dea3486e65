//! `lwm2m-server.toml`: every key optional, every unknown key an error with its line.

mod bootstrap;
mod credentials;
mod dtls;
mod hint;
mod limits;
mod observe;
mod oscore;
mod tcp;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use lwm2m_admin::HttpLimits;
use lwm2m_coap::BlockSize;
use lwm2m_plugins::PluginsConfig;
use lwm2m_registry::Strictness;
use lwm2m_server::keys::KeyFiles;
use lwm2m_server::observe::ObserveStrategies;
use lwm2m_server::{Listener, ModelsDirectory, ServerConfig, read_text};
use serde::Deserialize;

pub(crate) use bootstrap::BootstrapSection;
pub(crate) use credentials::CredentialsSection;
use dtls::DtlsSection;
use limits::LimitsSection;
use observe::ObserveSection;
pub(crate) use oscore::OscoreSection;
use tcp::TcpSection;

/// The file with every key and its default, for people.
pub(crate) const REFERENCE: &str = include_str!("../reference.toml");

/// Bytes of the file at most.
const BYTES_MAX: u64 = 16 << 20;

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    server: ServerSection,
    dtls: DtlsSection,
    listener: Vec<ListenerSection>,
    coap: CoapSection,
    tcp: TcpSection,
    http: HttpSection,
    models: ModelsSection,
    credentials: CredentialsSection,
    bootstrap: BootstrapSection,
    oscore: OscoreSection,
    observe: ObserveSection,
    plugins: PluginsConfig,
    limits: LimitsSection,
    /// What it was read from.
    #[serde(skip)]
    text: String,
    #[serde(skip)]
    path: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServerSection {
    bind_address: IpAddr,
    bind_port: u16,
    bootstrap_port: Option<u16>,
    security_mode: SecurityMode,
    lifetime: u32,
    expiry_grace_s: u64,
    awake_time_s: u64,
    request_timeout_s: u64,
    retry_after_s: Option<u32>,
    shards: Option<usize>,
}

impl Default for ServerSection {
    fn default() -> ServerSection {
        ServerSection {
            bind_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            bind_port: 5685,
            bootstrap_port: None,
            security_mode: SecurityMode::Dtls,
            lifetime: 300,
            expiry_grace_s: 93,
            awake_time_s: 93,
            request_timeout_s: 120,
            retry_after_s: None,
            shards: None,
        }
    }
}

impl ServerSection {
    /// The port of the bootstrap server; any free one beside any free one.
    fn bootstrap_port(&self) -> u16 {
        const BOOTSTRAP_PORT: u16 = 5686;
        match (self.bootstrap_port, self.bind_port) {
            (Some(port), _) => port,
            (None, 0) => 0,
            (None, _) => BOOTSTRAP_PORT,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SecurityMode {
    Dtls,
    Nosec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenerSection {
    uri: String,
    #[serde(default)]
    role: Role,
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    #[default]
    Server,
    Bootstrap,
    Both,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CoapSection {
    ack_timeout_s: Option<f64>,
    ack_random_factor: Option<f64>,
    max_retransmit: Option<u32>,
    max_latency_s: Option<u64>,
    nstart: Option<usize>,
    response_timeout_s: Option<u64>,
    piggyback_window_ms: Option<u64>,
    block_size: Option<usize>,
    body_inline_max: Option<usize>,
    body_max: Option<usize>,
    transfers_max: Option<usize>,
    transfers_per_peer_max: Option<usize>,
    transfer_bytes_max: Option<usize>,
    peer_queue_max: Option<usize>,
    deduplication_max: Option<usize>,
    options_max: Option<usize>,
    token_max: Option<usize>,
    rejections_per_second_max: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HttpSection {
    bind: SocketAddr,
    connections_max: Option<usize>,
    event_streams_max: Option<usize>,
    header_timeout_s: Option<u64>,
    body_timeout_s: Option<u64>,
}

impl Default for HttpSection {
    fn default() -> HttpSection {
        HttpSection {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            connections_max: None,
            event_streams_max: None,
            header_timeout_s: None,
            body_timeout_s: None,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ModelsSection {
    directory: PathBuf,
    strict: bool,
    poll_interval_s: u64,
}

impl Default for ModelsSection {
    fn default() -> ModelsSection {
        ModelsSection {
            directory: PathBuf::from("models"),
            strict: false,
            poll_interval_s: 5,
        }
    }
}

/// What the server is started with.
pub(crate) struct Settings {
    pub(crate) server: ServerConfig,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) http: SocketAddr,
    pub(crate) http_limits: HttpLimits,
    pub(crate) models: ModelsDirectory,
    pub(crate) keys: KeyFiles,
    pub(crate) credentials: CredentialsSection,
    pub(crate) bootstrap: BootstrapSection,
    pub(crate) oscore: OscoreSection,
    pub(crate) observe: ObserveSettings,
    pub(crate) plugins: PluginsConfig,
}

/// What is observed, and where that is read.
#[derive(Debug, PartialEq)]
pub(crate) struct ObserveSettings {
    pub(crate) strategies: ObserveStrategies,
    /// Where rules that are set at run time are kept.
    pub(crate) file: PathBuf,
    /// The configuration, where it is a file.
    pub(crate) configuration: Option<PathBuf>,
    pub(crate) poll_interval: Duration,
}

impl Config {
    /// Reads a file; the error names the file, the line and the key.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Config> {
        Config::parse(path, Config::read(path)?)
    }

    /// Reads the text of a file; the error names the file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
        let text = read_text(path, BYTES_MAX).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => {
                let message = format!("{error}; is it this file that you mean?");
                io::Error::new(error.kind(), message)
            }
            _ => error,
        });
        text.with_context(|| format!("cannot read the configuration {}", path.display()))
    }

    /// Reads the text of a file.
    pub(crate) fn parse(path: &Path, text: String) -> anyhow::Result<Config> {
        let config = toml::from_str(&text);
        let config = config.map_err(|error| hint::explained(error, REFERENCE));
        let mut config: Config = config.with_context(|| format!("in {}", path.display()))?;
        config.text = text;
        config.path = Some(path.to_owned());
        if let Some(folder) = path.parent() {
            config.models.directory = folder.join(&config.models.directory);
            config.dtls.start_from(folder);
            config.credentials.file = folder.join(&config.credentials.file);
            config.bootstrap.file = folder.join(&config.bootstrap.file);
            config.oscore.sequences_file = folder.join(&config.oscore.sequences_file);
            config.observe.file = folder.join(&config.observe.file);
            config.plugins.start_from(folder);
        }
        Ok(config)
    }

    /// Checks the values and turns them into what the server is started with.
    pub(crate) fn settings(self) -> anyhow::Result<Settings> {
        let listeners = self.listeners()?;
        let http = self.http.bind;
        let observe = ObserveSettings {
            strategies: self.strategies()?,
            file: self.observe.file()?,
            poll_interval: self.observe.poll_interval(),
            configuration: self.path.clone(),
        };
        Ok(Settings {
            server: self.server_config()?,
            listeners,
            http,
            http_limits: self.http.limits(),
            models: self.models.directory()?,
            keys: self.dtls.key_files()?,
            credentials: self.credentials.checked()?,
            bootstrap: self.bootstrap.checked()?,
            oscore: self.oscore.checked()?,
            observe,
            plugins: self.plugins.checked()?,
        })
    }

    /// What is observed on devices by itself; the error names the file, the line and the key.
    pub(crate) fn strategies(&self) -> anyhow::Result<ObserveStrategies> {
        let strategies = self.observe.strategies(&self.text);
        match &self.path {
            Some(path) => strategies.with_context(|| format!("in {}", path.display())),
            None => strategies,
        }
    }

    fn listeners(&self) -> anyhow::Result<Vec<Listener>> {
        let mut listeners = Vec::new();
        let at = |port| {
            let address = SocketAddr::new(self.server.bind_address, port);
            match self.server.security_mode {
                SecurityMode::Dtls => Listener::coaps(address),
                SecurityMode::Nosec => Listener::coap(address),
            }
        };
        listeners.push(at(self.server.bind_port));
        for ListenerSection { uri, role } in &self.listener {
            let listener = parse_listener(uri)?;
            listeners.push(match role {
                Role::Server => listener,
                Role::Bootstrap => listener.bootstrap(),
                Role::Both => listener.also_bootstrap(),
            });
        }
        // Plans may come at any time.
        if self.bootstrap.listen {
            listeners.push(at(self.server.bootstrap_port()).bootstrap());
        }
        Ok(listeners)
    }

    fn server_config(&self) -> anyhow::Result<ServerConfig> {
        let mut config = ServerConfig::default();
        config.lifetime_s = self.server.lifetime;
        config.expiry_grace = Duration::from_secs(self.server.expiry_grace_s);
        config.awake_time = Duration::from_secs(self.server.awake_time_s);
        config.request_timeout = Duration::from_secs(self.server.request_timeout_s);
        if let Some(shards) = self.server.shards {
            if !(1..=256).contains(&shards) {
                bail!("[server] shards = {shards}: use 1 to 256");
            }
            config.shards = shards;
        }
        config.client_authentication = self.dtls.client_authentication();
        self.dtls.apply(&mut config.dtls)?;
        set(&mut config.retry_after_s, self.server.retry_after_s);
        self.bootstrap.apply(&mut config.bootstrap);
        self.observe.apply(&mut config.limits)?;
        self.coap.apply(&mut config.coap)?;
        self.tcp.apply(&mut config.tcp)?;
        self.limits.apply(&mut config.limits)?;
        Ok(config)
    }
}

impl HttpSection {
    fn limits(&self) -> HttpLimits {
        let mut limits = HttpLimits::default();
        set(&mut limits.connections_max, self.connections_max);
        set(&mut limits.event_streams_max, self.event_streams_max);
        let header_timeout = self.header_timeout_s.map(Duration::from_secs);
        set(&mut limits.header_timeout, header_timeout);
        let body_timeout = self.body_timeout_s.map(Duration::from_secs);
        set(&mut limits.body_timeout, body_timeout);
        limits
    }
}

impl ModelsSection {
    fn directory(&self) -> anyhow::Result<ModelsDirectory> {
        let seconds = self.poll_interval_s;
        if !(1..=86_400).contains(&seconds) {
            bail!("[models] poll_interval_s = {seconds}: use 1 to 86400");
        }
        let strictness = match self.strict {
            true => Strictness::Strict,
            false => Strictness::Lenient,
        };
        Ok(ModelsDirectory::new(&self.directory)
            .strictness(strictness)
            .poll_interval(Duration::from_secs(seconds)))
    }
}

impl CoapSection {
    fn apply(&self, config: &mut lwm2m_coap::Config) -> anyhow::Result<()> {
        let transmission = &mut config.transmission;
        let ack_timeout_s = within("ack_timeout_s", self.ack_timeout_s, 0.1, 600.0)?;
        set(
            &mut transmission.ack_timeout,
            ack_timeout_s.map(Duration::from_secs_f64),
        );
        let factor = within("ack_random_factor", self.ack_random_factor, 1.0, 10.0)?;
        set(&mut transmission.ack_random_factor, factor);
        let retries = within("max_retransmit", self.max_retransmit, 0, 10)?;
        set(&mut transmission.max_retransmit, retries);
        let latency_s = within("max_latency_s", self.max_latency_s, 1, 3600)?;
        set(
            &mut transmission.max_latency,
            latency_s.map(Duration::from_secs),
        );
        set(&mut config.nstart, within("nstart", self.nstart, 1, 64)?);
        let timeout_s = within("response_timeout_s", self.response_timeout_s, 1, 86_400)?;
        set(
            &mut config.response_timeout,
            timeout_s.map(Duration::from_secs),
        );
        let window_ms = within("piggyback_window_ms", self.piggyback_window_ms, 1, 60_000)?;
        set(
            &mut config.piggyback_window,
            window_ms.map(Duration::from_millis),
        );
        let block_size = within("block_size", self.block_size, 16, 1024)?;
        set(&mut config.block_size, block_size.map(BlockSize::at_most));
        let inline = within("body_inline_max", self.body_inline_max, 16, 60_000)?;
        set(&mut config.body_inline_max, inline);
        set(&mut config.body_max, self.body_max);
        set(&mut config.transfers_max, self.transfers_max);
        set(
            &mut config.transfers_per_peer_max,
            self.transfers_per_peer_max,
        );
        set(&mut config.transfer_bytes_max, self.transfer_bytes_max);
        set(&mut config.peer_queue_max, self.peer_queue_max);
        set(&mut config.deduplication_max, self.deduplication_max);
        set(&mut config.options_max, self.options_max);
        let token_max = within("token_max", self.token_max, 8, lwm2m_coap::Token::MAX)?;
        set(&mut config.token_max, token_max);
        set(
            &mut config.rejections_per_second_max,
            self.rejections_per_second_max,
        );
        Ok(())
    }
}

/// Holds a value of `[coap]` to its range.
fn within<T>(key: &str, value: Option<T>, least: T, most: T) -> anyhow::Result<Option<T>>
where
    T: PartialOrd + Copy + std::fmt::Display,
{
    match value {
        Some(value) if !(least..=most).contains(&value) => {
            bail!("[coap] {key} = {value}: use {least} to {most}")
        }
        value => Ok(value),
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn parse_listener(uri: &str) -> anyhow::Result<Listener> {
    let (scheme, address) = uri.split_once("://").unwrap_or_default();
    let listener = match scheme {
        "coap" => Listener::coap,
        "coaps" => Listener::coaps,
        "coap+tcp" => Listener::coap_tcp,
        "coaps+tcp" => Listener::coaps_tcp,
        _ => bail!(
            "[[listener]] uri = \"{uri}\": this version listens on coap://, coaps://, \
             coap+tcp:// and coaps+tcp://"
        ),
    };
    let address = address
        .parse()
        .with_context(|| format!("[[listener]] uri = \"{uri}\": use {scheme}://ADDRESS:PORT"))?;
    Ok(listener(address))
}

#[cfg(test)]
mod tests;
