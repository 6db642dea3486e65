//! What encoders take their records from.

use super::sink::data_type;
use super::{EncodeError, Scope};
use crate::{ContentFormat, Path, PathLevel, Record, ResourceTypes, Value};

/// Refuses records that lie outside the scope, or where no value can stand.
pub(super) fn check(scope: Scope<'_>, records: &[Record<'_>]) -> Result<(), EncodeError> {
    for Record { path, .. } in records {
        if !scope.path.contains(path) {
            return Err(EncodeError::OutsideScope {
                path: *path,
                scope: scope.path,
            });
        }
        check_level(path)?;
    }
    Ok(())
}

/// Refuses timestamps, in formats that have none.
pub(super) fn check_timeless(
    format: ContentFormat,
    records: &[Record<'_>],
) -> Result<(), EncodeError> {
    match records.iter().find(|record| record.time.is_some()) {
        None => Ok(()),
        Some(record) => Err(EncodeError::Time {
            format,
            path: record.path,
        }),
    }
}

/// The one record of a format that carries one value: it stands at the path of the scope.
pub(super) fn single<'r, 'a>(
    format: ContentFormat,
    scope: Scope<'_>,
    records: &'r [Record<'a>],
) -> Result<&'r Record<'a>, EncodeError> {
    let [record] = records else {
        return Err(EncodeError::Single {
            format,
            records: records.len(),
        });
    };
    check(scope, records)?;
    check_timeless(format, records)?;
    if scope.path != record.path {
        return Err(EncodeError::Format(format));
    }
    Ok(record)
}

/// The value of a record in the type that the model gives, where nothing is lost by that.
pub(super) fn typed<'r>(
    record: &'r Record<'_>,
    types: &dyn ResourceTypes,
) -> Result<Value<'r>, EncodeError> {
    match data_type(types, &record.path) {
        Some(expected) => record
            .value
            .cast(expected)
            .map_err(|error| EncodeError::Value {
                path: record.path,
                error,
            }),
        None => Ok(record.value.borrowed()),
    }
}

fn check_level(path: &Path) -> Result<(), EncodeError> {
    match path.level() {
        PathLevel::Resource | PathLevel::ResourceInstance => Ok(()),
        _ => Err(EncodeError::Level { path: *path }),
    }
}
