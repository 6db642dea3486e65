//! A loaded component: warm instances, as many as run at once.

use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use lwm2m_server::HookSet;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;
use wasmtime::component::InstancePre;

use super::instance::{Exports, Instance, StartError, State};
use super::ticker::Ticker;
use crate::context::{Allowance, CallContext};
use crate::stripes::Stripes;
use crate::{Call, Failure, LoadError, Reply};

/// A loaded component.
pub(crate) struct Component {
    pre: InstancePre<State>,
    exports: Exports,
    hooks: HookSet,
    /// What `init` gets.
    config: String,
    allowance: Arc<Allowance>,
    ticker: Arc<Ticker>,
    /// Instances that wait for a call; a thread takes that which it has used last, if it can.
    warm: Stripes<Mutex<Vec<Warm>>>,
    /// Instances that may exist beside those that do.
    slots: Arc<Semaphore>,
    /// Calls that wait for an instance.
    in_line: AtomicU32,
    /// Tells them of one that has become warm.
    returned: Notify,
    /// Bytes that all instances hold.
    memory: Arc<AtomicU64>,
}

/// An instance, with its right to exist.
struct Warm {
    instance: Box<Instance>,
    _slot: OwnedSemaphorePermit,
}

/// How long `init` may take.
const INIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long it may take in all until there is a first instance: more than an `init` that ends by its
/// own time limit.
pub(super) const START_TIMEOUT: Duration = INIT_TIMEOUT.saturating_add(Duration::from_secs(5));

/// How much longer than its deadline a call may wait for a host function: the guest itself is
/// stopped by the epoch.
const GRACE: Duration = Duration::from_millis(2);

impl Component {
    pub(super) fn new(
        pre: InstancePre<State>,
        exports: Exports,
        hooks: HookSet,
        config: String,
        allowance: &Arc<Allowance>,
        ticker: &Arc<Ticker>,
    ) -> Component {
        Component {
            pre,
            exports,
            hooks,
            config,
            allowance: Arc::clone(allowance),
            ticker: Arc::clone(ticker),
            warm: Stripes::default(),
            slots: Arc::new(Semaphore::new(allowance.limits.instances_max as usize)),
            in_line: AtomicU32::new(0),
            returned: Notify::new(),
            memory: Arc::default(),
        }
    }

    /// Makes the first instance, which is warm from now on.
    ///
    /// # Errors
    /// Why it does not start, for whoever wrote it.
    pub(super) async fn start(&self, file: &Path) -> Result<(), LoadError> {
        let refuse = |what: String| LoadError::new(file, what);
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let slot = slot.map_err(|error| refuse(error.to_string()))?;
        match self.fresh(slot).await {
            Ok(warm) => {
                self.give_back(warm);
                Ok(())
            }
            Err(StartError::Type(error)) => {
                Err(refuse(format!("{error:#}")).hint("build it with the WIT of this server"))
            }
            Err(StartError::Refused(why)) => Err(refuse(format!("its init refused: {why}"))
                .hint("mend its config in [[plugins.plugin]]")),
            Err(StartError::Init(failure)) => Err(refuse(format!("its init failed: {failure}"))),
        }
    }

    pub(crate) fn hooks(&self) -> HookSet {
        self.hooks
    }

    /// Bytes that its instances hold now.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    async fn fresh(&self, slot: OwnedSemaphorePermit) -> Result<Warm, StartError> {
        let begun = Instant::now();
        let context = CallContext::new(&self.allowance, None, None, (begun, INIT_TIMEOUT));
        let _ticking = self.ticker.during_call();
        let late = context.timeout();
        let start = Instance::start(
            &self.pre,
            &self.exports,
            &self.config,
            Arc::new(context),
            &self.memory,
        );
        let started = timeout_at((begun + INIT_TIMEOUT + GRACE).into(), start).await;
        let instance = started.unwrap_or(Err(StartError::Init(late)))?;
        Ok(Warm {
            instance: Box::new(instance),
            _slot: slot,
        })
    }

    /// Calls a hook, with an instance that nobody else uses meanwhile.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn call(
        &self,
        call: &Call,
        context: &Arc<CallContext>,
    ) -> Result<Reply, Failure> {
        let mut warm = match self.take() {
            Some(warm) => warm,
            // Seldom, and most of what a call would hold: apart from it.
            None => Box::pin(self.wait(context)).await?,
        };
        let _ticking = self.ticker.during_call();
        let answer = {
            let called = pin!(warm.instance.call(call, context));
            within_time(called, context).await
        };
        // After a failure it may be in any state, and its memory hold anything: a fresh one takes its
        // place.
        let answer = answer??;
        if warm.instance.calls < self.allowance.limits.recycle_after {
            self.give_back(warm);
        }
        answer
    }

    /// A warm instance, where there is one and nobody waits for it.
    fn take(&self) -> Option<Warm> {
        match self.in_line.load(Ordering::Relaxed) {
            0 => self.find(),
            _ => None,
        }
    }

    fn find(&self) -> Option<Warm> {
        self.warm.all().find_map(|warm| locked(warm).pop())
    }

    fn give_back(&self, warm: Warm) {
        locked(self.warm.mine()).push(warm);
        // Who gets in line from now on finds it; who was in line before is seen here.
        fence(Ordering::SeqCst);
        if self.in_line.load(Ordering::Relaxed) > 0 {
            self.returned.notify_one();
        }
    }

    /// Waits in line for a warm instance, or for the right to make one.
    async fn wait(&self, context: &CallContext) -> Result<Warm, Failure> {
        context.leave_in_passing().await;
        let in_line = InLine::enter(&self.in_line);
        let slot = async {
            loop {
                let mut returned = pin!(self.returned.notified());
                returned.as_mut().enable();
                if let Some(warm) = self.find() {
                    return Ok(warm);
                }
                let slots = Arc::clone(&self.slots);
                tokio::select! {
                    slot = slots.acquire_owned() => return Err(slot),
                    () = returned => {}
                }
            }
        };
        let slot = match timeout_at(context.deadline.into(), slot).await {
            Ok(Ok(warm)) => return Ok(warm),
            Ok(Err(Ok(slot))) => slot,
            Ok(Err(Err(_))) | Err(_) => return Err(context.timeout()),
        };
        // Others take what becomes warm meanwhile.
        drop(in_line);
        let fresh = self.fresh(slot).await.map_err(|error| match error {
            StartError::Type(error) => Failure::Failed(format!("{error:#}")),
            StartError::Refused(why) => Failure::Failed(format!("its init refused: {why}")),
            StartError::Init(failure) => failure,
        })?;
        if context.is_late() {
            self.give_back(fresh);
            return Err(context.timeout());
        }
        Ok(fresh)
    }
}

fn locked(warm: &Mutex<Vec<Warm>>) -> std::sync::MutexGuard<'_, Vec<Warm>> {
    warm.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of those that wait for an instance.
struct InLine<'a>(&'a AtomicU32);

impl InLine<'_> {
    fn enter(in_line: &AtomicU32) -> InLine<'_> {
        in_line.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        InLine(in_line)
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits for a guest until a moment after its deadline. Most are done at once, so that the timer is
/// made only for those that are not.
async fn within_time<T>(
    mut work: Pin<&mut impl Future<Output = T>>,
    context: &CallContext,
) -> Result<T, Failure> {
    let begun = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
    if let Poll::Ready(done) = begun {
        return Ok(done);
    }
    // Seldom as well.
    let rest = async move {
        context.leave_in_passing().await;
        timeout_at((context.deadline + GRACE).into(), work).await
    };
    Box::pin(rest).await.map_err(|_| context.timeout())
}
