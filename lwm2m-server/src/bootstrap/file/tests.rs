//! A file that is there, changes, breaks, and goes.

use std::fs;

use super::*;

#[test]
fn a_file_is_followed_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bootstrap.toml");
    let store = FileBootstrap::open(&path, None).expect("no file is no plan");
    let plans = || store.shared.plans().devices.len();
    assert_eq!(plans(), 0);
    let device = "[[device]]\nendpoint = \"a\"\n";
    fs::write(&path, device.repeat(2)).expect("written");
    assert!(store.reload().expect("a good file"));
    assert!(!store.reload().expect("the same file"));
    assert_eq!(plans(), 2);
    fs::write(&path, "[[device]]\n").expect("written");
    let error = store.reload().expect_err("a broken file").to_string();
    assert!(
        error.contains("bootstrap.toml: line 1: missing field"),
        "{error}"
    );
    assert_eq!(plans(), 2);
    fs::remove_file(&path).expect("removed");
    assert!(store.reload().expect("no file"));
    assert_eq!(plans(), 0);
}

fn documents(text: &str) -> Vec<BootstrapDocument> {
    BootstrapDocument::read_all(text).expect("good plans")
}

fn adding(text: &str) -> BootstrapChange {
    BootstrapChange {
        add: documents(text),
        ..BootstrapChange::default()
    }
}

fn removing(endpoint: &str) -> BootstrapChange {
    BootstrapChange {
        remove: vec![endpoint.to_owned()],
        ..BootstrapChange::default()
    }
}

const ACCOUNT: &str = "[[device.server]]\nshort_server_id = 7\nuri = \"coaps://a:5685\"\n\
                       psk_identity = \"i\"\npsk_key = \"00112233445566778899aabbccddeeff\"\n";

#[tokio::test]
async fn plans_are_added_and_removed_and_what_else_stands_in_the_file_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bootstrap.toml");
    let store = FileBootstrap::open(&path, None).expect("no file is no plan");
    let names = |store: &FileBootstrap| -> Vec<String> {
        let documents = store.documents().expect("it has them");
        documents.iter().map(|d| d.endpoint().to_owned()).collect()
    };
    let add = |endpoint: &str| adding(&format!("[[device]]\nendpoint = \"{endpoint}\"\n{ACCOUNT}"));
    store.change(add("a")).await.expect("the first");
    #[cfg(unix)]
    assert!(!store.is_exposed(), "there are keys in it");
    let text = fs::read_to_string(&path).expect("written");
    fs::write(&path, format!("# mine\n{text}# below a\n")).expect("written");
    store.change(add("b*")).await.expect("behind it");
    store.change(add("bc")).await.expect("behind it");
    store.change(removing("b*")).await.expect("removed");
    assert_eq!(names(&store), ["a", "bc"]);
    let text = fs::read_to_string(&path).expect("written");
    for part in ["# mine", "# below a", "00112233445566778899aabbccddeeff"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("b*"), "{text}");
    assert!(
        !store.reload().expect("its own"),
        "what it wrote is not new"
    );
    let again = FileBootstrap::open(&path, None).expect("good");
    assert_eq!(again.documents(), store.documents());

    let taken = store.change(add("a")).await;
    assert_eq!(taken, Err(BootstrapStoreError::Taken("a".to_owned())));
    let unknown = store.change(removing("b*")).await;
    assert_eq!(unknown, Err(BootstrapStoreError::NotFound("b*".to_owned())));
    let wrong = adding("[[device]]\nendpoint = \"c\"\ncontent_format = \"text\"\n");
    let wrong = store.change(wrong).await.expect_err("no such format");
    assert!(
        wrong
            .to_string()
            .starts_with("device 1 (c): content_format"),
        "{wrong}"
    );
    assert_eq!(fs::read_to_string(&path).expect("there"), text, "as it was");

    // Plans that are written in another way are written anew.
    fs::write(
        &path,
        "device = [{ endpoint = \"x\" }, { endpoint = \"y\" }]",
    )
    .expect("written");
    store.change(removing("x")).await.expect("removed");
    store.change(add("z")).await.expect("added");
    assert_eq!(names(&store), ["y", "z"]);
    let again = FileBootstrap::open(&path, None).expect("good");
    assert_eq!(again.documents(), store.documents());
}

#[tokio::test]
async fn one_plan_more_than_there_may_be_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bootstrap.toml");
    let plan = |number: usize| format!("[[device]]\nendpoint = \"d{number}\"\n");
    let full: String = (0..FileBootstrap::PLANS_MAX).map(plan).collect();
    fs::write(&path, &full).expect("written");
    let store = FileBootstrap::open(&path, None).expect("as many as there may be");
    let max = FileBootstrap::PLANS_MAX;
    let more = store.change(adding(&plan(max))).await;
    assert_eq!(more, Err(BootstrapStoreError::Full { max }));
    fs::write(&path, full + &plan(max)).expect("written");
    let error = store.reload().expect_err("too many").to_string();
    assert!(
        error.contains("no room for more than 10000 plans"),
        "{error}"
    );
}

#[tokio::test]
async fn one_byte_more_than_the_limit_is_neither_read_nor_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bootstrap.toml");
    let plan = "[[device]]\nendpoint = \"a\"\n#";
    let filler = usize::try_from(FileBootstrap::BYTES_MAX).expect("it fits") - plan.len();
    let full = [plan, &"x".repeat(filler)].concat();
    fs::write(&path, &full).expect("written");
    let store = FileBootstrap::open(&path, None).expect("as many as there may be");
    let more = adding("[[device]]\nendpoint = \"b\"\n");
    let written = store.change(more).await.expect_err("more").to_string();
    fs::write(&path, full + "x").expect("written");
    let followed = store.reload().expect_err("one more").to_string();
    for told in [written, followed] {
        for part in ["bootstrap.toml", "bytes", "at most 16777216", "pattern"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    assert_eq!(store.shared.plans().devices.len(), 1);
}

#[test]
fn a_plan_for_exactly_the_name_counts_first_and_keys_are_not_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bootstrap.toml");
    let plan = |endpoint: &str| format!("[[device]]\nendpoint = \"{endpoint}\"\n{ACCOUNT}");
    fs::write(&path, plan("*") + &plan("a")).expect("written");
    let store = FileBootstrap::open(&path, None).expect("good");
    let of = |name: &str| {
        let request = BootstrapRequest {
            endpoint: crate::EndpointName::new(name).expect("a name"),
            scheme: "coap",
            peer: ([127, 0, 0, 1], 1).into(),
            identity: crate::PeerIdentity::Anonymous,
            authenticated: None,
            preferred_format: None,
            parameters: Vec::new(),
        };
        store
            .shared
            .device(&request)
            .expect("there")
            .endpoint
            .to_string()
    };
    assert_eq!((of("a"), of("b")), ("a".to_owned(), "*".to_owned()));

    let mut documents = store.documents().expect("it has them");
    let written = "[[device]]\nendpoint = \"w\"\nwrite = { \"/0/5/5\" = \"secret\" }\n";
    documents.extend(BootstrapDocument::read_all(written).expect("good"));
    for document in documents {
        let shown = serde_json::to_string(&document.without_keys()).expect("JSON");
        let printed = format!("{shown} {document:?}");
        for secret in ["001122", "secret"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
