//! What whole-system tests share.

pub mod port;
