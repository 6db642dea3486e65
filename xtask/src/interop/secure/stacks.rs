//! DTLS stacks that are libraries, in programs of this project that only pass bytes through:
//! webrtc-dtls and dimpl, and Mbed TLS, whose source comes in a crate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, ensure};
use cargo_metadata::MetadataCommand;

use super::super::peer::free_port;
use super::clients::Client;
use super::exchange::{Exchange, created, register};
use super::material::Material;
use super::modes;
use super::ours::target_directory;
use super::programs::{Credential, KEY, hex};
use super::relay::Relay;
use super::rows::{Lacks, Rows};
use super::running::{Running, Talk};
use super::servers::{Server, Shows};
use super::target::Target;
use crate::process;

const ALL: &[&str] = &["CCM_8", "CCM", "GCM"];

/// A library and its program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stack {
    Webrtc,
    Dimpl,
    MbedTls,
}

impl Stack {
    pub(super) const ALL: [Stack; 3] = [Stack::Webrtc, Stack::Dimpl, Stack::MbedTls];

    pub(super) fn name(self) -> &'static str {
        match self {
            Stack::Webrtc => "webrtc-dtls",
            Stack::Dimpl => "dimpl",
            Stack::MbedTls => "mbedtls",
        }
    }

    /// Builds its program.
    pub(super) fn install(self, root: &Path) -> anyhow::Result<()> {
        match self {
            Stack::Webrtc | Stack::Dimpl => {
                let target = target_directory(root).to_string_lossy().into_owned();
                let folder = root.join("tests/interop/peers");
                let build = ["build", "--quiet", "--locked", "--target-dir", &target];
                process::run(&folder, "cargo", &build)
            }
            Stack::MbedTls => mbedtls(root),
        }
    }

    fn program(self, root: &Path) -> PathBuf {
        let target = target_directory(root);
        match self {
            Stack::Webrtc => target.join("debug/webrtc"),
            Stack::Dimpl => target.join("debug/dimpl"),
            Stack::MbedTls => target.join("interop/mbedtls-peer"),
        }
    }

    /// As a client of ours.
    pub(super) fn client<'m>(self, root: &'m Path, material: &'m Material) -> Client<'m> {
        Client {
            name: self.name().to_owned(),
            command: Box::new(move |port, credential, cipher| {
                let mut command = Command::new(self.program(root));
                command.args(["client", &port.to_string()]);
                command.args(credentials(material, credential));
                command.args((!cipher.is_empty()).then(|| format!("suite={cipher}")));
                command
            }),
            message: register("dev1", 1),
            answer: created(1),
            psk: self.psk(),
            ecdhe: self.ecdhe(),
            lacks: self.lacks(),
        }
    }

    /// As a server for ours.
    pub(super) fn server<'m>(self, root: &'m Path, material: &'m Material) -> Server<'m> {
        Server {
            name: self.name().to_owned(),
            start: Box::new(move |shows| {
                let port = free_port()?;
                let mut command = Command::new(self.program(root));
                command.args(["server", &port.to_string()]);
                command.args(match shows {
                    Shows::Psk => credentials(material, Credential::Psk("dev1", KEY)),
                    Shows::X509(name) => credentials(material, Credential::X509(name)),
                    Shows::Rpk => anyhow::bail!("{} has no raw public keys", self.name()),
                });
                command.args((self == Stack::MbedTls).then_some("cid=4"));
                Running::start(command, port, Talk::Echo)
            }),
            psk: self.psk(),
            ecdhe: self.ecdhe(),
            lacks: self.lacks(),
        }
    }

    /// What only this client can do.
    pub(super) fn more(
        self,
        root: &Path,
        material: &Material,
        target: &Target,
        rows: &mut Rows<'_>,
    ) {
        if self != Stack::MbedTls {
            return;
        }
        let client = self.client(root, material);
        for (credential, mode) in modes().into_iter().filter(|(_, mode)| *mode != "rpk") {
            rows.row(&format!("resumed: {mode}"), || {
                let mut command = (client.command)(target.port, credential, "CCM_8");
                command.arg("resume");
                let mut exchange = Exchange::start(command, &register("dev1", 1))?;
                for kind in ["full", "resumed"] {
                    let session = target.session().with_context(|| exchange.said())?;
                    session.expect(kind, mode, "CCM_8")?;
                }
                exchange.hear(&created(1))
            });
            for length in ["0", "4"] {
                let name = format!("cid: {mode}, of length {length}, the port changes");
                rows.row(&name, || {
                    let relay = Relay::to(target.port)?;
                    let mut command = (client.command)(relay.port, credential, "CCM_8");
                    command.arg(format!("cid={length}"));
                    let mut exchange = Exchange::start(command, &register("dev1", 1))?;
                    let session = target.session().with_context(|| exchange.said())?;
                    ensure!(session.cid == "cid", "{session:?}");
                    exchange.hear(&created(1))?;
                    relay.move_on()?;
                    exchange.send(&register("dev1", 2))?;
                    exchange.hear(&created(2))?;
                    target.moved()
                });
            }
        }
    }

    fn psk(self) -> &'static [&'static str] {
        match self {
            Stack::Dimpl => &["CCM_8"],
            _ => ALL,
        }
    }

    fn ecdhe(self) -> &'static [&'static str] {
        match self {
            Stack::Dimpl => &["GCM"],
            _ => ALL,
        }
    }

    fn lacks(self) -> Lacks {
        match self {
            Stack::Webrtc => &[
                ("rpk", "webrtc-dtls has no raw public keys"),
                ("resumed", "webrtc-dtls does not resume sessions"),
                ("cid", "webrtc-dtls has no Connection IDs"),
            ],
            Stack::Dimpl => &[
                ("rpk", "dimpl has no raw public keys"),
                (
                    "x509: expired",
                    "dimpl leaves what it is shown to the application",
                ),
                (
                    "x509: the server's",
                    "dimpl leaves what it is shown to the application",
                ),
                (
                    "x509: our certificate has",
                    "dimpl leaves what it is shown to the application",
                ),
                (
                    "x509: our certificate is of",
                    "dimpl leaves what it is shown to the application",
                ),
                ("x509: missing", "dimpl always has a certificate"),
                ("resumed", "dimpl does not resume sessions"),
                ("cid", "dimpl has no Connection IDs"),
            ],
            Stack::MbedTls => &[("rpk", "Mbed TLS 3.6 has no raw public keys")],
        }
    }
}

/// As all three programs take them.
fn credentials(material: &Material, credential: Credential) -> Vec<String> {
    let file = |key: &str, name: String| format!("{key}={}", material.file(&name));
    let trust = [file("trust", "ca.pem".into()), "name=localhost".to_owned()];
    match credential {
        Credential::Psk(identity, key) => vec![format!("psk={identity}:{}", hex(key))],
        Credential::Rpk(name) => vec![file("key", format!("{name}.key"))],
        Credential::X509(name) => {
            let own = [
                file("key", format!("{name}.key")),
                file("certificate", format!("{name}.pem")),
            ];
            own.into_iter().chain(trust).collect()
        }
        Credential::NoCertificate => trust.into(),
    }
}

/// Compiles Mbed TLS and the program in one go, unless that was done.
fn mbedtls(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("tests/interop/mbedtls");
    let program = Stack::MbedTls.program(root);
    let made = |path: &Path| fs::metadata(path)?.modified();
    let sources = [folder.join("peer.c"), folder.join("config.h")];
    let newest = sources.iter().map(|source| made(source));
    let newest: SystemTime = newest
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .max()
        .context("sources")?;
    if made(&program).is_ok_and(|made| made > newest) {
        return Ok(());
    }
    let library = mbedtls_source(root)?;
    let mut command = vec!["-O1".to_owned(), "-w".to_owned()];
    command.push("-DMBEDTLS_CONFIG_FILE=\"config.h\"".to_owned());
    command.push("-I.".to_owned());
    command.push(format!("-I{}", library.join("include").display()));
    command.push("peer.c".to_owned());
    for entry in fs::read_dir(library.join("library"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            command.push(path.to_string_lossy().into_owned());
        }
    }
    fs::create_dir_all(program.parent().context("a folder")?)?;
    command.extend(["-o".to_owned(), program.to_string_lossy().into_owned()]);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    process::capture(&folder, "cc", &command).context("Mbed TLS cannot be compiled")?;
    Ok(())
}

/// Where cargo has put the crate that Mbed TLS comes in.
fn mbedtls_source(root: &Path) -> anyhow::Result<PathBuf> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("tests/interop/peers/Cargo.toml"))
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .context("the crates cannot be fetched")?;
    let mut packages = metadata.packages.iter();
    let package = packages.find(|package| package.name.as_str() == "mbedtls-rs-sys");
    let manifest = package
        .context("mbedtls-rs-sys is missing")?
        .manifest_path
        .as_std_path();
    Ok(manifest.parent().context("a folder")?.join("mbedtls"))
}
