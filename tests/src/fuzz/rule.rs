//! The target `rule`: any JSON as a rule, an admin's and an affiliate's.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tracking_core::{
    caller::{Caller, Owner},
    json::{self, Value},
    offer::Placement,
    retry::LONGEST_WAIT_SECONDS,
    tracking_api::{
        MAX_RULE_BYTES, RuleDefinition, Settings, TrackingApi, changes, copy, keeps_owner, merge_patch, owner_of_new,
    },
};

/// Reads any bytes as a rule of an admin and of an affiliate, and as a patch of one. An accepted rule is the same after writing and
/// reading.
pub fn rule(data: &[u8]) {
    let Ok(document) = json::parse(data) else { return };
    let affiliate = Caller::Affiliate("aff_7".parse().expect("it is an id"));
    for caller in [Caller::Admin, affiliate] {
        let owner = caller.as_owner();
        for private_targets in [false, true] {
            as_rule(&document, &owner, Settings { private_targets, ..Settings::default() });
        }
        if let Ok(chosen) = owner_of_new(&document, &caller) {
            assert!(caller == Caller::Admin || chosen == owner, "an affiliate chose another owner");
            assert!(keeps_owner(&document, &chosen).is_ok());
        }
        as_patch(&document, &owner);
    }
}

fn as_rule(document: &Value, owner: &Owner, settings: Settings) {
    let rule = match RuleDefinition::parse(document, owner, &settings) {
        Ok(rule) => rule,
        Err(faults) => {
            assert!(!faults.is_empty(), "a refusal says why");
            assert!(!faults.to_string().is_empty());
            return;
        }
    };
    let written = rule.document();
    let text = written.to_string();
    let read = json::parse(text.as_bytes()).expect("a document can be read");
    assert_eq!(read, written);
    let again = match RuleDefinition::parse(&read, owner, &settings) {
        Ok(again) => again,
        // The written defaults make the rule longer.
        Err(faults) if text.len() > MAX_RULE_BYTES => return assert!(faults.to_string().contains("too many for a rule")),
        Err(faults) => panic!("{text} is refused: {faults}"),
    };
    assert!(changes(&again.document(), &written).is_empty(), "{text}");
    assert_eq!((again.warnings(), again.secret_names()), (rule.warnings(), rule.secret_names()));
    assert_eq!(again.plan.first_call().retry.schedule(), rule.plan.first_call().retry.schedule());
    let longest = u64::from(LONGEST_WAIT_SECONDS) * 11 / 10 + 1;
    for retry in 1..rule.plan.first_call().retry.max_attempts() {
        let wait = rule.plan.first_call().retry.wait_before(retry, "dlv_1", None).as_secs();
        assert!((1..=longest).contains(&wait), "{wait} seconds before retry {retry}");
    }
    shown(rule, owner, settings);
}

/// Checks that the resource that people see can be written back.
fn shown(rule: RuleDefinition, owner: &Owner, settings: Settings) {
    let id = "trk_1".parse().expect("it is an id");
    let mut written = rule.document();
    let at = Timestamp::UNIX_EPOCH;
    let resource = TrackingApi { id, version: 1, owner: owner.clone(), definition: rule, created_at: at, updated_at: at };
    let view = resource.view(&Placement::default(), &BTreeSet::new(), None);
    let Ok(again) = RuleDefinition::parse(&view, owner, &settings) else {
        return assert!(written.to_string().len() > MAX_RULE_BYTES);
    };
    // An incomplete rule reads inactive; the engine knows that it was meant to be active.
    if view.get("inactive_reason").is_some() {
        written["active"] = false.into();
    }
    assert_eq!(again.document(), written);
}

/// Applies the document as a patch to a plain rule, and to itself.
fn as_patch(patch: &Value, owner: &Owner) {
    let plain = json::parse(br#"{"name":"r","request":{"url":"https://a.example/{pcid}"}}"#).expect("it is JSON");
    let plain = RuleDefinition::parse(&plain, owner, &Settings::default()).expect("it is a rule");
    let mut patched = plain.document();
    merge_patch(&mut patched, patch);
    let mut again = patched.clone();
    merge_patch(&mut again, patch);
    assert_eq!(again, patched, "a patch applied twice is a patch applied once");
    let _ = RuleDefinition::parse(&patched, owner, &Settings::default()).is_ok();
    let copied = copy(&plain, owner, patch);
    let _ = RuleDefinition::parse(&copied, owner, &Settings::default()).is_ok();
    let _ = changes(&plain.document(), &copied);
}
