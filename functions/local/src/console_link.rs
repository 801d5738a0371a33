//! `tracking console`: a link to the console of the local server, signed in.
//!
//! The token is in the link's fragment, which browsers send to no server; the console takes it from there and clears the address.

use std::{
    io,
    process::{Command, Stdio},
};

use clap::Args;

use crate::{edge, keys::KeyError, remote, token::BearerArgs};

/// The program that opens a link in the reader's browser.
const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// The options of `console`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tracking console --data tracking-data --admin
  tracking console --data tracking-data --affiliate aff_7 --open
  tracking console --admin --server http://127.0.0.1:9000

Prints the link; the server need not run yet. Anyone who has the link has its rights until it expires: treat it as a password.")]
pub struct ConsoleArgs {
    #[command(flatten)]
    bearer: BearerArgs,
    /// The address of the server, as a browser reaches it
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: String,
    /// For how many days the link counts, 1 to 3650
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=3_650))]
    days: u16,
    /// Open the link in the browser, too
    #[arg(long)]
    open: bool,
}

/// The reasons for which there is no link.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The folder's key can't be read or made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The address can't be used.
    #[error("{0} is not the address of a server: give one such as http://127.0.0.1:8080 with --server")]
    Address(String),
    /// No browser opens.
    #[error("{OPENER} can't be run: open the link yourself")]
    Open(#[source] io::Error),
}

/// Prints a link to the console, and opens it if asked to.
///
/// # Errors
/// The folder's key can't be read or made, the address is invalid, or the link can't be opened.
pub fn console(args: ConsoleArgs) -> Result<(), ConsoleError> {
    let server = remote::address(&args.server).map_err(ConsoleError::Address)?;
    let link = link(&server, &args.bearer.token(args.days)?);
    edge::result(&link);
    if args.open {
        open(&link).map_err(ConsoleError::Open)?;
    }
    Ok(())
}

/// Returns the link to a server's console for the owner of a token.
pub(crate) fn link(server: &str, token: &str) -> String {
    format!("{server}/console/#token={token}")
}

/// Opens a link in the browser, which outlives this process.
fn open(link: &str) -> io::Result<()> {
    Command::new(OPENER).arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
}
