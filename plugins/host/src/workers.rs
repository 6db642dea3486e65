//! The threads that run plugins.

use std::future::Future;

use tokio::runtime::{Builder, Handle, Runtime};

/// The threads that run plugins: a runtime of their own, so that shards never run one.
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

    /// Runs something; on a thread of its own when it waits by blocking.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static, blocks: bool) {
        if blocks {
            let handle = self.handle();
            self.handle.spawn_blocking(move || handle.block_on(work));
        } else {
            self.handle.spawn(work);
        }
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
