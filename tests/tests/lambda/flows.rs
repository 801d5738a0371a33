//! Flows on AWS: a step after another by way of the queues, tokens kept for all environments, and what a step costs.

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json, json::Value};
use tracking_tests::{
    cloud::Queue,
    functions::Functions,
    receiver::{Answer, Postback, Receiver, targets},
};

use crate::support::sale;

const SALES: usize = 10;

/// Functions with a rule of these steps, and the deliveries of so many sales in their queue.
async fn owing(steps: Value) -> Functions {
    let mut functions = Functions::start();
    functions.rule(&Caller::Admin, json!({"name": "flow", "trigger": "transaction_created", "steps": steps})).await;
    for number in 1..=SALES {
        functions.ingest(&sale(number)).await;
    }
    while functions.work(Queue::Events).await > 0 {}
    functions
}

#[tokio::test]
async fn w3_steps_follow_each_other_and_w5_one_login_serves_all() {
    let receiver = Receiver::start(|postback: &Postback| {
        if postback.target.starts_with("/login") { Answer::says(200, "t-o-k-e-n") } else { Answer::says(200, "approved") }
    })
    .await;
    let url = |path: &str| format!("{}/{path}", receiver.url());
    let steps = json!([
        {"name": "login", "when": [{"source": "variable", "key": "token", "operator": "is_empty"}],
         "call": {"method": "POST", "url": url("login")},
         "answer": {"hide": true, "rules": [{"when": [{"operator": "always"}], "then": "delivered",
            "set": {"variables": {"token": {"value": "{body.status}", "secret": true, "keep_seconds": 3_600}}}}]}},
        {"name": "status", "call": {"url": url("status?id={external_id}&t={var.token}")}},
        {"name": "report", "call": {"url": url("report?id={external_id}&s={steps.status.body.status}")}},
    ]);
    let mut functions = owing(steps).await;
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
    let receiver = Receiver::start(|_| Answer::says(200, "approved")).await;
    let url = |path: &str| format!("{}/{path}", receiver.url());
    let mut writes = Vec::new();
    for count in 1..=3 {
        let steps: Vec<Value> = (1..=count)
            .map(|number| json!({"name": format!("s{number}"), "call": {"url": url(&format!("{number}?id={{external_id}}"))}}))
            .collect();
        let mut functions = owing(steps.into()).await;
        functions.cloud.reset_counts();
        functions.wait(functions.clock.now() + SignedDuration::from_mins(10)).await;
        writes.push(f64::from(u32::try_from(functions.cloud.calls().write_units()).unwrap()) / 10.0);
        assert!(functions.log().await.iter().all(|row| row["state"] == "delivered" && row["attempts"] == json!(count)));
    }
    // docs/cost.md says so.
    let close = |(counted, written): (&f64, &f64)| (counted - written).abs() <= 0.15 * written;
    assert!(writes.iter().zip(&[2.2, 7.2, 10.2]).all(close), "write units of 1, 2, 3 steps: {writes:?}");
}
