//! The work that requests from outside may cause: a share of each owner in this process, counted in bytes.
//!
//! Whoever knows a token or a webhook's id may send as much as they like, and one webhook may be stored for several deliveries. So the
//! bytes of requests and of what is stored of them are paid for from a share that fills steadily.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{caller::Owner, limit::Exceeded};

/// The bytes that a request costs beside those of its content: the reads and the message that it causes.
pub(crate) const REQUEST_BYTES: usize = 4_096;
/// The bytes with which a share fills in a second.
const BYTES_PER_SECOND: i64 = 2 << 20;
/// The bytes of a full share.
const MAX_BYTES: i64 = 16 << 20;
/// The number of owners that are remembered; beyond it those with a full share are forgotten.
const MOST_OWNERS: usize = 1_024;

/// The shares of owners: for each the time at which it is full again.
#[derive(Debug, Default)]
pub(crate) struct CallbackShares(Mutex<HashMap<Owner, Timestamp>>);

impl CallbackShares {
    /// Takes bytes from an owner's share.
    ///
    /// # Errors
    /// There are not so many in it.
    pub(crate) fn take(&self, owner: &Owner, bytes: usize, now: Timestamp) -> Result<(), Exceeded> {
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.len() >= MOST_OWNERS {
            owners.retain(|_, full| *full > now);
        }
        let full = owners.get(owner).map_or(now, |full| *full.max(&now)) + filled_in(i64::try_from(bytes).unwrap_or(i64::MAX));
        if full > now + filled_in(MAX_BYTES) {
            let allowed = "16 MiB of callbacks and webhooks at a go, and 2 MiB a second after them".to_owned();
            return Err(Exceeded { allowed, wait_seconds: 1 });
        }
        owners.insert(owner.clone(), full);
        Ok(())
    }
}

/// The time in which so many bytes come into a share.
fn filled_in(bytes: i64) -> SignedDuration {
    SignedDuration::from_micros(bytes.min(MAX_BYTES * 2) * 1_000_000 / BYTES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn f5_an_owner_s_callbacks_take_16_mib_at_a_go_and_2_mib_a_second() {
        let shares = CallbackShares::default();
        let owner = |id: &str| Owner::Affiliate { affiliate_id: id.parse().unwrap() };
        let (one, other) = (owner("aff_1"), owner("aff_2"));
        for mebibyte in 0..16 {
            assert_eq!(shares.take(&one, 1 << 20, at(0)), Ok(()), "{mebibyte}");
        }
        let refused = shares.take(&one, REQUEST_BYTES, at(0)).unwrap_err();
        let message = "expected at most 16 MiB of callbacks and webhooks at a go, and 2 MiB a second after them: the next is allowed in 1 s";
        assert_eq!(refused.to_string(), message);
        assert_eq!(shares.take(&other, 1 << 20, at(0)), Ok(()), "a share of its own");
        assert_eq!(shares.take(&one, 2 << 20, at(1)), Ok(()));
        assert!(shares.take(&one, 1_024, at(1)).is_err());
        assert!(shares.take(&one, usize::MAX, at(1_000)).is_err(), "more than a full share");
        assert_eq!(shares.take(&one, 16 << 20, at(1_000)), Ok(()));
    }
}
