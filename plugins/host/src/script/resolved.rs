//! Which functions the calls and operators of a script mean.
//!
//! rhai looks for them by name and types of the arguments, through all that is registered, and keeps
//! what it found for the rest of a call. A hook is one call, so that it would look for everything
//! anew each time. Nothing is registered once a script runs, so what was found stays true.

use std::sync::{Mutex, PoisonError};

use rhai::Caches;

use crate::stripes::Stripes;

/// What was found so far, as often as calls run at once.
#[derive(Default)]
pub(super) struct Resolved(Stripes<Mutex<Vec<Caches>>>);

/// With more entries it is thrown away: a script may make up names of functions.
const ENTRIES_MAX: usize = 1024;

impl Resolved {
    /// Lends it for a call.
    pub(super) fn lend<T>(&self, call: impl FnOnce(&mut Caches) -> T) -> T {
        let mine = || self.0.mine().lock().unwrap_or_else(PoisonError::into_inner);
        let kept = mine().pop();
        let mut resolved = kept.unwrap_or_default();
        let answer = call(&mut resolved);
        // A call that failed may have left more.
        resolved.rewind_fn_resolution_caches(1);
        if resolved.fn_resolution_cache_mut().dict.len() <= ENTRIES_MAX {
            mine().push(resolved);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use rhai::{Engine, EvalContext, Scope};

    use super::*;

    impl Resolved {
        /// How many entries there are in each that is kept.
        fn entries(&self) -> Vec<usize> {
            let kept = self.0.mine().lock().unwrap();
            let len = |kept: &Caches| kept.clone().fn_resolution_cache_mut().dict.len();
            kept.iter().map(len).collect()
        }
    }

    fn run(engine: &Engine, resolved: &Resolved, script: &str) -> bool {
        let ast = engine.compile(script).unwrap();
        let mut global = engine.new_global_runtime_state();
        global.lib.push(ast.shared_lib().clone());
        resolved.lend(|resolved| {
            let mut scope = Scope::new();
            let mut context = EvalContext::new(engine, &mut global, resolved, &mut scope, None);
            context.call_fn_raw("run", false, false, &mut []).is_ok()
        })
    }

    #[test]
    fn what_was_found_is_kept_also_after_a_failure() {
        let (engine, resolved) = (Engine::new(), Resolved::default());
        let good = "fn run() { let s = \"\"; for n in 0..9 { s += n.to_string(); } s.len() }";
        assert!(run(&engine, &resolved, good));
        let [found] = resolved.entries()[..] else {
            panic!("one call at a time keeps one");
        };
        assert!(found > 0);
        assert!(!run(&engine, &resolved, "fn run() { throw 1; }"));
        let [kept] = resolved.entries()[..] else {
            panic!("it is kept");
        };
        assert!(kept >= found, "{kept}");
    }

    #[test]
    fn made_up_names_do_not_fill_the_memory() {
        let (mut engine, resolved) = (Engine::new(), Resolved::default());
        engine.set_max_expr_depths(64, 64);
        let make_up = |names: usize| {
            format!(
                "fn run() {{ for n in 0..{names} {{ for twice in 0..2 {{
                   try {{ Fn(`f${{n}}`).call(); }} catch {{}} }} }} }}"
            )
        };
        assert!(run(&engine, &resolved, &make_up(10)));
        let [few] = resolved.entries()[..] else {
            panic!("it is kept");
        };
        assert!((10..=ENTRIES_MAX).contains(&few), "{few}");
        assert!(run(&engine, &resolved, &make_up(2 * ENTRIES_MAX)));
        assert_eq!(resolved.entries(), [0_usize; 0]);
    }
}
