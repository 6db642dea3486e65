//! A server with strategies, and the device `a`, which writes down what is done to it.

use std::collections::HashMap;

use lwm2m_coap::Code;
use lwm2m_core::{Attributes, Version};
use lwm2m_device::objects::{DeviceObject, Temperature};
use lwm2m_device::{Device, DeviceBuilder, DeviceEvent, DeviceHandle};
use lwm2m_server::observe::{ObserveRule, ObserveStrategies, ObserveStrategy};
use lwm2m_server::{
    Event, EventKind, Events, Listener, ObservationInfo, ObservationTarget, Server, ServerBuilder,
    ServerConfig,
};
use tokio::sync::broadcast;

use crate::peer;
use crate::site::{in_time, path};

pub(super) struct Stand {
    pub(super) server: Server,
    pub(super) device: DeviceHandle,
    pub(super) events: Events,
    doings: broadcast::Receiver<DeviceEvent>,
    /// What the device observes, by its own ids.
    observed: HashMap<lwm2m_device::ObservationId, String>,
}

/// Made, cancelled, failed.
pub(super) type Tally = (usize, usize, usize);

impl Stand {
    pub(super) async fn new(strategies: ObserveStrategies, version: Version) -> Stand {
        Stand::of(
            |server| server.observe(strategies),
            version,
            |device| device,
        )
        .await
    }

    /// A device with the objects 1, 3 and two instances of 3303; not waiting for its registration.
    pub(super) async fn of(
        configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
        version: Version,
        build: impl FnOnce(DeviceBuilder) -> DeviceBuilder,
    ) -> Stand {
        let server = server(configure).await;
        let events = server.events();
        let device = build(device(&server, "a", version)).start().await;
        let device = device.expect("a port");
        Stand {
            doings: device.events(),
            server,
            device,
            events,
            observed: HashMap::new(),
        }
    }

    pub(super) async fn event<T>(&mut self, wanted: impl FnMut(&Event) -> Option<T>) -> T {
        peer::event(&mut self.events, wanted).await
    }

    /// Waits until the next plan has been carried out.
    pub(super) async fn established(&mut self) -> Tally {
        self.event(|event| match event.kind {
            EventKind::ObserveEstablished {
                made,
                cancelled,
                failed,
            } => Some((made, cancelled, failed)),
            _ => None,
        })
        .await
    }

    /// The next plan: who made it, and what it leaves out.
    pub(super) async fn planned(&mut self) -> (Option<String>, Vec<String>) {
        self.event(|event| match &event.kind {
            EventKind::ObservePlanned {
                owner, left_out, ..
            } => Some((
                owner.clone(),
                left_out.iter().map(ToString::to_string).collect(),
            )),
            _ => None,
        })
        .await
    }

    /// The next thing of a plan that did not succeed: what, the device's code, the stable word. There
    /// is always a way to mend it.
    pub(super) async fn failure(&mut self) -> (&'static str, Option<Code>, &'static str) {
        self.event(|event| match &event.kind {
            EventKind::ObserveFailed {
                operation,
                code,
                reason,
                ..
            } => {
                assert!(reason.hint.is_some(), "{reason:?}");
                Some((*operation, *code, reason.code))
            }
            _ => None,
        })
        .await
    }

    /// What was done to the device since the last look, in order: attributes that were written, `+`
    /// for what is observed, `-` for what is not any more.
    pub(super) fn done(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        while let Ok(event) = self.doings.try_recv() {
            match event {
                DeviceEvent::Requested {
                    method: Code::PUT,
                    path,
                    code,
                } => {
                    let path = path.expect("a path");
                    done.push(format!("{path} {}", code.expect("an answer")));
                }
                DeviceEvent::ObservationStarted { id, paths } => {
                    let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
                    let paths = paths.join(" ");
                    done.push(format!("+{paths}"));
                    self.observed.insert(id, paths);
                }
                DeviceEvent::ObservationEnded { id } => {
                    let paths = self.observed.remove(&id).expect("it stood");
                    done.push(format!("-{paths}"));
                }
                _ => {}
            }
        }
        done
    }

    pub(super) async fn observations(&self) -> Vec<ObservationInfo> {
        let device = self.server.device("a");
        in_time(device.observations())
            .await
            .expect("it is registered")
    }

    /// The observations that stand, sorted; composites in brackets, those of plans with a star.
    pub(super) async fn standing(&self) -> Vec<String> {
        let observations = self.observations().await;
        let on_device = self
            .device
            .wait_for(|s| s.observations == observations.len());
        in_time(on_device).await;
        let mut standing: Vec<String> = observations.iter().map(written).collect();
        standing.sort();
        standing
    }
}

/// A server with two shards.
pub(super) async fn server(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Server {
    let mut config = ServerConfig::default();
    config.shards = 2;
    let builder = Server::builder()
        .config(config)
        .listen(Listener::coap(([127, 0, 0, 1], 0).into()));
    let server = configure(builder).start().await;
    server.expect("the server starts")
}

pub(super) fn device(server: &Server, endpoint: &str, version: Version) -> DeviceBuilder {
    Device::builder(endpoint)
        .server(server.local_addresses()[0])
        .version(version)
        .lifetime_s(86400)
        .object(DeviceObject::minimal(version, "Model 500", "000000001"))
        .object(Temperature::new(2))
}

/// One rule for all devices.
pub(super) fn all(strategy: ObserveStrategy, paths: &[&str]) -> ObserveStrategies {
    ObserveStrategies::default().rule(rule(strategy, paths))
}

pub(super) fn rule(strategy: ObserveStrategy, paths: &[&str]) -> ObserveRule {
    let rule = ObserveRule::new(strategy);
    paths.iter().fold(rule, |rule, text| rule.path(path(text)))
}

pub(super) fn attributes(query: &str) -> Attributes {
    Attributes::from_query(query.split('&')).expect("attributes")
}

fn written(observation: &ObservationInfo) -> String {
    let star = if observation.planned { "*" } else { "" };
    match &observation.target {
        ObservationTarget::Single(path) => format!("{path}{star}"),
        ObservationTarget::Composite(paths) => {
            let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
            format!("[{}]{star}", paths.join(" "))
        }
    }
}
