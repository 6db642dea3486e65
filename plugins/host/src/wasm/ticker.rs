//! The clock by which endless loops are found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

use crate::stripes::Stripes;

/// Raises the epoch of an engine while components run; a component looks at it in every loop, and
/// asks whether its time is up when it has changed. Sleeps when nothing runs.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    /// Calls that began, less those that ended, on each thread. They may end on another one, so only
    /// the sum says how many run.
    calls: Stripes<AtomicU32>,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// How often the epoch rises.
pub(super) const TICK: Duration = Duration::from_millis(2);

/// Ticks without a call before it goes to sleep; waking it costs those who call a system call.
const IDLE_TICKS: u32 = 250;

impl Ticker {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(engine: &Engine) -> std::io::Result<Ticker> {
        let shared = Arc::new(Shared::default());
        let engine = engine.weak();
        let own = Arc::clone(&shared);
        let builder = thread::Builder::new().name("lwm2m-plugin-ticker".to_owned());
        let thread = builder.spawn(move || {
            own.run(|| match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => own.stop.store(true, Ordering::SeqCst),
            });
        })?;
        let thread = thread.thread().clone();
        Ok(Ticker { shared, thread })
    }

    /// Ticks until what it gives back is dropped.
    pub(super) fn during_call(&self) -> Ticking<'_> {
        self.shared.calls.mine().fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Ticking(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

/// A call that runs.
pub(super) struct Ticking<'a>(&'a Shared);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.calls.mine().fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn is_idle(&self) -> bool {
        let calls = self.calls.all().map(|calls| calls.load(Ordering::SeqCst));
        calls.fold(0, u32::wrapping_add) == 0
    }

    fn run(&self, tick: impl Fn()) {
        let mut idle = 0;
        while !self.stop.load(Ordering::SeqCst) {
            idle = match self.is_idle() {
                true => idle + 1,
                false => 0,
            };
            if idle <= IDLE_TICKS {
                thread::sleep(TICK);
                tick();
                continue;
            }
            // Whoever comes now sees that it is asleep, or is seen here: one of both is first. Also where
            // calls that come and go meanwhile make a wrong sum: they wake it.
            self.asleep.store(true, Ordering::SeqCst);
            if self.is_idle() && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
        }
    }
}
