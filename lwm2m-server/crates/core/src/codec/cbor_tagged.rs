//! The tagged CBOR items that stand for values: times, big integers, fractions (RFC 8949 §3.4).

use minicbor::data::Type;

use super::cbor_reader::{Datum, Reader, is_float, is_integer};
use super::scalar::Scalar;
use super::{DecodeError, rfc3339};
use crate::{DataType, ValueError};

impl<'a> Reader<'a> {
    /// Tag 0: an RFC 3339 date.
    pub(super) fn date(&mut self) -> Result<Datum<'a>, DecodeError> {
        let at = self.at();
        match self.kind()? {
            Type::String | Type::StringIndef => Ok(self
                .text()?
                .and_then(|text| time_of_date(&text).ok_or(ValueError::Time))),
            _ => Err(self.malformed(at, "tag 0 stands before text")),
        }
    }

    /// Tag 1: seconds since 1970; a fraction of a second is cut off.
    pub(super) fn seconds(&mut self) -> Result<Datum<'a>, DecodeError> {
        let at = self.at();
        let expected = DataType::Time;
        let seconds = match self.kind()? {
            kind if is_integer(kind) => self.integer()?,
            kind if is_float(kind) => {
                let seconds = self.float()?.floor();
                if !seconds.is_finite() {
                    return Ok(Err(ValueError::Range { expected }));
                }
                // Saturates far outside the 64 bits that are checked next.
                seconds as i128
            }
            _ => return Err(self.malformed(at, "tag 1 stands before a number")),
        };
        Ok(i64::try_from(seconds)
            .map(Scalar::Time)
            .map_err(|_| ValueError::Range { expected }))
    }

    /// Tags 2 and 3: an integer as a byte string. More than 64 bits have no type in LwM2M.
    pub(super) fn bignum(&mut self, negative: bool) -> Result<Datum<'a>, DecodeError> {
        let bytes = self.bytes()?;
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let digits = &bytes[zeros..];
        if digits.len() > size_of::<u64>() {
            let expected = DataType::Integer;
            return Ok(Err(ValueError::Range { expected }));
        }
        let magnitude = digits
            .iter()
            .fold(0, |number: i128, &byte| number << 8 | i128::from(byte));
        Ok(Ok(Scalar::Int(if negative {
            -1 - magnitude
        } else {
            magnitude
        })))
    }

    /// Tags 4 and 5: `[exponent, mantissa]`, mantissa * base^exponent.
    pub(super) fn fraction(&mut self, base: i32) -> Result<Datum<'a>, DecodeError> {
        const SHAPE: &str = "a fraction is [exponent, mantissa]";
        let at = self.at();
        let mut remaining = self.array(SHAPE)?;
        let mut parts = [0; 2];
        for part in &mut parts {
            if !self.another(&mut remaining)? {
                return Err(self.malformed(at, SHAPE));
            }
            *part = self.integer()?;
        }
        if self.another(&mut remaining)? {
            return Err(self.malformed(at, SHAPE));
        }
        let [exponent, mantissa] = parts;
        let number = if base == 10 {
            // The decimal reader rounds correctly where powers of ten would not.
            format!("{mantissa}e{exponent}").parse().unwrap_or(f64::NAN)
        } else {
            scaled(mantissa, exponent)
        };
        if !number.is_finite() {
            let expected = DataType::Float;
            return Ok(Err(ValueError::Range { expected }));
        }
        Ok(Ok(Scalar::Float(number)))
    }
}

fn time_of_date<'a>(text: &str) -> Option<Scalar<'a>> {
    rfc3339::parse(text.trim_end_matches('\0')).map(Scalar::Time)
}

/// mantissa * 2^exponent; the exponent in two halves, so that neither leaves the range alone.
fn scaled(mantissa: i128, exponent: i128) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let exponent = exponent.clamp(-4096, 4096) as f64;
    let half = (exponent / 2.0).trunc();
    mantissa as f64 * half.exp2() * (exponent - half).exp2()
}

#[cfg(test)]
mod tests {
    use super::super::cbor_reader::tests::scalar;
    use super::*;

    #[test]
    fn fractions_become_floats() {
        assert_eq!(
            scalar(&[0xc4, 0x82, 0x20, 0x18, 0xe1]),
            Ok(Ok(Scalar::Float(22.5)))
        );
        assert_eq!(
            scalar(&[0xc5, 0x82, 0x20, 0x18, 0x2d]),
            Ok(Ok(Scalar::Float(22.5)))
        );
        let huge = [0xc4, 0x82, 0x1a, 255, 255, 255, 255, 1];
        assert!(matches!(scalar(&huge), Ok(Err(ValueError::Range { .. }))));
        for shape in [
            &[0xc4, 0x81, 0x20][..],
            &[0xc4, 0x83, 0x20, 1, 1],
            &[0xc4, 0x01],
            &[0xc4, 0x82, 0x20, 0x61, 0x61],
        ] {
            assert!(
                matches!(scalar(shape), Err(DecodeError::Malformed { .. })),
                "{shape:x?}"
            );
        }
    }

    #[test]
    fn times_come_in_every_form() {
        for bytes in [
            &[0xc1, 0x1a, 0x65, 0x53, 0xf1, 0x00][..],
            &[0xc1, 0xfb, 0x41, 0xd9, 0x54, 0xfc, 0x40, 0x20, 0, 0],
            b"\xc0\x742023-11-14T22:13:20Z",
            b"\xc0\x78\x192023-11-14T22:13:20-00:00",
        ] {
            assert_eq!(scalar(bytes), Ok(Ok(Scalar::Time(1_700_000_000))));
        }
        assert_eq!(scalar(b"\xc0\x63now"), Ok(Err(ValueError::Time)));
        // Infinity, and -2^64.
        assert!(matches!(scalar(&[0xc1, 0xf9, 0x7c, 0]), Ok(Err(_))));
        let far = [0xc1, 0x3b, 255, 255, 255, 255, 255, 255, 255, 255];
        assert!(matches!(scalar(&far), Ok(Err(_))));
    }
}
