//! JSON Merge Patch (RFC 7396), for PATCH and for duplicates.

use crate::json::{Map, Value};

/// Applies `patch` to a rule's document. A rule has steps, or one request: a patch with one removes the other.
pub fn patch_document(document: &mut Value, patch: &Value) {
    let is_given = |key: &str| patch.get(key).is_some_and(|value| !value.is_null());
    let one_request = ["request", "answer", "retry"];
    let dropped: &[&str] = match (is_given("steps"), one_request.iter().any(|key| is_given(key))) {
        (true, false) => &one_request,
        (false, true) => &["steps"],
        _ => &[],
    };
    if let Value::Object(members) = document {
        for key in dropped {
            members.remove(key);
        }
    }
    merge_patch(document, patch);
}

/// Applies `patch` to `target`: `null` removes a member, objects are merged member by member, other values replace.
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
