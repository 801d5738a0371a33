//! The purpose, input and answers of each operation; one module for each part of the API.

pub(crate) mod affiliates;
pub(crate) mod callbacks;
pub(crate) mod catalogue;
pub(crate) mod deliveries;
pub mod events;
pub(crate) mod explaining;
pub(crate) mod receivers;
pub(crate) mod repair;
pub(crate) mod rules;
pub(crate) mod service;
pub(crate) mod trying;

use serde_json::{Value, json};

/// A page with this one item.
fn page(item: Value) -> Value {
    let mut page = json!({"items": [], "next_cursor": null});
    page["items"] = vec![item].into();
    page
}

/// The refusal of a body.
const FAULTS: &str = "The body has faults: all of them, each with its place.";
