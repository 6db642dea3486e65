//! Calls of a plugin, loading it, keeping it.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use lwm2m_core::{ObjectList, Path, Record, Value};
use lwm2m_plugins::{PluginHost, PluginsConfig};
use lwm2m_server::hooks::{Batch, Outcome};
use lwm2m_server::{Decision, EndpointName, Hook, Interceptor, Registration};
use rustix::time::{ClockId, clock_gettime};

use super::guests::{Form, Hosted};
use crate::process::resident_bytes;
use crate::report::{Cell, Report};

/// Calls on their way at once, so that the threads have no time to sleep between two.
const AT_ONCE: usize = 64;

/// Calls of a round, of each of those.
const BATCHES: u32 = 200;

/// Plugins that are loaded for one figure.
const COPIES: u32 = 50;

pub(super) fn run(forms: &[Form], rounds: u32) -> anyhow::Result<Vec<Report>> {
    let columns = ["plugin", "hook", "cpu_us", "alone_us", "fuel"];
    let mut calls = Report::new("Calls of a plugin", &columns);
    let columns = ["plugin", "first_ms", "load_ms", "resident_kib", "own_kib"];
    let mut loads = Report::new("Plugins that are loaded and wait", &columns);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for form in forms {
        runtime.block_on(measure(form, rounds, &mut calls))?;
        runtime.block_on(load(form, &mut loads))?;
    }
    calls.note(format!(
        "cpu_us: CPU time of all threads for a call from the server to its answer, {AT_ONCE} on \
         their way at once; alone_us: time from question to answer, one at a time; fuel: what the \
         component computes in a call, without unit"
    ));
    loads.note(
        "first_ms: start of the host with the plugin, which compiles it; load_ms: one more like it, \
         from the cache for a component, with its init; resident_kib: memory of the process for \
         each of these, own_kib the part that its instances hold",
    );
    Ok(vec![calls, loads])
}

async fn measure(form: &Form, rounds: u32, report: &mut Report) -> anyhow::Result<()> {
    let hosted = Hosted::new(form, "bench")?;
    let host = Hosted::open(hosted.config()?).await?;
    let counting = PluginsConfig {
        fuel: true,
        ..hosted.config()?
    };
    let counting = Hosted::open(counting).await?;
    let (registration, batch) = (registration()?, batch()?);
    let decided = host.on_register(&registration).await;
    let Decision::Annotate(facts) = &decided else {
        anyhow::bail!("{decided:?}");
    };
    ensure!(
        facts.set == [("sensors".to_owned(), "18".to_owned())],
        "{facts:?}"
    );
    let outcome = host.transform(&batch).await;
    let Outcome::Replace(records) = &outcome else {
        anyhow::bail!("{outcome:?}");
    };
    let warm = Value::Float(21.5 * 1.8 + 32.0);
    ensure!(
        records.iter().all(|record| record.value == warm),
        "{records:?}"
    );
    counting.on_register(&registration).await;
    counting.transform(&batch).await;

    let call = || {
        let answer = host.on_register(&registration);
        async move { drop(answer.await) }
    };
    let figures = figures(call, rounds).await;
    row(
        report,
        form,
        "on_register, 20 links",
        figures,
        &counting,
        Hook::OnRegister,
    );
    let call = || {
        let answer = host.transform(&batch);
        async move { drop(answer.await) }
    };
    let figures = self::figures(call, rounds).await;
    row(
        report,
        form,
        "transform, 5 measurements",
        figures,
        &counting,
        Hook::Transform,
    );
    let nobody = not_asked(&host, rounds);
    report.row(vec![
        Cell::Text(form.name().to_owned()),
        Cell::Text("a hook that none has".to_owned()),
        Cell::Number(nobody, 4),
        Cell::Number(nobody, 4),
        Cell::Number(0.0, 0),
    ]);
    Ok(())
}

fn row(
    report: &mut Report,
    form: &Form,
    what: &str,
    (cpu, alone): (Duration, Duration),
    counting: &PluginHost,
    hook: Hook,
) {
    let list = counting.list();
    let figures = list.first().map(|status| status.figures.as_slice());
    let figures = figures.unwrap_or_default().iter();
    let fuel = figures
        .filter(|f| f.hook == hook)
        .map(|f| f.fuel)
        .sum::<u64>();
    report.row(vec![
        Cell::Text(form.name().to_owned()),
        Cell::Text(what.to_owned()),
        Cell::Number(cpu.as_secs_f64() * 1e6, 2),
        Cell::Number(alone.as_secs_f64() * 1e6, 1),
        Cell::Number(fuel as f64, 0),
    ]);
}

/// CPU time of all threads, and time from question to answer, of one call.
async fn figures<F: Future<Output = ()>>(
    call: impl Fn() -> F,
    rounds: u32,
) -> (Duration, Duration) {
    let mut best = (Duration::MAX, Duration::MAX);
    for _ in 0..rounds {
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
    best
}

/// What a hook costs that no plugin has, in microseconds: the server looks, and goes on.
fn not_asked(host: &PluginHost, rounds: u32) -> f64 {
    const TIMES: u32 = 1_000_000;
    let host: &dyn Interceptor = std::hint::black_box(host);
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        let begun = Instant::now();
        for _ in 0..TIMES {
            let hook = std::hint::black_box(Hook::OnBootstrapped);
            std::hint::black_box(host.hooks().contains(hook));
        }
        best = best.min(begun.elapsed());
    }
    best.as_secs_f64() * 1e6 / f64::from(TIMES)
}

/// The same plugin under other names, so that a component is loaded from the cache.
async fn load(form: &Form, report: &mut Report) -> anyhow::Result<()> {
    let hosted = Hosted::new(form, "bench")?;
    let mut config = hosted.config()?;
    let plugins = config.directory.clone().context("a folder of plugins")?;
    let settings = config.plugin.first().context("settings")?.clone();
    let copies = (0..COPIES).map(|n| format!("copy-{n}"));
    // Those that are not there yet are no error of this bench.
    config.plugin.extend(copies.clone().map(|name| {
        let mut settings = settings.clone();
        settings.name = name;
        settings
    }));
    let begun = Instant::now();
    let host = PluginHost::with(config).await?;
    let first = begun.elapsed();
    let code = form.code("bench");
    let ending = form.file().trim_start_matches("bench");
    let memory = resident_bytes("self")?;
    let mut best = Duration::MAX;
    for name in copies {
        fs::write(plugins.join(format!("{name}{ending}")), &code)?;
        let begun = Instant::now();
        // The folder is followed as well: whoever is first loads it.
        if host.reload() {
            best = best.min(begun.elapsed());
        }
    }
    let memory = resident_bytes("self")?.saturating_sub(memory) / u64::from(COPIES);
    let list = host.list();
    if let Some(error) = list.iter().find_map(|status| status.error.as_ref()) {
        anyhow::bail!("{error}");
    }
    let own = list.last().map_or(0, |status| status.memory);
    report.row(vec![
        Cell::Text(form.name().to_owned()),
        Cell::Number(first.as_secs_f64() * 1e3, 1),
        Cell::Number(best.as_secs_f64() * 1e3, 2),
        Cell::Number(memory as f64 / 1024.0, 0),
        Cell::Number(own as f64 / 1024.0, 0),
    ]);
    Ok(())
}

fn registration() -> anyhow::Result<Arc<Registration>> {
    let peer = SocketAddr::from(([127, 0, 0, 1], 40_000));
    let mut registration = Registration::new(endpoint()?, peer);
    let mut links = String::from("</1/0>,</3/0>;ver=1.1");
    for instance in 0..18 {
        links += &format!(",</3303/{instance}>");
    }
    registration.objects = Arc::new(ObjectList::parse(links.as_bytes())?);
    Ok(Arc::new(registration))
}

fn batch() -> anyhow::Result<Arc<Batch>> {
    let path = |instance| Path::resource(3303, instance, 5700);
    let record = |instance| Record::new(path(instance), Value::Float(21.5));
    Ok(Arc::new(Batch::new(
        endpoint()?,
        (0..5).map(record).collect(),
    )))
}

fn endpoint() -> anyhow::Result<EndpointName> {
    EndpointName::new("urn:imei:350000000000001").context("a name")
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
