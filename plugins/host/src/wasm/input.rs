//! From the types of the server to those of the contract.

use std::fmt::{Display, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use lwm2m_core::{ObjectList, ObjectVersion, Path, Record, Value, Version};
use lwm2m_server::hooks::{
    Batch, BatchSource, CredentialRequest, EndReason, FirmwareEvent, FirmwareJob, FirmwareResult,
    ObserveFailure, Update,
};
use lwm2m_server::{Binding, PeerIdentity, Registration, RegistrationId};

use super::bindings::exports::lwm2m::plugin::{
    credentials, devices, firmware_driver, observe, telemetry,
};
use super::bindings::lwm2m::plugin::types as wit;

/// Below this many seconds a time of SenML is relative to the reception (RFC 8428 §4.5.3).
pub(super) const RELATIVE_BELOW_S: f64 = 268_435_456.0;

/// In a link, the object alone; no instance has this number (Core 1.2.2 §7.2).
const NO_INSTANCE: u16 = u16::MAX;

/// A registration that says nothing yet.
pub(super) fn blank() -> wit::Registration {
    wit::Registration {
        id: String::new(),
        endpoint: String::new(),
        version: wit::Lwm2mVersion::V10,
        lifetime_s: 0,
        binding: wit::Binding::empty(),
        sms_number: None,
        address: String::new(),
        identity: wit::Identity::Anonymous,
        root: String::new(),
        links: Vec::new(),
        object_versions: Vec::new(),
        annotations: Vec::new(),
        registered_at_ms: 0,
        updated_at_ms: 0,
        awake: false,
    }
}

pub(super) fn registration(registration: &Registration) -> wit::Registration {
    let mut new = blank();
    fill(&mut new, registration);
    new
}

/// Puts a registration in the place of another one, and in the memory that it has.
pub(super) fn fill(place: &mut wit::Registration, registration: &Registration) {
    let objects = &registration.objects;
    place.id.clear();
    if registration.id != RegistrationId(0) {
        write(&mut place.id, registration.id);
    }
    rewrite(&mut place.endpoint, registration.endpoint.as_str());
    place.version = match registration.version {
        Version::V1_0 => wit::Lwm2mVersion::V10,
        Version::V1_1 => wit::Lwm2mVersion::V11,
        _ => wit::Lwm2mVersion::V12,
    };
    place.lifetime_s = registration.lifetime_s;
    place.binding = binding(registration.binding);
    place.sms_number = registration.sms.as_deref().map(str::to_owned);
    place.address.clear();
    write(&mut place.address, registration.peer);
    place.identity = identity(&registration.identity);
    rewrite(&mut place.root, &objects.alternate_path);
    place.links.clear();
    place.links.extend(objects.paths.iter().map(link));
    place.object_versions.clear();
    let versions = objects.versions.iter().map(object_version);
    place.object_versions.extend(versions);
    place.annotations.clear();
    let annotations = registration.annotations.iter().map(attribute);
    place.annotations.extend(annotations);
    place.registered_at_ms = unix_ms(registration.registered_at);
    place.updated_at_ms = unix_ms(registration.updated_at);
    place.awake = registration.awake;
}

fn rewrite(place: &mut String, text: &str) {
    place.clear();
    place.push_str(text);
}

fn write(place: &mut String, what: impl Display) {
    // A string takes whatever is written to it.
    let _ = write!(place, "{what}");
}

pub(super) fn update(update: &Update) -> wit::Update {
    wit::Update {
        lifetime_changed: update.lifetime_changed,
        binding_changed: update.binding_changed,
        address_changed: update.address_changed,
        previous_links: update.previous_objects.as_deref().map(links),
    }
}

pub(super) fn end_reason(reason: EndReason) -> devices::EndReason {
    match reason {
        EndReason::Deregistered => devices::EndReason::Deregistered,
        EndReason::LifetimeExpired => devices::EndReason::LifetimeExpired,
        EndReason::Replaced => devices::EndReason::Replaced,
        // The contract has no other word: the server has ended it.
        _ => devices::EndReason::RemovedByOperator,
    }
}

pub(super) fn credential_request(request: &CredentialRequest) -> credentials::Request {
    credentials::Request {
        presented: identity(&request.presented),
        scheme: request.scheme.map(str::to_owned),
        address: request.peer.map(|peer| peer.to_string()),
    }
}

pub(super) fn observe_failure(failure: ObserveFailure) -> observe::Failure {
    match failure {
        ObserveFailure::NotFound => observe::Failure::NotFound,
        ObserveFailure::NotAllowed => observe::Failure::NotAllowed,
        ObserveFailure::Timeout => observe::Failure::Timeout,
        ObserveFailure::UnsupportedFormat => observe::Failure::UnsupportedFormat,
        _ => observe::Failure::Other,
    }
}

pub(super) fn batch(batch: &Batch) -> telemetry::Batch {
    telemetry::Batch {
        endpoint: batch.endpoint.as_str().to_owned(),
        registration_id: batch.registration.to_string(),
        source: match batch.source {
            BatchSource::Notification => telemetry::Source::Notification,
            BatchSource::Send => telemetry::Source::Send,
            _ => telemetry::Source::Read,
        },
        path: (!batch.path.is_root()).then(|| path(&batch.path)),
        received_ms: unix_ms(batch.received),
        annotations: attributes(&batch.annotations),
        measurements: measurements(&batch.records, batch.received),
    }
}

pub(super) fn job(job: &FirmwareJob) -> wit::Job {
    let image = &job.image;
    wit::Job {
        id: job.id.clone(),
        attempt: job.attempt,
        target: registration(&job.target),
        image: wit::Image {
            id: image.id.clone(),
            name: image.name.clone(),
            version: image.version.clone(),
            size: image.size,
            sha256: image.sha256.to_vec(),
            uris: image.uris.clone(),
        },
    }
}

/// `received` is now: values without a time of their own have this one.
pub(super) fn firmware_event(
    event: &FirmwareEvent,
    received: SystemTime,
) -> firmware_driver::Event {
    use firmware_driver::Event;
    match event {
        FirmwareEvent::Started => Event::Started,
        FirmwareEvent::Done(results) => {
            let result = |result| action_result(result, received);
            Event::Done(results.iter().map(result).collect())
        }
        FirmwareEvent::Notified(records) => Event::Notified(measurements(records, received)),
        FirmwareEvent::Timer => Event::Timer,
        FirmwareEvent::Reregistered => Event::Reregistered,
        FirmwareEvent::Cancelled => Event::Cancelled,
        // After something that this contract has no word for, it looks for itself how things stand.
        _ => Event::Resumed,
    }
}

fn action_result(result: &FirmwareResult, received: SystemTime) -> firmware_driver::ActionResult {
    use firmware_driver::ActionResult;
    match result {
        FirmwareResult::Ok => ActionResult::Ok,
        FirmwareResult::Values(records) => ActionResult::Values(measurements(records, received)),
        FirmwareResult::Failed(why) => ActionResult::Failed(why.clone()),
        other => ActionResult::Failed(format!("{other:?}")),
    }
}

pub(super) fn identity(identity: &PeerIdentity) -> wit::Identity {
    match identity {
        PeerIdentity::Psk(psk) => wit::Identity::Psk(wit::PskIdentity {
            name: String::from_utf8_lossy(&psk.identity).into_owned(),
            bytes: psk.identity.to_vec(),
            server_name: psk.server_name.as_deref().map(str::to_owned),
        }),
        PeerIdentity::Rpk(rpk) => wit::Identity::Rpk(wit::RpkIdentity {
            spki: rpk.spki.to_vec(),
            sha256: rpk.sha256.to_vec(),
        }),
        PeerIdentity::X509(x509) => wit::Identity::X509(wit::X509Identity {
            common_name: x509.common_name.clone(),
            alternative_names: x509.alternative_names.clone(),
            serial: x509.serial.clone(),
            fingerprint: x509.fingerprint.to_vec(),
            spki_sha256: x509.spki_sha256.to_vec(),
        }),
        PeerIdentity::Oscore(oscore) => wit::Identity::Oscore(wit::OscoreIdentity {
            sender_id: oscore.sender_id.to_vec(),
            id_context: oscore.id_context.as_deref().map(<[u8]>::to_vec),
        }),
        _ => wit::Identity::Anonymous,
    }
}

fn binding(binding: Binding) -> wit::Binding {
    [
        (binding.udp, wit::Binding::UDP),
        (binding.mqtt, wit::Binding::MQTT),
        (binding.sms, wit::Binding::SMS),
        (binding.tcp, wit::Binding::TCP),
        (binding.non_ip, wit::Binding::NON_IP),
        (binding.http, wit::Binding::HTTP),
        (binding.queue, wit::Binding::QUEUE_MODE),
    ]
    .into_iter()
    .filter(|(has, _)| *has)
    .fold(wit::Binding::empty(), |all, (_, one)| all | one)
}

fn links(objects: &ObjectList) -> Vec<wit::Link> {
    objects.paths.iter().map(link).collect()
}

fn link(path: &Path) -> wit::Link {
    let object = path.object_id().unwrap_or_default();
    let instance = path.instance_id().unwrap_or(NO_INSTANCE);
    u32::from(object) << 16 | u32::from(instance)
}

fn object_version((object, version): &(u16, ObjectVersion)) -> wit::ObjectVersion {
    wit::ObjectVersion {
        object: *object,
        major: version.major,
        minor: version.minor,
    }
}

pub(super) fn attributes(facts: &[(String, String)]) -> Vec<wit::Attribute> {
    facts.iter().map(attribute).collect()
}

fn attribute((name, value): &(String, String)) -> wit::Attribute {
    wit::Attribute {
        name: name.clone(),
        value: value.clone(),
    }
}

/// `/` has no form in the contract, and becomes `/0`; callers leave it out.
pub(super) fn path(path: &Path) -> wit::Path {
    wit::Path {
        object: path.object_id().unwrap_or_default(),
        instance: path.instance_id(),
        resource: path.resource_id(),
        resource_instance: path.resource_instance_id(),
    }
}

pub(super) fn measurements(
    records: &[Record<'static>],
    received: SystemTime,
) -> Vec<wit::Measurement> {
    let received_ms = unix_ms(received);
    let measurement = |record: &Record<'static>| wit::Measurement {
        path: path(&record.path),
        time_ms: record.time.map(|time| match time {
            time if time >= RELATIVE_BELOW_S => (time * 1_000.0) as u64,
            time => (received_ms as f64 + time * 1_000.0) as u64,
        }),
        value: value(&record.value),
    };
    records.iter().map(measurement).collect()
}

pub(super) fn value(value: &Value<'_>) -> wit::Value {
    match value {
        Value::String(text) => wit::Value::Text(text.clone().into_owned()),
        Value::Integer(number) => wit::Value::Integer(*number),
        Value::Unsigned(number) => wit::Value::Unsigned(*number),
        Value::Float(number) => wit::Value::Float(*number),
        Value::Boolean(truth) => wit::Value::Boolean(*truth),
        Value::Opaque(bytes) => wit::Value::Opaque(bytes.clone().into_owned()),
        Value::Time(seconds) => wit::Value::Time(*seconds),
        Value::ObjectLink(link) => wit::Value::ObjectLink(wit::ObjectLink {
            object: link.object,
            instance: link.instance,
        }),
        Value::CoreLink(text) => wit::Value::CoreLink(text.clone().into_owned()),
        _ => wit::Value::None,
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}
