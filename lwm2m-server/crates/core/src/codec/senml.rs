//! What SenML JSON and SenML CBOR share: the resolution of names, times and values (RFC 8428 §4.6,
//! RFC 8790).
//!
//! The formats read their records into [`Fields`]; [`Values`] or [`Names`] make of them what the
//! request needs. A [`Namer`] gives the names for writing.

use std::borrow::Cow;
use std::fmt::Write;

use super::cbor_reader::Datum;
use super::scalar::Scalar;
use super::senml_fields::{Fields, Label, Number, Refusal};
use super::sink::Sink;
use super::{DecodeError, Decoded, EncodeError, RECORDS_MAX, Scope, source};
use crate::{ContentFormat, DataType, Path, PathLevel, Record, ResourceTypes, Value, ValueError};

/// Which rules a pack follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pack {
    /// SenML (110, 112): every record has a value.
    Plain,
    /// SenML-ETCH (320, 322): `null` removes a resource instance.
    Etch,
}

/// The longest text of a path, `/65534/65534/65534/65534`.
const PATH_LEN_MAX: usize = 24;

/// From here on a float no longer tells neighbouring integers apart: 2^53.
const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;

/// Resolves the records of a pack with values.
pub(super) struct Values<'a, 's> {
    pack: Pack,
    /// Floats were read from decimal text, so that a large one may have been rounded.
    decimal: bool,
    bases: Bases<'a, 's>,
    base_value: Option<Number>,
    sink: Sink<'a, 's>,
}

impl<'a, 's> Values<'a, 's> {
    pub(super) fn new(
        format: ContentFormat,
        scope: Scope<'s>,
        types: &'s dyn ResourceTypes,
        pack: Pack,
    ) -> Values<'a, 's> {
        let json = [ContentFormat::SenmlJson, ContentFormat::SenmlEtchJson];
        Values {
            pack,
            decimal: json.contains(&format),
            bases: Bases::new(scope.prefix),
            base_value: None,
            sink: Sink::new(format, scope, types),
        }
    }

    pub(super) fn record(&mut self, mut fields: Fields<'a>) -> Result<(), Refusal> {
        let path = self.bases.path(&mut fields)?;
        let time = self.bases.time(&fields)?;
        self.base_value = fields.base_value.or(self.base_value);
        let (label, datum) = match fields.value {
            Some(value) => value,
            // With a base value, a missing value counts as zero.
            None if self.base_value.is_some() => (Label::Number, Ok(Scalar::Int(0))),
            None => return Err(Refusal::Malformed("a record without a value")),
        };
        if datum == Ok(Scalar::Null) {
            self.check_removal(label, &path)?;
        }
        let value = self.value(&path, label, datum);
        self.sink
            .push_value(path, time, value, &[])
            .map_err(Refusal::Whole)
    }

    pub(super) fn finish(self) -> Decoded<'a> {
        self.sink.finish()
    }

    fn check_removal(&self, label: Label, path: &Path) -> Result<(), Refusal> {
        if self.pack != Pack::Etch || label != Label::Number {
            return Err(Refusal::Malformed("null is no value"));
        }
        if path.level() != PathLevel::ResourceInstance {
            return Err(Refusal::Malformed("null removes a resource instance only"));
        }
        Ok(())
    }

    fn value(&self, path: &Path, label: Label, datum: Datum<'a>) -> Result<Value<'a>, ValueError> {
        let known = self.sink.data_type(path);
        let expected = known.unwrap_or(label.data_type());
        let scalar = match (label, datum?) {
            (Label::Number, Scalar::Null) => Scalar::Null,
            (Label::Number, scalar) => {
                let number = Number::of(&scalar).ok_or(ValueError::Type { expected })?;
                self.number(number, expected)?
            }
            (Label::Text, text @ Scalar::Text(_)) => text,
            (Label::Boolean, truth @ Scalar::Bool(_)) => truth,
            (Label::Data, bytes @ Scalar::Bytes(_)) => bytes,
            (Label::Link, Scalar::Text(text)) => Scalar::Link(text.trim_end_matches('\0').parse()?),
            _ => return Err(ValueError::Type { expected }),
        };
        scalar.into_value(known)
    }

    /// The number with the base value added.
    fn number(&self, number: Number, expected: DataType) -> Result<Scalar<'a>, ValueError> {
        let whole = matches!(
            expected,
            DataType::Integer | DataType::Unsigned | DataType::Time
        );
        match self.base_value.map_or(number, |base| base.plus(number)) {
            Number::Float(number) if whole && self.decimal && number.abs() >= EXACT_BELOW => {
                Err(ValueError::Range { expected })
            }
            Number::Float(number) => Ok(Scalar::Float(number)),
            Number::Int(number) => Ok(Scalar::Int(number)),
        }
    }
}

/// Resolves the records of a pack with names only, the body of a FETCH.
pub(super) struct Names<'a, 's> {
    format: ContentFormat,
    bases: Bases<'a, 's>,
    paths: Vec<Path>,
}

impl<'a, 's> Names<'a, 's> {
    pub(super) fn new(format: ContentFormat, prefix: &'s str) -> Names<'a, 's> {
        Names {
            format,
            bases: Bases::new(prefix),
            paths: Vec::new(),
        }
    }

    pub(super) fn record(&mut self, mut fields: Fields<'a>) -> Result<(), Refusal> {
        let valued = [
            Label::BaseValue,
            Label::BaseSum,
            Label::Sum,
            Label::UpdateTime,
        ];
        if fields.value.is_some() || fields.has_any(&valued) {
            return Err(Refusal::Malformed("a record with more than a name"));
        }
        if self.paths.len() == RECORDS_MAX {
            let format = self.format;
            return Err(Refusal::Whole(DecodeError::TooManyRecords { format }));
        }
        self.paths.push(self.bases.path(&mut fields)?);
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Path> {
        self.paths
    }
}

/// The base name and base time in force.
struct Bases<'a, 's> {
    prefix: &'s str,
    name: Cow<'a, str>,
    time: f64,
    joined: String,
}

impl<'a, 's> Bases<'a, 's> {
    fn new(prefix: &'s str) -> Bases<'a, 's> {
        Bases {
            prefix,
            name: Cow::Borrowed(""),
            time: 0.0,
            joined: String::new(),
        }
    }

    /// The path of a record: base name and name, one after the other.
    fn path(&mut self, fields: &mut Fields<'a>) -> Result<Path, Refusal> {
        if let Some(name) = fields.base_name.take() {
            self.name = name;
        }
        let name = fields.name.as_deref().unwrap_or_default();
        // Without this limit, a long base name times many records would be much to copy.
        if self.name.len() + name.len() > self.prefix.len() + PATH_LEN_MAX {
            return Err(Refusal::Malformed("a name is longer than any path"));
        }
        self.joined.clear();
        self.joined.push_str(&self.name);
        self.joined.push_str(name);
        let below_prefix = self
            .joined
            .strip_prefix(self.prefix)
            .filter(|rest| rest.is_empty() || rest.starts_with('/'));
        match below_prefix {
            Some("") if !self.prefix.is_empty() => Ok(Path::ROOT),
            Some(path) => path.parse().map_err(Refusal::Name),
            None => self.joined.parse().map_err(Refusal::Name),
        }
    }

    /// Base time and time added up; none for now.
    fn time(&mut self, fields: &Fields<'a>) -> Result<Option<f64>, Refusal> {
        self.time = fields.base_time.unwrap_or(self.time);
        let time = self.time + fields.time.unwrap_or(0.0);
        if !time.is_finite() {
            return Err(Refusal::Malformed("a time is a finite number"));
        }
        Ok((time != 0.0).then_some(time))
    }
}

/// Gives records their names in the form that every known device reads: a base name on the first
/// record of each instance, a name relative to it in every record. A device that keeps short
/// buffers for names, or forgets the base name, cannot go wrong with that.
pub(super) struct Namer<'p> {
    prefix: &'p str,
    instance: Option<Path>,
    base: String,
    name: String,
}

impl<'p> Namer<'p> {
    pub(super) fn new(prefix: &'p str) -> Namer<'p> {
        Namer {
            prefix,
            instance: None,
            base: String::new(),
            name: String::new(),
        }
    }

    /// The base name, where it changes, and the name of a record.
    pub(super) fn next(&mut self, path: &Path) -> (Option<&str>, &str) {
        let instance = path.truncated(2);
        let changes = self.instance.replace(instance) != Some(instance);
        if changes {
            self.base.clear();
            // Writing to a string does not fail.
            let _ = write!(self.base, "{}{instance}/", self.prefix);
        }
        self.name.clear();
        for (index, id) in path.ids().iter().skip(2).enumerate() {
            let separator = if index == 0 { "" } else { "/" };
            let _ = write!(self.name, "{separator}{id}");
        }
        (changes.then_some(self.base.as_str()), &self.name)
    }
}

/// The absolute name of a path in the body of a FETCH.
pub(super) fn absolute_name(prefix: &str, path: &Path) -> String {
    if path.is_root() && !prefix.is_empty() {
        prefix.to_owned()
    } else {
        format!("{prefix}{path}")
    }
}

/// The value of a record in the model's type, refused where a SenML pack cannot carry it.
pub(super) fn value_to_write<'r>(
    format: ContentFormat,
    pack: Pack,
    record: &'r Record<'_>,
    types: &dyn ResourceTypes,
) -> Result<Value<'r>, EncodeError> {
    let path = record.path;
    let value = source::typed(record, types)?;
    let removes = value == Value::Null;
    let removable = pack == Pack::Etch && path.level() == PathLevel::ResourceInstance;
    let named = path.ids().iter().all(|&id| id <= Path::MAX_ID);
    let timed = record.time.is_none_or(f64::is_finite);
    if (removes && !removable) || !named || !timed {
        return Err(EncodeError::Unsupported { format, path });
    }
    Ok(value)
}
