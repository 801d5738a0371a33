//! `tracking serve`: the server until a signal comes.

use std::{io, path::PathBuf};

use clap::Args;

use crate::{
    edge,
    server::{LocalServer, Options, PublicUrl, ResolverKind, StartError},
    signals::Signals,
};

/// The options of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tracking serve
  tracking serve --listen 127.0.0.1:9000 --data /var/lib/tracking
  tracking serve --allow-private-targets     (receivers on this machine or network may be called: for trying things out)

Prints `listening on http://ADDR` once it takes requests; the console is at http://ADDR/console/, and `tracking console` makes a link to it. Ends cleanly on SIGINT and SIGTERM: sends that run may end, for up to 45
seconds; what is not done then is taken up at the next start. A second signal ends it at once, which loses nothing either.")]
pub struct ServeArgs {
    /// The address to listen on; port 0 is any free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// The data folder; it is made if need be
    #[arg(long, value_name = "DIR", default_value = "tracking-data")]
    data: PathBuf,
    /// Let receivers be on loopback and private addresses
    #[arg(long)]
    allow_private_targets: bool,
    /// The address at which receivers reach this server; without it no rule may hold a callback URL
    #[arg(long, value_name = "URL", value_parser = tracking_engine::parse_public_url)]
    public_url: Option<String>,
    /// The resolver of receivers' names
    #[arg(long, value_enum, value_name = "RESOLVER", default_value_t)]
    resolver: ResolverKind,
}

/// The reasons for which `serve` ends before a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The server does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Signals can't be waited for.
    #[error("signals can't be waited for")]
    Signals(#[source] io::Error),
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// The server does not start.
pub async fn serve(args: ServeArgs) -> Result<(), ServeError> {
    // Before anything slow: from here on a signal is a clean stop.
    let mut signals = Signals::new().map_err(ServeError::Signals)?;
    let options = Options {
        data: args.data,
        listen: args.listen,
        private_targets: args.allow_private_targets,
        public_url: args.public_url.map_or(PublicUrl::None, PublicUrl::Given),
        resolver: args.resolver,
    };
    let server = LocalServer::start(options).await?;
    edge::result(&format!("listening on {}", server.url()));
    signals.next().await;
    tracing::info!("stopping: waiting for running sends");
    tokio::select! {
        () = server.stop() => {}
        () = signals.next() => tracing::warn!("stopped at once: what was running is taken up at the next start"),
    }
    Ok(())
}
