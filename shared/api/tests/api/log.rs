//! The API's log lines, kept for each thread by itself: a test here has a thread of its own.
//!
//! All tests share one listener, which listens before anything is logged: tracing asks once for each place in the code whether anybody
//! listens, and a listener that comes while another thread asks may be overlooked.

use std::{
    cell::RefCell,
    io::{self, Write},
    sync::Once,
};

use serde_json::Value;
use tracing::{Level, subscriber::set_global_default};

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Logged;

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Begins to listen, if nobody did yet.
pub(crate) fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let listener = tracing_subscriber::fmt().json().with_max_level(Level::INFO).with_writer(|| Logged);
        set_global_default(listener.finish()).expect("nobody else in this program listens");
    });
}

/// The innermost span of each line of this thread with this message.
pub(crate) fn spans(message: &str) -> Vec<Value> {
    let lines = lines().into_iter().filter(|line| line["fields"]["message"] == message);
    lines.map(|mut line| line["span"].take()).collect()
}

/// The lines of this thread.
fn lines() -> Vec<Value> {
    LOGGED.with_borrow(|logged| {
        let lines = logged.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice::<Value>(line).expect("a line is JSON")).collect()
    })
}

/// The fields of each line of this thread with this message.
pub(crate) fn fields(message: &str) -> Vec<Value> {
    let fields = lines().into_iter().map(|mut line| line["fields"].take());
    fields.filter(|fields| fields["message"] == message).collect()
}
