//! The schemas: one for each thing to which the paths refer.

mod event;
mod explaining;
mod flow;
mod form;
mod internals;
mod log;
mod rule;
mod service;
mod trial;

use std::collections::BTreeMap;

use utoipa::openapi::{RefOr, Schema};

use super::shape::{Record as _, either, list, named, or_null, record, text};

type Thing = (&'static str, RefOr<Schema>);

/// Every thing by its name.
pub(super) fn all() -> BTreeMap<&'static str, RefOr<Schema>> {
    let log = [log::things(), internals::things(), flow::things()];
    let all = [rule::things(), event::things(), trial::things(), explaining::things(), service::things()];
    log.into_iter().chain(all).flatten().collect()
}

/// One page of things of this name, among which admins see rows that can't be read.
fn page_of_rows(name: &str) -> RefOr<Schema> {
    record("One page of a list").has("items", list("The items", or_unreadable(name))).has("next_cursor", next_cursor()).into()
}

/// A thing of this name, or the key that admins see of one that can't be read.
fn or_unreadable(name: &str) -> RefOr<Schema> {
    either("An item. Admins may meet the key of one whose row can't be read.", [named(name), named("Unreadable")])
}

/// One page of things of this name.
fn page(name: &str) -> RefOr<Schema> {
    record("One page of a list").has("items", list("The items", named(name))).has("next_cursor", next_cursor()).into()
}

fn next_cursor() -> RefOr<Schema> {
    or_null(text("The `cursor` of the next page; null if this is the last"))
}
