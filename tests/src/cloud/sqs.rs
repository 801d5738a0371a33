//! SQS: seven standard queues, with AWS's refusals.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    ACCOUNT, REGION,
    counts::Bill,
    messages::{Fixed, Handed, Message, Messages},
    pump::{Record, md5},
    wire::{Refused, Reply, read},
};

/// Most bytes of a message, and of all messages of a batch together.
const MOST_BYTES: usize = 1024 * 1024;
/// Most seconds that a message can be delayed.
const LONGEST_DELAY: i64 = 900;
/// Most seconds that a message can be hidden.
const LONGEST_VISIBILITY: i64 = 43_200;

/// The queues of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    /// Changes that wait to be matched.
    Events,
    /// First tries.
    Delivery,
    /// Messages of everything later: retries and waits.
    Retry,
    /// Invalid events with their faults.
    Rejected,
    /// The dead letters of the events queue.
    EventsDead,
    /// The dead letters of the delivery queue.
    DeliveryDead,
    /// The dead letters of the retry queue.
    RetryDead,
}

impl Queue {
    /// All queues.
    pub const ALL: [Self; 7] =
        [Self::Events, Self::Delivery, Self::Retry, Self::Rejected, Self::EventsDead, Self::DeliveryDead, Self::RetryDead];

    /// Returns the queue's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "tracking-events",
            Self::Delivery => "tracking-delivery",
            Self::Retry => "tracking-retry",
            Self::Rejected => "tracking-rejected",
            Self::EventsDead => "tracking-events-dead",
            Self::DeliveryDead => "tracking-delivery-dead",
            Self::RetryDead => "tracking-retry-dead",
        }
    }

    /// Returns the queue's ARN.
    pub fn arn(self) -> String {
        format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}", self.name())
    }

    /// Returns the number of receives after which a message is dead-lettered, and the queue for it.
    fn redrive(self) -> Option<(u32, Self)> {
        match self {
            Self::Events => Some((5, Self::EventsDead)),
            Self::Delivery => Some((5, Self::DeliveryDead)),
            Self::Retry => Some((100, Self::RetryDead)),
            _ => None,
        }
    }
}

/// All queues.
#[derive(Debug)]
pub(super) struct Queues {
    all: BTreeMap<Queue, Messages>,
    serial: u64,
}

impl Default for Queues {
    fn default() -> Self {
        Self { all: Queue::ALL.into_iter().map(|queue| (queue, Messages::default())).collect(), serial: 0 }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Batch<E> {
    queue_url: String,
    entries: Vec<E>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Send {
    id: String,
    message_body: String,
    #[serde(default)]
    delay_seconds: i64,
    message_group_id: Option<String>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Hide {
    id: String,
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Delete {
    id: String,
    receipt_handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Attributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

/// The fault of one entry of a batch.
type Fault = (&'static str, String);

impl Queues {
    pub(super) fn call(&mut self, action: &str, body: &str, leave: &[usize], now: Timestamp, bill: &mut Bill) -> Reply {
        match action {
            "SendMessageBatch" => {
                let batch: Batch<Send> = read(body)?;
                let queue = begin(&batch, |entry| &entry.id)?;
                let bytes = batch.entries.iter().map(|entry| entry.message_body.len()).sum();
                check_bodies(&batch.entries, bytes)?;
                *bill = Bill::request(batch.entries.len(), bytes);
                Ok(each(batch.entries, leave, |entry| &entry.id, |entry| self.send(queue, entry, now)))
            }
            "ChangeMessageVisibilityBatch" => {
                let batch: Batch<Hide> = read(body)?;
                let queue = begin(&batch, |entry| &entry.id)?;
                *bill = Bill::request(batch.entries.len(), 0);
                Ok(each(batch.entries, leave, |entry| &entry.id, |entry| self.hide(queue, &entry, now)))
            }
            "DeleteMessageBatch" => {
                let batch: Batch<Delete> = read(body)?;
                let queue = begin(&batch, |entry| &entry.id)?;
                *bill = Bill::request(batch.entries.len(), 0);
                Ok(each(batch.entries, leave, |entry| &entry.id, |entry| self.delete(queue, &entry.receipt_handle)))
            }
            "GetQueueAttributes" => {
                let asked: Attributes = read(body)?;
                let queue = named(&asked.queue_url)?;
                *bill = Bill::call();
                self.attributes(queue, &asked.attribute_names, now)
            }
            _ => Err(Refused::unknown(action)),
        }
    }

    pub(super) fn of(&mut self, queue: Queue) -> &mut Messages {
        self.all.get_mut(&queue).expect("every queue has its messages")
    }

    /// Hands out at most this many messages; messages that were received too often go to the dead letters.
    pub(super) fn receive(&mut self, queue: Queue, most: usize, now: Timestamp) -> Vec<Record> {
        let mut records = Vec::new();
        while records.len() < most {
            match self.of(queue).receive(now, queue.redrive().map(|(most, _)| most)) {
                None => break,
                Some((serial, Handed::Out(message))) => records.push(Record::new(queue, serial, message)),
                Some((serial, Handed::GivenUp(message))) => {
                    let (_, dead) = queue.redrive().expect("only who has dead letters gives up");
                    self.of(dead).add_dead_letter(serial, message, now);
                }
            }
        }
        records
    }

    /// Puts a message into a queue as another sender would. Returns its id.
    pub(super) fn put(&mut self, queue: Queue, body: &str, now: Timestamp) -> String {
        self.push(queue, Message::new(body.to_owned(), None, now, SignedDuration::ZERO))
    }

    pub(super) fn delete(&mut self, queue: Queue, handle: &str) -> Result<Value, Fault> {
        let (serial, receives) = receipt(handle)?;
        self.of(queue).delete(serial, receives);
        Ok(json!({}))
    }

    fn push(&mut self, queue: Queue, message: Message) -> String {
        self.serial += 1;
        let serial = self.serial;
        self.of(queue).send(serial, message);
        message_id(serial)
    }

    fn send(&mut self, queue: Queue, entry: Send, now: Timestamp) -> Result<Value, Fault> {
        if !(0..=LONGEST_DELAY).contains(&entry.delay_seconds) {
            let value = entry.delay_seconds;
            let why =
                format!("Value {value} for parameter DelaySeconds is invalid. Reason: it must be from 0 to {LONGEST_DELAY}.");
            return Err(("InvalidParameterValue", why));
        }
        if !entry.message_body.chars().all(allowed) {
            return Err(("InvalidMessageContents", "the body holds characters that are not allowed".to_owned()));
        }
        let group_is_good =
            |group: &String| (1..=128).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_graphic());
        if !entry.message_group_id.as_ref().is_none_or(group_is_good) {
            return Err(("InvalidParameterValue", "MessageGroupId is 1 to 128 letters, digits or punctuation marks".to_owned()));
        }
        let digest = md5(&entry.message_body);
        let delay = SignedDuration::from_secs(entry.delay_seconds);
        let mut message = Message::new(entry.message_body, entry.message_group_id, now, delay);
        message.attributes = entry.message_attributes;
        let id = self.push(queue, message);
        Ok(json!({"MessageId": id, "MD5OfMessageBody": digest}))
    }

    fn hide(&mut self, queue: Queue, entry: &Hide, now: Timestamp) -> Result<Value, Fault> {
        let seconds = entry.visibility_timeout;
        let refused = |why: &str| {
            let why = format!("Value {seconds} for parameter VisibilityTimeout is invalid. Reason: {why}.");
            Err(("InvalidParameterValue", why))
        };
        if !(0..=LONGEST_VISIBILITY).contains(&seconds) {
            return refused("it must be from 0 to 43200");
        }
        let (serial, receives) = receipt(&entry.receipt_handle)?;
        match self.of(queue).hide(serial, receives, SignedDuration::from_secs(seconds), now) {
            Ok(()) => Ok(json!({})),
            Err(Fixed::TooLong) => refused("Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"),
            Err(Fixed::Gone) => refused("Message does not exist or is not available for visibility timeout change"),
            Err(Fixed::NotInFlight) => Err(("MessageNotInflight", "the message is not in flight".to_owned())),
        }
    }

    fn attributes(&mut self, queue: Queue, names: &[String], now: Timestamp) -> Reply {
        let depth = self.of(queue).depth(now);
        let all = BTreeMap::from([
            ("ApproximateNumberOfMessages", depth.visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", depth.in_flight.to_string()),
            ("ApproximateNumberOfMessagesDelayed", depth.delayed.to_string()),
            ("QueueArn", queue.arn()),
            ("VisibilityTimeout", "900".to_owned()),
        ]);
        if let Some(unknown) = names.iter().find(|name| *name != "All" && !all.contains_key(name.as_str())) {
            return Err(Refused::sqs("InvalidAttributeName", &format!("Unknown Attribute {unknown}.")));
        }
        let wanted = |name: &str| names.iter().any(|asked| asked == "All" || asked == name);
        let attributes: serde_json::Map<_, _> =
            all.into_iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.to_owned(), value.into())).collect();
        Ok(json!({"Attributes": attributes}))
    }
}

/// Checks every kind of batch: its queue exists, it has 1 to 10 entries, and their ids are valid and distinct.
fn begin<E>(batch: &Batch<E>, id: impl Fn(&E) -> &String) -> Result<Queue, Refused> {
    let queue = named(&batch.queue_url)?;
    if batch.entries.is_empty() {
        return Err(Refused::sqs("EmptyBatchRequest", "There should be at least one entry in the request."));
    }
    if batch.entries.len() > 10 {
        let why = format!("Maximum number of entries per request are 10. You have sent {}.", batch.entries.len());
        return Err(Refused::sqs("TooManyEntriesInBatchRequest", &why));
    }
    let mut ids = BTreeSet::new();
    for id in batch.entries.iter().map(id) {
        if !(1..=80).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            return Err(Refused::sqs("InvalidBatchEntryId", "An id is 1 to 80 letters, digits, hyphens or underscores."));
        }
        if !ids.insert(id) {
            return Err(Refused::sqs("BatchEntryIdsNotDistinct", &format!("Id {id} repeated.")));
        }
    }
    Ok(queue)
}

/// Checks the messages of a batch together.
fn check_bodies(entries: &[Send], bytes: usize) -> Result<(), Refused> {
    if bytes > MOST_BYTES {
        let why = format!("Batch requests cannot be longer than {MOST_BYTES} bytes. You have sent {bytes} bytes.");
        return Err(Refused::sqs("BatchRequestTooLong", &why));
    }
    match entries.iter().position(|entry| entry.message_body.is_empty()) {
        None => Ok(()),
        Some(at) => {
            let why = format!("The request must contain the parameter SendMessageBatchRequestEntry.{}.MessageBody.", at + 1);
            Err(Refused::sqs("MissingParameter", &why))
        }
    }
}

/// Works a batch entry by entry; entries in `leave` fail by a fault of the service.
fn each<E>(
    entries: Vec<E>,
    leave: &[usize],
    id: impl Fn(&E) -> &String,
    mut work: impl FnMut(E) -> Result<Value, Fault>,
) -> Value {
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    for (at, entry) in entries.into_iter().enumerate() {
        let id = id(&entry).clone();
        if leave.contains(&at) {
            failed.push(json!({"Id": id, "SenderFault": false, "Code": "InternalError", "Message": "a fault, as ordered"}));
            continue;
        }
        match work(entry) {
            Ok(mut result) => {
                result["Id"] = id.into();
                done.push(result);
            }
            Err((code, why)) => failed.push(json!({"Id": id, "SenderFault": true, "Code": code, "Message": why})),
        }
    }
    json!({"Successful": done, "Failed": failed})
}

fn named(url: &str) -> Result<Queue, Refused> {
    let name = url.rsplit('/').next().unwrap_or(url);
    let queue = Queue::ALL.into_iter().find(|queue| queue.name() == name);
    queue.ok_or_else(|| Refused::sqs("QueueDoesNotExist", "The specified queue does not exist."))
}

/// Returns true for characters that a message may hold: those of XML 1.0.
fn allowed(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Returns a message's id.
pub(super) fn message_id(serial: u64) -> String {
    format!("00000000-0000-4000-8000-{serial:012x}")
}

/// Returns the handle of one hand-out.
pub(super) fn handle(serial: u64, receives: u32) -> String {
    format!("AQEB-{serial:x}-{receives:x}")
}

fn receipt(handle: &str) -> Result<(u64, u32), Fault> {
    let parts = handle.strip_prefix("AQEB-").and_then(|rest| rest.split_once('-'));
    let numbers = parts
        .and_then(|(serial, receives)| Some((u64::from_str_radix(serial, 16).ok()?, u32::from_str_radix(receives, 16).ok()?)));
    numbers.ok_or_else(|| {
        ("ReceiptHandleIsInvalid", format!("The input receipt handle \"{handle}\" is not a valid receipt handle."))
    })
}
