//! `rate_per_second`: one rate for all environments together, and no slot is lost on the way.

use futures_util::future::join_all;
use jiff::SignedDuration;
use tracking_core::{caller::Caller, json};
use tracking_engine::backend::{Backend as _, Effects, Item, Key};
use tracking_tests::{
    cloud::{Queue, failures},
    functions::{BATCH, Functions},
    receiver::Receiver,
};

use crate::lambda::support::{approving, down_at_first, owing, rule, sale};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Works all visible messages, each batch in an environment of its own.
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

/// Starts functions with a rule of this rate, and the deliveries of this many sales in their queue.
async fn rated(receiver: &Receiver, rate: u32, sales: usize) -> Functions {
    owing(receiver, sales, json!({"rate_per_second": rate})).await
}

#[tokio::test]
async fn environments_keep_one_rate_together_and_use_it_up() {
    let receiver = approving().await;
    let mut functions = rated(&receiver, 2, 20).await;
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
async fn a_first_try_that_waits_for_its_slot_is_listed() {
    let receiver = approving().await;
    let mut functions = rated(&receiver, 1, 40).await;
    functions.work_all().await;
    let (waiting, sent): (Vec<_>, Vec<_>) = functions.log().await.into_iter().partition(|row| row["state"] == "waiting");
    assert_eq!(sent.len(), 1, "{sent:?}");
    // A running attempt is shown only after a while, and so is a wait: shorter waits are not listed.
    assert!((20..39).contains(&waiting.len()), "{}", waiting.len());
    for row in &waiting {
        assert_eq!((&row["attempts"], &row["reason"]), (&0.into(), &"it waits for a slot of its rule's rate".into()), "{row}");
    }
    functions.wait(functions.clock.now() + SECOND * 60).await;
    let ended = functions.log().await;
    assert_eq!(ended.len(), 40, "each is listed once");
    assert!(ended.iter().all(|row| row["state"] == "delivered" && row["attempts"] == 1), "{ended:?}");
    assert_eq!(receiver.heard().len(), 40);
}

#[tokio::test]
async fn environments_that_work_at_the_same_time_keep_one_rate() {
    let receiver = approving().await;
    let mut functions = rated(&receiver, 3, 60).await;
    for second in 0..=20 {
        let before = receiver.heard().len();
        loop {
            let now = functions.clock.now();
            let take = |queue: Queue| functions.cloud.take(queue, BATCH, now);
            let batches: Vec<_> = (0..3).flat_map(|_| [take(Queue::Delivery), take(Queue::Retry)]).collect();
            let batches: Vec<_> = batches.into_iter().filter(|records| !records.is_empty()).collect();
            if batches.is_empty() {
                break;
            }
            let answers = join_all(batches.iter().map(|records| functions.deliver_elsewhere(records))).await;
            for (records, answer) in batches.iter().zip(answers) {
                functions.cloud.ack(records, &failures(&answer));
            }
        }
        let sent = receiver.heard().len() - before;
        assert!(sent <= 3, "{sent} in second {second}");
        functions.clock.pass(SECOND);
    }
    // Deliveries that got no slot asked again a little later.
    functions.wait(functions.clock.now() + SignedDuration::from_mins(5)).await;
    assert_eq!(receiver.heard().len(), 60);
    assert!(functions.log().await.iter().all(|row| row["state"] == "delivered" && row["attempts"] == 1));
}

#[tokio::test]
async fn who_comes_late_has_lost_its_slot_and_not_its_turn() {
    let receiver = approving().await;
    let mut functions = rated(&receiver, 1, 10).await;
    work_in_new_environments(&mut functions).await;
    assert_eq!(receiver.heard().len(), 1);
    // Nothing is worked for five minutes; all slots are over.
    functions.clock.pass(SignedDuration::from_mins(5));
    for _ in 0..120 {
        let before = receiver.heard().len();
        work_in_new_environments(&mut functions).await;
        assert!(receiver.heard().len() - before <= 1, "not all at once");
        functions.clock.pass(SECOND);
    }
    assert_eq!(receiver.heard().len(), 10);
}

#[tokio::test]
async fn p3_a_newer_change_waits_behind_one_that_waits_for_its_slot() {
    let receiver = approving().await;
    let mut functions = owing(&receiver, 5, json!({"rate_per_second": 1, "trigger": "transaction_all"})).await;
    functions.work_all().await;
    // The fifth waits for some seconds, and is changed meanwhile.
    let mut change = sale(5);
    change["detail"]["change_id"] = "chg_later".into();
    change["detail"]["conversion"]["version"] = 2.into();
    change["detail"]["conversion"]["change"] = "updated".into();
    change["detail"]["transactions"][0]["change"] = "updated".into();
    change["detail"]["transactions"][0]["result"] = "rejected".into();
    functions.ingest(&change).await;
    functions.wait(functions.clock.now() + SignedDuration::from_mins(2)).await;
    let of_the_fifth = "click-9f8e7d6c5b000005";
    let heard: Vec<String> = receiver.heard().into_iter().map(|asked| asked.target).collect();
    let requests: Vec<&String> = heard.iter().filter(|target| target.contains(of_the_fifth)).collect();
    assert_eq!(requests.len(), 2, "{heard:#?}");
    assert!(requests[0].contains("status=approved") && requests[1].contains("status=rejected"), "{requests:#?}");
}

#[tokio::test]
async fn a_repeated_event_takes_no_slot() {
    let receiver = approving().await;
    let mut functions = rated(&receiver, 1, 1).await;
    functions.work_all().await;
    for _ in 0..5 {
        functions.ingest(&sale(1)).await;
    }
    functions.ingest(&sale(2)).await;
    functions.clock.pass(SECOND);
    functions.work_all().await;
    assert_eq!(receiver.heard().len(), 2, "the second goes at once");
}

#[tokio::test]
async fn a_retry_takes_a_slot_of_its_own() {
    let receiver = Receiver::start(down_at_first).await;
    let mut functions = rated(&receiver, 1, 3).await;
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
    let receiver = approving().await;
    let mut functions = Functions::start();
    let id = functions.rule(&Caller::Admin, rule(receiver.url(), json!({"rate_per_second": 1}))).await;
    functions.ingest(&sale(1)).await;
    let now = functions.clock.now();
    let far = json!({"v": 1, "d": {"from": now + SignedDuration::from_mins(11), "late": now}}).to_string();
    let taken = Item { key: Key::new(format!("R#{id}"), "PACE"), rev: 0, body: far, expires: None, attention: None };
    let effects = Effects { put: vec![taken], ..Effects::default() };
    functions.stack().engine.backend().commit(vec![effects]).await.pop().unwrap().unwrap();
    functions.wait(now + SignedDuration::from_secs(659)).await;
    assert_eq!(receiver.heard().len(), 0);
    functions.wait(now + SignedDuration::from_secs(661)).await;
    assert_eq!(receiver.heard().len(), 1);
}
