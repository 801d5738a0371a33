//! Every JSON block of a page is read: each is a rule or a part of one, an event, a body of the API, or an event that we publish.

use std::collections::BTreeSet;

use tracking_core::{
    caller::Owner,
    change::Change,
    flow::{Masters, Mirror},
    json,
    json::Value,
    repair::Replay,
    tracking_api::{RuleDefinition, Settings, merge_patch, patch_document},
};

use crate::documents::{
    exchange::{Exchange, parsed},
    markdown::{blocks, page, pages, rows, section},
};

/// The fields of the detail of a `Conversion Result Received`.
const RESULT: [&str; 14] = [
    "event_id",
    "attempt",
    "conversion_id",
    "transaction_id",
    "pcid",
    "external_id",
    "result",
    "payout",
    "value",
    "variables",
    "tracking_api_id",
    "delivery_id",
    "received_at",
    "causation",
];

/// The fields of the detail of a `Tracking API Event`.
const EMITTED: [&str; 8] =
    ["event_id", "name", "fields", "count", "tracking_api_id", "delivery_id", "conversion_id", "causation"];

/// The fields of the detail of a `Tracking API Failing`.
const FAILING: [&str; 4] = ["event_id", "tracking_api_id", "failing_since", "last_error"];

/// Returns a minimal complete rule.
fn whole() -> Value {
    json!({"name": "n", "request": {"url": "https://receiver.example/"}})
}

/// Returns an answer rule of a step that others mirror.
fn logged_in() -> Value {
    json!({"when": [{"operator": "always"}], "then": "delivered", "set": {"variables": {"token": "{body.access_token}"}}})
}

/// Returns the fields of a part of the described API.
fn described(schema: &str) -> Value {
    let description = parsed(include_str!("../../../../infra/openapi.json"));
    description["components"]["schemas"][schema]["properties"].clone()
}

/// Returns the names of the fields of an object.
fn names(object: &Value) -> BTreeSet<String> {
    object.as_object().expect("an object").keys().map(ToString::to_string).collect()
}

fn has(block: &Value, name: &str) -> bool {
    block.get(name).is_some()
}

/// Reads a block. Returns its kind, or the fault if it has none.
fn read(block: &Value) -> Result<&'static str, String> {
    if has(block, "detail-type") {
        return Change::parse_detail(&block["detail"], "").map(|_| "event").map_err(|faults| faults.to_string());
    }
    if has(block, "failing_since") {
        let is_whole = names(block) == FAILING.map(ToOwned::to_owned).into();
        return if is_whole { Ok("failing rule") } else { Err(format!("the event of a rule that fails has {FAILING:?}")) };
    }
    if has(block, "event_id") && has(block, "fields") {
        let is_whole = names(block) == EMITTED.map(ToOwned::to_owned).into();
        return if is_whole { Ok("emitted event") } else { Err(format!("the event of a flow has {EMITTED:?}")) };
    }
    if has(block, "event_id") {
        let foreign = names(block).into_iter().find(|name| !RESULT.contains(&name.as_str()));
        return foreign.map_or(Ok("result"), |name| Err(format!("a result has no field {name}")));
    }
    if has(block, "errors") {
        let known = names(&described("Problem"));
        return if names(block).is_subset(&known) { Ok("problem") } else { Err(format!("a problem has {known:?}")) };
    }
    if has(block, "from") {
        return Replay::parse(block).map(|_| "replay").map_err(|faults| faults.to_string());
    }
    let mut rule = whole();
    patch_document(&mut rule, block);
    let mut masters = Masters::default();
    for mirror in Mirror::of_document(&rule) {
        masters.insert(mirror, json!({"call": {"url": "https://receiver.example/"}, "answer": {"rules": [logged_in()]}}));
    }
    let settings = Settings { has_public_url: true, ..Settings::default() };
    RuleDefinition::parse_with(&rule, &Owner::Admin, &settings, &masters).map(|_| "rule").map_err(|faults| faults.to_string())
}

#[test]
fn every_json_block_of_the_pages_is_read() {
    let mut faults = Vec::new();
    let mut kinds = BTreeSet::new();
    for name in pages() {
        let page = page(&name);
        for block in blocks(&page, "json") {
            match read(&parsed(block)) {
                Ok(kind) => drop(kinds.insert(kind)),
                Err(fault) => faults.push(format!("docs/{name}: {fault}\n{block}")),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        ["emitted event", "event", "failing rule", "problem", "replay", "result", "rule"]
    );
}

#[test]
fn the_page_of_events_says_what_follows_from_its_example() {
    let page = page("events-in.md");
    let section = section(&page, "An event");
    let event = parsed(blocks(section, "json")[0]);
    let change = Change::parse_detail(&event["detail"], "").unwrap();
    let follow: Vec<Vec<String>> = change
        .events()
        .iter()
        .map(|event| {
            let transaction = event.transaction.as_ref();
            let id = transaction.map_or("–".to_owned(), |transaction| format!("`{}`", transaction.transaction_id));
            let result = transaction.map_or("–", |transaction| transaction.result.as_str());
            vec![format!("`{}`", event.kind.as_str()), id, result.to_owned()]
        })
        .collect();
    assert_eq!(rows(section), follow);
}

#[test]
fn the_page_of_results_shows_what_its_rule_extracts() {
    let page = page("results-out.md");
    let shown = blocks(section(&page, "A result"), "json");
    let mut rule = whole();
    merge_patch(&mut rule, &parsed(shown[0]));
    let sample = Change::sample(None, "2026-11-22T14:00:00Z".parse().unwrap());
    let exchange = Exchange::new(&rule, &Owner::Admin, &[sample]);
    let meaning = exchange.meaning(200, r#"{"status": "approved", "amount": "12.50", "id": "X-77"}"#);
    assert_eq!(meaning, "delivered result=approved payout=12.50 external_id=X-77");
    let event = parsed(shown[1]);
    assert_eq!(
        (&event["result"], &event["payout"], &event["external_id"]),
        (&"approved".into(), &"12.50".into(), &"X-77".into())
    );
    assert_eq!(exchange.meaning(200, r#"{"status": "new"}"#), "pending");
}
