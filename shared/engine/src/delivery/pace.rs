//! The pace at which deliveries wait again whose looks are costly: after each wait a long event is read with all of its parameters, and a
//! delivery that waits for the lease of another one writes its row. Without a pace, one event of 256 KiB and 20 rules that ask again every
//! second would have 5 MB parsed a second.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tracking_core::caller::Owner;

/// Bytes that are read or written after one owner's waits in a second.
const BYTES_PER_SECOND: usize = 4 * 1_024 * 1_024;
/// The time whose bytes may be read at a go.
const AT_A_GO: SignedDuration = SignedDuration::from_secs(8);
/// Owners that are kept; those whose bytes are all read go first.
const MOST_OWNERS: usize = 1_024;

/// The time at which the bytes of each owner are read, at that pace.
#[derive(Debug, Default)]
pub(crate) struct WaitPace(Mutex<HashMap<Owner, Timestamp>>);

impl WaitPace {
    /// Returns the time at which a delivery that is to go on at `due` may do so, where that costs so many bytes.
    pub(super) fn slot(&self, owner: &Owner, bytes: usize, due: Timestamp, now: Timestamp) -> Timestamp {
        if bytes == 0 {
            return due;
        }
        let micros = i64::try_from(bytes * 1_000_000 / BYTES_PER_SECOND).expect("an event has at most 256 KiB");
        let mut read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if read.len() >= MOST_OWNERS {
            read.retain(|_, at| *at > now);
        }
        let at = read.entry(owner.clone()).or_insert(now);
        let before = (*at).max(now);
        *at = before + SignedDuration::from_micros(micros);
        due.max(before - AT_A_GO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{StoredEvent, event};

    fn event(kib: usize) -> usize {
        StoredEvent::new(event::tests::event(kib)).long_bytes()
    }

    #[test]
    fn f10_waits_with_long_events_have_a_pace_per_owner() {
        let pace = WaitPace::default();
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let due = now + SignedDuration::from_secs(1);
        let (short, long) = (event(3), event(200));
        let mut slots: Vec<Timestamp> = (0..2_000).map(|_| pace.slot(&Owner::Admin, long, due, now)).collect();
        assert!(slots.is_sorted());
        assert_eq!(slots.iter().filter(|slot| **slot == due).count(), 183, "8 s of 4 MiB/s, and the second until they are due");
        let last = slots.pop().unwrap().duration_since(now).as_secs();
        assert_eq!(last, 90, "2 000 of 206 KB at 4 MiB/s, less 8 s");
        assert_eq!(pace.slot(&Owner::Admin, short, due, now), due, "a short event has no part in it");
        let far = now + SignedDuration::from_hours(1);
        assert_eq!(pace.slot(&Owner::Admin, long, far, now), far, "a long wait stays as it is");
        let other = Owner::Affiliate { affiliate_id: "aff_1".parse().unwrap() };
        assert_eq!(pace.slot(&other, long, due, now), due, "another owner's wait for nobody");
        let later = now + SignedDuration::from_secs(200);
        assert_eq!(pace.slot(&Owner::Admin, long, later, later), later, "what is read is read");
    }
}
