//! `keygen`, and what it leaves on the disk.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::demo::BINARY;

fn keygen(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(BINARY)
        .current_dir(folder)
        .arg("keygen")
        .args(arguments)
        .output()
        .expect("the binary starts")
}

fn done(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn refused(output: &Output, part: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it succeeded");
    assert!(errors.contains(part), "'{part}' is not in: {errors}");
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_server_gets_a_key_a_certificate_and_a_raw_public_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["--name", "lwm2m.example.com", "--name", "192.0.2.1"];
    let text = done(&keygen(
        folder.path(),
        &[&names[..], &["--directory", "keys", "--days", "30"]].concat(),
    ));
    let keys = folder.path().join("keys");
    let der = read(&keys.join("server-certificate.der"));
    let pem = read(&keys.join("server-certificate.pem"));
    let (_, pem) = parse_x509_pem(&pem).expect("PEM");
    assert_eq!(pem.contents, der);
    let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
    assert_eq!(certificate.subject().to_string(), "CN=lwm2m.example.com");
    let names = certificate
        .subject_alternative_name()
        .expect("readable")
        .expect("there");
    assert_eq!(names.value.general_names.len(), 2);
    assert!(!certificate.is_ca());
    let usage = certificate
        .extended_key_usage()
        .expect("readable")
        .expect("there");
    assert!(usage.value.server_auth && !usage.value.client_auth);
    let validity = certificate.validity();
    let days = (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400;
    assert_eq!(days, 31); // one of them gone already

    // The raw public key is that of the certificate, and is shown for devices.
    let spki = read(&keys.join("server-public-key.der"));
    assert_eq!(spki, certificate.public_key().raw);
    let hex: String = spki.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex.len(), 182);
    assert!(text.contains(&hex), "{text}");
    assert!(
        text.contains("server_private_key = \"keys/server-key.pem\""),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_a_private_key() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    done(&keygen(folder.path(), &[]));
    done(&keygen(folder.path(), &["--ca"]));
    done(&keygen(folder.path(), &["--device", "urn:dev:ops:1"]));
    let mut secrets = 0;
    for entry in std::fs::read_dir(folder.path()).expect("listed") {
        let entry = entry.expect("listed");
        let name = entry.file_name().to_string_lossy().into_owned();
        let mode = entry.metadata().expect("there").permissions().mode() & 0o777;
        let content = String::from_utf8_lossy(&read(&entry.path())).into_owned();
        let is_secret = content.contains("PRIVATE KEY") || name.ends_with("-key.der");
        let is_secret = is_secret && !name.contains("public");
        secrets += usize::from(is_secret);
        assert_eq!(mode & 0o077 == 0, is_secret, "{name} has mode {mode:o}");
    }
    assert_eq!(secrets, 4);
}

#[test]
fn nothing_is_replaced_unless_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("server-key.pem");
    done(&keygen(folder.path(), &[]));
    let first = read(&key);
    refused(
        &keygen(folder.path(), &[]),
        "server-key.pem is there already",
    );
    assert_eq!(read(&key), first);
    // One file in the way is enough, and then none is written.
    std::fs::remove_file(&key).expect("removed");
    refused(&keygen(folder.path(), &[]), "is there already");
    assert!(!key.exists());
    done(&keygen(folder.path(), &["--force"]));
    assert_ne!(read(&key), first);
}

#[test]
fn a_device_is_certified_by_the_ca_of_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = "urn:imei:350123451234560";
    let device = ["--device", endpoint];
    refused(&keygen(folder.path(), &device), "keygen --ca");
    let ca = done(&keygen(folder.path(), &["--ca", "--name", "Our CA"]));
    assert!(ca.contains("trust_store = \"ca.pem\""), "{ca}");
    let mut json = device.to_vec();
    json.push("--json");
    let made: Value = serde_json::from_str(&done(&keygen(folder.path(), &json))).expect("JSON");
    let der = read(
        &folder
            .path()
            .join("device-urn-imei-350123451234560-certificate.der"),
    );
    let (_, certificate) = X509Certificate::from_der(&der).expect("a certificate");
    assert_eq!(certificate.subject().to_string(), format!("CN={endpoint}"));
    assert_eq!(certificate.issuer().to_string(), "CN=Our CA");
    assert_eq!(made["public_key"].as_str().map(str::len), Some(182));
    assert_eq!(made["files"].as_array().map(Vec::len), Some(6));
    let text = made.to_string();
    assert!(!text.contains("BEGIN"), "{text}");
}

#[test]
fn the_server_takes_what_it_is_told_to_put_into_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = ["--directory", "keys", "--json"];
    let made: Value = serde_json::from_str(&done(&keygen(folder.path(), &options))).expect("JSON");
    let nosec = "[server]\nsecurity_mode = \"nosec\"\nbind_address = \"127.0.0.1\"\n\
                 bind_port = 0\n[http]\nbind = \"127.0.0.1:0\"\n";
    let config = format!("{nosec}{}", made["config"].as_str().expect("text"));
    let file = folder.path().join("lwm2m-server.toml");
    std::fs::write(&file, config).expect("written");
    // From elsewhere: paths start from the folder of the configuration.
    let server = || {
        let mut command = Command::new(BINARY);
        command.arg("--config").arg(&file).current_dir("/");
        command
    };
    let mut running = server()
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(running.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("text");
    let _ = running.kill();
    let _ = running.wait();
    assert!(first.starts_with("coap://"), "{first}");

    std::fs::write(folder.path().join("keys/server-key.pem"), "no key").expect("written");
    let output = server().output().expect("the binary starts");
    refused(&output, "[dtls] server_private_key = ");
}

#[test]
fn wrong_arguments_are_sentences() {
    let folder = tempfile::tempdir().expect("a folder");
    refused(
        &keygen(folder.path(), &["--name", "zähler"]),
        "DNS name or an IP address",
    );
    refused(
        &keygen(folder.path(), &["--name", ""]),
        "at least one character",
    );
    refused(&keygen(folder.path(), &["--days", "0"]), "--days");
    refused(
        &keygen(folder.path(), &["--ca", "--device", "x"]),
        "--device",
    );
    refused(
        &keygen(folder.path(), &["--directory", "/proc/nowhere"]),
        "/proc/nowhere",
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 0);
}
