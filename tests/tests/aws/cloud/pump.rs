//! The work of Lambda's mapping, done by the test.

use jiff::SignedDuration;
use serde_json::json;
use tracking_tests::cloud::{Queue, failures, sqs_event};

use super::Sky;

#[tokio::test]
async fn a_record_has_the_form_that_lambda_writes() {
    let sky = Sky::new().await;
    let batch = sky.sqs().send_message_batch().queue_url(sky.cloud.queue_url(Queue::Delivery));
    let entry = aws_sdk_sqs::types::SendMessageBatchRequestEntry::builder().id("a").message_body("{}").message_group_id("g-1");
    batch.entries(entry.build().expect("an entry")).send().await.expect("sent");
    sky.cloud.take(Queue::Delivery, 1, sky.clock.now());
    sky.clock.pass(SignedDuration::from_secs(900));
    let records = sky.cloud.take(Queue::Delivery, 1, sky.clock.now());
    let expected = json!({"Records": [{
        "messageId": "00000000-0000-4000-8000-000000000001",
        "receiptHandle": "AQEB-1-2",
        "body": "{}",
        "attributes": {
            "ApproximateReceiveCount": "2",
            "SentTimestamp": "1795338000000",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1795338000000",
            "MessageGroupId": "g-1",
        },
        "messageAttributes": {},
        "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:tracking-delivery",
        "awsRegion": "eu-central-1",
    }]});
    assert_eq!(sqs_event(&records), expected);
}

#[tokio::test]
async fn what_failed_comes_again_and_the_rest_is_gone() {
    let sky = Sky::new().await;
    for body in ["a", "b", "c"] {
        sky.cloud.put(Queue::Events, body);
    }
    let records = sky.cloud.take(Queue::Events, 10, sky.clock.now());
    let failed = failures(&json!({"batchItemFailures": [{"itemIdentifier": records[1].message_id}]}));
    sky.cloud.ack(&records, &failed);
    assert_eq!(sky.cloud.messages(Queue::Events), ["b"]);
    assert_eq!(sky.cloud.take(Queue::Events, 10, sky.clock.now()), []);
    sky.clock.pass(SignedDuration::from_secs(900));
    let again = sky.cloud.take(Queue::Events, 10, sky.clock.now());
    assert_eq!((again.len(), again[0].body.as_str(), again[0].receives), (1, "b", 2));
}

#[tokio::test]
async fn the_pollers_calls_are_counted_apart() {
    let sky = Sky::new().await;
    for _ in 0..12 {
        sky.cloud.put(Queue::Events, "a");
    }
    let records = sky.cloud.take(Queue::Events, 100, sky.clock.now());
    sky.cloud.ack(&records, &[]);
    let calls = sky.cloud.calls();
    assert_eq!((calls.of("Lambda.ReceiveMessage").calls, calls.of("Lambda.DeleteMessageBatch").calls), (2, 2));
    assert_eq!((calls.poller_requests(), calls.sqs_requests(), calls.total()), (4, 0, 0));
}

#[tokio::test]
async fn a_hundred_thousand_messages_are_no_burden() {
    let sky = Sky::new().await;
    for n in 0..100_000 {
        sky.cloud.put(Queue::Retry, &n.to_string());
    }
    assert_eq!(sky.cloud.depth(Queue::Retry).visible, 100_000);
    let mut taken = 0;
    while sky.cloud.depth(Queue::Retry).visible > 0 {
        let records = sky.cloud.take(Queue::Retry, 10, sky.clock.now());
        taken += records.len();
        sky.cloud.ack(&records[1..], &[]);
    }
    assert_eq!(taken, 100_000);
    assert_eq!(sky.cloud.depth(Queue::Retry).in_flight, 10_000);
}

#[tokio::test]
async fn a_hundred_and_twenty_thousand_are_in_flight_at_most() {
    let sky = Sky::new().await;
    for _ in 0..120_001 {
        sky.cloud.put(Queue::Retry, "a");
    }
    let records = sky.cloud.take(Queue::Retry, 200_000, sky.clock.now());
    assert_eq!(records.len(), 120_000);
    sky.cloud.ack(&records[..1], &[]);
    assert_eq!(sky.cloud.take(Queue::Retry, 10, sky.clock.now()).len(), 1);
}
