//! Compiled components on disk.

use std::fs;
use std::path::{Path, PathBuf};

use lwm2m_server::Decision;
use tempfile::TempDir;

use super::Hosted;
use super::guest::Guest;

async fn hosted(cache: &Path) -> Hosted {
    let guest = Guest::of("registration-plugin");
    let settings = format!(
        "cache = '{}'\n[[plugin]]\nname = 'p'\n{}",
        cache.display(),
        super::PATIENT
    );
    let hosted = Hosted::new(&[("p", guest.build())], &settings).await;
    assert_eq!(hosted.refused("p"), "");
    assert_eq!(hosted.on_register().await, Decision::Pass);
    hosted
}

/// The compiled components, with when each was written.
fn compiled(cache: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![cache.join("wasmtime/modules")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                None => found.push((path.clone(), fs::read(path).expect("a file"))),
                Some(_) => {}
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_compiled_component_is_found_again() {
    let folder = TempDir::new().expect("a folder");
    let cache = folder.path().join("cache");
    drop(hosted(&cache).await);
    let first = compiled(&cache);
    assert_eq!(first.len(), 1);
    let written = |path: &Path| {
        fs::metadata(path)
            .and_then(|m| m.modified())
            .expect("a time")
    };
    let when = written(&first[0].0);
    drop(hosted(&cache).await);
    assert_eq!(compiled(&cache), first);
    assert_eq!(written(&first[0].0), when, "it was not compiled again");
}

#[tokio::test]
async fn a_damaged_one_is_compiled_again() {
    let folder = TempDir::new().expect("a folder");
    let cache = folder.path().join("cache");
    drop(hosted(&cache).await);
    let whole = compiled(&cache);
    let (file, bytes) = &whole[0];
    for place in [0, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        fs::write(file, damaged).expect("damage");
        drop(hosted(&cache).await);
        assert_eq!(compiled(&cache), whole, "as it was");
    }
    fs::write(file, b"").expect("damage");
    drop(hosted(&cache).await);
    assert_eq!(compiled(&cache), whole);
}

#[tokio::test]
async fn one_that_nobody_here_has_written_is_never_used() {
    let folder = TempDir::new().expect("a folder");
    let cache = folder.path().join("cache");
    drop(hosted(&cache).await);
    let (file, bytes) = compiled(&cache).remove(0);
    // A stranger's, under the name that belongs to the component, and nobody's seal.
    fs::remove_dir_all(cache.join("checksums")).expect("seals");
    fs::write(&file, b"a stranger's").expect("a file");
    let other = file.with_file_name("stranger");
    fs::write(&other, b"a stranger's").expect("a file");
    drop(hosted(&cache).await);
    assert_eq!(compiled(&cache), [(file, bytes)]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_others_may_use_is_no_cache() {
    use std::os::unix::fs::PermissionsExt;

    let folder = TempDir::new().expect("a folder");
    let cache = folder.path().join("cache");
    drop(hosted(&cache).await);
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&cache), 0o700);
    for open in [0o770, 0o701, 0o740] {
        fs::set_permissions(&cache, fs::Permissions::from_mode(open)).expect("permissions");
        let config = lwm2m_plugins::PluginsConfig {
            cache: Some(cache.clone()),
            ..Default::default()
        };
        let error = lwm2m_plugins::PluginHost::with(config)
            .await
            .err()
            .expect("refused");
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
}
