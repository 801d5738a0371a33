//! The API over the embedded store, without a socket.

mod access;
mod deliveries;
mod duplicate;
mod history;
mod lists;
mod lost_answers;
mod openapi;
mod problems;
mod quota;
mod receiver;
mod rejected;
mod repair;
mod replay;
mod restore;
mod rules;
mod secrets;
mod support;
mod workshop;
