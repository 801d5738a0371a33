//! The differences between two documents of a rule, for its history.

use serde::{Deserialize, Serialize};

use crate::{fault::pointer_token, json::Value};

/// One place at which two documents differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// JSON pointer (RFC 6901) to the place.
    pub pointer: String,
    /// The old value; `null` if there was none.
    pub from: Value,
    /// The new value; `null` if there is none.
    pub to: Value,
}

/// Every place at which `to` differs from `from`, in the order of the pointers' names. Objects are compared member by member;
/// lists and other values are reported whole. A member that is `null` counts as missing.
pub fn changes(from: &Value, to: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare(String::new(), from, to, &mut found);
    found
}

fn compare(pointer: String, from: &Value, to: &Value, found: &mut Vec<FieldChange>) {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let nothing = Value::Null;
            let mut keys: Vec<&String> = from.keys().chain(to.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                compare(
                    format!("{pointer}/{}", pointer_token(key)),
                    from.get(key).unwrap_or(&nothing),
                    to.get(key).unwrap_or(&nothing),
                    found,
                );
            }
        }
        _ if from == to => {}
        _ => found.push(FieldChange { pointer, from: from.clone(), to: to.clone() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[track_caller]
    fn check(from: &Value, to: &Value, expected: &Value) {
        assert_eq!(json!(changes(from, to)), *expected);
    }

    #[test]
    fn objects_are_compared_member_by_member() {
        check(&json!({"a": 1, "b": {"c": "x", "d": true}}), &json!({"a": 1, "b": {"c": "x", "d": true}}), &json!([]));
        check(
            &json!({"name": "x", "retry": {"max_retries": 3, "delay_seconds": 60}}),
            &json!({"name": "y", "retry": {"max_retries": 3, "delay_seconds": 5}}),
            &json!([{"pointer": "/name", "from": "x", "to": "y"}, {"pointer": "/retry/delay_seconds", "from": 60, "to": 5}]),
        );
    }

    #[test]
    fn lists_are_shown_whole() {
        check(
            &json!({"conditions": {"source": ["link"]}}),
            &json!({"conditions": {"source": ["link", "api"]}}),
            &json!([{"pointer": "/conditions/source", "from": ["link"], "to": ["link", "api"]}]),
        );
    }

    #[test]
    fn an_added_or_removed_member_is_compared_with_null() {
        check(
            &json!({"rate_per_second": 5, "gone": null}),
            &json!({"signing": {"secret": "s"}, "new": null}),
            &json!([
                {"pointer": "/rate_per_second", "from": 5, "to": null},
                {"pointer": "/signing", "from": null, "to": {"secret": "s"}}
            ]),
        );
        check(&json!({"a": {"b": 1}}), &json!({"a": [1]}), &json!([{"pointer": "/a", "from": {"b": 1}, "to": [1]}]));
        check(&Value::Null, &json!(1), &json!([{"pointer": "", "from": null, "to": 1}]));
    }

    #[test]
    fn names_are_escaped_in_pointers() {
        check(&json!({"a/b": {"~": 1}}), &json!({"a/b": {"~": 2}}), &json!([{"pointer": "/a~1b/~0", "from": 1, "to": 2}]));
    }
}
