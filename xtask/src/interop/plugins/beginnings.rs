//! The beginnings that `plugin new` makes in C, JavaScript and Python, each taken through the commands of
//! its own README: the tools are installed, the component is built, looked over and tested.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail, ensure};

use super::PEER;
use crate::interop::debian;
use crate::interop::report::Report;

const LANGUAGES: [&str; 3] = ["c", "js", "python"];

/// Commands that need the network, or programs that are not there: without them there is nothing to try.
const INSTALLS: [&str; 4] = [
    "apt install",
    "npm install",
    "python3 -m venv",
    ".venv/bin/pip install",
];

pub(super) fn run(root: &Path, binary: &Path, report: &mut Report) -> anyhow::Result<()> {
    let folder = root.join("target/interop/beginnings");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("what is left of the last time")?;
    }
    fs::create_dir_all(&folder)?;
    report.side_by_side(LANGUAGES.to_vec(), |language, report| {
        let begun = Instant::now();
        match Beginning::make(root, binary, &folder, language) {
            Ok(beginning) => {
                let seconds = begun.elapsed().as_secs_f32();
                println!("{PEER}: {language}: its tools are there after {seconds:.1} s");
                let name = format!("{language}: built, checked and tested as its README says");
                report.scenario(PEER, &name, || beginning.go_on());
            }
            Err(reason) => report.skip(PEER, language, &format!("{reason:#}")),
        }
    });
    Ok(())
}

/// A new plugin, whose tools are installed.
struct Beginning {
    /// Where programs are looked for: the server's binary is one.
    path: std::ffi::OsString,
    /// Where compiled components are kept.
    caches: PathBuf,
    place: PathBuf,
    /// What its README says to do then.
    commands: Vec<String>,
}

impl Beginning {
    /// Makes a new plugin in a folder, and carries out the first of its commands.
    ///
    /// # Errors
    /// What cannot be installed.
    fn make(
        root: &Path,
        binary: &Path,
        folder: &Path,
        language: &str,
    ) -> anyhow::Result<Beginning> {
        let programs = binary.parent().context("the binary is in a folder")?;
        let others = std::env::var_os("PATH").unwrap_or_default();
        let programs = [programs.to_owned()].into_iter();
        let name = format!("in-{language}");
        let mut beginning = Beginning {
            path: std::env::join_paths(programs.chain(std::env::split_paths(&others)))?,
            caches: folder.join("caches").join(language),
            place: folder.to_owned(),
            commands: Vec::new(),
        };
        beginning.sh(&format!(
            "lwm2m-server plugin new {name} --lang {language} --directory ."
        ))?;
        beginning.place = folder.join(&name);
        let readme = fs::read_to_string(beginning.place.join("README.md"))?;
        let commands = readme.lines().filter_map(|line| line.strip_prefix("    "));
        for command in commands {
            if !INSTALLS.iter().any(|install| command.starts_with(install)) {
                beginning.commands.push(command.to_owned());
                continue;
            }
            match command.strip_prefix("apt install ") {
                Some(packages) => {
                    let packages: Vec<&str> = packages.split(' ').collect();
                    debian::install_packages(root, &packages)?;
                }
                None => drop(beginning.sh(command)?),
            }
        }
        Ok(beginning)
    }

    /// Carries out the others.
    fn go_on(&self) -> anyhow::Result<()> {
        let mut asked = Vec::new();
        for command in &self.commands {
            // It goes on until somebody ends it.
            if command == "lwm2m-server plugin run ." {
                continue;
            }
            let told = self.sh(command)?;
            let wanted = match command.as_str() {
                "lwm2m-server plugin check ." => "hooks        on_register, on_update",
                "lwm2m-server plugin test ." => "All as expected: 2 calls in 1 fixture.",
                _ => continue,
            };
            ensure!(told.contains(wanted), "{command} says: {told}");
            asked.push(command);
        }
        ensure!(asked.len() == 2, "its README asks only for {asked:?}");
        Ok(())
    }

    /// Runs a line as whoever reads it types it; what it prints.
    fn sh(&self, line: &str) -> anyhow::Result<String> {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(&self.place)
            .env("PATH", &self.path)
            .env("XDG_CACHE_HOME", &self.caches)
            .stdin(Stdio::null())
            .output()
            .context("there is no sh")?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            bail!("{line} failed ({}): {text}", output.status);
        }
        Ok(text)
    }
}
