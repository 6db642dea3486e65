//! Why a file could not be taken.

use crate::diagnostic::{Diagnostic, Severity};

/// Why a file could not be taken, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {fault}")]
pub struct ParseError {
    /// The name of the file, as it was given to the parser.
    pub file: Box<str>,
    /// The line, counted from 1.
    pub line: u32,
    /// The column in characters, counted from 1.
    pub column: u32,
    /// What is wrong.
    pub fault: ParseFault,
}

impl ParseError {
    /// The same as findings, for lists that hold both.
    ///
    /// A file that strict mode refused yields each of its findings.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        match self.fault {
            ParseFault::Rejected(diagnostics) => diagnostics,
            fault => vec![Diagnostic {
                severity: Severity::Error,
                file: self.file,
                line: self.line,
                column: self.column,
                message: fault.to_string(),
                advice: fault.advice().to_owned(),
            }],
        }
    }
}

/// What is wrong with a file that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseFault {
    /// The file is not UTF-8.
    #[error("the file is not UTF-8 text")]
    NotUtf8,
    /// The file is not well-formed XML 1.0, or has a document type declaration.
    #[error("the XML is not well-formed: {0}")]
    IllFormed(String),
    /// A limit of [`Limits`](crate::Limits) is passed.
    #[error("there are more than {max} {what}")]
    OverLimit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// The file is XML of another kind.
    #[error("the root element is <{found}>, not <{expected}>")]
    OtherRoot {
        /// The root of the kind of file that was asked for.
        expected: &'static str,
        /// The root of this file.
        found: String,
    },
    /// The file has no object.
    #[error("there is no <Object>")]
    NoObject,
    /// An object lacks what nothing else can say.
    #[error("the object has no <{0}>")]
    Missing(&'static str),
    /// The object id is not a number from 0 to 65534.
    #[error("`{0}` is not an object id")]
    BadObjectId(String),
    /// The object version is not of the form `major.minor`.
    #[error("`{0}` is not an object version")]
    BadVersion(String),
    /// Strict mode, and there are findings of severity warning or error.
    #[error("{}", rejection(.0))]
    Rejected(Vec<Diagnostic>),
}

impl ParseFault {
    /// What to do about it; empty when the message says it all.
    pub fn advice(&self) -> &'static str {
        match self {
            ParseFault::NotUtf8 => "save the file as UTF-8",
            ParseFault::IllFormed(_) => "check the file with an XML editor or `xmllint --noout`",
            ParseFault::OverLimit { .. } => "split the file, or raise the limit if it is right",
            ParseFault::OtherRoot { .. } => {
                "an object definition has the root <LWM2M>, an index of definitions <DDFList>"
            }
            ParseFault::NoObject => "put the definition into <LWM2M><Object>...</Object></LWM2M>",
            ParseFault::Missing(_) => "add it",
            ParseFault::BadObjectId(_) => "write the bare number, from 0 to 65534",
            ParseFault::BadVersion(_) => "write major.minor, as in 1.1",
            ParseFault::Rejected(_) => "",
        }
    }
}

fn rejection(diagnostics: &[Diagnostic]) -> String {
    let grave: Vec<&Diagnostic> = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.severity > Severity::Note)
        .collect();
    match grave.as_slice() {
        [] => "refused".to_owned(),
        [only] => only.message.clone(),
        [first, others @ ..] => format!("{}, and {} more", first.message, others.len()),
    }
}
