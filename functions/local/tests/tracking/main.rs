//! The binary `tracking` as people run it.

mod events;
mod keys;
mod postbacks;
mod send;
mod serving;
mod support;
