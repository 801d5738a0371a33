//! Holds: one final postback once the conversion is settled (F1–F4).
//!
//! A hold belongs to one rule and one conversion. It keeps the newest known state and the subjects that fired the trigger.
//! Updates commute, so late and repeated changes lead to the same hold. The next step (release, wait, expire) is
//! computed from the hold, never stored beside it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use crate::{
    change::{Change, Transaction},
    event::{Event, EventKind, Order, Subject},
    times::later,
    tracking_api::{Final, OnExpiry},
};

/// The phase of a subject's final postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Still held.
    Held,
    /// The final postback was handed over for sending, with the state of this version.
    Released(u64),
    /// The conditions did not hold for the state of this version (F3).
    Skipped(u64),
    /// Held for too long, nothing was sent (F3); it is still sent if the conversion is settled later.
    Expired,
    /// Held for too long and sent as it was (F3).
    SentAsWas,
}

/// One subject of a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSubject {
    /// The newest event that fired the trigger: its place in the order and its kind.
    pub newest: (Order, EventKind),
    /// The transaction as it was last seen, if the subject is one; a later change may not list it.
    pub transaction: Option<Transaction>,
    /// Version of `transaction`'s change.
    pub seen: u64,
    /// The phase of its final postback.
    pub phase: Phase,
}

/// Everything that one rule holds for one conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The newest known change.
    pub newest: Change,
    /// The subjects that fired the trigger.
    pub subjects: BTreeMap<Subject, HeldSubject>,
    /// The time since which the newest state is settled.
    pub settled_at: Option<Timestamp>,
    /// The time since which something is held without a break: the start of `max_hold_days`. `None` if nothing is held.
    pub held_since: Option<Timestamp>,
    /// `true` once a change had a transaction, or the platform said that the conversion is settled: nothing is held before (F1).
    pub has_substance: bool,
}

/// The kind of a hold's postback; it is part of the delivery's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostbackKind {
    /// The one final postback.
    Final,
    /// The postback of a conversion that was settled after the hold expired.
    Late,
    /// A change after the final postback, or after one that was skipped.
    Change,
}

/// A postback that a hold owes now. The caller judges the rule's conditions on `event` (F3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuePostback {
    /// The subject of the postback.
    pub subject: Subject,
    /// The event with the newest state.
    pub event: Event,
    /// The conversion's transactions; a conversion's postback is about the first that fits (C2).
    pub transactions: Vec<Transaction>,
    /// The kind of the postback.
    pub kind: PostbackKind,
    /// The reason why nothing is sent; the delivery ends as expired or skipped.
    pub instead: Option<Ending>,
}

/// The reason why a hold ends without sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// F3: the conversion was never settled.
    Expired,
    /// F4: the final postback went out before.
    FinalAlreadySent,
}

impl Hold {
    /// A hold that begins with this change; no subject is held yet.
    pub fn begin(change: &Change, now: Timestamp) -> Self {
        let settled_at = change.is_settled().then_some(now);
        Self { newest: change.clone(), subjects: BTreeMap::new(), settled_at, held_since: None, has_substance: false }
    }

    /// Adds a change: a newer or equal version replaces the state, an older one only adds subjects (updates commute).
    /// `fired` are the change's events that fire the trigger. Returns the postbacks that are due at once for subjects with a final postback
    /// (F4): corrections with a settled state, and changes that are recorded as skipped.
    pub fn absorb(&mut self, change: &Change, fired: &[Event], delay: Final, now: Timestamp) -> Vec<DuePostback> {
        let version = change.conversion.version;
        let is_late = version < self.newest.conversion.version;
        if !is_late {
            self.newest = change.clone();
            self.settled_at = if change.is_settled() { self.settled_at.or(Some(now)) } else { None };
        }
        let mut too_late: BTreeMap<Subject, DuePostback> = BTreeMap::new();
        for event in fired {
            let subject = event.subject();
            let order = event.order();
            let held = self.subjects.entry(subject.clone()).or_insert_with(|| HeldSubject {
                newest: (order, event.kind),
                transaction: None,
                seen: 0,
                phase: Phase::Held,
            });
            if order >= held.newest.0 {
                held.newest = (order, event.kind);
            }
            if let Phase::Released(at) = held.phase
                && version > at
                && !delay.corrections
            {
                let due = DuePostback {
                    subject: subject.clone(),
                    event: event.clone(),
                    transactions: change.transactions.clone(),
                    kind: PostbackKind::Change,
                    instead: Some(Ending::FinalAlreadySent),
                };
                too_late.insert(subject, due);
            }
        }
        remember(&mut self.subjects, version, &change.transactions);
        if is_late {
            // A subject that this change added may have a newer known state.
            remember(&mut self.subjects, self.newest.conversion.version, &self.newest.transactions);
        }
        self.has_substance |= change.has_substance();
        if self.held_since.is_none() && self.holds_any() && self.has_substance {
            self.held_since = Some(now);
        }
        let mut owed: Vec<DuePostback> = too_late.into_values().collect();
        owed.extend(self.changes_owed(delay));
        owed
    }

    /// Changes that fired after their subject's final postback and are settled now (F4): corrections, or the first postback if the final
    /// one was skipped.
    fn changes_owed(&self, delay: Final) -> Vec<DuePostback> {
        if self.settled_at.is_none() {
            return Vec::new();
        }
        let owed = self.subjects.iter().filter_map(|(subject, held)| {
            let (last_version, is_correction) = match held.phase {
                Phase::Released(at) if delay.corrections => (at, true),
                Phase::Skipped(at) => (at, false),
                _ => return None,
            };
            if held.newest.0.version <= last_version {
                return None;
            }
            let event = Event { is_correction, ..self.event_of(subject, held) };
            let transactions = self.newest.transactions.clone();
            Some(DuePostback { subject: subject.clone(), event, transactions, kind: PostbackKind::Change, instead: None })
        });
        owed.collect()
    }

    /// Returns true if anything is held: a conversion without a transaction has no hold until its first one, or until the platform says
    /// that it is settled (F1).
    pub fn is_open(&self) -> bool {
        self.held_since.is_some() && self.holds_any()
    }

    fn holds_any(&self) -> bool {
        self.subjects.values().any(|held| held.phase == Phase::Held)
    }

    /// The subjects that are held now.
    pub fn held(&self) -> impl Iterator<Item = (&Subject, &HeldSubject)> {
        let open = self.is_open();
        self.subjects.iter().filter(move |(_, held)| open && held.phase == Phase::Held)
    }

    /// The time at which the hold is due, if ever: the end of `settle_seconds` once settled, else its expiry.
    pub fn due(&self, delay: Final) -> Option<Timestamp> {
        let unsent = |phase: Phase| matches!(phase, Phase::Held | Phase::Expired | Phase::SentAsWas);
        if let Some(settled_at) = self.settled_at {
            let waits = self.subjects.values().any(|held| unsent(held.phase));
            return waits.then(|| later(settled_at, SignedDuration::from_secs(i64::from(delay.settle_seconds))));
        }
        let since = self.held_since.filter(|_| self.is_open())?;
        Some(later(since, SignedDuration::from_hours(24 * i64::from(delay.max_hold_days))))
    }

    /// The postbacks that are due: final postbacks of a settled hold, or the end of one that was held too long. Empty if none
    /// is due yet.
    pub fn owed(&self, delay: Final, now: Timestamp) -> Vec<DuePostback> {
        if self.due(delay).is_none_or(|due| due > now) {
            return Vec::new();
        }
        let settled = self.settled_at.is_some();
        let mut owed = Vec::new();
        for (subject, held) in &self.subjects {
            let (kind, instead) = match held.phase {
                Phase::Held if settled || delay.on_expiry == OnExpiry::SendCurrent => (PostbackKind::Final, None),
                Phase::Held => (PostbackKind::Final, Some(Ending::Expired)),
                Phase::Expired | Phase::SentAsWas if settled => (PostbackKind::Late, None),
                _ => continue,
            };
            let transactions = self.newest.transactions.clone();
            owed.push(DuePostback { subject: subject.clone(), event: self.event_of(subject, held), transactions, kind, instead });
        }
        owed
    }

    /// A subject's postback as it would be sent now, if it is held.
    pub fn early(&self, subject: &Subject) -> Option<DuePostback> {
        let (subject, held) = self.held().find(|(held, _)| *held == subject)?;
        let (event, transactions) = (self.event_of(subject, held), self.newest.transactions.clone());
        Some(DuePostback { subject: subject.clone(), event, transactions, kind: PostbackKind::Final, instead: None })
    }

    /// The postback of a delivery that was held and never sent, with the newest state. `held` is the event that it was held with: the hold
    /// has forgotten its subject if the rule was switched off since (P6).
    pub fn as_known_now(&self, held: &Event) -> DuePostback {
        let subject = held.subject();
        let known = self.subjects.get(&subject).cloned().unwrap_or_else(|| self.forgotten(held));
        let (event, transactions) = (self.event_of(&subject, &known), self.newest.transactions.clone());
        DuePostback { subject, event, transactions, kind: PostbackKind::Final, instead: None }
    }

    /// Records that a person sends a delivery that was held and never sent: it counts as the final one if the conversion is
    /// settled, else as sent as it was (F3). `held` is the event that it was held with. `is_own`: it is the subject's held
    /// postback.
    pub fn sent_by_hand(&mut self, due: &DuePostback, held: &Event, is_own: bool) {
        let version = due.event.conversion.version;
        let is_settled = self.settled_at.is_some() && version == self.newest.conversion.version;
        let forgotten = self.forgotten(held);
        let subject = self.subjects.entry(due.subject.clone()).or_insert(forgotten);
        subject.phase = match subject.phase {
            Phase::Held if !is_own => Phase::Held,
            Phase::Released(at) if is_settled => Phase::Released(at.max(version)),
            Phase::Released(at) => Phase::Released(at),
            _ if is_settled => Phase::Released(version),
            _ => Phase::SentAsWas,
        };
        if !self.holds_any() {
            self.held_since = None;
        }
    }

    /// A forgotten subject, rebuilt from the event that it was held with and the newest state.
    fn forgotten(&self, held: &Event) -> HeldSubject {
        let (order, transaction) = (held.order(), held.transaction.clone());
        let subject = HeldSubject { newest: (order, held.kind), transaction, seen: order.version, phase: Phase::Expired };
        let mut subjects = BTreeMap::from([(held.subject(), subject.clone())]);
        remember(&mut subjects, self.newest.conversion.version, &self.newest.transactions);
        subjects.remove(&held.subject()).unwrap_or(subject)
    }

    /// Records the end of a due postback. `sent`: it was handed over for sending; otherwise its conditions failed.
    pub fn conclude(&mut self, due: &DuePostback, sent: bool) {
        let version = due.event.conversion.version;
        let settled = self.settled_at.is_some();
        if let Some(held) = self.subjects.get_mut(&due.subject) {
            held.phase = match (due.kind, due.instead) {
                (_, Some(Ending::FinalAlreadySent)) => held.phase,
                (_, Some(Ending::Expired)) => Phase::Expired,
                (PostbackKind::Final, None) if !settled => {
                    if sent {
                        Phase::SentAsWas
                    } else {
                        Phase::Expired
                    }
                }
                (_, None) if sent => Phase::Released(version),
                (PostbackKind::Change, None) if due.event.is_correction => Phase::Released(version),
                (_, None) => Phase::Skipped(version),
            };
        }
        if !self.holds_any() {
            self.held_since = None;
        }
    }

    /// Forgets held and expired subjects: the rule was switched off in between (P6). Sent ones stay.
    pub fn cancel(&mut self) {
        self.subjects.retain(|_, held| !matches!(held.phase, Phase::Held | Phase::Expired));
        self.held_since = None;
    }

    /// The newest state as an event about a subject of this hold.
    pub fn event_about(&self, subject: &Subject) -> Option<Event> {
        self.subjects.get(subject).map(|held| self.event_of(subject, held))
    }

    fn event_of(&self, subject: &Subject, held: &HeldSubject) -> Event {
        let (_, kind) = held.newest;
        let transaction = match subject {
            Subject::Conversion(_) => None,
            Subject::Transaction(_) => held.transaction.clone(),
        };
        let is_final = match &transaction {
            Some(transaction) => transaction.result.is_final(),
            None => all_final(&self.newest.transactions),
        };
        Event {
            change_id: self.newest.change_id.clone(),
            occurred_at: self.newest.occurred_at,
            causation: self.newest.causation.clone(),
            kind,
            conversion: Arc::new(self.newest.conversion.clone()),
            transaction,
            is_final,
            is_correction: false,
        }
    }
}

/// Stores the newest state of the transactions that are subjects.
fn remember(subjects: &mut BTreeMap<Subject, HeldSubject>, version: u64, transactions: &[Transaction]) {
    for transaction in transactions {
        if let Some(held) = subjects.get_mut(&Subject::Transaction(transaction.transaction_id.clone()))
            && version >= held.seen
        {
            held.transaction = Some(transaction.clone());
            held.seen = version;
        }
    }
}

fn all_final(transactions: &[Transaction]) -> bool {
    !transactions.is_empty() && transactions.iter().all(|transaction| transaction.result.is_final())
}

#[cfg(test)]
mod tests;
