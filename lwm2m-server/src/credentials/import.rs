//! Many credentials at once, from JSON or CSV: all of them, or the list of what is wrong.

use std::fmt;

use super::{Credential, CredentialDocument, CredentialError, CredentialStoreError};

/// What many credentials are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportFormat {
    /// A list of objects, or an object whose `credentials` are one.
    Json,
    /// A head line with the names of the fields, then one line for each credential.
    Csv,
}

/// Credentials that were read, with the lines that they were read from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Import {
    /// The credentials.
    pub credentials: Vec<Credential>,
    /// The line on which each begins, from 1.
    pub lines: Vec<u64>,
}

/// What is wrong with one of many credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImportError {
    /// The line, from 1; none when it concerns no line.
    pub line: Option<u64>,
    /// The field, where it is one.
    pub field: Option<&'static str>,
    /// What is wrong; never holds a key.
    pub message: String,
}

impl Import {
    /// The most errors that are told at once.
    pub const ERRORS_MAX: usize = 100;

    /// Reads credentials; an empty text has none.
    ///
    /// # Errors
    /// Everything that is wrong, up to [`Import::ERRORS_MAX`].
    pub fn read(text: &str, format: ImportFormat) -> Result<Import, Vec<ImportError>> {
        // What editors put before UTF-8.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let documents = match format {
            ImportFormat::Json => json(text)?,
            ImportFormat::Csv => csv(text)?,
        };
        let mut import = Import::default();
        let mut errors = Vec::new();
        for (line, document) in documents {
            match document.credential() {
                Ok(credential) => {
                    import.credentials.push(credential);
                    import.lines.push(line);
                }
                Err(error) if errors.len() < Import::ERRORS_MAX => {
                    errors.push(ImportError::at(line, error));
                }
                Err(_) => break,
            }
        }
        match errors.is_empty() {
            true => Ok(import),
            false => Err(errors),
        }
    }

    /// What a store has said of these credentials, with its line.
    pub fn refused(&self, error: CredentialStoreError) -> ImportError {
        match error {
            CredentialStoreError::Refused { index, error }
            | CredentialStoreError::Taken { index, error } => ImportError {
                line: self.lines.get(index).copied(),
                field: Some(error.field),
                message: error.message,
            },
            error => ImportError {
                line: None,
                field: None,
                message: error.to_string(),
            },
        }
    }
}

impl ImportError {
    fn at(line: u64, error: CredentialError) -> ImportError {
        ImportError {
            line: Some(line),
            field: Some(error.field),
            message: error.message,
        }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(field) = self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ImportError {}

type Documents = Vec<(u64, CredentialDocument)>;

fn json(text: &str) -> Result<Documents, Vec<ImportError>> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        credentials: Vec<CredentialDocument>,
    }
    let list = match text.trim_start().as_bytes() {
        [] => Ok(Vec::new()),
        [b'[', ..] => serde_json::from_str(text),
        _ => serde_json::from_str(text).map(|file: File| file.credentials),
    };
    let documents: Vec<CredentialDocument> = list.map_err(|error| {
        vec![ImportError {
            line: Some(error.line() as u64),
            field: None,
            message: without_place(&error.to_string()),
        }]
    })?;
    let lines: Vec<u64> = lines_of_objects(text).collect();
    // serde takes a list for a structure, field by field.
    if lines.len() != documents.len() {
        let message = "a credential is an object, as in {\"identity\": …}, and no list".to_owned();
        return Err(vec![ImportError {
            line: None,
            field: None,
            message,
        }]);
    }
    Ok(lines.into_iter().zip(documents).collect())
}

/// What serde_json says, without the place that it appends.
fn without_place(message: &str) -> String {
    let end = message.rfind(" at line ").unwrap_or(message.len());
    message[..end].to_owned()
}

/// The lines on which the objects in the list of a sound JSON text begin.
fn lines_of_objects(text: &str) -> impl Iterator<Item = u64> {
    let mut line = 1;
    let mut lists = 0;
    let mut objects = 0;
    let mut in_text = false;
    let mut escaped = false;
    text.bytes().filter_map(move |byte| {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            return None;
        }
        let outside = (lists, objects);
        match byte {
            b'\n' => line += 1,
            b'"' => in_text = true,
            b'[' => lists += 1,
            b']' => lists -= 1,
            b'{' if lists == 1 => {
                objects += 1;
                let within_list = outside.1 == 0;
                return within_list.then_some(line);
            }
            b'}' if lists == 1 => objects -= 1,
            _ => {}
        }
        None
    })
}

fn csv(text: &str) -> Result<Documents, Vec<ImportError>> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let fail = |line, message| ImportError {
        line,
        field: None,
        message,
    };
    let head = reader
        .headers()
        .map_err(|error| vec![fail(Some(1), csv_message(&error))])?
        .clone();
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    for record in reader.records() {
        let read = record.and_then(|record| {
            let line = record.position().map_or(0, |at| line_of(text, at));
            let document = record.deserialize(Some(&head))?;
            Ok((line, document))
        });
        match read {
            Ok(document) => documents.push(document),
            Err(error) => {
                let line = error.position().map(|at| line_of(text, at));
                errors.push(fail(line, csv_message(&error)));
                if errors.len() == Import::ERRORS_MAX {
                    break;
                }
            }
        }
    }
    match errors.is_empty() {
        true => Ok(documents),
        false => Err(errors),
    }
}

/// The line of a record: the reader counts from what it skips before.
fn line_of(text: &str, position: &csv::Position) -> u64 {
    let rest = text.get(position.byte() as usize..).unwrap_or_default();
    let skipped = |line: &&str| line.trim().is_empty() || line.starts_with('#');
    position.line() + rest.lines().take_while(skipped).count() as u64
}

/// What is wrong with a line of CSV, without the line, and without what stands there: it may be a
/// key in the wrong column.
fn csv_message(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("it has {len} fields, and the head line names {expected_len}")
        }
        csv::ErrorKind::Deserialize { err, .. } => match err.kind() {
            csv::DeserializeErrorKind::Message(message)
            | csv::DeserializeErrorKind::Unsupported(message) => message.clone(),
            _ => "a number is expected".to_owned(),
        },
        csv::ErrorKind::Utf8 { .. } => "it is no UTF-8".to_owned(),
        _ => "it cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests;
