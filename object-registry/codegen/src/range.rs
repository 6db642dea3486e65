//! The ranges that definitions print for people.

use lwm2m_core::DataType;
use proc_macro2::{Literal, TokenStream};
use quote::quote;

/// What a range means for values of a type, as an expression of `ValueRange`; none for all values.
///
/// Numbers on texts and bytes are lengths. A single number says too little (a limit? the only
/// value?), and free text says nothing to a program: both allow everything.
pub(crate) fn expression(text: &str, data_type: Option<DataType>) -> Option<TokenStream> {
    let (numbers, is_bytes) = match text.trim().strip_suffix("bytes") {
        Some(numbers) => (numbers.trim(), true),
        None => (text.trim(), false),
    };
    let parts: Vec<&str> = numbers.split(',').map(str::trim).collect();
    match data_type? {
        DataType::Integer | DataType::Unsigned | DataType::Time if !is_bytes => {
            let ranges = ranges::<i128>(&parts)?;
            let ranges = ranges.into_iter().map(|(low, high)| {
                let (low, high) = (
                    Literal::i128_unsuffixed(low),
                    Literal::i128_unsuffixed(high),
                );
                quote!((#low, #high))
            });
            Some(quote!(ValueRange::Integers(&[#(#ranges),*])))
        }
        DataType::Float if !is_bytes => {
            let ranges = ranges::<f64>(&parts)?;
            let is_finite = |(low, high): &(f64, f64)| low.is_finite() && high.is_finite();
            if !ranges.iter().all(is_finite) {
                return None;
            }
            let ranges = ranges.into_iter().map(|(low, high)| {
                let (low, high) = (Literal::f64_unsuffixed(low), Literal::f64_unsuffixed(high));
                quote!((#low, #high))
            });
            Some(quote!(ValueRange::Floats(&[#(#ranges),*])))
        }
        DataType::String | DataType::Opaque | DataType::CoreLink => {
            let ranges = ranges::<u64>(&parts)?;
            let ranges = ranges.into_iter().map(|(low, high)| {
                let (low, high) = (Literal::u64_unsuffixed(low), Literal::u64_unsuffixed(high));
                quote!((#low, #high))
            });
            Some(quote!(ValueRange::Lengths(&[#(#ranges),*])))
        }
        _ => None,
    }
}

fn ranges<N: std::str::FromStr + PartialOrd + Copy>(parts: &[&str]) -> Option<Vec<(N, N)>> {
    let ranges: Vec<(N, N)> = parts
        .iter()
        .map(|part| range(part))
        .collect::<Option<_>>()?;
    match (ranges.as_slice(), parts) {
        ([_], [only]) if only.parse::<N>().is_ok() => None,
        _ => Some(ranges),
    }
}

/// `0..255`, `1...15`, `0-50`, or a number alone; the smaller number is the low end.
fn range<N: std::str::FromStr + PartialOrd + Copy>(text: &str) -> Option<(N, N)> {
    if let Ok(number) = text.parse() {
        return Some((number, number));
    }
    let (first, second) = match text.split_once("..") {
        Some((first, second)) => (first, second.strip_prefix('.').unwrap_or(second)),
        None => {
            let dash = text.char_indices().skip(1).find(|(_, c)| *c == '-')?.0;
            (text.get(..dash)?, text.get(dash + 1..)?)
        }
    };
    let (first, second): (N, N) = (first.trim().parse().ok()?, second.trim().parse().ok()?);
    // Some definitions have them the wrong way round: -30..-120.
    match first <= second {
        true => Some((first, second)),
        false => Some((second, first)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, data_type: DataType) -> Option<String> {
        expression(text, Some(data_type)).map(|tokens| tokens.to_string().replace(' ', ""))
    }

    #[test]
    fn reads_the_ranges_of_the_registry() {
        for (text, data_type, expected) in [
            ("0..255", DataType::Integer, "Integers(&[(0,255)])"),
            ("1...15", DataType::Unsigned, "Integers(&[(1,15)])"),
            ("0-50", DataType::Integer, "Integers(&[(0,50)])"),
            ("-30..-120", DataType::Integer, "Integers(&[(-120,-30)])"),
            (
                "0..247, 255",
                DataType::Integer,
                "Integers(&[(0,247),(255,255)])",
            ),
            ("0.0..1", DataType::Float, "Floats(&[(0.0,1.0)])"),
            ("0..64 bytes", DataType::String, "Lengths(&[(0,64)])"),
            ("0-255", DataType::Opaque, "Lengths(&[(0,255)])"),
            (
                "16,32,48",
                DataType::Opaque,
                "Lengths(&[(16,16),(32,32),(48,48)])",
            ),
        ] {
            let expected = Some(format!("ValueRange::{expected}"));
            assert_eq!(read(text, data_type), expected, "{text}");
        }
    }

    #[test]
    fn allows_everything_where_a_range_says_too_little() {
        for (text, data_type) in [
            ("", DataType::Integer),
            ("32", DataType::Integer),
            ("32 bytes", DataType::Opaque),
            ("8-Bits", DataType::Integer),
            ("ON;OFF", DataType::String),
            ("<7 to >12.5", DataType::Float),
            ("0..8 bytes", DataType::Integer),
            ("0..1", DataType::Boolean),
            ("-1..4", DataType::String),
            ("nan..inf", DataType::Float),
            ("0..", DataType::Integer),
        ] {
            assert_eq!(read(text, data_type), None, "{text}");
        }
    }
}
