//! What scripts see: registrations, batches and the rest, read-only, shared with the server.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lwm2m_core::{Path, Record, Value};
use lwm2m_server::hooks::{
    Batch, BatchSource, CredentialRequest, FirmwareEvent, FirmwareJob, FirmwareResult,
    ObserveFailure, Update,
};
use lwm2m_server::{PeerIdentity, Registration};
use rhai::{Array, Dynamic, Engine, ImmutableString, Map};

/// One object or object instance of a registration.
#[derive(Debug, Clone)]
struct Link {
    path: Path,
    version: Option<ImmutableString>,
}

type Shared<'a, T> = &'a mut Arc<T>;

/// Makes the inputs known to an engine.
pub(super) fn register(engine: &mut Engine) {
    registration(engine);
    update(engine);
    credential_request(engine);
    batch(engine);
    firmware(engine);
}

fn registration(engine: &mut Engine) {
    type This = Arc<Registration>;
    engine
        .register_type_with_name::<This>("Registration")
        .register_get("endpoint", |r: Shared<'_, Registration>| {
            text(r.endpoint.as_str())
        })
        .register_get("id", |r: Shared<'_, Registration>| r.id.to_string())
        .register_get("version", |r: Shared<'_, Registration>| {
            r.version.to_string()
        })
        .register_get("lifetime", |r: Shared<'_, Registration>| {
            i64::from(r.lifetime_s)
        })
        .register_get("binding", |r: Shared<'_, Registration>| {
            r.binding.to_string()
        })
        .register_get("queue_mode", |r: Shared<'_, Registration>| r.binding.queue)
        .register_get("sms", |r: Shared<'_, Registration>| {
            optional(r.sms.as_deref())
        })
        .register_get("address", |r: Shared<'_, Registration>| r.peer.to_string())
        .register_get("identity", |r: Shared<'_, Registration>| r.identity.clone())
        .register_get("registered_ms", |r: Shared<'_, Registration>| {
            unix_ms(r.registered_at)
        })
        .register_get("annotations", |r: Shared<'_, Registration>| {
            facts(&r.annotations)
        })
        .register_get("links", |r: Shared<'_, Registration>| -> Array {
            let link = |path: &Path| {
                let version = path
                    .object_id()
                    .and_then(|object| r.objects.version(object));
                Dynamic::from(Link {
                    path: *path,
                    version: version.map(|version| version.to_string().into()),
                })
            };
            r.objects.paths.iter().map(link).collect()
        })
        .register_fn("annotation", |r: Shared<'_, Registration>, key: &str| {
            fact(&r.annotations, key)
        })
        .register_fn("has_object", |r: Shared<'_, Registration>, object: i64| {
            u16::try_from(object).is_ok_and(|object| r.objects.has_object(object))
        })
        .register_fn("has_path", |r: Shared<'_, Registration>, path: &str| {
            let path = path.parse::<Path>();
            path.is_ok_and(|path| r.objects.paths.binary_search(&path).is_ok())
        })
        .register_fn(
            "instances",
            |r: Shared<'_, Registration>, object: i64| -> Array {
                let object = u16::try_from(object).ok();
                let instances = object.map(|object| r.objects.instances(object));
                let instances = instances.into_iter().flatten();
                instances
                    .map(|instance| i64::from(instance).into())
                    .collect()
            },
        )
        .register_fn(
            "object_version",
            |r: Shared<'_, Registration>, object: i64| {
                let version = u16::try_from(object)
                    .ok()
                    .and_then(|o| r.objects.version(o));
                version.map_or(Dynamic::UNIT, |version| version.to_string().into())
            },
        );
    engine
        .register_type_with_name::<Link>("Link")
        .register_get("path", |link: &mut Link| link.path.to_string())
        .register_get("object", |link: &mut Link| id(link.path.object_id()))
        .register_get("instance", |link: &mut Link| id(link.path.instance_id()))
        .register_get("version", |link: &mut Link| {
            link.version.clone().map_or(Dynamic::UNIT, Dynamic::from)
        });
    engine
        .register_type_with_name::<PeerIdentity>("Identity")
        .register_get("mode", |i: &mut PeerIdentity| i.mode())
        .register_get("name", |i: &mut PeerIdentity| match i.name() {
            Some(name) => Dynamic::from(name.to_string()),
            None => Dynamic::UNIT,
        })
        .register_get("common_name", |i: &mut PeerIdentity| match i {
            PeerIdentity::X509(x509) => optional(x509.common_name.as_deref()),
            _ => Dynamic::UNIT,
        })
        .register_get("alternative_names", |i: &mut PeerIdentity| -> Array {
            match i {
                PeerIdentity::X509(x509) => x509
                    .alternative_names
                    .iter()
                    .map(|n| n.clone().into())
                    .collect(),
                _ => Array::new(),
            }
        })
        .register_get("fingerprint", |i: &mut PeerIdentity| match i {
            PeerIdentity::X509(x509) => Dynamic::from_blob(x509.fingerprint.to_vec()),
            PeerIdentity::Rpk(rpk) => Dynamic::from_blob(rpk.sha256.to_vec()),
            _ => Dynamic::UNIT,
        })
        .register_fn("to_string", |i: &mut PeerIdentity| i.to_string());
}

fn update(engine: &mut Engine) {
    engine
        .register_type_with_name::<Arc<Update>>("Update")
        .register_get("lifetime_changed", |u: Shared<'_, Update>| {
            u.lifetime_changed
        })
        .register_get("binding_changed", |u: Shared<'_, Update>| u.binding_changed)
        .register_get("address_changed", |u: Shared<'_, Update>| u.address_changed)
        .register_get("links_changed", |u: Shared<'_, Update>| u.objects_changed())
        .register_fn("had_object", |u: Shared<'_, Update>, object: i64| {
            let before = u.previous_objects.as_ref();
            let object = u16::try_from(object).ok();
            before
                .zip(object)
                .is_some_and(|(before, object)| before.has_object(object))
        });
}

fn credential_request(engine: &mut Engine) {
    type This<'a> = Shared<'a, CredentialRequest>;
    engine
        .register_type_with_name::<Arc<CredentialRequest>>("CredentialRequest")
        .register_get("identity", |r: This<'_>| r.presented.clone())
        .register_get("mode", |r: This<'_>| r.presented.mode())
        .register_get("name", |r: This<'_>| match r.presented.name() {
            Some(name) => Dynamic::from(name.to_string()),
            None => Dynamic::UNIT,
        })
        .register_get("server_name", |r: This<'_>| match &r.presented {
            PeerIdentity::Psk(psk) => optional(psk.server_name.as_deref()),
            _ => Dynamic::UNIT,
        })
        .register_get("scheme", |r: This<'_>| optional(r.scheme))
        .register_get("address", |r: This<'_>| match r.peer {
            Some(peer) => Dynamic::from(peer.to_string()),
            None => Dynamic::UNIT,
        });
}

fn batch(engine: &mut Engine) {
    engine
        .register_type_with_name::<Arc<Batch>>("Batch")
        .register_get("endpoint", |b: Shared<'_, Batch>| text(b.endpoint.as_str()))
        .register_get("registration", |b: Shared<'_, Batch>| {
            b.registration.to_string()
        })
        .register_get("source", |b: Shared<'_, Batch>| source(b.source))
        .register_get("path", |b: Shared<'_, Batch>| b.path.to_string())
        .register_get("received_ms", |b: Shared<'_, Batch>| unix_ms(b.received))
        .register_get("annotations", |b: Shared<'_, Batch>| facts(&b.annotations))
        .register_get("measurements", |b: Shared<'_, Batch>| -> Array {
            b.records.iter().cloned().map(Dynamic::from).collect()
        })
        .register_fn("annotation", |b: Shared<'_, Batch>, key: &str| {
            fact(&b.annotations, key)
        });
    type Measurement = Record<'static>;
    engine
        .register_type_with_name::<Measurement>("Measurement")
        .register_get("path", |m: &mut Measurement| m.path.to_string())
        .register_get("object", |m: &mut Measurement| id(m.path.object_id()))
        .register_get("instance", |m: &mut Measurement| id(m.path.instance_id()))
        .register_get("resource", |m: &mut Measurement| id(m.path.resource_id()))
        .register_get("resource_instance", |m: &mut Measurement| {
            id(m.path.resource_instance_id())
        })
        .register_get("time", |m: &mut Measurement| {
            m.time.map_or(Dynamic::UNIT, Dynamic::from)
        })
        .register_get("value", |m: &mut Measurement| from_value(&m.value))
        .register_set("value", |m: &mut Measurement, value: Dynamic| {
            if let Some(value) = to_value(value, Some(&m.value)) {
                m.value = value;
            }
        });
}

fn firmware(engine: &mut Engine) {
    type Job<'a> = Shared<'a, FirmwareJob>;
    engine
        .register_type_with_name::<Arc<FirmwareJob>>("Job")
        .register_get("id", |j: Job<'_>| text(&j.id))
        .register_get("attempt", |j: Job<'_>| i64::from(j.attempt))
        .register_get("target", |j: Job<'_>| Arc::clone(&j.target))
        .register_get("image", |j: Job<'_>| text(&j.image.id))
        .register_get("image_name", |j: Job<'_>| text(&j.image.name))
        .register_get("image_version", |j: Job<'_>| text(&j.image.version))
        .register_get("image_size", |j: Job<'_>| j.image.size as i64)
        .register_get("image_sha256", |j: Job<'_>| j.image.sha256.to_vec())
        .register_get("image_uris", |j: Job<'_>| -> Array {
            j.image.uris.iter().map(|uri| uri.clone().into()).collect()
        });
    type Event<'a> = Shared<'a, FirmwareEvent>;
    engine
        .register_type_with_name::<Arc<FirmwareEvent>>("FirmwareEvent")
        .register_get("kind", |e: Event<'_>| match **e {
            FirmwareEvent::Started => "started",
            FirmwareEvent::Resumed => "resumed",
            FirmwareEvent::Done(_) => "done",
            FirmwareEvent::Notified(_) => "notified",
            FirmwareEvent::Timer => "timer",
            FirmwareEvent::Reregistered => "reregistered",
            _ => "cancelled",
        })
        .register_get("results", |e: Event<'_>| -> Array {
            match &**e {
                FirmwareEvent::Done(results) => results.iter().map(result).collect(),
                _ => Array::new(),
            }
        })
        .register_get("measurements", |e: Event<'_>| -> Array {
            match &**e {
                FirmwareEvent::Notified(records) => {
                    records.iter().cloned().map(Dynamic::from).collect()
                }
                _ => Array::new(),
            }
        });
}

/// What came of an action: `#{ok, values, error}`.
fn result(result: &FirmwareResult) -> Dynamic {
    let mut map = Map::new();
    let ok = !matches!(result, FirmwareResult::Failed(_));
    map.insert("ok".into(), ok.into());
    if let FirmwareResult::Values(records) = result {
        let records: Array = records.iter().cloned().map(Dynamic::from).collect();
        map.insert("values".into(), records.into());
    }
    if let FirmwareResult::Failed(why) = result {
        map.insert("error".into(), why.clone().into());
    }
    map.into()
}

pub(super) fn observe_failure(failure: ObserveFailure) -> &'static str {
    match failure {
        ObserveFailure::NotFound => "not-found",
        ObserveFailure::NotAllowed => "not-allowed",
        ObserveFailure::Timeout => "timeout",
        ObserveFailure::UnsupportedFormat => "unsupported-format",
        _ => "other",
    }
}

fn source(source: BatchSource) -> &'static str {
    match source {
        BatchSource::Notification => "notification",
        BatchSource::Send => "send",
        _ => "read",
    }
}

/// A value as the language has it.
pub(super) fn from_value(value: &Value<'_>) -> Dynamic {
    match value {
        Value::String(text) | Value::CoreLink(text) => text.as_ref().into(),
        Value::Integer(number) | Value::Time(number) => (*number).into(),
        Value::Unsigned(number) => match i64::try_from(*number) {
            Ok(number) => number.into(),
            Err(_) => (*number as f64).into(),
        },
        Value::Float(number) => (*number).into(),
        Value::Boolean(value) => (*value).into(),
        Value::Opaque(bytes) => Dynamic::from_blob(bytes.to_vec()),
        Value::ObjectLink(link) => link.to_string().into(),
        _ => Dynamic::UNIT,
    }
}

/// A value of the language as one of LwM2M: of the type of the value that it takes the place of
/// where it can be, else of its own. None for what is none.
pub(super) fn to_value(value: Dynamic, before: Option<&Value<'_>>) -> Option<Value<'static>> {
    if let Ok(number) = value.as_int() {
        return Some(match before {
            Some(Value::Unsigned(_)) => {
                u64::try_from(number).map_or(Value::Integer(number), Value::Unsigned)
            }
            Some(Value::Float(_)) => Value::Float(number as f64),
            Some(Value::Time(_)) => Value::Time(number),
            _ => Value::Integer(number),
        });
    }
    if let Ok(number) = value.as_float() {
        return Some(Value::Float(number));
    }
    if let Ok(value) = value.as_bool() {
        return Some(Value::Boolean(value));
    }
    if value.is_blob() {
        return value
            .into_blob()
            .ok()
            .map(|bytes| Value::Opaque(bytes.into()));
    }
    let text = value.into_string().ok()?;
    Some(match before {
        Some(Value::CoreLink(_)) => Value::CoreLink(text.into()),
        Some(Value::ObjectLink(_)) => match text.parse() {
            Ok(link) => Value::ObjectLink(link),
            Err(_) => Value::String(text.into()),
        },
        _ => Value::String(text.into()),
    })
}

pub(super) fn text(text: &str) -> ImmutableString {
    text.into()
}

fn optional(text: Option<&str>) -> Dynamic {
    text.map_or(Dynamic::UNIT, Into::into)
}

fn id(id: Option<u16>) -> Dynamic {
    id.map_or(Dynamic::UNIT, |id| i64::from(id).into())
}

pub(super) fn fact(facts: &[(String, String)], key: &str) -> Dynamic {
    let fact = facts.iter().find(|(known, _)| known == key);
    optional(fact.map(|(_, value)| value.as_str()))
}

pub(super) fn facts(facts: &[(String, String)]) -> Map {
    let fact = |(key, value): &(String, String)| (key.as_str().into(), value.as_str().into());
    facts.iter().map(fact).collect()
}

fn unix_ms(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
