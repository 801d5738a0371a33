use proptest::prelude::*;

use super::*;
use crate::{
    event::EventKind,
    hold::Hold,
    json,
    json::Value,
    testing,
    tracking_api::{Final, Settings},
    trigger::Trigger,
};

const NOW: &str = "2026-11-22T09:00:00Z";

fn definition(members: &Value) -> RuleDefinition {
    let mut document = json!({"name": "x", "request": {"url": "https://a.example/"}});
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    RuleDefinition::parse(&document, &Owner::Admin, &Settings::default()).unwrap()
}

/// A change of a sale of `aff_7` with that version and these transactions.
fn change(version: u64, kind: &str, transactions: &Value) -> Change {
    let detail = json!({
        "change_id": format!("chg_{version}"), "occurred_at": NOW,
        "conversion": {"conversion_id": "cnv_1", "version": version, "change": kind, "type": "sale", "source": "link",
                       "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5"},
        "transactions": transactions,
    });
    Change::parse_detail(&detail, "").unwrap()
}

fn explain(definition: &RuleDefinition, owner: &Owner, hold: &mut Option<Hold>, change: &Change) -> Explained {
    let id: Id = "trk_1".parse().unwrap();
    let secrets = BTreeMap::new();
    let live = definition.active && definition.secret_names().is_empty();
    let candidate = RuleMatcher { id: &id, owner, definition, live, secrets: &secrets };
    candidate.explain(change, hold, NOW.parse().unwrap())
}

/// The kind of each event and its result: the reasons why not, its note, or that it fires.
fn said(explained: &Explained) -> Vec<(&'static str, String)> {
    let reasons = |verdict: &EventVerdict| {
        let texts: Vec<String> =
            verdict.reasons.iter().map(|reason| format!("{}: {}", reason.condition, reason.detail)).collect();
        texts.join(" | ")
    };
    let each = explained.verdicts.iter().map(|verdict| {
        assert_eq!(verdict.fires, verdict.reasons.is_empty());
        let said = if verdict.fires { "fires".to_owned() } else { reasons(verdict) };
        (verdict.event.as_str(), verdict.note.as_ref().map_or(said.clone(), |note| format!("{said}, {note}")))
    });
    each.collect()
}

#[track_caller]
fn check(members: &Value, change: &Change, expected: &[(&str, &str)]) {
    let explained = explain(&definition(members), &Owner::Admin, &mut None, change);
    let said = said(&explained);
    assert_eq!(said.iter().map(|(event, said)| (*event, said.as_str())).collect::<Vec<_>>(), expected);
}

fn two_transactions() -> Value {
    json!([{"transaction_id": "trx_1", "result": "pending"}, {"transaction_id": "trx_2", "result": "approved"}])
}

#[test]
fn each_event_lists_every_reason_why_the_rule_does_not_fire() {
    let sale = change(1, "created", &two_transactions());
    check(
        &json!({"trigger": "transaction_created", "conditions": {"result": ["approved"]}}),
        &sale,
        &[
            ("conversion_created", "trigger: the event is conversion_created; the rule's trigger is transaction_created"),
            ("transaction_created", "result: result is pending; the rule wants approved"),
            ("transaction_created", "fires"),
        ],
    );
    check(
        &json!({"active": false, "trigger": "conversion_created", "conditions": {"source": ["api"], "channel": ["chn_1"]}}),
        &change(1, "created", &json!([])),
        &[(
            "conversion_created",
            "active: the rule is switched off: active is false | source: source is link; the rule wants api | channel: the \
             conversion has no channel; the rule wants chn_1",
        )],
    );
    check(&json!({}), &change(1, "unchanged", &json!([])), &[]);
}

#[test]
fn v4_missing_secrets_are_named() {
    let rule = json!({"trigger": "conversion_created", "request": {"url": "https://a.example/?k={secret.key}&t={secret.token}"}});
    let reason = "active: the rule is not active: secrets key, token have no value yet";
    check(&rule, &change(1, "created", &json!([])), &[("conversion_created", reason)]);
}

#[test]
fn p4_a_cause_that_prevents_firing_is_a_reason() {
    let caused = |by: &str, depth: u32| {
        let causation = Causation { tracking_api_id: by.parse().unwrap(), depth };
        Change { causation: Some(causation), ..change(1, "created", &json!([])) }
    };
    let rule = || json!({"trigger": "conversion_all"});
    check(&rule(), &caused("trk_2", 5), &[("conversion_created", "fires")]);
    let own = "cause: the rule's own answer caused this change: it does not fire on it";
    check(&rule(), &caused("trk_1", 1), &[("conversion_created", own)]);
    let deep = "cause: the change is at the end of a chain of 6 causes: the longest that fires is 5";
    check(&rule(), &caused("trk_2", 6), &[("conversion_created", deep)]);
}

#[test]
fn c2_the_postback_is_about_the_first_transaction_that_fits() {
    let rule = definition(&json!({"trigger": "conversion_all", "conditions": {"result": ["approved"]}}));
    let explained = explain(&rule, &Owner::Admin, &mut None, &change(1, "created", &two_transactions()));
    let transaction = explained.verdicts[0].postback_event.transaction.as_ref().unwrap();
    assert_eq!(
        (explained.fires, transaction.transaction_id.as_str(), &explained.verdicts[0].transaction_id),
        (true, "trx_2", &None)
    );
}

#[test]
fn f1_f3_a_final_rule_is_explained_change_by_change() {
    let rule = definition(&json!({"conditions": {"result": ["approved"]}, "delay": {"mode": "final"}}));
    let mut hold = None;
    let mut step = |version, kind: &str, result: &str| {
        let change = change(version, kind, &json!([{"transaction_id": "trx_1", "result": result}]));
        let explained = explain(&rule, &Owner::Admin, &mut hold, &change);
        (explained.fires, explained.held, said(&explained).pop().unwrap().1)
    };
    let note = "fires, held until the conversion is settled; the conditions are judged then, on the state that is sent. As it is now it \
                would be skipped: result is pending; the rule wants approved";
    assert_eq!(step(1, "created", "pending"), (true, true, note.to_owned()));
    assert_eq!(step(2, "updated", "rejected"), (false, false, "result: result is rejected; the rule wants approved".to_owned()));
    assert_eq!(step(3, "updated", "approved"), (true, false, "fires".to_owned()));
    assert_eq!(step(4, "updated", "approved"), (false, false, "delay: final already sent".to_owned()));
}

#[test]
fn f1_an_event_that_fires_nothing_notes_the_postback_that_it_releases() {
    let rule = definition(&json!({"trigger": "transaction_created", "delay": {"mode": "final"}}));
    let mut hold = None;
    let pending = change(1, "created", &json!([{"transaction_id": "trx_1", "result": "pending"}]));
    assert!(explain(&rule, &Owner::Admin, &mut hold, &pending).held);
    let settles = change(2, "updated", &json!([{"transaction_id": "trx_1", "result": "approved"}]));
    let explained = explain(&rule, &Owner::Admin, &mut hold, &settles);
    let trigger = "trigger: the event is transaction_updated; the rule's trigger is transaction_created, the conversion is settled: the \
                   postback that was held goes out";
    assert_eq!((explained.fires, explained.held), (true, false));
    assert_eq!(said(&explained)[1], ("transaction_updated", trigger.to_owned()));
}

#[test]
fn f1_f2_waiting_after_settling_and_conversions_without_a_transaction() {
    let later = json!({"trigger": "conversion_all", "delay": {"mode": "final", "settle_seconds": 60}});
    let settled = change(1, "created", &json!([{"transaction_id": "trx_1", "result": "approved"}]));
    let note = "fires, held for 60 s after the conversion was settled; the conditions are judged then, on the state that is sent";
    let tc = "trigger: the event is transaction_created; the rule's trigger is conversion_all";
    check(&later, &settled, &[("conversion_created", note), ("transaction_created", tc)]);
    let reason = "delay: the conversion has no transaction yet: nothing is held before its first one";
    check(&later, &change(1, "created", &json!([])), &[("conversion_created", reason)]);
    let both = json!([{"transaction_id": "trx_1", "result": "approved", "auto_set": true}]);
    let newest = "delay: one final postback goes out, about the newest event: transaction_updated";
    let cc = "trigger: the event is conversion_created; the rule's trigger is transaction_all";
    check(
        &json!({"delay": {"mode": "final"}}),
        &change(1, "created", &both),
        &[("conversion_created", cc), ("transaction_created", newest), ("transaction_updated", "fires")],
    );
}

#[test]
fn f1_conditions_that_can_never_hold_begin_no_hold() {
    let rule =
        json!({"trigger": "conversion_all", "conditions": {"source": ["api"], "result": "all"}, "delay": {"mode": "final"}});
    let reason = "source: source is link; the rule wants api";
    check(&rule, &change(1, "created", &json!([])), &[("conversion_created", reason)]);
    // The index does not find a rule about one affiliate for another's conversion.
    let rule =
        json!({"trigger": "conversion_all", "conditions": {"affiliate": ["aff_8"], "result": "all"}, "delay": {"mode": "final"}});
    let reason = "affiliate: affiliate is aff_7; the rule wants aff_8";
    check(&rule, &change(1, "created", &json!([])), &[("conversion_created", reason)]);
    let rule = json!({"trigger": "conversion_all", "conditions": {"channel": ["chn_1"]}, "delay": {"mode": "final"}});
    let reason = "channel: the conversion has no channel; the rule wants chn_1";
    check(&rule, &change(1, "created", &json!([])), &[("conversion_created", reason)]);
}

#[test]
fn v3_an_affiliates_final_rule_says_that_the_conversion_is_anothers() {
    let owner = Owner::Affiliate { affiliate_id: "aff_8".parse().unwrap() };
    let document =
        json!({"name": "x", "request": {"url": "https://a.example/"}, "trigger": "conversion_all", "delay": {"mode": "final"}});
    let rule = RuleDefinition::parse(&document, &owner, &Settings::default()).unwrap();
    let explained = explain(&rule, &owner, &mut None, &change(1, "created", &json!([])));
    assert_eq!(said(&explained)[0].1, "affiliate: affiliate is aff_7; the rule wants aff_8");
    assert!(!explained.held);
}

proptest! {
    /// There is no reason exactly if a rule fires, and then the event has the transaction that its conditions chose.
    #[test]
    fn a_rule_fires_exactly_if_there_is_no_reason_against_it(
        change in testing::change(), conditions in testing::conditions(), trigger in 0..6_usize, active in any::<bool>(),
        own in any::<bool>(),
    ) {
        let mut change = change;
        let id: Id = "trk_0".parse().unwrap();
        if own && let Some(causation) = &mut change.causation {
            causation.tracking_api_id = id.clone();
        }
        let definition = RuleDefinition {
            conditions, trigger: Trigger::ALL[trigger], active, delay: Delay::None, ..definition(&json!({}))
        };
        let secrets = BTreeMap::new();
        let candidate = RuleMatcher { id: &id, owner: &Owner::Admin, definition: &definition, live: active, secrets: &secrets };
        for event in change.events() {
            let fired = candidate.fires(&change, &event);
            prop_assert_eq!(fired.is_some(), candidate.reasons(&change, &event).is_empty());
            if let Some(sent) = fired {
                let judged = definition.conditions.judge(&event, &change.transactions).unwrap().cloned();
                prop_assert_eq!(sent.transaction, judged);
            }
        }
    }

    /// A final rule that begins a hold or sends at once reports it, and one that does neither gives a reason for each event.
    #[test]
    fn f1_a_final_rule_holds_or_sends_or_gives_reasons(
        change in testing::change(), conditions in testing::conditions(), trigger in 0..6_usize, settle_seconds in 0..2_u32,
    ) {
        let delay = Delay::Final(Final { settle_seconds, ..Final::default() });
        let definition = RuleDefinition { conditions, trigger: Trigger::ALL[trigger], delay, ..definition(&json!({})) };
        let mut hold = None;
        let explained = explain(&definition, &Owner::Admin, &mut hold, &change);
        prop_assert_eq!(explained.held, hold.as_ref().is_some_and(Hold::is_open));
        for verdict in &explained.verdicts {
            prop_assert_eq!(verdict.fires, verdict.reasons.is_empty());
            prop_assert_eq!(verdict.note.is_some(), verdict.fires && explained.held);
            prop_assert!(verdict.event != EventKind::ConversionUpdated || verdict.transaction_id.is_none());
        }
    }
}
