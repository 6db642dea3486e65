//! What can be said of a script before it runs.

use lwm2m_server::{Hook, HookSet};
use rhai::AST;

use crate::hook::{facts, named};
use crate::spelling::nearest;

/// The functions that are no hooks and have a meaning.
const OTHERS: [(&str, usize); 1] = [("init", 1)];

/// The hooks that a script has.
///
/// # Errors
/// What is wrong, and how to mend it: a hook with other arguments than it has, a name that is nearly
/// the one of a hook, no hook at all.
pub(super) fn hooks(ast: &AST) -> Result<HookSet, (String, Option<String>)> {
    let mut hooks = HookSet::EMPTY;
    for function in ast.iter_functions().filter(|f| f.this_type.is_none()) {
        let (name, has) = (function.name, function.params.len());
        let hook = named(name);
        let other = OTHERS.iter().find(|(other, _)| *other == name);
        let wants = hook.map(|hook| facts(hook).arity);
        match wants.or(other.map(|(_, arity)| *arity)) {
            Some(wants) if wants != has => {
                let message = format!("fn {name} has {has} parameters");
                let hint = format!("it is called with {wants}: {}", signature(name));
                return Err((message, Some(hint)));
            }
            Some(_) => hooks = hook.map_or(hooks, |hook| hooks.with(hook)),
            None => {
                let all = Hook::ALL.map(Hook::name);
                let all = all.into_iter().chain(OTHERS.map(|(name, _)| name));
                if let Some(meant) = nearest(name, all) {
                    let message = format!("fn {name} is no hook");
                    let hint = format!("did you mean {meant}? Else give it another name");
                    return Err((message, Some(hint)));
                }
            }
        }
    }
    match hooks.is_empty() {
        true => {
            let all = Hook::ALL.map(Hook::name).join(", ");
            Err((
                "it has no hook".to_owned(),
                Some(format!("the hooks are {all}")),
            ))
        }
        false => Ok(hooks),
    }
}

/// True when a script has a function of this name.
pub(super) fn defines(ast: &AST, name: &str) -> bool {
    ast.iter_functions().any(|function| function.name == name)
}

/// The line of the function that a message of [`hooks`] begins with, from 1.
pub(super) fn line_of(text: &str, message: &str) -> Option<usize> {
    let name = message.strip_prefix("fn ")?.split(' ').next()?;
    let is_here = |line: &str| {
        let rest = line
            .trim_start()
            .trim_start_matches("private ")
            .strip_prefix("fn ");
        let rest = rest.and_then(|rest| rest.trim_start().strip_prefix(name));
        rest.is_some_and(|rest| rest.trim_start().starts_with('('))
    };
    text.lines().position(is_here).map(|line| line + 1)
}

/// How a function is written.
fn signature(name: &str) -> &'static str {
    match name {
        "init" => "fn init(config)",
        "credentials" => "fn credentials(request)",
        "on_register" => "fn on_register(registration)",
        "on_update" => "fn on_update(registration, update)",
        "on_registered" => "fn on_registered(registration)",
        "on_updated" => "fn on_updated(registration, update)",
        "on_gone" => "fn on_gone(registration, reason)",
        "observe_plan" => "fn observe_plan(registration)",
        "observe_failed" => "fn observe_failed(registration, paths, failure)",
        "transform" => "fn transform(batch)",
        "firmware" => "fn firmware(job)",
        "firmware_step" => "fn firmware_step(job, state, event)",
        "bootstrap" => "fn bootstrap(request)",
        "on_bootstrapped" => "fn on_bootstrapped(endpoint, success, detail)",
        _ => "",
    }
}
