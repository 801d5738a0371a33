//! JSON as outsiders send it: events, rules, and responses of receivers.
//!
//! **No key and no text of a document has a meaning here**, and numbers keep their digits as written. `serde_json::Value` gives some keys
//! a meaning of their own as soon as any crate of the build turns a feature on, so nothing that an outsider wrote meets it. Reading is
//! bounded in depth and in the number of values. `serde_json` stays for typed structs of our own and for what we write.

mod build;
mod reader;
#[cfg(test)]
mod tests;
mod value;

pub use reader::{JsonError, MAX_DEPTH, MAX_VALUES, elements, is_json, is_json_lines, parse, parse_event, parse_lenient};
pub use value::{Map, Number, Value};
pub(crate) use value::{write_escaped, write_text};

/// A [`Value`] from a literal, written as `serde_json`'s macro of the same name takes it.
///
/// Keys and values may be any expressions that serialize. It is for what our own code writes: a fraction goes through a float.
#[macro_export]
macro_rules! json {
    ($($literal:tt)+) => { $crate::json::Value::from($crate::json::literal!($($literal)+)) };
}

#[doc(hidden)]
pub use serde_json::json as literal;
