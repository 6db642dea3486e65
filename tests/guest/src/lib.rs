//! A component of every hook for tests and benches: `config = { case = ".." }` says what it does.
//!
//! The names are those of the cases that all languages of plugins conform to, and of the benches.

use std::sync::OnceLock;

use lwm2m_plugin::bootstrap::{self, Config, Operation};
use lwm2m_plugin::credentials::{self, Credential, Grant};
use lwm2m_plugin::devices::{self, EndReason};
use lwm2m_plugin::firmware::{self, Choice, Pull, Push, Strategy};
use lwm2m_plugin::firmware_driver::{self, Action, Event, StepOutput, Verdict};
use lwm2m_plugin::observe::{self, Grouping, ObservePlan, Repair, Target};
use lwm2m_plugin::registration::{self, Annotations, Decision, Rejection, Update};
use lwm2m_plugin::telemetry::{self, Batch, Mapped, Outcome};
use lwm2m_plugin::types::{Binding, Identity, Job, Lwm2mVersion, NotificationAttributes};
use lwm2m_plugin::{Attribute, Path, Plugin, Refusal, Registration, Value, events};

struct Case;

static CASE: OnceLock<String> = OnceLock::new();

fn case() -> &'static str {
    CASE.get().map_or("", String::as_str)
}

impl Plugin for Case {
    fn init(config: &str) -> Result<(), String> {
        let named = config.split_once("\"case\":\"").map(|(_, rest)| rest);
        let named = named.and_then(|rest| rest.split('"').next());
        let _ = CASE.set(named.ok_or("case is missing")?.to_owned());
        Ok(())
    }
}

impl registration::Guest for Case {
    fn on_register(reg: Registration) -> Decision {
        match case() {
            "register-annotate" => Decision::Annotate(Annotations {
                remove: vec!["x".to_owned()],
                ..fact("tenant", "north")
            }),
            "register-accept" => Decision::Accept(fact("tier", "gold")),
            "register-reject" => reject(Refusal::Forbidden, "in quarantine"),
            "register-lifetime" => Decision::Annotate(Annotations {
                set: Vec::new(),
                remove: Vec::new(),
                lifetime_s: Some(86_400),
            }),
            "register-sees" => {
                let version = match reg.version {
                    Lwm2mVersion::V10 => "1.0",
                    Lwm2mVersion::V11 => "1.1",
                    Lwm2mVersion::V12 => "1.2",
                };
                let binding = match reg.binding.contains(Binding::UDP) {
                    true => "U",
                    false => "",
                };
                let mut seen = format!("{} {version} {} {binding}", reg.endpoint, reg.lifetime_s);
                for path in reg.paths() {
                    seen += &format!(" {path}");
                }
                Decision::Annotate(fact("seen", &seen))
            }
            "loop" if reg.endpoint.starts_with("loop") => {
                let mut turns = 0u64;
                loop {
                    turns = std::hint::black_box(turns + 1);
                }
            }
            "bench" | "alone" => {
                let sensors = reg.instances(3303);
                Decision::Annotate(fact("sensors", &sensors.count().to_string()))
            }
            _ => Decision::Pass,
        }
    }

    fn on_update(reg: Registration, update: Update) -> Decision {
        match case() {
            "update-sees" => {
                let mut seen = String::new();
                if update.lifetime_changed {
                    seen += "lifetime ";
                }
                if update.previous_links.is_some() {
                    seen += "objects ";
                }
                seen += &format!("{} {}", reg.lifetime_s, reg.links.len());
                Decision::Annotate(fact("changed", &seen))
            }
            "update-reject" => reject(Refusal::NotFound, "register again"),
            _ => Decision::Pass,
        }
    }
}

fn fact(name: &str, value: &str) -> Annotations {
    Annotations {
        set: vec![Attribute {
            name: name.to_owned(),
            value: value.to_owned(),
        }],
        remove: Vec::new(),
        lifetime_s: None,
    }
}

fn reject(code: Refusal, reason: &str) -> Decision {
    Decision::Reject(Rejection {
        code,
        reason: reason.to_owned(),
    })
}

impl devices::Guest for Case {
    fn on_registered(reg: Registration) {
        if case() == "registered-publish" {
            publish("registered", &format!("\"{}\"", reg.endpoint));
        }
    }

    fn on_updated(_: Registration, update: Update) {
        if case() == "updated-publish" {
            publish("updated", &update.lifetime_changed.to_string());
        }
    }

    fn on_gone(_: Registration, reason: EndReason) {
        if case() == "gone-publish" {
            publish(
                "gone",
                match reason {
                    EndReason::Deregistered => "\"deregistered\"",
                    EndReason::LifetimeExpired => "\"lifetime-expired\"",
                    EndReason::Replaced => "\"replaced\"",
                    EndReason::RemovedByOperator => "\"removed\"",
                },
            );
        }
    }
}

fn publish(kind: &str, json: &str) {
    if let Err(error) = events::emit(kind, None, json) {
        panic!("{kind}: {error:?}");
    }
}

impl credentials::Guest for Case {
    fn lookup(request: credentials::Request) -> credentials::Answer {
        let Identity::Psk(psk) = request.presented else {
            return credentials::Answer::Unknown;
        };
        match (case(), psk.name.as_str()) {
            ("credentials", "granted") => credentials::Answer::Grant(Grant {
                credential: Credential::Psk(b"sixteen bytes ok".to_vec()),
                endpoint: None,
                cache_s: 0,
            }),
            ("credentials", "denied") => credentials::Answer::Deny("reported stolen".to_owned()),
            _ => credentials::Answer::Unknown,
        }
    }
}

impl observe::Guest for Case {
    fn plan(reg: Registration) -> Option<ObservePlan> {
        let battery = resource(3, 0, 9);
        match case() {
            "observe-plan" => {
                let has_it = |path: Path| path.object == 3 && path.instance == Some(0);
                let attributes = NotificationAttributes {
                    pmin: Some(10),
                    ..NO_ATTRIBUTES
                };
                let plan = || plan(battery, Some(attributes));
                reg.paths().any(has_it).then(plan)
            }
            "observe-drop" | "observe-replace" | "observe-keep" => Some(plan(battery, None)),
            _ => None,
        }
    }

    fn on_failure(_: Registration, _: Vec<Path>, failure: observe::Failure) -> Repair {
        match failure {
            observe::Failure::NotFound => Repair::Drop,
            observe::Failure::NotAllowed => Repair::Replace(plan(resource(4, 0, 2), None)),
            _ => Repair::Keep,
        }
    }
}

const NO_ATTRIBUTES: NotificationAttributes = NotificationAttributes {
    pmin: None,
    pmax: None,
    epmin: None,
    epmax: None,
    gt: None,
    lt: None,
    st: None,
    edge: None,
    con: None,
    hqmax: None,
};

fn plan(path: Path, attributes: Option<NotificationAttributes>) -> ObservePlan {
    ObservePlan {
        targets: vec![Target { path, attributes }],
        grouping: Grouping::Single,
        content_format: None,
        delay_ms: 0,
    }
}

impl telemetry::Guest for Case {
    fn transform(batch: Batch) -> Outcome {
        let mut measurements = batch.measurements;
        match case() {
            "transform-drop" => {
                let negative = |value: &Value| matches!(value, Value::Integer(..0));
                match measurements.iter().any(|m| negative(&m.value)) {
                    true => Outcome::Drop,
                    false => Outcome::Pass,
                }
            }
            "transform-replace" => {
                for measurement in &mut measurements {
                    if let Value::Integer(number) = &mut measurement.value {
                        *number *= 2;
                    }
                }
                Outcome::Replace(measurements)
            }
            "transform-emit" => {
                let series = measurements.into_iter().map(|measurement| Mapped {
                    name: "battery".to_owned(),
                    unit: Some("%".to_owned()),
                    measurement,
                    tags: Vec::new(),
                });
                Outcome::Emit(series.collect())
            }
            "transform-document" => {
                let level = measurements[0].value.as_f64().unwrap_or_default();
                let json = format!("{{\"level\":{level}}}");
                Outcome::Document(("application/json".to_owned(), json.into_bytes()))
            }
            "transform-fail" => panic!("a bug"),
            "bench" => {
                for measurement in &mut measurements {
                    if let Value::Float(number) = &mut measurement.value {
                        *number = *number * 1.8 + 32.0;
                    }
                }
                Outcome::Replace(measurements)
            }
            _ => Outcome::Pass,
        }
    }
}

impl firmware::Guest for Case {
    fn select(job: Job) -> Choice {
        let push = Push {
            object_instance: 0,
            block_size: 1024,
        };
        let deliver = Choice::Deliver;
        match (case(), job.image.version.as_str()) {
            ("firmware-drive", _) => deliver(Strategy::Custom(b"s0".to_vec())),
            ("firmware-select", "2") => deliver(Strategy::Object5Push(push)),
            ("firmware-select", "3") => deliver(Strategy::Object5Pull(Pull {
                object_instance: 0,
                uri: job.image.uris[0].clone(),
            })),
            ("firmware-select", "4") => deliver(Strategy::Object19Push(push)),
            ("firmware-select", "5") => Choice::PostponeS(3600),
            ("firmware-select", "6") => Choice::Refuse("broken".to_owned()),
            _ => Choice::Pass,
        }
    }
}

impl firmware_driver::Guest for Case {
    fn step(_: Job, state: Vec<u8>, event: Event) -> StepOutput {
        let running = |state: &[u8], actions| StepOutput {
            state: state.to_vec(),
            actions,
            verdict: Verdict::Running,
        };
        let over = |verdict| StepOutput {
            state: Vec::new(),
            actions: Vec::new(),
            verdict,
        };
        match event {
            Event::Started => {
                let values = vec![(resource(5, 0, 3), Value::Integer(0))];
                running(b"s1", vec![Action::Write(values), Action::WaitMs(500)])
            }
            Event::Done(_) => {
                let image = Action::SendImage(resource(5, 0, 0));
                running(b"s2", vec![image, Action::ReportProgress(10)])
            }
            Event::Timer if state == b"s2" => over(Verdict::Succeeded),
            Event::Cancelled => over(Verdict::Failed("called off".to_owned())),
            _ => panic!("no case for this"),
        }
    }
}

impl bootstrap::Guest for Case {
    fn configure(request: bootstrap::Request) -> bootstrap::Answer {
        let is_site =
            |parameter: &Attribute| parameter.name == "site" && parameter.value == "north";
        match case() {
            "bootstrap-refuse" => {
                let why = "not from here".to_owned();
                bootstrap::Answer::Refuse((Refusal::Forbidden, why))
            }
            "bootstrap-configure" if request.parameters.iter().any(is_site) => {
                let object = Path {
                    object: 0,
                    instance: None,
                    resource: None,
                    resource_instance: None,
                };
                let values = vec![
                    (resource(1, 0, 0), Value::Integer(101)),
                    (resource(1, 0, 1), Value::Integer(3600)),
                    (resource(1, 0, 6), Value::Boolean(true)),
                    (resource(1, 0, 7), Value::Text("U".to_owned())),
                ];
                bootstrap::Answer::Configure(Config {
                    operations: vec![Operation::Delete(Some(object)), Operation::Write(values)],
                    content_format: None,
                })
            }
            _ => bootstrap::Answer::Unknown,
        }
    }

    fn on_finished(_: String, success: bool, _: String) {
        if case() == "bootstrapped-publish" {
            publish("bootstrapped", &success.to_string());
        }
    }
}

fn resource(object: u16, instance: u16, resource: u16) -> Path {
    Path {
        object,
        instance: Some(instance),
        resource: Some(resource),
        resource_instance: None,
    }
}

#[cfg(feature = "alone")]
lwm2m_plugin::export!(Case: registration);

#[cfg(not(feature = "alone"))]
lwm2m_plugin::export!(
    Case: registration,
    devices,
    credentials,
    observe,
    telemetry,
    firmware,
    firmware_driver,
    bootstrap
);
