//! What only a bootstrap server writes: object 0 with all its keys, object 2 and object 21.

use lwm2m_core::{DataType, ObjectVersion, Value, Version};
use lwm2m_dtls::ClientCredentials;

use crate::{BootstrapAccount, Definition, DtlsAccount, SimpleObject, Store};

const SECURITY: [Definition; 12] = [
    Definition::hidden(0, DataType::String).mandatory(),
    Definition::hidden(1, DataType::Boolean).mandatory(),
    Definition::hidden(2, DataType::Integer).mandatory(),
    Definition::hidden(3, DataType::Opaque),
    Definition::hidden(4, DataType::Opaque),
    Definition::hidden(5, DataType::Opaque),
    Definition::hidden(10, DataType::Integer),
    Definition::hidden(11, DataType::Integer),
    Definition::hidden(13, DataType::Unsigned),
    Definition::hidden(14, DataType::String),
    Definition::hidden(15, DataType::Unsigned),
    Definition::hidden(17, DataType::ObjectLink),
];

const ACCESS_CONTROL: [Definition; 4] = [
    Definition::read(0, DataType::Integer).mandatory(),
    Definition::read(1, DataType::Integer).mandatory(),
    Definition::read_write(2, DataType::Integer).multiple(),
    Definition::read_write(3, DataType::Integer).mandatory(),
];

/// Object 0 with the account of the bootstrap server and no other. Its keys are not among the
/// values: they stay with the account.
pub(crate) fn security(version: Version, account: &BootstrapAccount) -> SimpleObject {
    let mode = match account.dtls.as_ref().map(DtlsAccount::credentials) {
        Some(ClientCredentials::Psk { .. }) => 0,
        Some(ClientCredentials::RawPublicKey { .. }) => 1,
        Some(_) => 2,
        None => 3,
    };
    let scheme = if mode == 3 { "coap" } else { "coaps" };
    let values = [
        (0, Value::from(format!("{scheme}://{}", account.server))),
        (1, Value::Boolean(true)),
        (2, Value::Integer(mode)),
    ];
    let store = Store::new(0, &SECURITY[..]).version(ObjectVersion {
        major: 1,
        minor: minor(version),
    });
    SimpleObject::new(store.with_instance(account.instance, values))
}

/// Object 2 without instances.
pub(crate) fn access_control() -> SimpleObject {
    SimpleObject::new(Store::new(2, &ACCESS_CONTROL[..]))
}

/// Object 21, with an instance for the bootstrap server where that has OSCORE.
pub(crate) fn oscore(version: Version, account: &BootstrapAccount) -> SimpleObject {
    // Until 1.1 secrets and identifiers were strings.
    let (major, bytes) = match version {
        Version::V1_2 => (2, DataType::Opaque),
        _ => (1, DataType::String),
    };
    let definitions = vec![
        Definition::hidden(0, bytes).mandatory(),
        Definition::hidden(1, bytes).mandatory(),
        Definition::hidden(2, bytes).mandatory(),
        Definition::hidden(3, DataType::Integer),
        Definition::hidden(4, DataType::Integer),
        Definition::hidden(5, bytes),
        Definition::hidden(6, bytes),
    ];
    let mut store = Store::new(21, definitions).version(ObjectVersion { major, minor: 0 });
    if account.oscore.is_some() {
        store = store.with_instance(account.instance, [] as [(u16, Value<'static>); 0]);
    }
    SimpleObject::new(store)
}

fn minor(version: Version) -> u16 {
    match version {
        Version::V1_0 => 0,
        Version::V1_1 => 1,
        Version::V1_2 => 2,
    }
}
