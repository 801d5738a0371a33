//! The position of a delivery on its queue, for a person who asks why it does not move. It only reads, and makes the same checks
//! as [`SubjectQueue::decide`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ClaimRequest, Decision, Entry, PARKED, Recorded, Returns, SubjectQueue};
use crate::delivery::DeliveryId;

/// Looks a delivery up in the log.
type Log<'a> = &'a dyn Fn(&DeliveryId) -> Option<Recorded>;

/// A delivery of the same queue that another one waits behind (P3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// The delivery that goes first.
    pub id: DeliveryId,
    /// The reason why it goes first.
    pub kind: BlockerKind,
    /// The end of the wait if nothing else ends it; `None` if the caller of [`SubjectQueue::blocker`] limits the wait.
    pub until: Option<Timestamp>,
}

/// The reason why a delivery goes before another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockerKind {
    /// One of its attempts is in flight.
    InFlight,
    /// It is older and has not had its first attempt.
    Older,
    /// It is of the same change and has not had its first attempt.
    SameChange,
    /// Its flow sends the next step at once (W4).
    BetweenSteps,
}

/// A lease on an attempt that has no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The attempt; 1 is the first.
    pub attempt: u32,
    /// The end of the lease.
    pub until: Timestamp,
    /// The time from which the attempt counts as cut off: before that its record may still be on its way.
    pub cut_off_at: Timestamp,
    /// `true` if it keeps the delivery: the attempt does not count as cut off yet, and its process has the present incarnation.
    pub is_live: bool,
}

/// The position of one delivery on its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The decision for a message of this delivery that is handed out now.
    pub decision: Decision,
    /// Attempts claimed or recorded so far.
    pub attempts: u32,
    /// The lease of its last attempt, if that has no record.
    pub lease: Option<Lease>,
    /// The delivery that it waits behind.
    pub blocker: Option<Blocker>,
    /// The slot of its next attempt, if its rule has a rate.
    pub slot: Option<Timestamp>,
    /// The time of its next poll before its first attempt.
    pub looks_at: Option<Timestamp>,
    /// The claims of an attempt that were given back.
    pub returns: Option<Returns>,
    /// The newest version whose first attempt was claimed.
    pub head: u64,
}

impl SubjectQueue {
    /// Returns the position of the delivery in `request`.
    pub fn position(&self, request: &ClaimRequest<'_>, recorded: Log<'_>) -> Position {
        let own = self.entries.iter().find(|entry| entry.id == *request.id);
        let in_log = recorded(request.id).map_or(0, |record| record.attempts);
        let unrecorded = own.filter(|entry| entry.attempts > in_log);
        let lease = unrecorded.and_then(|entry| {
            let claim = entry.claim.as_ref()?;
            let (cut_off_at, is_live) = (claim.cut_off_at(request.present), claim.keeps(request.present));
            Some(Lease { attempt: entry.attempts, until: claim.lease_until, cut_off_at, is_live })
        });
        Position {
            decision: self.decide(request, recorded),
            attempts: own.map_or(0, |entry| entry.attempts).max(in_log),
            lease,
            blocker: self.blocker(request, recorded),
            slot: own.and_then(|entry| entry.slot),
            looks_at: own.filter(|entry| entry.attempts == 0).and_then(|entry| entry.parked_until).map(|until| until - PARKED),
            returns: own.and_then(|entry| entry.returns),
            head: self.head,
        }
    }

    /// Returns the delivery of this queue that prevents a claim of another one: one that is being sent, or one that goes first and
    /// has not had its first attempt (P3).
    pub fn blocker(&self, request: &ClaimRequest<'_>, recorded: Log<'_>) -> Option<Blocker> {
        let others = || self.entries.iter().filter(|entry| entry.id != *request.id);
        let awaited = request.after.filter(|first| {
            !others().any(|entry| entry.id == **first && entry.attempts > 0)
                && recorded(first).is_none_or(|record| !record.ended && record.attempts == 0)
        });
        let in_flight = others().find_map(|entry| entry.in_flight_until(request, recorded).map(|until| (entry, until)));
        if let Some((entry, until)) = in_flight {
            return Some(Blocker { id: entry.id.clone(), kind: BlockerKind::InFlight, until: Some(until) });
        }
        let going_on = others().find_map(|entry| entry.keeps_until(request, recorded).map(|until| (entry, until)));
        if let Some((entry, until)) = going_on {
            return Some(Blocker { id: entry.id.clone(), kind: BlockerKind::BetweenSteps, until: Some(until) });
        }
        let older = others().find_map(|entry| entry.goes_first_until(request, recorded).map(|until| (entry, until)));
        if let Some((entry, until)) = older {
            return Some(Blocker { id: entry.id.clone(), kind: BlockerKind::Older, until: Some(until) });
        }
        awaited.map(|first| Blocker { id: first.clone(), kind: BlockerKind::SameChange, until: None })
    }
}

impl Entry {
    /// The end of the lease under which an attempt of this entry is being sent.
    fn in_flight_until(&self, request: &ClaimRequest<'_>, recorded: Log<'_>) -> Option<Timestamp> {
        let claim = self.claim.as_ref().filter(|claim| claim.is_live(request.present))?;
        let is_open = recorded(&self.id).is_none_or(|record| !record.ended && record.attempts < self.attempts);
        is_open.then_some(claim.lease_until)
    }

    /// The time until which this entry keeps the queue for its next step (W4).
    fn keeps_until(&self, request: &ClaimRequest<'_>, recorded: Log<'_>) -> Option<Timestamp> {
        let record = recorded(&self.id).filter(|record| !record.ended)?;
        record.keeps_until.filter(|until| *until > request.present.now)
    }

    /// The time until which this entry, without an attempt, goes before the delivery of `request`.
    fn goes_first_until(&self, request: &ClaimRequest<'_>, recorded: Log<'_>) -> Option<Timestamp> {
        let until =
            self.parked_until.filter(|until| self.attempts == 0 && self.order < request.order && *until > request.present.now)?;
        recorded(&self.id).is_none_or(|record| !record.ended).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::{
        super::{
            Claim, Present,
            tests::{created, delivery},
        },
        *,
    };

    const NOW: &str = "2026-11-22T09:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn entry(name: &str, version: u64, attempts: u32) -> Entry {
        let (order, id) = (created(version), delivery(name));
        Entry { id, order, attempts, base: 0, instruction: None, claim: None, parked_until: None, slot: None, returns: None }
    }

    fn position(entries: Vec<Entry>, after: Option<&str>, incarnation: u64) -> Position {
        position_where_records_take(0, entries, after, incarnation)
    }

    /// The position of `b`, version 2, on a queue with these entries; the log is empty.
    fn position_where_records_take(recording: i64, entries: Vec<Entry>, after: Option<&str>, incarnation: u64) -> Position {
        let (id, after) = (delivery("b"), after.map(delivery));
        let request = ClaimRequest {
            id: &id,
            order: created(2),
            after: after.as_ref(),
            receive_id: "t",
            present: Present { now: at(NOW), incarnation, recording: SignedDuration::from_secs(recording) },
            timeout_seconds: 40,
            step: None,
            max_attempts: 3,
        };
        SubjectQueue { head: 0, entries }.position(&request, &|_| None)
    }

    fn claimed(entry: Entry) -> Entry {
        let claim = Claim {
            receive_id: "x".to_owned(),
            lease_until: at("2026-11-22T09:00:55Z"),
            incarnation: 1,
            shared: false,
            step: None,
        };
        Entry { claim: Some(claim), ..entry }
    }

    #[test]
    fn p3_what_is_in_flight_is_named_with_its_lease() {
        let found = position(vec![claimed(entry("a", 1, 1))], None, 1).blocker.unwrap();
        assert_eq!((found.id, found.kind), (delivery("a"), BlockerKind::InFlight));
        assert_eq!(found.until, Some(at("2026-11-22T09:00:55Z")));
        assert_eq!(position(vec![claimed(entry("a", 1, 1))], None, 2).blocker, None, "a claim of another incarnation is void");
    }

    #[test]
    fn p3_an_older_one_without_an_attempt_is_named_as_long_as_it_is_known() {
        let parked = |until: &str| Entry { parked_until: Some(at(until)), ..entry("a", 1, 0) };
        let found = position(vec![parked("2026-11-22T09:01:00Z")], None, 1).blocker.unwrap();
        assert_eq!((found.kind, found.until), (BlockerKind::Older, Some(at("2026-11-22T09:01:00Z"))));
        assert_eq!(position(vec![parked(NOW)], None, 1).blocker, None);
    }

    #[test]
    fn p3_the_first_of_the_same_change_is_named_before_it_is_on_the_queue() {
        let found = position(Vec::new(), Some("a"), 1).blocker.unwrap();
        assert_eq!((found.id, found.kind, found.until), (delivery("a"), BlockerKind::SameChange, None));
    }

    #[test]
    fn l1_an_attempt_without_a_record_has_a_lease_live_or_not() {
        let own = || vec![claimed(entry("b", 2, 1))];
        let until = at("2026-11-22T09:00:55Z");
        let lease = |cut_off_at, is_live| Some(Lease { attempt: 1, until, cut_off_at, is_live });
        assert_eq!(position(own(), None, 1).lease, lease(until, true));
        let late = position_where_records_take(600, own(), None, 1);
        assert_eq!(late.lease, lease(at("2026-11-22T09:10:55Z"), true));
        let after_a_restart = position(own(), None, 2);
        assert_eq!(after_a_restart.lease, lease(until, false));
        assert!(matches!(after_a_restart.decision, Decision::Claim { attempt: 2, .. }));
    }
}
