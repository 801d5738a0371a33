//! Limits per caller: a number of uses in a period, and a number at once.
//!
//! A caller's [`Usage`] of a [`Limit`] is one small row. It counts over sliding windows, so that no window of a period's length holds
//! more than the limit, and it keeps a lease for each running use. A lease expires, so that a crash frees its place.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RatePeriod {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

/// A number of uses in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The most uses in any window of this length.
    pub most: u32,
    /// The window's length.
    pub period: RatePeriod,
}

/// A number of uses at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtOnce {
    /// The most leases.
    pub most: usize,
    /// The longest time that a use takes.
    pub longest: SignedDuration,
    /// The time after `longest` until a lease expires.
    pub margin: SignedDuration,
}

/// A limit on the uses of one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The plural noun for the uses, such as `trials`; also names the row.
    pub name: &'static str,
    /// The rates, all of which hold.
    pub rates: &'static [Rate],
    /// The bound of uses at the same time, if there is one.
    pub at_once: Option<AtOnce>,
}

/// The uses of one caller that still count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// For each rate the times of uses in milliseconds since 1970, oldest first, each with the number of uses.
    rates: Vec<Vec<(i64, u32)>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    leases: Vec<Lease>,
}

/// A running use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    id: String,
    /// The time at which it expires, in milliseconds since 1970.
    until: i64,
}

/// A use beyond a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {allowed}: the next is allowed in {wait_seconds} s")]
pub struct Exceeded {
    /// The limit in words, such as `10 trials a minute`.
    pub allowed: String,
    /// The time to wait, in whole seconds, at least 1.
    pub wait_seconds: u32,
}

impl RatePeriod {
    const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 60 * 60,
            Self::Day => 24 * 60 * 60,
        }
    }

    const fn milliseconds(self) -> i64 {
        self.seconds() * 1_000
    }

    /// The span of uses that are stored as one entry; it keeps a row to about a hundred entries. All uses of an entry expire with its
    /// first.
    const fn grain(self) -> i64 {
        match self {
            Self::Minute => 1,
            Self::Hour => 60 * 1_000,
            Self::Day => 15 * 60 * 1_000,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Minute => "a minute",
            Self::Hour => "an hour",
            Self::Day => "a day",
        }
    }
}

impl Usage {
    /// Counts one more use, which holds the lease with this id until it is released or expires.
    ///
    /// # Errors
    /// The limit is used up; nothing is counted.
    pub fn take(&mut self, limit: &Limit, lease: &str, now: Timestamp) -> Result<(), Exceeded> {
        let now = now.as_millisecond();
        self.forget_past(limit, now);
        let rates = limit.rates.iter().zip(&self.rates);
        let refused = rates.filter_map(|(rate, uses)| rate.refuses(limit.name, uses, now));
        let refused = refused.chain(self.crowded(limit, now)).max_by_key(|exceeded| exceeded.wait_seconds);
        if let Some(exceeded) = refused {
            return Err(exceeded);
        }
        for (rate, uses) in limit.rates.iter().zip(&mut self.rates) {
            match uses.last_mut().filter(|(at, _)| now - *at < rate.period.grain()) {
                Some((_, count)) => *count += 1,
                None => uses.push((now, 1)),
            }
        }
        if let Some(AtOnce { longest, margin, .. }) = &limit.at_once {
            let until = now + milliseconds(*longest) + milliseconds(*margin);
            self.leases.push(Lease { id: lease.to_owned(), until });
        }
        Ok(())
    }

    /// Ends a lease. Returns true if there was one.
    pub fn release(&mut self, lease: &str) -> bool {
        let before = self.leases.len();
        self.leases.retain(|held| held.id != lease);
        self.leases.len() < before
    }

    /// The time at which no use counts any more.
    pub fn ends(&self, limit: &Limit) -> Timestamp {
        let rates = limit.rates.iter().zip(&self.rates);
        let uses = rates.filter_map(|(rate, uses)| Some(uses.last()?.0 + rate.period.milliseconds()));
        let last = uses.chain(self.leases.iter().map(|lease| lease.until)).max().unwrap_or(0);
        Timestamp::from_millisecond(last).unwrap_or(Timestamp::MAX)
    }

    fn forget_past(&mut self, limit: &Limit, now: i64) {
        self.rates.resize(limit.rates.len(), Vec::new());
        for (rate, uses) in limit.rates.iter().zip(&mut self.rates) {
            uses.retain(|(at, _)| at + rate.period.milliseconds() > now);
        }
        self.leases.retain(|lease| lease.until > now);
    }

    /// The refusal of one more lease. Leases are expected to end before their margin begins.
    fn crowded(&self, limit: &Limit, now: i64) -> Option<Exceeded> {
        let AtOnce { most, margin, .. } = limit.at_once.filter(|at_once| self.leases.len() >= at_once.most)?;
        let until = self.leases.iter().map(|lease| lease.until).min().unwrap_or(now);
        Some(exceeded(format!("{most} {} at once", limit.name), until - milliseconds(margin) - now))
    }
}

impl Rate {
    fn refuses(self, name: &str, uses: &[(i64, u32)], now: i64) -> Option<Exceeded> {
        let total: u32 = uses.iter().map(|(_, count)| count).sum();
        let (first, _) = uses.first().filter(|_| total >= self.most)?;
        let wait = first + self.period.milliseconds() - now;
        Some(exceeded(format!("{} {name} {}", self.most, self.period.word()), wait))
    }
}

fn exceeded(allowed: String, wait: i64) -> Exceeded {
    let wait_seconds = u64::try_from(wait).unwrap_or(0).div_ceil(1_000).max(1);
    Exceeded { allowed, wait_seconds: u32::try_from(wait_seconds).unwrap_or(u32::MAX) }
}

fn milliseconds(span: SignedDuration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIALS: Limit = Limit {
        name: "trials",
        rates: &[Rate { most: 3, period: RatePeriod::Minute }],
        at_once: Some(AtOnce { most: 2, longest: SignedDuration::from_secs(25), margin: SignedDuration::from_secs(15) }),
    };
    const CHANGES: Limit = Limit {
        name: "changes of rules",
        rates: &[Rate { most: 60, period: RatePeriod::Minute }, Rate { most: 1_000, period: RatePeriod::Day }],
        at_once: None,
    };

    fn at(milliseconds: i64) -> Timestamp {
        "2026-11-22T09:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_millis(milliseconds)
    }

    #[track_caller]
    fn refused(usage: &mut Usage, limit: &Limit, milliseconds: i64, expected: &str) {
        let before = usage.clone();
        assert_eq!(usage.take(limit, "x", at(milliseconds)).unwrap_err().to_string(), expected);
        assert_eq!(usage.ends(limit), before.ends(limit), "what is refused is not counted");
    }

    #[test]
    fn f5_no_window_of_a_minute_holds_more_than_the_limit() {
        let mut usage = Usage::default();
        for (lease, time) in [("a", 0), ("b", 20_000), ("c", 59_000)] {
            assert_eq!(usage.take(&TRIALS, lease, at(time)), Ok(()), "{lease}");
            assert!(usage.release(lease) && !usage.release(lease));
        }
        refused(&mut usage, &TRIALS, 59_999, "expected at most 3 trials a minute: the next is allowed in 1 s");
        assert_eq!(usage.take(&TRIALS, "d", at(60_000)), Ok(()));
        usage.release("d");
        refused(&mut usage, &TRIALS, 60_500, "expected at most 3 trials a minute: the next is allowed in 20 s");
        assert_eq!(usage.ends(&TRIALS), at(120_000));
    }

    #[test]
    fn f5_a_lease_ends_when_it_is_released_or_after_its_margin() {
        let mut usage = Usage::default();
        assert_eq!(usage.take(&TRIALS, "a", at(0)), Ok(()));
        assert_eq!(usage.take(&TRIALS, "b", at(4_000)), Ok(()));
        refused(&mut usage, &TRIALS, 5_000, "expected at most 2 trials at once: the next is allowed in 20 s");
        refused(&mut usage, &TRIALS, 39_999, "expected at most 2 trials at once: the next is allowed in 1 s");
        assert_eq!(usage.take(&TRIALS, "c", at(40_000)), Ok(()), "40 s after it began a lease is void");
        refused(&mut usage, &TRIALS, 40_000, "expected at most 3 trials a minute: the next is allowed in 20 s");
        assert!(usage.release("b") && !usage.release("a"));
    }

    #[test]
    fn f10_a_day_holds_a_thousand_and_the_row_stays_small() {
        let mut usage = Usage::default();
        for use_of_day in 0..1_000 {
            assert_eq!(usage.take(&CHANGES, "", at(use_of_day * 80_000)), Ok(()), "{use_of_day}");
        }
        refused(&mut usage, &CHANGES, 80_000_000, "expected at most 1000 changes of rules a day: the next is allowed in 6400 s");
        assert_eq!(usage.take(&CHANGES, "", at(86_400_000)), Ok(()));
        let bytes = serde_json::to_string(&usage).unwrap().len();
        assert!(bytes < 2_048, "{bytes}");
    }

    #[test]
    fn a_usage_is_read_back_as_it_was_first_written() {
        let mut usage = Usage::default();
        usage.take(&TRIALS, "a", at(0)).unwrap();
        let first = r#"{"rates":[[[1795338000000,1]]],"leases":[{"id":"a","until":1795338040000}]}"#;
        assert_eq!(serde_json::to_string(&usage).unwrap(), first);
        assert_eq!(serde_json::from_str::<Usage>(first).unwrap(), usage);
        assert_eq!(serde_json::from_str::<Usage>(r#"{"rates":[]}"#).unwrap(), Usage::default());
    }
}
