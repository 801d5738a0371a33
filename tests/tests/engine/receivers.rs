//! Receivers that are down (B1–B6), over the whole engine: one machine, its store, a clock moved by hand, receivers that answer as the test
//! says.

#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tracking_core::{caller::Caller, json, json::Value};
use tracking_engine::DeliveryFilter;
use tracking_tests::world::{Arrival, Reply, World, event};

mod outages;
mod people;
mod several;

const OK: Reply = Reply::Says(200, "ok");
const DOWN: Reply = Reply::Silence;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// The rule's URL, with the conversion and the kind of its event.
const RULE_URL: &str = "http://127.0.0.1:9/p?c={conversion_id}&e={event}";

fn rule() -> Value {
    json!({"name": "postback", "trigger": "conversion_all", "request": {"url": RULE_URL}})
}

fn with(members: Value) -> Value {
    let mut rule = rule();
    rule.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    rule
}

fn change(number: usize, version: u64) -> Value {
    let how = if version == 1 { "created" } else { "updated" };
    let conversion = json!({"conversion_id": format!("cnv_{number:05}"), "version": version, "change": how});
    event(&format!("chg_{number}_{version}"), conversion, json!([]))
}

async fn post(world: &World, numbers: std::ops::Range<usize>) {
    for number in numbers {
        world.post(&[change(number, 1)]).await.unwrap();
    }
}

/// Starts a machine with one rule of an admin.
async fn machine(rule: Value) -> World {
    let world = World::temporary();
    world.rule(&Caller::Admin, rule).await;
    world
}

async fn log(world: &World) -> Vec<Value> {
    world.log(&DeliveryFilter::default()).await
}

/// Counts the deliveries by state.
async fn states(world: &World) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for delivery in log(world).await {
        *states.entry(delivery["state"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    states
}

#[track_caller]
fn are(states: &BTreeMap<String, usize>, expected: &[(&str, usize)]) {
    let found: Vec<(&str, usize)> = states.iter().map(|(state, count)| (state.as_str(), *count)).collect();
    assert_eq!(found, expected);
}

/// Returns the deliveries that wait for their receiver.
async fn waiting(world: &World) -> Vec<Value> {
    let is_waiting = |delivery: &Value| delivery["reason"].as_str().unwrap_or_default().starts_with("receiver is down since ");
    log(world).await.into_iter().filter(is_waiting).collect()
}

async fn receivers(world: &World) -> Vec<Value> {
    world.engine().receivers().page(&Caller::Admin, 100, None).await.unwrap().0
}

async fn receiver(world: &World) -> Value {
    let mut all = receivers(world).await;
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Returns the events about receivers, in order: their kinds and details.
fn receiver_events(world: &World) -> Vec<(String, Value)> {
    let published = world.store().published(None, 10_000).unwrap();
    let of_receivers = published.into_iter().filter(|event| event.detail_type.starts_with("Receiver "));
    of_receivers.map(|event| (event.detail_type, event.detail)).collect()
}

fn kinds(world: &World) -> Vec<String> {
    receiver_events(world).into_iter().map(|(kind, _)| kind).collect()
}

/// Asserts that no delivery reached its receiver well more than once, and that each subject's changes came in order.
#[track_caller]
fn in_order(delivered: &[Arrival], conversions: usize, versions: usize) {
    let mut by_subject: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for arrival in delivered {
        let (_, query) = arrival.url.split_once("c=").unwrap();
        let (conversion, event) = query.split_once("&e=").unwrap();
        by_subject.entry(conversion.to_owned()).or_default().push(event.to_owned());
    }
    assert_eq!(by_subject.len(), conversions);
    let expected = &["conversion_created", "conversion_updated"][..versions];
    for (conversion, events) in by_subject {
        assert_eq!(events, expected, "{conversion}");
    }
}
