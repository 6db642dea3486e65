//! The behaviours of the cases in Rust, without anything between them and the server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::{Attributes, Path, Record, Value};
use lwm2m_server::bootstrap::{BootstrapAnswer, BootstrapPlan, BootstrapRequest};
use lwm2m_server::hooks::{
    Batch, BootstrapEnd, CredentialAnswer, CredentialRequest, EndReason, FirmwareAction,
    FirmwareChoice, FirmwareEvent, FirmwareJob, FirmwareStep, FirmwareStrategy, FirmwareVerdict,
    ObserveFailure, ObservePlan, ObserveTarget, Outcome, Repair, Series, Update,
};
use lwm2m_server::{
    Annotations, Answer, Decision, EndpointName, EventKind, Hook, HookSet, Interceptor, Reason,
    Refusal, Registration, ServerBuilder, WeakServer,
};

use super::{Case, Installed, Subject};
use crate::secure::{KEY, psk};

/// Implements the cases itself, and answers at once or later.
pub(super) struct Native {
    pub(super) later: bool,
}

impl Subject for Native {
    fn name(&self) -> &str {
        match self.later {
            true => "native, later",
            false => "native, at once",
        }
    }

    async fn install(&self, builder: ServerBuilder, case: &Case) -> Installed {
        let behaviour = || Behaviour {
            case: case.name,
            hook: case.hook,
            later: self.later,
            server: Mutex::default(),
        };
        Installed {
            builder: builder.intercept(behaviour()),
            interceptor: Box::new(behaviour()),
            folder: None,
        }
    }
}

struct Behaviour {
    case: &'static str,
    hook: Hook,
    later: bool,
    server: Mutex<WeakServer>,
}

impl Behaviour {
    fn answer<T: Send + 'static>(&self, answer: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        match self.later {
            false => Answer::Now(answer()),
            true => Answer::later(async {
                tokio::task::yield_now().await;
                answer()
            }),
        }
    }

    fn publish(&self, endpoint: &EndpointName, kind: &str, json: String) -> Answer<()> {
        let server = self.server.lock().expect("no panic").upgrade();
        let (endpoint, kind) = (endpoint.clone(), kind.to_owned());
        self.answer(move || {
            let extension = "native".to_owned();
            let published = EventKind::Published {
                extension,
                kind,
                json,
            };
            server.expect("it runs").publish(Some(&endpoint), published);
        })
    }
}

impl Interceptor for Behaviour {
    fn hooks(&self) -> HookSet {
        let own = HookSet::EMPTY.with(self.hook);
        match self.hook {
            // Who drives a delivery is who chose to.
            Hook::FirmwareStep => own.with(Hook::Firmware),
            // Who repairs a plan is who made it.
            Hook::ObserveFailed => own.with(Hook::ObservePlan),
            _ => own,
        }
    }

    fn on_started(&self, server: &WeakServer) {
        *self.server.lock().expect("no panic") = server.clone();
    }

    fn credentials(&self, request: &Arc<CredentialRequest>) -> Answer<CredentialAnswer> {
        let identity = request.presented.name().unwrap_or_default();
        self.answer(move || match identity.as_str() {
            "granted" => CredentialAnswer::Grant {
                credential: Arc::new(psk("granted", b"granted", KEY)),
                cache: Duration::ZERO,
            },
            "denied" => CredentialAnswer::Deny {
                why: "reported stolen".to_owned(),
            },
            _ => CredentialAnswer::Unknown,
        })
    }

    fn on_register(&self, registration: &Arc<Registration>) -> Answer<Decision> {
        let (case, registration) = (self.case, Arc::clone(registration));
        self.answer(move || match case {
            "register-pass" => Decision::Pass,
            "register-annotate" => Decision::Annotate(Annotations {
                remove: vec!["x".to_owned()],
                ..Annotations::fact("tenant", "north")
            }),
            "register-accept" => Decision::Accept(Annotations::fact("tier", "gold")),
            "register-reject" => rejected(Code::FORBIDDEN, "in quarantine"),
            "register-lifetime" => Decision::Annotate(Annotations {
                lifetime_s: Some(86_400),
                ..Annotations::default()
            }),
            "register-sees" => {
                let paths = registration.objects.paths.iter();
                let paths: String = paths.map(|path| format!(" {path}")).collect();
                let seen = format!(
                    "{} {} {} {}{paths}",
                    registration.endpoint,
                    registration.version,
                    registration.lifetime_s,
                    registration.binding
                );
                Decision::Annotate(Annotations::fact("seen", seen))
            }
            other => panic!("no case for Register: {other}"),
        })
    }

    fn on_update(
        &self,
        registration: &Arc<Registration>,
        update: &Arc<Update>,
    ) -> Answer<Decision> {
        let (case, registration, update) =
            (self.case, Arc::clone(registration), Arc::clone(update));
        self.answer(move || match case {
            "update-reject" => rejected(Code::NOT_FOUND, "register again"),
            "update-sees" => {
                let changes = [
                    (update.lifetime_changed, "lifetime "),
                    (update.objects_changed(), "objects "),
                ];
                let changes = changes.iter().filter(|(changes, _)| *changes);
                let changes: String = changes.map(|(_, word)| *word).collect();
                let (lifetime, paths) = (registration.lifetime_s, &registration.objects.paths);
                let seen = format!("{changes}{lifetime} {}", paths.len());
                Decision::Annotate(Annotations::fact("changed", seen))
            }
            other => panic!("no case for Update: {other}"),
        })
    }

    fn on_registered(&self, registration: &Arc<Registration>) -> Answer<()> {
        let endpoint = &registration.endpoint;
        self.publish(endpoint, "registered", format!("\"{endpoint}\""))
    }

    fn on_updated(&self, registration: &Arc<Registration>, update: &Arc<Update>) -> Answer<()> {
        let json = update.lifetime_changed.to_string();
        self.publish(&registration.endpoint, "updated", json)
    }

    fn on_gone(&self, registration: &Arc<Registration>, reason: EndReason) -> Answer<()> {
        let reason = match reason {
            EndReason::Deregistered => "deregistered",
            EndReason::Replaced => "replaced",
            _ => "another",
        };
        self.publish(&registration.endpoint, "gone", format!("\"{reason}\""))
    }

    fn observe_plan(&self, registration: &Arc<Registration>) -> Answer<Option<ObservePlan>> {
        let (case, registration) = (self.case, Arc::clone(registration));
        self.answer(move || match case {
            "observe-none" => None,
            "observe-plan" if registration.objects.has_object(3) => {
                Some(plan(Path::resource(3, 0, 9), &["pmin=10"]))
            }
            _ => Some(plan(Path::resource(3, 0, 9), &[])),
        })
    }

    fn observe_failed(
        &self,
        _: &Arc<Registration>,
        _: &ObservePlan,
        paths: &[Path],
        failure: ObserveFailure,
    ) -> Answer<Repair> {
        assert_eq!(paths, [Path::resource(3, 0, 9)]);
        self.answer(move || match failure {
            ObserveFailure::NotFound => Repair::Drop,
            ObserveFailure::NotAllowed => Repair::Replace(plan(Path::resource(4, 0, 2), &[])),
            _ => Repair::Keep,
        })
    }

    fn transform(&self, batch: &Arc<Batch>) -> Answer<Outcome> {
        let (case, records) = (self.case, batch.records.clone());
        self.answer(move || match case {
            "transform-pass" => Outcome::Pass,
            "transform-fail" => panic!("a bug in an extension"),
            "transform-drop" if records.iter().any(|record| level(record) < 0) => Outcome::Drop,
            "transform-drop" => Outcome::Pass,
            "transform-replace" => {
                let doubled = records.into_iter().map(|record| Record {
                    value: Value::Integer(2 * level(&record)),
                    ..record
                });
                Outcome::Replace(doubled.collect())
            }
            "transform-emit" => {
                let series = records.into_iter().map(|record| Series {
                    name: "battery".to_owned(),
                    unit: Some("%".to_owned()),
                    record,
                    tags: Vec::new(),
                });
                Outcome::Emit(series.collect())
            }
            "transform-document" => Outcome::Document {
                content_type: "application/json".to_owned(),
                body: format!("{{\"level\":{}}}", level(&records[0])).into(),
            },
            other => panic!("no case for values: {other}"),
        })
    }

    fn firmware(&self, job: &Arc<FirmwareJob>) -> Answer<FirmwareChoice> {
        use FirmwareStrategy::{Custom, Object5Pull, Object5Push, Object19Push};
        let (case, job) = (self.case, Arc::clone(job));
        let (instance, block_size) = (0, 1024);
        self.answer(move || match (case, job.image.version.as_str()) {
            ("firmware-drive", _) => FirmwareChoice::Deliver(Custom(b"s0".to_vec())),
            (_, "2") => FirmwareChoice::Deliver(Object5Push {
                instance,
                block_size,
            }),
            (_, "3") => FirmwareChoice::Deliver(Object5Pull {
                instance,
                uri: job.image.uris[0].clone(),
            }),
            (_, "4") => FirmwareChoice::Deliver(Object19Push {
                instance,
                block_size,
            }),
            (_, "5") => FirmwareChoice::Postpone(3600),
            (_, "6") => FirmwareChoice::Refuse("broken".to_owned()),
            _ => FirmwareChoice::Pass,
        })
    }

    fn firmware_step(
        &self,
        _: &Arc<FirmwareJob>,
        state: &[u8],
        event: &FirmwareEvent,
    ) -> Answer<Option<FirmwareStep>> {
        use FirmwareAction::{Progress, SendImage, Wait, Write};
        let running = |state: &[u8], actions| FirmwareStep {
            state: state.to_vec(),
            actions,
            verdict: FirmwareVerdict::Running,
        };
        let over = |verdict| FirmwareStep {
            verdict,
            ..running(state, Vec::new())
        };
        let step = match event {
            FirmwareEvent::Started => {
                let write = Write(vec![(Path::resource(5, 0, 3), Value::Integer(0))]);
                running(b"s1", vec![write, Wait(500)])
            }
            FirmwareEvent::Done(_) => {
                let image = SendImage(Path::resource(5, 0, 0));
                running(b"s2", vec![image, Progress(10)])
            }
            FirmwareEvent::Timer if state == b"s2" => over(FirmwareVerdict::Succeeded),
            FirmwareEvent::Cancelled => over(FirmwareVerdict::Failed("called off".to_owned())),
            other => panic!("no case for {other:?}"),
        };
        self.answer(move || Some(step))
    }

    fn bootstrap(&self, request: &Arc<BootstrapRequest>) -> Answer<BootstrapAnswer> {
        let (case, request) = (self.case, Arc::clone(request));
        self.answer(move || match case {
            "bootstrap-refuse" => BootstrapAnswer::Refuse(Refusal {
                code: Code::FORBIDDEN,
                reason: Reason::new("rejected", "not from here"),
            }),
            _ if request.parameters == [("site".to_owned(), "north".to_owned())] => {
                let at = |resource| Path::resource(1, 0, resource);
                let plan = BootstrapPlan::new().delete(Path::object(0)).write([
                    Record::new(at(0), 101),
                    Record::new(at(1), 3600),
                    Record::new(at(6), true),
                    Record::new(at(7), "U"),
                ]);
                BootstrapAnswer::Configure(Arc::new(plan))
            }
            _ => BootstrapAnswer::Unknown,
        })
    }

    fn on_bootstrapped(&self, end: &Arc<BootstrapEnd>) -> Answer<()> {
        let json = end.failure.is_none().to_string();
        self.publish(&end.endpoint, "bootstrapped", json)
    }
}

fn plan(path: Path, attributes: &[&str]) -> ObservePlan {
    let attributes = Attributes::from_query(attributes.iter().copied());
    ObservePlan {
        targets: vec![ObserveTarget {
            path,
            attributes: attributes.expect("attributes"),
        }],
        ..ObservePlan::default()
    }
}

fn rejected(code: Code, message: &'static str) -> Decision {
    Decision::Reject(Refusal {
        code,
        reason: Reason::new("rejected", message),
    })
}

fn level(record: &Record<'_>) -> i64 {
    match record.value {
        Value::Integer(level) => level,
        ref other => panic!("an integer: {other:?}"),
    }
}
