//! `tracking inspect`: the reason for which a delivery does not move, and the rows that decide its next step.
//!
//! A data folder is opened read-only, which is safe beside its running server; with `--server` a server is asked instead, for example on
//! AWS.

mod ask;
mod show;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use tracking_core::{
    caller::Caller,
    delivery::{DeliveryId, NotADeliveryId},
};
use tracking_embedded::{OpenError, ReadOnlyStore};
use tracking_engine::{Clock, Engine, Settings, internals::Internals, rules::Refused, secrets::Vault};

use crate::{
    clock, edge,
    keys::{self, KeyError},
};
use ask::AskError;

/// The options of `inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tracking inspect dlv_0123456789abcdefghjkmnpqrstvwxyz
  tracking inspect --data /var/lib/tracking dlv_0123456789abcdefghjkmnpqrstvwxyz
  tracking inspect --json dlv_0123456789abcdefghjkmnpqrstvwxyz | jq -r '.why, .until'
  TRACKING_TOKEN=... tracking inspect --server https://api.example dlv_0123456789abcdefghjkmnpqrstvwxyz

Without --server the data folder is opened read-only: it makes no difference whether its server runs.

Exit code: 0 if the delivery is known, 1 if it is not, 2 if the work could not be done, such as no folder or no server.")]
pub struct InspectArgs {
    /// The id of the delivery
    #[arg(value_name = "DELIVERY", value_parser = delivery)]
    id: DeliveryId,
    /// The data folder of the server
    #[arg(long, value_name = "DIR", default_value = "tracking-data")]
    data: PathBuf,
    /// Ask the server at this address instead of reading the data folder
    #[arg(long, value_name = "URL", alias = "url")]
    server: Option<String>,
    /// An admin's token, for --server [default: one made with the key in --data]
    #[arg(long, value_name = "TOKEN", env = "TRACKING_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print JSON, as GET /deliveries/{id}/internals answers
    #[arg(long)]
    json: bool,
}

fn delivery(text: &str) -> Result<DeliveryId, NotADeliveryId> {
    DeliveryId::parse(text).ok_or(NotADeliveryId)
}

/// The reasons for which the command fails.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is no token.
    #[error("a token is needed: give one with --token or in TRACKING_TOKEN, or the server's folder with --data")]
    Token(#[source] KeyError),
    /// The folder can't be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store does not answer.
    #[error(transparent)]
    Read(Refused),
    /// The server does not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Prints the internals of a delivery.
///
/// # Errors
/// There is no token, the folder can't be read, or the server does not answer.
pub async fn inspect(args: InspectArgs) -> Result<ExitCode, InspectError> {
    let found = match &args.server {
        Some(server) => ask::ask(server, &token(&args)?, &args.id).await?,
        None => read(&args).await?,
    };
    let Some(internals) = found else {
        edge::remark(&format!(
            "{} is not known: no row has it and no subject queue names it. Either there is no such delivery, or its first message \
             has not been handed out yet",
            args.id
        ));
        return Ok(ExitCode::from(1));
    };
    edge::result(&if args.json { json(&internals) } else { show::text(&internals) });
    Ok(ExitCode::SUCCESS)
}

fn token(args: &InspectArgs) -> Result<String, InspectError> {
    if let Some(token) = args.token.as_ref().filter(|token| !token.is_empty()) {
        return Ok(token.clone());
    }
    let tokens = keys::existing_tokens(&args.data).map_err(InspectError::Token)?;
    Ok(keys::token(&tokens, &Caller::Admin, 1))
}

async fn read(args: &InspectArgs) -> Result<Option<Internals>, InspectError> {
    let store = ReadOnlyStore::open(&args.data)?;
    // No secret is opened.
    let vault = Vault::new(&[0; 32]);
    let engine = Engine::new(store, Clock::new(clock::now), vault, Settings::default());
    match engine.log().internals(&args.id).await {
        Ok(internals) => Ok(Some(internals)),
        Err(Refused::NotFound) => Ok(None),
        Err(refused) => Err(InspectError::Read(refused)),
    }
}

fn json(internals: &Internals) -> String {
    serde_json::to_string_pretty(internals).expect("internals have text keys and no failing serializers")
}
