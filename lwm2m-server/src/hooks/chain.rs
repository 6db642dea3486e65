//! Interceptors in their order.

use std::sync::Arc;

use super::{Hook, Interceptor};
use crate::Reason;
use crate::event::EventKind;

/// The first interceptor from `from` on that has a hook, and its place.
pub(crate) fn next_with(
    interceptors: &[Arc<dyn Interceptor>],
    from: usize,
    hook: Hook,
) -> Option<(usize, &Arc<dyn Interceptor>)> {
    let has_it = |interceptor: &Arc<dyn Interceptor>| {
        let hooks = crate::shard::hook(|| interceptor.hooks());
        hooks.unwrap_or_default().contains(hook)
    };
    let mut rest = interceptors.iter().enumerate().skip(from);
    rest.find(|(_, interceptor)| has_it(interceptor))
}

/// True when any interceptor has a hook.
pub(crate) fn any_with(interceptors: &[Arc<dyn Interceptor>], hook: Hook) -> bool {
    next_with(interceptors, 0, hook).is_some()
}

/// What is told of an interceptor that gave no answer, or none that can be used.
pub(crate) fn failed(extension: &str, hook: Hook, reason: Reason) -> EventKind {
    EventKind::ExtensionFailed {
        extension: extension.to_owned(),
        hook: Some(hook.name()),
        reason,
    }
}
