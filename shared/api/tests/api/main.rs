//! The API over the embedded store, without a socket.

mod access;
mod deliveries;
mod lists;
mod openapi;
mod problems;
mod rejected;
mod rules;
mod secrets;
mod support;
