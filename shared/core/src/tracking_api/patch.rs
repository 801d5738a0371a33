//! JSON Merge Patch (RFC 7396), for PATCH and for duplicates.

use crate::json::{Map, Value};

/// Changes `target` as `patch` says: `null` removes a member, an object is merged member by member, all else replaces.
pub fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    let mut members = match target.take() {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    for (key, change) in changes.iter() {
        if change.is_null() {
            members.remove(key);
        } else {
            merge_patch(members.entry(key), change);
        }
    }
    *target = Value::Object(members);
}
