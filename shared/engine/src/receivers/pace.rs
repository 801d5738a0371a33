//! The pace at which the deliveries of one owner are filed under a receiver that is down. Behind a long outage there are thousands: filed as
//! fast as possible, they would take the store for seconds from everybody else.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tracking_core::caller::Owner;

/// The time between two filings of one owner: a hundred a second.
const INTERVAL: Duration = Duration::from_millis(10);
/// The filings of an owner that need not wait after a pause.
const BURST: u32 = 50;
/// Owners that are remembered; after that those go that need not wait.
const MOST_OWNERS: usize = 1_024;

/// The time at which each owner has its next regular turn.
#[derive(Debug, Default)]
pub(crate) struct FilingPace(Mutex<HashMap<Owner, Instant>>);

impl FilingPace {
    /// Waits until the owner may file a delivery.
    pub(crate) async fn turn(&self, owner: &Owner) {
        sleep_until(self.take(owner, Instant::now())).await;
    }

    /// Takes the owner's next turn. Returns its time.
    fn take(&self, owner: &Owner, now: Instant) -> Instant {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.len() >= MOST_OWNERS {
            owners.retain(|_, next| *next > now);
        }
        let next = owners.entry(owner.clone()).or_insert(now);
        *next = (*next).max(now) + INTERVAL;
        *next - INTERVAL * BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_deliveries_of_an_owner_are_filed_a_second_once_the_burst_is_used_up() {
        let pace = FilingPace::default();
        let owner = |id: &str| Owner::Affiliate { affiliate_id: id.parse().unwrap() };
        let start = Instant::now() + Duration::from_secs(10);
        let waits = |id: &str, now: Instant, count: usize| {
            let last = (0..count).map(|_| pace.take(&owner(id), now)).last();
            last.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
        };
        assert_eq!(waits("aff_1", start, 50), Duration::ZERO);
        assert_eq!(waits("aff_1", start, 1), Duration::from_millis(10));
        assert_eq!(waits("aff_1", start, 100), Duration::from_millis(1_010));
        assert_eq!(waits("aff_2", start, 50), Duration::ZERO, "another owner has turns of its own");
        assert_eq!(waits("aff_1", start + Duration::from_secs(1), 1), Duration::from_millis(20));
        assert_eq!(waits("aff_1", start + Duration::from_secs(9), 50), Duration::ZERO, "the burst comes back");
    }
}
