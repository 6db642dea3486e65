//! `lwm2m-server.toml`: every key optional, every unknown key an error with its line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use lwm2m_server::{Listener, ServerConfig};
use serde::Deserialize;

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    server: ServerSection,
    listener: Vec<ListenerSection>,
    coap: CoapSection,
    http: HttpSection,
    limits: LimitsSection,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServerSection {
    bind_address: IpAddr,
    bind_port: u16,
    security_mode: SecurityMode,
    lifetime: u32,
    expiry_grace_s: u64,
    awake_time_s: u64,
    request_timeout_s: u64,
    shards: Option<usize>,
}

impl Default for ServerSection {
    fn default() -> ServerSection {
        ServerSection {
            bind_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            bind_port: 5685,
            security_mode: SecurityMode::Dtls,
            lifetime: 300,
            expiry_grace_s: 93,
            awake_time_s: 93,
            request_timeout_s: 120,
            shards: None,
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CoapSection {
    ack_timeout_s: Option<f64>,
    ack_random_factor: Option<f64>,
    max_retransmit: Option<u32>,
    response_timeout_s: Option<u64>,
    body_max: Option<usize>,
    transfers_max: Option<usize>,
    deduplication_max: Option<usize>,
    options_max: Option<usize>,
    token_max: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HttpSection {
    bind: SocketAddr,
}

impl Default for HttpSection {
    fn default() -> HttpSection {
        HttpSection {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsSection {
    registrations_max: Option<usize>,
    device_queue_max: Option<usize>,
    observations_max: Option<usize>,
    mailbox_max: Option<usize>,
    subscriber_queue_max: Option<usize>,
}

/// What the server is started with.
pub(crate) struct Settings {
    pub(crate) server: ServerConfig,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) http: SocketAddr,
}

impl Config {
    /// Reads a file; the error names the file, the line and the key.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Config> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Checks the values and turns them into what the server is started with.
    pub(crate) fn settings(self) -> anyhow::Result<Settings> {
        let listeners = self.listeners()?;
        let http = self.http.bind;
        Ok(Settings {
            server: self.server_config()?,
            listeners,
            http,
        })
    }

    fn listeners(&self) -> anyhow::Result<Vec<Listener>> {
        let mut listeners = Vec::new();
        if self.server.security_mode == SecurityMode::Nosec {
            let address = SocketAddr::new(self.server.bind_address, self.server.bind_port);
            listeners.push(Listener::coap(address));
        }
        for listener in &self.listener {
            listeners.push(parse_listener(&listener.uri)?);
        }
        if listeners.is_empty() {
            bail!(
                "this version has no DTLS yet, and NoSec is never on by default.\n\
                 Try `lwm2m-server --demo`, or write into lwm2m-server.toml, for a network that \
                 is closed:\n\n    [server]\n    security_mode = \"nosec\"\n    bind_port = 5683\n"
            );
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
        self.coap.apply(&mut config.coap)?;
        let limits = &mut config.limits;
        set(&mut limits.registrations_max, self.limits.registrations_max);
        set(&mut limits.device_queue_max, self.limits.device_queue_max);
        set(&mut limits.observations_max, self.limits.observations_max);
        set(&mut limits.mailbox_max, self.limits.mailbox_max);
        set(
            &mut limits.subscriber_queue_max,
            self.limits.subscriber_queue_max,
        );
        Ok(config)
    }
}

impl CoapSection {
    fn apply(&self, config: &mut lwm2m_coap::Config) -> anyhow::Result<()> {
        if let Some(seconds) = self.ack_timeout_s {
            if !(0.1..=600.0).contains(&seconds) {
                bail!("[coap] ack_timeout_s = {seconds}: use 0.1 to 600 seconds");
            }
            config.transmission.ack_timeout = Duration::from_secs_f64(seconds);
        }
        if let Some(factor) = self.ack_random_factor {
            if !(1.0..=10.0).contains(&factor) {
                bail!("[coap] ack_random_factor = {factor}: use 1.0 to 10.0");
            }
            config.transmission.ack_random_factor = factor;
        }
        if let Some(retries) = self.max_retransmit {
            if retries > 10 {
                bail!("[coap] max_retransmit = {retries}: use 0 to 10");
            }
            config.transmission.max_retransmit = retries;
        }
        if let Some(seconds) = self.response_timeout_s {
            config.response_timeout = Duration::from_secs(seconds);
        }
        if let Some(token_max) = self.token_max {
            if !(8..=lwm2m_coap::Token::MAX).contains(&token_max) {
                bail!(
                    "[coap] token_max = {token_max}: use 8 to {}",
                    lwm2m_coap::Token::MAX
                );
            }
        }
        set(&mut config.body_max, self.body_max);
        set(&mut config.transfers_max, self.transfers_max);
        set(&mut config.deduplication_max, self.deduplication_max);
        set(&mut config.options_max, self.options_max);
        set(&mut config.token_max, self.token_max);
        Ok(())
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn parse_listener(uri: &str) -> anyhow::Result<Listener> {
    let Some(address) = uri.strip_prefix("coap://") else {
        bail!("[[listener]] uri = \"{uri}\": this version listens on coap:// only");
    };
    let address = address
        .parse()
        .with_context(|| format!("[[listener]] uri = \"{uri}\": use coap://ADDRESS:PORT"))?;
    Ok(Listener::coap(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> anyhow::Result<Settings> {
        toml::from_str::<Config>(text)?.settings()
    }

    #[test]
    fn nosec_is_never_on_by_default() {
        let error = settings("").err().expect("refused");
        assert!(error.to_string().contains("--demo"), "{error}");
    }

    #[test]
    fn reads_every_section() {
        let text = "[server]\nbind_address = \"127.0.0.1\"\nbind_port = 5683\n\
                    security_mode = \"nosec\"\nlifetime = 60\nshards = 3\n\
                    [[listener]]\nuri = \"coap://[::1]:5783\"\n\
                    [coap]\nack_timeout_s = 10.0\nmax_retransmit = 2\ntoken_max = 8\n\
                    [http]\nbind = \"127.0.0.1:9090\"\n[limits]\nregistrations_max = 7\n";
        let settings = settings(text).unwrap();
        assert_eq!(
            settings.listeners,
            [
                Listener::coap("127.0.0.1:5683".parse().unwrap()),
                Listener::coap("[::1]:5783".parse().unwrap())
            ]
        );
        assert_eq!(settings.http.port(), 9090);
        assert_eq!(settings.server.lifetime_s, 60);
        assert_eq!(settings.server.shards, 3);
        assert_eq!(
            settings.server.coap.transmission.ack_timeout,
            Duration::from_secs(10)
        );
        assert_eq!(settings.server.coap.token_max, 8);
        assert_eq!(settings.server.limits.registrations_max, 7);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = toml::from_str::<Config>("[server]\nlifetme = 3\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("lifetme") && error.contains("line 2"),
            "{error}"
        );
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for (text, part) in [
            (
                "[server]\nsecurity_mode = \"nosec\"\nshards = 0\n",
                "1 to 256",
            ),
            (
                "[server]\nsecurity_mode = \"nosec\"\n[coap]\nack_timeout_s = 0.0\n",
                "0.1 to 600",
            ),
            (
                "[server]\nsecurity_mode = \"nosec\"\n[coap]\nmax_retransmit = 11\n",
                "0 to 10",
            ),
            (
                "[server]\nsecurity_mode = \"nosec\"\n[coap]\nack_random_factor = 0.5\n",
                "1.0 to",
            ),
            (
                "[server]\nsecurity_mode = \"nosec\"\n[coap]\ntoken_max = 65\n",
                "8 to 64",
            ),
            (
                "[[listener]]\nuri = \"coaps://0.0.0.0:5684\"\n",
                "coap:// only",
            ),
            ("[[listener]]\nuri = \"coap://here\"\n", "ADDRESS:PORT"),
        ] {
            let error = settings(text).err().expect(text);
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
