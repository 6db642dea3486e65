//! A server with the interceptor of a case, and the device `a`.

use std::sync::Arc;

use lwm2m_coap::{Code, MessageType, OptionNumber};
use lwm2m_core::{Path, Record, Value};
use lwm2m_server::credentials::{CredentialStore, MemoryCredentials};
use lwm2m_server::hooks::Update;
use lwm2m_server::{
    Annotations, Answer, Content, Decision, EventKind, Events, Hook, HookSet, Interceptor,
    Listener, Registration, Server, ServerConfig,
};

use super::{Case, Step, Subject};
use crate::peer::{Incoming, Outgoing, Peer, event};
use crate::secure::peer::SecurePeer;
use crate::secure::{KEY, psk};
use crate::site::in_time;

const BATTERY: Path = Path::resource(3, 0, 9);

/// Stands behind the interceptor of the case, and notes that it was asked.
struct Behind;

impl Interceptor for Behind {
    fn hooks(&self) -> HookSet {
        [Hook::OnRegister, Hook::OnUpdate].into_iter().collect()
    }

    fn on_register(&self, _: &Arc<Registration>) -> Answer<Decision> {
        Answer::Now(Decision::Annotate(Annotations::fact("behind", "asked")))
    }

    fn on_update(&self, _: &Arc<Registration>, _: &Arc<Update>) -> Answer<Decision> {
        Answer::Now(Decision::Annotate(Annotations::fact("behind", "asked")))
    }
}

pub(super) struct Stage {
    hook: Hook,
    server: Server,
    events: Events,
    device: Peer,
    location: String,
    /// The request that observes, and how often it was notified.
    observed: Option<(Incoming, u32)>,
}

impl Stage {
    pub(super) async fn set(subject: &impl Subject, case: &Case) -> Stage {
        let store = Arc::new(MemoryCredentials::default());
        let stored = vec![psk("stored", b"stored", KEY)];
        store.add(stored).await.expect("taken");
        let mut config = ServerConfig::default();
        config.shards = 1;
        let builder = Server::builder()
            .config(config)
            .listen(Listener::coaps(([127, 0, 0, 1], 0).into()))
            .listen(Listener::coap(([127, 0, 0, 1], 0).into()))
            .credentials(store);
        let builder = subject.install(builder, case).intercept(Behind);
        let server = builder.start().await.expect("the server starts");
        let mut device = Peer::new(&server).await;
        device.server = server.local_addresses()[1];
        Stage {
            hook: case.hook,
            events: server.events(),
            device,
            server,
            location: String::new(),
            observed: None,
        }
    }

    pub(super) async fn play(&mut self, step: Step, what: &str) {
        match step {
            Step::Register(query, code) => {
                let path = format!("rd?ep=a&lwm2m=1.1&{query}");
                let list = "</1/0>,</3/0>,</4/0>";
                let request = self.device.request(Code::POST, &path).payload(list);
                let answer = self.device.exchange(request).await;
                assert_eq!(answer.code, code, "{what}");
                self.location = answer.location();
            }
            Step::Update(query, objects, code) => {
                let path = format!("{}?{query}", self.location);
                let path = path.trim_end_matches('?');
                let request = self.device.request(Code::POST, path).payload(objects);
                assert_eq!(self.device.exchange(request).await.code, code, "{what}");
            }
            Step::Deregister => {
                let code = self.device.delete(&self.location).await;
                assert_eq!(code, Code::DELETED, "{what}");
            }
            Step::Send(level) => {
                let body = format!(r#"[{{"n":"/3/0/9","v":{level}}}]"#);
                let send = self.device.request(Code::POST, "dp").format(110);
                let answer = self.device.exchange(send.payload(body)).await;
                assert_eq!(answer.code, Code::CHANGED, "{what}");
            }
            Step::Observe(level) => self.observe(level).await,
            Step::Notify(level) => self.notify(level, what).await,
            Step::Read(level, seen) => {
                let device = self.server.device("a");
                let read = tokio::spawn(async move { device.read_path(BATTERY).await });
                let request = self.device.receive().await;
                self.reply(&request, level, None).await;
                let response = in_time(read).await.expect("no panic").expect("an answer");
                let Content::Values(values) = response.content else {
                    panic!("{what}: {response:?}");
                };
                assert_eq!(levels(&values.records), seen, "{what}");
            }
            Step::Connect(identity, works) => {
                let mut device = SecurePeer::new(&self.server).await;
                let connected = device.connect(identity.as_bytes(), KEY).await;
                assert_eq!(connected.is_ok(), works, "{what}");
                if works {
                    device.register(&format!("ep={identity}&lwm2m=1.1")).await;
                }
            }
            seen => self.see(seen, what).await,
        }
    }

    async fn see(&mut self, step: Step, what: &str) {
        let hook = self.hook.name();
        let events = &mut self.events;
        match step {
            Step::Annotations(expected) => {
                let registration = self.server.registration("a").await.expect(what);
                let annotations: Vec<(&str, &str)> = (registration.annotations.iter())
                    .map(|(key, value)| (key.as_str(), value.as_str()))
                    .collect();
                assert_eq!(annotations, expected, "{what}");
            }
            Step::Lifetime(lifetime_s) => {
                let registration = self.server.registration("a").await.expect(what);
                assert_eq!(registration.lifetime_s, lifetime_s, "{what}");
            }
            Step::NotRegistered => {
                assert!(self.server.registration("a").await.is_none(), "{what}");
            }
            Step::Refused(code, text) => {
                let refused = event(events, |event| match &event.kind {
                    EventKind::Refused { code, reason, .. } => {
                        Some((*code, reason.message.to_string()))
                    }
                    _ => None,
                });
                let (refused, message) = refused.await;
                assert_eq!(refused, code, "{what}: {message}");
                assert!(message.contains(text), "{what}: {message}");
            }
            Step::Values(expected) => {
                let values = event(events, |event| match &event.kind {
                    EventKind::Send { values } | EventKind::Notification { values, .. } => {
                        Some(levels(&values.records))
                    }
                    _ => None,
                });
                assert_eq!(values.await, expected, "{what}");
            }
            Step::Series(name, unit, level) => {
                let series = event(events, |event| match &event.kind {
                    EventKind::Series { series } => Some(series.clone()),
                    _ => None,
                });
                let series = series.await;
                assert_eq!(series.len(), 1, "{what}");
                let told = (series[0].name.as_str(), series[0].unit.as_deref());
                assert_eq!(told, (name, Some(unit)), "{what}");
                assert_eq!(series[0].record, Record::new(BATTERY, level), "{what}");
            }
            Step::Document(expected, text) => {
                let document = event(events, |event| match &event.kind {
                    EventKind::Document { content_type, body } => {
                        Some((content_type.clone(), body.clone()))
                    }
                    _ => None,
                });
                let (content_type, body) = document.await;
                assert_eq!(content_type, expected, "{what}");
                assert_eq!(body, text.as_bytes(), "{what}");
            }
            Step::Published(kind, json) => {
                let published = event(events, |event| match &event.kind {
                    EventKind::Published { kind, json, .. } => Some((kind.clone(), json.clone())),
                    _ => None,
                });
                let expected = (kind.to_owned(), json.to_owned());
                assert_eq!(published.await, expected, "{what}");
            }
            Step::Failed => {
                let failed = event(events, |event| match &event.kind {
                    EventKind::ExtensionFailed { hook, .. } => Some(*hook),
                    _ => None,
                });
                assert_eq!(failed.await, Some(hook), "{what}");
            }
            done => panic!("{what}: {done:?} is done, not seen"),
        }
    }

    async fn observe(&mut self, level: i64) {
        let device = self.server.device("a");
        let observing = tokio::spawn(async move { device.observe_path(BATTERY).await });
        let request = self.device.receive().await;
        self.reply(&request, level, Some(1)).await;
        let observed = in_time(observing).await.expect("no panic");
        assert!(observed.expect("an answer").observation.is_some());
        self.observed = Some((request, 1));
    }

    async fn notify(&mut self, level: i64, what: &str) {
        let Some((request, sequence)) = &mut self.observed else {
            panic!("{what}: nothing is observed");
        };
        *sequence += 1;
        let notification = Outgoing {
            message_type: MessageType::Confirmable,
            message_id: 4000 + *sequence as u16,
            ..self.device.answer(request, Code::CONTENT)
        };
        let sequence = sequence.to_be_bytes();
        let notification = notification
            .option(OptionNumber::OBSERVE, &sequence[3..])
            .format(0)
            .payload(level.to_string());
        self.device.send(&notification.encode()).await;
        let acknowledged = self.device.receive().await;
        assert_eq!(
            acknowledged.message_type,
            MessageType::Acknowledgement,
            "{what}"
        );
    }

    async fn reply(&mut self, request: &Incoming, level: i64, observe: Option<u8>) {
        let answer = self.device.answer(request, Code::CONTENT);
        let answer = match observe {
            Some(sequence) => answer.option(OptionNumber::OBSERVE, [sequence]),
            None => answer,
        };
        let answer = answer.format(0).payload(level.to_string());
        self.device.send(&answer.encode()).await;
    }
}

fn levels(records: &[Record<'_>]) -> Vec<i64> {
    let level = |record: &Record<'_>| match record.value {
        Value::Integer(level) => level,
        ref other => panic!("an integer: {other:?}"),
    };
    records.iter().map(level).collect()
}
