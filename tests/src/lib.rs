//! What whole-system tests share: the contract of the port, and a store that crashes on demand.

pub mod crash;
pub mod port;
