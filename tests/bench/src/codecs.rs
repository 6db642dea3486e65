//! Payloads, object lists and object models: what a request costs above CoAP.

use std::hint::black_box;

use anyhow::Context;
use lwm2m_core::codec::{self, Scope};
use lwm2m_core::{
    ContentFormat, ObjectList, ObjectModel, ObjectModels, ObjectVersion, Path, Record,
    ResourceTypes, Value,
};
use lwm2m_registry::Registry;

use crate::coap_parse::object_links;
use crate::report::{Cell, Report};
use crate::timing::{COUNTING, Rounds, measure};

const FORMATS: [ContentFormat; 4] = [
    ContentFormat::Tlv,
    ContentFormat::SenmlCbor,
    ContentFormat::SenmlJson,
    ContentFormat::Lwm2mCbor,
];

/// Measures all operations.
pub(crate) fn run(rounds: &Rounds) -> anyhow::Result<Report> {
    let columns: &[_] = if COUNTING {
        &["operation", "bytes", "allocations"]
    } else {
        &["operation", "bytes", "ns", "median_ns"]
    };
    let mut report = Report::new("Payloads, object lists and object models", columns);
    let mut add = |name: String, bytes: usize, figures: Vec<Cell>| {
        let mut row = vec![Cell::Text(name), Cell::Number(bytes as f64, 0)];
        row.extend(figures);
        report.row(row);
    };
    let registry = Registry::embedded();
    let device = registry.object(3, None).context("no Device object")?;
    let temperature = registry
        .object(3303, None)
        .context("no Temperature object")?;

    let (instance, records) = device_instance();
    for format in FORMATS {
        let (payload, figures) = encoding(rounds, format, instance, &records, &device)?;
        add(format!("encode /3/0, {format}"), payload.len(), figures);
        let figures = decoding(rounds, format, instance, &payload, &device)?;
        add(format!("decode /3/0, {format}"), payload.len(), figures);
    }
    let value = Path::resource(3303, 0, 5700);
    let measured = [Record::new(value, Value::Float(22.5))];
    for format in FORMATS
        .into_iter()
        .chain([ContentFormat::Text, ContentFormat::Cbor])
    {
        let (payload, _) = encoding(rounds, format, value, &measured, &temperature)?;
        let figures = decoding(rounds, format, value, &payload, &temperature)?;
        add(format!("decode {value}, {format}"), payload.len(), figures);
    }

    let links = object_links();
    let links = links.as_bytes();
    ObjectList::parse(links)?;
    let figures = measure(rounds, || {
        _ = black_box(ObjectList::parse(black_box(links)))
    });
    add("object list, 20 links".to_owned(), links.len(), figures);
    let text = "/3303/0/5700";
    let figures = measure(rounds, || _ = black_box(black_box(text).parse::<Path>()));
    add("path from text".to_owned(), text.len(), figures);
    let version = Some(ObjectVersion { major: 1, minor: 1 });
    let figures = measure(rounds, || {
        _ = black_box(registry.object(black_box(3), version))
    });
    add("object model from the registry".to_owned(), 0, figures);
    let figures = measure(rounds, || {
        _ = black_box(device.resource_type(3, black_box(9)))
    });
    add("type of a resource".to_owned(), 0, figures);
    Ok(report)
}

fn encoding(
    rounds: &Rounds,
    format: ContentFormat,
    path: Path,
    records: &[Record<'_>],
    model: &ObjectModel,
) -> anyhow::Result<(Vec<u8>, Vec<Cell>)> {
    let mut out = Vec::new();
    let scope = Scope::from(path);
    codec::encode(format, scope, records, model, &mut out)?;
    let payload = out.clone();
    let figures = measure(rounds, || {
        out.clear();
        _ = black_box(codec::encode(
            format,
            scope,
            black_box(records),
            model,
            &mut out,
        ));
    });
    Ok((payload, figures))
}

fn decoding(
    rounds: &Rounds,
    format: ContentFormat,
    path: Path,
    payload: &[u8],
    model: &ObjectModel,
) -> anyhow::Result<Vec<Cell>> {
    let scope = Scope::from(path);
    codec::decode(format, scope, payload, model)?.strict()?;
    Ok(measure(rounds, || {
        _ = black_box(codec::decode(format, scope, black_box(payload), model));
    }))
}

/// What a Read of the Device object answers.
fn device_instance() -> (Path, Vec<Record<'static>>) {
    let text = |text: &'static str| Value::String(text.into());
    let resources = [
        (0, text("Open Mobile Alliance")),
        (1, text("Lightweight M2M Client")),
        (2, text("345000123")),
        (3, text("1.0")),
        (9, Value::Integer(100)),
        (10, Value::Integer(15)),
        (13, Value::Time(1_367_491_215)),
        (14, text("+02:00")),
        (16, text("U")),
    ];
    let mut records: Vec<_> = resources
        .into_iter()
        .map(|(resource, value)| Record::new(Path::resource(3, 0, resource), value))
        .collect();
    let instances = [
        (6, 0, 1),
        (6, 1, 5),
        (7, 0, 3800),
        (7, 1, 5000),
        (8, 0, 125),
        (8, 1, 900),
        (11, 0, 0),
    ];
    records.extend(instances.map(|(resource, instance, value)| {
        let path = Path::resource_instance(3, 0, resource, instance);
        Record::new(path, Value::Integer(value))
    }));
    records.sort_by_key(|record| record.path);
    (Path::instance(3, 0), records)
}
