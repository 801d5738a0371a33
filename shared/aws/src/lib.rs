//! The engine on AWS: its port on one DynamoDB table, SQS queues and an EventBridge bus; and what the Lambda functions do.
//!
//! - [`Aws`] is the port. `commit` takes effect in this order: bus, queues, table, and then what settles messages.
//! - [`Stack`] is what a function starts with; `ingest`, `match_events`, `sweep` and `deliver` are what the functions do.
//! - What AWS limits is limited by types of our own.
//!
//! The table's items are those of the engine's one key design, which is described in `tracking_engine`'s module `keys`; partition and
//! place are the attributes `pk` and `sk`. The sparse index `trouble` has `tpk` and `tsk`, keys alone, and only items that a person
//! might look for stand in it: a postback that succeeds at once never touches it.

mod backend;
mod batch;
mod body;
mod bus;
mod data_key;
mod delivery;
mod ingest;
mod items;
mod limits;
mod matcher;
mod metrics;
mod queues;
pub mod settings;
mod stack;
mod table;

pub use backend::Aws;
pub use settings::{BadSettings, Settings};
pub use stack::{Stack, StartError};
