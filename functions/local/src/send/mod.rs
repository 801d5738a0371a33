//! `tracking send`: posts files of events to a server.
//!
//! Events go out in batches, in the order of the files. An invalid one is reported with its file, line and faults; the others go on.

mod input;
mod post;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    edge,
    keys::{self, KeyError},
};
use input::{Input, InputError};
use post::{Outcome, PostError, Server};
use tracking_core::caller::Caller;

/// The most events of one request.
const BATCH_EVENTS: usize = 500;
/// The most bytes of one request, unless one event alone is longer.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// The options of `send`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tracking send tests/events/conversions.ndjson
  tracking send --server http://127.0.0.1:9000 --data /var/lib/tracking event.json
  generate-events | TRACKING_TOKEN=... tracking send -

A file holds one event, a JSON array of events, or one event a line. Sending a file again does no harm: the same change is accepted
once.

Exit code: 0 if every event was accepted, 1 if some were bad, 2 if the work could not be done, such as no server or no token.")]
pub struct SendArgs {
    /// The server's address
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// An admin's token [default: one made with the key in --data]
    #[arg(long, value_name = "TOKEN", env = "TRACKING_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The data folder of the server, to make a token with
    #[arg(long, value_name = "DIR", default_value = "tracking-data")]
    data: PathBuf,
    /// Files of events; - is stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The reasons for which the command fails.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There is no token.
    #[error("a token is needed: give one with --token or in TRACKING_TOKEN, or the server's folder with --data")]
    Token(#[source] KeyError),
    /// A file can't be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The server does not accept events.
    #[error(transparent)]
    Post(#[from] PostError),
}

/// Posts the files' events and prints a summary.
///
/// # Errors
/// There is no token, a file can't be read, or the server does not answer.
pub async fn send(args: SendArgs) -> Result<ExitCode, SendError> {
    let token = match args.token.filter(|token| !token.is_empty()) {
        Some(token) => token,
        None => keys::token(&keys::existing_tokens(&args.data).map_err(SendError::Token)?, &Caller::Admin, 1),
    };
    let server = Server::new(&args.server, token)?;
    // All files are opened before anything is sent, so that a misspelt name is reported at once.
    let inputs = args.files.iter().map(|file| Input::open(file)).collect::<Result<Vec<_>, _>>()?;
    let mut sending = Sending { server, progress: progress(&inputs), batch: Batch::default(), accepted: 0, bad: 0 };
    for mut input in inputs {
        while let Some((line, event)) = input.next()? {
            if sending.batch.is_full_with(&event) {
                sending.flush(&input).await?;
            }
            sending.batch.add(line, event);
        }
        sending.flush(&input).await?;
    }
    sending.progress.finish_and_clear();
    edge::result(&format!("{} accepted, {} bad", sending.accepted, sending.bad));
    Ok(if sending.bad == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Events that are sent together, with their lines.
#[derive(Debug, Default)]
struct Batch {
    lines: Vec<usize>,
    body: Vec<u8>,
    /// The position in the file up to which the batch was read, in bytes.
    read: u64,
}

impl Batch {
    fn is_full_with(&self, event: &[u8]) -> bool {
        self.lines.len() == BATCH_EVENTS || (!self.lines.is_empty() && self.body.len() + event.len() > BATCH_BYTES)
    }

    /// Adds an event as one line: line breaks inside an event are white space, or the event isn't JSON anyway.
    fn add(&mut self, line: usize, event: Vec<u8>) {
        self.read += event.len() as u64 + 1;
        self.lines.push(line);
        self.body.extend(event.into_iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        self.body.push(b'\n');
    }
}

struct Sending {
    server: Server,
    progress: ProgressBar,
    batch: Batch,
    accepted: usize,
    bad: usize,
}

impl Sending {
    async fn flush(&mut self, input: &Input) -> Result<(), SendError> {
        let Batch { lines, body, read } = std::mem::take(&mut self.batch);
        if lines.is_empty() {
            return Ok(());
        }
        let Outcome { rejected } = self.server.post(body).await?;
        self.accepted += lines.len() - rejected.len().min(lines.len());
        self.bad += rejected.len().min(lines.len());
        self.progress.suspend(|| {
            for (index, faults) in rejected {
                let line = lines.get(index).copied().unwrap_or_default();
                edge::remark(&format!("{}:{line}: {faults}", input.name()));
            }
        });
        self.progress.inc(read);
        Ok(())
    }
}

/// Makes a progress bar on a terminal, nothing elsewhere.
fn progress(inputs: &[Input]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let sizes: Option<Vec<u64>> = inputs.iter().map(Input::size).collect();
    let (bar, template) = match sizes {
        Some(sizes) => (ProgressBar::new(sizes.iter().sum()), "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {bytes_per_sec}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template's keys are known"))
}
