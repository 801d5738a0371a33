//! The API over the embedded store, without a socket.

mod access;
mod agreement;
mod deliveries;
mod explain;
mod lists;
mod openapi;
mod problems;
mod rejected;
mod rules;
mod secrets;
mod support;
mod trial;
