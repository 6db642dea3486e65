use super::*;
use crate::credentials::{Proof, SecretKey};

fn open(path: &Path) -> Result<FileCredentials, CredentialFileError> {
    FileCredentials::open(path, CredentialLimits::default())
}

fn psk(id: &str, key: &[u8]) -> Credential {
    let proof = Proof::Psk {
        identity: id.as_bytes().into(),
        key: SecretKey::new(key).expect("a key"),
    };
    Credential::new(CredentialId::new(id).expect("an id"), proof)
}

fn ids(store: &FileCredentials) -> Vec<String> {
    let all = store.shared.memory.all();
    all.iter()
        .map(|credential| credential.id.to_string())
        .collect()
}

#[tokio::test]
async fn what_was_added_is_there_after_a_restart_and_nobody_else_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials.json");
    let store = open(&path).expect("no file is no credentials");
    assert!(ids(&store).is_empty() && !path.exists());
    store
        .add(vec![psk("a", b"1"), psk("b", b"2")])
        .await
        .expect("written");
    store
        .remove(CredentialId::new("b").expect("an id"))
        .await
        .expect("written");
    assert!(!store.is_exposed());
    let again = open(&path).expect("it reads what it wrote");
    assert_eq!(again.shared.memory.all(), store.shared.memory.all());
    let files = fs::read_dir(folder.path()).expect("the folder").count();
    assert_eq!(files, 1, "nothing is left beside it");
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_read_is_seen() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials.json");
    fs::write(&path, "[]").expect("written");
    for (mode, exposed) in [(0o600, false), (0o640, true), (0o604, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        assert_eq!(open(&path).expect("read").is_exposed(), exposed, "{mode:o}");
    }
}

#[tokio::test]
async fn a_change_from_outside_touches_only_what_has_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials.json");
    let store = open(&path).expect("open");
    store
        .add(vec![psk("a", b"1"), psk("b", b"2"), psk("c", b"3")])
        .await
        .expect("written");
    let mut changes = store.changes();
    let text = fs::read_to_string(&path).expect("read");
    // "b" gets another key, "c" goes, "d" comes.
    let text = text.replace("\"key\": \"32\"", "\"key\": \"34\"");
    let text = text.replace("\"id\": \"c\"", "\"id\": \"d\"");
    fs::write(&path, &text).expect("written");
    assert!(store.reload().expect("sound"));
    assert!(!store.reload().expect("sound"), "nothing more has changed");
    let change = changes.next().await.expect("open").expect("all heard");
    let named = |credentials: &[Arc<Credential>]| -> Vec<String> {
        credentials
            .iter()
            .map(|credential| credential.id.to_string())
            .collect()
    };
    assert_eq!(named(&change.removed), ["b", "c"]);
    assert_eq!(named(&change.added), ["b", "d"]);
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_is_not_written_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials.json");
    let store = open(&path).expect("open");
    store.add(vec![psk("a", b"1")]).await.expect("written");
    let twice = "[{\"id\":\"x\",\"identity\":\"x\",\"key\":\"00\"},\n\
                 {\"id\":\"x\",\"identity\":\"y\",\"key\":\"00\"}]";
    for (broken, part) in [
        ("[", "line 1: EOF"),
        ("[\n{\"identity\":\"x\"}]", "line 2: key: it is missing"),
        (twice, "line 2: id: "),
    ] {
        fs::write(&path, broken).expect("written");
        let error = store.reload().expect_err(broken).to_string();
        assert!(
            error.contains(part) && error.contains("credentials.json"),
            "{error}"
        );
        assert_eq!(ids(&store), ["a"]);
        let add = store.add(vec![psk("b", b"2")]).await;
        assert!(
            matches!(add, Err(CredentialStoreError::Unavailable(_))),
            "{add:?}"
        );
        assert_eq!(fs::read_to_string(&path).expect("read"), broken);
        assert!(open(&path).is_err());
    }
}

#[tokio::test]
async fn what_somebody_else_wrote_is_not_lost_by_an_addition() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials.json");
    let (one, other) = (open(&path).expect("open"), open(&path).expect("open"));
    one.add(vec![psk("a", b"1")]).await.expect("written");
    other.add(vec![psk("b", b"2")]).await.expect("written");
    assert_eq!(ids(&other), ["a", "b"]);
    assert_eq!(ids(&open(&path).expect("open")), ["a", "b"]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder.path().join("gone/credentials.json")).expect("no file yet");
    let error = store
        .add(vec![psk("a", b"1")])
        .await
        .expect_err("no folder");
    assert!(error.to_string().contains("gone"), "{error}");
    assert!(ids(&store).is_empty());
}

#[tokio::test]
async fn the_file_is_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials.json");
    let store = open(&path).expect("open");
    let mut changes = store.changes();
    let following = tokio::spawn(store.clone().follow(Duration::from_millis(5)));
    fs::write(&path, "[").expect("written");
    fs::write(&path, "[{\"id\":\"x\",\"identity\":\"x\",\"key\":\"00\"}]").expect("written");
    let change = tokio::time::timeout(Duration::from_secs(60), changes.next()).await;
    let change = change.expect("in time").expect("open").expect("all heard");
    assert_eq!(change.added.len(), 1);
    following.abort();
}

#[tokio::test]
async fn one_byte_more_than_the_limit_is_neither_read_nor_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("credentials.json");
    let store = open(&path).expect("no file is no credentials");
    store.add(vec![psk("a", b"1")]).await.expect("written");
    let text = fs::read_to_string(&path).expect("written");
    let limited = |file_bytes_max| {
        let limits = CredentialLimits {
            file_bytes_max,
            ..CredentialLimits::default()
        };
        FileCredentials::open(&path, limits)
    };
    let full = limited(text.len() as u64).expect("as many");
    let one_more = limited(text.len() as u64 - 1).expect_err("one more");
    let written = full.add(vec![psk("b", b"2")]).await.expect_err("more");
    assert_eq!(fs::read_to_string(&path).expect("as before"), text);
    fs::write(&path, format!("{text} ")).expect("written");
    let followed = full.reload().expect_err("one more").to_string();
    assert_eq!(ids(&full), ["a"]);
    for told in [one_more.to_string(), written.to_string(), followed] {
        for part in ["credentials.json", "bytes", "[credentials] file_bytes_max"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
