//! The API over the embedded store, without a socket.

mod access;
mod deliveries;
mod lists;
mod openapi;
mod problems;
mod receiver;
mod rejected;
mod repair;
mod replay;
mod rules;
mod secrets;
mod support;
mod workshop;
