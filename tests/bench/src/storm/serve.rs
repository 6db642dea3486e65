//! The server under load: the framework in a process of its own, told what to do through stdin.
//!
//! Every command is a line, and answered by a line of JSON: `observe COUNT` and `read COUNT` go to
//! the first COUNT devices, `statistics` tells the counters.

use std::hint::black_box;
use std::io::{self, BufRead, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lwm2m_core::Path;
use lwm2m_plugins::PluginHost;
use lwm2m_server::credentials::{
    Credential, CredentialId, CredentialStore, MemoryCredentials, Proof, SecretKey,
};
use lwm2m_server::{Listener, Server, ServerConfig};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::fleet::{OBSERVED, endpoint_name};
use super::secure::KEY;

/// How the server runs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// Shards of the server; one for each core when not given.
    #[arg(long)]
    shards: Option<usize>,
    /// Requests to devices that are on their way at once.
    #[arg(long, default_value_t = 64)]
    in_flight: u32,
    /// Subscribes to the events, and drops them.
    #[arg(long)]
    subscriber: bool,
    /// Listens with DTLS, and has the credentials of so many devices.
    #[arg(long, value_name = "COUNT")]
    credentials: Option<u32>,
    /// Listens on all addresses instead of the loopback alone.
    #[arg(long)]
    all_addresses: bool,
    /// The settings of plugins, as in `[plugins]`.
    #[arg(long, value_name = "FILE")]
    plugins: Option<PathBuf>,
}

/// Serves until stdin ends.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // One worker beside this thread, which waits for commands.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut config = ServerConfig::default();
        if let Some(shards) = arguments.shards {
            config.shards = shards;
        }
        let ip = match arguments.all_addresses {
            true => Ipv4Addr::UNSPECIFIED,
            false => Ipv4Addr::LOCALHOST,
        };
        let at = SocketAddr::from((ip, 0));
        let mut builder = Server::builder().config(config);
        builder = match arguments.credentials {
            Some(count) => builder
                .listen(Listener::coaps(at))
                .credentials(credentials(count).await?),
            None => builder.listen(Listener::coap(at)),
        };
        if arguments.subscriber {
            builder = builder.on(|event| _ = black_box(event));
        }
        let plugins = match &arguments.plugins {
            Some(file) => {
                let settings = toml::from_str(&std::fs::read_to_string(file)?)?;
                Some(PluginHost::with(settings).await?)
            }
            None => None,
        };
        if let Some(plugins) = &plugins {
            builder = builder.intercept(plugins.clone());
        }
        let server = builder.start().await?;
        let address = server.local_addresses().first();
        let address = address.context("the server listens nowhere")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()));
        say(&format!("coap://{address}"))?;
        for line in io::stdin().lock().lines() {
            let answer = command((&server, plugins.as_ref()), arguments, &line?).await?;
            say(&answer.to_string())?;
        }
        server.shutdown().await;
        Ok(())
    })
}

/// A store with a key for each of the first `count` devices.
async fn credentials(count: u32) -> anyhow::Result<Arc<MemoryCredentials>> {
    let credential = |number| {
        let name = endpoint_name(number);
        let proof = Proof::Psk {
            identity: name.as_bytes().into(),
            key: SecretKey::new(KEY).context("a key of no length")?,
        };
        let id = CredentialId::new(&name).context("a name that is no id")?;
        anyhow::Ok(Credential::new(id, proof))
    };
    let all: anyhow::Result<_> = (0..count).map(credential).collect();
    let store = Arc::new(MemoryCredentials::default());
    store.add(all?).await?;
    Ok(store)
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

async fn command(
    (server, plugins): (&Server, Option<&PluginHost>),
    arguments: &Arguments,
    line: &str,
) -> anyhow::Result<Value> {
    let mut words = line.split_whitespace();
    let (command, count) = (words.next(), words.next());
    let operation = match command {
        Some("observe") => Operation::Observe,
        Some("read") => Operation::Read,
        Some("statistics") => return Ok(statistics(server, plugins)),
        _ => bail!("'{line}' is no command"),
    };
    let count = count.context("how many devices?")?.parse()?;
    ask_all(server, operation, count, arguments.in_flight).await
}

fn statistics(server: &Server, plugins: Option<&PluginHost>) -> Value {
    let statistics = server.statistics();
    let list = plugins.map(PluginHost::list).unwrap_or_default();
    let figures = list.iter().flat_map(|plugin| &plugin.figures);
    json!({
        "registrations": statistics.registrations,
        "notifications": statistics.notifications,
        "plugin_calls": figures.map(|figures| figures.calls).sum::<u64>(),
    })
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    Observe,
    Read,
}

/// Asks the first `count` devices, `in_flight` at a time.
async fn ask_all(
    server: &Server,
    operation: Operation,
    count: u32,
    in_flight: u32,
) -> anyhow::Result<Value> {
    let path: Path = OBSERVED.parse()?;
    let next = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let (server, next) = (server.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            let mut asked = Asked::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return asked;
                }
                let start = Instant::now();
                let device = server.device(&endpoint_name(number));
                let answer = match operation {
                    Operation::Observe => device.observe_path(path).await,
                    Operation::Read => device.read_path(path).await,
                };
                match answer {
                    Ok(_) => asked.took.push(start.elapsed()),
                    Err(error) => asked.failed.push(error.to_string()),
                }
            }
        });
    }
    let mut all = Asked::default();
    while let Some(asked) = tasks.join_next().await {
        let mut asked = asked?;
        all.took.append(&mut asked.took);
        all.failed.append(&mut asked.failed);
    }
    all.took.sort_unstable();
    Ok(json!({
        "answered": all.took.len(),
        "failed": all.failed.len(),
        "failure": all.failed.first(),
        "p50_us": all.quantile_us(0.5),
        "p99_us": all.quantile_us(0.99),
    }))
}

#[derive(Debug, Default)]
struct Asked {
    took: Vec<Duration>,
    failed: Vec<String>,
}

impl Asked {
    fn quantile_us(&self, quantile: f64) -> f64 {
        let index = (self.took.len() as f64 * quantile) as usize;
        let took = self.took.get(index).copied().unwrap_or_default();
        took.as_secs_f64() * 1e6
    }
}
