//! Limits per caller, kept by all processes together: one row per caller and limit, changed by compare-and-set.
//!
//! A use is charged after its request was checked and before any work is done for it. All users of an affiliate are one caller; admins are
//! distinguished by their tokens' subjects. Changes and repairs of admins are not limited and cost no reads.
//!
//! Dry trials send nothing. They are limited in memory, by each process alone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    caller::{Actor, Caller},
    hash,
    id::Id,
    limit::{AtOnce, Exceeded, Limit, Rate, RatePeriod, Usage},
};

use crate::{
    backend::{Backend, Item, Key, StoreError},
    buckets::Buckets,
    idempotency, keys, random,
    refused::Refused,
    rows,
    store::{Store, Update},
};

/// The longest that a trial waits for an answer, in seconds: the person who asked is waiting too.
pub(crate) const LONGEST_TRIAL: u32 = 25;

/// Trials that are sent, of an affiliate or an admin.
pub(crate) const TRIALS: Limit = Limit {
    name: "trials",
    rates: &[Rate { most: 10, period: RatePeriod::Minute }],
    at_once: Some(AtOnce {
        most: 2,
        longest: SignedDuration::from_secs(LONGEST_TRIAL as i64),
        margin: SignedDuration::from_secs(15),
    }),
};
/// Changes of rules and of their secrets by an affiliate.
const CHANGES: Limit = Limit {
    name: "changes of rules",
    rates: &[Rate { most: 300, period: RatePeriod::Minute }, Rate { most: 3_000, period: RatePeriod::Day }],
    at_once: None,
};
/// Replays and backfills that an affiliate begins.
pub(crate) const REPAIRS: Limit =
    Limit { name: "replays and backfills", rates: &[Rate { most: 30, period: RatePeriod::Hour }], at_once: None };
/// Deliveries that an affiliate sends again one by one.
pub(crate) const RESENDS: Limit =
    Limit { name: "resends", rates: &[Rate { most: 600, period: RatePeriod::Hour }], at_once: None };

/// The time between two dry trials of an affiliate that keeps on.
const DRY_INTERVAL: SignedDuration = SignedDuration::from_millis(50);
/// Dry trials that an affiliate may make at a go.
const DRY_BURST: i32 = 300;

/// The right to do something once. A permit that is not given back ends by itself.
#[derive(Debug)]
#[must_use = "a permit is given back with Limits::return_permit"]
pub(crate) struct Permit {
    key: Key,
    limit: &'static Limit,
    lease: String,
}

/// The limits of callers.
#[derive(Debug)]
pub struct Limits<B> {
    store: Arc<Store<B>>,
}

impl<B: Backend> Limits<B> {
    /// The service over these.
    pub(crate) fn new(store: &Arc<Store<B>>) -> Self {
        Self { store: Arc::clone(store) }
    }

    /// Charges a caller for one use.
    ///
    /// # Errors
    /// The limit is used up.
    pub(crate) async fn permit(&self, actor: &Actor, limit: &'static Limit) -> Result<Permit, Refused> {
        let permit = Permit { key: key(actor, limit), limit, lease: format!("{:016x}", random()) };
        let charged = self.store.update(&permit.key, |usage: Option<Usage>| {
            let mut usage = usage.unwrap_or_default();
            Ok(match usage.take(limit, &permit.lease, self.store.now()) {
                Ok(()) => Update::Put(item(&permit, &usage), Ok(())),
                Err(exceeded) => Update::Keep(Err(exceeded)),
            })
        });
        match charged.await {
            Ok(Ok(())) => Ok(permit),
            Ok(Err(exceeded)) => {
                tracing::debug!(limit = limit.name, wait_seconds = exceeded.wait_seconds, "a caller is over a limit");
                Err(exceeded.into())
            }
            Err(StoreError::Contended(_)) => {
                Err(Exceeded { allowed: format!("a few {} at the same moment", limit.name), wait_seconds: 1 }.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks whether a caller may be charged for one use, and charges nothing.
    ///
    /// # Errors
    /// The limit is used up.
    pub(crate) async fn may_permit(&self, actor: &Actor, limit: &'static Limit) -> Result<(), Refused> {
        let stored = self.store.read_row::<Usage>(key(actor, limit)).await?;
        let mut usage = stored.map_or_else(Usage::default, |(usage, _)| usage);
        Ok(usage.take(limit, "", self.store.now())?)
    }

    /// Gives a permit back, so that another use may run. If that fails, the lease ends by itself.
    pub(crate) async fn return_permit(&self, permit: Permit) {
        if let Err(error) = self.try_return(&permit).await {
            tracing::warn!(limit = permit.limit.name, %error, "a lease was not released and ends by itself");
        }
    }

    async fn try_return(&self, permit: &Permit) -> Result<(), StoreError> {
        let released = |usage: Option<Usage>| {
            let mut usage = usage.unwrap_or_default();
            Ok(if usage.release(&permit.lease) { Update::Put(item(permit, &usage), ()) } else { Update::Keep(()) })
        };
        self.store.update(&permit.key, released).await
    }

    /// Charges an affiliate for one use of a limit without leases; an admin has none.
    pub(crate) async fn charge_affiliate(&self, caller: &Caller, limit: &'static Limit) -> Result<(), Refused> {
        match caller {
            Caller::Admin => Ok(()),
            Caller::Affiliate(_) => self.permit(&caller.into(), limit).await.map(drop),
        }
    }

    /// Charges an affiliate for one use, once for all tries of one request.
    pub(crate) async fn charge_once(&self, caller: &Caller, limit: &'static Limit, is_charged: &mut bool) -> Result<(), Refused> {
        if !*is_charged {
            self.charge_affiliate(caller, limit).await?;
            *is_charged = true;
        }
        Ok(())
    }

    /// Charges an affiliate for a change of a rule, once for all tries of one request.
    pub(crate) async fn charge_change(&self, actor: &Actor, is_charged: &mut bool) -> Result<(), Refused> {
        self.charge_once(&actor.caller, &CHANGES, is_charged).await
    }
}

fn key(actor: &Actor, limit: &Limit) -> Key {
    let role = actor.caller.role();
    match &actor.caller {
        Caller::Affiliate(id) => keys::usage(role, id.as_str(), limit.name),
        Caller::Admin => keys::usage(role, &hash::text(&["admin", idempotency::party(actor)], 24), limit.name),
    }
}

fn item(permit: &Permit, usage: &Usage) -> Item {
    Item { expires: Some(usage.ends(permit.limit)), ..rows::item(permit.key.clone(), usage) }
}

/// The dry trials of affiliates in this process.
#[derive(Debug, Default)]
pub(crate) struct DryTrials(Buckets<Id>);

impl DryTrials {
    /// Counts a dry trial.
    ///
    /// # Errors
    /// The caller has made too many.
    pub(crate) fn take(&self, caller: &Caller, now: Timestamp) -> Result<(), Exceeded> {
        let Caller::Affiliate(affiliate) = caller else { return Ok(()) };
        if self.0.take(affiliate, DRY_INTERVAL, DRY_INTERVAL * DRY_BURST, now) {
            return Ok(());
        }
        let allowed = format!("{DRY_BURST} trials without send at a go, and 20 a second after them");
        Err(Exceeded { allowed, wait_seconds: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_millis(milliseconds)
    }

    #[test]
    fn f5_an_affiliate_makes_three_hundred_dry_trials_at_a_go_and_twenty_a_second() {
        let trials = DryTrials::default();
        let [one, other] = ["aff_1", "aff_2"].map(|id| Caller::Affiliate(id.parse().unwrap()));
        for count in 0..300 {
            assert_eq!(trials.take(&one, at(0)), Ok(()), "{count}");
        }
        let refused = trials.take(&one, at(49)).unwrap_err();
        let message = "expected at most 300 trials without send at a go, and 20 a second after them: the next is allowed in 1 s";
        assert_eq!(refused.to_string(), message);
        assert_eq!(trials.take(&one, at(50)), Ok(()));
        assert!(trials.take(&one, at(50)).is_err());
        assert_eq!(trials.take(&other, at(200)), Ok(()));
        assert!((0..1_000).all(|_| trials.take(&Caller::Admin, at(200)).is_ok()));
    }

    #[test]
    fn f5_affiliates_without_recent_dry_trials_are_forgotten() {
        let trials = DryTrials::default();
        for number in 0..5_000 {
            let caller = Caller::Affiliate(format!("aff_{number}").parse().unwrap());
            assert_eq!(trials.take(&caller, at(number * 1_000)), Ok(()));
        }
        assert!(trials.0.len() <= 1_024);
    }
}
