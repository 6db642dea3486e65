//! What runs a plugin, whatever its language.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use lwm2m_server::HookSet;

use crate::context::CallContext;
use crate::{Call, Failure, Reply};

/// One loaded version of a plugin: compiled, checked, and its `init` has run.
///
/// Called on the workers of the host, from several at once; never on a shard.
pub(crate) trait Guest: Send + Sync + 'static {
    /// The hooks that it implements; others are never called.
    fn hooks(&self) -> HookSet;

    /// Asks it. The future may block its thread for as long as the guest computes (a script) or give
    /// way (a component); it ends soon after the deadline of the context in either case.
    ///
    /// # Errors
    /// See [`Failure`]. A failed call leaves the guest ready for the next one.
    fn call<'a>(
        &'a self,
        call: &'a Call,
        context: &'a Arc<CallContext>,
    ) -> Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send + 'a>>;

    /// True when waiting for a device or for HTTP blocks its thread, so that hooks that may wait
    /// belong on the pool of blocking threads.
    fn blocks(&self) -> bool;

    /// Bytes that its instances hold now, as far as they are known.
    fn memory(&self) -> u64;
}
