//! The shared parts of whole-system tests: the contract of the port, a store that crashes on demand, an AWS in one process, a world with an
//! engine on a store, a clock moved by hand, and receivers that answer as the test says; the functions in this process, and their binaries,
//! with programs to run beside them.

pub mod beside;
pub mod bootstraps;
pub mod cloud;
pub mod crash;
pub mod functions;
pub mod fuzz;
pub mod port;
mod python;
pub mod receiver;
pub mod runtime_api;
pub mod tools;
pub mod traces;
pub mod world;
