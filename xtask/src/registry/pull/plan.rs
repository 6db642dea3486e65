//! From an index to the files that are wanted.

use std::collections::{BTreeMap, HashMap};

use lwm2m_registry::{Index, ObjectKey, Severity};

use super::Failure;
use super::file_path::FilePath;
use super::selection::Selection;

/// What to fetch.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) files: Vec<Planned>,
    /// What the index asks for and cannot be fetched.
    pub(super) failures: Vec<Failure>,
    /// Versions without a file, which is allowed.
    pub(super) unpublished: usize,
}

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) path: FilePath,
    /// The versions that it defines according to the index; none for companions.
    pub(super) objects: Vec<ObjectKey>,
}

impl Planned {
    /// A companion may be missing, a definition not.
    pub(super) fn is_companion(&self) -> bool {
        self.objects.is_empty()
    }
}

impl Plan {
    pub(super) fn of(index: &Index, only: Option<&Selection>) -> Plan {
        let mut plan = Plan::default();
        let is_selected = |id| only.is_none_or(|only| only.contains(id));
        let mut wanted: BTreeMap<FilePath, Vec<ObjectKey>> = BTreeMap::new();
        for row in index.rows.iter().filter(|row| is_selected(row.id)) {
            let key = ObjectKey {
                id: row.id,
                version: row.version,
            };
            let Some(definition) = &row.definition else {
                plan.unpublished += 1;
                continue;
            };
            match FilePath::parse(definition) {
                Some(path) => wanted.entry(path).or_default().push(key),
                None => plan.failures.push(Failure {
                    file: format!("DDF.xml:{}", row.line),
                    reason: format!("`{definition}`, the file of {key}, is refused"),
                    advice: "only NAME.xml and version_history/NAME.xml are taken: correct the \
                             index"
                        .to_owned(),
                }),
            }
        }
        plan.refused_rows(index, only);
        plan.missing_ids(index, only);
        plan.collect(wanted);
        plan
    }

    /// Rows that the parser did not take, as far as they are about selected objects.
    fn refused_rows(&mut self, index: &Index, only: Option<&Selection>) {
        let errors = index.diagnostics.iter();
        for error in errors.filter(|found| found.severity == Severity::Error) {
            let row = index.rows.iter().rfind(|row| row.line <= error.line);
            let is_selected = match (only, row) {
                (Some(only), Some(row)) => only.contains(row.id),
                (Some(_), None) => false,
                (None, _) => true,
            };
            if is_selected {
                self.failures.push(Failure {
                    file: format!("DDF.xml:{}", error.line),
                    reason: error.message.clone(),
                    advice: error.advice.clone(),
                });
            }
        }
    }

    fn missing_ids(&mut self, index: &Index, only: Option<&Selection>) {
        let ids = index.rows.iter().map(|row| row.id);
        for part in only.map(|only| only.without(ids)).unwrap_or_default() {
            self.failures.push(Failure {
                file: "DDF.xml".to_owned(),
                reason: format!("the index has no object {part}"),
                advice: "correct --only".to_owned(),
            });
        }
    }

    fn collect(&mut self, wanted: BTreeMap<FilePath, Vec<ObjectKey>>) {
        let mut folded: HashMap<String, FilePath> = HashMap::new();
        for path in FilePath::companions() {
            folded.insert(path.folded(), path.clone());
            let objects = Vec::new();
            self.files.push(Planned { path, objects });
        }
        folded.insert(FilePath::index().folded(), FilePath::index());
        for (path, objects) in wanted {
            if let Some(other) = folded.insert(path.folded(), path.clone()) {
                self.failures.push(Failure {
                    file: path.to_string(),
                    reason: format!("its name is the same as that of {other}"),
                    advice: "rename one of them in the registry".to_owned(),
                });
                continue;
            }
            self.files.push(Planned { path, objects });
        }
    }
}
