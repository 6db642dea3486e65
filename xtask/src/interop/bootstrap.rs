//! Clients of others at the bootstrap port: they get an account, and register with it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use super::leshan::{self, life};
use super::peer::{Peer, free_port};
use super::report::Report;
use super::secure::{
    Credential, Program, bootstrap_over_tls, gnutls_over_tls, java_options, openssl_over_tls,
    register_over_tls,
};
use super::server::{Server, expect};
use super::{aiocoap, libcoap};
use crate::process;

const AIOCOAP: &str = "aiocoap";
const LESHAN: &str = "leshan";
const LIBCOAP: &str = "libcoap";

/// The key for the bootstrap server, and the one for the other server.
const FIRST_KEY: &str = "first-0123456789";
const GIVEN_KEY: &str = "given-0123456789";

pub(crate) fn run(root: &Path, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    leshan::install(root)?;
    libcoap::install(root)?;
    Program::OpenSsl.install(root)?;
    Program::GnuTls.install(root)?;
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
            ensure!(!said.contains("c:4.00"), "the answer was {said}");
            let started = events.next("bootstrap_started")?;
            let found = started["endpoint"].as_str().unwrap_or_default();
            expect("the endpoint", found, endpoint)?;
            let said = ask(root, server, library, scheme, "boot-nobody")?;
            ensure!(said.contains("c:4.00"), "the answer was {said}");
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
    over_streams(root, server, report)
}

/// Bootstrap over connections, each with an account of the same kind, and a Register with it.
fn over_streams(root: &Path, server: &Server, report: &mut Report) -> anyhow::Result<()> {
    provide_streams(server)?;
    let material = &server.material;
    let bootstrap = server.bootstrap_port("coaps+tcp")?;
    let port = server.port("coaps+tcp")?;
    for (version, suite) in [
        ("-tls1_2", "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("-tls1_3", "TLS_AES_128_GCM_SHA256"),
    ] {
        let name = format!("bootstrap over tls: x509, {}", &version[1..]);
        report.scenario("openssl", &name, || {
            let command = |port, name| {
                openssl_over_tls(material, port, version, Credential::X509(name), suite)
            };
            let written = bootstrap_over_tls(server, command(bootstrap, "boot"), "boot-x509")?;
            gives(server, &written)?;
            register_over_tls(server, command(port, "given"), "boot-x509", "x509")
        });
    }
    const PSK_NAME: &str = "bootstrap over tls: psk, tls1_2";
    match &server.no_tls_psk {
        Some(reason) => report.skip("openssl", PSK_NAME, reason),
        None => report.scenario("openssl", PSK_NAME, || {
            let command = |port, credential| {
                openssl_over_tls(material, port, "-tls1_2", credential, "PSK-AES128-CCM8")
            };
            let written = bootstrap_over_tls(server, command(bootstrap, PSK), "boot-psk")?;
            gives(server, &written)?;
            let given = Credential::Psk("boot-psk", GIVEN_KEY);
            register_over_tls(server, command(port, given), "boot-psk", "psk")
        }),
    }
    for version in ["TLS1.2", "TLS1.3"] {
        let name = format!("bootstrap over tls: rpk, {version}");
        report.scenario("gnutls", &name, || {
            let command = |port, name| {
                let credential = Credential::Rpk(name);
                gnutls_over_tls(material, port, version, credential, "AES-128-GCM")
            };
            let written = bootstrap_over_tls(server, command(bootstrap, "boot"), "boot-rpk")?;
            gives(server, &written)?;
            register_over_tls(server, command(port, "given"), "boot-rpk", "rpk")
        });
    }
    let python = match aiocoap::install_plain(root) {
        Ok(python) => python,
        Err(reason) => {
            report.skip(
                AIOCOAP,
                "bootstrap over tcp and tls",
                &format!("{reason:#}"),
            );
            return Ok(());
        }
    };
    for (scheme, endpoint, mode) in [
        ("coap+tcp", "boot-tcp", "nosec"),
        ("coaps+tcp", "boot-x509", "x509"),
    ] {
        let name = format!("bootstrap over {scheme}: {mode}, register, read, update");
        report.scenario(AIOCOAP, &name, || {
            let by = |name: &str| match mode {
                "x509" => ["ca.pem", &format!("{name}.pem"), &format!("{name}.key")]
                    .map(|name| material.file(name))
                    .to_vec(),
                _ => Vec::new(),
            };
            let events = server.events()?;
            let mut command = Command::new(&python);
            command
                .arg(root.join("tests/interop/aiocoap/bootstrap.py"))
                .args([&server.bootstrap_uri(scheme)?, endpoint])
                .arg(free_port()?.to_string())
                .args(by("boot"));
            let device = Peer::start(command)?;
            let account = device.hear("account ")?;
            device.hear("finished")?;
            let finished = events.next("bootstrap_finished")?;
            let found = finished["endpoint"].as_str().unwrap_or_default();
            expect("the endpoint", found, endpoint)?;
            let uri = account.trim_start_matches("account ");
            expect("the account", uri, &server.uri(scheme)?)?;
            let mut command = Command::new(&python);
            command
                .arg(root.join("tests/interop/aiocoap/device.py"))
                .args([uri, endpoint, &free_port()?.to_string()])
                .args(by("given"));
            let mut device = Peer::start(command)?;
            device.hear("registered /rd/")?;
            let client = server.cli(&["client", endpoint])?;
            let found = client["identity"]["mode"].as_str().unwrap_or_default();
            expect("the mode of the identity", found, mode)?;
            let value = server.read(endpoint, "/3/0/0", &["--format", "text"])?;
            expect("/3/0/0", &value, AIOCOAP)?;
            device.tell("update")?;
            device.hear("updated 2.04")?;
            device.tell("stop")?;
            device.hear("deregistered 2.02")?;
            server.wait_registered(endpoint, false)
        });
    }
    Ok(())
}

/// What was written has the URI of the listener of TLS.
fn gives(server: &Server, written: &[u8]) -> anyhow::Result<()> {
    let uri = server.uri("coaps+tcp")?;
    let found = String::from_utf8_lossy(written).contains(&uri);
    ensure!(found, "no {uri} in what was written");
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
    plan(
        server,
        &server.uri("coap")?,
        &server.uri("coaps")?,
        "boot-nosec",
    )
}

/// The same devices, with accounts for connections.
fn provide_streams(server: &Server) -> anyhow::Result<()> {
    let older = ["boot-psk", "boot-rpk", "boot-x509"];
    server.cli(&[&["bootstrap", "remove"], &older[..]].concat())?;
    plan(
        server,
        &server.uri("coap+tcp")?,
        &server.uri("coaps+tcp")?,
        "boot-tcp",
    )
}

/// Gives the devices plans with accounts at these URIs; `open` is the one without security.
fn plan(server: &Server, plain: &str, secure: &str, open: &str) -> anyhow::Result<()> {
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
        plan(open, plain, ""),
        plan("boot-psk", secure, "credential = \"psk\""),
        plan("boot-rpk", secure, &rpk),
        plan("boot-x509", secure, &x509),
    ];
    let plans = server.material.write("plans.toml", &plans.concat())?;
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
