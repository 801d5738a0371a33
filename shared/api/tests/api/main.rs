//! The API over the embedded store, without a socket.

mod access;
mod agreement;
mod bad_input;
mod catalogues;
mod deliveries;
mod duplicate;
mod explain;
mod held_back;
mod history;
mod idempotency;
mod lists;
mod lost_answers;
mod matrix;
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
mod trial;
mod workshop;
