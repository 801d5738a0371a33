//! The port: one store, its queues and the bus, in four methods. This crate holds all logic above it; below it are the embedded store and
//! AWS. All methods take slices and answer per item, in order; a failure is always ours, never a receiver's, and is never charged to a
//! delivery.

use std::{borrow::Cow, future::Future};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracking_core::json::Value;

/// The name of an item: its partition and its place in it. Both are non-empty text, ordered by bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The partition.
    pub partition: String,
    /// The place inside the partition.
    pub sort: String,
}

impl Key {
    /// A key from its two halves.
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }
}

/// A stored item. The body is JSON of the engine's own numbered format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub key: Key,
    /// Its revision, which [`Swap::expect`] is compared with. The store sets it: a swap sets one more than was expected, or 1; a put sets
    /// a revision under which nobody has read this item before.
    pub rev: u64,
    /// The body.
    pub body: String,
    /// The time from which it may be removed, if ever. It can be read for a while after that.
    pub expires: Option<Timestamp>,
    /// Its place in the attention index, if that lists it: the index's partition and the place inside it.
    pub attention: Option<Key>,
}

/// A partition to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partition {
    /// Of the table; strongly consistent.
    Table(String),
    /// Of the attention index; eventually consistent. Its items come with their keys and their places in it, bodies may be empty.
    Attention(String),
}

/// The places of a partition to read. Bounds compare bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// Places at or after this one.
    pub from: Option<String>,
    /// Places before this one.
    pub before: Option<String>,
}

impl Range {
    /// Every place that begins with `prefix`.
    pub fn prefix(prefix: &str) -> Self {
        Self { from: Some(prefix.to_owned()), before: Some(format!("{prefix}\u{10FFFF}")) }
    }
}

/// The direction of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest place first.
    Ascending,
    /// Greatest place first.
    Descending,
}

/// One change of an item that holds only if nobody else changed it since it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// The item's key.
    pub key: Key,
    /// The revision it was read with; `None`: it must not exist.
    pub expect: Option<u64>,
    /// The item to write (its own `rev` is ignored); `None` removes the stored one.
    pub new: Option<Item>,
}

/// The result of a [`Swap`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swapped {
    /// It is done and durable.
    Done,
    /// The store holds something else: this.
    Conflict(Option<Item>),
    /// The store could not say; it may or may not be done.
    Unavailable(StoreError),
}

impl Swapped {
    /// Returns true if it is done; otherwise somebody else was faster.
    ///
    /// # Errors
    /// The store could not say.
    pub fn is_done(self) -> Result<bool, StoreError> {
        match self {
            Self::Done => Ok(true),
            Self::Conflict(_) => Ok(false),
            Self::Unavailable(error) => Err(error),
        }
    }
}

/// The reason why a step was not done. None of these is a receiver's fault, and none is charged to a delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store, a queue or the bus could not be reached, or did not answer: try again later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A row that is damaged: it stays as it is, for people; a message that needs it is dead-lettered.
    #[error("{}can't be read: {why}", Key::named(key.as_ref()))]
    Corrupt {
        /// The row's key, if it is known.
        key: Option<Key>,
        /// The fault.
        why: String,
    },
    /// A row that a newer version wrote: a message that needs it is deferred until that version takes it.
    #[error("{}has format {format}, which is newer than this version knows", Key::named(key.as_ref()))]
    Newer {
        /// The row's key, if it is known.
        key: Option<Key>,
        /// The format.
        format: u32,
    },
    /// Others keep changing the same row: try again later.
    #[error("{0} changes all the time")]
    Contended(String),
    /// The time for it is over: try again later.
    #[error("{0} took too long")]
    TooLate(String),
}

impl StoreError {
    /// Returns true if a row can't be read, now or later by this version.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Newer { .. })
    }

    /// The result of reading one row among many; `None` if it can't be read: it is passed over, and harms nothing but itself.
    pub(crate) fn pass_over<T>(read: Result<T, Self>) -> Result<Option<T>, Self> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.is_unreadable() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Key {
    /// The beginning of a sentence about a row.
    fn named(key: Option<&Self>) -> String {
        key.map_or_else(|| "a row ".to_owned(), |Self { partition, sort }| format!("row {partition} / {sort} "))
    }
}

/// The lanes of the queue: fresh postbacks and waiting ones never block each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Changes that wait to be matched.
    Events,
    /// First tries.
    Delivery,
    /// Everything that waits: retries, holds, deliveries that wait behind another.
    Retry,
}

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The lane it goes to.
    pub lane: Lane,
    /// Messages of one group share one turn; a slow group holds up no other (P5). A name with a `/` begins with the name of an owner:
    /// groups of one owner share its bound on messages in work.
    pub group: String,
    /// Not handed out before this time; a lane may hand it out earlier than asked, never lose it.
    pub not_before: Option<Timestamp>,
    /// The body, JSON.
    pub body: String,
}

/// A message that was handed out and is worked on. Its receiver acks it through [`Effects::acks`] or hands it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Names this very hand-out to the lane.
    pub receipt: Receipt,
    /// Names the message: the same for each of its hand-outs.
    pub id: String,
    /// True if the lane knows that it was handed out before.
    pub redelivered: bool,
    /// The receive id: differs for every hand-out of every message, and is the same in repeats of one call.
    pub receive_id: String,
    /// The body that was sent.
    pub body: String,
}

impl Received {
    /// Effects that delete the message, and nothing else.
    pub fn done(&self) -> Effects {
        Effects { acks: vec![Ack::Delete(self.receipt.clone())], ..Effects::default() }
    }
}

/// Names one hand-out of one message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The lane.
    pub lane: Lane,
    /// The lane's own name for it.
    pub handle: String,
}

/// The ack of a received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ack {
    /// It is deleted.
    Delete(Receipt),
    /// It is deferred: handed out again at this time or soon after.
    Defer(Receipt, Timestamp),
}

/// An event of ours for the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The time at which it happened.
    pub time: Timestamp,
    /// Its detail-type (docs/results-out.md).
    pub detail_type: Cow<'static, str>,
    /// Its detail.
    pub detail: Value,
    /// The number of times that the bus has refused it.
    #[serde(default)]
    pub refusals: u32,
    /// The time of the first refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_since: Option<Timestamp>,
}

impl Published {
    /// An event that the bus has not been offered yet.
    pub fn new(time: Timestamp, detail_type: &'static str, detail: Value) -> Self {
        Self { time, detail_type: detail_type.into(), detail, refusals: 0, refused_since: None }
    }
}

/// The effects of one step.
///
/// On a store with transactions all of it takes effect at once or not at all. Elsewhere it takes effect part by part, and a part that
/// fails has no further part:
///
/// 1. If the step acks a message: items, events, items that record that the events are out, messages, removals, and at last the acks. A
///    crash in between brings the message again, and with it the step.
/// 2. If the step acks none, so that nothing would repeat it: its messages go first, and their sender makes sure that they are handed out
///    after the items have been written.
///
/// Removals go after the items that replace them. An event that the bus refuses goes to the retry lane ([`Published::offered_again`]) and
/// counts as published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Events for the bus.
    pub publish: Vec<Published>,
    /// Messages.
    pub send: Vec<Message>,
    /// Items to write, whatever the store holds under their keys.
    pub put: Vec<Item>,
    /// Items to write in place of those of `put` with the same keys once the events are out, unless somebody else has written them since.
    pub put_published: Vec<Item>,
    /// Items to remove.
    pub delete: Vec<Key>,
    /// The acks of the messages that led to this.
    pub acks: Vec<Ack>,
}

/// A store with queues and a bus.
pub trait Backend: Clone + Send + Sync + 'static {
    /// The incarnation of this process: differs from those of earlier processes on a store that only one process can hold, whose leases are
    /// void. Always the same where several processes share the store.
    fn incarnation(&self) -> u64;

    /// True if a step's effects are one transaction, those on the bus among them.
    fn is_transactional(&self) -> bool;

    /// The longest time, as of now, for which a received message of the retry lane can be deferred there. A message that waits longer is
    /// sent again or filed as a due row; a lane that is full says so by a short time.
    fn longest_wait(&self) -> SignedDuration;

    /// The items of these keys, strongly consistent, `None` where there is none.
    fn get(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<Option<Item>>, StoreError>> + Send;

    /// At most `limit` items of a partition's range in order. Fewer than `limit` means: there are no more.
    fn query(
        &self,
        partition: &Partition,
        range: &Range,
        order: Order,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Item>, StoreError>> + Send;

    /// Compare-and-set of single items, each on its own.
    fn swap(&self, swaps: Vec<Swap>) -> impl Future<Output = Vec<Swapped>> + Send;

    /// Effects of several steps, each on its own.
    fn commit(&self, effects: Vec<Effects>) -> impl Future<Output = Vec<Result<(), StoreError>>> + Send;
}
