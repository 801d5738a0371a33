//! A receiver's response is recorded first and published afterwards: neither a bus nor a table that refuses for a while repeats a request.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use jiff::SignedDuration;
use tracking_core::{caller::Caller, delivery::DeliveryId, json, json::Value};
use tracking_tests::{
    cloud::{Cloud, Fault, Queue},
    functions::Functions,
    receiver::{Receiver, Response},
};

use crate::lambda::support::{rule, sale};

const BUS: &str = "EventBridge.PutEvents";
const WRITES: &str = "DynamoDB.BatchWriteItem";
const SENDS: &str = "SQS.SendMessageBatch";

/// Returns answer rules that publish a result for an approval.
fn publishing() -> Value {
    json!({"answer": {"rules": [
        {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "approved"}],
         "then": "delivered", "set": {"result": "approved", "variables": {"seen": "{body.status}"}}},
        {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}],
         "then": "pending", "set": {"external_id": "{body.status}"}},
    ]}})
}

/// Starts a receiver that refuses the first sale for good and approves of the others.
async fn refusing_the_first() -> Receiver {
    Receiver::start(|asked| {
        if asked.target.contains("trx_00000001") { Response::says(400, "no") } else { Response::says(200, "approved") }
    })
    .await
}

/// Returns the detail types on the bus, each with its transaction and `event_id`.
fn published(cloud: &Cloud) -> Vec<(String, String, String)> {
    let text = |detail: &Value, name: &str| detail[name].as_str().unwrap_or_default().to_owned();
    let mut events: Vec<_> = cloud
        .published()
        .into_iter()
        .map(|event| {
            let detail: Value = event.detail.into();
            (event.detail_type, text(&detail, "transaction_id"), text(&detail, "event_id"))
        })
        .collect();
    events.sort();
    events
}

fn states(log: &[Value]) -> Vec<&str> {
    let mut states: Vec<_> = log.iter().map(|row| row["state"].as_str().unwrap_or_default()).collect();
    states.sort_unstable();
    states
}

fn no_dead_letters(cloud: &Cloud) {
    for queue in [Queue::EventsDead, Queue::DeliveryDead, Queue::RetryDead, Queue::Rejected] {
        assert_eq!(cloud.messages(queue), [""; 0], "{queue:?}");
    }
}

#[tokio::test]
async fn a_bus_that_is_down_for_an_hour_repeats_no_request_and_loses_no_event() {
    for fault in [Fault::Throttled, Fault::InternalError, Fault::ConnectionDropped] {
        let receiver = refusing_the_first().await;
        let mut functions = Functions::start();
        functions.rule(&Caller::Admin, rule(receiver.url(), publishing())).await;
        functions.cloud.fail_all(BUS, Some(fault));
        for number in 1..=5 {
            functions.ingest(&sale(number)).await;
        }
        functions.wait(functions.clock.now() + SignedDuration::from_hours(1)).await;
        assert_eq!(receiver.heard().len(), 5, "{fault:?}: one request each");
        let log = functions.log().await;
        assert_eq!(states(&log), ["delivered", "delivered", "delivered", "delivered", "failed"], "{fault:?}");
        assert_eq!(published(&functions.cloud), [], "{fault:?}");
        functions.cloud.fail_all(BUS, None);
        functions.wait(functions.clock.now() + SignedDuration::from_mins(16)).await;
        let events = published(&functions.cloud);
        let what: Vec<_> = events.iter().map(|(kind, transaction, _)| (kind.as_str(), transaction.as_str())).collect();
        let result_received = "Conversion Result Received";
        let expected = [
            (result_received, "trx_00000002"),
            (result_received, "trx_00000003"),
            (result_received, "trx_00000004"),
            (result_received, "trx_00000005"),
            ("Delivery Ended", "trx_00000001"),
        ];
        assert_eq!(what, expected, "{fault:?}");
        assert_eq!(events.iter().map(|(_, _, id)| id).collect::<BTreeSet<_>>().len(), 5, "{fault:?}");
        assert_eq!(receiver.heard().len(), 5, "{fault:?}");
        no_dead_letters(&functions.cloud);
    }
}

#[tokio::test]
async fn an_event_that_the_bus_will_never_take_is_dead_lettered_at_once() {
    let receiver = refusing_the_first().await;
    let mut functions = Functions::start_with(&[("TRACKING_BUS", "no-such-bus")]);
    functions.rule(&Caller::Admin, rule(receiver.url(), publishing())).await;
    functions.ingest(&sale(2)).await;
    functions.wait(functions.clock.now() + SignedDuration::from_mins(1)).await;
    assert_eq!(states(&functions.log().await), ["delivered"]);
    let kept = functions.cloud.messages(Queue::RetryDead);
    assert!(kept.len() == 1 && kept[0].contains("Conversion Result Received"), "{kept:?}");
    let reasons = functions.cloud.reasons(Queue::RetryDead);
    assert!(reasons[0].as_ref().is_some_and(|reason| reason.starts_with("InvalidArgument")), "{reasons:?}");
}

/// Makes the table refuse writes from the receiver's request on, for this time, and checks that the sale is delivered once.
async fn throttled(fault: Fault, timeout: u32, time: SignedDuration) {
    let mut functions = Functions::start();
    let cloud = functions.cloud.clone();
    let receiver = Receiver::start(move |_| {
        cloud.fail_all(WRITES, Some(fault));
        Response::says(200, "approved")
    })
    .await;
    let mut document = rule(receiver.url(), publishing());
    document["request"]["timeout_seconds"] = timeout.into();
    functions.rule(&Caller::Admin, document).await;
    functions.ingest(&sale(2)).await;
    functions.wait(functions.clock.now() + time).await;
    functions.cloud.fail_all(WRITES, None);
    functions.wait(functions.clock.now() + SignedDuration::from_mins(40)).await;
    let what = format!("{fault:?}, timeout {timeout} s, {time:#}");
    assert_eq!(receiver.heard().len(), 1, "{what}");
    let log = functions.log().await;
    assert_eq!(states(&log), ["delivered"], "{what}: {log:#?}");
    assert_eq!(log[0]["attempts"], 1, "{what}");
    let events = published(&functions.cloud);
    assert!(!events.is_empty() && events.iter().collect::<BTreeSet<_>>().len() == 1, "{what}: {events:?}");
    no_dead_letters(&functions.cloud);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_throttled_while_it_records_repeats_no_request() {
    let cases = [1, 5, 120].into_iter().flat_map(|timeout| [60, 600].map(|seconds| (timeout, seconds)));
    let runs = cases.map(|(timeout, seconds)| throttled(Fault::Throttled, timeout, SignedDuration::from_secs(seconds)));
    join_all(runs.map(Box::pin)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_lands_although_its_call_failed_repeats_no_request() {
    throttled(Fault::LostAnswer, 5, SignedDuration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_goes_on_after_its_record_had_to_wait() {
    let mut functions = Functions::start();
    let cloud = functions.cloud.clone();
    let receiver = Receiver::start(move |asked| {
        if asked.target.ends_with("n=1") {
            cloud.fail_all(WRITES, Some(Fault::Throttled));
            return Response::says(200, "pending");
        }
        Response::says(200, "approved")
    })
    .await;
    let more = json!({"retry": {"backoff": "fixed", "delay_seconds": 60, "max_retries": 5}, "answer": publishing()["answer"]});
    functions.rule(&Caller::Admin, rule(receiver.url(), more)).await;
    functions.ingest(&sale(2)).await;
    functions.wait(functions.clock.now() + SignedDuration::from_mins(3)).await;
    assert_eq!(receiver.heard().len(), 1, "without a record of the first there is no second attempt");
    functions.cloud.fail_all(WRITES, None);
    functions.wait(functions.clock.now() + SignedDuration::from_mins(20)).await;
    let targets: Vec<_> = receiver.heard().into_iter().map(|postback| postback.target.chars().last()).collect();
    assert_eq!(targets, [Some('1'), Some('2')]);
    let log = functions.log().await;
    assert_eq!((states(&log), &log[0]["attempts"]), (vec!["delivered"], &json!(2)));
    assert_eq!(published(&functions.cloud).len(), 2, "{:?}", published(&functions.cloud));
    no_dead_letters(&functions.cloud);
}

/// The receiver answers `pending` once; while its second answer can't be recorded, a resend or a stop is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l1_nobody_sends_again_or_stops_what_is_being_recorded() {
    let mut functions = Functions::start();
    let cloud = functions.cloud.clone();
    let receiver = Receiver::start(move |asked| {
        if asked.target.ends_with("n=1") {
            return Response::says(200, "pending");
        }
        cloud.fail_all(WRITES, Some(Fault::Throttled));
        Response::says(200, "approved")
    })
    .await;
    let more = json!({"retry": {"backoff": "fixed", "delay_seconds": 60, "max_retries": 5}, "answer": publishing()["answer"]});
    functions.rule(&Caller::Admin, rule(receiver.url(), more)).await;
    functions.ingest(&sale(2)).await;
    while receiver.heard().len() < 2 {
        functions.wait(functions.clock.now() + SignedDuration::from_secs(20)).await;
    }
    // After its lease the record is still in the queue.
    for minutes in [0, 5] {
        functions.clock.pass(SignedDuration::from_mins(minutes));
        let id = DeliveryId::parse(functions.log().await[0]["id"].as_str().expect("it has one")).expect("it is one");
        let stack = functions.stack();
        let resent = stack.engine.operator().resend(&Caller::Admin, &id, &json!({"force": true})).await;
        let stopped = stack.engine.operator().cancel(&Caller::Admin, &id).await;
        for refused in [resent, stopped] {
            let why = refused.expect_err("it is refused").to_string();
            assert!(why.starts_with("it is being sent: wait for its answer, or until "), "{why}");
        }
    }
    functions.cloud.fail_all(WRITES, None);
    functions.wait(functions.clock.now() + SignedDuration::from_mins(20)).await;
    assert_eq!(receiver.heard().len(), 2);
    assert_eq!(states(&functions.log().await), ["delivered"]);
    assert_eq!(published(&functions.cloud).iter().collect::<BTreeSet<_>>().len(), 2);
    no_dead_letters(&functions.cloud);
}

/// A bus that never answers delays a record for less time than the record has, and no event is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_hangs_holds_up_no_record() {
    let receiver = refusing_the_first().await;
    let mut functions = Functions::start();
    functions.rule(&Caller::Admin, rule(receiver.url(), publishing())).await;
    functions.ingest(&sale(1)).await;
    functions.ingest(&sale(2)).await;
    functions.cloud.fail_all(BUS, Some(Fault::Hangs));
    while functions.work(Queue::Events).await > 0 {}
    functions.work(Queue::Delivery).await;
    assert_eq!(states(&functions.log().await), ["delivered", "failed"]);
    let waiting = functions.cloud.messages(Queue::Retry);
    assert!(waiting.len() == 2 && waiting.iter().all(|body| body.contains("\"publish\"")), "{waiting:?}");
    functions.cloud.fail_all(BUS, None);
    functions.wait(functions.clock.now() + SignedDuration::from_mins(5)).await;
    assert_eq!(published(&functions.cloud).len(), 2);
    assert_eq!(receiver.heard().len(), 2);
    no_dead_letters(&functions.cloud);
}

/// A record waits for a table that is away longer than an attempt without a record lasts, and for one whose writes hang.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_is_away_for_long_repeats_no_request() {
    let away = throttled(Fault::InternalError, 5, SignedDuration::from_mins(30));
    let hangs = throttled(Fault::Hangs, 5, SignedDuration::from_secs(20));
    join_all([Box::pin(away), Box::pin(hangs)]).await;
}

#[tokio::test]
async fn what_was_not_published_is_published_although_its_rule_is_gone() {
    let receiver = refusing_the_first().await;
    let mut functions = Functions::start();
    let id = functions.rule(&Caller::Admin, rule(receiver.url(), publishing())).await;
    functions.ingest(&sale(1)).await;
    functions.ingest(&sale(2)).await;
    while functions.work(Queue::Events).await > 0 {}
    functions.cloud.fail_all(BUS, Some(Fault::Throttled));
    functions.cloud.fail_all(SENDS, Some(Fault::Throttled));
    functions.work(Queue::Delivery).await;
    assert_eq!(receiver.heard().len(), 2);
    functions.cloud.fail_all(SENDS, None);
    functions.stack().engine.writer().delete_rule(&Caller::Admin, &id, None).await.expect("it is there");
    functions.cloud.fail_all(BUS, None);
    functions.wait(functions.clock.now() + SignedDuration::from_mins(20)).await;
    let kinds: Vec<_> = published(&functions.cloud).into_iter().map(|(kind, ..)| kind).collect();
    assert_eq!(kinds, ["Conversion Result Received", "Delivery Ended"]);
    assert_eq!(receiver.heard().len(), 2);
    assert_eq!(states(&functions.log().await), ["delivered", "failed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_records_are_refused_repeats_no_request() {
    let mut functions = Functions::start();
    let cloud = functions.cloud.clone();
    // The deliveries are concluded one after another, while the records of the first are being refused.
    let receiver = Receiver::start(move |asked| {
        // The calls are slow enough for the last try to be cut off in the middle.
        cloud.fail_all(WRITES, Some(Fault::Throttled));
        cloud.latency(std::time::Duration::from_millis(900));
        let number: u64 = asked.target.find("trx_").and_then(|at| asked.target.get(at + 4..at + 12)?.parse().ok()).unwrap_or(0);
        Response { after: std::time::Duration::from_millis(number * 200), ..Response::says(200, "approved") }
    })
    .await;
    functions.rule(&Caller::Admin, rule(receiver.url(), publishing())).await;
    for number in 1..=10 {
        functions.ingest(&sale(number)).await;
    }
    while functions.work(Queue::Events).await > 0 {}
    functions.work(Queue::Delivery).await;
    functions.cloud.latency(std::time::Duration::ZERO);
    functions.cloud.fail_all(WRITES, None);
    functions.wait(functions.clock.now() + SignedDuration::from_mins(40)).await;
    assert_eq!(receiver.heard().len(), 10);
    assert_eq!(states(&functions.log().await), ["delivered"; 10]);
    assert_eq!(published(&functions.cloud).iter().collect::<BTreeSet<_>>().len(), 10);
    no_dead_letters(&functions.cloud);
}
