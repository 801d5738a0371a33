//! The tasks of queue messages.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{
    delivery::{DeliveryId, State},
    id::Id,
};

use super::{Attempt, DeliveryRow, FORMAT, OwedDelivery, Unreadable, read, write_as};
use crate::backend::{Published, Received};

/// The kinds of tasks that this version knows; a newer version may know more.
const TASKS: [&str; 10] = ["deliver", "wake", "heard", "release", "cancel", "replay", "backfill", "publish", "record", "put_off"];

/// Reads a message. One of an unknown kind is a newer version's.
pub(crate) fn read_task(body: &str) -> Result<Task, Unreadable> {
    #[derive(Deserialize)]
    struct Kind {
        kind: String,
    }
    read(body).map_err(|error| match read::<Kind>(body) {
        Ok(Kind { kind }) if !TASKS.contains(&kind.as_str()) => Unreadable::UnknownKind(kind),
        _ => error,
    })
}

/// Writes a task.
pub(crate) fn write_task(task: &Task) -> String {
    write_as(task.format(), task)
}

/// The task of a queue message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Task {
    /// Send this postback.
    Deliver(Box<OwedDelivery>),
    /// Send the next attempt of a delivery that the log has.
    Wake { delivery: DeliveryId },
    /// Let a delivery that listens read a callback that came.
    Heard { delivery: DeliveryId },
    /// See whether a hold is to be released.
    Release { conversion: Id, rule: Id },
    /// End the waiting or held deliveries of a rule that was switched off (P6).
    Cancel { rule: Id, epoch: u64, from: Option<String> },
    /// Resend a period's deliveries of a rule, a step at a time (L1).
    Replay(Box<Replaying>),
    /// Judge a period's kept events for a rule, a step at a time.
    Backfill(Box<Backfilling>),
    /// Offer events to the bus that it refused before.
    Publish { events: Vec<Published> },
    /// Record an attempt that the table did not take.
    Record(Box<Recording>),
    /// Work a message that needs a newer version, once that version is there.
    PutOff(Box<PutOff>),
}

impl Task {
    /// The format in which it is written.
    fn format(&self) -> u32 {
        match self {
            Self::Deliver(owed) => owed.event.format(),
            Self::Record(recording) => recording.row.owed.event.format(),
            _ => FORMAT,
        }
    }
}

/// A message that was put off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PutOff {
    /// The message, as it came.
    pub(crate) body: String,
    /// The time at which it was first put off.
    pub(crate) first_seen: Timestamp,
    /// The number of times that it was put off before.
    pub(crate) tries: u32,
}

/// The record of an attempt, while the table does not take it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recording {
    /// The delivery's row as it is to be written.
    pub(crate) row: DeliveryRow,
    /// The attempt, if the row does not hold it.
    pub(crate) earlier: Option<Attempt>,
    /// True if no page of the log lists the delivery.
    pub(crate) unlisted: bool,
    /// The receiver's host.
    pub(crate) host: String,
}

impl PutOff {
    /// A message that is put off for the first time, or again if it was before.
    pub(crate) fn of(received: &Received, now: Timestamp) -> Self {
        match read_task(&received.body) {
            Ok(Task::PutOff(before)) => *before,
            _ => Self { body: received.body.clone(), first_seen: now, tries: 0 },
        }
    }
}

/// A replay that is being worked off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Replaying {
    pub(crate) rule: Id,
    /// The rule's epoch when it was asked for: a rule that is switched off meanwhile ends it (P6).
    pub(crate) epoch: u64,
    /// Distinguishes it from other replays.
    pub(crate) id: String,
    pub(crate) asked_at: Timestamp,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) states: Vec<State>,
    pub(crate) force: bool,
    /// The place in the rule's log at which the next step begins.
    pub(crate) place: Option<String>,
}

/// A backfill that is being worked off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backfilling {
    pub(crate) rule: Id,
    /// The rule's epoch when it was asked for.
    pub(crate) epoch: u64,
    /// Its id; one of an earlier version has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) asked_at: Timestamp,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// The place among the kept events at which the next step begins.
    pub(crate) place: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_messages_keep_being_read() {
        let first = r#"{"v":1,"d":{"kind":"wake","delivery":"dlv_0123456789abcdefghjkmnpqrstvwxyz"}}"#;
        let Task::Wake { delivery } = read::<Task>(first).unwrap() else { panic!("a wake") };
        assert_eq!(delivery.as_str(), "dlv_0123456789abcdefghjkmnpqrstvwxyz");
        let unknown =
            read::<Task>(r#"{"v":3,"d":{"kind":"wake","delivery":"dlv_0123456789abcdefghjkmnpqrstvwxyz"}}"#).unwrap_err();
        assert_eq!(unknown.to_string(), "format 3 is not known to this version; it knows up to 2");
    }
}
