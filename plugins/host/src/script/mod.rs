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
//! What functions and operators a script means is found out once for each combination of types: the
//! table of that outlives a call ([`resolved`]).
//!
//! A script computes on the thread that calls it, and cannot give way. It ends at its deadline, at
//! its limit of operations, or at one of the sizes. A script that waits for a device or for HTTP
//! holds its thread meanwhile: hooks that may do so run on a pool of threads of their own.

mod answers;
mod bootstrapping;
mod calls;
mod check;
mod deliveries;
mod engine;
mod functions;
mod inputs;
mod resolved;
mod testing;
mod vocabulary;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lwm2m_server::hooks::EndReason;
use lwm2m_server::{HookSet, Registration};
use rhai::{AST, Dynamic, Engine, EvalAltResult, EvalContext, ParseErrorType, Position, Scope};

pub(crate) use testing::tests;

use calls::Calls;
use resolved::Resolved;

use crate::context::{Allowance, CallContext};
use crate::guest::Doubt;
use crate::load::{Source, config_json};
use crate::{Call, Failure, LoadError, Permission, Reply};

/// A script that has been compiled and checked.
pub(crate) struct Script {
    engine: Engine,
    ast: AST,
    hooks: HookSet,
    resolved: Resolved,
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
    pub(crate) fn load(source: &Source, allowance: &Arc<Allowance>) -> Result<Script, LoadError> {
        let file = &source.file;
        let text = std::str::from_utf8(&source.code).map_err(|error| {
            let before = &source.code[..error.valid_up_to()];
            let ends = before.iter().filter(|byte| **byte == b'\n').count();
            LoadError::new(file, "this is no text in UTF-8, as scripts are")
                .at(Some(ends + 1), None)
                .hint("save it as UTF-8; a component ends in .wasm")
        })?;
        let mut engine = engine::engine(&source.config.limits);
        let config = config_json(&source.config);
        functions::register(&mut engine, &config);
        testing::register_assertions(&mut engine);
        if allowance.services.stage.is_some() {
            testing::register(&mut engine);
        }
        let ast = engine.compile(text).map_err(|error| {
            let refused = LoadError::new(file, error.err_type().to_string())
                .at(error.position().line(), error.position().position());
            match error.err_type() {
                ParseErrorType::VariableUndefined(name) => {
                    refused.hint(check::hint_of_variable(text, name))
                }
                _ => refused,
            }
        })?;
        let hooks = check::hooks(&ast).map_err(|(message, hint)| {
            let at = check::place_of(text, &message);
            let (line, column) = at.unzip();
            let error = LoadError::new(file, message).at(line, column);
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        let script = Script {
            engine,
            ast,
            hooks,
            resolved: Resolved::default(),
            name: source.name.clone(),
        };
        script.init(&config, allowance).map_err(|error| {
            let at = error.position();
            let refused = |what: String| {
                LoadError::new(file, format!("init: {what}")).at(at.line(), at.position())
            };
            let seconds = INIT_TIMEOUT.as_secs();
            match error.unwrap_inner() {
                EvalAltResult::ErrorTooManyOperations(_) => {
                    refused("it is over limits.operations_max".to_owned())
                        .hint("look for a loop without an end, or raise the limit of the plugin")
                }
                EvalAltResult::ErrorTerminated(..) => refused(format!("it takes over {seconds} s"))
                    .hint("look for a loop without an end, or do less in it"),
                _ => refused(told(&error)),
            }
        })?;
        Ok(script)
    }

    fn init(&self, config: &str, allowance: &Arc<Allowance>) -> Result<(), Box<EvalAltResult>> {
        if !check::defines(&self.ast, "init") {
            return Ok(());
        }
        let config = engine::from_json(config);
        let time = (Instant::now(), INIT_TIMEOUT);
        let context = CallContext::new(allowance, None, None, time);
        let _entered = Entered::new(&Arc::new(context));
        self.function("init", vec![config]).map(|_| ())
    }

    fn function(
        &self,
        name: &str,
        mut arguments: Vec<Dynamic>,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut global = self.engine.new_global_runtime_state();
        global.lib.push(self.ast.shared_lib().clone());
        let mut scope = Scope::new();
        let mut arguments: Vec<&mut Dynamic> = arguments.iter_mut().collect();
        let answer = self.resolved.lend(|resolved| {
            let (engine, scope) = (&self.engine, &mut scope);
            let mut context = EvalContext::new(engine, &mut global, resolved, scope, None);
            context.call_fn_raw(name, false, false, &mut arguments)
        });
        answer.or_else(|error| match *error {
            EvalAltResult::Exit(answer, _) => Ok(answer),
            EvalAltResult::ErrorInFunctionCall(of, _, inner, _) if of == name => Err(inner),
            _ => Err(error),
        })
    }

    /// Calls the function of a hook.
    fn answer(&self, call: &Call) -> Result<Dynamic, Box<EvalAltResult>> {
        self.function(call.hook().name(), arguments(call))
    }
}

/// What the function of a hook takes.
fn arguments(call: &Call) -> Vec<Dynamic> {
    let of = |registration: &Arc<Registration>| Dynamic::from(Arc::clone(registration));
    match call {
        Call::Credentials(request) => vec![Dynamic::from(Arc::clone(request))],
        Call::OnRegister(registration)
        | Call::OnRegistered(registration)
        | Call::ObservePlan(registration) => vec![of(registration)],
        Call::OnUpdate(registration, update) | Call::OnUpdated(registration, update) => {
            vec![of(registration), Dynamic::from(Arc::clone(update))]
        }
        Call::OnGone(registration, reason) => vec![of(registration), end_reason(*reason).into()],
        Call::ObserveFailed(registration, paths, failure) => {
            let paths: rhai::Array = paths.iter().map(|p| p.to_string().into()).collect();
            let failure = inputs::observe_failure(*failure);
            vec![of(registration), paths.into(), failure.into()]
        }
        Call::Transform(batch) => vec![Dynamic::from(Arc::clone(batch))],
        Call::Firmware(job) => vec![Dynamic::from(Arc::clone(job))],
        Call::FirmwareStep(job, state, event) => vec![
            Dynamic::from(Arc::clone(job)),
            Dynamic::from_blob(state.to_vec()),
            Dynamic::from(Arc::clone(event)),
        ],
        Call::Bootstrap(request) => vec![Dynamic::from(Arc::clone(request))],
        Call::OnBootstrapped(end) => {
            let failure = end.failure.as_ref();
            let detail = failure.map_or(String::new(), |failure| failure.message.to_string());
            let endpoint = end.endpoint.to_string();
            vec![endpoint.into(), failure.is_none().into(), detail.into()]
        }
    }
}

/// As a guest.
impl Script {
    pub(crate) fn hooks(&self) -> HookSet {
        self.hooks
    }

    /// Calls a hook, on this thread.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) fn call(&self, call: &Call, context: &Arc<CallContext>) -> Result<Reply, Failure> {
        let _entered = Entered::new(context);
        match self.answer(call) {
            Ok(answer) => answers::reply(call, answer),
            Err(error) => Err(failure(&self.name, &error, context)),
        }
    }

    pub(crate) fn doubts(&self, asked_for: &[Permission]) -> Vec<Doubt> {
        vocabulary::doubts(&Calls::of(&self.engine, &self.ast), asked_for)
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
    vocabulary::explained(text.split(" (line ").next().unwrap_or_default())
}

fn end_reason(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Deregistered => "deregistered",
        EndReason::LifetimeExpired => "lifetime-expired",
        EndReason::Replaced => "replaced",
        _ => "removed-by-operator",
    }
}
