//! `cargo xtask registry check`: what an author of object definitions should know about them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::bail;
use lwm2m_core::{DataType, ObjectModel};
use lwm2m_registry::{ObjectKey, Parsed, Parser, Severity};
use serde::Serialize;

use super::definitions::{self, HISTORY};
use super::finding::Finding;
use super::id_class::IdClass;
use super::pull;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Folders of definitions, or single files.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Fails on warnings too; advice never fails.
    #[arg(long)]
    strict: bool,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was checked and found.
#[derive(Debug, Default, Serialize)]
struct Report {
    files: usize,
    objects: usize,
    resources: usize,
    errors: usize,
    warnings: usize,
    notes: usize,
    findings: Vec<Finding>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut check = Check::default();
    for path in &arguments.paths {
        for file in definitions::list(path)? {
            check.file(&file);
        }
        if path.is_dir() {
            check.lock(path)?;
        }
    }
    let report = check.finish();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        for finding in &report.findings {
            println!("{finding}");
        }
        println!(
            "files: {}, objects: {}, resources: {}; errors: {}, warnings: {}, advice: {}",
            report.files,
            report.objects,
            report.resources,
            report.errors,
            report.warnings,
            report.notes
        );
    }
    match (report.files, report.errors, report.warnings) {
        (0, ..) => bail!("there is no XML file: is it the right folder?"),
        (_, 0, 0) => Ok(()),
        (_, 0, _) if !arguments.strict => Ok(()),
        (_, errors, warnings) => bail!("errors: {errors}, warnings: {warnings}"),
    }
}

/// The files seen so far.
#[derive(Debug, Default)]
struct Check {
    parser: Parser,
    report: Report,
    /// The file that defines a version, with its definition.
    known: BTreeMap<ObjectKey, (String, ObjectModel)>,
}

impl Check {
    fn file(&mut self, path: &Path) {
        let shown = path.display().to_string();
        self.report.files += 1;
        let bytes = match definitions::read_bounded(path, self.parser.limits().file_bytes_max) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("cannot be read: {error}");
                self.add(Finding::new(Severity::Error, &shown, 0, message, ""));
                return;
            }
        };
        let parsed = match self.parser.parse(&bytes, &shown) {
            Ok(parsed) => parsed,
            Err(error) if definitions::is_companion(&error) => return self.index(&bytes, &shown),
            Err(error) => {
                let findings = error.into_diagnostics();
                return findings
                    .into_iter()
                    .for_each(|finding| self.add(finding.into()));
            }
        };
        let Parsed {
            models,
            diagnostics,
            ..
        } = parsed;
        for diagnostic in diagnostics {
            self.add(diagnostic.into());
        }
        // The parser took it as UTF-8.
        let text = String::from_utf8_lossy(&bytes);
        for model in models {
            self.object(model, &shown, &text);
        }
    }

    /// Whether pulled files are as they were.
    fn lock(&mut self, folder: &Path) -> anyhow::Result<()> {
        for (file, message) in pull::departures(folder)? {
            let advice = "pull again with --overwrite, or give it another name to keep it";
            let file = file.display().to_string();
            self.add(Finding::new(Severity::Warning, &file, 0, message, advice));
        }
        Ok(())
    }

    /// An index is checked too; a list of units is none, and passed over.
    fn index(&mut self, bytes: &[u8], shown: &str) {
        if let Ok(index) = self.parser.parse_index(bytes, shown) {
            for diagnostic in index.diagnostics {
                self.add(diagnostic.into());
            }
        }
    }

    fn object(&mut self, model: ObjectModel, shown: &str, text: &str) {
        self.report.objects += 1;
        self.report.resources += model.resources.len();
        for finding in advice(&model, shown, text) {
            self.add(finding);
        }
        let key = ObjectKey::of(&model);
        if let Some((first, known)) = self.known.get(&key) {
            let line = line_of(text, "<ObjectID>");
            // A registry keeps a copy of the newest version beside the older ones.
            let is_history = Path::new(shown)
                .parent()
                .is_some_and(|folder| folder.ends_with(HISTORY));
            let finding = match (*known == model, is_history) {
                (true, true) => return,
                (true, false) => Finding::new(
                    Severity::Note,
                    shown,
                    line,
                    format!("{key} is the same as in {first}"),
                    "one of them is enough",
                ),
                (false, _) => Finding::new(
                    Severity::Warning,
                    shown,
                    line,
                    format!("{key} is defined differently in {first}, which is used"),
                    "raise the version of one of them, or remove it",
                ),
            };
            self.add(finding);
            return;
        }
        self.known.insert(key, (shown.to_owned(), model));
    }

    fn add(&mut self, finding: Finding) {
        match finding.severity {
            Severity::Error => self.report.errors += 1,
            Severity::Warning => self.report.warnings += 1,
            Severity::Note => self.report.notes += 1,
        }
        self.report.findings.push(finding);
    }

    fn finish(self) -> Report {
        self.report
    }
}

/// What the parser has no opinion on.
fn advice(model: &ObjectModel, file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let class = IdClass::of(model.id);
    let at_id = line_of(text, "<ObjectID>");
    if class == IdClass::Unassigned {
        let message = format!("object id {} is assigned to nobody", model.id);
        let finding = Finding::new(Severity::Warning, file, at_id, message, class.advice());
        findings.push(finding);
    }
    let (word, id) = (class.urn_word(), model.id);
    let expected = format!("urn:oma:lwm2m:{word}:{id}");
    if text.contains("urn:oma:lwm2m:") && !text.contains(&expected) {
        let line = line_of(text, "<ObjectURN>");
        let message = format!("the URN of object {id} starts otherwise than {expected}");
        let advice = format!("write {expected}, with :{} unless it is 1.0", model.version);
        findings.push(Finding::new(Severity::Warning, file, line, message, advice));
    }
    if model.mandatory && class != IdClass::Oma {
        let line = line_of(text, "<Mandatory>");
        let message = "the object is Mandatory, as if every device in the world had it";
        let advice = "write Optional, unless it is meant so";
        findings.push(Finding::new(Severity::Note, file, line, message, advice));
    }
    if model.description.is_empty() {
        let message = "the object has no description";
        let advice = "say in <Description1> what it is for";
        findings.push(Finding::new(Severity::Note, file, at_id, message, advice));
    }
    for resource in &model.resources {
        let line = line_of(text, &format!("ID=\"{}\"", resource.id));
        let mut note = |message: String, advice: &str| {
            findings.push(Finding::new(Severity::Note, file, line, message, advice));
        };
        let (id, name) = (resource.id, &resource.name);
        if resource.description.is_empty() {
            let message = format!("resource {id}, `{name}`, has no description");
            note(message, "say in <Description> what its values mean");
        }
        let is_number = matches!(
            resource.data_type,
            Some(DataType::Integer | DataType::Unsigned | DataType::Float | DataType::Time)
        );
        if !resource.units.is_empty() && !is_number {
            let message = format!("resource {id}, `{name}`, has a unit but is no number");
            note(message, "leave <Units> empty, or correct the type");
        }
        if id > 32768 {
            let message = format!("resource id {id} is in no class of ids");
            note(
                message,
                "use 0 to 2047 for this object, or 26241 to 32768 for resources of yours that \
                 objects share",
            );
        }
    }
    findings
}

/// The line of the first occurrence, counted from 1; 0 when there is none.
fn line_of(text: &str, needle: &str) -> u32 {
    let Some(at) = text.find(needle) else {
        return 0;
    };
    let newlines = text.as_bytes().iter().take(at).filter(|b| **b == b'\n');
    u32::try_from(newlines.count() + 1).unwrap_or(u32::MAX)
}
