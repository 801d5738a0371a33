//! Receivers that are down, on AWS: environments note it together, deliveries wait, and a sweep of the matcher probes.

use std::sync::{
    Arc,
    atomic::{AtomicU16, Ordering},
};

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json};
use tracking_tests::{
    functions::Functions,
    receiver::{Receiver, Response},
};

use crate::lambda::support::{rule, sale};

fn count_published(functions: &Functions, kind: &str) -> usize {
    functions.cloud.published().into_iter().filter(|event| event.detail_type == kind).count()
}

#[tokio::test]
async fn b6_an_outage_that_environments_share_is_reported_once_and_everything_is_delivered() {
    let status = Arc::new(AtomicU16::new(503));
    let answers = Arc::clone(&status);
    let receiver = Receiver::start(move |_| Response::says(answers.load(Ordering::Relaxed), "approved")).await;
    let mut functions = Functions::start();
    let always = json!({"rules": [{"when": [{"source": "http_code", "operator": "equals", "value": "503"}], "then": "retry"}]});
    functions.rule(&Caller::Admin, rule(receiver.url(), json!({"answer": always}))).await;
    for number in 1..=60 {
        functions.ingest(&sale(number)).await;
    }
    let minutes = SignedDuration::from_mins;
    for _ in 0..12 {
        functions.pass(minutes(10), minutes(1)).await;
        functions.restart();
    }
    let failed = receiver.heard().len();
    // An error status is an answer: the receiver counts as down only after two minutes of them.
    assert!(failed < 200, "{failed}");
    assert_eq!(count_published(&functions, "Receiver Down"), 1);
    assert_eq!(count_published(&functions, "Tracking API Failing"), 1, "after an hour without a success");
    status.store(200, Ordering::Relaxed);
    functions.pass(minutes(180), minutes(1)).await;
    let log = functions.log().await;
    assert_eq!(log.len(), 60);
    assert!(log.iter().all(|row| row["state"] == "delivered"), "{log:#?}");
    assert_eq!((count_published(&functions, "Receiver Down"), count_published(&functions, "Receiver Up")), (1, 1));
    assert_eq!(receiver.heard().len() - failed, 60, "once each");
}
