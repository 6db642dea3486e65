//! A few object models and devices for the tests of this module.

use std::sync::Arc;

use lwm2m_core::{
    ContentFormat, DataType, ObjectList, ObjectModel, ObjectModels, ObjectVersion, Operations,
    Path, ResourceModel, Version,
};

use super::DeviceContext;

/// Objects 1, 3, 5, 16 and 3303, cut down; object 1 in the versions 1.0 and 1.1.
pub(super) struct Models;

impl ObjectModels for Models {
    fn object(&self, id: u16, version: Option<ObjectVersion>) -> Option<Arc<ObjectModel>> {
        let minor = version.map_or(u16::MAX, |version| version.minor);
        let model = match id {
            1 if minor == 0 => object(1, true, SERVER),
            1 => {
                let resources: Vec<Line> = [SERVER, SERVER_1_1].concat();
                object(1, true, &resources)
            }
            3 => object(3, false, DEVICE),
            5 => object(5, false, FIRMWARE),
            16 => object(16, true, PORTFOLIO),
            3303 => object(3303, true, TEMPERATURE),
            _ => return None,
        };
        Some(Arc::new(model))
    }
}

type Line = (u16, &'static str, &'static str, bool, Option<DataType>);

const SERVER: &[Line] = &[
    (0, "Short Server ID", "R", false, Some(DataType::Integer)),
    (1, "Lifetime", "RW", false, Some(DataType::Integer)),
    (
        2,
        "Default Min Period",
        "RW",
        false,
        Some(DataType::Integer),
    ),
    (
        3,
        "Default Max Period",
        "RW",
        false,
        Some(DataType::Integer),
    ),
    (4, "Disable", "E", false, None),
    (
        6,
        "Notification Storing",
        "RW",
        false,
        Some(DataType::Boolean),
    ),
    (7, "Binding", "RW", false, Some(DataType::String)),
    (8, "Registration Update Trigger", "E", false, None),
];
const SERVER_1_1: &[Line] = &[
    (
        13,
        "Registration Priority Order",
        "",
        false,
        Some(DataType::Unsigned),
    ),
    (23, "Mute Send", "RW", false, Some(DataType::Boolean)),
];
const DEVICE: &[Line] = &[
    (0, "Manufacturer", "R", false, Some(DataType::String)),
    (4, "Reboot", "E", false, None),
    (
        6,
        "Available Power Sources",
        "R",
        true,
        Some(DataType::Integer),
    ),
    (
        7,
        "Power Source Voltage",
        "R",
        true,
        Some(DataType::Integer),
    ),
    (9, "Battery Level", "R", false, Some(DataType::Integer)),
    (13, "Current Time", "RW", false, Some(DataType::Time)),
    (14, "UTC Offset", "RW", false, Some(DataType::String)),
];
const FIRMWARE: &[Line] = &[
    (0, "Package", "W", false, Some(DataType::Opaque)),
    (1, "Package URI", "RW", false, Some(DataType::String)),
    (2, "Update", "E", false, None),
];
const PORTFOLIO: &[Line] = &[(0, "Identity", "RW", true, Some(DataType::String))];
const TEMPERATURE: &[Line] = &[(5700, "Sensor Value", "R", false, Some(DataType::Float))];

fn object(id: u16, multiple: bool, lines: &[Line]) -> ObjectModel {
    let resource = |line: &Line| ResourceModel {
        id: line.0,
        name: line.1.into(),
        description: "".into(),
        operations: Operations {
            read: line.2.contains('R'),
            write: line.2.contains('W'),
            execute: line.2.contains('E'),
        },
        multiple: line.3,
        mandatory: false,
        data_type: line.4,
        range: "".into(),
        units: "".into(),
    };
    ObjectModel {
        id,
        version: ObjectVersion::V1_0,
        name: "".into(),
        description: "".into(),
        multiple,
        mandatory: id == 1 || id == 3,
        resources: lines.iter().map(resource).collect(),
    }
}

/// An object list with `/1/0`, `/3/0`, `/5`, `/16/0`, `/3303/0` and these formats.
pub(super) fn objects(formats: &[ContentFormat]) -> ObjectList {
    ObjectList {
        content_formats: formats.to_vec(),
        paths: vec![
            Path::object(1),
            Path::instance(1, 0),
            Path::instance(3, 0),
            Path::object(5),
            Path::instance(16, 0),
            Path::instance(3303, 0),
        ],
        ..ObjectList::default()
    }
}

pub(super) fn device<'a>(
    version: Version,
    objects: &'a ObjectList,
    models: &'a Models,
) -> DeviceContext<'a> {
    DeviceContext {
        version,
        objects,
        models,
        definition: None,
    }
}

/// The bytes of a hex string.
pub(super) fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}
