//! Files that are read as a whole, and not beyond a limit.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Reads a file that may have `bytes_max` bytes.
///
/// It takes no more memory than that, also where the file grows meanwhile, or never ends.
///
/// # Errors
/// What the system says, and [`io::ErrorKind::FileTooLarge`] for one byte more.
pub fn read_bytes(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // Room for all of it at once: a buffer that grows leaves copies of a secret behind.
    let size = file.metadata()?.len().min(bytes_max);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        zeroize::Zeroize::zeroize(&mut bytes);
        let message = format!("it has more than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Reads a text in UTF-8 that may have `bytes_max` bytes, as [`read_bytes`] does.
///
/// # Errors
/// The same, and [`io::ErrorKind::InvalidData`] with the line for what is no text.
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    String::from_utf8(read_bytes(path, bytes_max)?).map_err(|error| {
        let up_to = error.utf8_error().valid_up_to();
        let mut bytes = error.into_bytes();
        let ends = bytes[..up_to].iter().filter(|byte| **byte == b'\n').count();
        zeroize::Zeroize::zeroize(&mut bytes);
        let message = format!("line {}: this is no text in UTF-8", ends + 1);
        io::Error::new(io::ErrorKind::InvalidData, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_more_than_the_limit_is_refused_also_where_it_would_part_a_letter() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("text");
        std::fs::write(&path, "abc\u{e9}").expect("written");
        assert_eq!(read_text(&path, 5).expect("as many"), "abc\u{e9}");
        for max in [0, 3, 4] {
            let error = read_text(&path, max).expect_err("one more");
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
            let told = error.to_string();
            assert_eq!(told, format!("it has more than {max} bytes"));
        }
        std::fs::write(&path, b"a\nb\n\xff").expect("written");
        let error = read_text(&path, 5).expect_err("no text").to_string();
        assert_eq!(error, "line 3: this is no text in UTF-8");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_without_an_end_takes_no_more_than_the_limit() {
        let error = read_bytes(Path::new("/dev/zero"), 1 << 16).expect_err("endless");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
