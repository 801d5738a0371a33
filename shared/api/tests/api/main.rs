//! The API over the embedded store, without a socket.

mod access;
mod bad_input;
mod deliveries;
mod idempotency;
mod lists;
mod matrix;
mod openapi;
mod problems;
mod rejected;
mod rules;
mod secrets;
mod support;
