//! The binary `tracking`: the whole engine on one machine.
//!
//! [`server::LocalServer`] is the API and the engine over the embedded store, in one process; `serve` runs it until a signal comes.
//! [`keys`] are the two files that keep tokens and secrets valid, [`send`] posts files of events, [`token`] makes tokens, [`console_link`]
//! links to the console, [`inspect`] prints the reason for which a delivery does not move, [`demo`] plays sample events and checks the
//! result, [`mod@bench`] measures. Clocks, environment and files are used only here; logs go to stderr, results to stdout.

pub mod bench;
mod bus;
mod clock;
pub mod console_link;
pub mod demo;
mod descriptors;
pub mod edge;
mod events;
mod http;
pub mod inspect;
pub mod keys;
pub mod openapi;
mod remote;
pub mod send;
pub mod serve;
pub mod server;
mod signals;
mod threads;
pub mod token;
