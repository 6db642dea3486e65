//! Our client against servers of others: every mode that each of them has, good and bad
//! credentials on either side, resumption, Connection IDs.

use std::path::Path;

use anyhow::Context;

use super::super::report::Report;
use super::material::Material;
use super::ours::{Ours, suite};
use super::programs::Credential;
use super::rows::{Lacks, Rows};
use super::running::Running;
use super::{BAD_SERVERS, GOOD, modes};

/// For an attempt that a server lets go unanswered, in seconds.
const PATIENCE: &str = "patience=4";

/// What a server shows. It knows `dev1` by its key, by its public key, and by its authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// A pre-shared key.
    Psk,
    /// The public key `server`.
    Rpk,
    /// The certificate of this name in [`Material`].
    X509(&'static str),
}

/// Starts a server.
pub(super) type Start<'m> = Box<dyn Fn(Shows) -> anyhow::Result<Running> + Send + 'm>;

/// A server that this project did not write.
pub(super) struct Server<'m> {
    pub(super) name: String,
    pub(super) start: Start<'m>,
    /// The ciphers that it has with pre-shared keys.
    pub(super) psk: &'static [&'static str],
    /// The ciphers that it has with raw public keys and certificates.
    pub(super) ecdhe: &'static [&'static str],
    pub(super) lacks: Lacks,
}

impl Server<'_> {
    /// All that it can do.
    pub(super) fn run(&self, root: &Path, material: &Material, report: &mut Report) {
        let client = Client {
            server: self,
            root,
            material,
        };
        let mut rows = Rows::new(report, &self.name, "dtls server", self.lacks);
        for (credential, mode) in modes() {
            let ciphers = client.ciphers(mode);
            rows.row(&format!("{mode}: {}", ciphers.join(", ")), || {
                let mut server = (self.start)(shows(mode))?;
                ciphers
                    .iter()
                    .try_for_each(|cipher| client.passes(&mut server, credential, mode, cipher))
            });
            client.bad(mode, &mut rows);
        }
        for (credential, mode) in modes() {
            if client.is_lacking(mode) {
                continue;
            }
            rows.row(&format!("resumed: {mode}"), || {
                client.resumes(credential, mode)
            });
            rows.row(&format!("cid: {mode}, the port changes"), || {
                ["cid=empty", "cid=both"]
                    .iter()
                    .try_for_each(|offer| client.moves(credential, mode, offer))
            });
        }
    }
}

/// Our client, and the server it is for.
struct Client<'a> {
    server: &'a Server<'a>,
    root: &'a Path,
    material: &'a Material,
}

impl Client<'_> {
    fn ciphers(&self, mode: &str) -> &'static [&'static str] {
        match mode {
            "psk" => self.server.psk,
            _ => self.server.ecdhe,
        }
    }

    fn is_lacking(&self, mode: &str) -> bool {
        let mut lacks = self.server.lacks.iter();
        lacks.any(|(words, _)| *words == mode)
    }

    /// Credentials that one side has to refuse.
    fn bad(&self, mode: &str, rows: &mut Rows<'_>) {
        // What cannot be decrypted may go unanswered (RFC 6347 §4.1.2.7).
        const UNHEARD: &[&str] = &[
            "dtls-peer-alert",
            "dtls-timeout no answer while waiting for Finished",
        ];
        const ALERT: &[&str] = &["dtls-peer-alert"];
        match mode {
            "psk" => {
                rows.row("psk: our key is wrong", || {
                    let credential = Credential::Psk("dev1", "fedcba9876543210");
                    self.refused(Shows::Psk, credential, UNHEARD)
                });
                rows.row("psk: our identity is unknown", || {
                    let Credential::Psk(_, key) = GOOD else {
                        anyhow::bail!("no key")
                    };
                    self.refused(Shows::Psk, Credential::Psk("nobody", key), UNHEARD)
                });
            }
            "rpk" => {
                rows.row("rpk: our key is unknown", || {
                    self.refused(Shows::Rpk, Credential::Rpk("strange"), ALERT)
                });
                rows.row("rpk: the server's key is another", || {
                    let more = format!("server-key={}", self.material.file("client.pub.pem"));
                    let reason = &["rpk-not-configured"];
                    self.refused_with(Shows::Rpk, Credential::Rpk("client"), &[&more], reason)
                });
            }
            _ => {
                for (name, what) in [
                    ("expired", "has expired"),
                    ("strange", "is of an unknown issuer"),
                ] {
                    rows.row(&format!("x509: our certificate {what}"), || {
                        self.refused(Shows::X509("server"), Credential::X509(name), ALERT)
                    });
                }
                rows.row("x509: our certificate is missing", || {
                    self.refused(Shows::X509("server"), Credential::NoCertificate, UNHEARD)
                });
                let reasons = [
                    "certificate-expired",
                    "certificate-issuer-unknown",
                    "certificate-name",
                ];
                for ((name, what), reason) in BAD_SERVERS.into_iter().zip(reasons) {
                    rows.row(&format!("x509: the server's certificate {what}"), || {
                        self.refused(Shows::X509(name), Credential::X509("client"), &[reason])
                    });
                }
            }
        }
    }

    fn start(&self, port: u16, credential: Credential, more: &[&str]) -> anyhow::Result<Ours> {
        Ours::start(self.root, self.material, port, credential, more)
    }

    /// Data goes both ways in a new session with this cipher.
    fn passes(
        &self,
        server: &mut Running,
        credential: Credential,
        mode: &str,
        cipher: &str,
    ) -> anyhow::Result<()> {
        let mut ours = self.start(server.port, credential, &[&suite(mode, cipher)])?;
        ours.up("full", mode, cipher)
            .with_context(|| server.said())?;
        server.talk(&mut ours)?;
        ours.stop()
    }

    fn refused(
        &self,
        shows: Shows,
        credential: Credential,
        reasons: &[&str],
    ) -> anyhow::Result<()> {
        self.refused_with(shows, credential, &[], reasons)
    }

    fn refused_with(
        &self,
        shows: Shows,
        credential: Credential,
        more: &[&str],
        reasons: &[&str],
    ) -> anyhow::Result<()> {
        let mut server = (self.server.start)(shows)?;
        let ours = self.start(server.port, credential, &[more, &[PATIENCE]].concat())?;
        ours.refused(reasons).with_context(|| server.said())
    }

    fn resumes(&self, credential: Credential, mode: &str) -> anyhow::Result<()> {
        let mut server = (self.server.start)(shows(mode))?;
        let mut ours = self.start(server.port, credential, &[])?;
        ours.up("full", mode, "")?;
        server.talk(&mut ours)?;
        for kind in ["resumed", "full"] {
            ours.tell(if kind == "full" { "anew" } else { "resume" })?;
            ours.up(kind, mode, "").with_context(|| server.said())?;
            server.talk(&mut ours)?;
        }
        Ok(())
    }

    fn moves(&self, credential: Credential, mode: &str, offer: &str) -> anyhow::Result<()> {
        let mut server = (self.server.start)(shows(mode))?;
        let mut ours = self.start(server.port, credential, &[offer])?;
        let line = ours.up("full", mode, "")?;
        anyhow::ensure!(
            line.contains(" cid ") == (offer == "cid=both"),
            "after {offer}: {line}"
        );
        for _ in 0..2 {
            server.talk(&mut ours)?;
            ours.tell("move")?;
            server
                .talk(&mut ours)
                .context("after the port has changed")?;
        }
        Ok(())
    }
}

fn shows(mode: &str) -> Shows {
    match mode {
        "psk" => Shows::Psk,
        "rpk" => Shows::Rpk,
        _ => Shows::X509("server"),
    }
}
