//! What interceptors hear after the fact.

/// Why a registration has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The device de-registered.
    Deregistered,
    /// It did not update within its lifetime.
    LifetimeExpired,
    /// It registered anew.
    Replaced,
    /// An application dropped it, or its credential is gone.
    RemovedByOperator,
}
