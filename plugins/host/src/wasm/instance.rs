//! One instance of a component: its memory, what it may use, its functions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lwm2m_server::{Hook, HookSet};
use wasmtime::component::{Instance as Exported, InstancePre};
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use super::bindings::exports::lwm2m::plugin::{
    bootstrap, credentials, devices, firmware, firmware_driver, lifecycle, observe, registration,
    telemetry,
};
use super::bindings::lwm2m::plugin::types;
use super::ticker::TICK;
use super::{bootstrapping, input, output};
use crate::context::CallContext;
use crate::{Call, Failure, Reply};

/// One instance, warm: `init` has run.
pub(super) struct Instance {
    store: Store<State>,
    functions: Functions,
    /// The registration that it was asked about last: the next one takes its place and its memory.
    registration: types::Registration,
    /// Calls so far.
    pub(super) calls: u32,
}

/// What host functions find.
pub(super) struct State {
    /// The call that runs.
    pub(super) context: Arc<CallContext>,
    /// The last error that it has logged: with a trap, that is mostly why.
    pub(super) last_error: Option<String>,
    memory: Memory,
    /// Where the clock of the instance begins.
    pub(super) started: Instant,
    #[cfg(feature = "wasi")]
    pub(super) system: super::wasi::System,
}

/// Where the functions of a component are: found once, for all its instances.
pub(super) struct Exports {
    lifecycle: lifecycle::GuestIndices,
    registration: Option<registration::GuestIndices>,
    devices: Option<devices::GuestIndices>,
    credentials: Option<credentials::GuestIndices>,
    observe: Option<observe::GuestIndices>,
    telemetry: Option<telemetry::GuestIndices>,
    firmware: Option<firmware::GuestIndices>,
    firmware_driver: Option<firmware_driver::GuestIndices>,
    bootstrap: Option<bootstrap::GuestIndices>,
}

/// Those functions in one instance.
struct Functions {
    lifecycle: lifecycle::Guest,
    registration: Option<registration::Guest>,
    devices: Option<devices::Guest>,
    credentials: Option<credentials::Guest>,
    observe: Option<observe::Guest>,
    telemetry: Option<telemetry::Guest>,
    firmware: Option<firmware::Guest>,
    firmware_driver: Option<firmware_driver::Guest>,
    bootstrap: Option<bootstrap::Guest>,
}

impl Exports {
    /// Finds the functions of these hooks.
    ///
    /// # Errors
    /// An interface lacks one of its functions.
    pub(super) fn find(pre: &InstancePre<State>, hooks: HookSet) -> wasmtime::Result<Exports> {
        macro_rules! of {
            ($interface:ident, $hook:ident) => {
                match hooks.contains(Hook::$hook) {
                    true => Some($interface::GuestIndices::new(pre)?),
                    false => None,
                }
            };
        }
        Ok(Exports {
            lifecycle: lifecycle::GuestIndices::new(pre)?,
            registration: of!(registration, OnRegister),
            devices: of!(devices, OnRegistered),
            credentials: of!(credentials, Credentials),
            observe: of!(observe, ObservePlan),
            telemetry: of!(telemetry, Transform),
            firmware: of!(firmware, Firmware),
            firmware_driver: of!(firmware_driver, FirmwareStep),
            bootstrap: of!(bootstrap, Bootstrap),
        })
    }

    fn load(&self, store: &mut Store<State>, instance: &Exported) -> wasmtime::Result<Functions> {
        macro_rules! of {
            ($interface:ident) => {
                match &self.$interface {
                    Some(indices) => Some(indices.load(&mut *store, instance)?),
                    None => None,
                }
            };
        }
        Ok(Functions {
            lifecycle: self.lifecycle.load(&mut *store, instance)?,
            registration: of!(registration),
            devices: of!(devices),
            credentials: of!(credentials),
            observe: of!(observe),
            telemetry: of!(telemetry),
            firmware: of!(firmware),
            firmware_driver: of!(firmware_driver),
            bootstrap: of!(bootstrap),
        })
    }
}

/// Why there is no instance.
pub(super) enum StartError {
    /// It cannot be put together, or its functions have other types than those of the contract.
    Type(wasmtime::Error),
    /// Its `init` failed.
    Init(Failure),
    /// Its `init` refused.
    Refused(String),
}

impl Instance {
    /// Makes one and calls its `init`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub(super) async fn start(
        pre: &InstancePre<State>,
        exports: &Exports,
        config: &str,
        context: Arc<CallContext>,
        held: &Arc<AtomicU64>,
    ) -> Result<Instance, StartError> {
        let limits = context.allowance.limits;
        let memory = Memory::new(limits.memory_kib_max as usize * 1024, held);
        #[cfg(feature = "wasi")]
        let system = super::wasi::System::new(&context.services().clock);
        let state = State {
            context,
            last_error: None,
            memory,
            started: Instant::now(),
            #[cfg(feature = "wasi")]
            system,
        };
        let mut store = Store::new(pre.engine(), state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits.output_max as usize);
        // None when it is not counted.
        let _ = store.set_fuel(u64::MAX);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            let context = &store.data().context;
            if context.ends_before(TICK) {
                return Err(context.timeout().into());
            }
            // The tick may fall anywhere, also into the first moments of a call.
            Ok(match context.has_run_for(TICK / 2) {
                false => UpdateDeadline::Continue(1),
                // Others on this thread have their turn.
                true => UpdateDeadline::Yield(1),
            })
        });
        let exported = pre.instantiate_async(&mut store).await;
        let exported = match exported {
            Ok(exported) => exported,
            Err(error) if store.data().memory.refused => {
                tracing::debug!(%error, "an instance gets no memory");
                return Err(StartError::Init(Failure::Limit("memory_kib_max")));
            }
            // Its start function has trapped, or run too long.
            Err(error) if error.is::<wasmtime::Trap>() || error.is::<Failure>() => {
                return Err(StartError::Init(failure(store.data_mut(), &error)));
            }
            Err(error) => return Err(StartError::Type(error)),
        };
        let functions = exports
            .load(&mut store, &exported)
            .map_err(StartError::Type)?;
        let answer = functions.lifecycle.call_init(&mut store, config).await;
        let mut instance = Instance {
            store,
            functions,
            registration: input::blank(),
            calls: 0,
        };
        instance.write_output();
        match answer {
            Ok(Ok(())) => Ok(instance),
            Ok(Err(why)) => Err(StartError::Refused(why)),
            Err(error) => Err(StartError::Init(instance.failure(&error))),
        }
    }

    /// Calls a hook.
    ///
    /// # Errors
    /// The outer one means that the instance cannot be used any more; the inner one that its answer
    /// cannot.
    pub(super) async fn call(
        &mut self,
        call: &Call,
        context: &Arc<CallContext>,
    ) -> Result<Result<Reply, Failure>, Failure> {
        let state = self.store.data_mut();
        state.context = Arc::clone(context);
        state.last_error = None;
        state.memory.refused = false;
        self.store.set_epoch_deadline(1);
        let _ = self.store.set_fuel(u64::MAX);
        self.calls = self.calls.saturating_add(1);
        let answer = self.ask(call).await;
        if let Ok(left) = self.store.get_fuel() {
            context.burn(u64::MAX - left);
        }
        context.hold(self.store.data().memory.held as u64);
        self.write_output();
        answer.map_err(|error| self.failure(&error))
    }

    async fn ask(&mut self, call: &Call) -> wasmtime::Result<Result<Reply, Failure>> {
        let Instance {
            store,
            functions,
            registration: place,
            ..
        } = self;
        macro_rules! call {
            ($interface:ident, $function:ident, $($argument:expr),*) => {
                match &functions.$interface {
                    Some(interface) => interface.$function(&mut *store, $($argument),*).await?,
                    None => return Ok(Err(Failure::Defect)),
                }
            };
        }
        // Each call takes memory for the largest of these, but for those that are seldom.
        macro_rules! seldom {
            ($answer:block) => {
                Box::pin(async { Ok::<_, wasmtime::Error>($answer) }).await?
            };
        }
        Ok(match call {
            Call::Credentials(request) => {
                let asked = input::credential_request(request);
                let answer = call!(credentials, call_lookup, &asked);
                output::credentials(request, answer).map(Reply::Credentials)
            }
            Call::OnRegister(registration) => {
                input::fill(place, registration);
                let answer = call!(registration, call_on_register, place);
                Ok(Reply::Decision(output::decision(answer)))
            }
            Call::OnUpdate(registration, update) => {
                input::fill(place, registration);
                let update = input::update(update);
                let answer = call!(registration, call_on_update, place, &update);
                Ok(Reply::Decision(output::decision(answer)))
            }
            Call::OnRegistered(registration) => {
                input::fill(place, registration);
                call!(devices, call_on_registered, place);
                Ok(Reply::Done)
            }
            Call::OnUpdated(registration, update) => {
                input::fill(place, registration);
                let update = input::update(update);
                call!(devices, call_on_updated, place, &update);
                Ok(Reply::Done)
            }
            Call::OnGone(registration, reason) => {
                input::fill(place, registration);
                let reason = input::end_reason(*reason);
                call!(devices, call_on_gone, place, reason);
                Ok(Reply::Done)
            }
            Call::ObservePlan(registration) => {
                input::fill(place, registration);
                let answer = call!(observe, call_plan, place);
                answer.map(output::plan).transpose().map(Reply::Plan)
            }
            Call::ObserveFailed(registration, paths, failure) => seldom!({
                input::fill(place, registration);
                let paths: Vec<_> = paths.iter().map(input::path).collect();
                let failure = input::observe_failure(*failure);
                let answer = call!(observe, call_on_failure, place, &paths, failure);
                output::repair(answer).map(Reply::Repair)
            }),
            Call::Transform(batch) => {
                let batch = input::batch(batch);
                let answer = call!(telemetry, call_transform, &batch);
                output::outcome(answer).map(Reply::Outcome)
            }
            Call::Firmware(job) => seldom!({
                let job = input::job(job);
                let answer = call!(firmware, call_select, &job);
                output::choice(answer).map(Reply::Choice)
            }),
            Call::FirmwareStep(job, state, event) => seldom!({
                let received = store.data().context.services().clock.now();
                let (job, event) = (input::job(job), input::firmware_event(event, received));
                let answer = call!(firmware_driver, call_step, &job, state, &event);
                output::step(answer).map(|step| Reply::Step(Some(step)))
            }),
            Call::Bootstrap(request) => seldom!({
                let request = bootstrapping::request(request);
                let answer = call!(bootstrap, call_configure, &request);
                bootstrapping::answer(answer).map(Reply::Bootstrap)
            }),
            Call::OnBootstrapped(end) => {
                let failure = end.failure.as_ref();
                let detail = failure.map_or("", |failure| &failure.message);
                let (endpoint, success) = (end.endpoint.as_str(), failure.is_none());
                call!(bootstrap, call_on_finished, endpoint, success, detail);
                Ok(Reply::Done)
            }
        })
    }

    /// Standard output goes to the log.
    fn write_output(&mut self) {
        #[cfg(feature = "wasi")]
        {
            let state = self.store.data_mut();
            let Some(output) = state.system.take_output() else {
                return;
            };
            super::imports::log_output(state, &output);
        }
    }

    fn failure(&mut self, error: &wasmtime::Error) -> Failure {
        failure(self.store.data_mut(), error)
    }
}

/// What an error of a call means.
fn failure(state: &mut State, error: &wasmtime::Error) -> Failure {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.clone();
    }
    if state.memory.refused {
        // What it did without the memory is a consequence.
        return Failure::Limit("memory_kib_max");
    }
    if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
        return match (trap, state.last_error.take()) {
            (wasmtime::Trap::StackOverflow, _) => Failure::Limit("stack"),
            (_, Some(last)) => Failure::Failed(last),
            (trap, None) => Failure::Failed(trap.to_string()),
        };
    }
    #[cfg(feature = "wasi")]
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        let last = state.last_error.take();
        return Failure::Failed(last.unwrap_or_else(|| format!("it ended itself with {}", exit.0)));
    }
    let cause = error.root_cause().to_string();
    match cause.contains("fuel allocated for hostcalls") {
        true => Failure::Limit("output_max"),
        false => Failure::Unusable(cause),
    }
}

/// The memory of an instance.
struct Memory {
    held: usize,
    max: usize,
    /// It wanted more than it may have.
    refused: bool,
    /// What all instances of the component hold.
    of_all: Arc<AtomicU64>,
}

/// Host memory of one element of a table, in bytes.
const TABLE_ELEMENT: usize = 16;

impl Memory {
    fn new(max: usize, of_all: &Arc<AtomicU64>) -> Memory {
        Memory {
            held: 0,
            max,
            refused: false,
            of_all: Arc::clone(of_all),
        }
    }

    fn grow(&mut self, bytes: usize) -> bool {
        match self.held.checked_add(bytes) {
            Some(held) if held <= self.max => {
                self.held = held;
                self.of_all.fetch_add(bytes as u64, Ordering::Relaxed);
                true
            }
            _ => {
                self.refused = true;
                false
            }
        }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = desired.saturating_sub(current);
        Ok(self.grow(elements.saturating_mul(TABLE_ELEMENT)))
    }

    /// Components of some languages are several modules, each with its own.
    fn instances(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }

    fn tables(&self) -> usize {
        64
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.of_all.fetch_sub(self.held as u64, Ordering::Relaxed);
    }
}
