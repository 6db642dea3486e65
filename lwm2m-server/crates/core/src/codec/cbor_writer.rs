//! Writes CBOR items with definite lengths.

use std::convert::Infallible;

use minicbor::Encoder;
use minicbor::data::Tag;

use crate::Value;

/// Appends CBOR items to a vector.
pub(super) struct Writer<'o> {
    encoder: Encoder<&'o mut Vec<u8>>,
}

impl Writer<'_> {
    pub(super) fn new(out: &mut Vec<u8>) -> Writer<'_> {
        Writer {
            encoder: Encoder::new(out),
        }
    }

    pub(super) fn array(&mut self, items: usize) {
        written(self.encoder.array(items as u64));
    }

    pub(super) fn map(&mut self, pairs: usize) {
        written(self.encoder.map(pairs as u64));
    }

    pub(super) fn integer(&mut self, number: i64) {
        written(self.encoder.i64(number));
    }

    pub(super) fn float(&mut self, number: f64) {
        written(self.encoder.f64(number));
    }

    pub(super) fn text(&mut self, text: &str) {
        written(self.encoder.str(text));
    }

    /// Tag 1 before the seconds.
    pub(super) fn tagged_time(&mut self, seconds: i64) {
        written(self.encoder.tag(Tag::new(1)));
        self.integer(seconds);
    }

    /// A value: a float always as a floating-point item, since several devices decode by the kind
    /// of the item, and a time as a plain number.
    pub(super) fn value(&mut self, value: &Value<'_>) {
        match value {
            Value::String(text) | Value::CoreLink(text) => self.text(text),
            Value::Integer(number) | Value::Time(number) => self.integer(*number),
            Value::Unsigned(number) => written(self.encoder.u64(*number)),
            Value::Float(number) => self.float(*number),
            Value::Boolean(truth) => written(self.encoder.bool(*truth)),
            Value::Opaque(bytes) => written(self.encoder.bytes(bytes)),
            Value::ObjectLink(link) => self.text(&link.to_string()),
            Value::Null => written(self.encoder.null()),
        }
    }
}

fn written<T>(result: Result<T, minicbor::encode::Error<Infallible>>) {
    if let Err(error) = result {
        unreachable!("a vector takes every byte: {error}");
    }
}
