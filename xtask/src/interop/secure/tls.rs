//! The binary over TLS (RFC 8323): certificates, pre-shared keys and raw public keys on one port.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::super::report::Report;
use super::super::server::Server;
use super::binary::{ENDPOINT, identified, refused};
use super::exchange::Exchange;
use super::material::Material;
use super::programs::{Credential, hex, libcoap};
use super::streams::{CREATED, register};
use super::{BAD_CERTIFICATES, BAD_KEYS, GOOD};

/// What a program is told to agree on: version, suite of certificates, suite of keys.
struct Agreement {
    version: &'static str,
    suites: &'static [&'static str],
}

const OPENSSL: [Agreement; 2] = [
    Agreement {
        version: "-tls1_2",
        suites: &["PSK-AES128-CCM8", "PSK-AES128-CCM", "PSK-AES128-GCM-SHA256"],
    },
    Agreement {
        version: "-tls1_3",
        suites: &["TLS_AES_128_GCM_SHA256", "TLS_AES_128_CCM_8_SHA256"],
    },
];

const GNUTLS: [Agreement; 2] = [
    Agreement {
        version: "TLS1.2",
        suites: &["AES-128-CCM-8", "AES-128-CCM", "AES-128-GCM"],
    },
    Agreement {
        version: "TLS1.3",
        suites: &["AES-128-GCM", "AES-128-CCM"],
    },
];

/// The suites of [`own_engine`], as the configuration names them.
pub(super) const OWN_SUITES: &str = r#"suites = [
    "TLS_PSK_WITH_AES_128_CCM_8", "TLS_PSK_WITH_AES_128_CCM", "TLS_PSK_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
]
"#;

/// Pre-shared keys of TLS 1.2 at a binary without OpenSSL: registered, refused, bootstrapped.
pub(super) fn own_engine(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let port = server.port("coaps+tcp")?;
    let material = &server.material;
    let [by_openssl, by_gnutls] = [&OPENSSL[0], &GNUTLS[0]];
    report.scenario("openssl", "own engine of tls 1.2: psk", || {
        each_key(server, by_openssl, |credential, suite| {
            openssl(material, port, by_openssl.version, credential, suite)
        })
    });
    report.scenario("gnutls", "own engine of tls 1.2: psk", || {
        each_key(server, by_gnutls, |credential, suite| {
            gnutls(material, port, by_gnutls.version, credential, suite)
        })
    });
    report.scenario("gnutls", "own engine of tls 1.2: rpk", || {
        let credential = Credential::Rpk("client");
        let command = gnutls(material, port, "TLS1.2", credential, "AES-128-CCM-8");
        Exchange::start(command, &register(ENDPOINT))?.hear(CREATED)?;
        identified(server, "rpk")?;
        let stranger = Credential::Rpk("strange");
        let command = gnutls(material, port, "TLS1.2", stranger, "AES-128-CCM-8");
        refused(server, command, &register(ENDPOINT), "rpk-unknown")
    });
    let plan = material.write("plan.toml", &super::streams::plan(ENDPOINT, server)?)?;
    server.cli(&["bootstrap", "import", &plan])?;
    let port = server.bootstrap_port("coaps+tcp")?;
    report.scenario("openssl", "own engine of tls 1.2: bootstrap psk", || {
        let command = openssl(material, port, "-tls1_2", GOOD, "PSK-AES128-CCM8");
        super::streams::bootstrap(server, command, ENDPOINT).map(drop)
    });
    report.scenario("gnutls", "own engine of tls 1.2: bootstrap psk", || {
        let command = gnutls(material, port, "TLS1.2", GOOD, "AES-128-CCM-8");
        super::streams::bootstrap(server, command, ENDPOINT).map(drop)
    });
    Ok(())
}

/// Every program in every mode that it has, and what is refused.
pub(super) fn programs(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let port = server.port("coaps+tcp")?;
    let material = &server.material;
    for library in ["openssl", "gnutls"] {
        let command =
            |credential| libcoap(material, library, "coaps+tcp", port, ENDPOINT, credential);
        let name = |what: &str| format!("binary tls: libcoap-{library}, {what}");
        report.scenario("libcoap", &name("x509"), || {
            Exchange::start(command(Credential::X509("client")), b"")?.hear(b"c:2.01")?;
            identified(server, "x509")
        });
        report.scenario("libcoap", &name("bad x509"), || {
            for (credential, reason) in BAD_CERTIFICATES {
                refused(server, command(credential), b"", reason)?;
            }
            Ok(())
        });
        keys(server, report, "libcoap", &name("psk"), |report, name| {
            report.scenario("libcoap", name, || {
                Exchange::start(command(GOOD), b"")?.hear(b"c:2.01")?;
                identified(server, "psk")?;
                for (credential, reason) in BAD_KEYS {
                    refused(server, command(credential), b"", reason)?;
                }
                Ok(())
            });
        });
    }
    for agreement in &OPENSSL {
        let name = format!("binary tls: psk, {}", &agreement.version[1..]);
        keys(server, report, "openssl", &name, |report, name| {
            report.scenario("openssl", name, || {
                each_key(server, agreement, |credential, suite| {
                    openssl(material, port, agreement.version, credential, suite)
                })
            });
        });
    }
    for agreement in &GNUTLS {
        let name = |mode: &str| format!("binary tls: {mode}, {}", agreement.version);
        keys(server, report, "gnutls", &name("psk"), |report, name| {
            report.scenario("gnutls", name, || {
                each_key(server, agreement, |credential, suite| {
                    gnutls(material, port, agreement.version, credential, suite)
                })
            });
        });
        let command =
            |credential| gnutls(material, port, agreement.version, credential, "AES-128-GCM");
        report.scenario("gnutls", &name("x509"), || {
            let mut good =
                Exchange::start(command(Credential::X509("client")), &register(ENDPOINT))?;
            good.hear(CREATED)?;
            identified(server, "x509")?;
            for (credential, reason) in BAD_CERTIFICATES {
                refused(server, command(credential), &register(ENDPOINT), reason)?;
            }
            Ok(())
        });
        let raw = command(Credential::Rpk("client"));
        report.scenario("gnutls", &name("rpk"), || {
            Exchange::start(raw, &register(ENDPOINT))?.hear(CREATED)?;
            identified(server, "rpk")
        });
    }
    Ok(())
}

/// aiocoap with a certificate, with others, and without one.
pub(super) fn aiocoap(root: &Path, server: &Server, report: &mut Report) {
    let name = |what: &str| format!("binary tls: {what}");
    let python = match super::aiocoap::install_plain(root) {
        Ok(python) => python,
        Err(reason) => return report.skip("aiocoap", &name("all"), &format!("{reason:#}")),
    };
    let command = |credential| -> anyhow::Result<Command> {
        let material = &server.material;
        let mut command = Command::new(&python);
        command
            .arg(root.join("tests/interop/aiocoap/tls.py"))
            .arg(format!(
                "coaps+tcp://localhost:{}",
                server.port("coaps+tcp")?
            ))
            .args([ENDPOINT, &material.file("ca.pem")]);
        if let Credential::X509(name) = credential {
            command.arg(material.file(&format!("{name}.pem")));
            command.arg(material.file(&format!("{name}.key")));
        }
        Ok(command)
    };
    report.scenario("aiocoap", &name("x509"), || {
        let good = command(Credential::X509("client"))?;
        Exchange::start(good, b"")?.hear(b"answered 2.01")?;
        identified(server, "x509")
    });
    report.scenario("aiocoap", &name("bad x509"), || {
        BAD_CERTIFICATES
            .into_iter()
            .try_for_each(|(bad, reason)| refused(server, command(bad)?, b"", reason))
    });
    report.skip(
        "aiocoap",
        &name("psk, rpk"),
        "aiocoap goes by the ssl of Python, which has neither in this version",
    );
}

/// Runs a scenario with pre-shared keys, where the binary has them.
fn keys(
    server: &Server,
    report: &mut Report,
    peer: &str,
    name: &str,
    scenario: impl FnOnce(&mut Report, &str),
) {
    match &server.no_tls_psk {
        Some(reason) => report.skip(peer, name, reason),
        None => scenario(report, name),
    }
}

/// A good key with each suite, and the bad ones.
fn each_key(
    server: &Server,
    agreement: &Agreement,
    command: impl Fn(Credential, &str) -> Command,
) -> anyhow::Result<()> {
    for suite in agreement.suites {
        let mut good = Exchange::start(command(GOOD, suite), &register(ENDPOINT))?;
        good.hear(CREATED).with_context(|| suite.to_string())?;
        identified(server, "psk")?;
    }
    for (credential, reason) in BAD_KEYS {
        let suite = agreement.suites.first().context("a suite")?;
        refused(
            server,
            command(credential, suite),
            &register(ENDPOINT),
            reason,
        )?;
    }
    Ok(())
}

pub(crate) fn openssl(
    material: &Material,
    port: u16,
    version: &str,
    credential: Credential,
    suite: &str,
) -> Command {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", version, "-quiet", "-no_ign_eof", "-connect"])
        .arg(format!("127.0.0.1:{port}"))
        .args(["-alpn", "coap"]);
    match credential {
        Credential::Psk(identity, key) => {
            command.args(["-psk_identity", identity, "-psk", &hex(key)]);
        }
        Credential::X509(name) => {
            command
                .args(["-cert", &material.file(&format!("{name}.pem"))])
                .args(["-key", &material.file(&format!("{name}.key"))])
                .args(["-CAfile", &material.file("ca.pem"), "-verify_return_error"]);
        }
        Credential::Rpk(_) | Credential::NoCertificate => {}
    }
    match suite.starts_with("TLS_") {
        true => command.args(["-ciphersuites", suite]),
        false => command.args(["-cipher", &format!("{suite}:@SECLEVEL=0")]),
    };
    command
}

pub(crate) fn gnutls(
    material: &Material,
    port: u16,
    version: &str,
    credential: Credential,
    cipher: &str,
) -> Command {
    let priority = format!(
        "NONE:+VERS-{version}:+AEAD:+SHA256:+{cipher}:+GROUP-SECP256R1:+SIGN-ECDSA-SHA256:\
         +SIGN-ECDSA-SECP256R1-SHA256"
    );
    let mut command = Command::new("gnutls-cli");
    command.args(["--port", &port.to_string(), "--alpn", "coap"]);
    match credential {
        Credential::Psk(identity, key) => command
            .args(["--pskusername", identity, "--pskkey", &hex(key)])
            .arg(format!("--priority={priority}:+DHE-PSK:+PSK")),
        Credential::Rpk(name) => command
            .args(["--rawpkkeyfile", &material.file(&format!("{name}.key"))])
            .args(["--rawpkfile", &material.file(&format!("{name}.pub.pem"))])
            .arg("--insecure")
            .arg(format!(
                "--priority={priority}:+ECDHE-ECDSA:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK"
            )),
        Credential::X509(name) => command
            .args(["--x509certfile", &material.file(&format!("{name}.pem"))])
            .args(["--x509keyfile", &material.file(&format!("{name}.key"))])
            .args(["--x509cafile", &material.file("ca.pem")])
            .arg(format!("--priority={priority}:+ECDHE-ECDSA:+CTYPE-X509")),
        Credential::NoCertificate => command
            .args(["--x509cafile", &material.file("ca.pem")])
            .arg(format!("--priority={priority}:+ECDHE-ECDSA:+CTYPE-X509")),
    };
    command.arg("localhost");
    command
}
