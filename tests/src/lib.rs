//! What whole-system tests share: the contract of the port, a store that crashes on demand, an AWS in one process, and a world with
//! an engine on a store, a clock moved by hand, and receivers that answer as told.

pub mod cloud;
pub mod crash;
pub mod functions;
pub mod port;
pub mod receiver;
pub mod tools;
pub mod world;
