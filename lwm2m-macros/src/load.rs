//! From the path in a macro to object models.

use std::fs;
use std::path::{Path, PathBuf};

use lwm2m_core::ObjectModel;
use lwm2m_registry::{ParseFault, Severity};
use syn::LitStr;

/// Folders below the one that is named are read to this depth.
const DEPTH_MAX: usize = 8;

/// The objects of a file or folder.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// In the order of the files.
    pub(crate) models: Vec<ObjectModel>,
    /// The files that were read, by absolute path.
    pub(crate) files: Vec<String>,
    /// What is wrong in the files and was understood all the same.
    pub(crate) warnings: Vec<String>,
    /// Which file each model is from.
    origins: Vec<String>,
    faults: Vec<String>,
}

impl Loaded {
    /// Reads what a macro names.
    ///
    /// # Errors
    /// At the place of the macro's argument: each fault of each file, with its line.
    pub(crate) fn read(path: &LitStr) -> syn::Result<Loaded> {
        let shown = PathBuf::from(path.value());
        let found = find(path).map_err(|message| syn::Error::new(path.span(), message))?;
        let mut loaded = Loaded::default();
        match found.is_dir() {
            true => loaded.folder(&found, &shown, 0),
            false => loaded.file(&found, &shown, false),
        }
        if loaded.models.is_empty() && loaded.faults.is_empty() {
            let fault = format!("{}: there is no object definition", shown.display());
            loaded.faults.push(fault);
        }
        let mut errors = loaded
            .faults
            .iter()
            .map(|fault| syn::Error::new(path.span(), fault));
        match errors.next() {
            None => Ok(loaded),
            Some(mut first) => {
                first.extend(errors);
                Err(first)
            }
        }
    }

    fn folder(&mut self, folder: &Path, shown: &Path, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries.flatten(),
            Err(error) => return self.faults.push(format!("{}: {error}", shown.display())),
        };
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        // What is generated must not depend on the order of the file system.
        names.sort();
        for name in names {
            let (path, shown) = (folder.join(&name), shown.join(&name));
            if path.is_dir() && depth < DEPTH_MAX {
                self.folder(&path, &shown, depth + 1);
            } else if path.extension().is_some_and(|extension| extension == "xml") {
                self.file(&path, &shown, true);
            }
        }
    }

    /// A folder may hold XML of other kinds, such as the index of a registry.
    fn file(&mut self, path: &Path, shown: &Path, is_one_of_many: bool) {
        let shown = shown.display().to_string();
        let xml = match fs::read(path) {
            Ok(xml) => xml,
            Err(error) => return self.faults.push(format!("{shown}: {error}")),
        };
        match path.to_str() {
            Some(path) => self.files.push(path.to_owned()),
            None => self
                .faults
                .push(format!("{shown}: the path is not Unicode")),
        }
        let parsed = match lwm2m_registry::parse(&xml, &shown) {
            Ok(parsed) => parsed,
            Err(error) if is_one_of_many && matches!(error.fault, ParseFault::OtherRoot { .. }) => {
                return;
            }
            Err(error) => {
                let advice = error.fault.advice();
                return self.faults.push(match advice.is_empty() {
                    true => error.to_string(),
                    false => format!("{error} ({advice})"),
                });
            }
        };
        for diagnostic in &parsed.diagnostics {
            match diagnostic.severity {
                Severity::Error => self.faults.push(diagnostic.to_string()),
                Severity::Warning => self.warnings.push(diagnostic.to_string()),
                Severity::Note => {}
            }
        }
        for model in parsed.models {
            self.add(model, &shown);
        }
    }

    fn add(&mut self, model: ObjectModel, shown: &str) {
        let is_known = |known: &ObjectModel| (known.id, known.version) == (model.id, model.version);
        match self.models.iter().position(is_known) {
            None => {
                self.models.push(model);
                self.origins.push(shown.to_owned());
            }
            // A registry keeps a copy of the newest version among the older ones.
            Some(known) if self.models.get(known) == Some(&model) => {}
            Some(known) => {
                let first = self.origins.get(known).map_or("", String::as_str);
                let (id, version) = (model.id, model.version);
                self.faults.push(format!(
                    "{shown}: object {id} version {version} is defined otherwise in {first}"
                ));
            }
        }
    }
}

/// The file or folder, by absolute path: relative to the package, or else to the source file.
fn find(path: &LitStr) -> Result<PathBuf, String> {
    let given = PathBuf::from(path.value());
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let source = path.span().unwrap().local_file();
    let source = source.and_then(|file| fs::canonicalize(file).ok());
    let beside = source.and_then(|file| file.parent().map(Path::to_path_buf));
    let places = [package, beside].into_iter().flatten();
    let found = places
        .map(|place| place.join(&given))
        .find(|at| at.exists());
    found.ok_or_else(|| {
        format!(
            "{}: no such file or folder, neither below the package nor beside this file",
            given.display()
        )
    })
}
