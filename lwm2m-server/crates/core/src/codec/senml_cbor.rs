//! SenML CBOR (112) and SenML-ETCH CBOR (322): SenML with numbers for labels (RFC 8428 §6).

use super::cbor_reader::{Key, Reader};
use super::cbor_writer::Writer;
use super::senml::{Namer, Names, Pack, Values, absolute_name, value_to_write};
use super::senml_fields::{Fields, Label, Refusal, UnknownLabel};
use super::{DecodeError, Decoded, EncodeError, Scope, source};
use crate::{ContentFormat, Path, Record, ResourceTypes};

/// How deep the value of a label lies: in a map in an array.
const VALUE_DEPTH: usize = 3;

pub(super) fn decode<'a>(
    scope: Scope<'_>,
    payload: &'a [u8],
    types: &dyn ResourceTypes,
    pack: Pack,
) -> Result<Decoded<'a>, DecodeError> {
    let format = format(pack);
    let mut values = Values::new(format, scope, types, pack);
    read(format, payload, |fields| values.record(fields))?;
    Ok(values.finish())
}

pub(super) fn decode_paths(
    prefix: &str,
    payload: &[u8],
    pack: Pack,
) -> Result<Vec<Path>, DecodeError> {
    let format = format(pack);
    let mut names = Names::new(format, prefix);
    read(format, payload, |fields| names.record(fields))?;
    Ok(names.finish())
}

pub(super) fn encode(
    scope: Scope<'_>,
    records: &[Record<'_>],
    types: &dyn ResourceTypes,
    pack: Pack,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    source::check(scope, records)?;
    let mut namer = Namer::new(scope.prefix);
    let mut writer = Writer::new(out);
    writer.array(records.len());
    for record in records {
        let value = value_to_write(format(pack), pack, record, types)?;
        let time = record.time.filter(|&time| time != 0.0);
        let (base_name, name) = namer.next(&record.path);
        let optional = [base_name.is_some(), time.is_some()];
        writer.map(2 + optional.into_iter().filter(|&given| given).count());
        if let Some(base_name) = base_name {
            write_label(&mut writer, Label::BaseName);
            writer.text(base_name);
        }
        write_label(&mut writer, Label::Name);
        writer.text(name);
        if let Some(time) = time {
            write_label(&mut writer, Label::Time);
            write_time(&mut writer, time);
        }
        write_label(&mut writer, Label::of(&value));
        writer.value(&value);
    }
    Ok(())
}

pub(super) fn encode_paths(prefix: &str, paths: &[Path], out: &mut Vec<u8>) {
    let mut writer = Writer::new(out);
    writer.array(paths.len());
    for path in paths {
        writer.map(1);
        write_label(&mut writer, Label::Name);
        writer.text(&absolute_name(prefix, path));
    }
}

fn format(pack: Pack) -> ContentFormat {
    match pack {
        Pack::Plain => ContentFormat::SenmlCbor,
        Pack::Etch => ContentFormat::SenmlEtchCbor,
    }
}

/// Reads the records of a pack and gives them to `take` one by one.
fn read<'a>(
    format: ContentFormat,
    payload: &'a [u8],
    mut take: impl FnMut(Fields<'a>) -> Result<(), Refusal>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(format, payload);
    let mut records = reader.array("a pack is an array of records")?;
    while reader.another(&mut records)? {
        let at = reader.at();
        let fields = read_record(format, &mut reader)?;
        take(fields).map_err(|refusal| refusal.at(format, at))?;
    }
    reader.finish()
}

fn read_record<'a>(
    format: ContentFormat,
    reader: &mut Reader<'a>,
) -> Result<Fields<'a>, DecodeError> {
    let mut fields = Fields::default();
    let mut labels = reader.map("a record is a map")?;
    while reader.another(&mut labels)? {
        let at = reader.at();
        let (label, unknown) = match reader.key()? {
            Key::Number(number) => (Label::from_number(number), UnknownLabel::Number(number)),
            Key::Text(text) => (Label::from_text(&text), UnknownLabel::Text(text)),
        };
        let taken = match label {
            Some(label) => fields.set(label, reader.scalar()?),
            None => {
                let passed = fields.pass_over(unknown);
                reader.skip(VALUE_DEPTH)?;
                passed
            }
        };
        taken.map_err(|refusal| refusal.at(format, at))?;
    }
    Ok(fields)
}

fn write_label(writer: &mut Writer<'_>, label: Label) {
    match label.number() {
        Some(number) => writer.integer(i64::from(number)),
        None => writer.text(label.name()),
    }
}

/// Whole seconds as an integer, which is shorter and all that some devices read.
fn write_time(writer: &mut Writer<'_>, time: f64) {
    // Saturates outside the range, and then differs.
    let whole = time as i64;
    if whole as f64 == time && whole != i64::MAX {
        writer.integer(whole);
    } else {
        writer.float(time);
    }
}
