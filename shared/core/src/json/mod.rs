//! JSON as outsiders send it: events, rules, and responses of receivers.
//!
//! **No key and no text of a document has a special meaning here**, and numbers keep their digits as written. `serde_json::Value` gives
//! some keys a special meaning if any crate of the build enables a feature, so no outsider's document is read with it. Reading is
//! bounded in depth and in the number of values. `serde_json` is used for our own typed structs and for our own output.

mod build;
mod reader;
#[cfg(test)]
mod tests;
mod value;

pub use reader::{JsonError, MAX_DEPTH, MAX_VALUES, elements, is_json, is_json_lines, parse, parse_event, parse_lenient};
pub use value::{Map, Number, Value};
pub(crate) use value::{write_escaped, write_text};

/// A [`Value`] from a literal, in the syntax of `serde_json`'s macro of the same name.
///
/// Keys and values may be any expressions that serialize. Use it only for our own data: a fraction goes through a float.
#[macro_export]
macro_rules! json {
    ($($literal:tt)+) => { $crate::json::Value::from($crate::json::literal!($($literal)+)) };
}

#[doc(hidden)]
pub use serde_json::json as literal;
