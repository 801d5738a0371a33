//! What whole-system tests share: a world with an engine on a store, a clock moved by hand, receivers that answer as told, and
//! crashes wherever they hurt.

pub mod crash;
pub mod world;
