//! Files of plugins, which anybody may put into a folder: read to a limit, and no pipe is waited for.

use std::io::{Error, ErrorKind};
use std::path::Path;

use lwm2m_server::{read_bytes, read_text};

use crate::LoadError;

/// The bytes of a file.
///
/// # Errors
/// It cannot be read, or has more than `bytes_max`.
pub(crate) fn bytes(file: &Path, bytes_max: u64) -> Result<Vec<u8>, LoadError> {
    is_one(file)?;
    read_bytes(file, bytes_max).map_err(|error| refused(file, &error))
}

/// The text of a file.
///
/// # Errors
/// It cannot be read, is no text, or has more than `bytes_max` bytes.
pub(crate) fn text(file: &Path, bytes_max: u64) -> Result<String, LoadError> {
    is_one(file)?;
    read_text(file, bytes_max).map_err(|error| refused(file, &error))
}

fn is_one(file: &Path) -> Result<(), LoadError> {
    let metadata = std::fs::metadata(file).map_err(|error| refused(file, &error))?;
    match metadata.is_file() {
        true => Ok(()),
        // To open a pipe is to wait for who writes into it.
        false => Err(LoadError::new(file, "this is no file").hint("put a file in its place")),
    }
}

fn refused(file: &Path, error: &Error) -> LoadError {
    let what = match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => error.to_string(),
    };
    let refused = LoadError::new(file, what);
    match error.kind() {
        ErrorKind::FileTooLarge => refused.hint("make it smaller; is it the file that you mean?"),
        ErrorKind::PermissionDenied => refused.hint("let the account of the server read it"),
        _ => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_more_than_the_limit_is_refused_and_so_is_what_is_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.rhai");
        std::fs::write(&file, "12345").expect("written");
        assert_eq!(bytes(&file, 5).expect("as many"), b"12345");
        assert_eq!(text(&file, 5).expect("as many"), "12345");
        for error in [
            bytes(&file, 4).expect_err("one more"),
            text(&file, 4).expect_err("one more"),
        ] {
            assert_eq!(
                (&error.file, error.message.as_str()),
                (&file, "it has more than 4 bytes")
            );
            assert!(error.hint.is_some());
        }
        let error = bytes(folder.path(), 5).expect_err("a folder");
        assert_eq!(error.message, "this is no file");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_waits_for_a_device() {
        for device in ["/dev/zero", "/dev/null"] {
            let error = bytes(Path::new(device), 5).expect_err("a device");
            assert_eq!(error.message, "this is no file");
        }
    }
}
