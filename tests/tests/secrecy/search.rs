//! What is looked for, and where it was found.

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

/// A secret with everything in which escapes differ.
pub(crate) const TOKEN: &str = "a/b Zx9Qv7Lm2Wk4\"ž+\\&?~";
/// Another one.
pub(crate) const INNER: &str = "Jd4Kf7WsRt5Yb8Nc3Ph6";
/// Letters and digits from the secrets, which no escape touches, and the secrets in base 64.
const NEEDLES: [&str; 5] =
    ["Zx9Qv7Lm2Wk4", "Jd4Kf7WsRt5Yb8Nc3Ph6", "YS9iIFp4OVF2N0xtMldrNCLFvitcJj9", "SmQ0S2Y3V3NSdDVZYjhOYzNQaDY", "a%2Fb%20Zx9Qv"];

/// The secrets in a text, each with what stands around it.
pub(crate) fn secrets_in(text: &str) -> Vec<String> {
    let around = |at: usize| {
        let (from, to) = (text.floor_char_boundary(at.saturating_sub(120)), text.ceil_char_boundary((at + 80).min(text.len())));
        text[from..to].to_owned()
    };
    NEEDLES.iter().filter_map(|needle| text.find(needle)).map(around).collect()
}

/// Everything that is traced, of all threads of this process.
#[derive(Clone, Default)]
pub(crate) struct Traces(Arc<Mutex<Vec<u8>>>);

impl Traces {
    /// Listens as a function does with its log at the finest level.
    pub(crate) fn listen() -> Self {
        let traces = Self::default();
        let filter = Targets::new().with_default(LevelFilter::WARN).with_target("tracking", LevelFilter::TRACE);
        let layer = tracing_subscriber::fmt::layer().with_writer(traces.clone()).with_ansi(false);
        tracing_subscriber::registry().with(filter).with(layer).try_init().expect("no other test of this binary listens");
        traces
    }

    /// What was traced so far.
    pub(crate) fn text(&self) -> String {
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

#[test]
fn secrets_are_found_where_they_are() {
    assert_eq!(secrets_in("all is well"), Vec::<String>::new());
    assert_eq!(secrets_in(&format!("it is {TOKEN}!")).len(), 1);
    assert_eq!(secrets_in("ž SmQ0S2Y3V3NSdDVZYjhOYzNQaDY= ž"), ["ž SmQ0S2Y3V3NSdDVZYjhOYzNQaDY= ž"]);
}
