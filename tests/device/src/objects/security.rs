//! Object 0, LwM2M Security: closed to servers.

use std::net::SocketAddr;

use lwm2m_core::{DataType, ObjectVersion, Value, Version};
use lwm2m_dtls::ClientCredentials;

use crate::{Definition, DtlsAccount, SimpleObject, Store};

const URI: u16 = 0;
const MODE: u16 = 2;
const IDENTITY: u16 = 3;
const SERVER_KEY: u16 = 4;
const SHORT_SERVER_ID: u16 = 10;

const DEFINITIONS: [Definition; 6] = [
    Definition::hidden(URI, DataType::String).mandatory(),
    Definition::hidden(1, DataType::Boolean).mandatory(),
    Definition::hidden(MODE, DataType::Integer).mandatory(),
    Definition::hidden(IDENTITY, DataType::Opaque),
    Definition::hidden(SERVER_KEY, DataType::Opaque),
    Definition::hidden(SHORT_SERVER_ID, DataType::Integer),
];

/// Object 0 with the account of one server in instance 0.
///
/// The secret key (`/0/x/5`) is not among the values: it stays with the account, which clears it
/// from memory.
pub fn security(
    version: Version,
    server: SocketAddr,
    account: Option<&DtlsAccount>,
    short_server_id: u16,
) -> SimpleObject {
    let credentials = account.map(DtlsAccount::credentials);
    let (mode, identity, server_key) = match credentials {
        Some(ClientCredentials::Psk { identity, .. }) => (0, identity.to_vec(), Vec::new()),
        Some(ClientCredentials::RawPublicKey { key, server }) => {
            let own = key.public_key().as_spki().to_vec();
            (1, own, server.as_spki().to_vec())
        }
        Some(ClientCredentials::X509 { own, server }) => {
            let leaf = own
                .as_ref()
                .map(|(chain, _)| chain.leaf().as_der().to_vec());
            (2, leaf.unwrap_or_default(), server.certificate.to_vec())
        }
        _ => (3, Vec::new(), Vec::new()),
    };
    let scheme = if account.is_some() { "coaps" } else { "coap" };
    let uri = format!("{scheme}://{server}");
    instance(version, uri, (mode, identity, server_key), short_server_id)
}

/// The same for a server that is connected to (binding T): with the identity of a pre-shared key,
/// over TLS.
pub(crate) fn security_over_tcp(
    version: Version,
    server: SocketAddr,
    identity: Option<&[u8]>,
    short_server_id: u16,
) -> SimpleObject {
    let (scheme, mode) = match identity {
        Some(_) => ("coaps+tcp", 0),
        None => ("coap+tcp", 3),
    };
    let identity = identity.unwrap_or_default().to_vec();
    let uri = format!("{scheme}://{server}");
    instance(version, uri, (mode, identity, Vec::new()), short_server_id)
}

fn instance(
    version: Version,
    uri: String,
    (mode, identity, server_key): (i64, Vec<u8>, Vec<u8>),
    short_server_id: u16,
) -> SimpleObject {
    let minor = match version {
        Version::V1_0 => 0,
        Version::V1_1 => 1,
        Version::V1_2 => 2,
    };
    let store = Store::new(0, &DEFINITIONS[..])
        .version(ObjectVersion { major: 1, minor })
        .with_instance(
            0,
            [
                (URI, Value::from(uri)),
                (1, Value::Boolean(false)),
                (MODE, Value::Integer(mode)),
                (IDENTITY, Value::from(identity)),
                (SERVER_KEY, Value::from(server_key)),
                (SHORT_SERVER_ID, Value::Integer(i64::from(short_server_id))),
            ],
        );
    SimpleObject::new(store)
}
