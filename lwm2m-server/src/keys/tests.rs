use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

use super::*;

/// Noon of 2026-06-01.
const NOW: u64 = 1_780_315_200;

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Folder {
        Folder {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// A key and a self-signed certificate for one name, as `NAME.key` and `NAME.pem`.
    fn server(&self, file: &str, name: &str) -> CertificateFiles {
        let key = KeyPair::generate().expect("a key");
        let made = valid(&[name]).self_signed(&key).expect("signed");
        CertificateFiles {
            certificate: Some(self.write(&format!("{file}.pem"), made.pem())),
            private_key: self.write(&format!("{file}.key"), key.serialize_pem()),
        }
    }

    fn authority(&self, file: &str) -> PathBuf {
        let mut params = valid(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        self.write(file, params.self_signed(&key).expect("signed").pem())
    }
}

fn valid(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

fn files(certificates: Vec<CertificateFiles>, trust_store: Option<PathBuf>) -> KeyFiles {
    KeyFiles {
        certificates,
        trust_store,
        revocation_lists: None,
    }
}

fn default_name(material: &KeyMaterial) -> String {
    let certificates = material.certificates.as_ref().expect("a certificate");
    certificates.default_certificate().names()[0].clone()
}

fn error_of(files: KeyFiles, key: &str, path: &Path) -> String {
    let error = files.load().expect_err("refused");
    assert_eq!((error.key, error.path.as_path()), (key, path));
    error.to_string()
}

#[test]
fn certificates_are_selected_by_name_and_the_first_key_is_the_raw_public_key() {
    let folder = Folder::new();
    let (one, two) = (
        folder.server("one", "one.example"),
        folder.server("two", "two.example"),
    );
    let key = PrivateKey::parse(&fs::read(&one.private_key).expect("read")).expect("a key");
    let material = files(vec![one, two], Some(folder.authority("ca.pem")));
    let material = material.load().expect("loaded");
    assert_eq!(default_name(&material), "one.example");
    let certificates = material.certificates.as_ref().expect("certificates");
    let second = certificates.select(Some("two.example")).certificate;
    assert_eq!(second.names(), ["two.example"]);
    let raw = material.raw_public_key.as_ref().expect("a key");
    assert_eq!(raw.public_key(), key.public_key());
    assert_eq!(material.trust_store.authorities().len(), 1);
}

#[test]
fn a_key_alone_is_a_raw_public_key_and_nothing_is_pre_shared_keys_only() {
    let folder = Folder::new();
    let mut one = folder.server("one", "one.example");
    one.certificate = None;
    let material = files(vec![one], None).load().expect("loaded");
    assert!(material.certificates.is_none() && material.raw_public_key.is_some());
    assert!(!material.is_empty());
    assert!(KeyFiles::default().load().expect("loaded").is_empty());
}

#[test]
fn a_trust_store_may_be_a_folder() {
    let folder = Folder::new();
    for name in ["a.pem", "b.CRT"] {
        folder.authority(name);
    }
    folder.write("README", "no certificate");
    let material = files(vec![], Some(folder.folder.path().to_owned())).load();
    assert_eq!(material.expect("loaded").trust_store.authorities().len(), 2);
    let broken = folder.write("c.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n");
    let error = error_of(
        files(vec![], Some(folder.folder.path().to_owned())),
        "trust_store",
        &broken,
    );
    assert!(error.contains("certificate 0 of the chain"), "{error}");
}

#[test]
fn an_error_names_the_file_and_the_key_of_the_configuration() {
    let folder = Folder::new();
    let good = folder.server("good", "good.example");
    let other = folder.server("other", "other.example");
    let nowhere = folder.path("nowhere.pem");

    let swapped = CertificateFiles {
        private_key: other.private_key.clone(),
        ..good.clone()
    };
    let certificate = good.certificate.as_deref().expect("a path");
    let error = error_of(
        files(vec![swapped], None),
        "server_certificate",
        certificate,
    );
    assert!(error.contains("not the key of the certificate"), "{error}");

    let missing = CertificateFiles {
        private_key: nowhere.clone(),
        ..good.clone()
    };
    let error = error_of(files(vec![missing], None), "server_private_key", &nowhere);
    assert!(error.starts_with("[dtls] server_private_key = "), "{error}");

    let no_key = CertificateFiles {
        private_key: certificate.to_owned(),
        ..good.clone()
    };
    error_of(files(vec![no_key], None), "server_private_key", certificate);

    let second = CertificateFiles {
        certificate: None,
        ..other.clone()
    };
    error_of(
        files(vec![good, second], None),
        "server_private_key",
        &other.private_key,
    );
    error_of(
        files(vec![], Some(nowhere.clone())),
        "trust_store",
        &nowhere,
    );
}

#[test]
fn a_file_of_one_byte_too_many_is_refused() {
    let folder = Folder::new();
    let mut pem = fs::read(folder.authority("ca.pem")).expect("read");
    pem.resize(4 << 20, b'\n');
    let path = folder.write("large.pem", &pem);
    assert!(files(vec![], Some(path.clone())).load().is_ok());
    pem.push(b'\n');
    folder.write("large.pem", &pem);
    let error = error_of(files(vec![], Some(path.clone())), "trust_store", &path);
    assert!(error.contains("bytes"), "{error}");
}

#[test]
fn a_reload_replaces_all_or_nothing() {
    let folder = Folder::new();
    let one = folder.server("server", "one.example");
    let keys = Keys::load(files(vec![one.clone()], None)).expect("loaded");
    let before = keys.current();
    assert_eq!(keys.reload().expect("reloaded"), Reloaded::Unchanged);
    assert!(std::sync::Arc::ptr_eq(&before, &keys.current()));

    // A new certificate, whose key is not yet there.
    let two = Folder::new();
    let two = two.server("server", "two.example");
    let (from, to) = (two.certificate.as_ref(), one.certificate.as_ref());
    fs::copy(from.expect("a path"), to.expect("a path")).expect("copied");
    assert_eq!(
        keys.reload().expect_err("refused").key,
        "server_certificate"
    );
    assert_eq!(default_name(&keys.current()), "one.example");

    let handle = keys.clone();
    fs::copy(&two.private_key, &one.private_key).expect("copied");
    assert_eq!(keys.reload().expect("reloaded"), Reloaded::Replaced);
    assert_eq!(default_name(&handle.current()), "two.example");
    // Who took the keys before still has them.
    assert_eq!(default_name(&before), "one.example");
}

#[test]
fn what_will_not_work_for_long_is_said() {
    let folder = Folder::new();
    let one = folder.server("one", "one.example");
    let material = files(vec![one.clone()], Some(folder.authority("ca.pem"))).load();
    let mut material = material.expect("loaded");
    material.readable_by_others.clear();
    let day = 86_400;
    let warnings = |at: u64| -> Vec<String> {
        material
            .warnings(at)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(warnings(NOW), Vec::<String>::new());
    let end = 1_798_761_600; // 2027-01-01
    let soon = warnings(end - 2 * day);
    assert!(soon[0].contains("expires in 2 days"), "{soon:?}");
    let late = warnings(end + day);
    assert!(
        late[0].contains("devices will refuse the server"),
        "{late:?}"
    );
    assert!(
        late[1].contains("a CA is believed all the same"),
        "{late:?}"
    );
    let early = warnings(NOW - 365 * day);
    assert!(early[0].contains("not yet valid"), "{early:?}");
}

#[cfg(unix)]
#[test]
fn a_key_that_everybody_can_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new();
    let one = folder.server("one", "one.example");
    for (mode, warned) in [(0o644, true), (0o640, false), (0o600, false)] {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(&one.private_key, permissions).expect("allowed");
        let warnings = files(vec![one.clone()], None).load().expect("loaded");
        let path = one.private_key.clone();
        let expected = KeyWarning::ReadableByOthers { path };
        assert_eq!(
            warnings.warnings(NOW).contains(&expected),
            warned,
            "{mode:o}"
        );
    }
}

#[test]
fn keys_are_not_printed() {
    let folder = Folder::new();
    let one = folder.server("one", "one.example");
    let pem = fs::read_to_string(&one.private_key).expect("read");
    let keys = Keys::load(files(vec![one], None)).expect("loaded");
    let printed = format!("{keys:?}");
    let secret = PrivateKey::parse(pem.as_bytes())
        .expect("a key")
        .to_pkcs8()
        .expect("written");
    let scalar: String = secret[36..44]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let listed = format!("{:?}", &secret[36..44]);
    assert!(printed.contains("PrivateKey(of"), "{printed}");
    assert!(!printed.contains(&scalar) && !printed.contains(listed.trim_matches(['[', ']'])));
}
