//! A server with the interceptor of a case, and the device `a`.

use std::sync::Arc;

use lwm2m_coap::{Code, MessageType, OptionNumber};
use lwm2m_core::{Path, Record, Value};
use lwm2m_server::bootstrap::{BootstrapPlan, MemoryBootstrap};
use lwm2m_server::credentials::{CredentialStore, MemoryCredentials};
use lwm2m_server::hooks::{
    FirmwareAction, FirmwareChoice, FirmwareEvent, FirmwareImage, FirmwareJob, FirmwareResult,
    FirmwareStrategy, FirmwareVerdict, Update,
};
use lwm2m_server::{
    Annotations, Answer, Content, Decision, EndpointName, EventKind, Events, Hook, HookSet,
    Interceptor, Listener, ObservationTarget, Registration, Server, ServerConfig,
};

use super::{Case, Happened, Installed, Step, Subject};
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
    /// The same device at the bootstrap server.
    bootstrap: Peer,
    location: String,
    /// The request that observes, and how often it was notified.
    observed: Option<(Incoming, u32)>,
    /// Asked for what the server does not ask yet.
    interceptor: Box<dyn Interceptor>,
    /// The job that it drives, and what it keeps for it.
    delivery: Option<(Arc<FirmwareJob>, Vec<u8>)>,
    _folder: Option<tempfile::TempDir>,
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
        // For what the interceptor of a case does not know.
        let plans = MemoryBootstrap::default();
        plans.set("a", BootstrapPlan::new().delete(Path::object(1)));
        let builder = builder
            .listen(Listener::coap(([127, 0, 0, 1], 0).into()).bootstrap())
            .bootstrap(Arc::new(plans));
        let Installed {
            builder,
            interceptor,
            folder,
        } = subject.install(builder, case).await;
        let builder = builder.intercept(Behind);
        let server = builder.start().await.expect("the server starts");
        let mut device = Peer::new(&server).await;
        device.server = server.local_addresses()[1];
        Stage {
            hook: case.hook,
            events: server.events(),
            device,
            bootstrap: Peer::at(server.local_addresses()[2]).await,
            server,
            location: String::new(),
            observed: None,
            interceptor,
            delivery: None,
            _folder: folder,
        }
    }

    pub(super) async fn play(&mut self, step: Step, what: &str) {
        match step {
            Step::Register(query, code) => {
                let path = format!("rd?ep=a&lwm2m=1.1&{query}");
                let list = "</1/0>,</3/0>,</4/0>,</9>";
                let request = self.device.request(Code::POST, &path).payload(list);
                let answer = self.device.ask(request).await;
                assert_eq!(answer.code, code, "{what}");
                self.location = answer.location();
            }
            Step::Update(query, objects, code) => {
                let path = format!("{}?{query}", self.location);
                let path = path.trim_end_matches('?');
                let request = self.device.request(Code::POST, path).payload(objects);
                assert_eq!(self.device.ask(request).await.code, code, "{what}");
            }
            Step::Deregister => {
                let request = self.device.request(Code::DELETE, &self.location);
                let answer = self.device.ask(request).await;
                assert_eq!(answer.code, Code::DELETED, "{what}");
            }
            Step::Send(level) => {
                let body = format!(r#"[{{"n":"/3/0/9","v":{level}}}]"#);
                let send = self.device.request(Code::POST, "dp").format(110);
                let answer = self.device.ask(send.payload(body)).await;
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
            Step::Attributes(path, query) => {
                let request = self.device.receive().await;
                assert_eq!(request.code, Code::PUT, "{what}");
                assert_eq!(request.path(), path, "{what}");
                assert_eq!(
                    request.values(OptionNumber::URI_QUERY).join("&"),
                    query,
                    "{what}"
                );
                let answer = self.device.answer(&request, Code::CHANGED);
                self.device.send(&answer.encode()).await;
            }
            Step::Observed(path, level) => {
                let request = self.device.receive().await;
                assert_eq!(request.uint(OptionNumber::OBSERVE), Some(0), "{what}");
                assert_eq!(request.path(), path, "{what}");
                self.reply(&request, level, Some(1)).await;
                self.established(what).await;
            }
            Step::ObserveRefused(path, code) => {
                let request = self.device.receive().await;
                assert_eq!(request.uint(OptionNumber::OBSERVE), Some(0), "{what}");
                assert_eq!(request.path(), path, "{what}");
                let answer = self.device.answer(&request, code);
                self.device.send(&answer.encode()).await;
            }
            Step::Connect(identity, works) => {
                let mut device = SecurePeer::new(&self.server).await;
                let connected = device.connect(identity.as_bytes(), KEY).await;
                assert_eq!(connected.is_ok(), works, "{what}");
                if works {
                    device.register(&format!("ep={identity}&lwm2m=1.1")).await;
                }
            }
            Step::Select(version, chosen) => self.select(version, chosen, what).await,
            Step::Drive(happened, next) => self.drive(happened, next, what).await,
            Step::Bootstrap(query, code) => {
                let path = format!("bs?ep=a&pct=110&{query}");
                let path = path.trim_end_matches('&');
                let request = self.bootstrap.request(Code::POST, path);
                assert_eq!(self.bootstrap.ask(request).await.code, code, "{what}");
            }
            Step::Provisioned(code, path, payload) => {
                let request = self.bootstrap.receive().await;
                let payload = payload.as_bytes();
                assert_eq!(
                    (request.code, request.path().as_str(), &request.payload[..]),
                    (code, path, payload),
                    "{what}"
                );
                let done = match code {
                    Code::DELETE => Code::DELETED,
                    _ => Code::CHANGED,
                };
                let answer = self.bootstrap.answer(&request, done);
                self.bootstrap.send(&answer.encode()).await;
            }
            Step::Finished => {
                let request = self.bootstrap.receive().await;
                assert_eq!(
                    (request.code, request.path().as_str()),
                    (Code::POST, "bs"),
                    "{what}"
                );
                let answer = self.bootstrap.answer(&request, Code::CHANGED);
                self.bootstrap.send(&answer.encode()).await;
            }
            seen => self.see(seen, what).await,
        }
    }

    /// Waits until what the device has taken stands.
    async fn established(&self, what: &str) {
        let device = self.server.device("a");
        let stands = async {
            loop {
                let observations = device.observations().await.expect(what);
                if observations.iter().any(|observation| observation.planned) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        in_time(stands).await;
    }

    async fn see(&mut self, step: Step, what: &str) {
        let hook = self.hook.name();
        let events = &mut self.events;
        match step {
            Step::Planned(expected) => {
                let device = self.server.device("a");
                let observations = device.observations().await.expect(what);
                let planned = observations.iter().filter(|o| o.planned);
                let planned: Vec<String> = planned
                    .map(|observation| match &observation.target {
                        ObservationTarget::Single(path) => path.to_string(),
                        ObservationTarget::Composite(paths) => format!("{paths:?}"),
                    })
                    .collect();
                assert_eq!(planned, expected, "{what}");
            }
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

    async fn select(&mut self, version: &str, chosen: &str, what: &str) {
        let name = EndpointName::new("a").expect("a name");
        let target = Arc::new(Registration::new(name, ([127, 0, 0, 1], 40_000).into()));
        let image = FirmwareImage {
            id: "image-1".to_owned(),
            name: "meter".to_owned(),
            version: version.to_owned(),
            size: 4096,
            sha256: [7; 32],
            uris: vec!["coap://127.0.0.1/image".to_owned()],
        };
        let job = Arc::new(FirmwareJob {
            id: "job-1".to_owned(),
            attempt: 1,
            target,
            image,
        });
        let choice = in_time(self.interceptor.firmware(&job).into_future()).await;
        let told = match choice {
            FirmwareChoice::Pass => "no opinion".to_owned(),
            FirmwareChoice::Postpone(seconds) => format!("later, {seconds} s"),
            FirmwareChoice::Refuse(why) => format!("refused: {why}"),
            FirmwareChoice::Deliver(FirmwareStrategy::Object5Push {
                instance,
                block_size,
            }) => format!("push /5/{instance} by {block_size}"),
            FirmwareChoice::Deliver(FirmwareStrategy::Object5Pull { instance, uri }) => {
                format!("pull /5/{instance} from {uri}")
            }
            FirmwareChoice::Deliver(FirmwareStrategy::Object19Push {
                instance,
                block_size,
            }) => format!("push /19/{instance} by {block_size}"),
            FirmwareChoice::Deliver(FirmwareStrategy::Custom(state)) => {
                self.delivery = Some((job, state));
                "custom".to_owned()
            }
            other => format!("{other:?}"),
        };
        assert_eq!(told, chosen, "{what}");
    }

    async fn drive(&mut self, happened: Happened, next: &str, what: &str) {
        let Some((job, state)) = &mut self.delivery else {
            panic!("{what}: nothing is driven");
        };
        let event = match happened {
            Happened::Started => FirmwareEvent::Started,
            Happened::Done => FirmwareEvent::Done(vec![FirmwareResult::Ok; 2]),
            Happened::Timer => FirmwareEvent::Timer,
            Happened::Cancelled => FirmwareEvent::Cancelled,
        };
        let step = self.interceptor.firmware_step(job, state, &event);
        let step = in_time(step.into_future()).await.expect(what);
        let action = |action: &FirmwareAction| match action {
            FirmwareAction::Write(values) => {
                let values = values.iter();
                let values: Vec<_> = values.map(|(path, v)| format!("{path} {v:?}")).collect();
                format!("write {}", values.join(", "))
            }
            FirmwareAction::Wait(ms) => format!("wait {ms} ms"),
            FirmwareAction::SendImage(path) => format!("send the image to {path}"),
            FirmwareAction::Progress(percent) => format!("{percent} %"),
            other => format!("{other:?}"),
        };
        let told = match step.verdict {
            FirmwareVerdict::Running => {
                // Before what an interceptor keeps, a host may say whose it is.
                let kept = step.state.split(|byte| *byte == 0).next_back();
                let kept = String::from_utf8_lossy(kept.unwrap_or_default());
                let actions: Vec<String> = step.actions.iter().map(action).collect();
                format!("{kept}, running: {}", actions.join(", "))
            }
            FirmwareVerdict::Succeeded => "succeeded".to_owned(),
            FirmwareVerdict::Failed(why) => format!("failed: {why}"),
            other => format!("{other:?}"),
        };
        assert_eq!(told, next, "{what}");
        // What is over keeps nothing; the next case of a story goes on from what was before.
        if !step.actions.is_empty() {
            *state = step.state;
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
