//! Which plugins there are, and where: in the folder, and as the configuration names them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::LoadError;
use crate::config::PluginsConfig;
use crate::load::{Language, Read, read};
use crate::plugin::Version;

/// What the files of plugins are now.
pub(crate) struct Found {
    /// Those that can be read, with the file or the folder that they are.
    pub(crate) plugins: Vec<(PathBuf, Read)>,
    /// What is wrong with others, with their names.
    pub(crate) errors: Vec<(String, LoadError)>,
    /// The names of plugins that are known, and cannot be read now: they have not been taken away.
    pub(crate) unreadable: Vec<String>,
}

/// Looks at the files. `known` has the names of the plugins in service, by what they are read from;
/// `in_service` gives them by their names.
pub(crate) fn find(
    config: &PluginsConfig,
    known: &BTreeMap<PathBuf, String>,
    in_service: &dyn Fn(&str) -> Option<Arc<Version>>,
) -> Found {
    let mut candidates: Vec<(String, PathBuf)> = Vec::new();
    let (mut errors, mut unreadable) = (Vec::new(), Vec::new());
    if let Some(directory) = &config.directory {
        match candidates_in(directory) {
            Ok(found) => candidates = found,
            // The folder that nobody has named need not be there.
            Err(_) if !directory.exists() && !config.plugin.is_empty() && known.is_empty() => {}
            Err(error) => {
                let within = known
                    .iter()
                    .filter(|(place, _)| place.starts_with(directory));
                unreadable.extend(within.map(|(_, name)| name.clone()));
                let what = match directory.exists() {
                    true => error.to_string(),
                    false => "there is no such folder".to_owned(),
                };
                let hint = match unreadable.is_empty() {
                    true => "make the folder, or name another as [plugins] directory".to_owned(),
                    false => format!(
                        "make it again: {} of it stay in service until then, or until a restart",
                        unreadable.join(", ")
                    ),
                };
                let error = LoadError::new(directory, what).hint(hint);
                errors.push((directory.display().to_string(), error));
            }
        }
    }
    for named in &config.plugin {
        if let Some(source) = &named.source {
            candidates.retain(|(name, _)| *name != named.name);
            candidates.push((named.name.clone(), source.clone()));
        }
    }
    candidates.sort();
    let mut plugins: Vec<(PathBuf, Read)> = Vec::new();
    let is_there = |plugins: &[(PathBuf, Read)], name: &str| {
        plugins.iter().any(|(_, read)| read.name() == name)
    };
    for (name, place) in candidates {
        match read(&name, &place, config, in_service) {
            Ok(None) => {}
            Ok(Some(other)) if is_there(&plugins, other.name()) => {
                let name = other.name().to_owned();
                let what = format!("there is another plugin called {name}");
                let hint = "give one of the two another name, in its plugin.toml or of its file";
                errors.push((name, LoadError::new(&place, what).hint(hint)));
            }
            Ok(Some(read)) => plugins.push((place, read)),
            Err(error) => {
                let name = match known.get(&place) {
                    Some(known) => {
                        unreadable.push(known.clone());
                        known.clone()
                    }
                    None => name,
                };
                errors.push((name, error));
            }
        }
    }
    for named in config.plugin.iter().filter(|named| named.enabled) {
        let is_there = is_there(&plugins, &named.name)
            || unreadable.contains(&named.name)
            || errors.iter().any(|(name, _)| *name == named.name);
        if !is_there {
            let place = config.directory.clone().unwrap_or_default();
            let what = format!("there is no plugin called {}", named.name);
            let hint = "put its file into the folder, or name it as its source";
            errors.push((named.name.clone(), LoadError::new(&place, what).hint(hint)));
        }
    }
    Found {
        plugins,
        errors,
        unreadable,
    }
}

/// Where changes matter.
pub(crate) fn places(config: &PluginsConfig) -> Vec<PathBuf> {
    let sources = config
        .plugin
        .iter()
        .filter_map(|named| named.source.clone());
    config.directory.iter().cloned().chain(sources).collect()
}

/// The files and folders of a folder that may be plugins, with the names that they have.
fn candidates_in(directory: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_plugin = match path.is_dir() {
            true => path.join("plugin.toml").is_file(),
            false => Language::of(&path).is_some(),
        };
        if let (Some(stem), true) = (stem, is_plugin) {
            found.push((stem.to_owned(), path.clone()));
        }
    }
    Ok(found)
}
