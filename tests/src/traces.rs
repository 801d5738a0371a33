//! The traces of a process, to be searched.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Everything that is traced, by all threads of this process.
#[derive(Debug, Clone, Default)]
pub struct Traces(Arc<Mutex<Vec<u8>>>);

impl Traces {
    /// Listens to everything at the finest level.
    ///
    /// # Panics
    /// This process has another subscriber already.
    pub fn of_all() -> Self {
        Self::listen(Targets::new().with_default(LevelFilter::TRACE))
    }

    /// Listens as a function does with its log at the finest level.
    ///
    /// # Panics
    /// This process has another subscriber already.
    pub fn as_logged() -> Self {
        Self::listen(Targets::new().with_default(LevelFilter::WARN).with_target("tracking", LevelFilter::TRACE))
    }

    fn listen(filter: Targets) -> Self {
        let traces = Self::default();
        let layer = tracing_subscriber::fmt::layer().with_writer(traces.clone()).with_ansi(false);
        tracing_subscriber::registry().with(filter).with(layer).try_init().expect("no other test of this process listens");
        traces
    }

    /// Returns the traces so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock()).into_owned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Traces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Traces {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
