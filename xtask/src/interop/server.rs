//! The server under test: the binary, started from a configuration file, driven by its own CLI.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use super::debian;
use super::events::Events;
use super::peer::Peer;
use super::secure::Material;
use crate::process;

const CONFIG: &str = r#"
[server]
bind_address = "127.0.0.1"
bind_port = 0
security_mode = "nosec"
awake_time_s = 2
[[listener]]
uri = "coap+tcp://127.0.0.1:0"
[[listener]]
uri = "coaps://127.0.0.1:0"
[[listener]]
uri = "coaps+tcp://127.0.0.1:0"
[[listener]]
uri = "coaps://127.0.0.1:0"
role = "bootstrap"
[[listener]]
uri = "coap+tcp://127.0.0.1:0"
role = "bootstrap"
[[listener]]
uri = "coaps+tcp://127.0.0.1:0"
role = "bootstrap"
[dtls]
server_private_key = "server.key"
server_certificate = "server.pem"
trust_store = "ca.pem"
[http]
bind = "127.0.0.1:0"
"#;

/// A running server; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    binary: PathBuf,
    /// Where it listens, as it says: coap://127.0.0.1:49152.
    uris: Vec<String>,
    api: String,
    /// Its keys and certificates, and those of devices.
    pub(crate) material: Material,
    /// Why it has no pre-shared keys over TLS, if so.
    pub(crate) no_tls_psk: Option<String>,
}

impl Server {
    /// Builds the binary, starts it on free ports of the loopback, and waits until it says where.
    pub(crate) fn start(root: &Path) -> anyhow::Result<Server> {
        Server::start_with(root, "", &[])
    }

    /// The same with more in its configuration, and with files beside it.
    pub(crate) fn start_with(
        root: &Path,
        more: &str,
        files: &[(&str, &str)],
    ) -> anyhow::Result<Server> {
        let (binary, no_tls_psk) = build_with_openssl(root)?;
        Server::run(binary, no_tls_psk, &format!("{CONFIG}{more}"), files)
    }

    /// The binary as it is built without any feature, with these lines in its `[dtls]`.
    pub(crate) fn start_plain(root: &Path, dtls: &str) -> anyhow::Result<Server> {
        let binary = build_plain(root)?;
        let config = CONFIG.replace("[dtls]\n", &format!("[dtls]\n{dtls}"));
        Server::run(binary, None, &config, &[])
    }

    fn run(
        binary: PathBuf,
        no_tls_psk: Option<String>,
        config: &str,
        files: &[(&str, &str)],
    ) -> anyhow::Result<Server> {
        let material = Material::make()?;
        let config = material.write("lwm2m-server.toml", config)?;
        for (name, text) in files {
            let file = Path::new(&config).with_file_name(name);
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(file, text)?;
        }
        let mut child = Command::new(&binary)
            .arg("--config")
            .arg(&config)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut uris = Vec::new();
        let mut http = None;
        for line in BufReader::new(output).lines() {
            let line = line?;
            if line.starts_with("http://") {
                http = Some(line);
                break;
            }
            uris.push(line);
        }
        let http = http.context("the server ended at once")?;
        let api = http.trim_end_matches("/api/v1").to_owned();
        Ok(Server {
            child,
            binary,
            uris,
            api,
            material,
            no_tls_psk,
        })
    }

    /// The program that it is.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where it listens for a scheme.
    pub(crate) fn uri(&self, scheme: &str) -> anyhow::Result<String> {
        let mut uris = self.uris.iter();
        let prefix = format!("{scheme}://");
        let uri = uris.find(|uri| uri.starts_with(&prefix));
        uri.cloned()
            .with_context(|| format!("no {scheme} among {:?}", self.uris))
    }

    /// Where devices bootstrap over a scheme.
    pub(crate) fn bootstrap_uri(&self, scheme: &str) -> anyhow::Result<String> {
        let prefix = format!("{scheme}://");
        let mut uris = self.uris.iter().filter(|uri| uri.starts_with(&prefix));
        let uri = uris.find_map(|uri| uri.strip_suffix(" (bootstrap)"));
        uri.map(str::to_owned)
            .with_context(|| format!("no {scheme} for bootstrap among {:?}", self.uris))
    }

    /// The port that it listens on for a scheme.
    pub(crate) fn port(&self, scheme: &str) -> anyhow::Result<u16> {
        port_of(&self.uri(scheme)?)
    }

    /// The port where devices bootstrap over a scheme.
    pub(crate) fn bootstrap_port(&self, scheme: &str) -> anyhow::Result<u16> {
        port_of(&self.bootstrap_uri(scheme)?)
    }

    /// Runs a command of the CLI with `--json` and reads what it prints.
    pub(crate) fn cli(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let output = Command::new(&self.binary)
            .args(["--server", &self.api, "--json"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("{}: {}", arguments.join(" "), text.trim());
        }
        serde_json::from_str(&text).with_context(|| format!("{}: {text}", arguments.join(" ")))
    }

    /// A command that must fail; gives the problem document.
    pub(crate) fn cli_fails(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        match self.cli(arguments) {
            Ok(answer) => bail!("{} succeeded: {answer}", arguments.join(" ")),
            Err(error) => {
                let text = error.to_string();
                let document = text
                    .find('{')
                    .and_then(|at| text.get(at..))
                    .unwrap_or_default();
                serde_json::from_str(document).with_context(|| text.clone())
            }
        }
    }

    /// The value at a path, as text.
    pub(crate) fn read(
        &self,
        endpoint: &str,
        path: &str,
        options: &[&str],
    ) -> anyhow::Result<String> {
        let mut arguments = vec!["read", endpoint, path];
        arguments.extend(options);
        let answer = self.cli(&arguments)?;
        value_at(&answer, path)
    }

    /// Starts a command of the CLI that goes on by itself; its answers are what it says.
    pub(crate) fn cli_in_background(&self, arguments: &[&str]) -> anyhow::Result<Peer> {
        let mut command = Command::new(&self.binary);
        command
            .args(["--server", &self.api, "--json"])
            .args(arguments);
        Peer::start(command)
    }

    /// What happens from now on.
    pub(crate) fn events(&self) -> anyhow::Result<Events> {
        Events::of(&self.api)
    }

    /// Waits until so many observations of a device stand.
    pub(crate) fn wait_observations(&self, endpoint: &str, count: usize) -> anyhow::Result<()> {
        wait_for(&format!("{count} observations of {endpoint}"), || {
            let answer = self.cli(&["observations", endpoint])?;
            Ok(answer["observations"].as_array().map_or(0, Vec::len) == count)
        })
    }

    /// Waits until an endpoint is registered or not registered.
    pub(crate) fn wait_registered(&self, endpoint: &str, registered: bool) -> anyhow::Result<()> {
        wait_for(
            &format!("{endpoint} to be registered: {registered}"),
            || Ok(self.cli(&["client", endpoint]).is_ok() == registered),
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn port_of(uri: &str) -> anyhow::Result<u16> {
    let port = uri.rsplit(':').next().unwrap_or_default();
    port.parse().with_context(|| format!("no port in {uri}"))
}

/// With the features that dependencies have in tests, so that what is built for these serves here.
const BUILD: &[&str] = &[
    "build",
    "--workspace",
    "--bin",
    "lwm2m-server",
    "--test",
    "program",
];

/// Builds the binary with OpenSSL for pre-shared keys over TLS, or says why it is without.
fn build_with_openssl(root: &Path) -> anyhow::Result<(PathBuf, Option<String>)> {
    let mut build = BUILD.to_vec();
    let openssl = debian::install_library(root, "openssl", &["libssl-dev", "pkg-config"]);
    let no_tls_psk = openssl.err().map(|reason| format!("{reason:#}"));
    match &no_tls_psk {
        None => build.extend(["--features", "lwm2m-daemon/tls-psk"]),
        Some(reason) => println!("the binary has no OpenSSL: {reason}"),
    }
    process::run(root, "cargo", &build)?;
    Ok((target(root).join("debug/lwm2m-server"), no_tls_psk))
}

/// Builds the binary without features, and puts it where the next build leaves it.
fn build_plain(root: &Path) -> anyhow::Result<PathBuf> {
    process::run(root, "cargo", BUILD)?;
    let built = target(root).join("debug/lwm2m-server");
    let folder = target(root).join("interop");
    std::fs::create_dir_all(&folder)?;
    let binary = folder.join("lwm2m-server-plain");
    std::fs::copy(&built, &binary).context("the binary cannot be copied")?;
    Ok(binary)
}

fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from)
}

/// The value of the record at a path, as text.
pub(crate) fn value_at(answer: &Value, path: &str) -> anyhow::Result<String> {
    let values = answer.get("values").and_then(Value::as_array);
    let record = values
        .into_iter()
        .flatten()
        .find(|record| record.get("path").and_then(Value::as_str) == Some(path))
        .with_context(|| format!("no value at {path} in {answer}"))?;
    Ok(match record.get("value") {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => bail!("a record without value in {answer}"),
    })
}

/// Polls until something is true; fails after twenty seconds.
pub(crate) fn wait_for(
    what: &str,
    mut is_true: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_true()? {
        if Instant::now() > deadline {
            bail!("waited in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Fails unless both are equal.
pub(crate) fn expect(what: &str, found: &str, expected: &str) -> anyhow::Result<()> {
    if found != expected {
        bail!("{what}: expected {expected}, found {found}");
    }
    Ok(())
}
