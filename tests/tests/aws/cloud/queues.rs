//! SQS: accepted and refused calls, and the states of a message over time.

use aws_sdk_sqs::{
    operation::{
        change_message_visibility_batch::ChangeMessageVisibilityBatchOutput,
        send_message_batch::{SendMessageBatchError, SendMessageBatchOutput},
    },
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry as Hide, DeleteMessageBatchRequestEntry as Delete,
        QueueAttributeName, SendMessageBatchRequestEntry as Entry,
    },
};
use jiff::SignedDuration;
use tracking_tests::cloud::{Depth, Queue, Record};

use super::{Sky, code};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

type Sent = Result<SendMessageBatchOutput, aws_sdk_sqs::error::SdkError<SendMessageBatchError>>;

fn entry(id: &str, body: impl Into<String>) -> Entry {
    Entry::builder().id(id).message_body(body).build().expect("an entry")
}

fn delayed(id: &str, seconds: i32) -> Entry {
    Entry::builder().id(id).message_body(id).delay_seconds(seconds).build().expect("an entry")
}

impl Sky {
    async fn send(&self, queue: Queue, entries: Vec<Entry>) -> Sent {
        let batch = self.sqs().send_message_batch().queue_url(self.cloud.queue_url(queue));
        batch.set_entries(Some(entries)).send().await
    }

    async fn hide(&self, record: &Record, seconds: i32) -> Option<String> {
        let entry = Hide::builder().id("a").receipt_handle(&record.receipt_handle).visibility_timeout(seconds).build();
        let batch = self.sqs().change_message_visibility_batch().queue_url(self.cloud.queue_url(record.queue));
        let output: ChangeMessageVisibilityBatchOutput =
            batch.entries(entry.expect("an entry")).send().await.expect("a batch answers entry by entry");
        assert_eq!(output.successful().len() + output.failed().len(), 1);
        output.failed().first().map(|failed| failed.code().to_owned())
    }

    fn take(&self, queue: Queue) -> Vec<Record> {
        self.cloud.take(queue, 10, self.clock.now())
    }

    /// Receives the one message of a queue.
    #[track_caller]
    fn take_one(&self, queue: Queue) -> Record {
        let mut records = self.take(queue);
        assert_eq!(records.len(), 1);
        records.remove(0)
    }
}

fn codes(failed: &[BatchResultErrorEntry]) -> Vec<(&str, &str)> {
    failed.iter().map(|failed| (failed.id(), failed.code())).collect()
}

fn depth(visible: usize, in_flight: usize, delayed: usize) -> Depth {
    Depth { visible, in_flight, delayed }
}

#[tokio::test]
async fn a_batch_has_one_to_ten_entries() {
    let sky = Sky::new().await;
    let many = |count: usize| (0..count).map(|n| entry(&n.to_string(), "x")).collect::<Vec<_>>();
    assert_eq!(code(sky.send(Queue::Events, many(0)).await), "AWS.SimpleQueueService.EmptyBatchRequest");
    assert_eq!(code(sky.send(Queue::Events, many(11)).await), "AWS.SimpleQueueService.TooManyEntriesInBatchRequest");
    let sent = sky.send(Queue::Events, many(10)).await.expect("ten are not too many");
    assert_eq!(sent.successful().len(), 10);
    assert_eq!(sky.cloud.messages(Queue::Events).len(), 10);
}

#[tokio::test]
async fn refusals_are_the_errors_that_the_client_knows() {
    let sky = Sky::new().await;
    let refused = sky.send(Queue::Events, Vec::new()).await.expect_err("it is empty");
    assert!(refused.into_service_error().is_empty_batch_request());
    let batch = sky.sqs().send_message_batch().queue_url("http://sqs.invalid/1/nothing").entries(entry("a", "x"));
    let refused = batch.send().await.expect_err("there is no such queue");
    assert!(refused.into_service_error().is_queue_does_not_exist());
}

#[tokio::test]
async fn ids_are_good_and_distinct() {
    let sky = Sky::new().await;
    let twice = vec![entry("a", "x"), entry("a", "y")];
    assert_eq!(code(sky.send(Queue::Events, twice).await), "AWS.SimpleQueueService.BatchEntryIdsNotDistinct");
    for id in ["", "a b", &"a".repeat(81)] {
        let refused = sky.send(Queue::Events, vec![entry(id, "x")]).await;
        assert_eq!(code(refused), "AWS.SimpleQueueService.InvalidBatchEntryId");
    }
    assert_eq!(sky.cloud.depth(Queue::Events), depth(0, 0, 0));
}

#[tokio::test]
async fn a_batch_is_one_mebibyte_at_most() {
    let sky = Sky::new().await;
    let half = "x".repeat(512 * 1024);
    let exactly = vec![entry("a", half.as_str()), entry("b", half.as_str())];
    sky.send(Queue::Events, exactly).await.expect("a mebibyte is not too much");
    let more = vec![entry("a", half.as_str()), entry("b", half.as_str()), entry("c", "x")];
    assert_eq!(code(sky.send(Queue::Events, more).await), "AWS.SimpleQueueService.BatchRequestTooLong");
    assert_eq!(sky.cloud.messages(Queue::Events).len(), 2);
}

#[tokio::test]
async fn a_message_has_a_body() {
    let sky = Sky::new().await;
    let refused = sky.send(Queue::Events, vec![entry("a", "x"), entry("b", "")]).await;
    assert_eq!(code(refused), "MissingParameter");
    assert_eq!(sky.cloud.depth(Queue::Events), depth(0, 0, 0));
}

#[tokio::test]
async fn a_bad_entry_fails_alone() {
    let sky = Sky::new().await;
    let grouped = |id: &str, group: String| Entry::builder().id(id).message_body(id).message_group_id(group).build();
    let entries = vec![
        delayed("late", 901),
        delayed("early", -1),
        entry("control", "\u{1}"),
        grouped("group", "g".repeat(129)).expect("an entry"),
        delayed("good", 900),
        grouped("fair", "g".repeat(128)).expect("an entry"),
    ];
    let sent = sky.send(Queue::Retry, entries).await.expect("a batch is answered entry by entry");
    assert_eq!(
        codes(sent.failed()),
        [
            ("late", "InvalidParameterValue"),
            ("early", "InvalidParameterValue"),
            ("control", "InvalidMessageContents"),
            ("group", "InvalidParameterValue"),
        ]
    );
    assert!(sent.failed().iter().all(BatchResultErrorEntry::sender_fault));
    assert_eq!(sky.cloud.messages(Queue::Retry), ["good", "fair"]);
    assert_eq!(sky.cloud.groups(Queue::Retry), [None, Some("g".repeat(128))]);
    // The digest of "good", from another program.
    assert_eq!(sent.successful()[0].md5_of_message_body(), "755f85c2723bb39381c7379a604160d8");
}

#[tokio::test]
async fn a_delayed_message_comes_when_its_time_has_come() {
    let sky = Sky::new().await;
    sky.send(Queue::Retry, vec![delayed("a", 900), entry("b", "b")]).await.expect("sent");
    assert_eq!(sky.cloud.depth(Queue::Retry), depth(1, 0, 1));
    assert_eq!(sky.take_one(Queue::Retry).body, "b");
    assert_eq!(sky.cloud.depth(Queue::Retry), depth(0, 1, 1));
    assert_eq!(sky.cloud.next_visible(Queue::Retry), Some(sky.clock.now() + SECOND * 900));
    sky.clock.pass(SECOND * 899);
    assert_eq!(sky.take(Queue::Retry), []);
    sky.clock.pass(SECOND);
    let bodies: Vec<_> = sky.take(Queue::Retry).into_iter().map(|record| (record.body, record.receives)).collect();
    assert_eq!(bodies, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
}

#[tokio::test]
async fn attributes_say_how_many_are_where() {
    let sky = Sky::new().await;
    sky.send(Queue::Retry, vec![delayed("a", 9), entry("b", "b"), entry("c", "c"), entry("d", "d")]).await.expect("sent");
    sky.cloud.take(Queue::Retry, 1, sky.clock.now());
    let names = [
        (QueueAttributeName::ApproximateNumberOfMessages, "2"),
        (QueueAttributeName::ApproximateNumberOfMessagesNotVisible, "1"),
        (QueueAttributeName::ApproximateNumberOfMessagesDelayed, "1"),
    ];
    let asked = sky.sqs().get_queue_attributes().queue_url(sky.cloud.queue_url(Queue::Retry));
    let asked = asked.set_attribute_names(Some(names.iter().map(|(name, _)| name.clone()).collect()));
    let output = asked.send().await.expect("attributes");
    let attributes = output.attributes().expect("attributes");
    assert_eq!(attributes.len(), 3);
    for (name, value) in names {
        assert_eq!(attributes[&name], value);
    }
}

#[tokio::test]
async fn a_message_is_hidden_for_fifteen_minutes_or_as_long_as_requested() {
    let sky = Sky::new().await;
    sky.cloud.put(Queue::Retry, "a");
    let first = sky.take_one(Queue::Retry);
    assert_eq!(sky.cloud.next_visible(Queue::Retry), Some(sky.clock.now() + SECOND * 900));
    sky.clock.pass(SECOND * 100);
    assert_eq!(sky.hide(&first, 3600).await, None);
    assert_eq!(sky.cloud.next_visible(Queue::Retry), Some(sky.clock.now() + HOUR));
    sky.clock.pass(HOUR);
    let second = sky.take_one(Queue::Retry);
    assert_eq!((second.message_id == first.message_id, second.receives), (true, 2));
    assert_ne!(second.receipt_handle, first.receipt_handle);
    // A change to one hand-out does not hold for the next.
    assert_eq!(sky.cloud.next_visible(Queue::Retry), Some(sky.clock.now() + SECOND * 900));
    assert_eq!(sky.hide(&second, 0).await, None);
    assert_eq!(sky.cloud.depth(Queue::Retry), depth(1, 0, 0));
}

#[tokio::test]
async fn a_message_is_hidden_for_twelve_hours_at_most_from_its_receive() {
    let sky = Sky::new().await;
    sky.cloud.put(Queue::Retry, "a");
    let record = sky.take_one(Queue::Retry);
    assert_eq!(sky.hide(&record, 43_201).await.as_deref(), Some("InvalidParameterValue"));
    assert_eq!(sky.hide(&record, 43_200).await, None);
    sky.clock.pass(HOUR);
    assert_eq!(sky.hide(&record, 43_200 - 3600 + 1).await.as_deref(), Some("InvalidParameterValue"));
    assert_eq!(sky.hide(&record, 43_200 - 3600).await, None);
    assert_eq!(sky.cloud.next_visible(Queue::Retry), Some(sky.clock.now() + HOUR * 11));
}

#[tokio::test]
async fn only_the_last_hand_out_can_be_stretched() {
    let sky = Sky::new().await;
    sky.cloud.put(Queue::Retry, "a");
    let first = sky.take_one(Queue::Retry);
    sky.clock.pass(SECOND * 900);
    assert_eq!(sky.hide(&first, 60).await.as_deref(), Some("MessageNotInflight"));
    let second = sky.take_one(Queue::Retry);
    assert_eq!(sky.hide(&first, 60).await.as_deref(), Some("InvalidParameterValue"));
    let foreign = Record { receipt_handle: "what is this".to_owned(), ..second.clone() };
    assert_eq!(sky.hide(&foreign, 60).await.as_deref(), Some("ReceiptHandleIsInvalid"));
    assert_eq!(sky.hide(&second, 60).await, None);
}

#[tokio::test]
async fn deleted_is_what_was_handed_out_last() {
    let sky = Sky::new().await;
    sky.cloud.put(Queue::Events, "a");
    let first = sky.take_one(Queue::Events);
    sky.clock.pass(SECOND * 900);
    let second = sky.take_one(Queue::Events);
    for (record, left) in [(first, 1), (second, 0)] {
        let entry = Delete::builder().id("a").receipt_handle(&record.receipt_handle).build().expect("an entry");
        let batch = sky.sqs().delete_message_batch().queue_url(sky.cloud.queue_url(Queue::Events)).entries(entry);
        let output = batch.send().await.expect("deleted");
        assert_eq!((output.successful().len(), output.failed().len()), (1, 0));
        assert_eq!(sky.cloud.messages(Queue::Events).len(), left);
    }
}

#[tokio::test]
async fn who_came_too_often_goes_to_the_dead_letters() {
    let sky = Sky::new().await;
    for (queue, dead, most) in
        [(Queue::Events, Queue::EventsDead, 5), (Queue::Delivery, Queue::DeliveryDead, 5), (Queue::Retry, Queue::RetryDead, 100)]
    {
        sky.cloud.put(queue, "poison");
        for receives in 1..=most {
            assert_eq!(sky.take_one(queue).receives, receives);
            assert_eq!(sky.cloud.messages(dead), [""; 0]);
            sky.clock.pass(SECOND * 900);
        }
        assert_eq!(sky.take(queue), []);
        assert_eq!(sky.cloud.messages(queue), [""; 0]);
        assert_eq!(sky.cloud.messages(dead), ["poison"]);
    }
}

#[tokio::test]
async fn a_message_is_kept_for_fourteen_days() {
    let sky = Sky::new().await;
    sky.cloud.put(Queue::Rejected, "a");
    sky.clock.pass(HOUR * 24 * 14 - SECOND);
    assert_eq!(sky.cloud.messages(Queue::Rejected), ["a"]);
    sky.clock.pass(SECOND);
    assert_eq!(sky.cloud.messages(Queue::Rejected), [""; 0]);
}

#[tokio::test]
async fn requests_are_billed_by_started_64_kilobytes() {
    let sky = Sky::new().await;
    sky.send(Queue::Events, vec![entry("a", "x".repeat(40_000)), entry("b", "x".repeat(25_536))]).await.expect("64 KB");
    assert_eq!(sky.cloud.calls().sqs_requests(), 1);
    sky.cloud.reset_counts();
    sky.send(Queue::Events, vec![entry("a", "x".repeat(40_000)), entry("b", "x".repeat(25_537))]).await.expect("64 KB + 1");
    let calls = sky.cloud.calls();
    assert_eq!(
        (calls.sqs_requests(), calls.of("SQS.SendMessageBatch").calls, calls.of("SQS.SendMessageBatch").entries),
        (2, 1, 2)
    );
}
