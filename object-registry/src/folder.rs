//! Object definitions from folders, reloadable while in service.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lwm2m_core::ObjectModel;

use crate::diagnostic::{Diagnostic, Severity};
use crate::error::ParseFault;
use crate::object_set::{ObjectKey, ObjectSet};
use crate::parser::Parser;
use crate::registry::Registry;

/// The sub-folder with older versions, as in the public registry.
const HISTORY: &str = "version_history";
/// The roots of files that lie beside definitions and are none.
const COMPANION_ROOTS: [&str; 2] = ["DDFList", "units"];

/// What loading a folder changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LoadReport {
    /// How many files were read without an error.
    pub files: usize,
    /// Now in service, and not before.
    pub added: Vec<ObjectKey>,
    /// In service with another definition than before.
    pub changed: Vec<ObjectKey>,
    /// In service before, and no longer.
    pub removed: Vec<ObjectKey>,
    /// In service as before, although the file that they came from is broken now.
    pub kept: Vec<ObjectKey>,
    /// What is wrong, or unusual, in the files.
    pub diagnostics: Vec<Diagnostic>,
}

/// Why a folder could not be loaded; nothing changed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The folder cannot be listed.
    #[error("cannot list {}", path.display())]
    Unreadable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder has more XML files than [`Limits::files_max`](crate::Limits::files_max).
    #[error("{} has more than {max} XML files", path.display())]
    TooManyFiles {
        /// The folder.
        path: PathBuf,
        /// The limit.
        max: usize,
    },
}

impl Registry {
    /// Loads the XML files of a folder and of its sub-folder `version_history`, or loads them
    /// again.
    ///
    /// The models come into service together. A file that is broken now leaves the models it held
    /// before in service; a file that is gone takes its models with it. Of two files that define
    /// the same version the first by name wins, those of the folder before those of the
    /// sub-folder. Indexes, hidden files and files of reusable resources are passed over.
    ///
    /// Reads files and blocks; readers of the registry are not blocked.
    ///
    /// # Errors
    /// When the folder cannot be listed or has too many files. What is wrong with single files is
    /// in the report.
    pub fn load_dir(&self, path: impl AsRef<Path>) -> Result<LoadReport, LoadError> {
        self.load_dir_with(path, &Parser::default())
    }

    /// As [`Registry::load_dir`], with another strictness or other limits.
    ///
    /// # Errors
    /// As [`Registry::load_dir`].
    pub fn load_dir_with(
        &self,
        path: impl AsRef<Path>,
        parser: &Parser,
    ) -> Result<LoadReport, LoadError> {
        self.replace(|folders, base| {
            let before = self.snapshot();
            let mut report = folders.load(path.as_ref(), parser)?;
            let after = folders.on_top_of(base);
            report.compare(&before, &after);
            Ok((after, report))
        })
    }
}

/// The folders that are loaded, in the order of their first load.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    loaded: Vec<Folder>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    files: BTreeMap<FileName, Vec<Arc<ObjectModel>>>,
}

/// A file inside a folder, ordered by precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct FileName {
    is_history: bool,
    name: PathBuf,
}

impl Folders {
    /// Reads a folder in the place of what was loaded of it before.
    fn load(&mut self, path: &Path, parser: &Parser) -> Result<LoadReport, LoadError> {
        let names = list(path, parser.limits().files_max)?;
        let mut report = LoadReport::default();
        let slot = self.loaded.iter().position(|folder| folder.path == path);
        let mut files = BTreeMap::new();
        for name in names {
            let models = match read(path, &name, parser, &mut report) {
                Some(models) => models,
                None => {
                    let previous = slot
                        .and_then(|slot| self.loaded.get(slot))
                        .and_then(|folder| folder.files.get(&name))
                        .cloned()
                        .unwrap_or_default();
                    let kept = previous.iter().map(|model| ObjectKey::of(model));
                    report.kept.extend(kept);
                    previous
                }
            };
            files.insert(name, models);
        }
        report_doubles(&files, &mut report);
        let path = path.to_owned();
        match slot.and_then(|slot| self.loaded.get_mut(slot)) {
            Some(folder) => folder.files = files,
            None => self.loaded.push(Folder { path, files }),
        }
        Ok(report)
    }

    /// All models: those of the base, and over them those of the folders.
    fn on_top_of(&self, base: &ObjectSet) -> ObjectSet {
        let of_folders = self
            .loaded
            .iter()
            // The first file wins inside a folder, so it comes last.
            .flat_map(|folder| folder.files.values().rev().flatten());
        base.iter().chain(of_folders).cloned().collect()
    }
}

impl LoadReport {
    fn compare(&mut self, before: &ObjectSet, after: &ObjectSet) {
        for model in after.iter() {
            let key = ObjectKey::of(model);
            match before.exact(key.id, key.version) {
                None => self.added.push(key),
                Some(old) if old != model => self.changed.push(key),
                Some(_) => {}
            }
        }
        let gone = before
            .iter()
            .map(|model| ObjectKey::of(model))
            .filter(|key| after.exact(key.id, key.version).is_none());
        self.removed.extend(gone);
    }
}

/// The XML files of a folder and of its history, sorted.
fn list(path: &Path, files_max: usize) -> Result<Vec<FileName>, LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for (is_history, folder) in [(false, path.to_owned()), (true, path.join(HISTORY))] {
        let entries = match fs::read_dir(&folder) {
            Err(error) if is_history && error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(unreadable)?,
        };
        for entry in entries {
            let name = PathBuf::from(entry.map_err(unreadable)?.file_name());
            if !is_definition_name(&name) || !folder.join(&name).is_file() {
                continue;
            }
            if names.len() >= files_max {
                return Err(LoadError::TooManyFiles {
                    path: path.to_owned(),
                    max: files_max,
                });
            }
            names.push(FileName { is_history, name });
        }
    }
    names.sort();
    Ok(names)
}

fn is_definition_name(name: &Path) -> bool {
    let is_xml = name
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("xml"));
    let is_hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
    is_xml && !is_hidden
}

/// The models of a file; none when it cannot be read, and the report says why.
fn read(
    folder: &Path,
    name: &FileName,
    parser: &Parser,
    report: &mut LoadReport,
) -> Option<Vec<Arc<ObjectModel>>> {
    let path = match name.is_history {
        true => folder.join(HISTORY).join(&name.name),
        false => folder.join(&name.name),
    };
    let shown = path.display().to_string();
    let bytes = match read_bounded(&path, parser.limits().file_bytes_max) {
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("the file cannot be read: {error}");
            let advice = "make it readable for the server";
            let diagnostic = Diagnostic::of_file(Severity::Error, &shown, message, advice);
            report.diagnostics.push(diagnostic);
            return None;
        }
    };
    match parser.parse(bytes, &shown) {
        Ok(parsed) => {
            report.files += 1;
            report.diagnostics.extend(parsed.diagnostics);
            Some(parsed.models.into_iter().map(Arc::new).collect())
        }
        Err(error) => match &error.fault {
            ParseFault::OtherRoot { found, .. } if COMPANION_ROOTS.contains(&found.as_str()) => {
                report.files += 1;
                let message = format!("a <{found}> file has no object definitions");
                let diagnostic = Diagnostic::of_file(Severity::Note, &shown, message, "");
                report.diagnostics.push(diagnostic);
                Some(Vec::new())
            }
            fault => {
                let is_strict = matches!(fault, ParseFault::Rejected(_));
                report.diagnostics.extend(error.into_diagnostics());
                if is_strict {
                    let message = "the file is refused: strict mode takes no file with warnings";
                    let advice = "correct what is listed";
                    let diagnostic = Diagnostic::of_file(Severity::Error, &shown, message, advice);
                    report.diagnostics.push(diagnostic);
                }
                None
            }
        },
    }
}

/// The bytes of a file, one more than allowed at most: the parser refuses those.
fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let bytes_max = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Says which files define a version that a file before them defines differently.
fn report_doubles(files: &BTreeMap<FileName, Vec<Arc<ObjectModel>>>, report: &mut LoadReport) {
    let mut seen: BTreeMap<ObjectKey, (&FileName, &Arc<ObjectModel>)> = BTreeMap::new();
    for (name, models) in files {
        for model in models {
            let key = ObjectKey::of(model);
            match seen.get(&key) {
                None => {
                    seen.insert(key, (name, model));
                }
                Some((_, first)) if *first == model => {}
                Some((first, _)) => {
                    let first = first.name.display();
                    let message = format!("{key} is defined in {first} as well, and differently");
                    let file = name.name.display().to_string();
                    let advice = "the other file is used; remove one of them";
                    let diagnostic = Diagnostic::of_file(Severity::Error, &file, message, advice);
                    report.diagnostics.push(diagnostic);
                }
            }
        }
    }
}
