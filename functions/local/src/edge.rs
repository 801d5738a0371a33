//! The edge to the terminal: results go to stdout, the rest to stderr; the causes of an error are printed once.

use std::{
    error::Error,
    io::{self, Write as _},
};

use tracing_subscriber::EnvFilter;

/// Prints a result as a line of stdout, at once. Ignores a closed stdout.
pub fn result(line: &str) {
    let mut out = io::stdout().lock();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints a line to stderr.
pub fn remark(line: &str) {
    let _closed = writeln!(io::stderr().lock(), "{line}");
}

/// Returns an error's text with its causes, outermost first.
pub fn error_text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Sends the log to stderr, filtered by a filter such as `info` or `tracking_engine=debug,warn`.
///
/// # Errors
/// The filter can't be read.
pub fn log(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        format!("the log filter {filter:?} can't be read ({error}): write for example info, or debug,hyper=warn")
    })?;
    let colours = io::IsTerminal::is_terminal(&io::stderr());
    // After a second call the first subscriber stays.
    let _in_place = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours).try_init();
    Ok(())
}
