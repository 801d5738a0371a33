//! The engine's port on one durable `SQLite` file: items, queue lanes, bus; and the loop that works the queues.
//!
//! - **An answer means that the data is on disk.** Every [`Effects`](tracking_engine::backend::Effects) is done wholly or not at all, its
//!   acks included.
//! - **One process holds a folder**, by a lock file. So the receipts are kept in memory only; after a crash every message that was not
//!   deleted can be received again.
//! - **One thread writes**: it takes every job that waits and commits them together ([`mod@write`]). Reads go past it, on connections
//!   of their own ([`read`]).
//! - **Memory is bounded, queues are not**: a group keeps the next few messages in memory and the rest on disk ([`lanes`]).
//! - **Its files belong to their owner alone** ([`files`]); files that others could read or change are refused.
//! - **No clock is read.** Time comes in with [`Store::receive`]; [`worker::work`] takes it from its caller.

mod bus;
pub mod files;
mod lanes;
mod open;
mod read;
mod read_only;
mod schema;
mod store;
mod time;
pub mod worker;
mod write;

pub use bus::BusEvent;
pub use lanes::{Depth, LaneDepth, Limits, Picked};
pub use open::{Durability, FILES, OpenError};
pub use read_only::ReadOnlyStore;
pub use store::Store;
