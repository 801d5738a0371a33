//! Threads of low priority, which work affiliates' requests: a long read or a long check of theirs gives way to what sends postbacks.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The number of these threads.
const THREADS: usize = 2;
/// Their nice value: about a third of a busy processor. Much less would let a thread that holds a lock be kept from giving it back.
const NICE: i32 = 5;

/// The threads; dropped, they end once their running pieces have.
#[derive(Debug)]
pub(crate) struct LowPriorityThreads(Option<Runtime>);

impl LowPriorityThreads {
    /// Starts them.
    ///
    /// # Errors
    /// The system allows no more threads.
    pub(crate) fn start() -> io::Result<Self> {
        let mut threads = Builder::new_multi_thread();
        threads.worker_threads(THREADS).thread_name("affiliates").on_thread_start(|| tracking_engine::lower_priority(NICE));
        Ok(Self(Some(threads.enable_all().build()?)))
    }

    /// The handle by which work is given to them.
    pub(crate) fn handle(&self) -> Handle {
        self.0.as_ref().expect("they run until they are dropped").handle().clone()
    }
}

impl Drop for LowPriorityThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A runtime may not be waited for inside of another one.
            runtime.shutdown_background();
        }
    }
}
