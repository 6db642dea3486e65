//! Our client: the example of `lwm2m-dtls`, told what to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::super::peer::Peer;
use super::material::Material;
use super::programs::{Credential, bytes_as_hex, hex};
use crate::process;

/// A running client, which says what happens to it.
pub(super) struct Ours(Peer);

impl Ours {
    /// Starts it towards a port of the loopback; it takes servers that [`Material`] calls `server`.
    pub(super) fn start(
        root: &Path,
        material: &Material,
        port: u16,
        credential: Credential,
        more: &[&str],
    ) -> anyhow::Result<Ours> {
        let mut command = Command::new(example(root, "dtls_client"));
        let file = |key: &str, name: String| format!("{key}={}", material.file(&name));
        command.arg(format!("127.0.0.1:{port}"));
        match credential {
            Credential::Psk(identity, key) => {
                command.arg(format!("psk={identity}:{}", hex(key)));
            }
            Credential::Rpk(name) => {
                command
                    .arg(file("key", format!("{name}.key")))
                    .arg(file("server-key", "server.pub.pem".into()));
            }
            Credential::X509(name) => {
                command
                    .arg(file("key", format!("{name}.key")))
                    .arg(file("certificate", format!("{name}.pem")))
                    .arg(file("authority", "ca.pem".into()))
                    .arg("name=localhost");
            }
            Credential::NoCertificate => {
                command
                    .arg(file("authority", "ca.pem".into()))
                    .arg("name=localhost");
            }
        }
        Ok(Ours(Peer::start({
            command.args(more);
            command
        })?))
    }

    /// A session was made like this: full or resumed, psk, rpk or x509.
    pub(super) fn up(&self, kind: &str, mode: &str, cipher: &str) -> anyhow::Result<String> {
        let line = self.0.hear("up ")?;
        let suite = line.rsplit(' ').next().unwrap_or_default();
        let fits = match cipher {
            "CCM" => suite.ends_with("CCM"),
            _ => suite.contains(cipher),
        };
        ensure!(
            fits && line.starts_with(&format!("up {kind} {mode} ")),
            "expected {kind} {mode} {cipher}, found '{line}'"
        );
        Ok(line)
    }

    /// There is no session, for one of these reasons.
    pub(super) fn refused(&self, reasons: &[&str]) -> anyhow::Result<()> {
        let line = self.0.hear_either(&["refused ", "up "])?;
        let found = line.strip_prefix("refused ");
        ensure!(
            found.is_some_and(|found| reasons.iter().any(|reason| found.starts_with(reason))),
            "expected {reasons:?}, found '{line}'"
        );
        Ok(())
    }

    pub(super) fn tell(&mut self, command: &str) -> anyhow::Result<()> {
        self.0.tell(command)
    }

    /// Ends the session, so that a server that has one at a time takes the next.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.tell("stop")?;
        self.0.hear("down ")?;
        Ok(())
    }

    /// Sends application data.
    pub(super) fn send(&mut self, message: &[u8]) -> anyhow::Result<()> {
        self.tell(&format!("send {}", bytes_as_hex(message)))
    }

    /// Waits for application data that begins like this.
    pub(super) fn hear(&self, message: &[u8]) -> anyhow::Result<()> {
        self.0
            .hear(&format!("received {}", bytes_as_hex(message)))?;
        Ok(())
    }
}

/// Builds our client and our server.
pub(super) fn build(root: &Path) -> anyhow::Result<()> {
    let examples = ["--example", "dtls_server", "--example", "dtls_client"];
    let build = ["build", "--quiet", "--package", "lwm2m-dtls"];
    process::run(root, "cargo", &[&build[..], &examples[..]].concat())
        .context("the examples of lwm2m-dtls cannot be built")
}

/// Where an example of `lwm2m-dtls` is.
pub(super) fn example(root: &Path, name: &str) -> PathBuf {
    target_directory(root).join("debug/examples").join(name)
}

/// Where cargo builds.
pub(super) fn target_directory(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from)
}

/// The code point of a suite, as our client takes it.
pub(super) fn suite(mode: &str, cipher: &str) -> String {
    let code = match (mode, cipher) {
        ("psk", "CCM_8") => "c0a8",
        ("psk", "CCM") => "c0a4",
        ("psk", _) => "00a8",
        (_, "CCM_8") => "c0ae",
        (_, "CCM") => "c0ac",
        _ => "c02b",
    };
    format!("suite={code}")
}
