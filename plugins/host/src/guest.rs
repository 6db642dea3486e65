//! What runs a plugin, whatever its language.

use std::path::Path;
use std::sync::Arc;

use lwm2m_server::HookSet;

use crate::context::CallContext;
use crate::{Call, Failure, LoadError, Permission, Reply};

/// One loaded version of a plugin: compiled, checked, and its `init` has run.
///
/// Called from several threads at once: on the workers of the host, and on those of shards where
/// [`Guest::blocks`] says that it gives way. The languages are known here, and not behind a trait
/// object: a call of one is part of the future of whoever asks, with no memory of its own.
pub(crate) enum Guest {
    #[cfg(feature = "rhai")]
    Script(Box<crate::script::Script>),
    #[cfg(feature = "wasm")]
    Component(Arc<crate::wasm::Component>),
}

impl Guest {
    /// The hooks that it implements; others are never called.
    pub(crate) fn hooks(&self) -> HookSet {
        match *self {
            #[cfg(feature = "rhai")]
            Guest::Script(ref script) => script.hooks(),
            #[cfg(feature = "wasm")]
            Guest::Component(ref component) => component.hooks(),
        }
    }

    /// Asks it. The future may block its thread for as long as the guest computes (a script) or give
    /// way (a component); it ends soon after the deadline of the context in either case.
    ///
    /// # Errors
    /// See [`Failure`]. A failed call leaves the guest ready for the next one.
    pub(crate) async fn call(
        &self,
        call: &Call,
        context: &Arc<CallContext>,
    ) -> Result<Reply, Failure> {
        match *self {
            #[cfg(feature = "rhai")]
            Guest::Script(ref script) => script.call(call, context),
            #[cfg(feature = "wasm")]
            Guest::Component(ref component) => component.call(call, context).await,
        }
    }

    /// True when it holds its thread until it is done, also while it waits for a device or for HTTP;
    /// false when it gives way.
    pub(crate) fn blocks(&self) -> bool {
        match *self {
            #[cfg(feature = "rhai")]
            Guest::Script(_) => true,
            #[cfg(feature = "wasm")]
            Guest::Component(_) => false,
        }
    }

    /// What is doubtful in its code, although it loads; `asked_for` are the permissions that its
    /// manifest asks for.
    pub(crate) fn doubts(&self, asked_for: &[Permission]) -> Vec<Doubt> {
        match *self {
            #[cfg(feature = "rhai")]
            Guest::Script(ref script) => script.doubts(asked_for),
            #[cfg(feature = "wasm")]
            Guest::Component(_) => Vec::new(),
        }
    }

    /// Runs a test function, where the language has them.
    ///
    /// # Errors
    /// Why it has failed, with line and column.
    pub(crate) fn test(&self, name: &str, context: &Arc<CallContext>) -> Result<(), LoadError> {
        match *self {
            #[cfg(feature = "rhai")]
            Guest::Script(ref script) => script.run_test(name, context),
            #[cfg(feature = "wasm")]
            Guest::Component(_) => Err(LoadError::new(Path::new(""), format!("{name} is no test"))),
        }
    }

    /// Bytes that its instances hold now, as far as they are known: a script keeps nothing between two
    /// calls; its code is small and not counted.
    pub(crate) fn memory(&self) -> u64 {
        match *self {
            #[cfg(feature = "rhai")]
            Guest::Script(_) => 0,
            #[cfg(feature = "wasm")]
            Guest::Component(ref component) => component.memory(),
        }
    }
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
