//! Batches of queue messages as Lambda brings them: each record is worked alone, and each that is not acked is reported as failed.

use std::collections::HashMap;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use jiff::{SignedDuration, Timestamp};
use tracing::field::display;
use tracking_core::{delivery::DeliveryId, hash};
use tracking_engine::{
    backend::{Lane, Receipt, Received},
    delivery_named_in,
};

use crate::Stack;

/// The pause of a message after the first failure of ours; each further failure makes the pause four times as long.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// The longest pause after such a failure: the queue's visibility.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(900);

/// The number of receives from which a message of the retry lane is deferred as a new message: SQS limits the receives, and most receives
/// of the retry lane are waits.
const WORN: u32 = 50;

/// The records of an invocation.
pub(crate) struct Batch {
    records: Vec<Record>,
    /// Records without body, receipt or known queue: nothing can be done with them, and they are never acknowledged.
    nameless: Vec<String>,
    /// The time at which the oldest record was sent.
    oldest: Option<Timestamp>,
}

struct Record {
    id: String,
    receipt: Receipt,
    receives: u32,
    /// The delivery of the message, if it has one.
    delivery_id: Option<DeliveryId>,
}

impl Batch {
    /// Reads the records, and returns their messages in the order received.
    pub(crate) fn read(stack: &Stack, event: SqsEvent) -> (Self, Vec<Received>) {
        let mut batch = Self { records: Vec::new(), nameless: Vec::new(), oldest: None };
        let mut messages = Vec::new();
        for message in event.records {
            let id = message.message_id.clone().unwrap_or_default();
            let group = message.attributes.get("MessageGroupId").cloned();
            match read(stack, message) {
                Some((message, receives, sent)) => {
                    if message.receipt.lane == Lane::Retry && receives >= WORN {
                        stack.aws().queues.wears(&message, group.unwrap_or_default());
                    }
                    batch.oldest = batch.oldest.into_iter().chain(sent).min();
                    let delivery_id = delivery_of(&message);
                    batch.records.push(Record { id, receipt: message.receipt.clone(), receives, delivery_id });
                    messages.push(message);
                }
                None => batch.nameless.push(id),
            }
        }
        (batch, messages)
    }

    /// Returns true if any record comes from this lane.
    pub(crate) fn has(&self, lane: Lane) -> bool {
        self.records.iter().any(|record| record.receipt.lane == lane)
    }

    /// Returns the age of the oldest record on its queue, in seconds.
    pub(crate) fn age(&self, now: Timestamp) -> Option<u64> {
        let age = now.duration_since(self.oldest?).as_secs();
        Some(u64::try_from(age).unwrap_or(0))
    }

    /// Returns the response for Lambda: every record that was not done stays on its queue. A record that failed by our own fault comes
    /// again after a pause.
    pub(crate) async fn end(self, stack: &Stack, failed: &HashMap<Receipt, String>) -> SqsBatchResponse {
        let queues = &stack.aws().queues;
        let now = stack.clock.now();
        let pause = |record: &Record| {
            if record.receipt.lane == Lane::Retry {
                // On this lane, receives count the waits too.
                return now + FIRST_PAUSE;
            }
            let longer = i32::try_from(4_u64.saturating_pow(record.receives.saturating_sub(1)).min(30)).unwrap_or(30);
            now + (FIRST_PAUSE * longer).min(LONGEST_PAUSE)
        };
        let mut response = SqsBatchResponse::default();
        let (done, left): (Vec<_>, Vec<_>) = self.records.iter().partition(|record| queues.take_done(&record.receipt));
        let mut again = Vec::new();
        for record in &left {
            if let Some(reason) = failed.get(&record.receipt) {
                let delivery_id = record.delivery_id.as_ref().map(display);
                tracing::error!(message_id = record.id, delivery_id, receives = record.receives, reason, "a message comes again");
                again.push((&record.receipt, pause(record)));
            }
        }
        for id in &self.nameless {
            tracing::error!(message_id = id, "a record without body, receipt or known queue stays where it is");
            response.add_failure(id);
        }
        // If this fails, the messages come again when the queue's visibility ends.
        let outcomes = if again.is_empty() { Vec::new() } else { queues.defer(again, now).await };
        if let Some(error) = outcomes.into_iter().find_map(Result::err) {
            tracing::warn!(%error, "messages come again only when the queue's visibility ends");
        }
        // A message that was deferred as a new message is done.
        for record in left.iter().filter(|record| !queues.take_done(&record.receipt)) {
            response.add_failure(&record.id);
        }
        done.iter().chain(&left).for_each(|record| queues.forget(&record.receipt));
        response
    }
}

/// Returns the delivery of a message; an event of the platform has none.
pub(crate) fn delivery_of(message: &Received) -> Option<DeliveryId> {
    (message.receipt.lane != Lane::Events).then(|| delivery_named_in(&message.body)).flatten()
}

/// Reads a record: the message for the engine, the number of its receives, and the time at which it was sent.
fn read(stack: &Stack, message: SqsMessage) -> Option<(Received, u32, Option<Timestamp>)> {
    let lane = stack.aws().queues.lane(message.event_source_arn.as_deref()?)?;
    let number = |name: &str| message.attributes.get(name).and_then(|text| text.parse::<i64>().ok());
    let receives = number("ApproximateReceiveCount").and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    let sent = number("SentTimestamp").and_then(|millisecond| Timestamp::from_millisecond(millisecond).ok());
    // The receive id differs for every hand-out; repeats of one invocation have the same.
    let id = message.message_id?;
    let receive_id = hash::text(&["token", &id, &receives.to_string()], 24);
    let receipt = Receipt { lane, handle: message.receipt_handle? };
    Some((Received { receipt, id, redelivered: receives > 1, receive_id, body: message.body? }, receives, sent))
}
