//! A result that is pending for 30 days, on AWS: due rows and the sweep bring each day's request, whatever environment works it.

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json, json::Value};
use tracking_tests::{
    functions::Functions,
    receiver::{Receiver, Response, targets},
};

use crate::lambda::support::{rule, sale};

/// Plays 42 days of three sales that are asked for once a day, with a sweep every 6 hours and the shortest retention of the log.
/// Returns the functions and the log.
async fn polled(receiver: &Receiver) -> (Functions, Vec<Value>) {
    let mut functions = Functions::start_with(&[("TRACKING_LOG_RETENTION_DAYS", "31")]);
    let daily = json!({"max_retries": 30, "delay_seconds": 86_400, "backoff": "fixed", "max_delay_seconds": 86_400});
    functions.rule(&Caller::Admin, rule(receiver.url(), json!({"retry": daily}))).await;
    for number in 1..=3 {
        functions.ingest(&sale(number)).await;
    }
    for _ in 0..21 {
        functions.pass(SignedDuration::from_hours(48), SignedDuration::from_hours(6)).await;
        functions.restart();
    }
    let log = functions.log().await;
    (functions, log)
}

fn count(receiver: &Receiver, part: &str) -> usize {
    targets(receiver).iter().filter(|target| target.contains(part)).count()
}

#[tokio::test]
async fn case_d8_a_result_that_comes_after_30_days_is_published_and_one_that_never_comes_is_unresolved() {
    let receiver = Receiver::start(|postback| {
        let decides = postback.target.ends_with("n=31") && !postback.target.contains("txid=trx_00000003");
        Response::says(200, if decides { "approved" } else { "pending" })
    })
    .await;
    let (functions, log) = polled(&receiver).await;
    let mut ends: Vec<_> = log
        .iter()
        .map(|row| (row["transaction_id"].to_string(), row["state"].to_string(), row["attempts"].to_string()))
        .collect();
    ends.sort();
    let end = |number: u32, state: &str| (format!("\"trx_{number:08}\""), format!("\"{state}\""), "31".to_owned());
    assert_eq!(ends, [end(1, "delivered"), end(2, "delivered"), end(3, "unresolved")]);
    for number in 1..=3 {
        assert_eq!(count(&receiver, &format!("txid=trx_{number:08}")), 31, "one request a day");
    }
    let ended = functions.cloud.published().into_iter().filter(|event| event.detail_type == "Delivery Ended").count();
    assert_eq!(ended, 1, "one event, for the delivery that gave up");
}
