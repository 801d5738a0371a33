//! Records of a batch: each is independent of the others.

use std::time::Duration;

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json, json::Value};
use tracking_engine::backend::{Backend as _, Effects, Item, Key};
use tracking_tests::{
    cloud::{Fault, Queue, Record, failures},
    functions::{BATCH, Functions},
    receiver::{Receiver, Response},
};

use crate::lambda::support::{approving, owing, rule, sale};

fn queues_but(functions: &Functions, but: Queue) -> Vec<(Queue, Vec<String>)> {
    let others = Queue::ALL.into_iter().filter(|queue| *queue != but).map(|queue| (queue, functions.cloud.messages(queue)));
    others.filter(|(_, messages)| !messages.is_empty()).collect()
}

#[tokio::test]
async fn poison_goes_to_the_dead_letters_at_once_and_harms_none() {
    let receiver = approving().await;
    let mut functions = owing(&receiver, 9, json!({})).await;
    functions.cloud.put(Queue::Delivery, "no message of ours");
    assert_eq!(functions.work(Queue::Delivery).await, BATCH);
    assert_eq!(functions.cloud.messages(Queue::DeliveryDead), ["no message of ours"]);
    let reasons = functions.cloud.reasons(Queue::DeliveryDead);
    assert!(reasons[0].as_ref().is_some_and(|reason| reason.starts_with("unreadable")), "{reasons:?}");
    assert_eq!(queues_but(&functions, Queue::DeliveryDead), []);
    let items = functions.cloud.items();
    assert!(!items.iter().any(|item| item.to_string().contains("no message of ours")), "and nowhere else");
    assert_eq!(receiver.heard().len(), 9);
}

#[tokio::test]
async fn a_bad_event_among_ten_goes_to_the_dead_letters_and_harms_none() {
    let receiver = approving().await;
    let mut functions = Functions::start();
    functions.rule(&Caller::Admin, rule(receiver.url(), json!({}))).await;
    for number in 1..=9 {
        functions.ingest(&sale(number)).await;
    }
    functions.cloud.put(Queue::Events, r#"{"detail-type": "Conversion Changed"}"#);
    assert_eq!(functions.work(Queue::Events).await, BATCH);
    assert_eq!(functions.cloud.messages(Queue::EventsDead).len(), 1);
    functions.work_all().await;
    assert_eq!(receiver.heard().len(), 9);
}

#[tokio::test]
async fn a_bad_event_on_the_bus_goes_to_the_rejected_with_every_fault() {
    let mut functions = Functions::start();
    let mut bad = sale(1);
    bad["detail"]["conversion"]["version"] = "two".into();
    bad["detail"]["transactions"][0]["result"] = "maybe".into();
    functions.ingest(&bad).await;
    let rejected: Vec<Value> =
        functions.cloud.messages(Queue::Rejected).iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(rejected.len(), 1);
    let pointers: Vec<_> =
        rejected[0]["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/detail/conversion/version", "/detail/transactions/0/result"]);
    let event: Value = serde_json::from_str(rejected[0]["event"].as_str().unwrap()).unwrap();
    assert_eq!(event, bad, "it is there as it came");
    assert_eq!(queues_but(&functions, Queue::Rejected), []);
}

#[tokio::test]
async fn a_record_without_a_body_stays_and_harms_none() {
    let receiver = approving().await;
    let mut functions = owing(&receiver, 2, json!({})).await;
    let mut records = functions.cloud.take(Queue::Delivery, BATCH, functions.clock.now());
    records[0].queue = Queue::Rejected;
    let answer = functions.invoke(Queue::Delivery, &records).await.unwrap();
    assert_eq!(failures(&answer), [records[0].message_id.clone()], "a record of a queue that is not ours is not acknowledged");
    assert_eq!(receiver.heard().len(), 1);
}

#[tokio::test]
async fn what_aws_does_not_take_comes_again_and_no_attempt_is_charged() {
    let receiver = approving().await;
    // The client's own tries: three for the one read, three for each of the three claims.
    for (action, times) in [("DynamoDB.BatchGetItem", 3), ("DynamoDB.PutItem", 9)] {
        let before = receiver.heard().len();
        let mut functions = owing(&receiver, 3, json!({})).await;
        for _ in 0..times {
            functions.cloud.fail_next(action, Fault::InternalError);
        }
        functions.work(Queue::Delivery).await;
        assert_eq!(receiver.heard().len(), before, "{action}");
        functions.wait(functions.clock.now() + SignedDuration::from_mins(20)).await;
        assert_eq!(receiver.heard().len() - before, 3, "{action}");
        for row in functions.log().await {
            assert_eq!((&row["state"], &row["attempts"]), (&"delivered".into(), &1.into()), "{action}");
        }
    }
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_known_again() {
    let receiver = approving().await;
    let mut functions = owing(&receiver, 3, json!({})).await;
    functions.cloud.fail_next("DynamoDB.PutItem", Fault::LostAnswer);
    functions.work(Queue::Delivery).await;
    assert_eq!(receiver.heard().len(), 3, "the client's own repetition met its own claim");
    assert!(functions.log().await.iter().all(|row| row["attempts"] == 1 && row["state"] == "delivered"));
}

#[tokio::test]
async fn what_was_taken_in_part_only_is_repeated() {
    let receiver = approving().await;
    let mut functions = Functions::start();
    functions.rule(&Caller::Admin, rule(receiver.url(), json!({}))).await;
    for number in 1..=10 {
        functions.ingest(&sale(number)).await;
    }
    functions.cloud.fail_entries("SQS.SendMessageBatch", &[0, 4]);
    functions.work(Queue::Events).await;
    assert_eq!(functions.cloud.depth(Queue::Delivery).visible, 8);
    assert_eq!(functions.cloud.depth(Queue::Events).in_flight, 2, "two events are received again later");
    functions.cloud.fail_entries("DynamoDB.BatchGetItem", &[0]);
    functions.cloud.fail_entries("DynamoDB.BatchWriteItem", &[1, 2]);
    functions.work(Queue::Delivery).await;
    functions.wait(functions.clock.now() + SignedDuration::from_mins(20)).await;
    assert_eq!(receiver.heard().len(), 10);
    assert_eq!(functions.log().await.len(), 10);
}

#[tokio::test]
async fn nothing_is_begun_that_the_deadline_would_cut_off() {
    let receiver = approving().await;
    let functions = owing(&receiver, 2, json!({})).await;
    let records = functions.cloud.take(Queue::Delivery, BATCH, functions.clock.now());
    let stack = functions.stack();
    let event = serde_json::from_value(tracking_tests::cloud::sqs_event(&records)).unwrap();
    // The rule's request may take 40 s, and concluding 5 s more.
    let deadline = functions.clock.now() + SignedDuration::from_secs(46);
    let response = stack.deliver(event, &stack.sender().unwrap(), deadline).await;
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(receiver.heard(), []);
    assert_eq!(
        functions.cloud.depth(Queue::Retry).visible,
        2,
        "they go to the retry queue at once, where receives are not counted against them"
    );
    assert_eq!(functions.log().await, [] as [Value; 0], "and no attempt is charged");
}

/// Nine fast receivers and one that hangs: the nine are sent at once, and never again, also if the function is killed meanwhile.
#[tokio::test]
async fn one_that_hangs_holds_up_none_and_a_kill_sends_none_again() {
    let receiver = Receiver::start(|postback| {
        let hangs = postback.target.contains("trx_00000005");
        Response { after: if hangs { Duration::from_secs(40) } else { Duration::ZERO }, ..Response::says(200, "approved") }
    })
    .await;
    let mut functions = owing(&receiver, 10, json!({})).await;
    let records = functions.cloud.take(Queue::Delivery, BATCH, functions.clock.now());
    let delivered = async {
        loop {
            let writes =
                functions.cloud.items().iter().filter(|item| item["sk"]["S"].as_str().unwrap().starts_with("D#")).count();
            if writes == 9 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let stack = functions.stack();
    let (sender, deadline) = (stack.sender().unwrap(), functions.clock.now() + SignedDuration::from_secs(150));
    let event = serde_json::from_value(tracking_tests::cloud::sqs_event(&records)).unwrap();
    tokio::select! {
        _ = stack.deliver(event, &sender, deadline) => panic!("one of them hangs"),
        // The kill comes once the nine are recorded.
        () = delivered => {}
    }
    functions.restart();
    assert_eq!(receiver.heard().len(), 10);
    functions.wait(functions.clock.now() + SignedDuration::from_mins(16)).await;
    let heard = receiver.heard();
    let of_the_one = heard.iter().filter(|postback| postback.target.contains("trx_00000005")).count();
    assert_eq!((heard.len() - of_the_one, of_the_one), (9, 2), "only the one that was cut off was sent again");
}

/// Makes two deliveries that wait for their second attempts. Returns their messages; the first was received very often.
async fn worn() -> (Receiver, Functions, Vec<Record>) {
    let receiver = Receiver::start(|_| Response::says(200, "pending")).await;
    let polls = json!({"retry": {"backoff": "fixed", "delay_seconds": 60, "max_retries": 9}});
    let mut functions = owing(&receiver, 2, polls).await;
    functions.work(Queue::Delivery).await;
    functions.clock.pass(SignedDuration::from_mins(2));
    let mut records = functions.cloud.take(Queue::Retry, BATCH, functions.clock.now());
    assert_eq!(records.len(), 2);
    records[0].receives = 50;
    (receiver, functions, records)
}

/// A queue dead-letters a message after a hundred receives, and most receives of a waiting message are waits.
#[tokio::test]
async fn what_was_received_very_often_is_sent_again_to_wait() {
    let (receiver, mut functions, records) = worn().await;
    let answer = functions.invoke(Queue::Retry, &records).await.unwrap();
    assert_eq!(failures(&answer), [records[1].message_id.clone()], "the other one waits by its visibility");
    functions.cloud.ack(&records, &failures(&answer));
    let depth = functions.cloud.depth(Queue::Retry);
    assert_eq!((depth.in_flight, depth.delayed), (1, 1));
    assert_eq!(receiver.heard().len(), 4);
    functions.wait(functions.clock.now() + SignedDuration::from_mins(3)).await;
    assert!(receiver.heard().len() >= 8, "both go on: {:?}", receiver.heard());
}

/// A message that was received very often and can't be worked is deferred as a new message, and not dead-lettered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_received_very_often_is_sent_again_where_it_fails() {
    let (receiver, mut functions, records) = worn().await;
    functions.cloud.fail_all("DynamoDB.BatchGetItem", Some(Fault::Throttled));
    let answer = functions.invoke(Queue::Retry, &records).await.unwrap();
    functions.cloud.fail_all("DynamoDB.BatchGetItem", None);
    assert_eq!(failures(&answer), [records[1].message_id.clone()]);
    functions.cloud.ack(&records, &failures(&answer));
    let depth = functions.cloud.depth(Queue::Retry);
    assert_eq!((depth.in_flight, depth.delayed), (1, 1));
    functions.wait(functions.clock.now() + SignedDuration::from_mins(3)).await;
    assert!(receiver.heard().len() >= 6, "both go on: {:?}", receiver.heard());
}

/// An item that the table refuses affects no other delivery.
#[tokio::test]
async fn a_row_that_is_too_large_harms_none_of_the_others() {
    let receiver = approving().await;
    let functions = owing(&receiver, 0, json!({})).await;
    let stack = functions.stack();
    let key = |name: &str| Key::new("test", name);
    // A body that can't be compressed to the size of an item.
    let noise: String = (0..30_000).map(|n: u32| tracking_core::hash::text(&[&n.to_string()], 25)).collect();
    let item = |name: &str, body: &str| Item { key: key(name), rev: 0, body: body.to_owned(), expires: None, attention: None };
    let put = |name: &str, body: &str| Effects { put: vec![item(name, body)], ..Effects::default() };
    let outcomes = stack.engine.backend().commit(vec![put("a", "1"), put("b", &noise), put("c", "3")]).await;
    assert!(outcomes[0].is_ok() && outcomes[1].is_err() && outcomes[2].is_ok(), "{outcomes:?}");
}

#[tokio::test]
async fn a_step_that_fails_takes_nobody_out_of_the_log() {
    // The failing one is concluded first, so that it is the first of its flush.
    let receiver = Receiver::start(|asked| {
        let fails = asked.target.contains("trx_00000001");
        if fails {
            Response::says(400, "no")
        } else {
            Response { after: Duration::from_millis(10), ..Response::says(200, "approved") }
        }
    })
    .await;
    let mut functions = owing(&receiver, 5, json!({})).await;
    // Neither the bus nor the queue accepts the events of the failing one.
    let refusing = ["EventBridge.PutEvents", "SQS.SendMessageBatch"];
    for action in refusing {
        functions.cloud.fail_all(action, Some(Fault::InternalError));
    }
    functions.work(Queue::Delivery).await;
    assert_eq!(functions.cloud.published(), [], "nothing is published yet");
    let log = functions.log().await;
    assert_eq!(log.len(), 5, "the log has all of them: {log:#?}");
    for action in refusing {
        functions.cloud.fail_all(action, None);
    }
    functions.wait(functions.clock.now() + SignedDuration::from_hours(8)).await;
    let kinds: Vec<String> = functions.cloud.published().into_iter().map(|event| event.detail_type).collect();
    assert_eq!(kinds, ["Delivery Ended"]);
    let ended: Vec<Value> = functions.log().await.into_iter().map(|row| row["state"].clone()).collect();
    assert_eq!(ended.iter().filter(|state| *state == "delivered").count(), 4, "{ended:?}");
    assert_eq!(ended.len(), 5);
}

#[tokio::test]
async fn case_c2_a_change_id_that_was_used_for_another_change_goes_to_the_rejected() {
    let receiver = approving().await;
    let mut functions = Functions::start_with(&[("TRACKING_KEEP_EVENTS", "true")]);
    functions.rule(&Caller::Admin, rule(receiver.url(), json!({}))).await;
    functions.ingest(&sale(1)).await;
    functions.work_all().await;
    let mut again = sale(1);
    again["id"] = "another-envelope".into();
    again["time"] = "2026-11-22T10:00:00Z".into();
    functions.ingest(&again).await;
    functions.work_all().await;
    assert_eq!((receiver.heard().len(), functions.cloud.messages(Queue::Rejected).len()), (1, 0), "the same change");
    for (version, payout) in [(1, "6.00"), (2, "5.00")] {
        let mut other = sale(1);
        other["detail"]["conversion"]["version"] = version.into();
        other["detail"]["transactions"][0]["payout"] = payout.into();
        functions.ingest(&other).await;
        functions.work_all().await;
    }
    let rejected: Vec<Value> =
        functions.cloud.messages(Queue::Rejected).iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    let change_id = sale(1)["detail"]["change_id"].as_str().unwrap().to_owned();
    let errors =
        json!([{"pointer": "/detail/change_id", "detail": format!("change_id \"{change_id}\" was used for another change")}]);
    assert_eq!(rejected.iter().map(|rejected| &rejected["errors"]).collect::<Vec<_>>(), [&errors, &errors]);
    let kept: Value = serde_json::from_str(rejected[0]["event"].as_str().unwrap()).unwrap();
    assert_eq!(kept["detail"]["transactions"][0]["payout"], Value::from("6.00"));
    assert_eq!(queues_but(&functions, Queue::Rejected), []);
    assert_eq!(receiver.heard().len(), 1);
}

#[tokio::test]
async fn case_c2_where_no_events_are_kept_the_delivery_proves_the_change() {
    let receiver = approving().await;
    let mut functions = Functions::start();
    functions.rule(&Caller::Admin, rule(receiver.url(), json!({}))).await;
    for payout in ["5.00", "5.00", "6.00"] {
        let mut event = sale(1);
        event["detail"]["transactions"][0]["payout"] = payout.into();
        functions.ingest(&event).await;
        functions.work_all().await;
    }
    assert_eq!(receiver.heard().len(), 1);
    let (listed, _) = functions.stack().engine.matcher().rejected(10, None).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    let error = listed[0]["errors"][0]["detail"].as_str().unwrap();
    assert!(error.ends_with("was used for another change"), "{error}");
    assert!(listed[0]["event"].as_str().unwrap().contains("6.00"), "{listed:?}");
}

#[tokio::test]
async fn case_c2_the_same_change_id_on_two_conversions_is_two_changes() {
    let receiver = approving().await;
    for kept in ["true", "false"] {
        let mut functions = Functions::start_with(&[("TRACKING_KEEP_EVENTS", kept)]);
        functions.rule(&Caller::Admin, rule(receiver.url(), json!({}))).await;
        let before = receiver.heard().len();
        let mut other = sale(2);
        other["detail"]["change_id"] = sale(1)["detail"]["change_id"].clone();
        for event in [sale(1), other] {
            functions.ingest(&event).await;
            functions.work_all().await;
        }
        assert_eq!(receiver.heard().len() - before, 2, "events are kept: {kept}");
        assert_eq!(functions.cloud.messages(Queue::Rejected).len(), 0);
    }
}

#[tokio::test]
async fn case_c2_a_reused_id_is_looked_for_among_a_hundred_kept_events() {
    let mut functions = Functions::start_with(&[("TRACKING_KEEP_EVENTS", "true")]);
    let mut units = Vec::new();
    for version in 1..=120_u64 {
        let mut event = sale(1);
        event["detail"]["change_id"] = format!("chg_{version}").into();
        event["detail"]["conversion"]["version"] = version.into();
        functions.ingest(&event).await;
        functions.cloud.reset_counts();
        functions.work_all().await;
        units.push(functions.cloud.calls().read_half_units());
    }
    // docs/cost.md: about 18 read units for a hundred, and no more for the twenty that came before them.
    assert!(units[110] <= 40 && units[119] <= units[110] + 2, "{units:?}");
}
