//! Explanations agree with events: random rules and events, explained first and then taken over (docs/api.md).

use proptest::{
    prelude::*,
    strategy::{Strategy, ValueTree as _},
    test_runner::TestRunner,
};
use serde_json::{Value, json};
use tracking_core::{
    change::{Change, ChangeKind, TransactionResult},
    testing,
    trigger::Trigger,
};

use crate::support::{ADMIN, Api, Response};

/// Rules that one event meets.
const RULES: usize = 25;
/// Events; with [`RULES`] each, 1 000 pairs.
const EVENTS: usize = 60;

/// The owner of a rule, and the rule.
fn rule() -> impl Strategy<Value = (String, Value)> {
    let owner = prop_oneof![3 => Just(ADMIN.to_owned()), 1 => (0..4_u8).prop_map(|number| format!("aff_{number}"))];
    let delay = prop_oneof![
        3 => Just(json!({"mode": "none"})),
        2 => Just(json!({"mode": "final"})),
        1 => Just(json!({"mode": "final", "settle_seconds": 3_600})),
    ];
    // Most conditions are loosened: else hardly a rule would fire.
    let kept = (proptest::collection::vec(proptest::bool::weighted(0.1), 8), proptest::bool::weighted(0.5));
    let active = proptest::bool::weighted(0.9);
    (owner, delay, testing::conditions(), kept, 0..6_usize, active).prop_map(
        |(owner, delay, conditions, kept, trigger, active)| {
            let mut conditions = conditions.document();
            let names = ["source", "conversion_type", "affiliate", "advertiser", "integration", "channel"];
            let names = names.into_iter().chain(["included_offers", "excluded_offers", "result"]);
            for (name, kept) in names.zip(kept.0.into_iter().chain([kept.1])) {
                if !kept || (name == "affiliate" && owner != ADMIN) {
                    conditions[name] = tracking_core::json::Value::Null;
                }
            }
            let members =
                json!({"trigger": Trigger::ALL[trigger].as_str(), "conditions": conditions, "delay": delay, "active": active});
            (owner, members)
        },
    )
}

/// Event and transaction of those items that `wanted` picks, in order.
fn events_of<'v>(items: &'v Value, wanted: impl Fn(&Value) -> bool) -> Vec<(&'v str, &'v str)> {
    let items = items.as_array().into_iter().flatten().filter(|item| wanted(item));
    let text = |value: &'v Value| value.as_str().unwrap_or_default();
    let mut events: Vec<_> = items.map(|item| (text(&item["event"]), text(&item["transaction_id"]))).collect();
    events.sort_unstable();
    events
}

/// The number of times that each outcome was met, so that none is agreed on for want of cases.
#[derive(Debug, Default, PartialEq)]
struct Met {
    sent: usize,
    held: usize,
    skipped: usize,
    nothing: usize,
}

/// Compares the explanation of a rule with the deliveries that it made.
fn compare(explained: &Value, deliveries: &Response, met: &mut Met) {
    let items = &deliveries.body["items"];
    let context = || format!("{explained:#}\n{}", deliveries.text);
    let is = |item: &Value, state: &str| item["state"] == state;
    let fires = events_of(&explained["verdicts"], |verdict| verdict["fires"] == true);
    assert_eq!(events_of(items, |item| !is(item, "skipped")), fires, "{}", context());
    assert_eq!(explained["fires"] == true, !fires.is_empty(), "{}", context());
    let held = events_of(items, |item| is(item, "held"));
    assert_eq!(held, if explained["held"] == true { fires.clone() } else { Vec::new() }, "{}", context());
    let not = events_of(&explained["verdicts"], |verdict| verdict["fires"] == false);
    let skipped = events_of(items, |item| is(item, "skipped"));
    assert!(skipped.iter().all(|one| not.contains(one)), "{}", context());
    for verdict in explained["verdicts"].as_array().into_iter().flatten() {
        assert_eq!(verdict["fires"] == true, verdict["reasons"] == json!([]), "{}", context());
    }
    met.held += usize::from(!held.is_empty());
    met.sent += usize::from(held.is_empty() && !fires.is_empty());
    met.skipped += usize::from(!skipped.is_empty());
    met.nothing += usize::from(items == &json!([]));
}

#[tokio::test]
async fn explain_agrees_with_what_happens() {
    let mut runner = TestRunner::deterministic();
    let mut met = Met::default();
    for _ in 0..EVENTS {
        let api = Api::new();
        let mut ids = Vec::new();
        for _ in 0..RULES {
            let (owner, members) = rule().new_tree(&mut runner).unwrap().current();
            ids.push(api.rule(&owner, "x", members).await);
        }
        let change = testing::change().new_tree(&mut runner).unwrap().current();
        let detail = caused_by(&change, &ids);
        let explained = api.call(ADMIN, "POST /explain?limit=1000", json!({"event": detail})).await;
        assert_eq!((explained.status, explained.each("name").len()), (200, RULES), "{}", explained.text);
        api.event(&detail).await;
        let happened = api.get(ADMIN, &format!("/conversions/{}/explain?limit=1000", change.conversion.conversion_id)).await;
        for (item, after) in explained.body["items"].as_array().unwrap().iter().zip(happened.body["items"].as_array().unwrap()) {
            let id = item["tracking_api_id"].as_str().unwrap();
            assert!(ids.iter().any(|known| known == id));
            let deliveries = api.get(ADMIN, &format!("/deliveries?tracking_api_id={id}&limit=1000")).await;
            compare(item, &deliveries, &mut met);
            assert_eq!((&after["tracking_api_id"], &after["changes"][0]["verdicts"]), (&json!(id), &item["verdicts"]));
            assert_eq!(after["deliveries"].as_array().unwrap().len(), deliveries.each("id").len());
        }
        let results =
            proptest::collection::vec(testing::result(), change.transactions.len()).new_tree(&mut runner).unwrap().current();
        api.event(&next(&change, &results)).await;
        let happened = api.get(ADMIN, &format!("/conversions/{}/explain?limit=1000", change.conversion.conversion_id)).await;
        for item in happened.body["items"].as_array().unwrap() {
            compare_history(item);
        }
    }
    assert!(met.sent > 150 && met.held > 75 && met.skipped >= 5 && met.nothing > 100, "{met:?}");
}

/// The change after it: with these results, and nothing that caused it.
fn next(change: &Change, results: &[TransactionResult]) -> Value {
    let mut next = change.clone();
    next.change_id = "chg_next".parse().expect("it is an id");
    next.causation = None;
    next.conversion.version += 1;
    next.conversion.change = ChangeKind::Updated;
    next.conversion.settled = None;
    for (transaction, result) in next.transactions.iter_mut().zip(results) {
        transaction.result = *result;
        transaction.change = None;
    }
    json!(next)
}

/// Compares the explanations of two changes of a conversion with the deliveries that they made.
fn compare_history(item: &Value) {
    let changes = item["changes"].as_array().expect("a list");
    assert_eq!(changes.len(), 2, "{item:#}");
    let deliveries = item["deliveries"].as_array().expect("a list");
    let in_state = |states: &[&str]| deliveries.iter().any(|one| states.contains(&one["state"].as_str().unwrap_or_default()));
    let sent = deliveries.iter().any(|one| !["held", "skipped"].contains(&one["state"].as_str().unwrap_or_default()));
    assert_eq!(sent, changes.iter().any(|change| change["fires"] == true && change["held"] == false), "{item:#}");
    assert_eq!(in_state(&["held"]), changes[1]["held"] == true, "{item:#}");
    if changes.iter().all(|change| change["held"] == false) && !in_state(&["skipped"]) {
        let fires: usize =
            changes.iter().map(|change| events_of(&change["verdicts"], |verdict| verdict["fires"] == true).len()).sum();
        let released = changes[1]["fires"] == true && fires < deliveries.len();
        assert!(fires == deliveries.len() || released, "{item:#}");
    }
}

/// The change as the platform publishes it; where it has a cause, often one of these rules (P4).
fn caused_by(change: &Change, rules: &[String]) -> Value {
    let mut detail = json!(change);
    if change.causation.is_some() && change.conversion.version.is_multiple_of(2) {
        detail["causation"]["tracking_api_id"] = json!(rules[0]);
    }
    detail
}
