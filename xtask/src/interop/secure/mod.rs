//! DTLS with programs that this project did not write: every mode that each of them has, with
//! good and with bad credentials, resumption, and Connection IDs with a port that changes.

mod binary;
mod exchange;
mod material;
mod programs;
mod relay;
mod target;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use super::peer::Peer;
use super::report::Report;
use super::server::Server;
use super::{aiocoap, leshan, libcoap as plain_libcoap};
use exchange::{Exchange, created, register};
pub(crate) use material::Material;
use programs::{Credential, KEY, Program, bytes_as_hex, libcoap, scandium};
use relay::Relay;
use target::Target;

const GOOD: Credential = Credential::Psk("dev1", KEY);

/// Identities and keys that the server refuses, and why.
const BAD_KEYS: [(Credential, &str); 2] = [
    (Credential::Psk("dev1", "fedcba9876543210"), "psk-wrong-key"),
    (Credential::Psk("nobody", KEY), "psk-identity-unknown"),
];

/// Certificates that the server refuses, and why.
const BAD_CERTIFICATES: [(Credential, &str); 3] = [
    (Credential::X509("expired"), "certificate-expired"),
    (Credential::X509("strange"), "certificate-issuer-unknown"),
    (Credential::NoCertificate, "certificate-missing"),
];

/// The binary over DTLS.
pub(crate) fn run_binary(root: &Path, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    Program::GnuTls.install(root)?;
    plain_libcoap::install(root)?;
    leshan::install(root)?;
    binary::add_credentials(server)?;
    binary::programs(server, report)?;
    binary::leshan(root, server, report);
    Ok(())
}

/// The engine of `lwm2m-dtls` by itself.
pub(crate) fn run(root: &Path, report: &mut Report) -> anyhow::Result<()> {
    let material = Material::make()?;
    let target = Target::start(root, &material)?;
    for program in [Program::OpenSsl, Program::GnuTls] {
        match program.install(root) {
            Err(reason) => report.skip(program.name(), "dtls", &format!("{reason:#}")),
            Ok(()) => {
                Client::program(program, &material, target.port).modes(&target, report);
                match program {
                    Program::OpenSsl => openssl_resumes(&material, &target, report),
                    Program::GnuTls => gnutls_resumes(&material, &target, report),
                }
            }
        }
    }
    match plain_libcoap::install(root) {
        Err(reason) => report.skip("libcoap", "dtls", &format!("{reason:#}")),
        Ok(()) => {
            for library in ["openssl", "gnutls"] {
                Client::libcoap(library, &material, target.port).modes(&target, report);
            }
        }
    }
    match aiocoap::install_dtls(root) {
        Err(reason) => report.skip("tinydtls", "dtls", &format!("{reason:#}")),
        Ok(python) => Client::tinydtls(root, python, target.port).modes(&target, report),
    }
    match leshan::install(root) {
        Err(reason) => report.skip("scandium", "dtls", &format!("{reason:#}")),
        Ok(()) => scandium_scenarios(root, &material, &target, report),
    }
    Ok(())
}

/// A credential and a cipher as a program.
type MakeCommand<'m> = Box<dyn Fn(Credential, &str) -> Command + 'm>;

/// A client that is a program for each session.
struct Client<'m> {
    name: String,
    command: MakeCommand<'m>,
    /// What goes in.
    message: Vec<u8>,
    /// What must come out.
    answer: Vec<u8>,
    /// The ciphers that it can be told to use; none when it has its own mind.
    ciphers: &'static [&'static str],
    raw_public_keys: bool,
    certificates: bool,
}

impl<'m> Client<'m> {
    fn program(program: Program, material: &'m Material, port: u16) -> Client<'m> {
        Client {
            name: program.name().to_owned(),
            command: Box::new(move |credential, cipher| {
                program.command(material, port, credential, cipher)
            }),
            message: register("dev1", 1),
            answer: created(1),
            ciphers: &["CCM_8", "CCM", "GCM"],
            raw_public_keys: program == Program::GnuTls,
            certificates: true,
        }
    }

    fn libcoap(library: &'static str, material: &'m Material, port: u16) -> Client<'m> {
        Client {
            name: format!("libcoap/{library}"),
            command: Box::new(move |credential, _| {
                libcoap(material, library, "coaps", port, "dev1", credential)
            }),
            message: Vec::new(),
            answer: b"2.01".to_vec(),
            ciphers: &[""],
            raw_public_keys: library == "gnutls",
            certificates: true,
        }
    }

    fn tinydtls(root: &Path, python: PathBuf, port: u16) -> Client<'m> {
        let script = root.join("tests/interop/aiocoap/secure.py");
        Client {
            name: "tinydtls".to_owned(),
            command: Box::new(move |credential, _| {
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
            ciphers: &["CCM_8"],
            raw_public_keys: false,
            certificates: false,
        }
    }

    /// Every mode that it has, with good and with bad credentials.
    fn modes(&self, target: &Target, report: &mut Report) {
        let name = &self.name;
        let with = match self.ciphers {
            [""] => String::new(),
            ciphers => format!(": {}", ciphers.join(", ")),
        };
        report.scenario(name, &format!("dtls psk{with}"), || {
            self.passes_in_each(target, GOOD, "psk")
        });
        report.scenario(name, "dtls psk: wrong key, unknown identity", || {
            BAD_KEYS
                .iter()
                .try_for_each(|bad| self.refused(target, *bad))
        });
        if self.raw_public_keys {
            report.scenario(name, &format!("dtls rpk{with}"), || {
                self.passes_in_each(target, Credential::Rpk("client"), "rpk")
            });
            report.scenario(name, "dtls rpk: unknown key", || {
                self.refused(target, (Credential::Rpk("strange"), "rpk-unknown"))
            });
        }
        if self.certificates {
            report.scenario(name, &format!("dtls x509{with}"), || {
                self.passes_in_each(target, Credential::X509("client"), "x509")
            });
            report.scenario(name, "dtls x509: expired, unknown issuer, missing", || {
                BAD_CERTIFICATES
                    .iter()
                    .try_for_each(|bad| self.refused(target, *bad))
            });
        }
    }

    /// A Register succeeds with each cipher, in a new session of this mode.
    fn passes_in_each(
        &self,
        target: &Target,
        credential: Credential,
        mode: &str,
    ) -> anyhow::Result<()> {
        for cipher in self.ciphers {
            let mut exchange = Exchange::start((self.command)(credential, cipher), &self.message)?;
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
        let command = (self.command)(credential, self.ciphers[0]);
        let mut exchange = Exchange::start(command, &self.message)?;
        target.refused(reason).with_context(|| exchange.said())?;
        ensure!(
            !exchange.heard(&self.answer),
            "it was answered: {}",
            exchange.said()
        );
        Ok(())
    }
}

/// OpenSSL keeps the session in a file, by ticket or by session id.
fn openssl_resumes(material: &Material, target: &Target, report: &mut Report) {
    for (credential, mode) in [(GOOD, "psk"), (Credential::X509("client"), "x509")] {
        for (what, option) in [("ticket", None), ("session id", Some("-no_ticket"))] {
            report.scenario(
                "openssl",
                &format!("dtls {mode}: resumed by {what}"),
                || {
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
                },
            );
        }
    }
}

/// GnuTLS connects twice by itself; what is written goes into the second session.
fn gnutls_resumes(material: &Material, target: &Target, report: &mut Report) {
    for (credential, mode) in [
        (GOOD, "psk"),
        (Credential::Rpk("client"), "rpk"),
        (Credential::X509("client"), "x509"),
    ] {
        report.scenario("gnutls", &format!("dtls {mode}: resumed"), || {
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

fn scandium_scenarios(root: &Path, material: &Material, target: &Target, report: &mut Report) {
    const SCANDIUM: &str = "scandium";
    let start = |port, credential, more: &[&str]| {
        Peer::start(scandium(root, material, port, credential, more))
    };
    let passes = |credential, mode: &str, kind: &str| {
        for cipher in ["CCM_8", "CCM", "GCM"] {
            let suffix = if cipher == "GCM" { "_SHA256" } else { "" };
            let suite = format!("suite=TLS_{kind}_WITH_AES_128_{cipher}{suffix}");
            let mut device = start(target.port, credential, &[&suite])?;
            ask(&mut device, 1)?;
            target.session()?.expect("full", mode, cipher)?;
        }
        anyhow::Ok(())
    };
    let refused = |(credential, reason): (Credential, &str)| {
        let mut device = start(target.port, credential, &[])?;
        device.tell(&format!("send {}", bytes_as_hex(&register("dev1", 1))))?;
        target.refused(reason)?;
        device.hear("broken")?;
        anyhow::Ok(())
    };
    report.scenario(SCANDIUM, "dtls psk: CCM_8, CCM, GCM", || {
        passes(GOOD, "psk", "PSK")
    });
    report.scenario(SCANDIUM, "dtls psk: wrong key, unknown identity", || {
        BAD_KEYS.into_iter().try_for_each(refused)
    });
    report.scenario(SCANDIUM, "dtls rpk: CCM_8, CCM, GCM", || {
        passes(Credential::Rpk("client"), "rpk", "ECDHE_ECDSA")
    });
    report.scenario(SCANDIUM, "dtls rpk: unknown key", || {
        refused((Credential::Rpk("strange"), "rpk-unknown"))
    });
    report.scenario(SCANDIUM, "dtls x509: CCM_8, CCM, GCM", || {
        passes(Credential::X509("client"), "x509", "ECDHE_ECDSA")
    });
    report.scenario(SCANDIUM, "dtls x509: expired, unknown issuer", || {
        BAD_CERTIFICATES[..2]
            .iter()
            .try_for_each(|bad| refused(*bad))
    });
    for (credential, mode) in [
        (GOOD, "psk"),
        (Credential::Rpk("client"), "rpk"),
        (Credential::X509("client"), "x509"),
    ] {
        for length in ["0", "4"] {
            let name = format!("dtls {mode}: cid of length {length}, the port changes");
            report.scenario(SCANDIUM, &name, || {
                let relay = Relay::to(target.port)?;
                let mut device = start(relay.port, credential, &[&format!("cid={length}")])?;
                ask(&mut device, 1)?;
                let session = target.session()?;
                session.expect("full", mode, "")?;
                ensure!(session.cid == "cid", "{session:?}");
                relay.move_on()?;
                ask(&mut device, 2)?;
                target.moved()?;
                ask(&mut device, 3)
            });
        }
        report.scenario(SCANDIUM, &format!("dtls {mode}: resumed"), || {
            let mut device = start(target.port, credential, &[])?;
            ask(&mut device, 1)?;
            target.session()?.expect("full", mode, "")?;
            device.tell("resume")?;
            ask(&mut device, 2)?;
            target.session()?.expect("resumed", mode, "")?;
            device.tell("forget")?;
            ask(&mut device, 3)?;
            target.session()?.expect("full", mode, "")
        });
    }
}

/// A Register through Scandium, answered.
fn ask(device: &mut Peer, message_id: u16) -> anyhow::Result<()> {
    let request = bytes_as_hex(&register("dev1", message_id));
    device.tell(&format!("send {request}"))?;
    device.hear(&format!("received {}", bytes_as_hex(&created(message_id))))?;
    Ok(())
}
