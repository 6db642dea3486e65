//! A loaded component: warm instances, as many as run at once.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lwm2m_server::HookSet;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout_at;
use wasmtime::component::InstancePre;

use super::instance::{Exports, Instance, StartError, State};
use super::ticker::Ticker;
use crate::context::{Allowance, CallContext};
use crate::guest::Guest;
use crate::services::Services;
use crate::{Call, Failure, LoadError, Reply};

/// A loaded component.
pub(crate) struct Component {
    pre: InstancePre<State>,
    exports: Exports,
    hooks: HookSet,
    /// What `init` gets.
    config: String,
    allowance: Arc<Allowance>,
    services: Arc<Services>,
    ticker: Arc<Ticker>,
    /// Instances that wait for a call; the one that was used last is used next.
    warm: Mutex<Vec<Instance>>,
    /// Instances that may exist.
    slots: Semaphore,
    /// Bytes that all instances hold.
    memory: Arc<AtomicU64>,
}

/// How long `init` may take.
const INIT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much longer than its deadline a call may wait for a host function: the guest itself is
/// stopped by the epoch.
const GRACE: Duration = Duration::from_millis(2);

impl Component {
    pub(super) fn new(
        pre: InstancePre<State>,
        exports: Exports,
        hooks: HookSet,
        config: String,
        (allowance, services): (&Arc<Allowance>, &Arc<Services>),
        ticker: &Arc<Ticker>,
    ) -> Component {
        Component {
            pre,
            exports,
            hooks,
            config,
            allowance: Arc::clone(allowance),
            services: Arc::clone(services),
            ticker: Arc::clone(ticker),
            warm: Mutex::default(),
            slots: Semaphore::new(allowance.limits.instances_max as usize),
            memory: Arc::default(),
        }
    }

    /// Makes the first instance, which is warm from now on.
    ///
    /// # Errors
    /// Why it does not start, for whoever wrote it.
    pub(super) async fn start(&self, file: &Path) -> Result<(), LoadError> {
        let refuse = |what: String| LoadError::new(file, what);
        match self.fresh().await {
            Ok(instance) => {
                self.warm().push(instance);
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

    async fn fresh(&self) -> Result<Instance, StartError> {
        let begun = Instant::now();
        let context = Arc::new(CallContext::new(
            &self.allowance,
            None,
            None,
            (begun, INIT_TIMEOUT),
            &self.services,
        ));
        let _ticking = self.ticker.during_call();
        let late = context.timeout();
        let start = Instance::start(
            &self.pre,
            &self.exports,
            &self.config,
            context,
            &self.memory,
        );
        let started = timeout_at((begun + INIT_TIMEOUT + GRACE).into(), start).await;
        started.unwrap_or(Err(StartError::Init(late)))
    }

    async fn run(&self, call: &Call, context: &Arc<CallContext>) -> Result<Reply, Failure> {
        let _slot = self.slot(context).await?;
        let warm = self.warm().pop();
        let mut instance = match warm {
            Some(instance) => instance,
            // What takes longer than the call may take is there for the next one.
            None => self.fresh().await.map_err(|error| match error {
                StartError::Type(error) => Failure::Failed(format!("{error:#}")),
                StartError::Refused(why) => Failure::Failed(format!("its init refused: {why}")),
                StartError::Init(failure) => failure,
            })?,
        };
        if context.is_late() {
            self.warm().push(instance);
            return Err(context.timeout());
        }
        let _ticking = self.ticker.during_call();
        let answer = instance.call(call, context);
        let answer = match timeout_at((context.deadline + GRACE).into(), answer).await {
            Ok(Ok(answer)) => answer,
            // It may be in any state, and its memory hold anything: a fresh one takes its place.
            Ok(Err(failure)) => return Err(failure),
            Err(_) => return Err(context.timeout()),
        };
        if instance.calls < self.allowance.limits.recycle_after {
            self.warm().push(instance);
        }
        answer
    }

    /// The right to have an instance.
    async fn slot(&self, context: &CallContext) -> Result<SemaphorePermit<'_>, Failure> {
        if let Ok(slot) = self.slots.try_acquire() {
            return Ok(slot);
        }
        match timeout_at(context.deadline.into(), self.slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(context.timeout()),
        }
    }

    fn warm(&self) -> std::sync::MutexGuard<'_, Vec<Instance>> {
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guest for Component {
    fn hooks(&self) -> HookSet {
        self.hooks
    }

    fn call<'a>(
        &'a self,
        call: &'a Call,
        context: &'a Arc<CallContext>,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send + 'a>> {
        Box::pin(self.run(call, context))
    }

    fn blocks(&self) -> bool {
        false
    }

    fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }
}
