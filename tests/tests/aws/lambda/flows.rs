//! Flows on AWS: one step after another by way of the queues, tokens kept for all environments, and the cost of a step.

use std::ops::RangeInclusive;

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json, json::Value};
use tracking_tests::{
    cloud::Queue,
    functions::Functions,
    receiver::{Postback, Receiver, Response, targets},
};

use crate::lambda::support::sale;

const SALES: usize = 10;

/// Starts functions with a rule of these steps, and the deliveries of this many sales in their queue.
async fn owing(steps: Value) -> Functions {
    owing_of(steps, 1..=SALES).await
}

async fn owing_of(steps: Value, sales: RangeInclusive<usize>) -> Functions {
    let mut functions = Functions::start();
    functions.rule(&Caller::Admin, json!({"name": "flow", "trigger": "transaction_created", "steps": steps})).await;
    for number in sales {
        functions.ingest(&sale(number)).await;
    }
    while functions.work(Queue::Events).await > 0 {}
    functions
}

/// A login whose token is kept, a status query, a report.
fn login_status_report(receiver: &Receiver) -> Value {
    let url = |path: &str| format!("{}/{path}", receiver.url());
    json!([
        {"name": "login", "when": [{"source": "variable", "key": "token", "operator": "is_empty"}],
         "call": {"method": "POST", "url": url("login")},
         "answer": {"hide": true, "rules": [{"when": [{"operator": "always"}], "then": "delivered",
            "set": {"variables": {"token": {"value": "{body.status}", "secret": true, "keep_seconds": 3_600}}}}]}},
        {"name": "status", "call": {"url": url("status?id={external_id}&t={var.token}")}},
        {"name": "report", "call": {"url": url("report?id={external_id}&s={steps.status.body.status}")}},
    ])
}

async fn bank() -> Receiver {
    let answer = |postback: &Postback| {
        if postback.target.starts_with("/login") { Response::says(200, "t-o-k-e-n") } else { Response::says(200, "approved") }
    };
    Receiver::start(answer).await
}

/// Returns write units, read units and SQS requests of one delivery of these steps, on average, from its message to its end. Functions are
/// warm, and an earlier delivery has logged in.
async fn counted(steps: Value) -> [f64; 3] {
    let mut functions = owing_of(steps, 0..=0).await;
    functions.wait(functions.clock.now() + SignedDuration::from_mins(10)).await;
    for number in 1..=SALES {
        functions.ingest(&sale(number)).await;
    }
    while functions.work(Queue::Events).await > 0 {}
    functions.cloud.reset_counts();
    functions.wait(functions.clock.now() + SignedDuration::from_mins(10)).await;
    assert!(functions.log().await.iter().all(|row| row["state"] == "delivered"));
    let calls = functions.cloud.calls();
    let counts = [calls.write_units() * 2, calls.read_half_units(), (calls.sqs_requests() + calls.poller_requests()) * 2];
    let number = |count: u64| f64::from(u32::try_from(count).expect("not that many"));
    counts.map(|halves| number(halves) / 2.0 / number(SALES as u64))
}

#[tokio::test]
async fn w3_steps_follow_each_other_and_w5_one_login_serves_all() {
    let receiver = bank().await;
    let mut functions = owing(login_status_report(&receiver)).await;
    functions.wait(functions.clock.now() + SignedDuration::from_mins(10)).await;
    let heard = targets(&receiver);
    let count = |beginning: &str| heard.iter().filter(|target| target.starts_with(beginning)).count();
    assert_eq!((count("/login"), count("/status"), count("/report")), (1, SALES, SALES), "{heard:?}");
    assert!(heard.contains(&"/status?id=X-1&t=t-o-k-e-n".to_owned()) && heard.contains(&"/report?id=X-1&s=approved".to_owned()));
    let log = functions.log().await;
    assert_eq!(log.len(), SALES);
    assert!(log.iter().all(|row| row["state"] == "delivered"), "{log:?}");
}

#[tokio::test]
async fn w3_a_further_step_costs_a_claim_and_a_row() {
    let receiver = bank().await;
    let mut all = Vec::new();
    for count in 1..=3 {
        let steps: Vec<Value> = (1..=count)
            .map(|number| json!({"name": format!("s{number}"), "call": {"url": format!("{}/{number}?id={{external_id}}", receiver.url())}}))
            .collect();
        all.push(counted(steps.into()).await);
    }
    all.push(counted(login_status_report(&receiver)).await);
    // The table of flows in docs/cost.md.
    let written = [[2.2, 2.0, 0.2], [7.2, 4.2, 0.2], [10.2, 6.5, 0.2], [7.2, 4.5, 0.2]];
    let close = |counted: f64, written: f64| (counted - written).abs() <= 0.15 * written;
    let is_close = all.iter().flatten().zip(written.iter().flatten()).all(|(counted, written)| close(*counted, *written));
    assert!(is_close, "units of 1, 2, 3 steps, and of the login: {all:?}");
}
