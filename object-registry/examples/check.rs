//! Checks a folder of object definitions and prints what it holds and what is wrong with it.
//!
//! `cargo run -p lwm2m-registry --example check -- [--strict] [--quiet] FOLDER_OR_FILE...`
//!
//! Ends with status 1 when a file cannot be taken.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs, io};

use lwm2m_registry::{Diagnostic, ParseError, ParseFault, Parsed, Parser, Severity, Strictness};

fn main() -> io::Result<ExitCode> {
    let mut strictness = Strictness::Lenient;
    let mut is_quiet = false;
    let mut files = Vec::new();
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--strict" => strictness = Strictness::Strict,
            "--quiet" => is_quiet = true,
            path => collect(Path::new(path), &mut files)?,
        }
    }
    files.sort();
    let contents: Vec<(String, Vec<u8>)> = files
        .iter()
        .map(|path| Ok((path.display().to_string(), fs::read(path)?)))
        .collect::<io::Result<_>>()?;

    let parser = Parser::new(strictness);
    let mut totals = Totals::default();
    for (name, xml) in &contents {
        let start = Instant::now();
        let result = parser.parse(xml, name);
        totals.elapsed += start.elapsed();
        totals.bytes += xml.len();
        match result {
            Err(error) if is_index(&error) => {
                let start = Instant::now();
                let result = parser.parse_index(xml, name);
                totals.elapsed += start.elapsed();
                match result {
                    Ok(index) => {
                        totals.rows += index.rows.len();
                        totals.note(&index.diagnostics, is_quiet);
                    }
                    Err(error) => totals.refuse(error, is_quiet),
                }
            }
            Ok(parsed) => totals.add(&parsed, is_quiet),
            Err(error) => totals.refuse(error, is_quiet),
        }
    }
    totals.print(contents.len());
    Ok(match totals.refused {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn is_index(error: &ParseError) -> bool {
    matches!(&error.fault, ParseFault::OtherRoot { found, .. } if found == "DDFList")
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else if path.extension().is_some_and(|extension| extension == "xml") {
        files.push(path.to_owned());
    }
    Ok(())
}

#[derive(Default)]
struct Totals {
    objects: usize,
    resources: usize,
    reusable: usize,
    rows: usize,
    refused: usize,
    bytes: usize,
    elapsed: Duration,
    severities: BTreeMap<Severity, usize>,
    types: BTreeMap<&'static str, usize>,
    operations: BTreeMap<String, usize>,
    instances: BTreeMap<&'static str, usize>,
    presences: BTreeMap<&'static str, usize>,
}

impl Totals {
    fn add(&mut self, parsed: &Parsed, is_quiet: bool) {
        self.objects += parsed.models.len();
        self.reusable += parsed.reusable.len();
        for resource in parsed.models.iter().flat_map(|model| &model.resources) {
            self.resources += 1;
            let name = resource.data_type.map_or("none", |found| found.as_str());
            *self.types.entry(name).or_default() += 1;
            let operations = [
                (resource.operations.read, 'R'),
                (resource.operations.write, 'W'),
                (resource.operations.execute, 'E'),
            ];
            let letters = operations.iter().filter(|(is_set, _)| *is_set);
            let letters: String = letters.map(|(_, letter)| letter).collect();
            *self.operations.entry(letters).or_default() += 1;
            let instances = if resource.multiple {
                "Multiple"
            } else {
                "Single"
            };
            *self.instances.entry(instances).or_default() += 1;
            let presence = if resource.mandatory {
                "Mandatory"
            } else {
                "Optional"
            };
            *self.presences.entry(presence).or_default() += 1;
        }
        self.note(&parsed.diagnostics, is_quiet);
    }

    fn note(&mut self, diagnostics: &[Diagnostic], is_quiet: bool) {
        for diagnostic in diagnostics {
            *self.severities.entry(diagnostic.severity).or_default() += 1;
            if !is_quiet {
                println!("{diagnostic}");
            }
        }
    }

    fn refuse(&mut self, error: ParseError, is_quiet: bool) {
        self.refused += 1;
        self.note(&error.into_diagnostics(), is_quiet);
    }

    fn print(&self, files: usize) {
        let (bytes, elapsed) = (self.bytes, self.elapsed);
        println!(
            "{files} files of {bytes} bytes in {elapsed:?}, {} refused",
            self.refused
        );
        println!("{} objects with {} resources", self.objects, self.resources);
        println!(
            "{} reusable resources, {} index rows",
            self.reusable, self.rows
        );
        println!("findings {:?}", self.severities);
        println!("types {:?}", self.types);
        println!("operations {:?}", self.operations);
        println!(
            "instances {:?}, presence {:?}",
            self.instances, self.presences
        );
    }
}
