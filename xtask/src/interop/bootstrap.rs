//! Clients of others at the bootstrap port: they get an account, and register with it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::leshan::{self, life};
use super::libcoap;
use super::peer::Peer;
use super::report::Report;
use super::secure::{Credential, java_options};
use super::server::{Server, expect};
use crate::process;

const LESHAN: &str = "leshan";
const LIBCOAP: &str = "libcoap";

/// The key for the bootstrap server, and the one for the other server.
const FIRST_KEY: &str = "first-0123456789";
const GIVEN_KEY: &str = "given-0123456789";

pub(crate) fn run(root: &Path, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    leshan::install(root)?;
    libcoap::install(root)?;
    provide(server)?;
    for (scheme, endpoint, credential, mode) in [
        ("coap", "boot-nosec", None, "nosec"),
        ("coaps", "boot-psk", Some(PSK), "psk"),
        ("coaps", "boot-rpk", Some(Credential::Rpk("boot")), "rpk"),
        ("coaps", "boot-x509", Some(Credential::X509("boot")), "x509"),
    ] {
        let name = format!("bootstrap {mode}, register, read, observe, update");
        report.scenario(LESHAN, &name, || {
            let events = server.events()?;
            let uri = server.bootstrap_uri(scheme)?;
            let device = start(root, server, &uri, endpoint, credential)?;
            device.hear("bootstrapped")?;
            let finished = events.next("bootstrap_finished")?;
            let found = finished["endpoint"].as_str().unwrap_or_default();
            expect("the endpoint", found, endpoint)?;
            life(server, endpoint, device, mode)
        });
    }
    report.skip(
        LESHAN,
        "bootstrap oscore",
        "the client of Leshan 2.0.0-M15 takes all before it, and answers 5.00 to the Write of a second \
         instance of object 21; why is not known",
    );
    report.scenario(LESHAN, "bootstrap, an unknown endpoint is refused", || {
        let uri = server.bootstrap_uri("coap")?;
        refused(
            root,
            server,
            &uri,
            ("boot-nobody", None),
            "bootstrap-not-configured",
        )
    });
    report.scenario(LESHAN, "bootstrap psk, the name of another device", || {
        let uri = server.bootstrap_uri("coaps")?;
        let stranger = ("boot-x509", Some(PSK));
        refused(root, server, &uri, stranger, "endpoint-not-allowed")
    });
    report.scenario(LESHAN, "bootstrap psk, a wrong key", || {
        let uri = server.bootstrap_uri("coaps")?;
        let wrong = Some(Credential::Psk("boot-psk-first", GIVEN_KEY));
        refused(root, server, &uri, ("boot-psk", wrong), "psk-wrong-key")
    });
    for (library, scheme, endpoint) in [
        ("notls", "coap", "boot-nosec"),
        ("openssl", "coaps", "boot-psk"),
        ("gnutls", "coaps", "boot-psk"),
    ] {
        let name = format!("bootstrap-request: {library}, taken and refused");
        report.scenario(LIBCOAP, &name, || {
            let events = server.events()?;
            let said = ask(root, server, library, scheme, endpoint)?;
            ensure!(!said.contains("4.00"), "the answer was {said}");
            let started = events.next("bootstrap_started")?;
            let found = started["endpoint"].as_str().unwrap_or_default();
            expect("the endpoint", found, endpoint)?;
            let said = ask(root, server, library, scheme, "boot-nobody")?;
            ensure!(said.contains("4.00"), "the answer was {said}");
            let refused = events.next("refused")?["reason"]["hint"].to_string();
            ensure!(refused.len() > 10, "without a hint: {refused}");
            Ok(())
        });
    }
    report.skip(
        LIBCOAP,
        "bootstrap to the end",
        "coap-client takes no requests, and coap-server has no /bs to finish at",
    );
    Ok(())
}

const PSK: Credential = Credential::Psk("boot-psk-first", FIRST_KEY);

/// The credentials of the devices, and what they are given.
fn provide(server: &Server) -> anyhow::Result<()> {
    let material = &server.material;
    let first = material.write("boot-first", &hex(FIRST_KEY))?;
    let given = material.write("boot-given", &hex(GIVEN_KEY))?;
    let [first_public, given_public] = ["boot.pub.pem", "given.pub.pem"].map(|n| material.file(n));
    let psk = ["--identity", "boot-psk-first", "--key-file", &first];
    let own_psk = ["--identity", "boot-psk", "--key-file", &given];
    let rule = ["--mode", "x509", "--common-name", "boot-x509"];
    for (endpoint, more) in [
        ("boot-psk", &psk[..]),
        ("boot-psk", &own_psk),
        ("boot-rpk", &["--public-key", &first_public]),
        ("boot-rpk", &["--public-key", &given_public]),
        ("boot-x509", &rule),
    ] {
        server.cli(&[&["credentials", "add", endpoint], more].concat())?;
    }
    let plain = server.uri("coap")?;
    let secure = server.uri("coaps")?;
    let plan = |endpoint: &str, uri: &str, more: &str| {
        format!(
            "[[device]]\nendpoint = \"{endpoint}\"\n[[device.server]]\nshort_server_id = 101\n\
             uri = \"{uri}\"\n{more}\n"
        )
    };
    let key = "private_key = \"given.key\"\n";
    let rpk = format!("{key}server_public_key = \"server.pub.pem\"");
    let x509 = format!("{key}certificate = \"given.pem\"\nserver_certificate = \"server.pem\"");
    let plans = [
        plan("boot-nosec", &plain, ""),
        plan("boot-psk", &secure, "credential = \"psk\""),
        plan("boot-rpk", &secure, &rpk),
        plan("boot-x509", &secure, &x509),
    ];
    let plans = material.write("plans.toml", &plans.concat())?;
    server.cli(&["bootstrap", "import", &plans])?;
    Ok(())
}

/// The Leshan client with the account of a bootstrap server.
fn start(
    root: &Path,
    server: &Server,
    uri: &str,
    endpoint: &str,
    credential: Option<Credential>,
) -> anyhow::Result<Peer> {
    let folder = root.join("tests/interop/leshan/target");
    let class_path = format!(
        "{}:{}/*",
        folder.join("leshan-device-1.jar").display(),
        folder.join("lib").display()
    );
    let mut command = Command::new("java");
    command
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .args(["-cp", &class_path, "interop.LeshanDevice", uri, endpoint])
        .args(["300", "awake"])
        .arg(root.join("object-registry/objects/3303.xml"))
        .arg("bootstrap=yes");
    if let Some(credential) = credential {
        command.args(java_options(&server.material, credential));
    }
    Peer::start(command)
}

/// A device with this name and credential is refused for this reason, and gets nothing.
fn refused(
    root: &Path,
    server: &Server,
    uri: &str,
    (endpoint, credential): (&str, Option<Credential>),
    reason: &str,
) -> anyhow::Result<()> {
    let events = server.events()?;
    let _device = start(root, server, uri, endpoint, credential)?;
    let event = events.next("refused")?;
    let found = event["reason"]["code"].as_str().unwrap_or_default();
    ensure!(found.contains(reason), "expected {reason}, found {event}");
    ensure!(event["reason"]["hint"].is_string(), "no hint in {event}");
    Ok(())
}

/// A Bootstrap-Request by coap-client; what it printed.
fn ask(
    root: &Path,
    server: &Server,
    library: &str,
    scheme: &str,
    endpoint: &str,
) -> anyhow::Result<String> {
    let uri = server.bootstrap_uri(scheme)?;
    let mut arguments = vec!["-v", "6", "-B", "8", "-m", "post"];
    if scheme == "coaps" {
        arguments.extend(["-u", "boot-psk-first", "-k", FIRST_KEY]);
    }
    let uri = format!("{uri}/bs?ep={endpoint}");
    arguments.push(&uri);
    process::capture(root, &format!("coap-client-{library}"), &arguments)
        .with_context(|| uri.clone())
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}
