//! Object 16, Portfolio.

use lwm2m_core::DataType;

use crate::{Definition, ResourceValue, SimpleObject, Store};

const DEFINITIONS: [Definition; 4] = [
    Definition::read_write(0, DataType::String)
        .multiple()
        .mandatory(),
    Definition::execute(1),
    Definition::read(2, DataType::Opaque).multiple(),
    Definition::read(3, DataType::Integer),
];

/// Object 16: four identities in a multiple-instance resource, as conformance set C.12 asks.
pub fn portfolio() -> SimpleObject {
    let identities = [
        (0, "Host Device ID #1"),
        (1, "Host Device Manufacturer #1"),
        (2, "Host Device Model #1"),
        (3, "Host Device Software Version #1"),
    ];
    let store = Store::new(16, &DEFINITIONS[..])
        .with_instance(0, [(0, ResourceValue::multiple(identities))]);
    SimpleObject::new(store)
}
