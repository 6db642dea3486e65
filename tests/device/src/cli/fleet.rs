//! Many devices, told by counters.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lwm2m_device::{Fleet, FleetConfig, Job, RegistrationError, Storm, StormConfig, StormOutcome};

use super::progress::Progress;
use super::server::Target;
use super::{Arguments, until_the_end};

const SECOND: Duration = Duration::from_secs(1);

/// How long the devices may take to leave.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs full clients.
pub(super) async fn run_fleet(arguments: &Arguments, target: Target, count: usize) -> Result<()> {
    let mut config = FleetConfig::new(target.address, count);
    if target.is_secure {
        let endpoint = |number| format!("{}{number}", arguments.prefix);
        let account = |number| arguments.security.account(&endpoint(number));
        config.accounts = (1..=count).map(account).collect::<Result<_>>()?;
    }
    config.ramp_per_s = arguments.ramp;
    config.prefix.clone_from(&arguments.prefix);
    config.version = arguments.version;
    config.lifetime_s = arguments.lifetime;
    config.queue_mode = arguments.queue_mode;
    config.interval = arguments.interval();
    let fleet = Fleet::start(config).context("--count")?;
    let mut progress = Progress::new(count as u64);
    let end = until_the_end(arguments.run_for);
    tokio::pin!(end);
    let mut tick = tokio::time::interval(SECOND);
    loop {
        tokio::select! {
            () = &mut end => break,
            _ = tick.tick() => {}
        }
        let status = fleet.status();
        progress.show(status);
        if let (0, Some(RegistrationError::Refused { code, reason })) =
            (status.registrations, fleet.last_error())
            && code.class() == 4
        {
            progress.finish();
            let name = format!("{}1", arguments.prefix);
            bail!("the server refuses devices such as '{name}' with {code:?} {reason}");
        }
    }
    progress.finish();
    let status = fleet.status();
    println!("{} devices de-register", status.registered);
    if let Some(error) = fleet.last_error() {
        println!("{} errors, the last: {error}", status.errors);
    }
    fleet.deregister(PATIENCE).await;
    Ok(())
}

/// Runs compact devices.
pub(super) async fn run_storm(arguments: &Arguments, server: SocketAddr, count: u32) -> Result<()> {
    let mut config = StormConfig::new(server, count);
    config.prefix.clone_from(&arguments.prefix);
    config.version = arguments.version;
    config.lifetime_s = arguments.lifetime;
    let storm = Storm::start(config).await.context("--count")?;
    let mut progress = Progress::new(u64::from(count));
    {
        let end = until_the_end(arguments.run_for);
        let life = live(&storm, arguments, count);
        tokio::pin!(end, life);
        let mut tick = tokio::time::interval(SECOND);
        loop {
            tokio::select! {
                () = &mut end => break,
                refused = &mut life => {
                    progress.finish();
                    return refused;
                }
                _ = tick.tick() => progress.show(storm.status()),
            }
        }
    }
    progress.finish();
    println!("{} devices de-register", storm.status().registered);
    // Those that are late stop without a word.
    let leave = storm.run(Job::Deregister, None);
    if tokio::time::timeout(PATIENCE, leave).await.is_err() {
        println!("not all have left within {} s", PATIENCE.as_secs());
    }
    Ok(())
}

/// Registers all, then updates and notifies in turns.
async fn live(storm: &Storm, arguments: &Arguments, count: u32) -> Result<()> {
    let registered = storm.run(Job::Register, Some(arguments.ramp)).await;
    if registered.done == 0 {
        bail!("no device could register: {}", why(&registered));
    }
    let lifetime = f64::from(arguments.lifetime);
    // Spread over half the lifetime, so that a slow round is still in time.
    let per_second = (lifetime > 0.0).then(|| f64::from(count) / (lifetime * 0.5));
    let mut update = timer((lifetime > 0.0).then(|| Duration::from_secs_f64(lifetime * 0.75)));
    let mut notify = timer(arguments.interval());
    loop {
        tokio::select! {
            _ = update.tick() => {
                storm.run(Job::Update, per_second).await;
                // Those that the server has forgotten.
                storm.run(Job::Register, Some(arguments.ramp)).await;
            }
            _ = notify.tick() => {
                storm.run(Job::Notify { confirmable: false }, None).await;
            }
        }
    }
}

/// Ticks after each period; without one, hardly ever.
fn timer(period: Option<Duration>) -> tokio::time::Interval {
    let period = period.unwrap_or(Duration::from_secs(86_400 * 365));
    let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    timer
}

fn why(outcome: &StormOutcome) -> String {
    match outcome.refused {
        Some(code) => format!("the server answers {code:?}"),
        None => "the server does not answer".to_owned(),
    }
}
