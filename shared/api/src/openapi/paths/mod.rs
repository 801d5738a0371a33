//! What each operation does, takes and answers; one module for each part of the API.

pub(crate) mod affiliates;
pub(crate) mod catalogue;
pub(crate) mod deliveries;
pub mod events;
pub(crate) mod explaining;
pub(crate) mod repair;
pub(crate) mod rules;
pub(crate) mod service;
pub(crate) mod trying;

use serde_json::{Value, json};

/// A page with this one item.
fn page(item: Value) -> Value {
    json!({"items": [item], "next_cursor": null})
}

/// What a person is told who may not see a thing, or refers to none.
const FAULTS: &str = "The body has faults: all of them, each with its place.";
