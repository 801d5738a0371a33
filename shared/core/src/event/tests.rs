use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    EventKind::{ConversionCreated as Cc, ConversionUpdated as Cu, TransactionCreated as Tc, TransactionUpdated as Tu},
    *,
};
use crate::{
    change::{Change, TransactionResult},
    json,
    json::Value,
    testing,
    trigger::Trigger,
};

/// A change of a conversion of that type with these transactions.
fn changed(change: &str, conversion_type: &str, transactions: &Value) -> Change {
    let detail = json!({
        "change_id": "chg_1", "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": "cnv_1", "version": 3, "change": change, "type": conversion_type, "source": "iframe",
                       "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5", "cookie_params": {"fbp": "1"}},
        "transactions": transactions,
    });
    Change::parse_detail(&detail, "").unwrap()
}

fn kinds(change: &Change) -> Vec<EventKind> {
    change.events().iter().map(|event| event.kind).collect()
}

/// Checks the events of each change and the triggers that fire in all.
#[track_caller]
fn check(what: &str, changes: &[Change], events: &[&[EventKind]], triggers: &[u8]) {
    let derived: Vec<_> = changes.iter().map(kinds).collect();
    assert_eq!(derived, events, "{what}");
    let fired: BTreeSet<_> = derived
        .iter()
        .flatten()
        .flat_map(|kind| Trigger::ALL.into_iter().filter(|trigger| trigger.fires_on(*kind)))
        .map(Trigger::number)
        .collect();
    assert_eq!(fired.into_iter().collect::<Vec<_>>(), triggers, "{what}");
}

#[test]
fn r1_a_new_click() {
    check("a new click (R1)", &[changed("created", "click", &json!([]))], &[&[Cc]], &[4, 5]);
}

#[test]
fn r2_a_new_sale_without_commission() {
    check("a new sale without commission (R2)", &[changed("created", "sale", &Value::Null)], &[&[Cc]], &[4, 5]);
}

#[test]
fn r3_a_lead_that_the_pixel_updates() {
    let changes = [changed("created", "lead", &json!([])), changed("updated", "lead", &json!([]))];
    check("a lead by iframe, then cookie data (R3)", &changes, &[&[Cc], &[Cu]], &[4, 5, 6]);
}

#[test]
fn r4_a_lead_with_a_transaction_that_the_pixel_updates() {
    let transaction = json!([{"transaction_id": "trx_1", "result": "pending"}]);
    let changes = [changed("created", "lead", &transaction), changed("updated", "lead", &transaction)];
    check("the same with a transaction (R4)", &changes, &[&[Cc, Tc], &[Cu, Tu]], &[1, 2, 3, 4, 5, 6]);
}

#[test]
fn r5_auto_approve_makes_no_transaction_update() {
    let transaction = json!([{"transaction_id": "trx_1", "result": "approved", "auto_approved": true}]);
    let changes = [changed("created", "lead", &transaction), changed("updated", "lead", &transaction)];
    check("the same with AutoApprove (R5)", &changes, &[&[Cc, Tc], &[Cu]], &[1, 2, 4, 5, 6]);
    let created = changes[0].events().swap_remove(1);
    assert_eq!(created.transaction.unwrap().result, TransactionResult::Approved);
    assert!(created.is_final);
}

#[test]
fn r6_auto_set_is_a_transaction_update() {
    let transaction =
        |change: &str| json!([{"transaction_id": "trx_1", "change": change, "result": "approved", "auto_set": true}]);
    check("AutoSet sets a result (R6)", &[changed("unchanged", "lead", &transaction("updated"))], &[&[Tu]], &[1, 3]);
    let alone = json!([{"transaction_id": "trx_1", "result": "approved", "auto_set": true}]);
    check("AutoSet without a change of its own (R6)", &[changed("unchanged", "lead", &alone)], &[&[Tu]], &[1, 3]);
}

#[test]
fn r7_a_new_sale_that_made_a_transaction() {
    let sale = changed("created", "sale", &json!([{"transaction_id": "trx_1", "result": "pending"}]));
    check("a new sale that made a transaction (R7)", &[sale], &[&[Cc, Tc]], &[1, 2, 4, 5]);
}

#[test]
fn r8_a_sale_updated_with_a_new_value() {
    let sale = changed("updated", "sale", &json!([{"transaction_id": "trx_1", "result": "pending", "payout": "7"}]));
    check("a sale updated with a new value (R8)", &[sale], &[&[Cu, Tu]], &[1, 3, 4, 6]);
}

#[test]
fn r9_the_same_sale_updated_with_a_result() {
    let transaction =
        json!([{"transaction_id": "trx_1", "change": "updated", "result": "approved", "previous_result": "pending"}]);
    check("the same sale with a result (R9)", &[changed("updated", "sale", &transaction)], &[&[Cu, Tu]], &[1, 3, 4, 6]);
}

#[test]
fn r10_nothing_changed() {
    let transactions = json!([{"transaction_id": "trx_1", "result": "approved"}, {"transaction_id": "trx_2", "change": "unchanged", "result": "pending"}]);
    check("nothing changed (R10)", &[changed("unchanged", "sale", &transactions)], &[&[]], &[]);
}

/// Each combination of the two flags with the conversion's change and the transaction's own.
#[test]
fn r5_r6_flags_by_what_the_change_says() {
    #[track_caller]
    fn check(flag: &str, conversion: &str, own: Option<&str>, transaction_events: &[EventKind]) {
        let transaction = json!([{"transaction_id": "trx_1", "result": "approved", "change": own, flag: true}]);
        let mut events = kinds(&changed(conversion, "sale", &transaction));
        events.retain(|kind| kind.is_transaction());
        assert_eq!(events, transaction_events, "{flag}, conversion {conversion}, transaction {own:?}");
    }
    check("auto_approved", "created", None, &[Tc]);
    check("auto_approved", "updated", None, &[]);
    check("auto_approved", "unchanged", None, &[]);
    check("auto_approved", "updated", Some("created"), &[Tc]);
    check("auto_approved", "unchanged", Some("updated"), &[Tu]);
    check("auto_approved", "created", Some("updated"), &[Tu]);
    check("auto_approved", "created", Some("unchanged"), &[]);
    check("auto_set", "created", None, &[Tc, Tu]);
    check("auto_set", "updated", None, &[Tu]);
    check("auto_set", "unchanged", None, &[Tu]);
    check("auto_set", "updated", Some("created"), &[Tc, Tu]);
    check("auto_set", "created", Some("updated"), &[Tu]);
    check("auto_set", "updated", Some("unchanged"), &[]);
}

#[test]
fn r6_auto_set_on_creation_makes_a_pending_event_and_then_one_with_the_result() {
    let transaction =
        json!([{"transaction_id": "trx_1", "result": "rejected", "auto_set": true, "result_at": "2026-11-22T09:00:00Z"}]);
    let events = changed("created", "sale", &transaction).events();
    let outcomes: Vec<_> = events
        .iter()
        .map(|event| {
            (event.kind, event.transaction.as_ref().map(|t| (t.result, t.previous_result, t.result_at.is_some())), event.is_final)
        })
        .collect();
    let (pending, rejected) = (TransactionResult::Pending, TransactionResult::Rejected);
    assert_eq!(
        outcomes,
        [(Cc, None, true), (Tc, Some((pending, None, false)), false), (Tu, Some((rejected, Some(pending), true)), true)]
    );
}

#[test]
fn r5_auto_approve_wins_over_auto_set() {
    let transaction = json!([{"transaction_id": "trx_1", "result": "approved", "auto_approved": true, "auto_set": true}]);
    assert_eq!(kinds(&changed("created", "sale", &transaction)), [Cc, Tc]);
}

#[test]
fn s_two_commissions_are_two_transaction_events() {
    let transactions =
        json!([{"transaction_id": "trx_2", "result": "pending"}, {"transaction_id": "trx_1", "result": "pending"}]);
    let events = changed("created", "sale", &transactions).events();
    let subjects: Vec<_> = events.iter().map(|event| event.subject().to_string()).collect();
    assert_eq!(subjects, ["conversion:cnv_1", "transaction:trx_2", "transaction:trx_1"]);
}

#[test]
fn p3_created_goes_before_updated_and_the_conversion_before_its_transactions() {
    let transactions = json!([
        {"transaction_id": "trx_1", "result": "pending"},
        {"transaction_id": "trx_2", "change": "created", "result": "approved", "auto_set": true},
        {"transaction_id": "trx_3", "change": "created", "result": "pending"},
    ]);
    let events = changed("updated", "sale", &transactions).events();
    let order: Vec<_> =
        events.iter().map(|event| (event.order().version, event.order().rank, event.subject().id().to_string())).collect();
    let expected = [(3, 0, "trx_2"), (3, 0, "trx_3"), (3, 1, "cnv_1"), (3, 1, "trx_1"), (3, 1, "trx_2")]
        .map(|(v, r, id)| (v, r, id.to_owned()));
    assert_eq!(order, expected);
    assert!(Order { version: 3, rank: 1 } < Order { version: 4, rank: 0 });
}

#[test]
fn f3_a_conversion_event_is_final_when_all_results_are() {
    let is_final = |transactions: Value| changed("created", "sale", &transactions).events()[0].is_final;
    assert!(!is_final(json!([])));
    assert!(!is_final(json!([{"transaction_id": "a", "result": "approved"}, {"transaction_id": "b", "result": "pending"}])));
    assert!(is_final(json!([{"transaction_id": "a", "result": "approved"}, {"transaction_id": "b", "result": "rejected"}])));
}

#[test]
fn p2_subjects_are_read_back_from_their_text() {
    for text in ["transaction:trx_1", "conversion:a:b"] {
        assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
    }
    for bad in ["", "trx_1", "offer:1", "transaction:", "conversion:a b"] {
        assert_eq!(bad.parse::<Subject>(), Err(NotASubject), "{bad}");
    }
}

/// An event as the first version wrote it into its queues. Never edit it: add another beside it.
const FIRST_WRITTEN: &str = r#"{"change_id":"chg_0001","occurred_at":"2026-11-22T08:59:59.12Z","causation":{"tracking_api_id":"trk_9","depth":1},
"conversion":{"conversion_id":"cnv_1","version":3,"change":"updated","type":"sale","source":"link","affiliate_id":"aff_7",
"advertiser_id":"adv_2","advertiser_name":"Bank","offer_id":"off_5","offer_name":"Loan CZ","channel_id":"chn_1","channel":"main",
"integration_id":"int_3","country":"CZ","pcid":"pc-1","external_id":"X-77","affiliate_click_id":"click 1/2",
"affs":{"affs1":"summer","affs10":"z"},"value":"100.00","currency":"EUR","query_params":{"utm_source":"mail"},
"cookie_params":{"fbp":"fb.1.2"},"ip":"203.0.113.9","user_agent":"Mozilla/5.0","click_at":"2026-11-22T08:00:00Z",
"created_at":"2026-11-22T08:30:00Z","updated_at":"2026-11-22T08:59:59Z"},
"transactions":[{"transaction_id":"trx_1","version":2,"change":"updated","commission_id":"com_1","type":"sale","result":"approved",
"previous_result":"pending","payout":"5.00","revenue":"8.00","currency":"EUR","created_at":"2026-11-22T08:30:00Z",
"updated_at":"2026-11-22T08:59:59Z","result_at":"2026-11-22T08:59:59Z"}],
"event":"transaction_updated","is_final":true,"is_correction":false}"#;

#[test]
fn p2_reads_and_writes_what_the_first_version_wrote() {
    let written: Value = serde_json::from_str(FIRST_WRITTEN).unwrap();
    let event = Change::parse_detail(&testing::detail(), "").unwrap().events().swap_remove(1);
    assert_eq!(Event::from_value(&written).unwrap(), event);
    assert_eq!(event.to_value(), written);
}

#[test]
fn s_all_faults_of_a_bad_message_are_reported_at_once() {
    let faults = Event::from_value(&json!({"event": "transaction_deleted", "is_final": 1, "transactions": {}})).unwrap_err();
    let pointers: Vec<_> = faults.0.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/change_id", "/occurred_at", "/conversion", "/transactions", "/event", "/is_final", "/is_correction"]);
    let mut message: Value = serde_json::from_str(FIRST_WRITTEN).unwrap();
    message["transactions"] = json!([]);
    let faults = Event::from_value(&message).unwrap_err();
    assert_eq!(faults.to_string(), "/transactions: missing: give the transaction that a transaction event is about");
}

proptest! {
    #[test]
    fn p2_every_event_reads_back_what_it_writes(change in testing::change(), is_correction in any::<bool>()) {
        for mut event in change.events() {
            event.is_correction = is_correction;
            prop_assert_eq!(Event::from_value(&event.to_value()).unwrap(), event);
        }
    }

    #[test]
    fn p3_events_come_in_order_and_each_once(change in testing::change()) {
        let events: Vec<_> = change.events().iter().map(|event| (event.order(), event.kind, event.subject())).collect();
        prop_assert!(events.is_sorted_by_key(|(order, kind, _)| (*order, *kind)));
        let distinct: BTreeSet<_> = events.iter().collect();
        prop_assert_eq!(distinct.len(), events.len());
    }
}
