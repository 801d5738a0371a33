//! The shared parts of whole-system tests:
//!
//! - the contract of the port, and a store that crashes on demand;
//! - a world: an engine on a store, a clock moved by hand, and receivers that answer as the test says;
//! - an AWS in one process, the functions in the same process, and their binaries;
//! - programs that run beside a test, and tests in a process of their own.

pub mod beside;
pub mod bootstraps;
pub mod cloud;
pub mod crash;
pub mod functions;
pub mod fuzz;
pub mod own_process;
pub mod port;
mod python;
pub mod receiver;
pub mod runtime_api;
pub mod tools;
pub mod traces;
pub mod world;
