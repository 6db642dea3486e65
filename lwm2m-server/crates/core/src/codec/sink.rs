//! Where decoders put what they read.

use super::{DecodeError, Decoded, Fault, RECORDS_MAX, Scope};
use crate::{ContentFormat, DataType, Path, PathLevel, Record, ResourceTypes, Value, ValueError};

/// Collects the records of a payload: checks their paths, gives their values the model's type.
pub(super) struct Sink<'a, 't> {
    format: ContentFormat,
    scope: Path,
    types: &'t dyn ResourceTypes,
    decoded: Decoded<'a>,
}

impl<'a, 't> Sink<'a, 't> {
    pub(super) fn new(
        format: ContentFormat,
        scope: Scope<'_>,
        types: &'t dyn ResourceTypes,
    ) -> Sink<'a, 't> {
        Sink {
            format,
            scope: scope.path,
            types,
            decoded: Decoded::default(),
        }
    }

    /// The type that the model gives for a path, none when it is not known.
    pub(super) fn data_type(&self, path: &Path) -> Option<DataType> {
        data_type(self.types, path)
    }

    /// Takes a value, or why there is none; `raw` are its bytes where the format has them apart.
    pub(super) fn push_value(
        &mut self,
        path: Path,
        time: Option<f64>,
        value: Result<Value<'a>, ValueError>,
        raw: &[u8],
    ) -> Result<(), DecodeError> {
        check_place(&path, &self.scope)?;
        if self.decoded.records.len() + self.decoded.faults.len() >= RECORDS_MAX {
            return Err(DecodeError::TooManyRecords {
                format: self.format,
            });
        }
        match value {
            Ok(value) => self.decoded.records.push(Record { path, time, value }),
            Err(error) => self.decoded.faults.push(Fault {
                path,
                error,
                raw: raw.to_vec(),
            }),
        }
        Ok(())
    }

    /// What was collected, for formats in which a path may come again (history).
    pub(super) fn finish(self) -> Decoded<'a> {
        self.decoded
    }

    /// What was collected, refused when a path came twice, as a value and as a fault included, or
    /// a resource came both as a value and as instances.
    pub(super) fn finish_unique(self) -> Result<Decoded<'a>, DecodeError> {
        let records = self.decoded.records.iter().map(|record| record.path);
        let faults = self.decoded.faults.iter().map(|fault| fault.path);
        match first_duplicate(records.chain(faults)) {
            Some(path) => Err(DecodeError::Duplicate { path }),
            None => Ok(self.decoded),
        }
    }
}

/// The type that the model gives for the resource of a path, none when it is not known.
pub(super) fn data_type(types: &dyn ResourceTypes, path: &Path) -> Option<DataType> {
    match *path.ids() {
        [object, _, resource, ..] => types
            .resource_type(object, resource)
            .map(|known| known.data_type),
        _ => None,
    }
}

/// A path that comes twice, or at which a value stands beside the values of its instances; sorts
/// only when the paths are not in order already.
pub(super) fn first_duplicate(paths: impl Iterator<Item = Path> + Clone) -> Option<Path> {
    // What lies below a path sorts directly after it.
    if paths.clone().is_sorted_by(|a, b| a < b && !a.contains(b)) {
        return None;
    }
    let mut sorted: Vec<Path> = paths.collect();
    sorted.sort_unstable();
    sorted
        .windows(2)
        .find(|pair| pair[0].contains(&pair[1]))
        .map(|pair| pair[0])
}

fn check_place(path: &Path, scope: &Path) -> Result<(), DecodeError> {
    if !scope.contains(path) {
        return Err(DecodeError::OutsideScope {
            path: *path,
            scope: *scope,
        });
    }
    match path.level() {
        PathLevel::Resource | PathLevel::ResourceInstance => Ok(()),
        _ => Err(DecodeError::Level { path: *path }),
    }
}
