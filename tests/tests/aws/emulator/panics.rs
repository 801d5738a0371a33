//! A record that makes its function panic: it comes again, and the others of its batch are worked as if it weren't there.
//!
//! The panic comes from data that the code never writes: a time at the end of all times, to which nothing can be added.

use std::fs;

use serde_json::{Map, Value, json};
use tracking_engine::backend::{Backend as _, Effects, Key};
use tracking_tests::{bootstraps::workspace, cloud::Queue, receiver::Receiver};

use crate::emulator::{OK, events::sale, sorted, system::System};

/// The last possible time.
const END_OF_TIME: &str = "9999-12-30T22:00:00.999999999Z";

fn check_panicked(system: &System, function: &str) {
    let log = system.function(function).log();
    assert!(log.contains("panicked at"), "nothing panicked: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_makes_delivery_panic_comes_again_and_the_others_are_sent() {
    let receiver = Receiver::start(|_| OK).await;
    let system = System::of(&["matcher", "delivery", "api"]).await;
    system.rule("aff_7", &format!("{}/?c={{conversion_id}}", receiver.url()), &json!({})).await;
    for number in 0..10 {
        system.cloud.put(Queue::Events, &sale("aff_7", &format!("cnv_{number}")).to_string());
    }
    system.work("matcher", Queue::Events).await;
    let mut bodies = system.cloud.messages(Queue::Delivery);
    let records = system.cloud.take(Queue::Delivery, 10, crate::emulator::system::now());
    system.cloud.ack(&records, &[]);
    let spoilt = bodies.iter_mut().find(|body| body.contains("cnv_4")).unwrap();
    let mut message: Value = serde_json::from_str(spoilt).unwrap();
    let job = job(&mut message).unwrap_or_else(|| panic!("no job in {spoilt}"));
    let id = job["id"].clone();
    job.extend([("created_at".to_owned(), END_OF_TIME.into()), ("after".to_owned(), id)]);
    *spoilt = message.to_string();
    for body in &bodies {
        system.cloud.put(Queue::Delivery, body);
    }
    let failed = system.work("delivery", Queue::Delivery).await;
    check_panicked(&system, "delivery");
    assert_eq!(failed.iter().map(|record| record.body.as_str()).collect::<Vec<_>>(), [message.to_string()]);
    assert_eq!(sorted(&receiver), [0, 1, 2, 3, 5, 6, 7, 8, 9].map(|number| format!("/?c=cnv_{number}")));
    assert_eq!(system.held(Queue::Delivery), 1);
    // The environment goes on working.
    assert_eq!(system.invoke("delivery", &json!({"Records": []})).await, json!({"batchItemFailures": []}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_was_settled_at_the_end_of_time_holds_up_nobody() {
    let receiver = Receiver::start(|_| OK).await;
    let system = System::of(&["matcher", "api"]).await;
    system.rule("aff_7", receiver.url(), &json!({"delay": {"mode": "final", "settle_seconds": 604_800}})).await;
    system.cloud.put(Queue::Events, &sale("aff_7", "cnv_4").to_string());
    assert_eq!(system.work("matcher", Queue::Events).await.len(), 0);
    system.rule("aff_8", receiver.url(), &json!({})).await;
    spoil_hold(&system).await;
    let mut change = sale("aff_7", "cnv_4");
    change["detail"]["change_id"] = "chg_later".into();
    change["detail"]["conversion"]["version"] = 2.into();
    change["detail"]["conversion"]["settled"] = true.into();
    let others = (0..9).map(|number| sale("aff_8", &format!("cnv_other_{number}")));
    for event in [change.clone()].into_iter().chain(others) {
        system.cloud.put(Queue::Events, &event.to_string());
    }
    assert_eq!(system.work("matcher", Queue::Events).await.len(), 0);
    assert_eq!((system.held(Queue::Delivery), system.held(Queue::Events)), (9, 0));
    assert_eq!(system.invoke("matcher", &json!({"Records": []})).await, json!({"batchItemFailures": []}));
}

/// Makes the only hold say that it was settled at the end of time.
async fn spoil_hold(system: &System) {
    let store = system.store();
    let keys = system.cloud.items().into_iter().map(|item| Key::new(text(&item["pk"]["S"]), text(&item["sk"]["S"])));
    let [key] = keys.filter(|key| key.sort.starts_with("H#")).collect::<Vec<_>>().try_into().expect("there is one hold");
    let mut item = store.get(&[key]).await.unwrap().remove(0).expect("the hold is there");
    let mut body: Value = serde_json::from_str(&item.body).unwrap();
    let hold = holding(&mut body).unwrap_or_else(|| panic!("no hold in {}", item.body));
    hold.insert("settled_at".to_owned(), END_OF_TIME.into());
    item.body = body.to_string();
    store.commit(vec![Effects { put: vec![item], ..Effects::default() }]).await.remove(0).unwrap();
}

fn text(value: &Value) -> &str {
    value.as_str().expect("keys are texts")
}

/// Returns the hold in a row: the object that has subjects.
fn holding(value: &mut Value) -> Option<&mut Map<String, Value>> {
    let object = value.as_object_mut()?;
    if object.contains_key("subjects") { Some(object) } else { object.values_mut().find_map(holding) }
}

/// Checks the profile's panic setting: without one, cargo-lambda builds with `abort`, and the tests above would not hold on Lambda.
#[test]
fn released_functions_unwind() {
    let manifest = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    let (_, release) = manifest.split_once("[profile.release]").expect("there is a profile for releases");
    let profile = release.split("\n[").next().unwrap();
    assert!(profile.lines().any(|line| line == "panic = \"unwind\""), "{profile}");
}

/// Returns the owed delivery in a message: the object that has a `created_at`.
fn job(value: &mut Value) -> Option<&mut Map<String, Value>> {
    let object = value.as_object_mut()?;
    if object.contains_key("created_at") { Some(object) } else { object.values_mut().find_map(job) }
}
