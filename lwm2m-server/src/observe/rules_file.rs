//! The file that keeps the rules of operators, and is followed: who edits it by hand is heard.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::changes::ObserveRuleError;
use super::document::{ObserveRuleDocument, line_of};
use super::rule::ObserveRule;
use super::strategies::ObserveStrategies;
use crate::credentials::replace_file;
use crate::identity::sha256;
use crate::{Limits, read_text};

/// The file that keeps them.
#[derive(Debug)]
pub(crate) struct RulesFile {
    path: PathBuf,
    /// As it is in service.
    taken: Print,
    /// Another one, which has yet to be the same at the next look: who writes it may not be done.
    seen: Option<Print>,
    /// One that is broken, which has been said.
    refused: Option<Print>,
}

/// What tells one content of the file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Print {
    /// There is no file.
    Absent,
    /// It cannot be read.
    Unreadable(io::ErrorKind),
    Text([u8; 32]),
}

/// What a look at the file has come to.
#[derive(Debug, PartialEq)]
pub(super) enum Look {
    /// It says what is in service.
    AsTaken,
    /// It says something else: not for long yet, or something broken that was told before.
    Other,
    /// It says this from now on.
    Edited(Vec<ObserveRule>),
}

/// Why a file of rules cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveFileError {
    /// The file cannot be read.
    #[error("cannot read the observe rules {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What it says is wrong.
    #[error("in {path}: {message}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its line and key.
        message: String,
    },
}

/// As a configuration says it, so that rules can be moved there.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    observe: Section,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    rule: Vec<ObserveRuleDocument>,
}

const HEAD: &str = "\
# Observe rules that were set over HTTP or by `lwm2m-server observe-rules`: they come before those of the
# configuration. Edit them as you like, the server follows this file; it writes it anew, without your
# comments, when rules are set again.

";

impl RulesFile {
    /// The file and its rules; none when there is no file yet.
    pub(crate) fn open(
        path: PathBuf,
        limits: &Limits,
    ) -> Result<(RulesFile, Vec<ObserveRule>), ObserveFileError> {
        let mut file = RulesFile {
            path,
            taken: Print::Absent,
            seen: None,
            refused: None,
        };
        let text = file.text(limits);
        let rules = file.rules(&text, limits)?;
        file.taken = print(&text);
        Ok((file, rules))
    }

    /// What somebody else has made of it since it was read or written; none when nobody has.
    pub(super) fn edited(
        &self,
        limits: &Limits,
    ) -> Result<Option<Vec<ObserveRule>>, ObserveFileError> {
        let text = self.text(limits);
        match print(&text) == self.taken {
            true => Ok(None),
            false => self.rules(&text, limits).map(Some),
        }
    }

    /// Looks whether somebody has edited it. What it says counts when it is the same at two looks; what
    /// is broken is an error once.
    pub(super) fn look(&mut self, limits: &Limits) -> Result<Look, ObserveFileError> {
        let text = self.text(limits);
        let print = print(&text);
        if print == self.taken {
            (self.seen, self.refused) = (None, None);
            return Ok(Look::AsTaken);
        }
        if self.seen.replace(print) != Some(print) || self.refused == Some(print) {
            return Ok(Look::Other);
        }
        match self.rules(&text, limits) {
            Ok(rules) => {
                self.taken = print;
                (self.seen, self.refused) = (None, None);
                Ok(Look::Edited(rules))
            }
            Err(error) => {
                self.refused = Some(print);
                Err(error)
            }
        }
    }

    /// Writes these; what was written is no edit of somebody else.
    pub(super) fn write(
        &mut self,
        rules: &[ObserveRule],
        limits: &Limits,
    ) -> Result<(), ObserveRuleError> {
        let unavailable = |error: String| {
            let path = Path::display(&self.path);
            ObserveRuleError::Unavailable(format!("cannot write {path}: {error}"))
        };
        let rule = rules.iter().map(ObserveRuleDocument::of).collect();
        let observe = Section { rule };
        let text = toml::to_string(&Document { observe });
        let text = text.map_err(|error| unavailable(error.to_string()))?;
        let text = [HEAD, &text].concat();
        if text.len() as u64 > limits.observe_file_bytes_max {
            let size = text.len();
            return Err(unavailable(format!(
                "with them it has {size} bytes; {}",
                mend(limits)
            )));
        }
        replace_file(&self.path, text.as_bytes())
            .map_err(|error| unavailable(error.to_string()))?;
        self.taken = print(&Ok(Some(text)));
        (self.seen, self.refused) = (None, None);
        Ok(())
    }

    /// What it says; nothing where it is not there.
    fn text(&self, limits: &Limits) -> io::Result<Option<String>> {
        match read_text(&self.path, limits.observe_file_bytes_max) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                let message = format!("{error}; {}", mend(limits));
                Err(io::Error::new(error.kind(), message))
            }
            Err(error) => Err(error),
        }
    }

    fn rules(
        &self,
        text: &io::Result<Option<String>>,
        limits: &Limits,
    ) -> Result<Vec<ObserveRule>, ObserveFileError> {
        let path = || self.path.clone();
        match text {
            Ok(text) => parsed(text.as_deref().unwrap_or_default(), limits).map_err(|message| {
                let path = path();
                ObserveFileError::Content { path, message }
            }),
            Err(error) => Err(ObserveFileError::Read {
                path: path(),
                source: io::Error::new(error.kind(), error.to_string()),
            }),
        }
    }
}

/// What to do about a file that is too large.
fn mend(limits: &Limits) -> String {
    let max = limits.observe_file_bytes_max;
    format!(
        "at most {max} are read: say in a few patterns what many rules say, or raise [observe] \
         file_bytes_max"
    )
}

fn print(text: &io::Result<Option<String>>) -> Print {
    match text {
        Ok(Some(text)) => Print::Text(sha256(text.as_bytes())),
        Ok(None) => Print::Absent,
        Err(error) => Print::Unreadable(error.kind()),
    }
}

fn parsed(text: &str, limits: &Limits) -> Result<Vec<ObserveRule>, String> {
    let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
    let documents = document.observe.rule;
    let at = |rule: usize, key: &'static str| match line_of(text, Some(rule), key) {
        Some(line) => format!("line {line}, "),
        None => String::new(),
    };
    let rules = documents.iter().enumerate().map(|(index, document)| {
        let rule = document.rule();
        rule.map_err(|error| format!("{}rule {}: {error}", at(index, error.key), index + 1))
    });
    let rules = rules.collect::<Result<Vec<ObserveRule>, String>>()?;
    let strategies = ObserveStrategies { rules };
    let checked = strategies.check(limits);
    checked.map_err(|error| {
        let key = error.fault.key();
        format!("{}{key}: {error}", at(error.rule - 1, key))
    })?;
    Ok(strategies.rules)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::changes::tests::rule;
    use super::*;

    fn opened(folder: &Path) -> (RulesFile, Vec<ObserveRule>) {
        RulesFile::open(folder.join("observe.toml"), &Limits::default()).expect("it is good")
    }

    #[test]
    fn a_file_keeps_them_and_says_what_is_wrong_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut file, none) = opened(folder.path());
        assert_eq!(none, []);
        let attributes = lwm2m_core::Attributes::from_query(["pmin=5", "gt=1.5", "con=1"]);
        let with =
            rule("urn:*").attributes("/3/0/9".parse().expect("one"), attributes.expect("some"));
        let rules = [with, rule("\\*{cn}"), rule("*")];
        file.write(&rules, &Limits::default()).expect("written");
        assert_eq!(opened(folder.path()).1, rules);
        let good = fs::read_to_string(&file.path).expect("written");
        for (bad, parts) in [
            (
                good.replace("\"SINGLE\"", "\"SINGEL\""),
                &["line 7", "strategy", "SINGLE"][..],
            ),
            (
                good.replace("/3/0/9\"]", "3/0/9\"]"),
                &["line 8", "rule 1", "paths", "3/0/9"],
            ),
            (
                good.replace("paths = [\"/3/0/9\"]\n", ""),
                &["line 5", "no paths"],
            ),
            (format!("{good}pats = 1\n"), &["pats"]),
        ] {
            fs::write(&file.path, &bad).expect("written");
            let limits = Limits::default();
            let error = file.edited(&limits).expect_err("broken").to_string();
            for part in parts.iter().chain(&["observe.toml"]) {
                assert!(error.contains(part), "{part}: {error}\n{bad}");
            }
        }
    }

    #[test]
    fn one_byte_more_than_the_limit_is_neither_read_nor_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut file, _) = opened(folder.path());
        file.write(&[rule("a")], &Limits::default())
            .expect("written");
        let text = fs::read_to_string(&file.path).expect("written");
        let limited = |observe_file_bytes_max| Limits {
            observe_file_bytes_max,
            ..Limits::default()
        };
        let (fits, less) = (limited(text.len() as u64), limited(text.len() as u64 - 1));
        file.write(&[rule("a")], &fits).expect("as many");
        let error = file.write(&[rule("a")], &less).expect_err("one more");
        let told = [error.to_string()];
        assert_eq!(fs::read_to_string(&file.path).expect("as before"), text);

        let path = file.path.clone();
        assert!(RulesFile::open(path.clone(), &fits).is_ok());
        let error = RulesFile::open(path.clone(), &less).expect_err("one more");
        let told = told.into_iter().chain([error.to_string()]);
        // It is followed as well, and said once.
        fs::write(&path, format!("{text}#")).expect("written");
        assert_eq!(file.look(&fits).expect("first seen"), Look::Other);
        let error = file.look(&fits).expect_err("one more").to_string();
        assert_eq!(file.look(&fits).expect("told"), Look::Other);
        for told in told.chain([error]) {
            for part in ["observe.toml", "bytes", "[observe] file_bytes_max"] {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
        fs::write(&path, &text).expect("mended");
        assert_eq!(file.look(&fits).expect("good"), Look::AsTaken);
    }

    #[test]
    fn an_edit_counts_when_it_is_the_same_at_two_looks_and_what_we_write_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut file, _) = opened(folder.path());
        let limits = Limits::default();
        let look = |file: &mut RulesFile| file.look(&limits).map_err(|_| "broken");
        assert_eq!(look(&mut file), Ok(Look::AsTaken));
        file.write(&[rule("a")], &limits).expect("written");
        for _ in 0..3 {
            assert_eq!(look(&mut file), Ok(Look::AsTaken));
        }
        let good = fs::read_to_string(&file.path).expect("written");
        let edit = |text: &str| fs::write(folder.path().join("observe.toml"), text);
        edit(&good.replace("\"a\"", "\"b\"")).expect("written");
        assert_eq!(look(&mut file), Ok(Look::Other));
        edit(&good.replace("\"a\"", "\"c\"")).expect("written");
        assert_eq!(look(&mut file), Ok(Look::Other));
        assert_eq!(look(&mut file), Ok(Look::Edited(vec![rule("c")])));
        assert_eq!(look(&mut file), Ok(Look::AsTaken));
        // What is broken is said once, and again when it has changed.
        for text in ["[[observe", "[observ]"] {
            edit(text).expect("written");
            assert_eq!(look(&mut file), Ok(Look::Other));
            assert_eq!(look(&mut file), Err("broken"));
            assert_eq!(look(&mut file), Ok(Look::Other));
        }
        fs::remove_file(&file.path).expect("removed");
        assert_eq!(look(&mut file), Ok(Look::Other));
        assert_eq!(look(&mut file), Ok(Look::Edited(Vec::new())));
        assert_eq!(look(&mut file), Ok(Look::AsTaken));
    }
}
