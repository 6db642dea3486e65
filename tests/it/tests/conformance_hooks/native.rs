//! The behaviours of the cases in Rust, without anything between them and the server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lwm2m_coap::Code;
use lwm2m_core::{Record, Value};
use lwm2m_server::hooks::{
    Batch, CredentialAnswer, CredentialRequest, EndReason, Outcome, Series, Update,
};
use lwm2m_server::{
    Annotations, Answer, Decision, EndpointName, EventKind, Hook, HookSet, Interceptor, Reason,
    Refusal, Registration, ServerBuilder, WeakServer,
};

use super::{Case, Subject};
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

    fn install(&self, builder: ServerBuilder, case: &Case) -> ServerBuilder {
        builder.intercept(Behaviour {
            case: case.name,
            hook: case.hook,
            later: self.later,
            server: Mutex::default(),
        })
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
        HookSet::EMPTY.with(self.hook)
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
