//! The functions for AWS: in one process over a local table, on an emulator of the platform, and deployed.

mod cloud;
mod deployed;
mod emulator;
mod lambda;
