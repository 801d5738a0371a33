//! The real sender on real sockets: receivers here are plain TCP, so that their answers can be as hostile as the wire allows. Tests are
//! named after the rules in `docs/domain.md`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod connections;
mod crowd;
mod flaky;
mod own_faults;
mod owners;
mod proxies;
mod secrets;
mod support;
mod targets;
mod timeouts;
mod tls;
mod variables;
mod wire;
