//! The checks of the targets, shared with the ordinary tests.

#[path = "../../tests/src/fuzz/mod.rs"]
pub mod checks;
