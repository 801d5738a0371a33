//! Lambda's work between a queue and a function: it receives messages, hands them over, and deletes those that did not fail.

use jiff::Timestamp;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::{
    Cloud, REGION,
    counts::Bill,
    messages::{Depth, Message},
    sqs::{Queue, handle, message_id},
};

/// Most messages of one of the pollers' calls.
const PER_CALL: usize = 10;

/// One hand-out of a message, as a function gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The queue it came from.
    pub queue: Queue,
    /// The message's id, by which a function reports a failure.
    pub message_id: String,
    /// The name of this hand-out.
    pub receipt_handle: String,
    /// The body.
    pub body: String,
    /// The number of its receives, this one included.
    pub receives: u32,
    /// The time at which it was sent.
    pub sent: Timestamp,
    /// The time at which it was first received.
    pub first_received: Timestamp,
    /// Its message group, if it has one.
    pub group: Option<String>,
}

impl Record {
    pub(super) fn new(queue: Queue, serial: u64, message: Message) -> Self {
        Self {
            queue,
            message_id: message_id(serial),
            receipt_handle: handle(serial, message.receives),
            first_received: message.first_received.unwrap_or(message.sent),
            receives: message.receives,
            sent: message.sent,
            body: message.body,
            group: message.group,
        }
    }

    /// Returns the record in the form of Lambda's mapping.
    pub fn json(&self) -> Value {
        let mut attributes = json!({
            "ApproximateReceiveCount": self.receives.to_string(),
            "SentTimestamp": self.sent.as_millisecond().to_string(),
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": self.first_received.as_millisecond().to_string(),
        });
        if let Some(group) = &self.group {
            attributes["MessageGroupId"] = group.as_str().into();
        }
        json!({
            "messageId": self.message_id,
            "receiptHandle": self.receipt_handle,
            "body": self.body,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": md5(&self.body),
            "eventSource": "aws:sqs",
            "eventSourceARN": self.queue.arn(),
            "awsRegion": REGION,
        })
    }
}

/// Returns the event with which a function is invoked for these records.
pub fn sqs_event(records: &[Record]) -> Value {
    json!({"Records": records.iter().map(Record::json).collect::<Vec<_>>()})
}

/// Returns the ids that a function's answer reports as failed.
///
/// # Panics
/// The answer is not one to a batch.
pub fn failures(answer: &Value) -> Vec<String> {
    let failures = answer["batchItemFailures"].as_array().expect("an answer lists its failures");
    let id = |failure: &Value| failure["itemIdentifier"].as_str().expect("a failure names a message").to_owned();
    failures.iter().map(id).collect()
}

impl Cloud {
    /// Receives at most this many messages, as Lambda's mapping does; they stay hidden for 900 s.
    pub fn take(&self, queue: Queue, most: usize, now: Timestamp) -> Vec<Record> {
        let mut state = self.state();
        let records = state.queues.receive(queue, most, now);
        for call in records.chunks(PER_CALL) {
            let bytes = call.iter().map(|record| record.body.len()).sum();
            state.counts.add("Lambda.ReceiveMessage", Bill::request(call.len(), bytes));
        }
        records
    }

    /// Deletes the records that are not reported as failed; failed ones stay until their time has passed.
    pub fn ack(&self, records: &[Record], failures: &[String]) {
        let mut state = self.state();
        let done: Vec<_> = records.iter().filter(|record| !failures.contains(&record.message_id)).collect();
        for record in &done {
            state.queues.delete(record.queue, &record.receipt_handle).expect("a record's handle is good");
        }
        for call in done.chunks(PER_CALL) {
            state.counts.add("Lambda.DeleteMessageBatch", Bill::request(call.len(), 0));
        }
    }

    /// Returns the time at which the queue's next message can be taken; a past time if there is one now.
    pub fn next_visible(&self, queue: Queue) -> Option<Timestamp> {
        let now = self.now();
        self.state().queues.of(queue).next_visible(now)
    }

    /// Returns the number of a queue's messages by state.
    pub fn depth(&self, queue: Queue) -> Depth {
        let now = self.now();
        self.state().queues.of(queue).depth(now)
    }

    /// Returns the bodies of all messages of a queue, visible or not, in the order of sending.
    pub fn messages(&self, queue: Queue) -> Vec<String> {
        let now = self.now();
        self.state().queues.of(queue).messages(now).map(|(_, message)| message.body.clone()).collect()
    }

    /// Returns the groups of all messages of a queue, in the order of sending.
    pub fn groups(&self, queue: Queue) -> Vec<Option<String>> {
        let now = self.now();
        self.state().queues.of(queue).messages(now).map(|(_, message)| message.group.clone()).collect()
    }

    /// Returns the reasons with which messages of a queue were put there, in the order of sending.
    pub fn reasons(&self, queue: Queue) -> Vec<Option<String>> {
        let now = self.now();
        let reason = |message: &Message| message.attributes.get("reason")?["StringValue"].as_str().map(str::to_owned);
        self.state().queues.of(queue).messages(now).map(|(_, message)| reason(message)).collect()
    }

    /// Puts a message into a queue as another sender would. Returns its id.
    pub fn put(&self, queue: Queue, body: &str) -> String {
        let now = self.now();
        self.state().queues.put(queue, body, now)
    }
}

/// Returns the digest that SQS reports for a body.
pub(super) fn md5(body: &str) -> String {
    format!("{:032x}", u128::from_be_bytes(Md5::digest(body.as_bytes()).into()))
}
