//! LwM2M CBOR (11544): values in a map keyed by path (Core 1.2.2 §7.5.7).
//!
//! A key is an identifier or an array of identifiers, relative to the map around it. A value is a
//! datum, or a map that goes deeper. So `{[3, 0]: {9: 100}}` and `{[3, 0, 9]: 100}` say the same.

use std::collections::HashMap;

use minicbor::data::Type;

use super::cbor_reader::{Key, Reader};
use super::cbor_writer::Writer;
use super::scalar::Scalar;
use super::sink::Sink;
use super::{DecodeError, Decoded, EncodeError, Scope, source};
use crate::{ContentFormat, Path, PathError, PathLevel, Record, ResourceTypes, Value};

const FORMAT: ContentFormat = ContentFormat::Lwm2mCbor;

pub(super) fn decode<'a>(
    scope: Scope<'_>,
    payload: &'a [u8],
    types: &dyn ResourceTypes,
) -> Result<Decoded<'a>, DecodeError> {
    let mut tree = Tree {
        reader: Reader::new(FORMAT, payload),
        sink: Sink::new(FORMAT, scope, types),
    };
    tree.map(Path::ROOT)?;
    tree.reader.finish()?;
    tree.sink.finish_unique()
}

pub(super) fn encode(
    scope: Scope<'_>,
    records: &[Record<'_>],
    types: &dyn ResourceTypes,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    source::check(scope, records)?;
    source::check_timeless(FORMAT, records)?;
    if records.is_empty() {
        // The map must not be empty.
        return Err(EncodeError::Format(FORMAT));
    }
    let grouped = grouped(records);
    write_map(&mut Writer::new(out), &grouped, 0, types)
}

struct Tree<'a, 't> {
    reader: Reader<'a>,
    sink: Sink<'a, 't>,
}

impl Tree<'_, '_> {
    /// Reads a map that lies at `above`. Every key adds a level, so the recursion ends at four.
    fn map(&mut self, above: Path) -> Result<(), DecodeError> {
        let at = self.reader.at();
        let mut remaining = self.reader.map("a map is expected")?;
        let mut empty = true;
        while self.reader.another(&mut remaining)? {
            empty = false;
            let path = self.key(above)?;
            match self.reader.kind()? {
                Type::Map | Type::MapIndef => self.map(path)?,
                _ => self.leaf(path)?,
            }
        }
        if empty {
            return Err(self.reader.malformed(at, "an empty map"));
        }
        Ok(())
    }

    fn key(&mut self, above: Path) -> Result<Path, DecodeError> {
        let at = self.reader.at();
        if !matches!(self.reader.kind()?, Type::Array | Type::ArrayIndef) {
            return self.below(above);
        }
        let mut remaining = self.reader.array("no array")?;
        let mut path = above;
        while self.reader.another(&mut remaining)? {
            path = self.below(path)?;
        }
        if path == above {
            return Err(self.reader.malformed(at, "a key without identifiers"));
        }
        Ok(path)
    }

    /// The path one level down. Instance 65535 is one that the device shall choose (Create).
    fn below(&mut self, above: Path) -> Result<Path, DecodeError> {
        let at = self.reader.at();
        let Key::Number(id) = self.reader.key()? else {
            // Text would be the prefix of a device behind a gateway.
            return Err(self.reader.malformed(at, "an identifier is a number"));
        };
        let path = u16::try_from(id)
            .ok()
            .filter(|&id| id <= Path::MAX_ID || above.level() == PathLevel::Object)
            .ok_or(PathError::IdOutOfRange)
            .and_then(|id| above.child(id));
        path.map_err(|error| DecodeError::Path {
            format: FORMAT,
            at,
            error,
        })
    }

    fn leaf(&mut self, path: Path) -> Result<(), DecodeError> {
        let at = self.reader.at();
        let datum = self.reader.scalar()?;
        if datum == Ok(Scalar::Null) {
            return Err(self.reader.malformed(at, "null is no value"));
        }
        let value = datum.and_then(|scalar| scalar.into_value(self.sink.data_type(&path)));
        self.sink.push_value(path, None, value, &[])
    }
}

/// The records in an order in which every object, instance and resource stands together, each
/// where it came first.
fn grouped<'r, 'a>(records: &'r [Record<'a>]) -> Vec<&'r Record<'a>> {
    let mut grouped: Vec<&Record<'_>> = records.iter().collect();
    if grouped.is_sorted_by(|a, b| a.path <= b.path) {
        return grouped;
    }
    let mut first_seen: HashMap<Path, usize> = HashMap::new();
    for (position, record) in records.iter().enumerate() {
        for levels in 1..=4 {
            let above = record.path.truncated(levels);
            first_seen.entry(above).or_insert(position);
        }
    }
    grouped.sort_by_cached_key(|record| {
        [1, 2, 3, 4].map(|levels| first_seen.get(&record.path.truncated(levels)).copied())
    });
    grouped
}

/// Writes a map of grouped records that agree in their first `depth` identifiers. A chain of
/// single children is one array key.
fn write_map(
    writer: &mut Writer<'_>,
    records: &[&Record<'_>],
    depth: usize,
    types: &dyn ResourceTypes,
) -> Result<(), EncodeError> {
    let siblings = |a: &&Record<'_>, b: &&Record<'_>| {
        a.path.truncated(depth + 1) == b.path.truncated(depth + 1)
    };
    writer.map(records.chunk_by(siblings).count());
    for group in records.chunk_by(siblings) {
        let [first, others @ ..] = group else {
            continue;
        };
        let shared = others
            .iter()
            .fold(first.path, |path, other| common(path, other.path));
        write_key(writer, &shared.ids()[depth..]);
        if others.is_empty() {
            write_leaf(writer, first, types)?;
        } else if group.iter().any(|record| record.path == shared) {
            return Err(EncodeError::Duplicate { path: shared });
        } else {
            write_map(writer, group, shared.ids().len(), types)?;
        }
    }
    Ok(())
}

fn common(a: Path, b: Path) -> Path {
    let ids = a.ids().iter().zip(b.ids());
    a.truncated(ids.take_while(|(a, b)| a == b).count())
}

fn write_key(writer: &mut Writer<'_>, ids: &[u16]) {
    match ids {
        [id] => writer.integer(i64::from(*id)),
        ids => {
            writer.array(ids.len());
            for id in ids {
                writer.integer(i64::from(*id));
            }
        }
    }
}

fn write_leaf(
    writer: &mut Writer<'_>,
    record: &Record<'_>,
    types: &dyn ResourceTypes,
) -> Result<(), EncodeError> {
    match source::typed(record, types)? {
        Value::Null => Err(EncodeError::Unsupported {
            format: FORMAT,
            path: record.path,
        }),
        value => {
            writer.value(&value);
            Ok(())
        }
    }
}
