//! What is wrong with a definition, for people and for programs.

use std::fmt;

use lwm2m_registry::{Diagnostic, Severity};
use serde::Serialize;
use serde::ser::SerializeStruct;

/// A finding of the parser or of the checks on top of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) file: String,
    /// Counted from 1; 0 when it is about the file as a whole.
    pub(crate) line: u32,
    /// Counted from 1; 0 when it is about the whole line.
    pub(crate) column: u32,
    pub(crate) message: String,
    /// Empty when there is nothing to do.
    pub(crate) advice: String,
}

impl Finding {
    pub(crate) fn new(
        severity: Severity,
        file: &str,
        line: u32,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding {
            severity,
            file: file.to_owned(),
            line,
            column: 0,
            message: message.into(),
            advice: advice.into(),
        }
    }
}

impl From<Diagnostic> for Finding {
    fn from(diagnostic: Diagnostic) -> Finding {
        Finding {
            severity: diagnostic.severity,
            file: diagnostic.file.into(),
            line: diagnostic.line,
            column: diagnostic.column,
            message: diagnostic.message,
            advice: diagnostic.advice,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        for number in [self.line, self.column] {
            if number > 0 {
                write!(f, "{number}:")?;
            }
        }
        write!(f, " {}: {}", self.severity, self.message)?;
        if !self.advice.is_empty() {
            write!(f, " ({})", self.advice)?;
        }
        Ok(())
    }
}

impl Serialize for Finding {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Finding", 6)?;
        object.serialize_field("severity", self.severity.as_str())?;
        object.serialize_field("file", &self.file)?;
        object.serialize_field("line", &self.line)?;
        object.serialize_field("column", &self.column)?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("advice", &self.advice)?;
        object.end()
    }
}
