//! Threads of low priority, which work affiliates' requests: their long reads and checks give way to the sending of postbacks.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The number of these threads.
const THREADS: usize = 2;
/// Their nice value: about a third of a busy processor. A much lower priority could keep a thread that holds a lock from releasing it.
const NICE: i32 = 5;

/// The threads; when dropped, they end after their running work.
#[derive(Debug)]
pub(crate) struct LowPriorityThreads(Option<Runtime>);

impl LowPriorityThreads {
    /// Starts the threads.
    ///
    /// # Errors
    /// The operating system allows no more threads.
    pub(crate) fn start() -> io::Result<Self> {
        let mut threads = Builder::new_multi_thread();
        threads.worker_threads(THREADS).thread_name("affiliates").on_thread_start(|| tracking_engine::lower_priority(NICE));
        Ok(Self(Some(threads.enable_all().build()?)))
    }

    /// Returns the handle that takes work for the threads.
    pub(crate) fn handle(&self) -> Handle {
        self.0.as_ref().expect("they run until they are dropped").handle().clone()
    }
}

impl Drop for LowPriorityThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Inside a runtime, another one can't be waited for.
            runtime.shutdown_background();
        }
    }
}
