//! LwM2M CBOR (11544): values in a map keyed by path.
//!
//! A key is an identifier or an array of identifiers, relative to the map around it. A value is a
//! datum, or a map that goes deeper. So `{[3, 0]: {9: 100}}` and `{[3, 0, 9]: 100}` say the same.
//! A key of the outermost map may start with text: the prefix of a device behind a gateway.

use std::borrow::Cow;
use std::collections::HashMap;

use minicbor::data::Type;

use super::cbor_reader::{Key, Reader};
use super::cbor_writer::Writer;
use super::scalar::Scalar;
use super::sink::{Sink, first_duplicate};
use super::{DecodeError, Decoded, EncodeError, Fault, GatewayRecord, RECORDS_MAX, Scope, source};
use crate::{ContentFormat, Path, PathError, PathLevel, Record, ResourceTypes, Value, ValueError};

const FORMAT: ContentFormat = ContentFormat::Lwm2mCbor;

/// The longest prefix of a device behind a gateway, in bytes.
const GATEWAY_PREFIX_MAX: usize = 255;

pub(super) fn decode<'a>(
    scope: Scope<'_>,
    payload: &'a [u8],
    types: &dyn ResourceTypes,
) -> Result<Decoded<'a>, DecodeError> {
    let mut tree = Tree {
        reader: Reader::new(FORMAT, payload),
        sink: Sink::new(FORMAT, scope, types),
        behind: None,
        gateway: Vec::new(),
    };
    tree.map(Path::ROOT)?;
    tree.reader.finish()?;
    let gateway = tree.gateway;
    check_unique(&gateway)?;
    let decoded = tree.sink.finish_unique()?;
    Ok(Decoded { gateway, ..decoded })
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
    /// The device behind a gateway whose values are being read.
    behind: Option<Cow<'a, str>>,
    gateway: Vec<GatewayRecord<'a>>,
}

impl<'a> Tree<'a, '_> {
    /// Reads a map that lies at `above`. Every key adds a level, so the recursion ends at four.
    fn map(&mut self, above: Path) -> Result<(), DecodeError> {
        let at = self.reader.at();
        let mut remaining = self.reader.map("a map is expected")?;
        let mut empty = true;
        while self.reader.another(&mut remaining)? {
            empty = false;
            if above.is_root() {
                self.behind = None;
            }
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
        let mut first = above.is_root();
        while self.reader.another(&mut remaining)? {
            if first && matches!(self.reader.kind()?, Type::String | Type::StringIndef) {
                self.gateway_prefix()?;
            } else {
                path = self.below(path)?;
            }
            first = false;
        }
        if path == above {
            return Err(self.reader.malformed(at, "a key without identifiers"));
        }
        Ok(path)
    }

    /// The first element of a key, where it names a device behind a gateway.
    fn gateway_prefix(&mut self) -> Result<(), DecodeError> {
        let at = self.reader.at();
        match self.reader.key()? {
            Key::Text(prefix) if !prefix.is_empty() && prefix.len() <= GATEWAY_PREFIX_MAX => {
                self.behind = Some(prefix);
                Ok(())
            }
            _ => Err(self
                .reader
                .malformed(at, "no gateway prefix of 1 to 255 bytes")),
        }
    }

    /// The path one level down. Instance 65535 is one that the device shall choose (Create).
    fn below(&mut self, above: Path) -> Result<Path, DecodeError> {
        let at = self.reader.at();
        let Key::Number(id) = self.reader.key()? else {
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
        match &self.behind {
            None => self.sink.push_value(path, None, value, &[]),
            Some(prefix) => {
                let prefix = prefix.clone();
                self.push_behind(prefix, path, value)
            }
        }
    }

    /// Takes a value of a device behind a gateway; its place there is not ours to check beyond
    /// its level.
    fn push_behind(
        &mut self,
        prefix: Cow<'a, str>,
        path: Path,
        value: Result<Value<'a>, ValueError>,
    ) -> Result<(), DecodeError> {
        if !matches!(
            path.level(),
            PathLevel::Resource | PathLevel::ResourceInstance
        ) {
            return Err(DecodeError::Level { path });
        }
        if self.gateway.len() >= RECORDS_MAX {
            return Err(DecodeError::TooManyRecords { format: FORMAT });
        }
        let value = value.map_err(|error| {
            let raw = Vec::new();
            DecodeError::Fault(Fault { path, error, raw })
        })?;
        let record = Record {
            path,
            time: None,
            value,
        };
        self.gateway.push(GatewayRecord { prefix, record });
        Ok(())
    }
}

/// Refuses a path that comes twice on the same device behind a gateway.
fn check_unique(gateway: &[GatewayRecord<'_>]) -> Result<(), DecodeError> {
    let mut paths: HashMap<&str, Vec<Path>> = HashMap::new();
    for behind in gateway {
        let of_device = paths.entry(behind.prefix.as_ref()).or_default();
        of_device.push(behind.record.path);
    }
    match paths
        .values()
        .find_map(|paths| first_duplicate(paths.iter().copied()))
    {
        Some(path) => Err(DecodeError::Duplicate { path }),
        None => Ok(()),
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
