//! Which values a definition allows.

use std::fmt;

use crate::Value;

/// The values that an object definition allows for a resource.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum ValueRange {
    /// All of the type.
    #[default]
    Any,
    /// Whole numbers between these limits, both included.
    Integers(&'static [(i128, i128)]),
    /// Numbers between these limits, both included.
    Floats(&'static [(f64, f64)]),
    /// Texts and bytes of these lengths in bytes, both limits included.
    Lengths(&'static [(u64, u64)]),
}

impl ValueRange {
    /// True for a value that is allowed, and for one of a type that the range says nothing of.
    pub fn contains(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (ValueRange::Integers(ranges), Value::Integer(number) | Value::Time(number)) => {
                is_in(ranges, i128::from(*number))
            }
            (ValueRange::Integers(ranges), Value::Unsigned(number)) => {
                is_in(ranges, i128::from(*number))
            }
            (ValueRange::Floats(ranges), Value::Float(number)) => is_in(ranges, *number),
            (ValueRange::Lengths(ranges), Value::String(text) | Value::CoreLink(text)) => {
                is_in(ranges, text.len() as u64)
            }
            (ValueRange::Lengths(ranges), Value::Opaque(bytes)) => {
                is_in(ranges, bytes.len() as u64)
            }
            _ => true,
        }
    }
}

fn is_in<N: PartialOrd>(ranges: &[(N, N)], number: N) -> bool {
    ranges
        .iter()
        .any(|(low, high)| *low <= number && number <= *high)
}

impl fmt::Display for ValueRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueRange::Any => f.write_str("any"),
            ValueRange::Integers(ranges) => list(ranges, f),
            ValueRange::Floats(ranges) => list(ranges, f),
            ValueRange::Lengths(ranges) => {
                list(ranges, f)?;
                f.write_str(" bytes")
            }
        }
    }
}

fn list<N: fmt::Display + PartialEq>(ranges: &[(N, N)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, (low, high)) in ranges.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        match low == high {
            true => write!(f, "{low}")?,
            false => write!(f, "{low}..{high}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_included() {
        let range = ValueRange::Integers(&[(0, 247), (255, 255)]);
        for (number, allowed) in [
            (-1, false),
            (0, true),
            (247, true),
            (248, false),
            (255, true),
        ] {
            assert_eq!(range.contains(&Value::Integer(number)), allowed, "{number}");
        }
        assert_eq!(range.to_string(), "0..247, 255");
        assert!(!range.contains(&Value::Unsigned(u64::MAX)));
    }

    #[test]
    fn texts_and_bytes_are_counted_in_bytes() {
        let range = ValueRange::Lengths(&[(0, 2)]);
        assert!(range.contains(&Value::String("ab".into())));
        assert!(!range.contains(&Value::String("äb".into())));
        assert!(!range.contains(&Value::Opaque(vec![0; 3].into())));
        assert_eq!(range.to_string(), "0..2 bytes");
    }

    #[test]
    fn not_a_number_is_in_no_range() {
        let range = ValueRange::Floats(&[(0.0, 1.0)]);
        assert!(range.contains(&Value::Float(1.0)));
        assert!(!range.contains(&Value::Float(f64::NAN)));
    }
}
