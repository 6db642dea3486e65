//! Clients of others against our server: every mode that each of them has, good and bad
//! credentials, resumption.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::super::report::Report;
use super::exchange::{Exchange, created, register};
use super::material::Material;
use super::programs::{Credential, Program, libcoap};
use super::rows::{Lacks, Rows};
use super::target::Target;
use super::{BAD_CERTIFICATES, BAD_KEYS, BAD_SERVERS, GOOD, modes};

const LIBCOAP_EXPIRED: (&str, &str) = (
    "x509: the server's certificate has expired",
    "coap-client takes certificates that have expired",
);
const LIBCOAP_NAMES: (&str, &str) = (
    "x509: the server's certificate has another",
    "coap-client does not look at the name",
);

/// A credential and a cipher as a program towards a port.
type MakeCommand<'m> = Box<dyn Fn(u16, Credential, &str) -> Command + Send + 'm>;

/// A client that is a program for each session.
pub(super) struct Client<'m> {
    pub(super) name: String,
    pub(super) command: MakeCommand<'m>,
    /// What goes in.
    pub(super) message: Vec<u8>,
    /// What must come out.
    pub(super) answer: Vec<u8>,
    /// The ciphers that it can be told to use; an empty one when it has its own mind.
    pub(super) psk: &'static [&'static str],
    pub(super) ecdhe: &'static [&'static str],
    pub(super) lacks: Lacks,
}

impl<'m> Client<'m> {
    pub(super) fn program(program: Program, material: &'m Material) -> Client<'m> {
        Client {
            name: program.name().to_owned(),
            command: Box::new(move |port, credential, cipher| {
                program.command(material, port, credential, cipher)
            }),
            message: register("dev1", 1),
            answer: created(1),
            psk: &["CCM_8", "CCM", "GCM"],
            ecdhe: &["CCM_8", "CCM", "GCM"],
            lacks: match program {
                Program::OpenSsl => &[
                    ("rpk", "s_client of OpenSSL 3.0 has no raw public keys"),
                    ("cid", "OpenSSL has no Connection IDs"),
                ],
                Program::GnuTls => &[("cid", "GnuTLS has no Connection IDs")],
            },
        }
    }

    pub(super) fn libcoap(library: &'static str, material: &'m Material) -> Client<'m> {
        Client {
            name: format!("libcoap/{library}"),
            command: Box::new(move |port, credential, _| {
                libcoap(material, library, "coaps", port, "dev1", credential)
            }),
            message: Vec::new(),
            answer: b"c:2.01".to_vec(),
            psk: &[""],
            ecdhe: &[""],
            lacks: match library {
                "gnutls" => &[
                    LIBCOAP_EXPIRED,
                    LIBCOAP_NAMES,
                    ("resumed", "coap-client makes one session and forgets it"),
                    ("cid", "libcoap 4.3 has no Connection IDs"),
                ],
                _ => &[
                    ("rpk", "libcoap with OpenSSL has no raw public keys"),
                    LIBCOAP_EXPIRED,
                    LIBCOAP_NAMES,
                    ("resumed", "coap-client makes one session and forgets it"),
                    ("cid", "libcoap 4.3 has no Connection IDs"),
                ],
            },
        }
    }

    pub(super) fn tinydtls(root: &Path, python: PathBuf) -> Client<'m> {
        let script = root.join("tests/interop/aiocoap/secure.py");
        Client {
            name: "tinydtls".to_owned(),
            command: Box::new(move |port, credential, _| {
                let mut command = Command::new(&python);
                command
                    .arg(&script)
                    .arg(format!("coaps://127.0.0.1:{port}/"));
                if let Credential::Psk(identity, key) = credential {
                    command.args([identity, key]);
                }
                command
            }),
            message: Vec::new(),
            answer: b"answered 2.01".to_vec(),
            psk: &["CCM_8"],
            ecdhe: &["CCM_8"],
            lacks: &[
                ("rpk", "aiocoap has only pre-shared keys of tinydtls"),
                ("x509", "tinydtls has no certificates"),
                ("resumed", "tinydtls does not resume sessions"),
                ("cid", "aiocoap's tinydtls has no Connection IDs"),
            ],
        }
    }

    /// Every mode that it has, with good and with bad credentials; `more` are the scenarios that
    /// only this client has.
    pub(super) fn run(
        &self,
        root: &Path,
        material: &Material,
        report: &mut Report,
        more: impl FnOnce(&Target, &mut Rows<'_>),
    ) -> anyhow::Result<()> {
        let target = Target::start(root, material, "server")?;
        let mut rows = Rows::new(report, &self.name, "dtls client", self.lacks);
        for (credential, mode) in modes() {
            let ciphers = self.ciphers(mode);
            let with = match ciphers {
                [""] => String::new(),
                ciphers => format!(": {}", ciphers.join(", ")),
            };
            rows.row(&format!("{mode}{with}"), || {
                self.passes_in_each(&target, credential, mode)
            });
            match mode {
                "psk" => rows.row("psk: wrong key, unknown identity", || {
                    BAD_KEYS
                        .iter()
                        .try_for_each(|bad| self.refused(&target, *bad))
                }),
                "rpk" => rows.row("rpk: unknown key", || {
                    self.refused(&target, (Credential::Rpk("strange"), "rpk-unknown"))
                }),
                _ => {
                    rows.row("x509: expired, unknown issuer", || {
                        BAD_CERTIFICATES[..2]
                            .iter()
                            .try_for_each(|bad| self.refused(&target, *bad))
                    });
                    rows.row("x509: missing", || {
                        self.refused(&target, BAD_CERTIFICATES[2])
                    });
                    for (name, what) in BAD_SERVERS {
                        rows.row(&format!("x509: the server's certificate {what}"), || {
                            self.refuses(root, material, name)
                        });
                    }
                }
            }
        }
        more(&target, &mut rows);
        for words in ["resumed", "cid"] {
            if self.lacks.iter().any(|(lack, _)| *lack == words) {
                rows.row(words, || Ok(()));
            }
        }
        Ok(())
    }

    fn ciphers(&self, mode: &str) -> &'static [&'static str] {
        match mode {
            "psk" => self.psk,
            _ => self.ecdhe,
        }
    }

    /// A Register succeeds with each cipher, in a new session of this mode.
    fn passes_in_each(
        &self,
        target: &Target,
        credential: Credential,
        mode: &str,
    ) -> anyhow::Result<()> {
        for cipher in self.ciphers(mode) {
            let command = (self.command)(target.port, credential, cipher);
            let mut exchange = Exchange::start(command, &self.message)?;
            let session = target.session().with_context(|| exchange.said())?;
            session.expect("full", mode, cipher)?;
            exchange.hear(&self.answer)?;
        }
        Ok(())
    }

    /// The server refuses it for this reason, and there is no answer.
    fn refused(
        &self,
        target: &Target,
        (credential, reason): (Credential, &str),
    ) -> anyhow::Result<()> {
        let command = (self.command)(target.port, credential, self.psk[0]);
        let mut exchange = Exchange::start(command, &self.message)?;
        target.refused(reason).with_context(|| exchange.said())?;
        ensure!(
            !exchange.heard(&self.answer),
            "it was answered: {}",
            exchange.said()
        );
        Ok(())
    }

    /// It does not take a server that shows this certificate.
    fn refuses(&self, root: &Path, material: &Material, certificate: &str) -> anyhow::Result<()> {
        let target = Target::start(root, material, certificate)?;
        let credential = Credential::X509("client");
        let command = (self.command)(target.port, credential, self.ecdhe[0]);
        let mut exchange = Exchange::start(command, &self.message)?;
        let ended = target.ended().with_context(|| exchange.said())?;
        ensure!(
            ended.starts_with("refused dtls-peer-alert"),
            "after {certificate}: {ended}"
        );
        Ok(())
    }
}

/// OpenSSL keeps the session in a file, by ticket or by session id.
pub(super) fn openssl_resumes(material: &Material, target: &Target, rows: &mut Rows<'_>) {
    for (credential, mode) in [(GOOD, "psk"), (Credential::X509("client"), "x509")] {
        for (what, option) in [("ticket", None), ("session id", Some("-no_ticket"))] {
            rows.row(&format!("resumed: {mode}, by {what}"), || {
                let file = material.file(&format!("session-{mode}-{}", option.is_some()));
                for (kind, take) in [("full", "-sess_out"), ("resumed", "-sess_in")] {
                    let mut command =
                        Program::OpenSsl.command(material, target.port, credential, "CCM_8");
                    command.args([take, &file]).args(option);
                    let mut exchange = Exchange::start(command, &register("dev1", 1))?;
                    let session = target.session().with_context(|| exchange.said())?;
                    session.expect(kind, mode, "CCM_8")?;
                    exchange.hear(&created(1))?;
                }
                Ok(())
            });
        }
    }
}

/// GnuTLS connects twice by itself; what is written goes into the second session.
pub(super) fn gnutls_resumes(material: &Material, target: &Target, rows: &mut Rows<'_>) {
    for (credential, mode) in modes() {
        rows.row(&format!("resumed: {mode}"), || {
            let mut command = Program::GnuTls.command(material, target.port, credential, "CCM_8");
            command.arg("--resume");
            let mut exchange = Exchange::start(command, &register("dev1", 1))?;
            for kind in ["full", "resumed"] {
                let session = target.session().with_context(|| exchange.said())?;
                session.expect(kind, mode, "CCM_8")?;
            }
            exchange.hear(&created(1))
        });
    }
}
