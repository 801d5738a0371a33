//! The functions as Lambda runs them, over an AWS in one process: what they do, what it costs, and what survives when they are stopped
//! at any call.

mod costs;
mod crash;
mod failing;
mod flows;
mod formats;
mod keys;
mod polls;
mod port;
mod rates;
mod receivers;
mod record_first;
mod records;
mod replays;
mod room;
mod statistics;
mod support;
mod switched_off;
mod table;
