//! The functions for AWS: in one process over a local table, on an emulator of the platform, and deployed. All of their output is
//! searched for secrets.

mod cloud;
mod deployed;
mod emulator;
mod lambda;
mod secrecy;
