//! Running the server: sockets, HTTP API, and the three devices of the demo.

use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use lwm2m_admin::HttpLimits;
use lwm2m_plugins::PluginHost;
use lwm2m_server::credentials::MemoryCredentials;
use lwm2m_server::keys::Keys;
use lwm2m_server::{EventKind, Listener, Server};
use tracing::{info, warn};

use crate::config::{Config, Settings};
use crate::follow::Follower;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Runs on loopback without security, with three simulated devices and without any file.
    #[arg(long, conflicts_with = "config")]
    demo: bool,

    /// The configuration file; lwm2m-server.toml in this folder when it is there.
    #[arg(long, value_name = "FILE", env = "LWM2M_CONFIG")]
    config: Option<PathBuf>,

    /// The CoAP port of the demo; 0 takes any free one.
    #[arg(long, value_name = "PORT", requires = "demo")]
    coap_port: Option<u16>,

    /// The HTTP port of the demo; 0 takes any free one.
    #[arg(long, value_name = "PORT", requires = "demo")]
    http_port: Option<u16>,
}

const CONFIG_FILE: &str = "lwm2m-server.toml";
const DEMO_COAP_PORT: u16 = 5683;
const DEMO_HTTP_PORT: u16 = 8080;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // What notify says is of use to those who work on it.
    start_logging(if arguments.demo {
        "warn"
    } else {
        "info,notify=warn"
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        if arguments.demo {
            demo(arguments).await
        } else {
            serve(settings(arguments)?).await
        }
    })
}

fn settings(arguments: &Arguments) -> anyhow::Result<Settings> {
    let config = match &arguments.config {
        Some(path) => Config::load(path)?,
        None if PathBuf::from(CONFIG_FILE).is_file() => Config::load(CONFIG_FILE.as_ref())?,
        None => Config::default(),
    };
    config.settings()
}

async fn serve(settings: Settings) -> anyhow::Result<()> {
    let http = bind_http(settings.http).await?;
    let http_address = http.local_addr()?;
    let credentials = settings.credentials.open()?;
    let mut builder = Server::builder()
        .config(settings.server)
        .models_directory(settings.models)
        .bootstrap(settings.bootstrap.open(&credentials)?)
        .credentials(credentials)
        .oscore_sequences(settings.oscore.open()?)
        .keys(Keys::load(settings.keys)?)
        .observe(settings.observe.strategies)
        .observe_rules_file(settings.observe.file)
        .on(log_event);
    let mut plugins = None;
    if settings.plugins.is_used() {
        let host = PluginHost::with(settings.plugins).await?;
        builder = builder.intercept(host.clone());
        plugins = Some(host);
    }
    let mut notes = Vec::new();
    for listener in settings.listeners {
        notes.push(match listener.is_for_bootstrap() {
            true => " (bootstrap)",
            false => "",
        });
        builder = builder.listen(listener);
    }
    let server = builder.start().await?;
    let interval = settings.observe.poll_interval;
    if let Some(path) = settings.observe.configuration {
        let follower = Follower::new(path, server.clone());
        tokio::spawn(follower.run(interval));
    }
    let following = server.clone();
    tokio::spawn(async move { following.follow_observe_rules(interval).await });
    for (uri, note) in server.local_uris().iter().zip(notes) {
        announce!("{uri}{note}");
    }
    announce!("http://{http_address}/api/v1");
    serve_http(http, server, settings.http_limits, plugins).await
}

async fn demo(arguments: &Arguments) -> anyhow::Result<()> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let http = match arguments.http_port {
        Some(port) => bind_http(loopback(port)).await?,
        None => match bind_http(loopback(DEMO_HTTP_PORT)).await {
            Ok(listener) => listener,
            Err(_) => bind_http(loopback(0)).await?,
        },
    };
    let server = match arguments.coap_port {
        Some(port) => demo_server(loopback(port)).await?,
        None => match demo_server(loopback(DEMO_COAP_PORT)).await {
            Ok(server) => server,
            Err(_) => demo_server(loopback(0)).await?,
        },
    };
    let coap = *server
        .local_addresses()
        .first()
        .context("the server has no listener")?;
    let devices = lwm2m_device::demo_devices(coap).await?;
    print_welcome(coap, http.local_addr()?);
    let outcome = serve_http(http, server, HttpLimits::default(), None).await;
    drop(devices);
    outcome
}

async fn demo_server(address: SocketAddr) -> anyhow::Result<Server> {
    Ok(Server::builder()
        .listen(Listener::coap(address))
        .credentials(Arc::new(MemoryCredentials::default()))
        .on(log_event)
        .start()
        .await?)
}

fn print_welcome(coap: SocketAddr, http: SocketAddr) {
    let api = if http.port() == DEMO_HTTP_PORT {
        String::new()
    } else {
        format!(" --server http://{http}")
    };
    announce!(
        "\nThe demo runs on loopback, without security, with three simulated devices.\n\n\
         \x20 devices   coap://{coap}\n\
         \x20 HTTP API  http://{http}/api/v1\n\n\
         Try, in another terminal:\n\n\
         \x20 cargo run --release --{api} clients\n\
         \x20 cargo run --release --{api} read demo-thermometer /3303/0\n\
         \x20 curl http://{http}/api/v1/clients/demo-thermometer/objects/3303/0/5700\n\n\
         Ctrl-C stops it.\n"
    );
}

async fn bind_http(address: SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("the HTTP API cannot listen on {address}"))
}

async fn serve_http(
    listener: tokio::net::TcpListener,
    server: Server,
    limits: HttpLimits,
    plugins: Option<PluginHost>,
) -> anyhow::Result<()> {
    let more = crate::plugin_api::router(plugins);
    let serving = lwm2m_admin::serve_with_more(listener, server.clone(), limits, more);
    let outcome = tokio::select! {
        outcome = serving => outcome.context("the HTTP API has stopped"),
        () = interrupted() => Ok(()),
    };
    info!("stopping");
    server.shutdown().await;
    outcome
}

/// Waits for Ctrl-C or, where there is one, the terminate signal.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        if let Ok(mut terminate) = terminate {
            tokio::select! {
                _ = terminate.recv() => return,
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// Starts the log, on the standard error output, at this level unless the environment has another.
pub(crate) fn start_logging(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Colours are for terminals, not for files and journals.
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

fn log_event(event: &lwm2m_server::Event) {
    let endpoint = event
        .endpoint
        .as_ref()
        .map(|endpoint| endpoint.as_str())
        .unwrap_or_default();
    match &event.kind {
        EventKind::Registered {
            registration,
            replaced,
        } => info!(
            endpoint,
            peer = %registration.peer,
            identity = %registration.identity,
            version = %registration.version,
            lifetime_s = registration.lifetime_s,
            replaced,
            "registered"
        ),
        EventKind::Deregistered { .. } => info!(endpoint, "deregistered"),
        EventKind::Expired { .. } => info!(endpoint, "expired"),
        EventKind::BootstrapStarted {
            peer,
            identity,
            steps,
        } => info!(endpoint, %peer, %identity, steps, "bootstrap started"),
        EventKind::BootstrapStepFailed {
            step,
            operation,
            path,
            code,
            reason,
        } => warn!(
            endpoint,
            step,
            operation,
            %path,
            code = ?code,
            reason = %reason.message,
            hint = reason.hint.as_deref().unwrap_or_default(),
            "bootstrap step failed"
        ),
        EventKind::BootstrapFinished { steps, failures } => {
            info!(endpoint, steps, failures, "bootstrapped");
        }
        EventKind::BootstrapFailed { step, reason } => warn!(
            endpoint,
            step,
            reason = %reason.message,
            hint = reason.hint.as_deref().unwrap_or_default(),
            "bootstrap failed"
        ),
        EventKind::Refused {
            operation,
            peer,
            identity,
            code,
            reason,
        } => warn!(
            endpoint,
            %peer,
            %identity,
            operation,
            code = %code,
            reason = %reason.message,
            hint = reason.hint.as_deref().unwrap_or_default(),
            "refused"
        ),
        EventKind::ObserveRules {
            source,
            outcome: Ok(rules),
        } => info!(?source, rules, "observe rules changed"),
        EventKind::ObserveFailed {
            operation,
            paths,
            code,
            reason,
        } => info!(
            endpoint,
            operation,
            ?paths,
            code = ?code,
            reason = %reason.message,
            hint = reason.hint.as_deref().unwrap_or_default(),
            "not observed"
        ),
        EventKind::SessionEnded {
            peer,
            identity,
            reason,
        } => info!(
            endpoint,
            %peer,
            %identity,
            reason = %reason.message,
            hint = reason.hint.as_deref().unwrap_or_default(),
            "session ended"
        ),
        _ => {}
    }
}
