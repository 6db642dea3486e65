//! The threads that run plugins.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// The threads that run plugins: a runtime of their own, so that what is slow is never on a shard.
pub(crate) struct Workers {
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
    pub(crate) threads: usize,
}

/// Threads for scripts that wait for devices or for HTTP, at most.
const BLOCKING_MAX: usize = 64;

impl Workers {
    /// Starts them; 0 threads for one for each core, at least two in any case.
    ///
    /// # Errors
    /// The system gives no threads.
    pub(crate) fn new(threads: usize) -> std::io::Result<Workers> {
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        let threads = match threads {
            0 => cores(),
            threads => threads,
        };
        let threads = threads.max(2);
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name("lwm2m-plugins")
            .enable_all()
            .build()?;
        Ok(Workers {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            threads,
        })
    }

    /// Where they run.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs something.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(work)
    }

    /// Runs something that waits by blocking, on a thread of its own.
    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let handle = self.handle();
        self.handle.spawn_blocking(move || handle.block_on(work))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Not waiting: a runtime must not be waited for within another, and what still runs has
        // nobody left to answer to.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
