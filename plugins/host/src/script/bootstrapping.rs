//! What scripts see of a Bootstrap-Request, and what they answer: the operations of a plan.

use std::sync::Arc;

use lwm2m_core::{ContentFormat, Path, Record};
use lwm2m_server::bootstrap::{
    BootstrapAnswer, BootstrapOperation, BootstrapPlan, BootstrapRequest,
};
use lwm2m_server::{Reason, Refusal};
use rhai::{Array, Dynamic, Engine, Map};

use super::answers::{Made, Said, number, path, refusal_code, wrong};
use super::inputs::{fact, facts, text, to_value};

/// Makes requests and operations known to an engine.
pub(super) fn register(engine: &mut Engine) {
    request(engine);
    operations(engine);
    engine
        .register_fn("configure", |operations: Array| {
            configure(operations, Map::new())
        })
        .register_fn("configure", configure)
        .register_fn("refuse", |code: &str, why: &str| -> Made<Said> {
            let code = refusal_code("refuse", code)?;
            let reason = Reason::new("plugin-rejected", why.to_owned());
            Ok(Said::Bootstrap(BootstrapAnswer::Refuse(Refusal {
                code,
                reason,
            })))
        });
}

fn request(engine: &mut Engine) {
    type This<'a> = &'a mut Arc<BootstrapRequest>;
    engine
        .register_type_with_name::<Arc<BootstrapRequest>>("BootstrapRequest")
        .register_get("endpoint", |r: This<'_>| text(r.endpoint.as_str()))
        .register_get("scheme", |r: This<'_>| r.scheme)
        .register_get("address", |r: This<'_>| r.peer.to_string())
        .register_get("identity", |r: This<'_>| r.identity.clone())
        .register_get("preferred_format", |r: This<'_>| {
            let format = r.preferred_format;
            format.map_or(Dynamic::UNIT, |format| i64::from(format.number()).into())
        })
        .register_get("parameters", |r: This<'_>| facts(&r.parameters))
        .register_fn("parameter", |r: This<'_>, key: &str| {
            fact(&r.parameters, key)
        });
}

fn operations(engine: &mut Engine) {
    engine
        .register_type_with_name::<BootstrapOperation>("Operation")
        .register_fn("discover", |path: &str| -> Made<BootstrapOperation> {
            Ok(BootstrapOperation::Discover(self::path(path)?))
        })
        .register_fn("delete", |path: &str| -> Made<BootstrapOperation> {
            Ok(BootstrapOperation::Delete(self::path(path)?))
        })
        .register_fn("read", |path: &str| -> Made<BootstrapOperation> {
            Ok(BootstrapOperation::Read(self::path(path)?))
        })
        .register_fn("write", write);
}

/// `write("/1/0", #{ "0": 101, "1": 86400, "7": "U" })`, the values by their resources; a map as a
/// value has those of its instances.
fn write(instance: &str, values: Map) -> Made<BootstrapOperation> {
    let path = path(instance)?;
    if path.ids().len() != 2 {
        return Err(wrong(format!(
            "write {instance}: with a map, an object instance as /1/0"
        )));
    }
    let mut records = Vec::new();
    gather(path, values, &mut records)?;
    records.sort_by_key(|record| record.path);
    Ok(BootstrapOperation::Write {
        path,
        records: records.into(),
    })
}

fn gather(above: Path, values: Map, records: &mut Vec<Record<'static>>) -> Made<()> {
    for (id, value) in values {
        let path = id.parse::<u16>().ok().and_then(|id| above.child(id).ok());
        let path =
            path.ok_or_else(|| wrong(format!("write {above}: {id:?} is no number below")))?;
        match value.try_cast_result::<Map>() {
            Ok(inner) => gather(path, inner, records)?,
            Err(value) => {
                let value = to_value(value, None);
                let value = value.ok_or_else(|| wrong(format!("write {path}: a value")))?;
                records.push(Record::new(path, value));
            }
        }
    }
    Ok(())
}

/// `configure([discover("/"), delete("/0"), write(..)], #{ format: 112 })`
fn configure(operations: Array, more: Map) -> Made<Said> {
    let mut plan = BootstrapPlan::new();
    for operation in operations {
        let operation = operation.try_cast::<BootstrapOperation>();
        plan = plan.with(operation.ok_or_else(|| {
            wrong("configure: a list of operations, as delete(\"/0\") makes them")
        })?);
    }
    for (key, value) in more {
        match key.as_str() {
            "format" => {
                let number = u16::try_from(number(value, "format")?).ok();
                let format = number.and_then(ContentFormat::from_number);
                plan.content_format = Some(format.ok_or_else(|| wrong("format: a known number"))?);
            }
            other => return Err(wrong(format!("there is format, not {other}"))),
        }
    }
    Ok(Said::Bootstrap(BootstrapAnswer::Configure(Arc::new(plan))))
}
