//! The work that requests from outside may cause: a share of each owner in this process, counted in bytes.
//!
//! Anyone who knows a token or a webhook's id may send as much as they like, and one webhook may be stored for several deliveries. So the
//! bytes of requests and of what is stored of them are paid for from a share that fills steadily. When it is empty, further requests
//! to the same rule are refused for a second before anything is read for them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{caller::Owner, limit::Exceeded};

use crate::buckets::Buckets;

/// The bytes that a request costs beside those of its content: the reads and the message that it causes.
pub(crate) const REQUEST_BYTES: usize = 4_096;
/// The bytes with which a share fills in a second.
const BYTES_PER_SECOND: i64 = 2 << 20;
/// The bytes of a full share.
const MAX_BYTES: i64 = 16 << 20;
/// The time for which requests to a rule are refused once its owner's share is empty: they are asked to come again then.
const PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// The number of refused names that are remembered.
const MOST_REFUSED: usize = 1_024;

/// The shares of owners.
#[derive(Debug, Default)]
pub(crate) struct CallbackShares {
    owners: Buckets<Owner>,
    /// The rules and webhooks of owners whose share was empty, by their ids, and the time until which requests to them are refused.
    refused: Mutex<HashMap<String, Timestamp>>,
}

impl CallbackShares {
    /// Takes bytes from an owner's share.
    ///
    /// # Errors
    /// There are not so many in it.
    pub(crate) fn take(&self, owner: &Owner, bytes: usize, now: Timestamp) -> Result<(), Exceeded> {
        let cost = filled_in(i64::try_from(bytes).unwrap_or(i64::MAX));
        if self.owners.take(owner, cost, filled_in(MAX_BYTES), now) { Ok(()) } else { Err(exceeded()) }
    }

    /// Checks that requests to a rule or webhook of this id are not refused now.
    ///
    /// # Errors
    /// Its owner's share was empty within the last second.
    pub(crate) fn check(&self, id: &str, now: Timestamp) -> Result<(), Exceeded> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.get(id).is_some_and(|until| *until > now) { Err(exceeded()) } else { Ok(()) }
    }

    /// Refuses requests to a rule or webhook of this id for a second.
    pub(crate) fn refuse(&self, id: &str, now: Timestamp) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= MOST_REFUSED {
            refused.retain(|_, until| *until > now);
        }
        if refused.len() < MOST_REFUSED {
            refused.insert(id.to_owned(), now + PAUSE);
        }
    }
}

fn exceeded() -> Exceeded {
    Exceeded { allowed: "16 MiB of callbacks and webhooks at a go, and 2 MiB a second after them".to_owned(), wait_seconds: 1 }
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

    #[test]
    fn f5_what_was_refused_is_refused_for_a_second_without_a_look_at_the_share() {
        let shares = CallbackShares::default();
        shares.refuse("trk_1", at(0));
        assert_eq!((shares.check("trk_1", at(0)), shares.check("trk_2", at(0))), (Err(exceeded()), Ok(())));
        assert_eq!(shares.check("trk_1", at(1)), Ok(()));
        for number in 0..MOST_REFUSED {
            shares.refuse(&format!("whk_{number}"), at(5));
        }
        shares.refuse("one_more", at(5));
        assert_eq!(shares.check("one_more", at(5)), Ok(()), "those beyond the memory are refused by the share alone");
        shares.refuse("one_more", at(6));
        assert_eq!(shares.check("one_more", at(6)), Err(exceeded()));
    }
}
