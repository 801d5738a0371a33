//! `rate_per_second` of a rule: each attempt takes the next free slot; one that has to wait for its slot is charged nothing.
//!
//! Slots are this process's own: where several work, each keeps the rate by itself.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{delivery::DeliveryId, id::Id};

/// A slot further away than this is not kept: the delivery asks again then.
const FARTHEST: SignedDuration = SignedDuration::from_mins(10);

/// The slots of every rule that has a rate.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Slots>);

/// A slot that passed so long ago is dropped: its delivery ended before it, or asks for another one.
const FORGOTTEN: SignedDuration = SignedDuration::from_mins(1);

#[derive(Debug, Default)]
struct Slots {
    next: HashMap<Id, Timestamp>,
    taken: HashMap<DeliveryId, Timestamp>,
    /// When past slots were dropped last.
    tidied: Timestamp,
}

impl Slots {
    fn take(&mut self, delivery: &DeliveryId, slot: Timestamp, now: Timestamp) {
        // Not at each: all slots are looked through.
        if now - FORGOTTEN > self.tidied {
            self.taken.retain(|_, slot| *slot >= now - FORGOTTEN);
            self.tidied = now;
        }
        self.taken.insert(delivery.clone(), slot);
    }
}

impl Pace {
    /// When this delivery may send: `None` is now.
    pub(crate) fn wait(&self, rule: &Id, rate_per_second: u32, delivery: &DeliveryId, now: Timestamp) -> Option<Timestamp> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.taken.get(delivery).copied() {
            if slot > now {
                return Some(slot);
            }
            slots.taken.remove(delivery);
            return None;
        }
        let slot = slots.next.get(rule).copied().unwrap_or(now).max(now);
        if slot > now + FARTHEST {
            return Some(now + FARTHEST);
        }
        let step = SignedDuration::from_nanos(1_000_000_000 / i64::from(rate_per_second.max(1)));
        slots.next.insert(rule.clone(), slot + step);
        if slot <= now {
            return None;
        }
        slots.take(delivery, slot, now);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use tracking_core::delivery::Cause;

    use super::*;

    #[test]
    fn a_rate_gives_each_attempt_a_slot_of_its_own() {
        let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let rule: Id = "trk_1".parse().unwrap();
        let delivery = |n: u64| DeliveryId::derive(&"cnv_1".parse().unwrap(), &rule, "conversion:cnv_1", Cause::Final(n));
        let pace = Pace::default();
        let half = SignedDuration::from_millis(500);
        assert_eq!(pace.wait(&rule, 2, &delivery(1), now), None);
        assert_eq!(pace.wait(&rule, 2, &delivery(2), now), Some(now + half));
        assert_eq!(pace.wait(&rule, 2, &delivery(3), now), Some(now + half + half));
        assert_eq!(pace.wait(&rule, 2, &delivery(2), now), Some(now + half), "it keeps its slot");
        assert_eq!(pace.wait(&rule, 2, &delivery(2), now + half), None);
        assert_eq!(pace.wait(&rule, 2, &delivery(4), now + half + half + half), None, "slots that nobody took are gone");
    }

    #[test]
    fn past_slots_of_deliveries_that_ended_before_them_are_dropped() {
        let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let rule: Id = "trk_1".parse().unwrap();
        let delivery = |n: u64| DeliveryId::derive(&"cnv_1".parse().unwrap(), &rule, "conversion:cnv_1", Cause::Final(n));
        let pace = Pace::default();
        let slots = || pace.0.lock().unwrap().taken.len();
        for n in 0..4 {
            pace.wait(&rule, 1, &delivery(n), now);
        }
        assert_eq!(slots(), 3, "one was sent at once, slots are one, two and three seconds away");
        let later = now + SignedDuration::from_millis(62_500);
        pace.wait(&rule, 1, &delivery(5), later);
        assert_eq!(pace.wait(&rule, 1, &delivery(6), later), Some(later + SignedDuration::from_secs(1)));
        assert_eq!(slots(), 2, "that of three seconds and the new one are left");
        assert_eq!(pace.wait(&rule, 1, &delivery(3), later), None, "it keeps its slot");
    }
}
