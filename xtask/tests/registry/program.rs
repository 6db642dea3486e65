//! Running the program.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the program said, and whether it was content.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) is_success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    #[track_caller]
    pub(crate) fn succeeds(self) -> Outcome {
        assert!(self.is_success, "{self:?}");
        self
    }

    /// Fails, and says all of these on its error output.
    #[track_caller]
    pub(crate) fn fails_with(self, words: &[&str]) -> Outcome {
        assert!(!self.is_success, "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "no `{word}` in {self:?}");
        }
        self
    }
}

/// `cargo xtask registry ARGUMENTS`, in a folder.
pub(crate) fn command<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("registry").args(arguments).current_dir(folder);
    command.stdin(Stdio::null());
    for name in ["http_proxy", "https_proxy", "all_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
}

pub(crate) fn run<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Outcome {
    let output = command(folder, arguments).output().unwrap();
    Outcome {
        is_success: output.status.success(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Pulls without pauses, and into `objects`.
pub(crate) fn pull(folder: &Path, source: &str, more: &[&str]) -> Outcome {
    let mut arguments = vec!["pull", "--source", source, "--retry-pause", "0"];
    arguments.extend(more);
    run(folder, &arguments)
}
