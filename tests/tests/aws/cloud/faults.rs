//! Faults on request: single calls, single entries, the whole process.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry as Entry;
use tracking_tests::{
    cloud::{BUS, Fault, Queue, TABLE},
    crash::Cut,
};

use super::{
    Sky, code,
    table::{item, key, keys, put},
};

impl Sky {
    async fn put_item(&self, sk: &str) -> Result<(), SdkError<aws_sdk_dynamodb::operation::put_item::PutItemError>> {
        self.dynamodb().put_item().table_name(TABLE).set_item(Some(item("p", sk, 1))).send().await.map(|_| ())
    }
}

fn entries(ids: &[&str]) -> Vec<Entry> {
    ids.iter().map(|id| Entry::builder().id(*id).message_body(*id).build().expect("an entry")).collect()
}

#[tokio::test]
async fn a_refused_call_takes_no_effect_and_the_next_one_does() {
    let sky = Sky::new().await;
    sky.cloud.fail_next("DynamoDB.PutItem", Fault::Throttled);
    sky.cloud.fail_next("DynamoDB.PutItem", Fault::InternalError);
    let refused = sky.put_item("s").await.expect_err("it is throttled");
    assert!(refused.into_service_error().is_provisioned_throughput_exceeded_exception());
    let refused = sky.put_item("s").await.expect_err("it fails");
    assert!(refused.into_service_error().is_internal_server_error());
    assert_eq!(sky.cloud.items().len(), 0);
    sky.put_item("s").await.expect("nothing more is ordered");
    let tally = sky.cloud.calls().of("DynamoDB.PutItem");
    assert_eq!((tally.calls, sky.cloud.calls().write_units()), (3, 1));
}

#[tokio::test]
async fn every_service_fails_in_its_own_words() {
    let sky = Sky::new().await;
    for fault in [Fault::Throttled, Fault::InternalError] {
        for action in ["SQS.SendMessageBatch", "EventBridge.PutEvents", "KMS.Decrypt"] {
            sky.cloud.fail_next(action, fault);
        }
        let send =
            sky.sqs().send_message_batch().queue_url(sky.cloud.queue_url(Queue::Events)).set_entries(Some(entries(&["a"])));
        let put = sky.eventbridge().put_events().entries(PutEventsRequestEntry::builder().event_bus_name(BUS).build());
        let decrypt = sky.kms().decrypt().ciphertext_blob(aws_sdk_kms::primitives::Blob::new("x"));
        let codes = [code(send.send().await), code(put.send().await), code(decrypt.send().await)];
        match fault {
            Fault::Throttled => assert_eq!(codes, ["RequestThrottled", "ThrottlingException", "ThrottlingException"]),
            _ => assert_eq!(codes, ["InternalFailure", "InternalException", "KMSInternalException"]),
        }
    }
    assert_eq!((sky.cloud.messages(Queue::Events).len(), sky.cloud.published().len()), (0, 0));
}

#[tokio::test]
async fn a_client_that_tries_again_gets_over_it() {
    let sky = Sky::with(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1))).await;
    for fault in [Fault::Throttled, Fault::InternalError, Fault::ConnectionDropped, Fault::LostAnswer] {
        sky.cloud.reset_counts();
        sky.cloud.fail_next("DynamoDB.PutItem", fault);
        sky.put_item("s").await.expect("the second time it is taken");
        assert_eq!(sky.cloud.calls().of("DynamoDB.PutItem").calls, 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_dropped_connection_leaves_no_effect_and_a_lost_answer_does() {
    let sky = Sky::new().await;
    for (fault, items) in [(Fault::ConnectionDropped, 0), (Fault::LostAnswer, 1)] {
        sky.cloud.fail_next("DynamoDB.PutItem", fault);
        let refused = sky.put_item("s").await.expect_err("nobody answers");
        assert!(matches!(refused, SdkError::DispatchFailure(_)), "{refused:?}");
        assert_eq!(sky.cloud.items().len(), items);
    }
}

#[tokio::test]
async fn entries_left_out_are_reported() {
    let sky = Sky::new().await;
    sky.cloud.fail_entries("DynamoDB.BatchWriteItem", &[1]);
    let write = sky.dynamodb().batch_write_item();
    let output = write
        .request_items(TABLE, ["0", "1", "2"].map(|sk| put(item("p", sk, 1))).to_vec())
        .send()
        .await
        .expect("the call succeeds");
    assert_eq!(output.unprocessed_items().expect("one is left")[TABLE], [put(item("p", "1", 1))]);
    assert_eq!((sky.cloud.items().len(), sky.cloud.calls().write_units()), (2, 2));

    sky.cloud.fail_entries("DynamoDB.BatchGetItem", &[0]);
    let read = sky.dynamodb().batch_get_item().request_items(TABLE, keys(vec![key("p", "0"), key("p", "2")]));
    let output = read.send().await.expect("the call succeeds");
    let left = &output.unprocessed_keys().expect("one is left")[TABLE];
    assert_eq!((left.keys(), left.consistent_read()), ([key("p", "0")].as_slice(), Some(true)));
    assert_eq!(output.responses().expect("one is there")[TABLE], [item("p", "2", 1)]);

    sky.cloud.fail_entries("SQS.SendMessageBatch", &[0, 2]);
    let send = sky.sqs().send_message_batch().queue_url(sky.cloud.queue_url(Queue::Events));
    let output = send.set_entries(Some(entries(&["a", "b", "c"]))).send().await.expect("the call succeeds");
    assert_eq!(
        output.failed().iter().map(|entry| (entry.id(), entry.sender_fault())).collect::<Vec<_>>(),
        [("a", false), ("c", false)]
    );
    assert_eq!(sky.cloud.messages(Queue::Events), ["b"]);

    sky.cloud.fail_entries("EventBridge.PutEvents", &[0]);
    let event =
        |n| PutEventsRequestEntry::builder().event_bus_name(BUS).source("s").detail_type("t").detail(format!("{{\"n\":{n}}}"));
    let output = sky
        .eventbridge()
        .put_events()
        .entries(event(1).build())
        .entries(event(2).build())
        .send()
        .await
        .expect("the call succeeds");
    assert_eq!((output.failed_entry_count(), output.entries()[0].error_code()), (1, Some("InternalFailure")));
    assert_eq!(sky.cloud.published()[0].detail, serde_json::json!({"n": 2}));
}

#[tokio::test]
async fn a_batch_may_be_left_out_whole() {
    let sky = Sky::new().await;
    sky.cloud.fail_entries("DynamoDB.BatchWriteItem", &[0]);
    let write = sky.dynamodb().batch_write_item().request_items(TABLE, vec![put(item("p", "0", 1))]);
    let output = write.send().await.expect("the call succeeds");
    assert_eq!(output.unprocessed_items().expect("one is left")[TABLE].len(), 1);
    sky.cloud.fail_entries("DynamoDB.BatchGetItem", &[0]);
    let read = sky.dynamodb().batch_get_item().request_items(TABLE, keys(vec![key("p", "0")]));
    let output = read.send().await.expect("the call succeeds");
    assert_eq!(output.unprocessed_keys().expect("one is left")[TABLE].keys().len(), 1);
    assert_eq!(sky.cloud.items().len(), 0);
}

#[tokio::test]
async fn a_killed_process_hears_and_does_nothing_more() {
    for (cut, items) in [(Cut::Before, 1), (Cut::After, 2)] {
        let sky = Sky::new().await;
        sky.cloud.cut_at(2, cut);
        sky.put_item("1").await.expect("it lives");
        assert!(!sky.cloud.is_cut());
        tokio::select! {
            answer = sky.put_item("2") => panic!("it was answered: {answer:?}"),
            () = sky.cloud.cut_happened() => {}
        }
        assert!(sky.cloud.is_cut());
        assert_eq!(sky.cloud.items().len(), items);
        // Its further calls have no effect.
        let answer = tokio::time::timeout(Duration::from_millis(200), sky.put_item("3")).await;
        assert!(answer.is_err(), "{answer:?}");
        assert_eq!((sky.cloud.items().len(), sky.cloud.calls().of("DynamoDB.PutItem").calls), (items, 2));
        sky.cloud.revive();
        sky.put_item("4").await.expect("another process lives");
        assert_eq!(sky.cloud.items().len(), items + 1);
    }
}

#[tokio::test]
async fn calls_of_all_services_are_counted_for_the_cut() {
    let sky = Sky::new().await;
    sky.cloud.cut_at(2, Cut::After);
    sky.put_item("1").await.expect("it lives");
    let send = sky.sqs().send_message_batch().queue_url(sky.cloud.queue_url(Queue::Events)).set_entries(Some(entries(&["a"])));
    tokio::select! {
        answer = send.send() => panic!("it was answered: {answer:?}"),
        () = sky.cloud.cut_happened() => {}
    }
    assert_eq!(sky.cloud.messages(Queue::Events), ["a"]);
    assert_eq!(sky.cloud.calls().total(), 2);
}

#[tokio::test]
async fn latency_is_waited_for_by_each_call_on_its_own() {
    let sky = Sky::new().await;
    let latency = Duration::from_millis(300);
    sky.cloud.latency(latency);
    let begun = tokio::time::Instant::now();
    let (first, second) = tokio::join!(sky.put_item("1"), sky.put_item("2"));
    first.expect("written");
    second.expect("written");
    assert!(begun.elapsed() >= latency);
}
