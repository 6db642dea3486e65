//! The examples in Rust: built here, where the target is installed, and executed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use lwm2m_core::{Path as ResourcePath, Record, Value};
use lwm2m_plugins::{Fixture, run_fixtures};
use lwm2m_server::hooks::Outcome;
use lwm2m_server::{Decision, Interceptor, PeerIdentity, X509Identity};

use super::{Hosted, PATIENT, batch, refusal, registration};

const TARGET: &str = "wasm32-wasip2";

/// The component of an example; none where Rust cannot build it. The tests of this folder that are
/// made of WebAssembly text run in either case.
fn built(example: &str) -> Option<Vec<u8>> {
    let asked = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    let libraries = asked.ok().filter(|output| output.status.success());
    let libraries = libraries.and_then(|output| String::from_utf8(output.stdout).ok());
    if !libraries.is_some_and(|path| Path::new(path.trim()).is_dir()) {
        say(&format!(
            "{example} is not run: `rustup target add {TARGET}` to have it built"
        ));
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let manifest = root
        .join("plugins/examples")
        .join(example)
        .join("Cargo.toml");
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            TARGET,
            "--manifest-path",
        ])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .expect("cargo runs");
    assert!(status.success(), "{example} is built");
    let file = format!("{}.wasm", example.replace('-', "_"));
    let component = std::fs::read(target.join(TARGET).join("release").join(file));
    say(&format!("{example} is built for {TARGET} and run"));
    Some(component.expect("a component"))
}

/// Says which way a test went, also when it passes: what is printed in the usual way is swallowed.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

#[tokio::test]
async fn the_tenant_of_a_certificate_is_annotated() {
    let Some(component) = built("tenant-of-certificate") else {
        return;
    };
    let settings = format!("[[plugin]]\nname = 'tenant'\n{PATIENT}");
    let hosted = Hosted::new(&[("tenant", component)], &settings).await;
    assert_eq!(hosted.refused("tenant"), "");
    assert_eq!(
        hosted.on_register().await,
        Decision::Pass,
        "it has no certificate"
    );
    let of = |common_name: &str| {
        let mut with = (*registration()).clone();
        with.identity = PeerIdentity::x509(X509Identity {
            common_name: Some(common_name.to_owned()),
            ..X509Identity::default()
        });
        hosted.host.on_register(&Arc::new(with))
    };
    let Decision::Annotate(facts) = of("meter-7.north").await else {
        panic!("no tenant");
    };
    assert_eq!(facts.set, [("tenant".to_owned(), "north".to_owned())]);
    let (code, message) = refusal(&of("meter-7").await);
    assert_eq!(code, "plugin-rejected");
    assert!(message.contains("\"meter-7\" names no tenant"), "{message}");
}

#[tokio::test]
async fn an_alarm_asks_for_its_configuration() {
    let Some(component) = built("threshold-alarm") else {
        return;
    };
    let settings = |config: &str| {
        format!("[[plugin]]\nname = 'alarm'\n{PATIENT}\ngrant = ['kv', 'events']\n{config}")
    };
    let hosted = Hosted::new(&[("alarm", component.clone())], &settings("")).await;
    let refused = hosted.refused("alarm");
    assert!(
        refused.contains("its init refused: path is missing"),
        "{refused}"
    );

    let config = "config = { path = '/3303/0/5700', above = 30.0 }";
    let hosted = Hosted::new(&[("alarm", component)], &settings(config)).await;
    assert_eq!(hosted.refused("alarm"), "");
    let record = Record::new(ResourcePath::resource(3303, 0, 5700), Value::Float(31.0));
    assert_eq!(
        hosted.host.transform(&batch(vec![record])).await,
        Outcome::Pass
    );
    assert_eq!(hosted.status("alarm").figures[0].failures, []);
}

#[test]
fn every_example_in_rust_has_fixtures_that_pass() {
    for example in ["tenant-of-certificate", "threshold-alarm"] {
        let Some(component) = built(example) else {
            return;
        };
        // The component belongs beside its manifest; it is built elsewhere, as nothing is written
        // into the sources.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
        let own = root.join(example);
        let folder = tempfile::tempdir().expect("a folder");
        let manifest = std::fs::read_to_string(own.join("plugin.toml")).expect("a manifest");
        std::fs::write(folder.path().join("plugin.toml"), manifest).expect("a file");
        let file = format!("{}.wasm", example.replace('-', "_"));
        std::fs::write(folder.path().join(file), component).expect("a file");
        let read = |file: &PathBuf| Fixture::read(file).unwrap_or_else(|e| panic!("{e}"));
        let fixtures: Vec<Fixture> = Fixture::beside(&own).iter().map(read).collect();
        assert!(!fixtures.is_empty(), "{example} has no fixture");
        let reports =
            run_fixtures(folder.path(), &fixtures, None).unwrap_or_else(|e| panic!("{e}"));
        let failed: Vec<_> = reports.iter().filter(|report| !report.passed()).collect();
        assert!(failed.is_empty(), "{example}: {failed:#?}");
    }
}
