//! What can be said of a script before it runs.

use lwm2m_server::{Hook, HookSet};
use rhai::AST;

use super::testing::PREFIX;
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
        if hook.is_none() && name.starts_with(PREFIX) {
            if has != 0 {
                let message = format!("fn {name} has {has} parameters");
                let hint = "a test takes none; else give it another name".to_owned();
                return Err((message, Some(hint)));
            }
            continue;
        }
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

/// Line and column of the function that a message of [`hooks`] begins with, from 1.
pub(super) fn place_of(text: &str, message: &str) -> Option<(usize, usize)> {
    let name = message.strip_prefix("fn ")?.split(' ').next()?;
    let column = |line: &str| {
        let begun = line.trim_start().trim_start_matches("private ");
        let rest = begun.strip_prefix("fn ")?.trim_start();
        let behind = rest.strip_prefix(name)?.trim_start();
        let before = &line[..line.len() - rest.len()];
        behind.starts_with('(').then(|| before.chars().count() + 1)
    };
    let mut lines = text.lines().enumerate();
    lines.find_map(|(at, line)| Some((at + 1, column(line)?)))
}

/// How to mend that there is no variable of this name.
pub(super) fn hint_of_variable(text: &str, name: &str) -> String {
    let defines = |line: &str| {
        let line = line.trim_start();
        let rest = line.strip_prefix("const ").or(line.strip_prefix("let "));
        let rest = rest.and_then(|rest| rest.trim_start().strip_prefix(name));
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    };
    match text.lines().any(defines) {
        true => format!(
            "a function sees its parameters and its own variables, and nothing outside of it: make \
             it a function, as in fn {}() {{ .. }}",
            name.to_lowercase()
        ),
        false => {
            let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            let others = words.filter(|word| *word != name && word.len() > 2);
            match nearest(name, others) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("let {name} = ..; makes it"),
            }
        }
    }
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
