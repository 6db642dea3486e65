//! What scripts answer: functions that make an answer, and what each hook takes of it.

use std::sync::Arc;
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::{Attributes, ContentFormat, Path, Record};
use lwm2m_server::bootstrap::BootstrapAnswer;
use lwm2m_server::credentials::{
    CertificateRule, Credential, CredentialId, NamePattern, Proof, SecretKey,
};
use lwm2m_server::hooks::{
    CredentialAnswer, CredentialRequest, FirmwareChoice, FirmwareStep, Grouping, ObservePlan,
    ObserveTarget, Outcome, Repair, Series,
};
use lwm2m_server::{Annotations, Decision, Hook, PeerIdentity, Reason, Refusal};
use rhai::{Array, Blob, Dynamic, Engine, EvalAltResult, Map};

use super::inputs::to_value;
use crate::{Call, Failure, Reply};

/// What a function of this module has made.
#[derive(Debug, Clone)]
pub(super) enum Said {
    Decision(Decision),
    Grant(Proven, Terms),
    Deny(String),
    Plan(ObservePlan),
    /// Of a group that cannot be observed, and of values.
    Drop,
    Keep,
    Outcome(Outcome),
    Choice(FirmwareChoice),
    Step(FirmwareStep),
    Bootstrap(BootstrapAnswer),
}

/// How a peer is to be proven.
#[derive(Debug, Clone)]
pub(super) enum Proven {
    Psk(SecretKey),
    Rpk,
    X509,
}

/// What goes with a credential.
#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    endpoint: Option<String>,
    cache: Duration,
}

pub(super) type Made<T> = Result<T, Box<EvalAltResult>>;

/// Makes the functions known to an engine.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Said>("Answer");
    decisions(engine);
    credentials(engine);
    observing(engine);
    telemetry(engine);
    super::deliveries::register(engine);
    super::bootstrapping::register(engine);
}

fn decisions(engine: &mut Engine) {
    let annotate = |set: Map| Said::Decision(Decision::Annotate(facts(set)));
    engine
        .register_fn("pass", || Said::Decision(Decision::Pass))
        .register_fn("annotate", annotate)
        .register_fn("annotate", |set: Map, more: Map| -> Made<Said> {
            Ok(Said::Decision(Decision::Annotate(annotations(set, more)?)))
        })
        .register_fn("accept", || {
            Said::Decision(Decision::Accept(Annotations::default()))
        })
        .register_fn("accept", |set: Map| {
            Said::Decision(Decision::Accept(facts(set)))
        })
        .register_fn("accept", |set: Map, more: Map| -> Made<Said> {
            Ok(Said::Decision(Decision::Accept(annotations(set, more)?)))
        })
        .register_fn("reject", |code: &str, why: &str| -> Made<Said> {
            let code = refusal_code("reject", code)?;
            let reason = Reason::new("plugin-rejected", why.to_owned());
            Ok(Said::Decision(Decision::Reject(Refusal { code, reason })))
        });
}

/// Codes that a plugin may refuse with.
const REFUSALS: [(&str, Code); 7] = [
    ("bad-request", Code::BAD_REQUEST),
    ("unauthorized", Code::UNAUTHORIZED),
    ("forbidden", Code::FORBIDDEN),
    ("not-found", Code::NOT_FOUND),
    ("not-acceptable", Code::NOT_ACCEPTABLE),
    ("precondition-failed", Code::PRECONDITION_FAILED),
    ("service-unavailable", Code::SERVICE_UNAVAILABLE),
];

/// The code that a name stands for, in a function of this name.
pub(super) fn refusal_code(function: &str, name: &str) -> Made<Code> {
    let known = REFUSALS.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, code)| code).ok_or_else(|| {
        let known = REFUSALS.map(|(name, _)| name).join(", ");
        wrong(format!("{function}: {name:?} is none of {known}"))
    })
}

fn facts(set: Map) -> Annotations {
    let facts = set.into_iter();
    Annotations {
        set: facts
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
        ..Annotations::default()
    }
}

/// `annotate(#{..}, #{ lifetime: 3600, remove: ["key"] })`
fn annotations(set: Map, more: Map) -> Made<Annotations> {
    let mut annotations = facts(set);
    for (key, value) in more {
        match key.as_str() {
            "lifetime" => annotations.lifetime_s = Some(number(value, "lifetime")?),
            "remove" => {
                let keys = value.into_typed_array::<String>();
                annotations.remove = keys.map_err(|_| wrong("remove: name the keys in a list"))?;
            }
            other => return Err(wrong(format!("there are lifetime and remove, not {other}"))),
        }
    }
    Ok(annotations)
}

fn credentials(engine: &mut Engine) {
    let psk = |key: Blob, terms: Map| -> Made<Said> {
        let key = SecretKey::new(&key).ok_or_else(|| wrong("psk: a key has 1 to 64 bytes"))?;
        Ok(Said::Grant(Proven::Psk(key), self::terms(terms)?))
    };
    engine
        .register_fn("psk", move |key: Blob| psk(key, Map::new()))
        .register_fn("psk", psk)
        .register_fn("accept_rpk", || Said::Grant(Proven::Rpk, Terms::default()))
        .register_fn("accept_rpk", |terms: Map| -> Made<Said> {
            Ok(Said::Grant(Proven::Rpk, self::terms(terms)?))
        })
        .register_fn("accept_x509", || {
            Said::Grant(Proven::X509, Terms::default())
        })
        .register_fn("accept_x509", |terms: Map| -> Made<Said> {
            Ok(Said::Grant(Proven::X509, self::terms(terms)?))
        })
        .register_fn("deny", |why: &str| Said::Deny(why.to_owned()))
        .register_fn("from_hex", |text: &str| -> Made<Blob> {
            let digits: Vec<u32> = text
                .chars()
                .map(|digit| digit.to_digit(16))
                .collect::<Option<_>>()
                .filter(|digits: &Vec<u32>| digits.len().is_multiple_of(2))
                .ok_or_else(|| wrong("from_hex: hexadecimal digits, two for each byte"))?;
            Ok(digits
                .chunks(2)
                .map(|pair| (pair[0] * 16 + pair[1]) as u8)
                .collect())
        });
}

/// `#{ endpoint: "meter-1", cache: 300 }`
fn terms(map: Map) -> Made<Terms> {
    let mut terms = Terms::default();
    for (key, value) in map {
        match key.as_str() {
            "endpoint" => terms.endpoint = Some(value.to_string()),
            "cache" => terms.cache = Duration::from_secs(number(value, "cache")?.into()),
            other => return Err(wrong(format!("there are endpoint and cache, not {other}"))),
        }
    }
    Ok(terms)
}

fn observing(engine: &mut Engine) {
    engine
        .register_type_with_name::<ObserveTarget>("Target")
        .register_fn("target", |path: &str| target(path, Map::new()))
        .register_fn("target", |path: &str, attributes: Map| {
            target(path, attributes)
        })
        .register_fn("observe", |targets: Array| plan(targets, Map::new()))
        .register_fn("observe", |targets: Array, grouping: &str| {
            plan(targets, Map::from([("grouping".into(), grouping.into())]))
        })
        .register_fn("observe", |targets: Array, more: Map| plan(targets, more))
        .register_fn("keep", || Said::Keep)
        .register_fn("drop", || Said::Drop);
}

fn target(path: &str, attributes: Map) -> Made<ObserveTarget> {
    let items = attributes
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"));
    let items: Vec<String> = items.collect();
    let attributes = Attributes::from_query(items.iter().map(String::as_str));
    Ok(ObserveTarget {
        path: self::path(path)?,
        attributes: attributes.map_err(|error| wrong(format!("target {path}: {error}")))?,
    })
}

/// `observe([..], #{ grouping: "composite-all", format: 110, delay_ms: 500 })`
fn plan(targets: Array, more: Map) -> Made<Said> {
    let one = |target: Dynamic| match target.clone().try_cast::<ObserveTarget>() {
        Some(target) => Ok(target),
        None => self::target(&target.to_string(), Map::new()),
    };
    let mut plan = ObservePlan {
        targets: targets.into_iter().map(one).collect::<Made<_>>()?,
        ..ObservePlan::default()
    };
    for (key, value) in more {
        match key.as_str() {
            "grouping" => plan.grouping = grouping(value)?,
            "format" => {
                let number: u32 = number(value, "format")?;
                let format = u16::try_from(number)
                    .ok()
                    .and_then(ContentFormat::from_number);
                plan.format = Some(format.ok_or_else(|| wrong("format: a known number"))?);
            }
            "delay_ms" => plan.delay = Duration::from_millis(number(value, "delay_ms")?.into()),
            other => {
                let what = format!("there are grouping, format and delay_ms, not {other}");
                return Err(wrong(what));
            }
        }
    }
    Ok(Said::Plan(plan))
}

fn grouping(value: Dynamic) -> Made<Grouping> {
    if let Some(groups) = value.read_lock::<Array>() {
        let group = |group: &Dynamic| -> Made<Vec<u32>> {
            let indices = group.clone().into_array();
            let indices = indices.map_err(|_| wrong("grouping: lists of indices"))?;
            indices
                .into_iter()
                .map(|index| number(index, "grouping"))
                .collect()
        };
        return Ok(Grouping::Custom(
            groups.iter().map(group).collect::<Made<_>>()?,
        ));
    }
    match value.to_string().as_str() {
        "single" => Ok(Grouping::Single),
        "composite-all" => Ok(Grouping::CompositeAll),
        "composite-by-object" => Ok(Grouping::CompositeByObject),
        _ => Err(wrong(
            "grouping: \"single\", \"composite-all\", \"composite-by-object\", or lists of indices",
        )),
    }
}

fn telemetry(engine: &mut Engine) {
    engine
        .register_type_with_name::<Series>("Series")
        .register_fn(
            "measurement",
            |path: &str, value: Dynamic| -> Made<Record<'static>> {
                let value = to_value(value, None).ok_or_else(|| wrong("measurement: a value"))?;
                Ok(Record::new(self::path(path)?, value))
            },
        )
        .register_fn("replace", |records: Array| -> Made<Said> {
            let record = |record: Dynamic| {
                let wrong = || wrong("replace: a list of measurements");
                record.try_cast::<Record<'static>>().ok_or_else(wrong)
            };
            let records = records.into_iter().map(record).collect::<Made<_>>()?;
            Ok(Said::Outcome(Outcome::Replace(records)))
        })
        .register_fn("series", |name: &str, record: Record<'static>| {
            series(name, record, Map::new())
        })
        .register_fn(
            "series",
            |name: &str, record: Record<'static>, more: Map| series(name, record, more),
        )
        .register_fn("emit", |series: Array| -> Made<Said> {
            let one = |series: Dynamic| {
                let wrong = || wrong("emit: a list of what series() makes");
                series.try_cast::<Series>().ok_or_else(wrong)
            };
            let series = series.into_iter().map(one).collect::<Made<_>>()?;
            Ok(Said::Outcome(Outcome::Emit(series)))
        })
        .register_fn("document", |content_type: &str, body: &str| {
            document(content_type, body.as_bytes())
        })
        .register_fn("document", |content_type: &str, body: Blob| {
            document(content_type, &body)
        });
}

/// `series("temperature", m, #{ unit: "Cel", value: 21.5, tags: #{ room: "4" } })`
fn series(name: &str, record: Record<'static>, more: Map) -> Made<Series> {
    let mut series = Series {
        name: name.to_owned(),
        unit: None,
        record,
        tags: Vec::new(),
    };
    for (key, value) in more {
        match key.as_str() {
            "unit" => series.unit = Some(value.to_string()),
            "value" => {
                let value = to_value(value, None).ok_or_else(|| wrong("series: a value"))?;
                series.record.value = value;
            }
            "tags" => {
                let tags = value.try_cast::<Map>();
                series.tags = facts(tags.ok_or_else(|| wrong("tags: a map"))?).set;
            }
            other => {
                return Err(wrong(format!(
                    "there are unit, value and tags, not {other}"
                )));
            }
        }
    }
    Ok(series)
}

fn document(content_type: &str, body: &[u8]) -> Said {
    Said::Outcome(Outcome::Document {
        content_type: content_type.to_owned(),
        body: bytes::Bytes::copy_from_slice(body),
    })
}

/// What the answer of a script means for the one who asked; nothing at all is no opinion.
pub(super) fn reply(call: &Call, answer: Dynamic) -> Result<Reply, Failure> {
    let hook = call.hook();
    if answer.is_unit() {
        return Ok(no_opinion(hook));
    }
    let kind = answer.type_name();
    let Some(said) = answer.try_cast::<Said>() else {
        return match hook {
            // Nobody listens to what these answer.
            Hook::OnRegistered | Hook::OnUpdated | Hook::OnGone | Hook::OnBootstrapped => {
                Ok(Reply::Done)
            }
            _ => Err(Failure::Unusable(format!(
                "{} answered with {kind}",
                hook.name()
            ))),
        };
    };
    Ok(match (call, said) {
        (Call::OnRegister(_) | Call::OnUpdate(..), Said::Decision(decision)) => {
            Reply::Decision(decision)
        }
        (Call::Credentials(request), Said::Grant(proven, terms)) => {
            Reply::Credentials(grant(request, proven, terms)?)
        }
        (Call::Credentials(_), Said::Deny(why)) => {
            Reply::Credentials(CredentialAnswer::Deny { why })
        }
        (Call::ObservePlan(_), Said::Plan(plan)) => Reply::Plan(Some(plan)),
        (Call::ObserveFailed(..), Said::Keep) => Reply::Repair(Repair::Keep),
        (Call::ObserveFailed(..), Said::Drop) => Reply::Repair(Repair::Drop),
        (Call::ObserveFailed(..), Said::Plan(plan)) => Reply::Repair(Repair::Replace(plan)),
        (Call::Transform(_), Said::Outcome(outcome)) => Reply::Outcome(outcome),
        (Call::Transform(_), Said::Drop) => Reply::Outcome(Outcome::Drop),
        (Call::Firmware(_), Said::Choice(choice)) => Reply::Choice(choice),
        (Call::FirmwareStep(..), Said::Step(step)) => Reply::Step(Some(step)),
        (Call::Bootstrap(_), Said::Bootstrap(answer)) => Reply::Bootstrap(answer),
        (Call::OnRegistered(_) | Call::OnUpdated(..) | Call::OnGone(..), _)
        | (Call::OnBootstrapped(_), _) => Reply::Done,
        (_, Said::Decision(Decision::Pass)) => no_opinion(hook),
        (_, said) => {
            let what = format!("{} answered with {}", hook.name(), said.name());
            return Err(Failure::Unusable(what));
        }
    })
}

impl Said {
    /// The function that makes it.
    fn name(&self) -> &'static str {
        match self {
            Said::Decision(_) => "a decision about a registration",
            Said::Grant(..) | Said::Deny(_) => "a credential",
            Said::Plan(_) => "observe()",
            Said::Drop => "drop()",
            Said::Keep => "keep()",
            Said::Outcome(_) => "values",
            Said::Choice(_) => "a way to deliver firmware",
            Said::Step(_) => "a step of a delivery",
            Said::Bootstrap(_) => "what is written in a bootstrap",
        }
    }
}

fn no_opinion(hook: Hook) -> Reply {
    match hook {
        Hook::Credentials => Reply::Credentials(CredentialAnswer::Unknown),
        Hook::OnRegister | Hook::OnUpdate => Reply::Decision(Decision::Pass),
        Hook::ObservePlan => Reply::Plan(None),
        Hook::ObserveFailed => Reply::Repair(Repair::Keep),
        Hook::Transform => Reply::Outcome(Outcome::Pass),
        Hook::Firmware => Reply::Choice(FirmwareChoice::Pass),
        Hook::FirmwareStep => Reply::Step(None),
        Hook::Bootstrap => Reply::Bootstrap(BootstrapAnswer::Unknown),
        _ => Reply::Done,
    }
}

/// The credential that a script grants to whom it was asked about.
fn grant(
    request: &CredentialRequest,
    proven: Proven,
    terms: Terms,
) -> Result<CredentialAnswer, Failure> {
    let mismatch = |what: &str| {
        let mode = request.presented.mode();
        Failure::Unusable(format!(
            "{what}() for a peer that presents itself by {mode}"
        ))
    };
    let proof = match (proven, &request.presented) {
        (Proven::Psk(key), PeerIdentity::Psk(psk)) => Proof::Psk {
            identity: psk.identity.clone(),
            key,
        },
        (Proven::Rpk, PeerIdentity::Rpk(rpk)) => Proof::Rpk {
            spki_sha256: rpk.sha256,
        },
        (Proven::X509, PeerIdentity::X509(x509)) => Proof::X509(CertificateRule {
            fingerprint: Some(x509.fingerprint),
            ..CertificateRule::default()
        }),
        (Proven::Psk(_), _) => return Err(mismatch("psk")),
        (Proven::Rpk, _) => return Err(mismatch("accept_rpk")),
        (Proven::X509, _) => return Err(mismatch("accept_x509")),
    };
    let credential = Credential::new(CredentialId::random(), proof);
    let credential = match &terms.endpoint {
        Some(endpoint) => credential.endpoints([NamePattern::exact(endpoint)]),
        None => credential,
    };
    Ok(CredentialAnswer::Grant {
        credential: Arc::new(credential),
        cache: terms.cache,
    })
}

pub(super) fn path(text: &str) -> Made<Path> {
    text.parse()
        .map_err(|error| wrong(format!("{text:?} is no path: {error}")))
}

pub(super) fn number(value: Dynamic, what: &str) -> Made<u32> {
    let number = value
        .as_int()
        .ok()
        .and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| wrong(format!("{what}: a number from 0 to {}", u32::MAX)))
}

/// An error at the place where the script calls the function.
pub(super) fn wrong(what: impl Into<String>) -> Box<EvalAltResult> {
    what.into().into()
}
