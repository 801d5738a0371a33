//! The functions as Lambda runs them, on an AWS in one process: their results, their costs, and their durability when they are stopped at
//! any call.

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
