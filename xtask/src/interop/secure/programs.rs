//! How each program is told to make a session. All but libcoap and aiocoap pass bytes through.

use std::path::Path;
use std::process::Command;

use super::super::debian;
use super::material::{Material, below};

/// Who a device says it is.
#[derive(Clone, Copy)]
pub(crate) enum Credential {
    /// Identity and key, both of letters.
    Psk(&'static str, &'static str),
    /// The key pair of this name in [`Material`].
    Rpk(&'static str),
    /// The certificate of this name in [`Material`].
    X509(&'static str),
    /// The certificate of the server is checked, none is shown.
    NoCertificate,
}

/// The key of the device that the server knows, as text.
pub(super) const KEY: &str = "0123456789abcdef";

/// A program, and the suites that it is asked for by their names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    OpenSsl,
    GnuTls,
}

impl Program {
    pub(super) fn name(self) -> &'static str {
        match self {
            Program::OpenSsl => "openssl",
            Program::GnuTls => "gnutls",
        }
    }

    /// Sees to it that the program is there.
    pub(crate) fn install(self, root: &Path) -> anyhow::Result<()> {
        let (program, package) = match self {
            Program::OpenSsl => ("openssl", "openssl"),
            Program::GnuTls => ("gnutls-cli", "gnutls-bin"),
        };
        debian::install(root, program, &[package])
    }

    /// The program, with a session towards the port; `suite` as `CCM_8`, `CCM` or `GCM`.
    pub(super) fn command(
        self,
        material: &Material,
        port: u16,
        credential: Credential,
        suite: &str,
    ) -> Command {
        match self {
            Program::OpenSsl => openssl(material, port, credential, suite),
            Program::GnuTls => gnutls(material, port, credential, suite),
        }
    }
}

fn openssl(material: &Material, port: u16, credential: Credential, suite: &str) -> Command {
    let suite = match suite {
        "CCM_8" => "AES128-CCM8",
        "CCM" => "AES128-CCM",
        _ => "AES128-GCM-SHA256",
    };
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-dtls1_2", "-quiet", "-no_ign_eof", "-connect"])
        .arg(format!("127.0.0.1:{port}"));
    match credential {
        Credential::Psk(identity, key) => command
            .args(["-psk_identity", identity, "-psk", &hex(key)])
            .args(["-cipher", &format!("PSK-{suite}:@SECLEVEL=0")]),
        Credential::X509(name) => command
            .args(["-cert", &material.file(&format!("{name}.pem"))])
            .args(["-key", &material.file(&format!("{name}.key"))])
            .args(["-CAfile", &material.file("ca.pem"), "-verify_return_error"])
            .args(["-servername", "localhost", "-verify_hostname", "localhost"])
            .args(["-cipher", &format!("ECDHE-ECDSA-{suite}:@SECLEVEL=0")]),
        Credential::NoCertificate | Credential::Rpk(_) => command
            .args(["-CAfile", &material.file("ca.pem"), "-verify_return_error"])
            .args(["-cipher", &format!("ECDHE-ECDSA-{suite}:@SECLEVEL=0")]),
    };
    command
}

fn gnutls(material: &Material, port: u16, credential: Credential, suite: &str) -> Command {
    let cipher = match suite {
        "CCM_8" => "AES-128-CCM-8",
        "CCM" => "AES-128-CCM",
        _ => "AES-128-GCM",
    };
    let priority =
        format!("NONE:+VERS-DTLS1.2:+AEAD:+{cipher}:+GROUP-SECP256R1:+SIGN-ECDSA-SHA256");
    let mut command = Command::new("gnutls-cli");
    command.args(["--udp", "--port", &port.to_string()]);
    match credential {
        Credential::Psk(identity, key) => command
            .args(["--pskusername", identity, "--pskkey", &hex(key)])
            .arg(format!("--priority={priority}:+PSK")),
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

/// libcoap's client: one request, its own CoAP. `library` is openssl or gnutls.
pub(super) fn libcoap(
    material: &Material,
    library: &str,
    scheme: &str,
    port: u16,
    endpoint: &str,
    credential: Credential,
) -> Command {
    let mut command = Command::new(format!("coap-client-{library}"));
    command.args(["-v", "6", "-B", "8", "-m", "post", "-t", "40"]);
    match credential {
        Credential::Psk(identity, key) => command.args(["-u", identity, "-k", key]),
        // It takes a certificate of the server where there is one.
        Credential::Rpk(name) => command
            .args(["-M", &material.file(&format!("{name}.pair.pem"))])
            .args(["-C", &material.file("ca.pem")]),
        Credential::X509(name) => command
            .args(["-c", &material.file(&format!("{name}.pem"))])
            .args(["-j", &material.file(&format!("{name}.key"))])
            .args(["-C", &material.file("ca.pem")]),
        Credential::NoCertificate => command.args(["-R", &material.file("ca.pem")]),
    };
    command.args(["-e", "</1/0>,</3/0>"]);
    command.arg(format!(
        "{scheme}://127.0.0.1:{port}/rd?ep={endpoint}&lt=120&lwm2m=1.1"
    ));
    command
}

/// Scandium, over standard input and output.
pub(super) fn scandium(
    root: &Path,
    material: &Material,
    port: u16,
    credential: Credential,
    more: &[&str],
) -> Command {
    let folder = below(root, "tests/interop/leshan/target");
    let mut command = Command::new("java");
    command
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .args([
            "-cp",
            &format!("{folder}/leshan-device-1.jar:{folder}/lib/*"),
        ])
        .args(["interop.DtlsPeer", "127.0.0.1", &port.to_string()]);
    command.args(java_options(material, credential)).args(more);
    command
}

/// A credential as both Java programs take it.
pub(crate) fn java_options(material: &Material, credential: Credential) -> Vec<String> {
    let file = |key: &str, name: &str| format!("{key}={}", material.file(name));
    match credential {
        Credential::Psk(identity, key) => vec![
            "mode=psk".to_owned(),
            format!("identity={identity}"),
            format!("key={}", hex(key)),
        ],
        Credential::Rpk(name) => vec![
            "mode=rpk".to_owned(),
            file("credentials", &format!("{name}.pair.pem")),
            file("trust", "server.pub.pem"),
        ],
        Credential::X509(name) => vec![
            "mode=x509".to_owned(),
            "subject=checked".to_owned(),
            file("credentials", &format!("{name}.full.pem")),
            file("trust", "ca.pem"),
        ],
        Credential::NoCertificate => vec!["mode=x509".to_owned(), file("trust", "ca.pem")],
    }
}

/// Letters as hexadecimal digits.
pub(super) fn hex(text: &str) -> String {
    bytes_as_hex(text.as_bytes())
}

pub(super) fn bytes_as_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
