//! The API over the embedded store, without a socket.

mod access;
mod bad_input;
mod catalogues;
mod deliveries;
mod duplicate;
mod history;
mod idempotency;
mod lists;
mod lost_answers;
mod matrix;
mod openapi;
mod problems;
mod quota;
mod rejected;
mod restore;
mod rules;
mod secrets;
mod support;
