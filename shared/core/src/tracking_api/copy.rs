//! A rule made from another one: one advertiser, several channels, a token for each (V4).

use super::{RuleDefinition, patch::patch_document};
use crate::{caller::Owner, json, json::Value};

/// The suffix of a copy's name, if the patch gives none.
const SUFFIX: &str = " (copy)";
/// The longest part of the original's name that a copy keeps, in characters: with the suffix it is still a valid name.
const MOST_OF_NAME: usize = 200 - SUFFIX.len();

/// The document of a new rule: the original's with `patch` (RFC 7396) applied. By default it has the same owner and the name
/// `NAME (copy)`. It has no secret's value.
///
/// An affiliate's rule is about itself (V3), so a copy for another affiliate is about that affiliate. Faults of the patch are
/// reported when the document is read.
pub fn copy(original: &RuleDefinition, owner: &Owner, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut patch = patch.clone();
    let mut document = original.document();
    let name: String = original.name.chars().take(MOST_OF_NAME).chain(SUFFIX.chars()).collect();
    document["name"] = name.into();
    if patch.get("name").is_some_and(Value::is_null) {
        patch.remove("name");
    }
    // An owner is one value; its members are not merged.
    let old = json!(owner);
    let new = patch.remove("owner").filter(|new| !new.is_null()).unwrap_or_else(|| old.clone());
    if owner.affiliate().is_some() && new["kind"] == "affiliate" && new != old {
        document["conditions"]["affiliate"] = json!([]);
    }
    document["owner"] = new;
    patch_document(&mut document, &Value::Object(patch));
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking_api::Settings;

    fn affiliate(id: &str) -> Owner {
        Owner::Affiliate { affiliate_id: id.parse().unwrap() }
    }

    fn original(name: &str, owner: &Owner) -> RuleDefinition {
        let document = json!({"name": name, "retry": {"max_retries": 3}, "request": {"url": "https://a.example/{channel}"}});
        RuleDefinition::parse(&document, owner, &Settings::default()).unwrap()
    }

    #[test]
    fn v4_a_copy_has_everything_but_the_name() {
        let original = original("Bank", &Owner::Admin);
        let mut expected = original.document();
        expected["name"] = json!("Bank (copy)");
        expected["owner"] = json!({"kind": "admin"});
        assert_eq!(copy(&original, &Owner::Admin, &json!({})), expected);
        assert_eq!(copy(&original, &Owner::Admin, &json!({"name": null, "owner": null})), expected);
    }

    #[test]
    fn v4_a_patch_changes_any_field_of_a_copy() {
        let patch = json!({"name": "Other", "retry": {"delay_seconds": 5}, "conditions": {"channel": ["chn_2"]},
            "secret_values": {"token": "x"}});
        let copied = copy(&original("Bank", &Owner::Admin), &Owner::Admin, &patch);
        assert_eq!((&copied["name"], &copied["conditions"]["channel"]), (&json!("Other"), &json!(["chn_2"])));
        assert_eq!((&copied["retry"]["max_retries"], &copied["retry"]["delay_seconds"]), (&json!(3), &json!(5)));
        assert_eq!(copied["secret_values"], json!({"token": "x"}));
        assert_eq!(copy(&original("Bank", &Owner::Admin), &Owner::Admin, &json!([1])), json!([1]));
    }

    #[test]
    fn the_name_of_a_copy_is_never_too_long() {
        let copied = copy(&original(&"é".repeat(200), &Owner::Admin), &Owner::Admin, &json!({}));
        assert_eq!(copied["name"], json!(format!("{} (copy)", "é".repeat(193))));
    }

    #[test]
    fn v3_a_copy_for_another_affiliate_is_about_that_one() {
        let seven = affiliate("aff_7");
        let to = |owner: Value| copy(&original("x", &seven), &seven, &json!({"owner": owner}));
        let other = to(json!({"kind": "affiliate", "affiliate_id": "aff_8"}));
        assert_eq!((&other["conditions"]["affiliate"], &other["owner"]["affiliate_id"]), (&json!([]), &json!("aff_8")));
        let same = to(json!({"kind": "affiliate", "affiliate_id": "aff_7"}));
        assert_eq!(same["conditions"]["affiliate"], json!(["aff_7"]));
        let admins = to(json!({"kind": "admin"}));
        assert_eq!((&admins["conditions"]["affiliate"], &admins["owner"]), (&json!(["aff_7"]), &json!({"kind": "admin"})));
    }
}
