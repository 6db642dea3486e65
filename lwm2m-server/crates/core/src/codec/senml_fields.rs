//! The fields of a SenML record, before names and times are resolved (RFC 8428 §4).

use std::borrow::Cow;

use super::DecodeError;
use super::cbor_reader::Datum;
use super::scalar::Scalar;
use crate::{ContentFormat, DataType, PathError, Value};

/// The most labels of a record that we do not know and pass over.
pub(super) const UNKNOWN_LABELS_MAX: usize = 16;

/// The version of SenML that we read.
const VERSION_MAX: i128 = 10;

/// A label that SenML, or LwM2M on top of it, defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    BaseVersion,
    BaseName,
    BaseTime,
    BaseUnit,
    BaseValue,
    BaseSum,
    Name,
    Unit,
    Number,
    Text,
    Boolean,
    Sum,
    Time,
    UpdateTime,
    Data,
    Link,
}

/// The label as JSON writes it, and its number in CBOR; LwM2M's own has none.
const LABELS: [(Label, &str, Option<i8>); 16] = [
    (Label::BaseVersion, "bver", Some(-1)),
    (Label::BaseName, "bn", Some(-2)),
    (Label::BaseTime, "bt", Some(-3)),
    (Label::BaseUnit, "bu", Some(-4)),
    (Label::BaseValue, "bv", Some(-5)),
    (Label::BaseSum, "bs", Some(-6)),
    (Label::Name, "n", Some(0)),
    (Label::Unit, "u", Some(1)),
    (Label::Number, "v", Some(2)),
    (Label::Text, "vs", Some(3)),
    (Label::Boolean, "vb", Some(4)),
    (Label::Sum, "s", Some(5)),
    (Label::Time, "t", Some(6)),
    (Label::UpdateTime, "ut", Some(7)),
    (Label::Data, "vd", Some(8)),
    (Label::Link, "vlo", None),
];

impl Label {
    pub(super) fn from_text(text: &str) -> Option<Label> {
        let known = LABELS.iter().find(|(_, name, _)| *name == text);
        known.map(|(label, _, _)| *label)
    }

    pub(super) fn from_number(number: i128) -> Option<Label> {
        let known = LABELS
            .iter()
            .find(|(_, _, known)| known.is_some_and(|known| i128::from(known) == number));
        known.map(|(label, _, _)| *label)
    }

    pub(super) fn name(self) -> &'static str {
        LABELS[self as usize].1
    }

    pub(super) fn number(self) -> Option<i8> {
        LABELS[self as usize].2
    }

    /// The label under which a value is written.
    pub(super) fn of(value: &Value<'_>) -> Label {
        match value {
            Value::String(_) | Value::CoreLink(_) => Label::Text,
            Value::Boolean(_) => Label::Boolean,
            Value::Opaque(_) => Label::Data,
            Value::ObjectLink(_) => Label::Link,
            _ => Label::Number,
        }
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }

    /// The type that stands for what this label carries.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Label::Text => DataType::String,
            Label::Boolean => DataType::Boolean,
            Label::Data => DataType::Opaque,
            Label::Link => DataType::ObjectLink,
            _ => DataType::Float,
        }
    }
}

/// Why a record is refused, before it is known where in the payload it stands.
#[derive(Debug)]
pub(super) enum Refusal {
    Malformed(&'static str),
    Name(PathError),
    Whole(DecodeError),
}

impl Refusal {
    pub(super) fn at(self, format: ContentFormat, at: usize) -> DecodeError {
        match self {
            Refusal::Malformed(reason) => DecodeError::Malformed { format, at, reason },
            Refusal::Name(error) => DecodeError::Path { format, at, error },
            Refusal::Whole(error) => error,
        }
    }
}

/// A label that we do not know.
#[derive(Debug, PartialEq)]
pub(super) enum UnknownLabel<'a> {
    Text(Cow<'a, str>),
    Number(i128),
}

/// The fields of one record, as they stand in the payload.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    seen: u16,
    unknown: Vec<UnknownLabel<'a>>,
    pub(super) base_name: Option<Cow<'a, str>>,
    pub(super) base_time: Option<f64>,
    pub(super) base_value: Option<Number>,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) time: Option<f64>,
    pub(super) value: Option<(Label, Datum<'a>)>,
}

impl<'a> Fields<'a> {
    /// Takes a field whose label is known. Each comes once, and there is one value.
    pub(super) fn set(&mut self, label: Label, datum: Datum<'a>) -> Result<(), Refusal> {
        if self.seen & label.bit() != 0 {
            return Err(Refusal::Malformed("a label is given twice"));
        }
        self.seen |= label.bit();
        match label {
            Label::BaseVersion => check_version(&datum),
            Label::BaseName => text(datum).map(|text| self.base_name = Some(text)),
            Label::Name => text(datum).map(|text| self.name = Some(text)),
            Label::BaseTime => seconds(&datum).map(|seconds| self.base_time = Some(seconds)),
            Label::Time => seconds(&datum).map(|seconds| self.time = Some(seconds)),
            Label::BaseValue => number(&datum).map(|number| self.base_value = Some(number)),
            // Sums, units and the time of the next update mean nothing to LwM2M.
            Label::BaseUnit | Label::Unit | Label::BaseSum | Label::Sum | Label::UpdateTime => {
                Ok(())
            }
            Label::Number | Label::Text | Label::Boolean | Label::Data | Label::Link => {
                if self.value.is_some() {
                    return Err(Refusal::Malformed("a record with two values"));
                }
                self.value = Some((label, datum));
                Ok(())
            }
        }
    }

    /// Takes note of a label that is not known, for its value to be passed over.
    pub(super) fn pass_over(&mut self, label: UnknownLabel<'a>) -> Result<(), Refusal> {
        if matches!(&label, UnknownLabel::Text(text) if text.ends_with('_')) {
            return Err(Refusal::Malformed(
                "an unknown label that must be understood",
            ));
        }
        if self.unknown.contains(&label) {
            return Err(Refusal::Malformed("a label is given twice"));
        }
        if self.unknown.len() == UNKNOWN_LABELS_MAX {
            return Err(Refusal::Malformed("too many unknown labels in a record"));
        }
        self.unknown.push(label);
        Ok(())
    }

    /// True when the record has any of these labels.
    pub(super) fn has_any(&self, labels: &[Label]) -> bool {
        labels.iter().any(|&label| self.seen & label.bit() != 0)
    }
}

/// A number as SenML adds them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    /// None when the datum is no number.
    pub(super) fn of(scalar: &Scalar<'_>) -> Option<Number> {
        match *scalar {
            Scalar::Int(number) => Some(Number::Int(number)),
            Scalar::Float(number) => Some(Number::Float(number)),
            // A tag that says that this number is a time.
            Scalar::Time(seconds) => Some(Number::Int(i128::from(seconds))),
            _ => None,
        }
    }

    /// The sum, exact as long as both are integers.
    pub(super) fn plus(self, other: Number) -> Number {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Number::Int(a.saturating_add(b)),
            (a, b) => Number::Float(a.to_f64() + b.to_f64()),
        }
    }

    fn to_f64(self) -> f64 {
        match self {
            Number::Int(number) => number as f64,
            Number::Float(number) => number,
        }
    }
}

fn text(datum: Datum<'_>) -> Result<Cow<'_, str>, Refusal> {
    match datum {
        Ok(Scalar::Text(text)) => Ok(text),
        _ => Err(Refusal::Malformed("a name is text")),
    }
}

fn number(datum: &Datum<'_>) -> Result<Number, Refusal> {
    let number = datum.as_ref().ok().and_then(Number::of);
    number.ok_or(Refusal::Malformed("a number is expected"))
}

fn seconds(datum: &Datum<'_>) -> Result<f64, Refusal> {
    let seconds = number(datum)?.to_f64();
    if !seconds.is_finite() {
        return Err(Refusal::Malformed("a time is a finite number"));
    }
    Ok(seconds)
}

fn check_version(datum: &Datum<'_>) -> Result<(), Refusal> {
    match number(datum)? {
        Number::Int(1..=VERSION_MAX) => Ok(()),
        _ => Err(Refusal::Malformed("an unknown version of SenML")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_labels_is_in_the_order_of_the_labels() {
        for (index, (label, name, number)) in LABELS.into_iter().enumerate() {
            assert_eq!(label as usize, index);
            assert_eq!(Label::from_text(name), Some(label));
            if let Some(number) = number {
                assert_eq!(Label::from_number(i128::from(number)), Some(label));
            }
        }
        assert_eq!(Label::from_number(9), None);
        assert_eq!(Label::from_text("x"), None);
    }

    #[test]
    fn unknown_labels_are_limited() {
        let mut fields = Fields::default();
        for number in 0..UNKNOWN_LABELS_MAX {
            let label = UnknownLabel::Number(100 + number as i128);
            fields.pass_over(label).unwrap();
        }
        assert!(fields.pass_over(UnknownLabel::Number(1000)).is_err());
    }

    #[test]
    fn a_label_comes_once() {
        let mut fields = Fields::default();
        fields.set(Label::Unit, Ok(Scalar::Int(1))).unwrap();
        assert!(fields.set(Label::Unit, Ok(Scalar::Int(1))).is_err());
        let unknown = || UnknownLabel::Text("x".into());
        fields.pass_over(unknown()).unwrap();
        assert!(fields.pass_over(unknown()).is_err());
    }
}
