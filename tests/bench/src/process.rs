//! What Linux tells about a process.

use std::fmt::Display;
use std::fs;

use anyhow::Context;

/// Bytes of a page of memory: the only size that Linux has on the machines that benches run on
/// and that says so.
const PAGE: u64 = 4096;

/// Bytes of memory of a process, or of `self`, that are resident.
pub(crate) fn resident_bytes(process: impl Display) -> anyhow::Result<u64> {
    let statm = fs::read_to_string(format!("/proc/{process}/statm"));
    let statm = statm.context("memory is measured on Linux only")?;
    Ok(field(&statm, 1).context("resident pages")? * PAGE)
}

/// The number at a place of a line.
pub(crate) fn field(text: &str, index: usize) -> Option<u64> {
    text.split_whitespace().nth(index)?.parse().ok()
}
