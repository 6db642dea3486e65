//! How each server of others is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::peer::{free_port, free_ports};
use super::material::{Material, below};
use super::programs::{KEY, hex};
use super::running::{Running, Talk};
use super::servers::{Server, Shows};

const ALL: &[&str] = &["CCM_8", "CCM", "GCM"];

/// `openssl s_server`.
pub(super) fn openssl(material: &Material) -> Server<'_> {
    Server {
        name: "openssl".to_owned(),
        start: Box::new(move |shows| {
            let port = free_port()?;
            let mut command = Command::new("openssl");
            command
                .args(["s_server", "-dtls1_2", "-quiet", "-accept"])
                .arg(format!("127.0.0.1:{port}"));
            let suites = |prefix: &str| {
                let ciphers = ["AES128-CCM8", "AES128-CCM", "AES128-GCM-SHA256"];
                let suites: Vec<String> = ciphers.map(|it| format!("{prefix}-{it}")).into();
                format!("{}:@SECLEVEL=0", suites.join(":"))
            };
            match shows {
                Shows::X509(name) => command
                    .args(["-cert", &material.file(&format!("{name}.pem"))])
                    .args(["-key", &material.file(&format!("{name}.key"))])
                    .args(["-CAfile", &material.file("ca.pem")])
                    .args(["-Verify", "1", "-verify_return_error"])
                    .args(["-cipher", &suites("ECDHE-ECDSA")]),
                Shows::Psk | Shows::Rpk => command
                    .args(["-psk", &hex(KEY), "-psk_identity", "dev1", "-nocert"])
                    .args(["-cipher", &suites("PSK")]),
            };
            Running::start(command, port, Talk::Terminal)
        }),
        psk: ALL,
        ecdhe: ALL,
        lacks: &[
            ("rpk", "s_server of OpenSSL 3.0 has no raw public keys"),
            ("psk: our identity", "s_server takes any identity"),
            ("cid", "OpenSSL has no Connection IDs"),
        ],
    }
}

/// `gnutls-serv`.
pub(super) fn gnutls(material: &Material) -> Server<'_> {
    Server {
        name: "gnutls".to_owned(),
        start: Box::new(move |shows| {
            let port = free_port()?;
            let mut command = Command::new("gnutls-serv");
            command.args(["--udp", "--echo", "--port", &port.to_string()]);
            let priority = "NONE:+VERS-DTLS1.2:+AEAD:+AES-128-CCM-8:+AES-128-CCM:+AES-128-GCM:\
                            +GROUP-SECP256R1:+SIGN-ECDSA-SHA256";
            match shows {
                Shows::Psk => {
                    let keys = format!("dev1:{}\n", hex(KEY));
                    command
                        .args(["--pskpasswd", &material.write("gnutls.psk", &keys)?])
                        .arg(format!("--priority={priority}:+PSK"))
                }
                Shows::Rpk => command
                    .args(["--rawpkkeyfile", &material.file("server.key")])
                    .args(["--rawpkfile", &material.file("server.pub.pem")])
                    .arg("--require-client-cert")
                    .arg(format!(
                        "--priority={priority}:+ECDHE-ECDSA:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK"
                    )),
                Shows::X509(name) => command
                    .args(["--x509certfile", &material.file(&format!("{name}.pem"))])
                    .args(["--x509keyfile", &material.file(&format!("{name}.key"))])
                    .args(["--x509cafile", &material.file("ca.pem")])
                    .args(["--require-client-cert", "--verify-client-cert"])
                    .arg(format!("--priority={priority}:+ECDHE-ECDSA:+CTYPE-X509")),
            };
            Running::start(command, port, Talk::Echo)
        }),
        psk: ALL,
        ecdhe: ALL,
        lacks: &[
            ("rpk: our key", "gnutls-serv takes any raw public key"),
            ("cid", "GnuTLS has no Connection IDs"),
        ],
    }
}

/// `coap-server-openssl` or `coap-server-gnutls`.
pub(super) fn libcoap<'m>(library: &'static str, material: &'m Material) -> Server<'m> {
    Server {
        name: format!("libcoap/{library}"),
        start: Box::new(move |shows| {
            // It listens on the next one for DTLS.
            let port = free_ports(2)?;
            let mut command = Command::new(format!("coap-server-{library}"));
            command.args(["-A", "127.0.0.1", "-p", &port.to_string(), "-v", "6"]);
            match shows {
                Shows::Psk => {
                    let keys = format!("CoAP,dev1,{KEY}\n");
                    command
                        .args(["-k", "the key of others", "-h", "CoAP"])
                        .args(["-i", &material.write("libcoap.psk", &keys)?])
                }
                Shows::Rpk => command.args(["-M", &material.file("server.pair.pem")]),
                Shows::X509(name) => command
                    .args(["-c", &material.file(&format!("{name}.pem"))])
                    .args(["-j", &material.file(&format!("{name}.key"))])
                    .args(["-C", &material.file("ca.pem")]),
            };
            Running::start(command, port + 1, Talk::Coap)
        }),
        psk: ALL,
        ecdhe: ALL,
        lacks: match library {
            "gnutls" => &[
                ("rpk: our key", "coap-server takes any raw public key"),
                (
                    "x509: our certificate has",
                    "coap-server takes certificates that have expired",
                ),
                ("resumed", "libcoap with GnuTLS does not resume sessions"),
                ("cid", "libcoap 4.3 has no Connection IDs"),
            ],
            _ => &[
                ("rpk", "libcoap with OpenSSL has no raw public keys"),
                (
                    "x509: our certificate has",
                    "coap-server takes certificates that have expired",
                ),
                (
                    "resumed",
                    "libcoap with OpenSSL answers its own tickets with internal_error",
                ),
                ("cid", "libcoap 4.3 has no Connection IDs"),
            ],
        },
    }
}

/// tinydtls below aiocoap.
pub(super) fn tinydtls<'m>(root: &'m Path, python: PathBuf) -> Server<'m> {
    Server {
        name: "tinydtls".to_owned(),
        start: Box::new(move |_| {
            // It listens on the next one.
            let port = free_ports(2)?;
            let mut command = Command::new(&python);
            command
                .arg(root.join("tests/interop/aiocoap/secure_server.py"))
                .args([&port.to_string(), "dev1", KEY]);
            Running::start(command, port + 1, Talk::Coap)
        }),
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

/// Scandium, Californium's DTLS.
pub(super) fn scandium<'m>(root: &'m Path, material: &'m Material) -> Server<'m> {
    Server {
        name: "scandium".to_owned(),
        start: Box::new(move |shows| {
            let port = free_port()?;
            let folder = below(root, "tests/interop/leshan/target");
            let file = |key: &str, name: String| format!("{key}={}", material.file(&name));
            let mut command = Command::new("java");
            command
                .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
                .args([
                    "-cp",
                    &format!("{folder}/leshan-device-1.jar:{folder}/lib/*"),
                ])
                .args(["interop.DtlsServer", &port.to_string()]);
            match shows {
                Shows::Psk => command.args([
                    "mode=psk".to_owned(),
                    "identity=dev1".to_owned(),
                    format!("key={}", hex(KEY)),
                ]),
                Shows::Rpk => command.args([
                    "mode=rpk".to_owned(),
                    file("credentials", "server.pair.pem".into()),
                    file("trust", "client.pub.pem".into()),
                ]),
                Shows::X509(name) => command.args([
                    "mode=x509".to_owned(),
                    file("credentials", format!("{name}.full.pem")),
                    file("trust", "ca.pem".into()),
                ]),
            };
            Running::start(command, port, Talk::Echo)
        }),
        psk: ALL,
        ecdhe: ALL,
        lacks: &[],
    }
}
