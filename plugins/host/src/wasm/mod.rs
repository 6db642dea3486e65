//! Plugins that are WASM components, of the contract in `plugins/wit`.
//!
//! ```text
//! bytes ─> contract (is it a plugin, which hooks) ─> cache ─> compile ─> link ─> Component
//! Component: slots ─> warm instance or a fresh one ─> input ─> guest ─> output ─> Reply
//!                                                              └─> imports: host functions
//! ```
//!
//! A component runs on a stack of its own, so that one that waits for a device holds no thread. It
//! gives way every few milliseconds and is stopped at its deadline ([`ticker`]). An instance that
//! trapped, or was stopped, is never used again.

#[allow(clippy::all)]
mod bindings;
mod bootstrapping;
mod cache;
mod component;
mod contract;
mod imports;
mod input;
mod instance;
mod output;
mod ticker;
#[cfg(feature = "wasi")]
mod wasi;

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use cache::CompileCache;
pub(crate) use component::Component;
use instance::{Exports, State};
use ticker::Ticker;

use crate::LoadError;
use crate::context::Allowance;
use crate::load::{Source, config_json};
use crate::services::Services;

/// What all components share: the compiler, the host functions, the clock.
pub(crate) struct Runtime {
    engine: Engine,
    linker: Linker<State>,
    ticker: Arc<Ticker>,
    cache: Option<CompileCache>,
}

/// The stack of a guest, in bytes.
const STACK_MAX: usize = 512 * 1024;

/// The stack of a guest and of the host functions that it calls, in bytes. Only what is touched of
/// it takes memory.
const STACK_WITH_HOST: usize = 1024 * 1024;

impl Runtime {
    /// Starts it; compiled components are kept in `cache`. Whether fuel is counted is part of how they
    /// are compiled.
    ///
    /// # Errors
    /// A sentence: the processor is not known, there are no threads, others may write to the cache.
    pub(crate) fn new(cache: Option<&Path>, fuel: bool) -> Result<Runtime, String> {
        let told = |error: wasmtime::Error| format!("{error:#}");
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .concurrency_support(false)
            .epoch_interruption(true)
            .consume_fuel(fuel)
            .max_wasm_stack(STACK_MAX)
            .async_stack_size(STACK_WITH_HOST);
        let cache = cache.map(CompileCache::open).transpose()?;
        config.cache(cache.as_ref().map(CompileCache::store));
        let engine = Engine::new(&config).map_err(told)?;
        let mut linker = Linker::new(&engine);
        imports::link(&mut linker).map_err(told)?;
        #[cfg(feature = "wasi")]
        wasi::link(&mut linker).map_err(told)?;
        let ticker = Ticker::start(&engine).map_err(|error| error.to_string())?;
        Ok(Runtime {
            engine,
            linker,
            ticker: Arc::new(ticker),
            cache,
        })
    }

    /// Compiles a component, checks it, and calls the `init` of its first instance.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn load(
        &self,
        source: &Source,
        allowance: &Arc<Allowance>,
        services: &Arc<Services>,
    ) -> Result<Component, LoadError> {
        let (file, code) = (source.file.as_path(), source.code.as_slice());
        let refuse = |error: wasmtime::Error| {
            LoadError::new(file, format!("{error:#}"))
                .hint("build it again, and copy it as a whole")
        };
        contract::check_bytes(file, code)?;
        let compile = || wasmtime::component::Component::new(&self.engine, code);
        let compiled = match &self.cache {
            Some(cache) => cache.through(code, compile),
            None => compile(),
        };
        let compiled = compiled.map_err(refuse)?;
        let hooks = contract::check(file, &compiled, &self.engine)?;
        let pre = self.linker.instantiate_pre(&compiled).map_err(|error| {
            LoadError::new(file, format!("{error:#}"))
                .hint("a plugin gets what lwm2m:plugin and the clocks and streams of WASI have")
        })?;
        let exports = Exports::find(&pre, hooks).map_err(|error| {
            LoadError::new(file, format!("{error:#}")).hint("build it with the WIT of this server")
        })?;
        let config = config_json(&source.config);
        let shared = (allowance, services);
        let component = Component::new(pre, exports, hooks, config, shared, &self.ticker);
        start(&component, file)?;
        Ok(component)
    }
}

/// Starts a component from wherever this is called: on a thread of its own, as a runtime must not
/// wait within another.
fn start(component: &Component, file: &Path) -> Result<(), LoadError> {
    let refuse = |what: String| LoadError::new(file, what);
    // The runtime ends on that thread as well.
    let run = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build();
        let runtime = runtime.map_err(|error| refuse(error.to_string()))?;
        runtime.block_on(component.start(file))
    };
    std::thread::scope(|scope| {
        let defect = || refuse("the plugin host has a defect: its init panicked".to_owned());
        scope.spawn(run).join().unwrap_or_else(|_| Err(defect()))
    })
}
