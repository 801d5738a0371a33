//! The stack of `template.yaml` and `infra/`: the checks of the tools, our own checks, and a check of the checks by mistakes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod faults;
mod functions;
mod mistakes;
mod permissions;
mod queues;
mod schema;
mod stores;
mod templates;
mod tools;
mod watch;
