//! The server side: the example of `lwm2m-dtls`, which answers CoAP requests over DTLS.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::super::peer::Peer;
use super::material::Material;
use super::ours::example;
use super::programs::{KEY, hex};

/// A running server, which says what happens to it.
pub(super) struct Target {
    pub(super) port: u16,
    peer: Peer,
}

impl Target {
    /// Starts it; it knows the device `dev1` by its key, its public key and its certificate, and
    /// shows the certificate of this name.
    pub(super) fn start(
        root: &Path,
        material: &Material,
        certificate: &str,
    ) -> anyhow::Result<Target> {
        let mut command = Command::new(example(root, "dtls_server"));
        command
            .arg("127.0.0.1:0")
            .arg(format!("psk=dev1:{}", hex(KEY)))
            .arg(format!("rpk=dev1:{}", material.file("client.pub.pem")))
            .arg(format!(
                "key={}",
                material.file(&format!("{certificate}.key"))
            ))
            .arg(format!(
                "certificate={}",
                material.file(&format!("{certificate}.pem"))
            ))
            .arg(format!("trust={}", material.file("ca.pem")));
        let peer = Peer::start(command)?;
        let port = peer.hear("listening ")?;
        let port = port.rsplit(':').next().context("no port")?.parse()?;
        Ok(Target { port, peer })
    }

    /// Waits for the next session.
    pub(super) fn session(&self) -> anyhow::Result<Session> {
        let line = self.peer.hear("up ")?;
        let mut words = line.split(' ').skip(1).map(str::to_owned);
        let mut word = || words.next().context("a word is missing");
        Ok(Session {
            kind: word()?,
            mode: word()?,
            name: word()?,
            cid: word()?,
            suite: word()?,
        })
    }

    /// Waits until a handshake is refused for this reason.
    pub(super) fn refused(&self, reason: &str) -> anyhow::Result<()> {
        let line = self.peer.hear("refused ")?;
        ensure!(
            line.split(' ').nth(1) == Some(reason),
            "expected {reason}, found '{line}'"
        );
        Ok(())
    }

    /// Waits until a handshake has ended, and says how.
    pub(super) fn ended(&self) -> anyhow::Result<String> {
        self.peer.hear_either(&["refused ", "up "])
    }

    /// Waits until a session has moved to another address.
    pub(super) fn moved(&self) -> anyhow::Result<()> {
        self.peer.hear("moved")?;
        Ok(())
    }
}

/// A session, as the server sees it.
#[derive(Debug)]
pub(super) struct Session {
    /// full, or resumed.
    pub(super) kind: String,
    /// psk, rpk, x509 or anonymous
    pub(super) mode: String,
    /// The identity, or the common name.
    pub(super) name: String,
    /// cid or plain
    pub(super) cid: String,
    pub(super) suite: String,
}

impl Session {
    /// Fails unless it was made like this.
    pub(super) fn expect(&self, kind: &str, mode: &str, cipher: &str) -> anyhow::Result<()> {
        let fits = match cipher {
            "CCM" => self.suite.ends_with("CCM"),
            _ => self.suite.contains(cipher),
        };
        ensure!(
            self.kind == kind && self.mode == mode && self.name == "dev1" && fits,
            "expected {kind} {mode} dev1 {cipher}, found {self:?}"
        );
        Ok(())
    }
}
