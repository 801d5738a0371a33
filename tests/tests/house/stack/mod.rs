//! The stack as `template.yaml` and `infra/` describe it: what the tools say of it, what we say of it, and whether mistakes in it would
//! be seen.

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
