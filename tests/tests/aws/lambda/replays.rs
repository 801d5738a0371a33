//! Replays on AWS: counted while they run, and stopped.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json, json::Value};
use tracking_engine::rules::Refused;
use tracking_tests::{
    cloud::Queue,
    functions::Functions,
    receiver::{Receiver, Response},
};

use crate::lambda::support::{rule, sale};

fn day() -> Value {
    json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z", "dry_run": false})
}

fn count(shown: &Value) -> u64 {
    shown["counts"]["deliveries"].as_u64().expect("a count")
}

#[tokio::test]
async fn a_replay_is_counted_stopped_and_begun_again() {
    let status = Arc::new(AtomicU16::new(404));
    let answers = Arc::clone(&status);
    let receiver = Receiver::start(move |_| Response::says(answers.load(Ordering::Relaxed), "no word")).await;
    let mut functions = Functions::start();
    let rule_id = functions.rule(&Caller::Admin, rule(receiver.url(), json!({}))).await;
    for number in 1..=120 {
        functions.ingest(&sale(number)).await;
    }
    functions.work_all().await;
    status.store(200, Ordering::Relaxed);
    let before = receiver.heard().len();

    let engine = &functions.stack().engine;
    let (begun, _) = engine.operator().replay(&Caller::Admin, &rule_id, &day()).await.expect("it begins");
    let id = begun["id"].as_str().expect("an id").parse().expect("an id");
    let other = engine.operator().replay(&Caller::Admin, &rule_id, &day()).await;
    assert!(matches!(&other, Err(Refused::Conflict(why)) if why.contains(begun["id"].as_str().unwrap())), "{other:?}");
    // This works one step, not those that follow.
    assert_eq!(functions.work(Queue::Retry).await, 1);
    let some = engine.operator().replays().so_far(&Caller::Admin, &id).await.expect("it is there");
    assert!((50..120).contains(&count(&some)), "{some:?}");
    let stopped = engine.operator().replays().cancel(&Caller::Admin, &id).await.expect("it runs");
    assert_eq!((stopped["state"].as_str(), count(&stopped)), (Some("cancelled"), count(&some)));
    functions.wait(functions.clock.now() + SignedDuration::from_mins(10)).await;
    assert_eq!((receiver.heard().len() - before) as u64, count(&some), "nothing more than it had queued");

    let (again, _) = engine.operator().replay(&Caller::Admin, &rule_id, &day()).await.expect("the rule is free");
    functions.wait(functions.clock.now() + SignedDuration::from_mins(10)).await;
    assert_eq!(receiver.heard().len() - before, 120);
    let id = again["id"].as_str().expect("an id").parse().expect("an id");
    let over = engine.operator().replays().so_far(&Caller::Admin, &id).await.expect("it is there");
    assert_eq!((over["state"].as_str(), count(&over)), (Some("completed"), 120 - count(&some)));
    let (listed, next) = engine.operator().replays().list(&Caller::Admin, 10, None).await.expect("AWS is there");
    assert_eq!((listed.len(), next), (2, None));
    let left: Vec<_> = functions.cloud.items().into_iter().filter(|item| item.to_string().contains("\"REPLAY\"")).collect();
    assert_eq!(left, [] as [serde_json::Value; 0], "no name of one that runs");
}
