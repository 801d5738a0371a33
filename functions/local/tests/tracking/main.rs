//! The binary `tracking`, tested as people run it.

mod bench;
mod callbacks;
mod crowd;
mod demo;
mod description;
mod events;
mod folders;
mod inspect;
mod keys;
mod kill;
mod kill_flows;
mod postbacks;
#[path = "../../../../tests/src/python.rs"]
mod python;
mod send;
mod serving;
mod support;
