//! The command line.

mod fleet;
mod progress;
mod security;
mod server;
mod single;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use lwm2m_core::Version;
use lwm2m_device::FleetConfig;

/// Simulates LwM2M devices against a server.
///
/// One device by default, whose registrations, requests and notifications are told line by line;
/// with --count a fleet. Ctrl-C de-registers.
#[derive(Debug, Parser)]
#[command(name = "lwm2m-device", disable_version_flag = true)]
pub(crate) struct Arguments {
    /// The server, as in coap://127.0.0.1:5683, coap+tcp://127.0.0.1:5683 or coaps://127.0.0.1:5685
    #[arg(
        long,
        short,
        default_value = "coap://127.0.0.1:5683",
        env = "LWM2M_SERVER"
    )]
    server: String,

    /// A bootstrap server to get the account of a server from, as in coaps://127.0.0.1:5686; the
    /// credentials are for it
    #[arg(long, value_name = "URI", conflicts_with_all = ["server", "count"])]
    bootstrap: Option<String>,

    /// Endpoint name of a single device
    #[arg(long, short, default_value = "lwm2m-device", conflicts_with = "count")]
    endpoint: String,

    /// Version to register with: 1.0, 1.1 or 1.2
    #[arg(long = "version", default_value = "1.1", value_parser = version)]
    version: Version,

    /// Lifetime of the registration, in seconds; 0 never ends
    #[arg(long, default_value_t = 300)]
    lifetime: u32,

    /// Register in queue mode: listen only for some time after each message
    #[arg(long)]
    queue_mode: bool,

    /// Alternate path for the objects, as in /lwm2m
    #[arg(long, default_value = "", conflicts_with = "count", value_parser = alternate_path)]
    alternate_path: String,

    /// Number of devices; above 10000 they are compact and only register, update and notify
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    count: Option<u32>,

    /// Registrations started in a second while the fleet grows
    #[arg(long, default_value_t = 100.0, value_parser = rate, requires = "count")]
    ramp: f64,

    /// Endpoint names of a fleet are this and a number
    #[arg(long, default_value = "device-", requires = "count")]
    prefix: String,

    /// Seconds between changes of the simulated values; 0 for constant values
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    interval: f64,

    /// De-register and end after this many seconds
    #[arg(long = "for", value_parser = seconds)]
    run_for: Option<f64>,

    #[command(flatten)]
    security: security::Security,
}

impl Arguments {
    fn interval(&self) -> Option<Duration> {
        (self.interval > 0.0).then(|| Duration::from_secs_f64(self.interval))
    }
}

/// Runs the program.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let (argument, uri) = match &arguments.bootstrap {
        Some(uri) => ("--bootstrap", uri),
        None => ("--server", &arguments.server),
    };
    let target = server::resolve(argument, uri).await?;
    if !target.is_secure && arguments.security.is_given() {
        bail!("{argument} {uri}: credentials are for coaps:// and coaps+tcp://");
    }
    if target.is_stream && (arguments.bootstrap.is_some() || arguments.count.is_some()) {
        bail!("{argument} {uri}: connections are for one device, and not for --bootstrap");
    }
    let server = target.address;
    if !server::answers(argument, target).await? {
        eprintln!("no answer from {server} yet; keeps trying (is this the server's port?)");
    }
    let count = arguments.count.unwrap_or(1) as usize;
    if arguments.count.is_none() {
        single::run(&arguments, target).await
    } else if count <= FleetConfig::COUNT_MAX {
        fleet::run_fleet(&arguments, target, count).await
    } else {
        if target.is_secure {
            bail!(
                "coaps:// is for at most {} devices; lower --count",
                FleetConfig::COUNT_MAX
            );
        }
        if arguments.queue_mode {
            bail!(
                "--queue-mode is for at most {} devices; lower --count",
                FleetConfig::COUNT_MAX
            );
        }
        fleet::run_storm(&arguments, server, count as u32).await
    }
}

/// Ends after the time given with --for, or with Ctrl-C.
async fn until_the_end(run_for: Option<f64>) {
    let time = async {
        match run_for {
            Some(seconds) => tokio::time::sleep(Duration::from_secs_f64(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time => {}
        // Where the signal cannot be caught, the system ends the program.
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn version(text: &str) -> Result<Version, String> {
    text.parse().map_err(|_| "use 1.0, 1.1 or 1.2".to_owned())
}

fn alternate_path(text: &str) -> Result<String, String> {
    let valid = text.is_empty()
        || text.strip_prefix('/').is_some_and(|path| {
            let mut segments = path.split('/');
            segments.all(|s| !s.is_empty() && !s.bytes().all(|b| b.is_ascii_digit()))
        });
    valid
        .then(|| text.to_owned())
        .ok_or_else(|| "it starts with / and has no empty or numeric segment".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    number
        .filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| "a number above 0".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    number
        .filter(|seconds: &f64| (0.0..=1e9).contains(seconds))
        .ok_or_else(|| "a number of seconds, 0 or above".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn mistakes_are_explained() {
        for (arguments, word) in [
            (&["--version", "1.3"][..], "use 1.0, 1.1 or 1.2"),
            (&["--count", "0"], "0 is not in 1..=10000000"),
            (&["--count", "5", "--ramp", "0"], "a number above 0"),
            (&["--ramp", "5"], "--count"),
            (&["--alternate-path", "/3"], "no empty or numeric segment"),
            (&["--for=-1"], "a number of seconds"),
            (&["--psk-identity", "a"], "--psk-key"),
            (&["--certificate", "a"], "--key"),
            (&["--bootstrap", "a", "--server", "b"], "--server"),
            (&["--bootstrap", "a", "--count", "2"], "--count"),
        ] {
            let line = std::iter::once(&"lwm2m-device").chain(arguments);
            let error = Arguments::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains(word), "{arguments:?}: {error}");
        }
    }
}
