//! What a component costs: CPU time of a call, time to load, memory.
//!
//! `cargo run --release -p lwm2m-plugins --example component_figures [COMPONENT.wasm]`; without a
//! component, one made of WebAssembly text answers, which costs the least that one can.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program speaks to its terminal

#[allow(dead_code)] // the tests use all of it
#[path = "../tests/wasm/guest.rs"]
mod guest;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lwm2m_core::{ObjectList, Path as ResourcePath, Record, Value};
use lwm2m_plugins::{PluginHost, PluginsConfig};
use lwm2m_server::hooks::Batch;
use lwm2m_server::{EndpointName, Interceptor, Registration};
use rustix::time::{ClockId, clock_gettime};

/// Calls on their way at once, so that the threads have no time to sleep between two.
const AT_ONCE: usize = 64;

/// How often a figure is taken; the best one counts.
const ROUNDS: usize = 9;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let component = match std::env::args().nth(1) {
        Some(file) => std::fs::read(file).unwrap(),
        None => guest::Guest::of("plugin").build(),
    };
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    std::fs::write(plugins.join("first.wasm"), &component).unwrap();
    let config = PluginsConfig {
        directory: Some(plugins.clone()),
        cache: Some(folder.path().join("cache")),
        ..PluginsConfig::default()
    };
    let begun = Instant::now();
    let host = PluginHost::with(config).await.unwrap();
    println!(
        "start of the host, with compiling {} KiB: {:?}",
        component.len() / 1024,
        begun.elapsed()
    );
    for status in host.list() {
        println!("{}: {:?} {:?}", status.name, status.hooks, status.error);
    }

    let registration = registration();
    let call = || {
        let answer = host.on_register(&registration);
        async move {
            answer.await;
        }
    };
    figure("on_register, 20 links", call).await;
    let batch = batch();
    let call = || {
        let answer = host.transform(&batch);
        async move {
            answer.await;
        }
    };
    figure("transform, 5 measurements", call).await;
    let update = Arc::default();
    let call = || {
        let answer = host.on_update(&registration, &update);
        async move {
            answer.await;
        }
    };
    figure("on_update, 20 links", call).await;

    load(&host, &plugins, &component);
}

/// CPU time of all threads, and time from question to answer, of one call.
async fn figure<F: Future<Output = ()>>(name: &str, call: impl Fn() -> F) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        const BATCHES: u32 = 200;
        let cpu = cpu_time();
        for _ in 0..BATCHES {
            futures_util::future::join_all((0..AT_ONCE).map(|_| call())).await;
        }
        best.0 = best.0.min((cpu_time() - cpu) / (BATCHES * AT_ONCE as u32));
        let begun = Instant::now();
        for _ in 0..BATCHES {
            call().await;
        }
        best.1 = best.1.min(begun.elapsed() / BATCHES);
    }
    println!("{name}: {:?} CPU, {:?} alone", best.0, best.1);
}

/// The same component under other names, so that each is loaded from the cache.
fn load(host: &PluginHost, plugins: &Path, component: &[u8]) {
    const COPIES: usize = 50;
    let memory = resident_kib();
    let mut best = Duration::MAX;
    for n in 0..COPIES {
        std::fs::write(plugins.join(format!("copy-{n}.wasm")), component).unwrap();
        let begun = Instant::now();
        host.reload();
        best = best.min(begun.elapsed());
    }
    println!("load from the cache, with init: {best:?}");
    let memory = resident_kib().saturating_sub(memory) / COPIES;
    let own = host.list().last().map_or(0, |status| status.memory / 1024);
    println!("an idle plugin: {memory} KiB resident, {own} KiB of them its memory");
}

fn registration() -> Arc<Registration> {
    let name = EndpointName::new("urn:imei:350000000000001").unwrap();
    let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
    let mut registration = Registration::new(name, peer);
    let mut links = String::from("</1/0>,</3/0>;ver=1.1");
    for instance in 0..18 {
        links += &format!(",</3303/{instance}>");
    }
    registration.objects = Arc::new(ObjectList::parse(links.as_bytes()).unwrap());
    Arc::new(registration)
}

fn batch() -> Arc<Batch> {
    let record = |instance| {
        Record::new(
            ResourcePath::resource(3303, instance, 5700),
            Value::Float(21.5),
        )
    };
    let name = EndpointName::new("urn:imei:350000000000001").unwrap();
    Arc::new(Batch::new(name, (0..5).map(record).collect()))
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
