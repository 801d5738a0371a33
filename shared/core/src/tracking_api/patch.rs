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
    members.merge(changes, |member, change| {
        if !change.is_null() {
            merge_patch(member, change);
        }
        !change.is_null()
    });
    *target = Value::Object(members);
}
