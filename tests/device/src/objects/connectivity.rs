//! Object 4, Connectivity Monitoring.

use lwm2m_core::{DataType, ObjectVersion, Value, Version};

use crate::{Definition, ResourceValue, SimpleObject, Store};

const DEFINITIONS: [Definition; 14] = [
    Definition::read(0, DataType::Integer).mandatory(),
    Definition::read(1, DataType::Integer)
        .multiple()
        .mandatory(),
    Definition::read(2, DataType::Integer).mandatory(),
    Definition::read(3, DataType::Integer),
    Definition::read(4, DataType::String).multiple().mandatory(),
    Definition::read(5, DataType::String).multiple(),
    Definition::read(6, DataType::Integer),
    Definition::read(7, DataType::String).multiple(),
    Definition::read(8, DataType::Integer),
    Definition::read(9, DataType::Integer),
    Definition::read(10, DataType::Integer),
    Definition::read(11, DataType::Integer),
    Definition::read(12, DataType::Integer),
    Definition::read(13, DataType::Integer),
];

/// Object 4: the network as a device sees it.
pub fn connectivity_monitoring(version: Version) -> SimpleObject {
    let minor = match version {
        Version::V1_0 => 0,
        Version::V1_1 => 2,
        Version::V1_2 => 3,
    };
    let store = Store::new(4, &DEFINITIONS[..])
        .single()
        .version(ObjectVersion { major: 1, minor })
        .with_instance(
            0,
            [
                (0, Value::Integer(6)),
                (2, Value::Integer(-71)),
                (3, Value::Integer(80)),
                (8, Value::Integer(11_203_585)),
                (9, Value::Integer(1)),
                (10, Value::Integer(262)),
            ],
        )
        .with_values(
            0,
            [
                (1, ResourceValue::multiple([(0, 6), (1, 7)])),
                (4, ResourceValue::multiple([(0, "192.0.2.17")])),
                (5, ResourceValue::multiple([(0, "192.0.2.1")])),
                (7, ResourceValue::multiple([(0, "internet")])),
            ],
        );
    SimpleObject::new(store)
}
