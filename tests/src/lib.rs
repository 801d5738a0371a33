//! What whole-system tests share: the contract of the port, a store that crashes on demand, and a world with an engine on a store, a
//! clock moved by hand, and receivers that answer as told.

pub mod crash;
pub mod port;
pub mod tools;
pub mod world;
