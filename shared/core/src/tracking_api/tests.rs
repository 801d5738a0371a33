use super::*;
use crate::{
    caller::{Caller, Owner},
    fault::Faults,
    id::Id,
    json,
    json::Value,
};

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn affiliate(text: &str) -> Owner {
    Owner::Affiliate { affiliate_id: id(text) }
}

fn pointers_and_details(faults: &Faults) -> Vec<(&str, &str)> {
    faults.0.iter().map(|f| (f.pointer.as_str(), f.detail.as_str())).collect()
}

#[track_caller]
fn check_delay(document: &Value, expected: &Value) {
    let mut faults = Faults::default();
    let delay = Delay::parse(Some(document), "/delay", &mut faults);
    assert!(faults.is_empty(), "{faults}");
    assert_eq!(delay.document(), *expected);
    assert_eq!(Delay::parse(Some(expected), "/delay", &mut faults), delay);
}

#[track_caller]
fn check_delay_faults(document: &Value, expected: &[(&str, &str)]) {
    let mut faults = Faults::default();
    Delay::parse(Some(document), "/delay", &mut faults);
    assert_eq!(pointers_and_details(&faults), expected);
}

#[test]
fn f1_absent_null_and_mode_none_send_at_once() {
    assert_eq!(Delay::parse(None, "/delay", &mut Faults::default()), Delay::None);
    for document in [Value::Null, json!({}), json!({"mode": "none"})] {
        check_delay(&document, &json!({"mode": "none"}));
    }
}

#[test]
fn f2_f3_f4_a_final_postback_has_defaults() {
    let expected =
        json!({"mode": "final", "settle_seconds": 0, "max_hold_days": 120, "on_expiry": "expire", "corrections": false});
    check_delay(&json!({"mode": "final"}), &expected);
}

#[test]
fn f2_f3_f4_the_outermost_settings_are_allowed() {
    let longest = json!({"mode": "final", "settle_seconds": 604_800, "max_hold_days": 365, "on_expiry": "send_current", "corrections": true});
    check_delay(&longest, &longest);
}

#[test]
fn f2_f3_all_settings_out_of_bounds_are_reported_at_once() {
    check_delay_faults(
        &json!({"mode": "final", "settle_seconds": 604_801, "max_hold_days": 0, "on_expiry": "send", "corrections": 1}),
        &[
            ("/delay/settle_seconds", "604801 seconds are too many: choose 0 to 604800"),
            ("/delay/max_hold_days", "0 days are too few: choose 1 to 365"),
            ("/delay/on_expiry", "unknown action \"send\"; did you mean \"send_current\"?"),
            ("/delay/corrections", "a number is not a flag: choose true or false"),
        ],
    );
}

#[test]
fn f1_settings_without_mode_final_are_refused() {
    check_delay_faults(
        &json!({"settle_seconds": 60}),
        &[("/delay/mode", "required beside other settings: choose none, final or fixed")],
    );
    check_delay_faults(
        &json!({"mode": "none", "settle_seconds": 60}),
        &[("/delay/settle_seconds", "\"settle_seconds\" has no place here: mode none sends at once; it belongs to mode final")],
    );
}

#[test]
fn v2_a_new_rule_is_its_callers() {
    assert_eq!(owner_of_new(&json!({}), &Caller::Admin), Ok(Owner::Admin));
    assert_eq!(owner_of_new(&json!({"owner": null}), &Caller::Affiliate(id("aff_7"))), Ok(affiliate("aff_7")));
}

#[test]
fn v2_an_admin_may_create_on_behalf_of_an_affiliate() {
    let document = json!({"owner": {"kind": "affiliate", "affiliate_id": "aff_7"}});
    assert_eq!(owner_of_new(&document, &Caller::Admin), Ok(affiliate("aff_7")));
    assert_eq!(owner_of_new(&document, &Caller::Affiliate(id("aff_7"))), Ok(affiliate("aff_7")));
}

#[test]
fn v2_an_affiliate_may_not_name_another_owner() {
    let expected = Faults::one("/owner", "another's: an affiliate owns its rules itself, leave owner out or name aff_7");
    for owner in [json!({"kind": "admin"}), json!({"kind": "affiliate", "affiliate_id": "aff_8"})] {
        assert_eq!(owner_of_new(&json!({"owner": owner}), &Caller::Affiliate(id("aff_7"))), Err(expected.clone()));
    }
}

#[test]
fn v2_a_malformed_owner_is_refused() {
    let faults = |owner| owner_of_new(&json!({"owner": owner}), &Caller::Admin).unwrap_err();
    let required = [("/owner/affiliate_id", "required: the id of the affiliate that owns the rule")];
    assert_eq!(pointers_and_details(&faults(json!({"kind": "affiliate"}))), required);
    assert_eq!(pointers_and_details(&faults(json!({}))), [("/owner/kind", "required: choose admin or affiliate")]);
    let bad = "not an id: 1 to 128 characters of A-Z a-z 0-9 . _ : - are allowed";
    assert_eq!(
        pointers_and_details(&faults(json!({"kind": "affiliate", "affiliate_id": "a b"}))),
        [("/owner/affiliate_id", bad)]
    );
}

#[test]
fn v2_the_owner_never_changes() {
    let document = json!({"owner": {"kind": "affiliate", "affiliate_id": "aff_7"}});
    assert_eq!(keeps_owner(&document, &affiliate("aff_7")), Ok(()));
    assert_eq!(keeps_owner(&json!({}), &Owner::Admin), Ok(()));
    let detail = "the owner never changes: it is admin, leave owner out or create a new rule";
    assert_eq!(keeps_owner(&document, &Owner::Admin), Err(Faults::one("/owner", detail)));
}

#[track_caller]
fn check_merge(mut target: Value, patch: &Value, expected: &Value) {
    merge_patch(&mut target, patch);
    assert_eq!(target, *expected);
}

/// As many members as fit into 1 MiB; searching all members for each of them would take ten seconds.
#[test]
fn f9_a_patch_of_many_members_is_merged_member_by_member() {
    let members = |value: &str| {
        let members: Vec<String> = (0..100_000).map(|n| format!("\"{n:x}\":{value}")).collect();
        json::parse(format!("{{{}}}", members.join(",")).as_bytes()).unwrap()
    };
    let mut target = json!({"name": "r"});
    merge_patch(&mut target, &members("1"));
    merge_patch(&mut target, &members("2"));
    assert_eq!(target.as_object().map(json::Map::len), Some(100_001));
    merge_patch(&mut target, &members("null"));
    assert_eq!(target, json!({"name": "r"}));
}

/// The examples of RFC 7396, appendix A.
#[test]
fn patch_is_a_json_merge_patch() {
    check_merge(json!({"a": "b"}), &json!({"a": "c"}), &json!({"a": "c"}));
    check_merge(json!({"a": "b"}), &json!({"b": "c"}), &json!({"a": "b", "b": "c"}));
    check_merge(json!({"a": "b"}), &json!({"a": null}), &json!({}));
    check_merge(json!({"a": "b", "b": "c"}), &json!({"a": null}), &json!({"b": "c"}));
    check_merge(json!({"a": ["b"]}), &json!({"a": "c"}), &json!({"a": "c"}));
    check_merge(json!({"a": "c"}), &json!({"a": ["b"]}), &json!({"a": ["b"]}));
    check_merge(json!({"a": {"b": "c"}}), &json!({"a": {"b": "d", "c": null}}), &json!({"a": {"b": "d"}}));
    check_merge(json!({"a": [{"b": "c"}]}), &json!({"a": [1]}), &json!({"a": [1]}));
    check_merge(json!(["a", "b"]), &json!(["c", "d"]), &json!(["c", "d"]));
    check_merge(json!({"a": "b"}), &json!(["c"]), &json!(["c"]));
    check_merge(json!({"a": "foo"}), &Value::Null, &Value::Null);
    check_merge(json!({"a": "foo"}), &json!("bar"), &json!("bar"));
    check_merge(json!({"e": null}), &json!({"a": 1}), &json!({"e": null, "a": 1}));
    check_merge(json!([1, 2]), &json!({"a": "b", "c": null}), &json!({"a": "b"}));
    check_merge(json!({}), &json!({"a": {"bb": {"ccc": null}}}), &json!({"a": {"bb": {}}}));
}
