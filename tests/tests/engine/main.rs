//! The engine in one process: its promises over histories with crashes, hostile input, flows, receivers, the sender on the wire,
//! and the documents.

mod crash;
mod documents;
mod durability;
mod edges;
mod flows;
mod histories;
mod holds;
mod hostile;
mod port;
mod promises;
mod receivers;
mod rule_writes;
mod sending;
mod visibility;
