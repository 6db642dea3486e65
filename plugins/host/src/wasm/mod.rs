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
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use cache::CompileCache;
pub(crate) use component::Component;
use instance::{Exports, State};
use ticker::Ticker;

use crate::LoadError;
use crate::checksum::Checksum;
use crate::context::Allowance;
use crate::load::{Source, config_json};
use crate::services::Services;

/// What all components share: the compiler, the host functions, the clock.
pub(crate) struct Runtime {
    engine: Engine,
    linker: Linker<State>,
    ticker: Arc<Ticker>,
    cache: Option<CompileCache>,
    /// What was compiled last, where the same is loaded again and again.
    last: OnceLock<Mutex<Option<Compiled>>>,
}

/// A component, by what it was compiled from.
type Compiled = (Checksum, wasmtime::component::Component);

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
            // A trap is told without its frames; what belongs to them only makes loading slow.
            .wasm_backtrace_max_frames(None)
            .generate_address_map(false)
            // The calling convention of Windows wants it.
            .native_unwind_info(cfg!(windows))
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
            last: OnceLock::new(),
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
    ) -> Result<Arc<Component>, LoadError> {
        let (file, code) = (source.file.as_path(), source.code.as_slice());
        let refuse = |error: wasmtime::Error| {
            LoadError::new(file, format!("{error:#}"))
                .hint("build it again, and copy it as a whole")
        };
        contract::check_bytes(file, code)?;
        let compiled = self.compiled(code, source.seen.checksum).map_err(refuse)?;
        let hooks = contract::check(file, &compiled, &self.engine)?;
        let pre = self.linker.instantiate_pre(&compiled).map_err(|error| {
            LoadError::new(file, format!("{error:#}"))
                .hint("a plugin gets what lwm2m:plugin and the clocks and streams of WASI have")
        })?;
        let exports = Exports::find(&pre, hooks).map_err(|error| {
            LoadError::new(file, format!("{error:#}")).hint("build it with the WIT of this server")
        })?;
        let config = config_json(&source.config);
        let component = Component::new(pre, exports, hooks, config, allowance, &self.ticker);
        let component = Arc::new(component);
        start(&component, file, &allowance.services)?;
        Ok(component)
    }
}

impl Runtime {
    /// Keeps what was compiled last from now on.
    pub(crate) fn remember_compiled(&self) {
        let _ = self.last.set(Mutex::default());
    }

    /// What code of this checksum is compiled to.
    fn compiled(
        &self,
        code: &[u8],
        checksum: Checksum,
    ) -> wasmtime::Result<wasmtime::component::Component> {
        let compile = || match &self.cache {
            Some(cache) => cache.through(checksum, || self.compile(code)),
            None => self.compile(code),
        };
        let Some(last) = self.last.get() else {
            return compile();
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, compiled)) = &*last
            && *known == checksum
        {
            return Ok(compiled.clone());
        }
        let compiled = compile()?;
        *last = Some((checksum, compiled.clone()));
        Ok(compiled)
    }

    fn compile(&self, code: &[u8]) -> wasmtime::Result<wasmtime::component::Component> {
        wasmtime::component::Component::new(&self.engine, code)
    }
}

/// Starts a component from wherever this is called: elsewhere, as a runtime must not wait within
/// another.
fn start(component: &Arc<Component>, file: &Path, services: &Services) -> Result<(), LoadError> {
    let deadline = Instant::now() + component::START_TIMEOUT;
    let (starting, place) = (Arc::clone(component), file.to_owned());
    let started = services.wait(async move { starting.start(&place).await }, deadline);
    started.unwrap_or_else(|| {
        let what = "its init came to no end";
        let hint = "the system may have no more threads; otherwise the plugin host has a defect, and what \
                    it says is on the standard error output";
        Err(LoadError::new(file, what).hint(hint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::checksum;

    #[test]
    fn a_component_is_compiled_once_where_it_is_remembered() {
        let text = |number: u32| {
            let text = format!("(component (core module (func (result i32) i32.const {number})))");
            wat::parse_str(text).expect("a component")
        };
        let runtime = Runtime::new(None, false).expect("a runtime");
        let place = |code: &[u8]| {
            let compiled = runtime.compiled(code, checksum(code));
            compiled.expect("it compiles")
        };
        let (one, other) = (text(1), text(2));
        // Two that live at once are in two places, unless they are the same.
        let (first, second) = (place(&one), place(&one));
        assert_ne!(first.image_range(), second.image_range());
        runtime.remember_compiled();
        let (first, second) = (place(&one), place(&one));
        assert_eq!(first.image_range(), second.image_range());
        let another = place(&other);
        assert_ne!(first.image_range(), another.image_range());
        assert_eq!(another.image_range(), place(&other).image_range());
    }
}
