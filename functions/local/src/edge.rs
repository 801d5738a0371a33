//! The edge to the terminal: results go to stdout, the rest to stderr, causes are told once.

use std::{
    error::Error,
    io::{self, Write as _},
};

use tracing_subscriber::EnvFilter;

/// Prints a result as a line of stdout, at once. Whoever closed stdout doesn't want it.
pub fn result(line: &str) {
    let mut out = io::stdout().lock();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints a line to stderr.
pub fn remark(line: &str) {
    let _closed = writeln!(io::stderr().lock(), "{line}");
}

/// An error with its causes, outermost first.
pub fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Sends the log to stderr, narrowed down by a filter such as `info` or `tracking_engine=debug,warn`.
///
/// # Errors
/// The filter can't be read.
pub fn log(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        format!("the log filter {filter:?} can't be read ({error}): write for example info, or debug,hyper=warn")
    })?;
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    // A second call finds a subscriber in place and changes nothing.
    let _in_place = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).try_init();
    Ok(())
}
