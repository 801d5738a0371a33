//! The steps of a postback: ingest, match, deliver, settle; keys and rows; and the port to a store with queues.

pub mod backend;
