//! The store as its users see it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crowds;
mod long_log;
mod opening;
mod pages;
mod queue;
mod slow;
mod support;
mod worker;
mod writing;
