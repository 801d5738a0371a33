//! `rate_per_second`: one rate for all environments together, and no slot is lost on the way.

use jiff::SignedDuration;
use serde_json::{Value, json};
use tracking_core::caller::Caller;
use tracking_engine::backend::{Backend as _, Effects, Item, Key};
use tracking_tests::{
    cloud::Queue,
    functions::Functions,
    receiver::{Answer, Receiver},
};

use crate::support::{rule, sale};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Works all that can be worked now, each batch in an environment of its own.
async fn work_in_new_environments(functions: &mut Functions) {
    loop {
        let mut worked = 0;
        for queue in [Queue::Delivery, Queue::Retry] {
            functions.restart();
            worked += functions.work(queue).await;
        }
        if worked == 0 {
            return;
        }
    }
}

/// Functions with a rule of this rate, and so many sales that are matched.
async fn owing(receiver: &Receiver, rate: Value, sales: usize) -> (Functions, String) {
    let mut functions = Functions::start();
    let id = functions.rule(&Caller::Admin, rule(receiver.url(), json!({"rate_per_second": rate}))).await;
    for number in 1..=sales {
        functions.ingest(&sale(number)).await;
    }
    while functions.work(Queue::Events).await > 0 {}
    (functions, id.to_string())
}

#[tokio::test]
async fn environments_keep_one_rate_together_and_use_it_up() {
    let receiver = Receiver::start(|_| Answer::says(200, "approved")).await;
    let (mut functions, _) = owing(&receiver, json!(2), 20).await;
    let mut sent = Vec::new();
    for _ in 0..=10 {
        let before = receiver.heard().len();
        work_in_new_environments(&mut functions).await;
        sent.push(receiver.heard().len() - before);
        functions.clock.pass(SECOND);
    }
    // Waits are whole seconds on SQS: the first slot is now, then two of each second have come.
    assert_eq!(sent, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
    for row in functions.log().await {
        assert_eq!((&row["state"], &row["attempts"]), (&"delivered".into(), &1.into()), "{row}");
    }
}

#[tokio::test]
async fn a_retry_takes_a_slot_of_its_own() {
    let receiver = Receiver::start(|asked| {
        let first = asked.target.ends_with("n=1");
        if first { Answer::says(500, "busy") } else { Answer::says(200, "approved") }
    })
    .await;
    let (mut functions, _) = owing(&receiver, json!(1), 3).await;
    for _ in 0..120 {
        let before = receiver.heard().len();
        work_in_new_environments(&mut functions).await;
        assert!(receiver.heard().len() - before <= 1, "one a second");
        functions.clock.pass(SECOND);
    }
    let rows = functions.log().await;
    assert!(rows.iter().all(|row| row["state"] == "delivered"), "{rows:?}");
}

#[tokio::test]
async fn what_would_wait_for_very_long_asks_again_later() {
    let receiver = Receiver::start(|_| Answer::says(200, "approved")).await;
    let (mut functions, id) = owing(&receiver, json!(1), 1).await;
    let now = functions.clock.now();
    let far = json!({"v": 1, "d": {"from": now + SignedDuration::from_mins(11)}}).to_string();
    let taken = Item { key: Key::new(format!("R#{id}"), "PACE"), rev: 0, body: far, expires: None, trouble: None };
    let effects = Effects { put: vec![taken], ..Effects::default() };
    functions.stack().engine.backend().commit(vec![effects]).await.pop().unwrap().unwrap();
    work_in_new_environments(&mut functions).await;
    functions.wait(now + SignedDuration::from_secs(659)).await;
    assert_eq!(receiver.heard().len(), 0);
    functions.wait(now + SignedDuration::from_secs(661)).await;
    assert_eq!(receiver.heard().len(), 1);
}
