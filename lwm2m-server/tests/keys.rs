//! Keys and certificates that change on the disk while the server runs.

#![allow(clippy::unwrap_used)] // tests

use std::fs;
use std::path::{Path, PathBuf};

use lwm2m_server::keys::{CertificateFiles, KeyFiles, KeyWarning, Keys};
use lwm2m_server::{EventKind, Events, Listener, Reason, Server};
use tempfile::TempDir;

/// A server that follows `server.pem` and `server.key` of a folder.
struct World {
    keys: Keys,
    events: Events,
    _server: Server,
}

impl World {
    async fn of(folder: &Path) -> World {
        let files = KeyFiles {
            certificates: vec![CertificateFiles {
                certificate: Some(folder.join("server.pem")),
                private_key: folder.join("server.key"),
            }],
            ..KeyFiles::default()
        };
        let keys = Keys::load(files).unwrap();
        let server = Server::builder()
            .listen(Listener::coap("127.0.0.1:0".parse().unwrap()))
            .keys(keys.clone())
            .start()
            .await
            .unwrap();
        World {
            keys,
            events: server.events(),
            _server: server,
        }
    }

    fn name(&self) -> String {
        let material = self.keys.current();
        let certificates = material.certificates.as_ref().unwrap();
        certificates.default_certificate().names()[0].clone()
    }

    async fn reloaded(&mut self) -> Result<Vec<KeyWarning>, Reason> {
        loop {
            let event = self.events.next().await.unwrap().unwrap();
            if let EventKind::KeysReloaded { outcome } = &event.kind {
                return outcome.clone();
            }
        }
    }

    /// Waits until the server shows a certificate of this name.
    async fn wait_for(&mut self, name: &str) {
        // What was half written when it was looked at is said before, and looked at again.
        while self.reloaded().await.is_err() || self.name() != name {}
    }
}

fn pair(name: &str) -> [(&'static str, String); 2] {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    [
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ]
}

fn write(folder: &Path, name: &str) {
    for (file, text) in pair(name) {
        fs::write(folder.join(file), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_taken_and_broken_ones_are_said() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "one.example");
    let mut world = World::of(folder.path()).await;
    write(folder.path(), "two.example");
    world.wait_for("two.example").await;

    fs::write(folder.path().join("server.key"), "no key").unwrap();
    let reason = loop {
        if let Err(reason) = world.reloaded().await {
            break reason;
        }
    };
    assert_eq!(reason.code, "keys-unusable");
    assert!(reason.message.contains("server_private_key"), "{reason:?}");
    assert_eq!(world.name(), "two.example");

    write(folder.path(), "three.example");
    world.wait_for("three.example").await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_symbolic_link_that_is_turned_is_a_change() {
    use std::os::unix::fs::symlink;

    // As orchestrators mount secrets: server.pem -> ..data/server.pem, ..data -> ..one.
    let folder = TempDir::new().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    for name in ["one", "two"] {
        fs::create_dir(at(&format!("..{name}"))).unwrap();
        write(&at(&format!("..{name}")), &format!("{name}.example"));
    }
    symlink("..one", at("..data")).unwrap();
    for file in ["server.pem", "server.key"] {
        symlink(Path::new("..data").join(file), at(file)).unwrap();
    }
    let mut world = World::of(folder.path()).await;
    assert_eq!(world.name(), "one.example");
    symlink("..two", at("..next")).unwrap();
    fs::rename(at("..next"), at("..data")).unwrap();
    world.wait_for("two.example").await;
}
