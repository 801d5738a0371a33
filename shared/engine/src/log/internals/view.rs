//! The internals of a delivery as admins see them: decoded rows. They hold only ids of events, and only names of secrets.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{
    caller::Owner,
    delivery::{DeliveryId, State},
    event::EventKind,
    id::Id,
    standstill::WaitCause,
    subject_queue::{Blocker, Instruction, Returns},
};

pub use crate::holds::HoldInternals;

/// Everything that decides what a delivery does next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Internals {
    /// The delivery.
    pub id: DeliveryId,
    /// The time at which it was looked at.
    pub at: Timestamp,
    /// The kind of reason why it does not move.
    pub cause: WaitCause,
    /// The reason in a sentence.
    pub why: String,
    /// The time until which the reason counts; `None` if no time ends it.
    pub until: Option<Timestamp>,
    /// The rule; `None` if only a row that can't be read knows it.
    pub tracking_api_id: Option<Id>,
    /// The subject, such as `transaction:trx_1`.
    pub subject: Option<String>,
    /// The row; `None` before it was first written, or if it can't be read.
    pub row: Option<RowInternals>,
    /// The rule as it is now; `None` if it is deleted or can't be read.
    pub rule: Option<RuleInternals>,
    /// The subject queue; `None` before anything of it was claimed, or if it can't be read.
    pub subject_queue: Option<QueueInternals>,
    /// The hold of its rule on its conversion.
    pub hold: Option<HoldInternals>,
    /// Due rows that wake it: its own and its hold's.
    pub due_rows: Vec<DueRowInternals>,
    /// The rate of its rule.
    pub rate: Option<RateInternals>,
    /// The beginning of the first hour whose due rows the sweep has not sent yet; `None` before it first runs.
    pub swept_until: Option<Timestamp>,
    /// Rows that can't be read.
    pub unreadable: Vec<UnreadableRow>,
}

/// The row of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowInternals {
    /// The revision of the row.
    pub revision: u64,
    /// The state.
    pub state: State,
    /// The reason of the state.
    pub reason: Option<String>,
    /// Attempts that are recorded.
    pub attempts: u32,
    /// Recorded attempts before the present budget.
    pub base: u32,
    /// The attempts that may be made by the end of the present budget.
    pub max_attempts: u32,
    /// The time of the next attempt.
    pub next_due: Option<Timestamp>,
    /// The time since which it has waited for its present reason.
    pub waits_since: Option<Timestamp>,
    /// The receiver that it waits for, or waited for last.
    pub waits_for_receiver: Option<Id>,
    /// `true` if an attempt was answered pending.
    pub pending: bool,
    /// The rule's epoch when it matched, or was last resent.
    pub epoch: u64,
    /// `true` if it was held before its first attempt.
    pub was_held: bool,
    /// A delivery of the same change that goes first.
    pub after: Option<DeliveryId>,
    /// The owner.
    pub owner: Owner,
    /// The change that it is about.
    pub change_id: Id,
    /// The kind of its event.
    pub event: EventKind,
    /// The conversion.
    pub conversion_id: Id,
    /// The version of the conversion.
    pub version: u64,
    /// The time at which it was made.
    pub created_at: Timestamp,
    /// The time at which it ended.
    pub ended_at: Option<Timestamp>,
    /// Events that the bus may not have taken yet.
    pub outbox: Option<OutboxInternals>,
}

/// Events of a delivery that the bus may not have taken yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxInternals {
    /// Attempts that were made by then.
    pub attempt: u32,
    /// The time of the events.
    pub at: Timestamp,
    /// `true` if a `Conversion Result Received` is among them.
    #[serde(rename = "tells_result")]
    pub has_result: bool,
    /// `true` if a `Delivery Ended` is among them.
    #[serde(rename = "tells_end")]
    pub has_end: bool,
}

/// The rule of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleInternals {
    /// The version.
    pub version: u64,
    /// The epoch: grows each time the rule is switched off.
    pub epoch: u64,
    /// `true` if it fires: it is active, and every secret that it names has or had a value.
    pub live: bool,
    /// `true` if it sends this delivery now.
    pub sends: bool,
    /// Secrets whose values must be written again.
    pub unbound_secrets: Vec<String>,
    /// Attempts of one budget; `None` if the rule's text can't be read, as in the next two fields.
    pub max_attempts: Option<u32>,
    /// The timeout of its request, in seconds.
    pub timeout_seconds: Option<u32>,
    /// The requests that it sends a second at most.
    pub rate_per_second: Option<u32>,
}

/// The subject queue of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueInternals {
    /// The revision of its row.
    pub revision: u64,
    /// The newest version whose first attempt was claimed.
    pub head: u64,
    /// The deliveries that it remembers.
    pub entries: Vec<EntryInternals>,
}

/// One delivery of a subject queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryInternals {
    /// The delivery.
    pub id: DeliveryId,
    /// `true` for the delivery that was asked for.
    pub is_this: bool,
    /// The version of the conversion.
    pub version: u64,
    /// 0 for a created event, 1 for an updated one.
    pub rank: u8,
    /// Attempts that were claimed.
    pub attempts: u32,
    /// Claimed attempts before the present budget.
    pub base: u32,
    /// The instruction that a person gave last.
    pub instruction: Option<Instruction>,
    /// The claim of the last attempt.
    pub claim: Option<ClaimInternals>,
    /// The time until which it is known while it has had no attempt.
    pub parked_until: Option<Timestamp>,
    /// The slot of its next attempt.
    pub slot: Option<Timestamp>,
    /// Claims of its next attempt that were given back.
    pub returns: Option<Returns>,
    /// The state in its row; `None` if there is no row that can be read.
    pub state: Option<State>,
    /// Attempts that its row has recorded.
    pub recorded: Option<u32>,
    /// The entry that it waits behind.
    pub behind: Option<Blocker>,
}

/// A claim of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimInternals {
    /// The end of its lease.
    pub lease_until: Timestamp,
    /// The incarnation of the process that claimed it; always the same where several processes share a store.
    pub incarnation: u64,
    /// `true` if the attempt has no record, the lease is not over, and its process is of the present incarnation.
    pub is_live: bool,
    /// `true` if two hand-outs of one message hold it.
    pub is_shared: bool,
}

/// A due row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueRowInternals {
    /// The time at which it is due.
    pub at: Timestamp,
    /// The bucket of its hour.
    pub partition: String,
    /// The place in the bucket.
    pub sort: String,
}

/// The rate of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateInternals {
    /// The next free slot.
    pub free_from: Timestamp,
    /// The time at which the next attempt that missed its slot may go.
    pub late_from: Timestamp,
}

/// A row that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadableRow {
    /// Its partition.
    pub partition: String,
    /// Its place there.
    pub sort: String,
}
