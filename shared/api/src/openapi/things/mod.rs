//! What things look like: a schema for each that the paths speak of.

mod event;
mod explaining;
mod internals;
mod log;
mod rule;
mod service;
mod trial;

use std::collections::BTreeMap;

use utoipa::openapi::{RefOr, Schema};

use super::shape::{Record as _, list, named, or_null, record, text};

type Thing = (&'static str, RefOr<Schema>);

/// Every thing by its name.
pub(super) fn all() -> BTreeMap<&'static str, RefOr<Schema>> {
    let log = [log::things(), internals::things()];
    let all = [rule::things(), event::things(), trial::things(), explaining::things(), service::things()];
    log.into_iter().chain(all).flatten().collect()
}

/// One page of things of this name.
fn page(name: &str) -> RefOr<Schema> {
    record("One page of a list")
        .has("items", list("The items", named(name)))
        .has("next_cursor", or_null(text("What to ask for the next page with; null if this is the last")))
        .into()
}
