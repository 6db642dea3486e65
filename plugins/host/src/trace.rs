//! Calls as they went, for who watches a plugin at work.

use std::time::Duration;

use lwm2m_server::{EndpointName, Hook};
use serde_json::Value;

use crate::fixture::hide_keys;
use crate::form::{AnswerForm, CallForm};
use crate::{Call, Failure, Reply};

/// A call as it went, in the words of fixtures.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CallTrace {
    /// The plugin.
    pub plugin: String,
    /// The hook.
    pub hook: Hook,
    /// The device that it is about; none before it has a name.
    pub endpoint: Option<String>,
    /// What the hook takes, as a `[[call]]` of a fixture has it.
    pub input: Value,
    /// What it answers, as `answer` of a fixture has it; the keys of credentials are hidden.
    pub answer: Result<Value, Failure>,
    /// How long it took, waiting for its turn included.
    pub took: Duration,
}

/// Who watches.
pub(crate) type Watcher = Box<dyn Fn(&CallTrace) + Send + Sync>;

impl CallTrace {
    pub(crate) fn of(
        plugin: &str,
        call: &Call,
        answer: &Result<Reply, Failure>,
        took: Duration,
    ) -> CallTrace {
        let shown = |reply: &Reply| {
            let mut shown = AnswerForm::of(reply).json();
            hide_keys(&mut shown);
            shown
        };
        CallTrace {
            plugin: plugin.to_owned(),
            hook: call.hook(),
            endpoint: call.endpoint().map(EndpointName::to_string),
            input: serde_json::to_value(CallForm::of(call)).unwrap_or_default(),
            answer: answer.as_ref().map(shown).map_err(Clone::clone),
            took,
        }
    }
}
