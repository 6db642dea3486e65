//! The clock by which endless loops are found.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use wasmtime::Engine;

/// Raises the epoch of an engine while components run; a component looks at it in every loop, and
/// asks whether its time is up when it has changed. Sleeps when nothing runs.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    /// Calls that run.
    calls: AtomicU32,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// How often the epoch rises: how much longer than its deadline a loop may run.
const TICK: Duration = Duration::from_millis(2);

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
        self.shared.calls.fetch_add(1, Ordering::SeqCst);
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
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn run(&self, tick: impl Fn()) {
        let mut idle = 0;
        while !self.stop.load(Ordering::SeqCst) {
            idle = match self.calls.load(Ordering::SeqCst) {
                0 => idle + 1,
                _ => 0,
            };
            if idle <= IDLE_TICKS {
                thread::sleep(TICK);
                tick();
                continue;
            }
            // Whoever comes now sees that it is asleep, or is seen here: one of both is first.
            self.asleep.store(true, Ordering::SeqCst);
            if self.calls.load(Ordering::SeqCst) == 0 && !self.stop.load(Ordering::SeqCst) {
                thread::park();
            }
            self.asleep.store(false, Ordering::SeqCst);
        }
    }
}
