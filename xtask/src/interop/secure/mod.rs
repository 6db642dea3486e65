//! DTLS with programs that this project did not write, as clients and as servers: every mode that
//! each of them has, with good and with bad credentials, resumption, and Connection IDs with a port
//! that changes. What a program cannot do is skipped with the reason.

mod binary;
mod clients;
mod daemons;
mod exchange;
mod material;
mod ours;
mod programs;
mod relay;
mod rows;
mod running;
mod scandium;
mod servers;
mod stacks;
mod streams;
mod target;
mod tls;

use std::path::Path;

use super::report::Report;
use super::server::Server as Binary;
use super::{aiocoap, leshan, libcoap as plain_libcoap};
use clients::Client;
pub(crate) use material::Material;
use programs::KEY;
pub(super) use programs::Program;
pub(super) use programs::{Credential, java_options};
use rows::Rows;
use servers::Server;
use stacks::Stack;
pub(super) use streams::{bootstrap as bootstrap_over_tls, registered as register_over_tls};
use target::Target;
pub(super) use tls::{gnutls as gnutls_over_tls, openssl as openssl_over_tls};

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

/// Certificates in [`Material`] that a client has to refuse, and what is wrong with each.
const BAD_SERVERS: [(&str, &str); 3] = [
    ("server-expired", "has expired"),
    ("server-strange", "is of an unknown issuer"),
    ("server-elsewhere", "has another name"),
];

/// The binary over DTLS.
pub(crate) fn run_binary(root: &Path, server: &Binary, report: &mut Report) -> anyhow::Result<()> {
    Program::GnuTls.install(root)?;
    plain_libcoap::install(root)?;
    leshan::install(root)?;
    binary::add_credentials(server)?;
    binary::programs(server, report)?;
    tls::programs(server, report)?;
    tls::aiocoap(root, server, report);
    binary::leshan(root, server, report);
    Ok(())
}

/// The binary without OpenSSL: pre-shared keys over TLS are its own engine's.
pub(crate) fn run_plain_binary(root: &Path, report: &mut Report) -> anyhow::Result<()> {
    Program::OpenSsl.install(root)?;
    Program::GnuTls.install(root)?;
    let server = Binary::start_plain(root, tls::OWN_SUITES)?;
    binary::add_credentials(&server)?;
    tls::own_engine(&server, report)
}

/// The engine of `lwm2m-dtls` by itself: as a server, then as a client.
pub(crate) fn run(root: &Path, report: &mut Report) -> anyhow::Result<()> {
    let material = &Material::make()?;
    ours::build(root)?;
    // What several peers need is there before they run side by side.
    let tools = [
        ("openssl", Program::OpenSsl.install(root)),
        ("gnutls", Program::GnuTls.install(root)),
        ("libcoap", plain_libcoap::install(root)),
    ];
    let python = aiocoap::install_dtls(root);
    let java = leshan::install(root);

    let mut parts: Vec<Part<'_>> = Vec::new();
    for (name, installed) in tools {
        match (name, installed) {
            (name, Err(reason)) => report.skip(name, "dtls", &format!("{reason:#}")),
            ("openssl", Ok(())) => {
                parts.push(Part::client(Client::program(Program::OpenSsl, material)));
                parts.push(Part::Server(daemons::openssl(material)));
            }
            ("gnutls", Ok(())) => {
                parts.push(Part::client(Client::program(Program::GnuTls, material)));
                parts.push(Part::Server(daemons::gnutls(material)));
            }
            (_, Ok(())) => {
                for library in ["openssl", "gnutls"] {
                    parts.push(Part::client(Client::libcoap(library, material)));
                    parts.push(Part::Server(daemons::libcoap(library, material)));
                }
            }
        }
    }
    match python {
        Err(reason) => report.skip("tinydtls", "dtls", &format!("{reason:#}")),
        Ok(python) => {
            parts.push(Part::client(Client::tinydtls(root, python.clone())));
            parts.push(Part::Server(daemons::tinydtls(root, python)));
        }
    }
    match java {
        Err(reason) => report.skip("scandium", "dtls", &format!("{reason:#}")),
        Ok(()) => {
            parts.push(Part::Scandium);
            parts.push(Part::Server(daemons::scandium(root, material)));
        }
    }
    for stack in Stack::ALL {
        match stack.install(root) {
            Err(reason) => report.skip(stack.name(), "dtls", &format!("{reason:#}")),
            Ok(()) => {
                parts.push(Part::client(stack.client(root, material)));
                parts.push(Part::Server(stack.server(root, material)));
            }
        }
    }
    report.side_by_side(parts, |part, report| part.run(root, material, report));
    Ok(())
}

/// One peer in one direction.
enum Part<'m> {
    Client(Box<Client<'m>>),
    Scandium,
    Server(Server<'m>),
}

impl Part<'_> {
    fn client(client: Client<'_>) -> Part<'_> {
        Part::Client(Box::new(client))
    }

    fn run(&self, root: &Path, material: &Material, report: &mut Report) {
        let (name, outcome) = match self {
            Part::Server(server) => return server.run(root, material, report),
            Part::Scandium => ("scandium", scandium::run(root, material, report)),
            Part::Client(client) => {
                let more = |target: &Target, rows: &mut Rows<'_>| match client.name.as_str() {
                    "openssl" => clients::openssl_resumes(material, target, rows),
                    "gnutls" => clients::gnutls_resumes(material, target, rows),
                    "mbedtls" => Stack::MbedTls.more(root, material, target, rows),
                    _ => {}
                };
                (
                    client.name.as_str(),
                    client.run(root, material, report, more),
                )
            }
        };
        if let Err(error) = outcome {
            report.scenario(name, "dtls client", || Err(error));
        }
    }
}

/// Each mode, and the credential that is good in it.
fn modes() -> [(Credential, &'static str); 3] {
    [
        (GOOD, "psk"),
        (Credential::Rpk("client"), "rpk"),
        (Credential::X509("client"), "x509"),
    ]
}
