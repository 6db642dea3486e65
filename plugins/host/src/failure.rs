//! Why a plugin gave no answer.

use std::time::Duration;

/// Why a plugin gave no answer that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It ran, or waited for its turn, longer than the hook may take.
    #[error("it did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// It ended in a trap, a panic or an error of its own; for scripts with line and column.
    #[error("{0}")]
    Failed(String),
    /// Its answer is none that this hook can have.
    #[error("its answer cannot be used: {0}")]
    Unusable(String),
    /// It went over a limit; which one, by its name in the configuration.
    #[error("it went over its limit {0}")]
    Limit(&'static str),
    /// It has failed too often in a row and is switched off for a while.
    #[error("it is switched off after too many failures")]
    BreakerOpen,
    /// Too many calls of it wait already.
    #[error("too many calls of it wait already")]
    Overloaded,
    /// It panicked inside the host, which is a defect of the host.
    #[error("the plugin host has a defect")]
    Defect,
}

impl Failure {
    /// A stable word for events and figures.
    pub fn code(&self) -> &'static str {
        match self {
            Failure::Timeout(_) => "plugin-timeout",
            Failure::Failed(_) => "plugin-failed",
            Failure::Unusable(_) => "plugin-answer",
            Failure::Limit(_) => "plugin-limit",
            Failure::BreakerOpen => "plugin-off",
            Failure::Overloaded => "plugin-overloaded",
            Failure::Defect => "plugin-host-defect",
        }
    }
}
