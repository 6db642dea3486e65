//! The type, identifier and length in front of every TLV value.

use super::FORMAT;
use crate::{Path, codec::DecodeError};

/// What the two highest bits of the type byte say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// 00: holds resources.
    ObjectInstance,
    /// 01: a value inside a multiple resource.
    ResourceInstance,
    /// 10: holds resource instances.
    MultipleResource,
    /// 11: a value.
    Resource,
}

/// One item with its content still to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) kind: Kind,
    pub(super) id: u16,
    pub(super) content: &'a [u8],
    /// Where the item starts in the payload.
    pub(super) at: usize,
    /// Where its content starts in the payload.
    pub(super) content_at: usize,
}

/// Walks the items that stand side by side.
pub(super) struct Items<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Items<'a> {
    /// The items in `bytes`, which stand at `at` in the payload.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Items<'a> {
        Items { rest: bytes, at }
    }

    fn read(&mut self) -> Result<Item<'a>, DecodeError> {
        let at = self.at;
        let truncated = || DecodeError::Truncated { format: FORMAT, at };
        let (&[kind], rest) = self.rest.split_first_chunk().ok_or_else(truncated)?;
        let (id, rest) = if kind & 0x20 == 0 {
            number::<1>(rest)
        } else {
            number::<2>(rest)
        }
        .ok_or_else(truncated)?;
        let (length, rest) = match (kind >> 3) & 0x03 {
            // The low bits are the length only when no length field follows.
            0 => Some((u32::from(kind & 0x07), rest)),
            1 => number::<1>(rest),
            2 => number::<2>(rest),
            _ => number::<3>(rest),
        }
        .ok_or_else(truncated)?;
        let (content, rest) = rest
            .split_at_checked(length as usize)
            .ok_or_else(truncated)?;
        let id = u16::try_from(id)
            .ok()
            .filter(|id| *id <= Path::MAX_ID)
            .ok_or(DecodeError::Malformed {
                format: FORMAT,
                at,
                reason: "identifier 65535 is reserved",
            })?;
        let used = self.rest.len() - rest.len();
        self.rest = rest;
        self.at = at + used;
        Ok(Item {
            kind: match kind >> 6 {
                0 => Kind::ObjectInstance,
                1 => Kind::ResourceInstance,
                2 => Kind::MultipleResource,
                _ => Kind::Resource,
            },
            id,
            content,
            at,
            content_at: at + used - content.len(),
        })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, DecodeError>;

    /// Ends after the first error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

/// The longest content that a length field can say.
pub(super) const CONTENT_MAX: usize = 0xff_ffff;

/// How many bytes an item takes with its header.
pub(super) fn item_len(id: u16, content: usize) -> usize {
    let id = if id > 0xff { 2 } else { 1 };
    1 + id + length_len(content) + content
}

/// Writes the header of an item, in the shortest form.
pub(super) fn write(kind: Kind, id: u16, content: usize, out: &mut Vec<u8>) {
    let mut first = match kind {
        Kind::ObjectInstance => 0x00,
        Kind::ResourceInstance => 0x40,
        Kind::MultipleResource => 0x80,
        Kind::Resource => 0xc0,
    };
    if id > 0xff {
        first |= 0x20;
    }
    let length_len = length_len(content);
    first |= match length_len {
        0 => content as u8,
        length_len => (length_len as u8) << 3,
    };
    out.push(first);
    if id > 0xff {
        out.extend_from_slice(&id.to_be_bytes());
    } else {
        out.push(id as u8);
    }
    let length = (content as u32).to_be_bytes();
    out.extend_from_slice(&length[4 - length_len..]);
}

fn length_len(content: usize) -> usize {
    match content {
        0..=7 => 0,
        8..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 3,
    }
}

fn number<const N: usize>(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<N>()?;
    let number = number
        .iter()
        .fold(0, |number, byte| number << 8 | u32::from(*byte));
    Some((number, rest))
}
