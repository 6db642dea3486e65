//! The limits of observe plans, each at one more.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lwm2m_device::DeviceHandle;
use lwm2m_server::hooks::{Grouping, ObservePlan, ObserveTarget};
use lwm2m_server::observe::ObserveStrategy::{CompositeAll, Single};
use lwm2m_server::{
    Answer, Event, EventKind, Events, Hook, HookSet, Interceptor, Limits, Registration, Server,
    ServerConfig,
};
use tokio::sync::Semaphore;

use super::stand::{all, device, server};
use crate::peer::event;
use crate::site::{V1_1, in_time, path};

const PATHS: &[&str] = &["/3/0/16", "/3303/0/5700"];

fn config(change: impl FnOnce(&mut Limits)) -> ServerConfig {
    let mut config = ServerConfig::default();
    change(&mut config.limits);
    config
}

async fn start(server: &Server, names: impl IntoIterator<Item = String>) -> Vec<DeviceHandle> {
    let mut devices = Vec::new();
    for name in names {
        let device = device(server, &name, V1_1).start().await.expect("a port");
        in_time(device.wait_registered()).await.expect("accepted");
        devices.push(device);
    }
    devices
}

fn numbered(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("meter-{number}"))
}

/// Waits until the plans of so many different devices have been carried out.
async fn established(events: &mut Events, count: usize) {
    let mut devices = HashSet::new();
    while devices.len() < count {
        let established = |event: &Event| match event.kind {
            EventKind::ObserveEstablished { .. } => event.endpoint.clone(),
            _ => None,
        };
        devices.insert(event(events, established).await);
    }
}

#[tokio::test]
async fn one_device_more_than_in_a_second_is_looked_at_in_the_next_one() {
    for per_second in [1, 2] {
        let config = config(|limits| limits.observe_replans_per_second = per_second);
        let server = server(|server| server.config(config).observe(all(Single, PATHS))).await;
        let mut events = server.events();
        let count = per_second as usize + 1;
        let _devices = start(&server, numbered(count)).await;
        established(&mut events, count).await;
        let begun = Instant::now();
        server
            .set_observe_strategies(all(CompositeAll, PATHS))
            .expect("taken");
        assert!(server.observe_progress().changing);
        established(&mut events, count).await;
        // Timers may be that much ahead.
        let ahead = Duration::from_millis(20);
        assert!(begun.elapsed() + ahead >= Duration::from_secs(1));
    }
}

#[tokio::test]
async fn who_registers_does_not_wait_for_a_look_at_all_devices() {
    const DEVICES: usize = 60;
    let config = config(|limits| limits.observe_replans_per_second = 1);
    let server = server(|server| server.config(config).observe(all(Single, PATHS))).await;
    let mut events = server.events();
    let _devices = start(&server, numbered(DEVICES)).await;
    established(&mut events, DEVICES).await;
    server
        .set_observe_strategies(all(CompositeAll, PATHS))
        .expect("taken");
    let _new = start(&server, ["new".to_owned()]).await;
    let is_new = |event: &Event| {
        let is_it = event
            .endpoint
            .as_ref()
            .is_some_and(|it| it.as_str() == "new");
        matches!(event.kind, EventKind::ObserveEstablished { .. } if is_it).then_some(())
    };
    event(&mut events, is_new).await;
    assert!(server.observe_progress().changing, "a minute is not over");
    let standing = server.device("new").observations().await;
    assert_eq!(standing.expect("registered").len(), 1);
}

#[tokio::test]
async fn one_word_more_than_may_wait_has_all_devices_looked_at() {
    const MAX: usize = 3;
    for count in [MAX, MAX + 1] {
        let config = config(|limits| limits.observe_looks_max = MAX);
        let server = server(|server| server.config(config).observe(all(Single, PATHS))).await;
        let mut events = server.events();
        // Plans are made on the runtime of this thread, and devices are on one of their own: until this
        // thread waits for something, words only gather.
        let devices = server.clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let _devices = start(&devices, numbered(count)).await;
                drop(devices);
                let _ = stopped.await;
            });
        });
        while server.statistics().registered < count as u64 {
            std::thread::yield_now();
        }
        let missed = server.statistics().observe_looks_missed;
        assert_eq!(missed, (count - MAX) as u64);
        established(&mut events, count).await;
        for name in numbered(count) {
            let standing = server.device(&name).observations().await;
            assert_eq!(standing.expect("registered").len(), 2, "{name}");
        }
        drop(stop);
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        joined.expect("it runs").expect("no panic");
    }
}

/// Plans only when it is let.
struct Deliberate {
    inside: Arc<AtomicUsize>,
    peak: Arc<AtomicUsize>,
    let_go: Arc<Semaphore>,
}

impl Interceptor for Deliberate {
    fn hooks(&self) -> HookSet {
        HookSet::EMPTY.with(Hook::ObservePlan)
    }

    fn observe_plan(&self, _: &Arc<Registration>) -> Answer<Option<ObservePlan>> {
        let (inside, peak) = (Arc::clone(&self.inside), Arc::clone(&self.peak));
        let let_go = Arc::clone(&self.let_go);
        Answer::later(async move {
            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
            peak.fetch_max(now, Ordering::SeqCst);
            let_go.acquire().await.expect("it is not closed").forget();
            inside.fetch_sub(1, Ordering::SeqCst);
            Some(ObservePlan {
                targets: vec![ObserveTarget {
                    path: path("/3/0/16"),
                    attributes: Default::default(),
                }],
                grouping: Grouping::Single,
                ..ObservePlan::default()
            })
        })
    }
}

#[tokio::test]
async fn one_plan_more_than_side_by_side_waits_in_line() {
    const MAX: usize = 2;
    const DEVICES: usize = 8;
    let (inside, peak) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let let_go = Arc::new(Semaphore::new(0));
    let deliberate = Deliberate {
        inside: Arc::clone(&inside),
        peak: Arc::clone(&peak),
        let_go: Arc::clone(&let_go),
    };
    let mut config = config(|limits| limits.observe_plans_parallel_max = MAX);
    config.limits.hook_timeout = Duration::from_secs(600);
    let server = server(|server| server.config(config).intercept(deliberate)).await;
    let mut events = server.events();
    let _devices = start(&server, numbered(DEVICES)).await;
    for left in (1..=DEVICES).rev() {
        // All that may are inside, and none besides.
        while inside.load(Ordering::SeqCst) < left.min(MAX) {
            tokio::task::yield_now().await;
        }
        let_go.add_permits(1);
        established(&mut events, 1).await;
    }
    assert_eq!(peak.load(Ordering::SeqCst), MAX);
}
