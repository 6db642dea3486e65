//! What runs a plugin, whatever its language.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use lwm2m_server::HookSet;

use crate::context::CallContext;
use crate::{Call, Failure, LoadError, Permission, Reply};

/// One loaded version of a plugin: compiled, checked, and its `init` has run.
///
/// Called from several threads at once: on the workers of the host, and on those of shards where
/// [`Guest::blocks`] says that it gives way.
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

    /// True when it holds its thread until it is done, also while it waits for a device or for HTTP;
    /// false when it gives way.
    fn blocks(&self) -> bool;

    /// What is doubtful in its code, although it loads; `asked_for` are the permissions that its
    /// manifest asks for.
    fn doubts(&self, asked_for: &[Permission]) -> Vec<Doubt> {
        let _ = asked_for;
        Vec::new()
    }

    /// Runs a test function, where the language has them.
    ///
    /// # Errors
    /// Why it has failed, with line and column.
    fn test(&self, name: &str, context: &Arc<CallContext>) -> Result<(), LoadError> {
        let _ = context;
        let what = format!("{name} is no test");
        Err(LoadError::new(Path::new(""), what))
    }

    /// Bytes that its instances hold now, as far as they are known.
    fn memory(&self) -> u64;
}

/// Something doubtful in the code of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// From 1, where it is known.
    pub(crate) line: Option<usize>,
    /// From 1, where it is known.
    pub(crate) column: Option<usize>,
    /// What it is.
    pub(crate) what: String,
}
