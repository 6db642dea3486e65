//! What is wrong with a file that could be read all the same.

use std::fmt;

use crate::source::Source;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Unusual, but allowed and understood.
    Note,
    /// A mistake that leaves the meaning clear.
    Warning,
    /// A mistake because of which a part of the file was left out.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One finding in a file, with the place and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// The name of the file, as it was given to the parser.
    pub file: Box<str>,
    /// The line, counted from 1; 0 when it is about the file as a whole.
    pub line: u32,
    /// The column in characters, counted from 1; 0 when it is about the file as a whole.
    pub column: u32,
    /// What was found.
    pub message: String,
    /// What to do about it; empty when there is nothing to do.
    pub advice: String,
}

impl Diagnostic {
    /// A finding about a file as a whole.
    pub(crate) fn of_file(
        severity: Severity,
        file: &str,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity,
            file: file.into(),
            line: 0,
            column: 0,
            message: message.into(),
            advice: advice.into(),
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}: {}", self.severity, self.message)?;
        if !self.advice.is_empty() {
            write!(f, " ({})", self.advice)?;
        }
        Ok(())
    }
}

/// Collects the findings of one file, up to a limit.
#[derive(Debug)]
pub(crate) struct Diagnostics<'x> {
    source: Source<'x>,
    found: Vec<Diagnostic>,
    found_max: usize,
    is_full: bool,
    last_line: (usize, u32),
}

impl<'x> Diagnostics<'x> {
    pub(crate) fn new(source: Source<'x>, found_max: usize) -> Diagnostics<'x> {
        Diagnostics {
            source,
            found: Vec::new(),
            found_max,
            is_full: false,
            last_line: (0, 1),
        }
    }

    /// Something is unusual at a byte offset.
    pub(crate) fn note(&mut self, at: usize, message: impl Into<String>, advice: &str) {
        self.push(Severity::Note, at, message.into(), advice);
    }

    /// Something is wrong at a byte offset, and understood.
    pub(crate) fn warning(&mut self, at: usize, message: impl Into<String>, advice: &str) {
        self.push(Severity::Warning, at, message.into(), advice);
    }

    /// Something is wrong at a byte offset, and left out.
    pub(crate) fn error(&mut self, at: usize, message: impl Into<String>, advice: &str) {
        self.push(Severity::Error, at, message.into(), advice);
    }

    /// The line of a byte offset, counted from 1.
    ///
    /// Counts on from the last one, so that a file of many rows is walked through once.
    pub(crate) fn line(&mut self, at: usize) -> u32 {
        let (last_at, last_line) = self.last_line;
        let (start, line) = match at >= last_at {
            true => (last_at, last_line),
            false => (0, 1),
        };
        let between = self.source.text.as_bytes().get(start..at);
        let newlines = between
            .unwrap_or_default()
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        let line = line + u32::try_from(newlines).unwrap_or(u32::MAX - line);
        self.last_line = (at, line);
        line
    }

    /// The findings in the order of the file.
    pub(crate) fn into_found(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|found| (found.line, found.column));
        self.found
    }

    fn push(&mut self, severity: Severity, at: usize, message: String, advice: &str) {
        if self.is_full {
            return;
        }
        let (line, column) = self.source.position(at);
        let file = self.source.file.into();
        if self.found.len() >= self.found_max {
            self.is_full = true;
            self.found.push(Diagnostic {
                severity: Severity::Warning,
                file,
                line,
                column,
                message: format!("there are more than {} findings", self.found_max),
                advice: "correct the first ones and check again".to_owned(),
            });
            return;
        }
        self.found.push(Diagnostic {
            severity,
            file,
            line,
            column,
            message,
            advice: advice.to_owned(),
        });
    }
}
