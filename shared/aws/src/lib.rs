//! The engine on AWS: its port on one DynamoDB table, SQS queues and an EventBridge bus; and the work of the Lambda functions.
//!
//! - [`Aws`] is the port. `commit` takes effect in this order: items, events on the bus, messages, deletions, acks.
//! - [`Stack`] is made by each function when it starts; `ingest`, `match_events`, `sweep` and `deliver` do the functions' work.
//! - Types of our own keep AWS's limits.
//!
//! The items of the table follow the engine's one key design, which is described in `tracking_engine`'s module `keys`; partition and place
//! are the attributes `pk` and `sk`. The attention index, `trouble`, has `tpk` and `tsk`, keys alone, and only for items that a person
//! might look for: a postback that succeeds at once is never in it.

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
