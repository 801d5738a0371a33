//! `tracking demo`: sends the sample's postbacks from a temporary store, and checks them against the postbacks that the rules owe.
//!
//! The demo makes the sample rules and posts the sample events through the HTTP API of a server in this process. [`receiver`]s on loopback
//! take the postbacks and answer by their scripts; [`screen`] shows the postbacks as they arrive. When only deliveries that wait for office
//! hours are left, [`clock`] is moved to the opening. When no delivery is open any more, [`check`] compares the receivers' requests, the
//! log and the bus with `owed.json`.

mod api;
mod check;
mod clock;
mod play;
mod receiver;
mod sample;
mod screen;
mod summary;

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use tempfile::TempDir;
use tracking_core::id::Id;

use crate::{
    console_link, edge,
    server::{LocalServer, Options, PublicUrl, ResolverKind, StartError},
    signals::Signals,
};
pub use api::ApiError;
use clock::DemoClock;

/// The affiliate of the sample whose console the demo links to: one with several rules, trackers among them.
const AFFILIATE: &str = "aff_2";

/// The options of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tracking demo
  tracking demo --all | less
  tracking demo --keep               (then look around in the console, at the links that it prints, until Ctrl-C)
  tracking demo --keep demo-data     (the same, and the store stays in demo-data)

Shows the first postbacks of each rule, all of the first flows, and all of those that are asked again, tried again, or sent once their
conversion is settled. One receiver calls back, and the login of one rule is another one's, by a mirror. The clock begins before 9:00 of the last working day in Prague, and moves on for what waits for office hours.

Exit code: 0 if what arrived is what the rules owe, 1 if anything differs, 2 if the demo could not run.")]
pub struct DemoArgs {
    /// Show every postback
    #[arg(long)]
    all: bool,
    /// Leave server and receivers running until Ctrl-C, and the store in this new folder [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    keep: Option<Vec<PathBuf>>,
}

/// The reasons for which the demo could not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The folder to keep is not empty: a store that knows the events already would send nothing.
    #[error("{} is not empty: choose a new folder with --keep, the demo begins with an empty store", .0.display())]
    NotEmpty(PathBuf),
    /// The folder can't be read or made.
    #[error("{} can't be read or made: choose a folder that this user may write to", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The receivers don't start.
    #[error("the demo's receivers can't listen on loopback")]
    Receivers(#[source] io::Error),
    /// The server does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A call to the server fails.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Signals can't be waited for.
    #[error("signals can't be waited for")]
    Signals(#[source] io::Error),
    /// The demo was interrupted by Ctrl-C.
    #[error("stopped before the end: nothing was checked")]
    Interrupted,
}

/// Plays the sample and checks the result; keeps the server running afterwards if asked to.
///
/// # Errors
/// No folder, no port, no working server, or an interruption.
pub async fn demo(args: DemoArgs) -> Result<ExitCode, DemoError> {
    let mut signals = Signals::new().map_err(DemoError::Signals)?;
    let is_kept = args.keep.is_some();
    // The option takes one folder at most.
    let folder = Folder::of(args.keep.and_then(|folders| folders.into_iter().next()))?;
    let options = Options {
        data: folder.path().to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        private_targets: true,
        public_url: PublicUrl::Own,
        resolver: ResolverKind::default(),
    };
    let clock = DemoClock::before_opening();
    let server = LocalServer::start_at(options, clock.clock()).await?;
    let played = tokio::select! {
        played = play::play(&server, &clock, args.all) => played,
        () = signals.next() => Err(DemoError::Interrupted),
    };
    if is_kept && played.is_ok() {
        show_around(&server);
        signals.next().await;
    }
    server.stop().await;
    let played = played?;
    if let Folder::Kept(folder) = &folder {
        let folder = folder.display();
        edge::result(&format!("The store is kept. To serve it:\n  tracking serve --data {folder} --allow-private-targets"));
        edge::result(&format!("and a link to its console:\n  tracking console --data {folder} --admin"));
    }
    Ok(if played.is_as_owed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints links to the demo's data.
fn show_around(server: &LocalServer) {
    let affiliate: Id = AFFILIATE.parse().expect("the sample's affiliate has an id");
    let admin = console_link::link(&server.url(), &server.admin_token());
    let affiliate = console_link::link(&server.url(), &server.affiliate_token(&affiliate));
    edge::result(&format!("\nThe server runs until Ctrl-C. The console for an admin:\n  {admin}"));
    edge::result(&format!("and for the affiliate {AFFILIATE}:\n  {affiliate}"));
}

/// The folder of the store.
#[derive(Debug)]
enum Folder {
    /// A folder that is removed when this is dropped.
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Folder {
    fn of(keep: Option<PathBuf>) -> Result<Self, DemoError> {
        let Some(folder) = keep else {
            let private = fs::Permissions::from_mode(0o700);
            let made = tempfile::Builder::new().prefix("tracking-demo-").permissions(private).tempdir();
            return made.map(Self::Temporary).map_err(|source| DemoError::Folder { folder: std::env::temp_dir(), source });
        };
        match fs::read_dir(&folder).map(|mut entries| entries.next().is_none()) {
            Ok(false) => Err(DemoError::NotEmpty(folder)),
            Ok(true) => Ok(Self::Kept(folder)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::Kept(folder)),
            Err(source) => Err(DemoError::Folder { folder, source }),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(folder) => folder,
        }
    }
}
