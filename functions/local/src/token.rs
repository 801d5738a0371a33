//! `tracking token`: a token for the local server, made without it.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use tracking_core::{caller::Caller, id::Id};

use crate::{
    edge,
    keys::{self, KeyError},
};

/// The options of `token`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tracking token --data tracking-data --admin
  tracking token --data tracking-data --affiliate aff_7 --days 1
  curl -H \"Authorization: Bearer $(tracking token --admin)\" http://127.0.0.1:8080/tracking-apis

Works whether the server runs or not. Anyone who has the token has its rights until it expires.")]
pub struct TokenArgs {
    #[command(flatten)]
    bearer: BearerArgs,
    /// For how many days it counts, 1 to 3650
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3_650))]
    days: u16,
}

/// The options of every command that makes a token: its bearer, and the data folder whose key signs it.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("caller").args(["admin", "affiliate"]).required(true))]
pub struct BearerArgs {
    /// The data folder of the server; it is made if need be
    #[arg(long, value_name = "DIR", default_value = "tracking-data")]
    data: PathBuf,
    /// For an admin, who sees and does everything
    #[arg(long)]
    admin: bool,
    /// For this affiliate, who sees what it owns
    #[arg(long, value_name = "ID")]
    affiliate: Option<Id>,
}

impl BearerArgs {
    /// Makes a token that is valid for this many days.
    ///
    /// # Errors
    /// The folder's key can't be read or made.
    pub(crate) fn token(self, days: u16) -> Result<String, KeyError> {
        // clap has checked that exactly one of the two is given.
        let caller = self.affiliate.map_or(Caller::Admin, Caller::Affiliate);
        Ok(keys::token(&keys::tokens(&self.data)?, &caller, days))
    }
}

/// Prints a token.
///
/// # Errors
/// The folder's key can't be read or made.
pub fn token(args: TokenArgs) -> Result<(), KeyError> {
    edge::result(&args.bearer.token(args.days)?);
    Ok(())
}
