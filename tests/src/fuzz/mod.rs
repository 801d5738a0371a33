//! Fuzz targets: functions that take any bytes and assert what must hold of them.
//!
//! The crate in `fuzz/` hands these functions to libFuzzer; `tests/tests/engine/edges/corpus.rs` runs them over the kept corpus. The module
//! uses nothing else of this crate, so that `fuzz/` can include it alone.

mod claims;
mod cursor;
mod event;
mod json;
mod parts;
mod render;
mod response;
mod rule;
mod site;

pub use self::{claims::claims, cursor::cursor, event::event, json::json, render::render, response::response, rule::rule};

/// The check of a target: it panics over a finding.
pub type Check = fn(&[u8]);

/// The targets by their names, which are those of their folders in the corpus.
pub const TARGETS: [(&str, Check); 7] = [
    ("event", event),
    ("rule", rule),
    ("render", render),
    ("response", response),
    ("cursor", cursor),
    ("claims", claims),
    ("json", json),
];
