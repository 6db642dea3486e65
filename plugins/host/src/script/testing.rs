//! Test functions: what only they may call, and how they are found and run.
//!
//! ```rhai
//! fn test_strangers_stay_outside() {
//!     let answer = ask("on_register", #{ registration: #{ endpoint: "stranger" } });
//!     assert_eq(answer.reject.code, "forbidden");
//! }
//! ```
//!
//! `ask` calls a hook of the same script as a fixture does: it takes what a `[[call]]` has, and gives
//! the answer as `expect.answer` has it. `seen` is what the hook did besides.

use std::sync::Arc;
use std::time::Instant;

use rhai::{AST, Dynamic, Engine, EvalAltResult, Map, NativeCallContext, Position};

use super::answers::{Made, wrong};
use super::{CURRENT, Entered, Script, answers, arguments, current, engine, failure, told};
use crate::LoadError;
use crate::context::CallContext;
use crate::fixture::{asked, hide_keys};
use crate::form::AnswerForm;

/// What the name of a test function begins with.
pub(super) const PREFIX: &str = "test_";

/// Makes what every script may call to say what must be so.
pub(super) fn register_assertions(engine: &mut Engine) {
    engine
        .register_fn("assert", |is_so: bool| -> Made<()> {
            hold(is_so, || "what is asserted is not so".to_owned())
        })
        .register_fn("assert", |is_so: bool, message: Dynamic| -> Made<()> {
            hold(is_so, || message.to_string())
        })
        .register_fn("assert_eq", |got: Dynamic, expected: Dynamic| {
            assert_eq(&got, &expected, "")
        })
        .register_fn(
            "assert_eq",
            |got: Dynamic, expected: Dynamic, message: Dynamic| {
                assert_eq(&got, &expected, &format!("{message}: "))
            },
        );
}

/// Makes what only tests may call.
pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("ask", ask);
    engine.register_fn("seen", || -> Made<Dynamic> {
        let call = current().ok_or("this can only be asked within a test")?;
        let seen = call.services().stage.as_ref().map(|stage| stage.told());
        Ok(engine::value(&seen.unwrap_or_default()))
    });
}

fn hold(is_so: bool, message: impl FnOnce() -> String) -> Made<()> {
    match is_so {
        true => Ok(()),
        false => Err(wrong(message())),
    }
}

fn assert_eq(got: &Dynamic, expected: &Dynamic, message: &str) -> Made<()> {
    let json = |value: &Dynamic| rhai::serde::from_dynamic::<serde_json::Value>(value);
    let (mut got, mut expected) = (json(got)?, json(expected)?);
    if got == expected {
        return Ok(());
    }
    hide_keys(&mut got);
    hide_keys(&mut expected);
    Err(wrong(format!("{message}expected {expected}, got {got}")))
}

/// Calls a hook of the script that runs, as a fixture does.
fn ask(script: NativeCallContext<'_>, hook: &str, input: Map) -> Made<Dynamic> {
    let test = current().ok_or("this can only be asked within a test")?;
    let input = Dynamic::from_map(input);
    let input = rhai::serde::from_dynamic::<serde_json::Value>(&input)?;
    let call = asked(&test, hook, &input).map_err(|what| wrong(format!("ask: {what}")))?;
    let left = test.deadline.saturating_duration_since(Instant::now());
    let context = Arc::new(CallContext::new(
        &test.allowance,
        Some(call.hook()),
        call.endpoint(),
        (Instant::now(), left),
    ));
    CURRENT.set(Some(context));
    let answer = script.call_fn::<Dynamic>(hook, arguments(&call));
    CURRENT.set(Some(Arc::clone(&test)));
    let noted = test.services().stage.as_ref().map(|stage| stage.note());
    let reply = answers::reply(&call, answer?).map_err(|failure| wrong(failure.to_string()))?;
    if let Some(Err(unanswered)) = noted {
        return Err(wrong(format!("ask: {unanswered}")));
    }
    Ok(engine::value(&AnswerForm::of(&reply).json()))
}

/// The test functions of a script, in their order, each with its line from 1.
pub(crate) fn tests(code: &[u8]) -> Vec<(String, usize)> {
    let text = String::from_utf8_lossy(code);
    // Whatever else is wrong with it is told when it is loaded.
    let Ok(ast) = Engine::new_raw().compile(text.as_ref()) else {
        return Vec::new();
    };
    let mut tests: Vec<(String, usize)> = (names(&ast).into_iter())
        .map(|name| {
            let place = super::check::place_of(&text, &format!("fn {name} "));
            let line = place.map(|(line, _)| line);
            (name, line.unwrap_or(1))
        })
        .collect();
    tests.sort_by_key(|(_, line)| *line);
    tests
}

fn names(ast: &AST) -> Vec<String> {
    let tests = ast.iter_functions();
    let tests = tests.filter(|f| f.params.is_empty() && f.name.starts_with(PREFIX));
    tests.map(|f| f.name.to_owned()).collect()
}

impl Script {
    /// Runs a test function.
    ///
    /// # Errors
    /// Why it has failed, with line and column.
    pub(crate) fn run_test(&self, name: &str, context: &Arc<CallContext>) -> Result<(), LoadError> {
        let _entered = Entered::new(context);
        let outcome = self.function(name, Vec::new());
        outcome.map(drop).map_err(|error| {
            let at = place(&error);
            let what = match error.unwrap_inner() {
                EvalAltResult::ErrorRuntime(..) => told(&error),
                // A limit has a sentence of its own.
                _ => failure("", &error, context).to_string(),
            };
            let what = what.split(" (.rhai:").next().unwrap_or_default();
            LoadError::new(std::path::Path::new(""), what).at(at.line(), at.position())
        })
    }
}

/// Where an error was made, not where the function was called that made it.
fn place(error: &EvalAltResult) -> Position {
    match error.unwrap_inner().position() {
        Position::NONE => error.position(),
        at => at,
    }
}
