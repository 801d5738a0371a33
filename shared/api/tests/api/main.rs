//! The API over the embedded store, without a socket.

mod access;
mod catalogues;
mod deliveries;
mod lists;
mod problems;
mod rules;
mod secrets;
mod support;
