//! A hold as it is stored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{
    change::{Change, Transaction},
    event::{EventKind, Order, Subject},
    hold::{HeldSubject, Hold, Phase},
    json::Value,
};

use super::outbox::Outbox;
use crate::rows::Unreadable;

/// A hold as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct HoldRow {
    epoch: u64,
    newest: Value,
    subjects: BTreeMap<String, SubjectRow>,
    settled_at: Option<Timestamp>,
    held_since: Option<Timestamp>,
    #[serde(default)]
    has_substance: bool,
    /// The time at which its waker comes, so that none is sent twice.
    woken_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Outbox::is_empty")]
    outbox: Outbox,
}

#[derive(Serialize, Deserialize)]
struct SubjectRow {
    order: Order,
    kind: EventKind,
    transaction: Option<Value>,
    seen: u64,
    phase: PhaseRow,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PhaseRow {
    Held,
    Released(u64),
    Skipped(u64),
    Expired,
    SentAsWas,
}

/// A hold with the data stored beside it.
pub(super) struct Stored {
    pub(super) hold: Hold,
    /// The rule's epoch that it belongs to (P6).
    pub(super) epoch: u64,
    pub(super) woken_at: Option<Timestamp>,
    /// The consequences of the hold as it is that may not have been carried out yet.
    pub(super) outbox: Outbox,
    /// The item's revision; `None` before it is written for the first time.
    pub(super) rev: Option<u64>,
}

impl HoldRow {
    pub(super) fn of(stored: &Stored) -> Self {
        let hold = &stored.hold;
        let subjects = hold.subjects.iter().map(|(subject, held)| {
            let row = SubjectRow {
                order: held.newest.0,
                kind: held.newest.1,
                transaction: held
                    .transaction
                    .as_ref()
                    .filter(|transaction| !hold.newest.transactions.contains(transaction))
                    .map(|transaction| tracking_core::json!(transaction)),
                seen: held.seen,
                phase: match held.phase {
                    Phase::Held => PhaseRow::Held,
                    Phase::Released(at) => PhaseRow::Released(at),
                    Phase::Skipped(at) => PhaseRow::Skipped(at),
                    Phase::Expired => PhaseRow::Expired,
                    Phase::SentAsWas => PhaseRow::SentAsWas,
                },
            };
            (subject.to_string(), row)
        });
        Self {
            epoch: stored.epoch,
            newest: tracking_core::json!(hold.newest),
            subjects: subjects.collect(),
            settled_at: hold.settled_at,
            held_since: hold.held_since,
            has_substance: hold.has_substance,
            woken_at: stored.woken_at,
            outbox: stored.outbox.clone(),
        }
    }

    pub(super) fn stored(self, rev: u64) -> Result<Stored, Unreadable> {
        let unreadable = |error: &dyn std::fmt::Display| Unreadable::Corrupt(error.to_string());
        let newest = Change::parse_detail(&self.newest, "").map_err(|faults| unreadable(&faults))?;
        let mut subjects = BTreeMap::new();
        for (subject, row) in self.subjects {
            let subject: Subject = subject.parse().map_err(|error| unreadable(&error))?;
            let written = row.transaction.map(|value| Transaction::from_value(&value)).transpose();
            let listed =
                || newest.transactions.iter().find(|t| subject == Subject::Transaction(t.transaction_id.clone())).cloned();
            let held = HeldSubject {
                newest: (row.order, row.kind),
                transaction: written.map_err(|faults| unreadable(&faults))?.or_else(listed),
                seen: row.seen,
                phase: match row.phase {
                    PhaseRow::Held => Phase::Held,
                    PhaseRow::Released(at) => Phase::Released(at),
                    PhaseRow::Skipped(at) => Phase::Skipped(at),
                    PhaseRow::Expired => Phase::Expired,
                    PhaseRow::SentAsWas => Phase::SentAsWas,
                },
            };
            subjects.insert(subject, held);
        }
        let hold = Hold {
            newest,
            subjects,
            settled_at: self.settled_at,
            held_since: self.held_since,
            has_substance: self.has_substance,
        };
        Ok(Stored { hold, epoch: self.epoch, woken_at: self.woken_at, outbox: self.outbox, rev: Some(rev) })
    }
}
