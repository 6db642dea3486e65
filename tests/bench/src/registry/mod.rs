//! Object definitions: reading them, making types of them, looking models up.
//!
//! Without a folder the definitions are those of the repository. With one, such as a pulled
//! registry, all of it is also compiled as one crate, as an application that uses it would.

mod compile;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use lwm2m_core::{ObjectModel, ObjectModels, ObjectVersion};
use lwm2m_registry::{ObjectKey, Registry};

use crate::report::{Cell, Report};
use crate::timing::{COUNTING, Rounds, measure};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    rounds: Rounds,
    /// A folder of definitions with its `version_history`; compiles all of them, too.
    #[arg(long, env = "LWM2M_REGISTRY", value_name = "FOLDER")]
    registry: Option<PathBuf>,
}

/// A file of object definitions, in memory.
struct DefinitionFile {
    path: PathBuf,
    xml: Vec<u8>,
    models: Vec<ObjectModel>,
}

/// Measures what is asked for.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Vec<Report>> {
    let built_in = workspace().join("object-registry/objects");
    let folder = arguments.registry.as_ref().unwrap_or(&built_in);
    let definitions = read(folder)?;
    if definitions.is_empty() {
        bail!("there is no object definition in {}", folder.display());
    }
    let rounds = &arguments.rounds;
    let mut reports = vec![
        reading(rounds, folder, &definitions)?,
        looking_up(rounds, folder)?,
    ];
    if let (Some(_), false) = (&arguments.registry, COUNTING) {
        let models = definitions.into_iter().flat_map(|file| file.models);
        reports.push(compile::run(&models.collect::<Vec<_>>())?);
    }
    Ok(reports)
}

/// Reads files and makes types, as the server and the macros do.
fn reading(
    rounds: &Rounds,
    folder: &Path,
    definitions: &[DefinitionFile],
) -> anyhow::Result<Report> {
    let columns: &[_] = match COUNTING {
        true => &["operation", "versions", "bytes", "allocations"],
        false => &["operation", "versions", "bytes", "ms", "median_ms"],
    };
    let mut report = Report::new("Object definitions, on one core", columns);
    let mut add = |name: String, files: &[DefinitionFile], figures: Vec<Cell>| {
        let models = files.iter().flat_map(|file| &file.models);
        // A registry keeps a copy of the newest version among the older ones.
        let versions: BTreeSet<ObjectKey> = models.map(ObjectKey::of).collect();
        let bytes: usize = files.iter().map(|file| file.xml.len()).sum();
        let mut row = vec![
            Cell::Text(name),
            Cell::Number(versions.len() as f64, 0),
            Cell::Number(bytes as f64, 0),
        ];
        row.extend(figures.into_iter().map(milliseconds));
        report.row(row);
    };
    let all = format!("{} files", definitions.len());
    let figures = measure(rounds, || {
        for file in definitions {
            _ = black_box(lwm2m_registry::parse(black_box(&file.xml), "a.xml"));
        }
    });
    add(format!("parse {all}"), definitions, figures);
    let figures = measure(rounds, || {
        _ = black_box(Registry::empty().load_dir(black_box(folder)));
    });
    add(format!("load {all} from disk"), definitions, figures);
    let models: Vec<ObjectModel> = definitions
        .iter()
        .flat_map(|file| file.models.iter().cloned())
        .collect();
    let figures = measure(rounds, || {
        _ = black_box(lwm2m_codegen::expand(black_box(&models)));
    });
    add(format!("generate from {all}"), definitions, figures);

    let resources = |file: &&DefinitionFile| -> usize {
        file.models.iter().map(|model| model.resources.len()).sum()
    };
    let device = definitions
        .iter()
        .find(|file| file.models.iter().any(|model| model.id == 3));
    let largest = definitions.iter().max_by_key(resources);
    for file in device.into_iter().chain(largest) {
        expand(&file.path)?;
        let figures = measure(rounds, || _ = black_box(expand(black_box(&file.path))));
        let name = file.models.first().map_or("", |model| &model.name);
        let resources = resources(&file);
        let name = format!("expand {name}, {resources} resources");
        add(name, std::slice::from_ref(file), figures);
    }
    report.note("expand: read the file, parse it, make tokens, as `lwm2m_objects!` does");
    Ok(report)
}

/// What the macro does before it gives the tokens to the compiler.
fn expand(path: &Path) -> anyhow::Result<usize> {
    let xml = fs::read(path)?;
    let parsed = lwm2m_registry::parse(&xml, "a.xml")?;
    let tokens = lwm2m_codegen::expand(&parsed.models);
    Ok(tokens.into_iter().count())
}

/// Looks models up, as each message of a device does.
fn looking_up(rounds: &Rounds, folder: &Path) -> anyhow::Result<Report> {
    let columns: &[_] = match COUNTING {
        true => &["operation", "versions", "allocations"],
        false => &["operation", "versions", "ns", "median_ns"],
    };
    let mut report = Report::new("Object models in service", columns);
    let registry = Registry::empty();
    registry.load_dir(folder)?;
    let objects = registry.snapshot();
    // One in the middle, so that a search has its full length.
    let middle = objects.iter().nth(objects.len() / 2);
    let middle = middle.context("no object")?;
    let (id, version) = (middle.id, middle.version);
    let resource = middle.resources.last().context("no resource")?.id;
    let mut add = |name: &str, operation: &mut dyn FnMut()| {
        let mut row = vec![
            Cell::Text(name.to_owned()),
            Cell::Number(objects.len() as f64, 0),
        ];
        row.extend(measure(rounds, operation));
        report.row(row);
    };
    let with = |version: Option<ObjectVersion>| registry.object(black_box(id), version);
    add("object of a version", &mut || {
        _ = black_box(with(Some(version)))
    });
    add("object, newest version", &mut || _ = black_box(with(None)));
    add("resource of an object of a version", &mut || {
        let object = with(Some(version));
        let resource = object.as_ref().and_then(|object| object.resource(resource));
        _ = black_box(resource.map(|resource| resource.data_type));
    });
    add("the same in a snapshot", &mut || {
        let object = objects.object(black_box(id), Some(version));
        let resource = object.and_then(|object| object.resource(resource));
        _ = black_box(resource.map(|resource| resource.data_type));
    });
    Ok(report)
}

/// The files of a folder and of the folders in it that define objects.
fn read(folder: &Path) -> anyhow::Result<Vec<DefinitionFile>> {
    let mut definitions = Vec::new();
    let listed = fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))?;
    for entry in listed {
        let path = entry?.path();
        if path.is_dir() {
            definitions.extend(read(&path)?);
        } else if path.extension() == Some(OsStr::new("xml")) {
            let xml = fs::read(&path)?;
            // Other files, such as the index, lie beside definitions.
            let parsed = lwm2m_registry::parse(&xml, &path.display().to_string());
            let models = parsed.map(|parsed| parsed.models).unwrap_or_default();
            if !models.is_empty() {
                definitions.push(DefinitionFile { path, xml, models });
            }
        }
    }
    definitions.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(definitions)
}

/// A time in nanoseconds in milliseconds; a number of allocations as it is.
fn milliseconds(cell: Cell) -> Cell {
    match cell {
        Cell::Number(nanoseconds, _) if !COUNTING => Cell::Number(nanoseconds / 1e6, 3),
        other => other,
    }
}

/// The root of the workspace, which is where this crate was built.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
