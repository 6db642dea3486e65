//! Plugins in Rhai.
//!
//! ```text
//! load: compile ─> check names and arity ─> init(config)
//! call: deadline and context of this thread ─> call_fn ─> Dynamic ─> Reply
//! ```
//!
//! One file is one plugin; a function with the name of a hook implements it. A script has no state
//! of its own between two calls: what it wants to keep it puts under a key.
//!
//! A script computes on the thread that calls it, and cannot give way. It ends at its deadline, at
//! its limit of operations, or at one of the sizes. A script that waits for a device or for HTTP
//! holds its thread meanwhile: hooks that may do so run on a pool of threads of their own.

mod answers;
mod bootstrapping;
mod check;
mod deliveries;
mod engine;
mod functions;
mod inputs;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lwm2m_server::HookSet;
use lwm2m_server::hooks::EndReason;
use rhai::{AST, CallFnOptions, Dynamic, Engine, EvalAltResult, FuncArgs, Position, Scope};

use crate::context::{Allowance, CallContext};
use crate::guest::Guest;
use crate::load::{Source, config_json};
use crate::services::Services;
use crate::{Call, Failure, LoadError, Reply};

/// A script that has been compiled and checked.
pub(crate) struct Script {
    engine: Engine,
    ast: AST,
    hooks: HookSet,
    /// For messages.
    name: String,
}

/// How long `init` may take.
const INIT_TIMEOUT: Duration = Duration::from_secs(5);

thread_local! {
    /// The call that this thread works on.
    static CURRENT: RefCell<Option<Arc<CallContext>>> = const { RefCell::new(None) };
}

/// The call that this thread works on; none while a script is compiled.
fn current() -> Option<Arc<CallContext>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Makes a call the one of this thread, until it is dropped.
struct Entered;

impl Entered {
    fn new(context: &Arc<CallContext>) -> Entered {
        CURRENT.set(Some(Arc::clone(context)));
        Entered
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

impl Script {
    /// Compiles a script, checks it, and calls its `init`.
    ///
    /// # Errors
    /// What is wrong, with line and column.
    pub(crate) fn load(
        source: &Source,
        allowance: &Arc<Allowance>,
        services: &Arc<Services>,
    ) -> Result<Script, LoadError> {
        let file = &source.file;
        let text = std::str::from_utf8(&source.code)
            .map_err(|_| LoadError::new(file, "a script is UTF-8 text"))?;
        let mut engine = engine::engine(&source.config.limits);
        let config = config_json(&source.config);
        functions::register(&mut engine, &config);
        let ast = engine.compile(text).map_err(|error| {
            LoadError::new(file, error.err_type().to_string())
                .at(error.position().line(), error.position().position())
        })?;
        let hooks = check::hooks(&ast).map_err(|(message, hint)| {
            let at = hint.as_ref().and_then(|_| check::line_of(text, &message));
            let error = LoadError::new(file, message).at(at, None);
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        let script = Script {
            engine,
            ast,
            hooks,
            name: source.name.clone(),
        };
        script.init(&config, allowance, services).map_err(|error| {
            let at = error.position();
            let what = told(&error);
            LoadError::new(file, format!("init: {what}")).at(at.line(), at.position())
        })?;
        Ok(script)
    }

    fn init(
        &self,
        config: &str,
        allowance: &Arc<Allowance>,
        services: &Arc<Services>,
    ) -> Result<(), Box<EvalAltResult>> {
        if !check::defines(&self.ast, "init") {
            return Ok(());
        }
        let config = engine::from_json(config);
        let time = (Instant::now(), INIT_TIMEOUT);
        let context = CallContext::new(allowance, None, None, time, services);
        let _entered = Entered::new(&Arc::new(context));
        self.function("init", (config,)).map(|_| ())
    }

    fn function(
        &self,
        name: &str,
        arguments: impl FuncArgs,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let options = CallFnOptions::new().eval_ast(false);
        let mut scope = Scope::new();
        self.engine
            .call_fn_with_options(options, &mut scope, &self.ast, name, arguments)
    }

    /// Calls the function of a hook.
    fn answer(&self, call: &Call) -> Result<Dynamic, Box<EvalAltResult>> {
        let name = call.hook().name();
        match call {
            Call::Credentials(request) => self.function(name, (Arc::clone(request),)),
            Call::OnRegister(registration)
            | Call::OnRegistered(registration)
            | Call::ObservePlan(registration) => self.function(name, (Arc::clone(registration),)),
            Call::OnUpdate(registration, update) | Call::OnUpdated(registration, update) => {
                self.function(name, (Arc::clone(registration), Arc::clone(update)))
            }
            Call::OnGone(registration, reason) => {
                self.function(name, (Arc::clone(registration), end_reason(*reason)))
            }
            Call::ObserveFailed(registration, paths, failure) => {
                let paths: rhai::Array = paths.iter().map(|p| p.to_string().into()).collect();
                let failure = inputs::observe_failure(*failure);
                self.function(name, (Arc::clone(registration), paths, failure))
            }
            Call::Transform(batch) => self.function(name, (Arc::clone(batch),)),
            Call::Firmware(job) => self.function(name, (Arc::clone(job),)),
            Call::FirmwareStep(job, state, event) => {
                let state = state.to_vec();
                self.function(name, (Arc::clone(job), state, Arc::clone(event)))
            }
            Call::Bootstrap(request) => self.function(name, (Arc::clone(request),)),
            Call::OnBootstrapped(end) => {
                let endpoint = end.endpoint.to_string();
                let failure = end.failure.as_ref();
                let detail = failure.map_or(String::new(), |failure| failure.message.to_string());
                self.function(name, (endpoint, failure.is_none(), detail))
            }
        }
    }
}

impl Guest for Script {
    fn hooks(&self) -> HookSet {
        self.hooks
    }

    fn call<'a>(
        &'a self,
        call: &'a Call,
        context: &'a Arc<CallContext>,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send + 'a>> {
        Box::pin(async move {
            let _entered = Entered::new(context);
            match self.answer(call) {
                Ok(answer) => answers::reply(call, answer),
                Err(error) => Err(failure(&self.name, &error, context)),
            }
        })
    }

    fn blocks(&self) -> bool {
        true
    }

    fn memory(&self) -> u64 {
        // A script keeps nothing between two calls; its code is small and not counted.
        0
    }
}

/// Why a script failed, with line and column.
fn failure(name: &str, error: &EvalAltResult, context: &CallContext) -> Failure {
    match error.unwrap_inner() {
        EvalAltResult::ErrorTerminated(..) => context.timeout(),
        EvalAltResult::ErrorTooManyOperations(_) => Failure::Limit("operations_max"),
        EvalAltResult::ErrorDataTooLarge(..) => Failure::Limit("memory_kib_max"),
        EvalAltResult::ErrorStackOverflow(_) => Failure::Limit("call depth"),
        EvalAltResult::ErrorRuntime(thrown, _) if functions::limit_of(thrown).is_some() => {
            Failure::Limit(functions::limit_of(thrown).unwrap_or_default())
        }
        _ => {
            let at = match error.position() {
                Position::NONE => String::new(),
                at => format!(" ({name}.rhai:{at:?})"),
            };
            Failure::Failed(format!("{}{at}", told(error)))
        }
    }
}

/// What an error says, without its place, which is told apart.
fn told(error: &EvalAltResult) -> String {
    let text = match error.unwrap_inner() {
        EvalAltResult::ErrorRuntime(thrown, _) => thrown.to_string(),
        inner => inner.to_string(),
    };
    text.split(" (line ").next().unwrap_or_default().to_owned()
}

fn end_reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Deregistered => "deregistered",
        EndReason::LifetimeExpired => "lifetime-expired",
        EndReason::Replaced => "replaced",
        _ => "removed-by-operator",
    }
}
