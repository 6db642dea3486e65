//! Registrations as JSON.

use lwm2m_core::ObjectList;
use lwm2m_server::{Binding, PeerIdentity, Registration};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::naming::Naming;
use crate::time::rfc3339;

/// A registration, without its objects.
#[derive(Debug, Serialize)]
pub(crate) struct Client {
    endpoint: String,
    version: &'static str,
    lifetime_s: u32,
    binding: String,
    queue_mode: bool,
    awake: bool,
    address: String,
    identity: Identity,
    #[serde(skip_serializing_if = "Option::is_none")]
    sms: Option<String>,
    registered_at: String,
    updated_at: String,
    annotations: Map<String, Json>,
}

/// Who a device has proven to be.
#[derive(Debug, Serialize)]
pub(crate) struct Identity {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

impl Identity {
    pub(crate) fn new(identity: &PeerIdentity) -> Identity {
        Identity {
            mode: identity.mode(),
            name: identity.name(),
        }
    }
}

/// A registration with its objects.
#[derive(Debug, Serialize)]
pub(crate) struct ClientDetail {
    #[serde(flatten)]
    client: Client,
    #[serde(skip_serializing_if = "String::is_empty")]
    alternate_path: String,
    formats: Vec<&'static str>,
    objects: Vec<Object>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Object {
    id: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    version: String,
    instances: Vec<u16>,
}

impl Client {
    pub(crate) fn new(registration: &Registration) -> Client {
        let annotation =
            |(key, value): &(String, String)| (key.clone(), Json::from(value.as_str()));
        Client {
            endpoint: registration.endpoint.to_string(),
            version: registration.version.as_str(),
            lifetime_s: registration.lifetime_s,
            binding: letters(&registration.binding),
            queue_mode: registration.binding.queue,
            awake: registration.awake,
            address: registration.peer.to_string(),
            identity: Identity::new(&registration.identity),
            sms: registration.sms.as_deref().map(str::to_owned),
            registered_at: rfc3339(registration.registered_at),
            updated_at: rfc3339(registration.updated_at),
            annotations: registration.annotations.iter().map(annotation).collect(),
        }
    }
}

impl ClientDetail {
    pub(crate) fn new(registration: &Registration, naming: &Naming<'_>) -> ClientDetail {
        let list = &registration.objects;
        let object = |id: u16| Object {
            id,
            name: naming
                .object(id)
                .map(|model| model.name.to_string())
                .unwrap_or_default(),
            version: registration.object_version(id).to_string(),
            instances: list.instances(id).collect(),
        };
        ClientDetail {
            client: Client::new(registration),
            alternate_path: list.alternate_path.clone(),
            formats: list
                .content_formats
                .iter()
                .map(|format| format.name())
                .collect(),
            objects: object_ids(list).into_iter().map(object).collect(),
            ignored: list.ignored.clone(),
        }
    }
}

/// The objects of a list, each once. The list is sorted.
fn object_ids(list: &ObjectList) -> Vec<u16> {
    let mut ids: Vec<u16> = list
        .paths
        .iter()
        .filter_map(lwm2m_core::Path::object_id)
        .collect();
    ids.dedup();
    ids
}

fn letters(binding: &Binding) -> String {
    [
        (binding.udp, 'U'),
        (binding.tcp, 'T'),
        (binding.sms, 'S'),
        (binding.non_ip, 'N'),
        (binding.mqtt, 'M'),
        (binding.http, 'H'),
        (binding.queue, 'Q'),
    ]
    .into_iter()
    .filter_map(|(given, letter)| given.then_some(letter))
    .collect()
}
