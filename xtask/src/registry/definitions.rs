//! The definition files of a folder, as the server would load them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lwm2m_core::ObjectModel;
use lwm2m_registry::{Limits, ObjectKey, ParseError, ParseFault, Parser};

/// The sub-folder with older versions, as in the public registry.
pub(crate) const HISTORY: &str = "version_history";

/// The XML files of a folder and of its sub-folder `version_history`, or a single file.
///
/// Sorted, those of the folder first; hidden files are passed over, as the server does.
pub(crate) fn list(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = xml_files(path)?;
    let history = path.join(HISTORY);
    if history.is_dir() {
        files.extend(xml_files(&history)?);
    }
    let max = Limits::default().files_max;
    if files.len() > max {
        bail!("{} has more than {max} XML files", path.display());
    }
    Ok(files)
}

fn xml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let context = || format!("cannot list {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let is_xml = path
            .extension()
            .is_some_and(|found| found.eq_ignore_ascii_case("xml"));
        if is_xml && !is_hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a file of at most `max` bytes; a longer one comes back with one byte more.
pub(crate) fn read_bounded(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(bound).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// True for files that lie beside definitions and are none: the index, the list of units.
pub(crate) fn is_companion(error: &ParseError) -> bool {
    matches!(&error.fault, ParseFault::OtherRoot { found, .. }
        if found == "DDFList" || found == "units")
}

/// Every definition below a path; the first file wins, as in the server.
pub(crate) fn models(path: &Path) -> anyhow::Result<BTreeMap<ObjectKey, ObjectModel>> {
    let parser = Parser::default();
    let mut models = BTreeMap::new();
    for file in list(path)? {
        let shown = file.display().to_string();
        let bytes = read_bounded(&file, parser.limits().file_bytes_max)
            .with_context(|| format!("cannot read {shown}"))?;
        match parser.parse(&bytes, &shown) {
            Ok(parsed) => {
                for model in parsed.models {
                    models.entry(ObjectKey::of(&model)).or_insert(model);
                }
            }
            Err(error) if is_companion(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(models)
}
