//! What the program says, on its standard output and its standard error.
//!
//! Whoever reads may have heard enough, as `head` has: then a command ends without a word, with the status
//! of a program that the closed pipe has ended. A server goes on.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::exit;

/// 128 and the number of SIGPIPE.
const CLOSED_PIPE: i32 = 141;

/// Says a line that the command is run for, as `println!` does.
macro_rules! say {
    ($($what:tt)*) => { $crate::output::line(format_args!($($what)*)) };
}

/// Says a line beside what the command is run for, on the standard error, as `eprintln!` does. Nobody needs
/// to read it.
macro_rules! remark {
    ($($what:tt)*) => { $crate::output::remark(format_args!($($what)*)) };
}

/// Says a line of a server, as `println!` does. It serves whether or not anybody reads it.
macro_rules! announce {
    ($($what:tt)*) => { $crate::output::announce(format_args!($($what)*)) };
}

/// Says a text that ends its own lines. Ends the program when nobody reads it.
pub(crate) fn text(what: &str) {
    write(format_args!("{what}"));
}

/// What `say!` does.
pub(crate) fn line(what: Arguments<'_>) {
    write(format_args!("{what}\n"));
}

/// What `remark!` does.
pub(crate) fn remark(what: Arguments<'_>) {
    let _ = writeln!(stderr(), "{what}");
}

/// What `announce!` does.
pub(crate) fn announce(what: Arguments<'_>) {
    let mut output = stdout().lock();
    let _ = writeln!(output, "{what}").and_then(|()| output.flush());
}

/// At once: who reads a pipe waits for it.
fn write(what: Arguments<'_>) {
    let mut output = stdout().lock();
    let written = output.write_fmt(what).and_then(|()| output.flush());
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(CLOSED_PIPE),
        Err(error) => {
            remark(format_args!(
                "error: what is said cannot be written: {error}"
            ));
            exit(1);
        }
    }
}
