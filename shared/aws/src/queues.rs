//! The queues: sending, deleting and deferring messages.
//!
//! Lambda deletes every message that a function doesn't report as failed, so that a deletion costs no call. A deferral changes the
//! message's visibility, and the function reports the message as failed.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_sdk_sqs::{
    Client,
    error::BuildError,
    types::{
        BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue, QueueAttributeName,
        SendMessageBatchRequestEntry,
    },
};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tracking_core::{batches::batches, hash};
use tracking_engine::backend::{Lane, Message, Receipt, Received, StoreError};

use crate::{
    limits::{self, DelaySeconds, VisibilitySeconds},
    settings::Settings,
    table::unavailable,
};

/// The number of messages of the retry lane that may wait by their visibility: half of the messages that a queue can have in flight.
const MOST_IN_FLIGHT: i64 = 60_000;
/// The longest wait of a message by its visibility while there is room.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);
/// The time for which the retry lane's count of its messages is used.
const ROOM_COUNTS: SignedDuration = SignedDuration::from_secs(10);
/// The longest name of a message group, in characters.
const LONGEST_GROUP: usize = 128;
/// The longest reason of a dead letter, in characters.
const LONGEST_REASON: usize = 1_024;

/// The queues. Clones share the acks and the known room.
#[derive(Debug, Clone)]
pub(crate) struct Queues {
    client: Client,
    urls: Arc<Urls>,
    /// The number of environments that share the room.
    sharers: i64,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Urls {
    events: String,
    delivery: String,
    retry: String,
    rejected: String,
    events_dead: String,
    delivery_dead: String,
    retry_dead: String,
}

#[derive(Debug, Default)]
struct Shared {
    done: HashSet<Receipt>,
    /// Messages that were received so often that they are deferred as new messages: body and group of each.
    worn: HashMap<Receipt, (String, String)>,
    /// The number of messages that may still wait by their visibility, and the time of the count.
    room: Option<(Timestamp, i64)>,
}

impl Queues {
    pub(crate) fn new(client: Client, settings: &Settings) -> Self {
        let urls = Urls {
            events: settings.events_queue.clone(),
            delivery: settings.delivery_queue.clone(),
            retry: settings.retry_queue.clone(),
            rejected: settings.rejected_queue.clone(),
            events_dead: settings.events_dead_letters.clone(),
            delivery_dead: settings.delivery_dead_letters.clone(),
            retry_dead: settings.retry_dead_letters.clone(),
        };
        Self { client, urls: Arc::new(urls), sharers: i64::from(settings.max_concurrency), shared: Arc::default() }
    }

    fn url(&self, lane: Lane) -> &str {
        match lane {
            Lane::Events => &self.urls.events,
            Lane::Delivery => &self.urls.delivery,
            Lane::Retry => &self.urls.retry,
        }
    }

    /// Returns the lane whose queue has this ARN.
    pub(crate) fn lane(&self, arn: &str) -> Option<Lane> {
        let name = arn.rsplit(':').next()?;
        [Lane::Events, Lane::Delivery, Lane::Retry].into_iter().find(|lane| self.url(*lane).rsplit('/').next() == Some(name))
    }

    /// Sends messages. Returns for each message, in order, the outcome.
    pub(crate) async fn send(&self, messages: Vec<&Message>, now: Timestamp) -> Vec<Result<(), StoreError>> {
        let mut outcomes = vec![Ok(()); messages.len()];
        let mut lanes: HashMap<Lane, Vec<(usize, &Message)>> = HashMap::new();
        for (place, message) in messages.into_iter().enumerate() {
            lanes.entry(message.lane).or_default().push((place, message));
        }
        let calls = lanes.into_iter().flat_map(|(lane, messages)| {
            let size = |(_, message): &(usize, &Message)| message.body.len() + limits::ENTRY_OVERHEAD;
            let calls = batches(messages, limits::ENTRIES, limits::MESSAGES_BYTES, size);
            calls.into_iter().map(move |call| (lane, call))
        });
        for failed in join_all(calls.map(|(lane, call)| self.send_call(lane, call, now))).await {
            for (place, error) in failed {
                outcomes[place] = Err(error);
            }
        }
        outcomes
    }

    /// Sends one call. Returns the places of the messages that the queue didn't accept.
    async fn send_call(&self, lane: Lane, messages: Vec<(usize, &Message)>, now: Timestamp) -> Vec<(usize, StoreError)> {
        let all = |error: StoreError| messages.iter().map(|(place, _)| (*place, error.clone())).collect();
        let entry = |(place, message): &(usize, &Message)| entry(*place, message, now);
        let entries = match messages.iter().map(entry).collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(error) => return all(StoreError::Unavailable(error.to_string())),
        };
        let answer = self.client.send_message_batch().queue_url(self.url(lane)).set_entries(Some(entries)).send().await;
        match answer {
            Ok(answer) => failures(answer.failed),
            Err(error) => all(unavailable(&error)),
        }
    }

    /// Remembers that a message is done.
    pub(crate) fn done(&self, receipt: Receipt) {
        self.shared().done.insert(receipt);
    }

    /// Notes that a message was received very often: its body and its group, to send it as a new message.
    pub(crate) fn wears(&self, message: &Received, group: String) {
        self.shared().worn.insert(message.receipt.clone(), (message.body.clone(), group));
    }

    /// Forgets the note of a message.
    pub(crate) fn forget(&self, receipt: &Receipt) {
        self.shared().worn.remove(receipt);
    }

    /// Takes the note that a message is done. Returns true if there was one.
    pub(crate) fn take_done(&self, receipt: &Receipt) -> bool {
        self.shared().done.remove(receipt)
    }

    /// Defers messages to their times. Returns for each message, in order, the outcome.
    pub(crate) async fn defer(&self, messages: Vec<(&Receipt, Timestamp)>, now: Timestamp) -> Vec<Result<(), StoreError>> {
        let mut outcomes = vec![Ok(()); messages.len()];
        let mut lanes: HashMap<Lane, Vec<(usize, &Receipt, VisibilitySeconds)>> = HashMap::new();
        for (place, (receipt, at)) in messages.into_iter().enumerate() {
            let worn = self.shared().worn.get(receipt).cloned();
            if let Some((body, group)) = worn {
                let message = Message { lane: receipt.lane, group, not_before: Some(at), body };
                outcomes[place] = self.send(vec![&message], now).await.into_iter().collect();
                if outcomes[place].is_ok() {
                    self.done(receipt.clone());
                }
                continue;
            }
            lanes.entry(receipt.lane).or_default().push((place, receipt, VisibilitySeconds::until(at, now)));
        }
        if let (Some(waiting), Some((_, left))) = (lanes.get(&Lane::Retry), &mut self.shared().room) {
            *left -= i64::try_from(waiting.len()).unwrap_or(i64::MAX);
        }
        let calls = lanes.into_iter().flat_map(|(lane, messages)| {
            let calls = batches(messages, limits::ENTRIES, usize::MAX, |_| 0);
            calls.into_iter().map(move |call| (lane, call))
        });
        for failed in join_all(calls.map(|(lane, call)| self.defer_call(lane, call))).await {
            for (place, error) in failed {
                outcomes[place] = Err(error);
            }
        }
        outcomes
    }

    async fn defer_call(&self, lane: Lane, messages: Vec<(usize, &Receipt, VisibilitySeconds)>) -> Vec<(usize, StoreError)> {
        let all = |error: StoreError| messages.iter().map(|(place, ..)| (*place, error.clone())).collect();
        let entries = messages.iter().map(|(place, receipt, visibility)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(place.to_string());
            entry.receipt_handle(&receipt.handle).visibility_timeout(visibility.get()).build()
        });
        let entries = match entries.collect::<Result<Vec<_>, _>>() {
            Ok(entries) => entries,
            Err(error) => return all(StoreError::Unavailable(error.to_string())),
        };
        let request = self.client.change_message_visibility_batch().queue_url(self.url(lane));
        match request.set_entries(Some(entries)).send().await {
            Ok(answer) => failures(answer.failed),
            Err(error) => all(unavailable(&error)),
        }
    }

    /// Returns the longest wait of a message of the retry lane by its visibility, as far as known.
    pub(crate) fn longest_wait(&self) -> SignedDuration {
        match self.shared().room {
            Some((_, left)) if left > 0 => LONGEST_WAIT,
            _ => SignedDuration::ZERO,
        }
    }

    /// Asks the retry lane for the number of its messages in flight, unless the last count is recent.
    pub(crate) async fn look_for_room(&self, now: Timestamp) {
        if self.shared().room.is_some_and(|(found, _)| found <= now && now < found + ROOM_COUNTS) {
            return;
        }
        let attribute = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let answer =
            self.client.get_queue_attributes().queue_url(&self.urls.retry).attribute_names(attribute.clone()).send().await;
        let in_flight = answer.as_ref().map(|answer| {
            let attributes = answer.attributes.as_ref();
            attributes.and_then(|attributes| attributes.get(&attribute)).and_then(|number| number.parse::<i64>().ok())
        });
        let left = match in_flight {
            Ok(Some(in_flight)) => (MOST_IN_FLIGHT - in_flight) / self.sharers.max(1),
            // Not known: messages that are to wait are deferred as new messages or as due rows.
            Ok(None) | Err(_) => 0,
        };
        if let Err(error) = answer {
            tracing::warn!(error = %unavailable(&error), "the retry lane does not say how full it is");
        }
        self.shared().room = Some((now, left));
    }

    /// Dead-letters a message that can't be read: a copy goes to its lane's dead letters, with the reason.
    pub(crate) async fn dead_letter(&self, lane: Lane, body: &str, reason: &str) -> Result<(), StoreError> {
        let queue = match lane {
            Lane::Events => &self.urls.events_dead,
            Lane::Delivery => &self.urls.delivery_dead,
            Lane::Retry => &self.urls.retry_dead,
        };
        self.send_with_reason(queue, body, reason).await
    }

    /// Puts an invalid event into the queue of rejected events, with its faults.
    pub(crate) async fn reject(&self, body: &str, reason: &str) -> Result<(), StoreError> {
        self.send_with_reason(&self.urls.rejected, body, reason).await
    }

    async fn send_with_reason(&self, queue: &str, body: &str, reason: &str) -> Result<(), StoreError> {
        let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect();
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(sendable(&reason)).build();
        let entry = attribute.and_then(|attribute| {
            let entry = SendMessageBatchRequestEntry::builder().id("0").message_body(sendable(body));
            entry.message_attributes("reason", attribute).build()
        });
        let entry = entry.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let answer = self.client.send_message_batch().queue_url(queue).entries(entry).send().await;
        let failed = answer.map_err(|error| unavailable(&error))?.failed;
        failed.into_iter().next().map_or(Ok(()), |failed| Err(refused(&failed.code, failed.message)))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(place: usize, message: &Message, now: Timestamp) -> Result<SendMessageBatchRequestEntry, BuildError> {
    let mut entry = SendMessageBatchRequestEntry::builder().id(place.to_string()).message_body(sendable(&message.body));
    let delay = DelaySeconds::until(message.not_before, now).get();
    if delay > 0 {
        entry = entry.delay_seconds(delay);
    }
    // Changes that wait to be matched need no turns.
    if message.lane != Lane::Events {
        entry = entry.message_group_id(group(&message.group));
    }
    entry.build()
}

/// Returns a group's name in a form that the queue accepts.
fn group(name: &str) -> String {
    let fits = (1..=LONGEST_GROUP).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { name.to_owned() } else { hash::text(&["group", name], 24) }
}

/// Escapes in JSON the two characters that JSON allows and a queue refuses.
fn sendable(json: &str) -> String {
    if json.contains(['\u{FFFE}', '\u{FFFF}']) {
        json.replace('\u{FFFE}', "\\ufffe").replace('\u{FFFF}', "\\uffff")
    } else {
        json.to_owned()
    }
}

/// Returns the entries of a call that were refused, by their places.
fn failures(failed: Vec<BatchResultErrorEntry>) -> Vec<(usize, StoreError)> {
    failed.into_iter().filter_map(|failed| Some((failed.id.parse().ok()?, refused(&failed.code, failed.message)))).collect()
}

fn refused(code: &str, message: Option<String>) -> StoreError {
    StoreError::Unavailable(format!("{code}: {}", message.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_names_that_queues_take() {
        assert_eq!(group("release#trk_1"), "release#trk_1");
        for odd in ["", "ž", "a b", &"x".repeat(129)] {
            let name = group(odd);
            assert!(name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{odd}: {name}");
        }
    }

    #[test]
    fn a_body_has_no_character_that_queues_refuse() {
        let body = serde_json::json!({"name": "a\u{FFFE}b\u{FFFF}\u{1}"}).to_string();
        let sent = sendable(&body);
        assert_eq!(sent, r#"{"name":"a\ufffeb\uffff\u0001"}"#);
        assert_eq!(tracking_core::json::parse(sent.as_bytes()).unwrap()["name"], "a\u{FFFE}b\u{FFFF}\u{1}");
    }
}
