//! Rules that fail, on AWS: several environments notice it, one publishes it.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json};
use tracking_engine::rules::Filter;
use tracking_tests::{
    cloud::{BusEvent, Fault},
    functions::Functions,
    receiver::{Receiver, Response},
};

use crate::lambda::support::{rule, sale};

fn failing_events(functions: &Functions) -> Vec<BusEvent> {
    functions.cloud.published().into_iter().filter(|event| event.detail_type == "Tracking API Failing").collect()
}

async fn failing(functions: &Functions) -> Vec<String> {
    let filter = Filter { failing: true, ..Filter::default() };
    let (rules, _) = functions.stack().engine.log().list_rules(&Caller::Admin, &filter, 100, None).await.expect("AWS is there");
    rules.iter().filter_map(|rule| rule["id"].as_str().map(ToOwned::to_owned)).collect()
}

#[tokio::test]
async fn a_rule_without_a_success_for_an_hour_is_reported_once_by_all_environments() {
    let status = Arc::new(AtomicU16::new(408));
    let answers = Arc::clone(&status);
    let receiver = Receiver::start(move |_| Response::says(answers.load(Ordering::Relaxed), "no word")).await;
    let mut functions = Functions::start();
    let retry = json!({"max_retries": 30, "delay_seconds": 600, "backoff": "fixed"});
    let id = functions.rule(&Caller::Admin, rule(receiver.url(), json!({"retry": retry}))).await;
    for number in 1..=15 {
        functions.ingest(&sale(number)).await;
    }
    let minutes = SignedDuration::from_mins;
    functions.pass(minutes(1), minutes(1)).await;
    assert_eq!(failing(&functions).await, [id.as_str()], "after its first failure");
    for _ in 0..5 {
        functions.pass(minutes(10), minutes(1)).await;
        functions.restart();
    }
    assert_eq!(failing_events(&functions), [], "51 minutes are no hour");
    // The bus refuses the event at first: it stays in the queue, and is published once all the same.
    functions.cloud.fail_next("EventBridge.PutEvents", Fault::Throttled);
    for _ in 0..12 {
        functions.pass(minutes(10), minutes(1)).await;
        functions.restart();
    }
    let events = failing_events(&functions);
    assert_eq!(events.len(), 1, "{events:?}");
    let detail = &events[0].detail;
    assert_eq!(
        (detail["tracking_api_id"].as_str(), detail["last_error"].as_str()),
        (Some(id.as_str()), Some("retry: status 408"))
    );
    assert!(detail["failing_since"].as_str().is_some_and(|since| since.starts_with("2026-11-22T09:00")), "{detail}");
    assert!(detail["event_id"].as_str().is_some_and(|id| id.starts_with("evt_")));

    status.store(200, Ordering::Relaxed);
    functions.pass(minutes(15), minutes(1)).await;
    assert_eq!(failing(&functions).await, [""; 0]);
    assert_eq!(failing_events(&functions).len(), 1);
}

#[tokio::test]
async fn an_environment_that_dies_between_mark_and_bus_leaves_the_event_to_the_next() {
    let receiver = Receiver::start(|_| Response::says(408, "down")).await;
    let mut functions = Functions::start();
    let retry = json!({"max_retries": 30, "delay_seconds": 600, "backoff": "fixed"});
    functions.rule(&Caller::Admin, rule(receiver.url(), json!({"retry": retry}))).await;
    functions.ingest(&sale(1)).await;
    let minutes = SignedDuration::from_mins;
    functions.pass(minutes(50), minutes(1)).await;
    functions.cloud.fail_all("EventBridge.PutEvents", Some(Fault::Throttled));
    functions.cloud.fail_all("SQS.SendMessageBatch", Some(Fault::Throttled));
    functions.pass(minutes(30), minutes(1)).await;
    assert_eq!(failing_events(&functions), []);
    functions.cloud.fail_all("EventBridge.PutEvents", None);
    functions.cloud.fail_all("SQS.SendMessageBatch", None);
    functions.pass(minutes(60), minutes(1)).await;
    let mut ids: Vec<_> = failing_events(&functions).into_iter().map(|event| event.detail["event_id"].to_string()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}
