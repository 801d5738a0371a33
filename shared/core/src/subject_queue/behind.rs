//! Waiting behind an older flow until it ends (W4): the deliveries that wait, the first to be woken, and the one that ends if too many
//! wait.

use jiff::Timestamp;

use super::{ClaimRequest, Entry, SubjectQueue};
use crate::delivery::DeliveryId;

/// The most deliveries of a subject that wait behind a flow.
pub const MOST_BEHIND: usize = 20;

/// A queue on which a delivery waits behind an older flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitBehind {
    /// The queue to write.
    pub queue: SubjectQueue,
    /// The oldest waiting delivery, if more than [`MOST_BEHIND`] would wait: it ends, and is not on the queue. It may be the delivery of
    /// the request.
    pub gives_way: Option<DeliveryId>,
}

impl SubjectQueue {
    /// Returns true if a delivery older than the requested one has begun, or waits to begin, and is open. `is_open` looks a delivery up in
    /// the log.
    pub fn is_behind(&self, request: &ClaimRequest<'_>, is_open: &dyn Fn(&Entry) -> bool) -> bool {
        let is_own = |entry: &Entry| entry.id == *request.id;
        if self.entries.iter().any(|entry| is_own(entry) && entry.attempts > 0) {
            return false;
        }
        let goes_first = |entry: &Entry| entry.attempts > 0 || entry.waits(request.present.now);
        self.entries.iter().any(|entry| !is_own(entry) && entry.order < request.order && goes_first(entry) && is_open(entry))
    }

    /// The queue while a delivery without an attempt waits to be woken; it polls at `until`. `None` if the queue is full.
    pub fn behind(&self, request: &ClaimRequest<'_>, until: Timestamp) -> Option<WaitBehind> {
        let mut queue = self.waiting(request, 1, until, None)?;
        let waits = |entry: &Entry| entry.waits(request.present.now);
        if queue.entries.iter().filter(|entry| waits(entry)).count() <= MOST_BEHIND {
            return Some(WaitBehind { queue, gives_way: None });
        }
        let gives_way = queue.first_waiting(request.present.now, &|_| true).cloned();
        queue.entries.retain(|entry| Some(&entry.id) != gives_way.as_ref());
        Some(WaitBehind { queue, gives_way })
    }

    /// The oldest open delivery that waits for its first attempt.
    pub fn first_waiting(&self, now: Timestamp, is_open: &dyn Fn(&Entry) -> bool) -> Option<&DeliveryId> {
        let waiting = self.entries.iter().filter(|entry| entry.waits(now) && is_open(entry));
        waiting.min_by_key(|entry| entry.order).map(|entry| &entry.id)
    }
}

impl Entry {
    /// Returns true if it waits for its first attempt and is known.
    fn waits(&self, now: Timestamp) -> bool {
        self.attempts == 0 && self.parked_until.is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::subject_queue::{
        Present,
        tests::{created, delivery},
    };

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const HOUR: SignedDuration = SignedDuration::from_hours(1);

    /// The queue on which `flow`, version 1, has begun and these versions wait behind it, with the deliveries that ended because
    /// too many wait.
    fn queue_of(versions: &[u64]) -> (SubjectQueue, Vec<DeliveryId>) {
        let begun = Entry {
            id: delivery("flow"),
            order: created(1),
            attempts: 1,
            base: 0,
            instruction: None,
            claim: None,
            parked_until: None,
            slot: None,
            returns: None,
        };
        let mut queue = SubjectQueue { head: 1, entries: vec![begun] };
        let mut gave_way = Vec::new();
        for version in versions {
            let id = delivery(&format!("v{version}"));
            let request = ClaimRequest { id: &id, order: created(*version), ..request_of(&id) };
            let behind = queue.behind(&request, NOW + HOUR).expect("there is room");
            queue = behind.queue;
            gave_way.extend(behind.gives_way);
        }
        (queue, gave_way)
    }

    fn request_of(id: &DeliveryId) -> ClaimRequest<'_> {
        let present = Present { now: NOW, incarnation: 1, recording: SignedDuration::ZERO };
        ClaimRequest {
            id,
            order: created(9),
            after: None,
            receive_id: "t",
            present,
            timeout_seconds: 40,
            step: None,
            max_attempts: 3,
        }
    }

    #[test]
    fn w4_the_oldest_that_waits_and_is_open_is_woken() {
        let (queue, gave_way) = queue_of(&[4, 2, 3]);
        assert!(gave_way.is_empty());
        assert_eq!(queue.first_waiting(NOW, &|_| true), Some(&delivery("v2")));
        assert_eq!(queue.first_waiting(NOW, &|entry| entry.id != delivery("v2")), Some(&delivery("v3")));
        assert_eq!(queue.first_waiting(NOW + HOUR * 2, &|_| true), None, "it looks by itself long before");
    }

    #[test]
    fn w4_a_delivery_that_has_not_begun_is_behind_older_ones_that_have_begun_or_wait() {
        let (queue, _) = queue_of(&[2, 3]);
        let behind = |version: u64, is_open: &dyn Fn(&Entry) -> bool| {
            let id = delivery(&format!("v{version}"));
            queue.is_behind(&ClaimRequest { order: created(version), ..request_of(&id) }, is_open)
        };
        assert!(behind(2, &|_| true));
        assert!(!behind(2, &|entry| entry.id != delivery("flow")), "the flow is over");
        assert!(behind(3, &|entry| entry.id != delivery("flow")), "v2 goes first");
        let id = delivery("flow");
        assert!(!queue.is_behind(&ClaimRequest { order: created(1), ..request_of(&id) }, &|_| true));
    }

    #[test]
    fn w4_twenty_wait_and_the_oldest_beyond_gives_way() {
        let versions: Vec<u64> = (2..=21).collect();
        assert!(queue_of(&versions).1.is_empty());
        let versions: Vec<u64> = (2..=22).collect();
        let (queue, gave_way) = queue_of(&versions);
        assert_eq!((gave_way, queue.entries.len()), (vec![delivery("v2")], 21));
        let versions: Vec<u64> = (3..=22).chain([2]).collect();
        assert_eq!(queue_of(&versions).1, [delivery("v2")], "the one that asks, where it is the oldest");
    }
}
