//! Credentials of a running server: commands, the file, and its changes from outside.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::demo::BINARY;

/// A server whose credentials are in `folder`, stopped when dropped.
struct Running {
    child: Child,
    /// As in `coaps://127.0.0.1:40002`.
    listener: String,
    http: String,
}

impl Running {
    fn start(folder: &Path) -> Running {
        let nosec = "bind_address = \"127.0.0.1\"\nbind_port = 0\nsecurity_mode = \"nosec\"\n";
        Running::start_with(folder, nosec)
    }

    fn start_with(folder: &Path, server: &str) -> Running {
        let config = format!(
            "[server]\n{server}[http]\nbind = \"127.0.0.1:0\"\n\
             [credentials]\nfile = \"keys.json\"\n"
        );
        let file = folder.join("lwm2m-server.toml");
        fs::write(&file, config).expect("written");
        let mut child = Command::new(BINARY)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut lines = output.lines().map(|line| line.expect("text"));
        let listener = lines.next().expect("an address");
        let line = lines.find(|line| line.starts_with("http://"));
        let http = line.expect("an address");
        let http = http.trim_end_matches("/api/v1").to_owned();
        Running {
            child,
            listener,
            http,
        }
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(BINARY)
            .env("LWM2M_SERVER", &self.http)
            .arg("credentials")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("its input is piped");
        stdin.write_all(input.as_bytes()).expect("it reads");
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments, "");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.succeeds(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).expect("JSON")
    }

    fn ids(&self) -> Vec<String> {
        let list = self.json(&["list"]);
        let list = list.as_array().expect("a list").iter();
        list.map(|c| c["id"].as_str().expect("an id").to_owned())
            .collect()
    }

    fn fails(&self, arguments: &[&str], input: &str, parts: &[&str]) {
        let output = self.run(arguments, input);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?} succeeded");
        assert!(!text.contains("panicked"), "{text}");
        for part in parts {
            assert!(
                text.contains(part),
                "{arguments:?}: '{part}' is not in: {text}"
            );
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn credentials_are_generated_added_listed_removed_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path());
    assert!(running.succeeds(&["list"]).contains("credentials generate"));

    let generated = running.succeeds(&["generate", "meter-7", "--id", "m7"]);
    assert!(generated.contains("shown this once"), "{generated}");
    let key = running.json(&["generate", "meter-8", "--id", "m8", "--bits", "256"]);
    let key = key["key"].as_str().expect("a key").to_owned();
    assert_eq!(key.len(), 64);

    let psk = running.run(
        &["add", "x", "y-*", "--identity", "i", "--key-file", "-"],
        "00112233445566778899aabbccddee\n",
    );
    let shown = String::from_utf8_lossy(&psk.stdout);
    assert!(
        psk.status.success() && shown.contains("fewer than 16 bytes"),
        "{shown}"
    );
    assert!(!shown.contains("00112233"), "{shown}");
    let pem = "-----BEGIN PUBLIC KEY-----\n\
               MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n\
               6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n\
               -----END PUBLIC KEY-----\n";
    let file = folder.path().join("rpk.pem");
    fs::write(&file, pem).expect("written");
    running.succeeds(&["add", "r", "--public-key", &file.to_string_lossy()]);
    running.succeeds(&[
        "add",
        "urn:dev:{cn}",
        "--common-name",
        "m-*",
        "--id",
        "rule",
    ]);
    let oscore = [
        "add",
        "--recipient-id",
        "dev",
        "--sender-id",
        "srv",
        "--secret-file",
        "-",
    ];
    assert!(running.run(&oscore, "0102030405").status.success());

    let list = running.succeeds(&["list"]);
    for part in [
        "psk",
        "rpk",
        "x509",
        "oscore",
        "urn:dev:{cn}",
        "CN=m-*",
        "y-*",
        "short-key",
    ] {
        assert!(list.contains(part), "'{part}' is not in: {list}");
    }
    assert_eq!(running.json(&["list", "--mode", "x509"])[0]["id"], "rule");
    assert_eq!(
        running.json(&["list", "--endpoint", "y-1"])[0]["identity"],
        "i"
    );
    let all = running.succeeds(&["list", "--json"]);
    assert!(!all.contains(&key) && !all.contains("0102030405"), "{all}");
    assert!(running.succeeds(&["show", "m7"]).contains("meter-7"));

    running.succeeds(&["remove", "m7", "rule"]);
    let before = running.ids();
    assert_eq!(before.len(), 4);
    drop(running);

    // The next server has them, from a file that only the owner reads.
    let file = folder.path().join("keys.json");
    assert!(fs::read_to_string(&file).expect("the file").contains(&key));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(Running::start(folder.path()).ids(), before);
}

#[test]
fn security_is_on_when_nothing_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "bind_address = \"127.0.0.1\"\nbind_port = 0\n";
    let running = Running::start_with(folder.path(), config);
    assert!(
        running.listener.starts_with("coaps://127.0.0.1:"),
        "{}",
        running.listener
    );
    assert!(
        running
            .succeeds(&["generate", "meter-7"])
            .contains("meter-7")
    );
}

#[test]
fn files_are_imported_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path.to_string_lossy().into_owned()
    };
    let csv = file(
        "devices.csv",
        "id,identity,key\na,a,00\nb,b,00112233445566778899aabbccddeeff\n",
    );
    let imported = running.succeeds(&["import", &csv]);
    assert!(imported.contains("2 credentials added"), "{imported}");
    assert!(imported.contains("warning: a: "), "{imported}");
    let json = file("more.json", r#"[{"id":"c","identity":"c","key":"00"}]"#);
    assert_eq!(running.json(&["import", &json])["added"], 1);
    let broken = file("broken.csv", "id,identity,key\nd,d,00\ne,e,zz\nf,f,\n");
    let parts = [
        "nothing was added",
        "line 3: key: use hexadecimal",
        "line 4: key: it is missing",
    ];
    running.fails(&["import", &broken], "", &parts);
    running.fails(&["import", &csv], "", &["line 2: id: ", "already"]);
    running.fails(&["import", "nowhere.csv"], "", &["nowhere.csv"]);
    running.fails(&["import", "-", "--format", "xml"], "", &["json or csv"]);
    running.fails(&["import", "-"], "[", &["line 1"]);
    assert_eq!(running.ids(), ["a", "b", "c"]);
}

#[test]
fn wrong_arguments_are_sentences() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path());
    running.succeeds(&["generate", "a", "--id", "a"]);
    for (arguments, input, part) in [
        (&["show", "nobody"][..], "", "nobody"),
        (&["remove", "nobody"], "", "nobody"),
        (&["remove", "a/b?c"], "", "a/b?c"),
        (&["remove"], "", "IDS"),
        (&["generate", "b", "--bits", "64"], "", "128"),
        (&["generate", "a", "--id", "a"], "", "already"),
        (&["add"], "", "mode"),
        (&["add", "--identity", "x"], "", "key: it is missing"),
        (
            &["add", "--identity", "x", "--key-file", "-"],
            "zz",
            "hexadecimal",
        ),
        (
            &["add", "--identity", "x", "--key-file", "nowhere.key"],
            "",
            "nowhere.key",
        ),
        (
            &["add", "m", "--public-key", "-"],
            "no key",
            "BEGIN PUBLIC KEY",
        ),
        (
            &["add", "{ep}", "--identity", "x", "--key-file", "-"],
            "00",
            "{ep}",
        ),
        (&["list", "--mode", "nosec"], "", "nosec"),
        (&["frobnicate"], "", "frobnicate"),
    ] {
        running.fails(arguments, input, &[part]);
    }
    assert_eq!(running.ids(), ["a"]);
}

#[test]
fn the_file_may_be_changed_by_others_while_the_server_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    fs::write(&file, r#"[{"id":"a","identity":"a","key":"00"}]"#).expect("written");
    let running = Running::start(folder.path());
    assert_eq!(running.ids(), ["a"]);
    fs::write(&file, r#"[{"id":"b","identity":"b","key":"00"}]"#).expect("written");
    let deadline = Instant::now() + Duration::from_secs(60);
    while running.ids() != ["b"] {
        assert!(Instant::now() < deadline, "the change was not taken");
        std::thread::yield_now();
    }
    // A broken file is left as it is, and told to who wants to change it.
    fs::write(&file, "[{\n\"identity\":\"b\"}]").expect("written");
    running.fails(&["generate", "c"], "", &["keys.json", "line 1", "key"]);
    assert_eq!(running.ids(), ["b"]);
}

#[test]
fn a_broken_file_stops_the_start_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("keys.json");
    fs::write(
        &keys,
        "[\n{\"identity\": \"a\", \"key\": \"secretsecret\"}]",
    )
    .expect("written");
    let file = folder.path().join("lwm2m-server.toml");
    let config = "[server]\nbind_port = 0\nsecurity_mode = \"nosec\"\n\
                  [http]\nbind = \"127.0.0.1:0\"\n[credentials]\nfile = \"keys.json\"\n";
    fs::write(&file, config).expect("written");
    let output = Command::new(BINARY).arg("--config").arg(&file).output();
    let output = output.expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it started");
    assert!(
        text.contains("keys.json") && text.contains("line 2: key: "),
        "{text}"
    );
    assert!(!text.contains("secretsecret"), "{text}");
}
