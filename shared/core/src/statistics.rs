//! Statistics of deliveries: counts by state and percentiles of latency in buckets of an hour or a day.
//!
//! Latencies are counted in a histogram of fixed buckets, eight to each doubling. A percentile is the middle of its bucket, which
//! differs from the exact latency by 6.25 % at most; below 16 ms it is exact.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{delivery::State, fault::Faults};

/// The seconds of an hour.
const HOUR: i64 = 3_600;
/// The hours of a day.
pub const DAY_HOURS: i64 = 24;
/// The longest period in buckets of an hour, in days.
pub const MAX_DAYS_OF_HOURS: i64 = 31;
/// The longest period in buckets of a day, in days.
pub const MAX_DAYS: i64 = 400;
/// The bits of a latency that distinguish the buckets of one doubling.
const SUB_BITS: u32 = 3;
/// The buckets of one doubling.
const SUB_BUCKETS: u64 = 1 << SUB_BITS;
/// The time after the end of an hour in which the log may still get a page for that hour.
const LATE_PAGES: SignedDuration = SignedDuration::from_mins(5);
/// The time in which a person is expected to send a failed delivery again.
const REPAIRS: SignedDuration = SignedDuration::from_hours(24 * 32);
/// The divisor of an hour's age: a count that may change is valid for this share of the age.
const AGE_SHARE: i32 = 32;
/// The time for which a count is valid, for each delivery in it, so that rereading costs at most 500 rows a second.
const PER_DELIVERY: SignedDuration = SignedDuration::from_millis(2);

/// A histogram of latencies in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Histogram(BTreeMap<u16, u64>);

/// Percentiles of latency, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50: u64,
    /// The 95th percentile.
    pub p95: u64,
    /// The 99th percentile.
    pub p99: u64,
}

impl Histogram {
    /// Counts one latency.
    pub fn add(&mut self, latency_ms: u64) {
        *self.0.entry(Self::bucket(latency_ms)).or_default() += 1;
    }

    /// Adds the counts of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            let sum = self.0.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// The percentiles; `None` if nothing was counted.
    pub fn percentiles(&self) -> Option<Percentiles> {
        let total = self.0.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        let at = |percent: u64| {
            let rank = u128::from(total) * u128::from(percent);
            let (mut seen, rank) = (0_u128, rank.div_ceil(100));
            let reached = self.0.iter().find(|(_, count)| {
                seen += u128::from(**count);
                seen >= rank
            });
            reached.map(|(bucket, _)| Self::middle(*bucket))
        };
        Some(Percentiles { p50: at(50)?, p95: at(95)?, p99: at(99)? })
    }

    fn bucket(latency_ms: u64) -> u16 {
        if latency_ms < SUB_BUCKETS {
            return u16::try_from(latency_ms).unwrap_or(0);
        }
        let exponent = latency_ms.ilog2() - SUB_BITS;
        let sub = (latency_ms >> exponent) - SUB_BUCKETS;
        u16::try_from(SUB_BUCKETS + u64::from(exponent) * SUB_BUCKETS + sub).unwrap_or(u16::MAX)
    }

    fn middle(bucket: u16) -> u64 {
        let Some(above) = u64::from(bucket).checked_sub(SUB_BUCKETS) else { return u64::from(bucket) };
        // A stored bucket beyond all latencies is read as the greatest.
        let exponent = u32::try_from(above / SUB_BUCKETS).unwrap_or(u32::MAX).min(u64::BITS - 1 - SUB_BITS);
        let lowest = (SUB_BUCKETS + above % SUB_BUCKETS) << exponent;
        lowest + (1_u64 << exponent) / 2
    }
}

/// The deliveries of a bucket: the number in each state, and the latencies of those that were delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Deliveries by their state.
    #[serde(rename = "c", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<State, u64>,
    /// Times from creation to delivery.
    #[serde(rename = "l", default, skip_serializing_if = "is_empty")]
    pub latency: Histogram,
}

fn is_empty(histogram: &Histogram) -> bool {
    histogram.0.is_empty()
}

impl Figures {
    /// Counts a delivery. `latency` is its time from creation to delivery, if it was delivered and not held.
    pub fn add(&mut self, state: State, latency: Option<SignedDuration>) {
        *self.counts.entry(state).or_default() += 1;
        if let Some(latency) = latency {
            self.latency.add(u64::try_from(latency.as_millis()).unwrap_or(0));
        }
    }

    /// Adds the counts of another bucket.
    pub fn merge(&mut self, other: &Self) {
        for (state, count) in &other.counts {
            let sum = self.counts.entry(*state).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.latency.merge(&other.latency);
    }

    fn total(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn has(&self, is_such: impl Fn(State) -> bool) -> bool {
        self.counts.iter().any(|(state, count)| *count > 0 && is_such(*state))
    }
}

/// The counts of an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The time at which the count began.
    #[serde(rename = "t")]
    pub at: Timestamp,
    /// The counts.
    #[serde(rename = "f")]
    pub figures: Figures,
}

impl Counted {
    /// Returns true if an hour that ends at `end` must be counted again: it may have changed, and rereading it costs little.
    pub fn is_due(&self, end: Timestamp, now: Timestamp) -> bool {
        let may_change = self.at < end + LATE_PAGES
            || self.figures.has(|state| !state.is_ended())
            || (self.figures.has(State::is_announced) && self.at < end + REPAIRS);
        let by_size = PER_DELIVERY.saturating_mul(i32::try_from(self.figures.total()).unwrap_or(i32::MAX));
        let by_age = now.duration_since(end).max(SignedDuration::ZERO) / AGE_SHARE;
        may_change && now.duration_since(self.at) >= by_size.max(by_age)
    }
}

/// The size of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketSize {
    /// An hour.
    Hour,
    /// A day in UTC.
    Day,
}

impl BucketSize {
    /// Every size.
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The size with that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|size| size.as_str() == word)
    }

    fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => DAY_HOURS,
        }
    }

    fn max_days(self) -> i64 {
        match self {
            Self::Hour => MAX_DAYS_OF_HOURS,
            Self::Day => MAX_DAYS,
        }
    }

    fn usual(self) -> SignedDuration {
        match self {
            Self::Hour => SignedDuration::from_hours(DAY_HOURS),
            Self::Day => SignedDuration::from_hours(30 * DAY_HOURS),
        }
    }
}

/// A period in buckets. Hours are counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatisticsPeriod {
    size: BucketSize,
    first_hour: i64,
    /// The hour after the last.
    end_hour: i64,
}

impl StatisticsPeriod {
    /// The buckets that overlap the time from `from` up to `to`; none begins after `now`. By default the period ends now, and
    /// is 24 hours or 30 days long.
    ///
    /// # Errors
    /// Faults at `/from`: the period is too long, or ends before it begins.
    pub fn new(size: BucketSize, from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Result<Self, Faults> {
        let to = to.unwrap_or(now);
        let from = from.unwrap_or_else(|| to.saturating_sub(size.usual()).unwrap_or(Timestamp::MIN));
        if from > to {
            return Err(Faults::one("/from", "expected a time that is not after the end of the period"));
        }
        let days = size.max_days();
        if to.duration_since(from) > SignedDuration::from_hours(days * DAY_HOURS) {
            let other = if size == BucketSize::Hour { ", or bucket=day" } else { "" };
            let name = size.as_str();
            return Err(Faults::one("/from", format!("expected at most {days} days with bucket={name}{other}")));
        }
        let seconds = size.hours() * HOUR;
        // Nothing was sent before 1970.
        let bucket = |time: Timestamp| time.as_second().max(0).div_euclid(seconds);
        let last = bucket(to.saturating_sub(SignedDuration::from_nanos(1)).unwrap_or(to));
        let end = if from == to || to <= Timestamp::UNIX_EPOCH { bucket(from) } else { last + 1 };
        let end = end.min(bucket(now) + 1);
        Ok(Self { size, first_hour: bucket(from).min(end) * size.hours(), end_hour: end * size.hours() })
    }

    /// The hours, oldest first.
    pub fn hours(&self) -> std::ops::Range<i64> {
        self.first_hour..self.end_hour
    }

    /// The first hour of each bucket with all its hours, oldest first.
    pub fn buckets(&self) -> impl Iterator<Item = std::ops::Range<i64>> + use<> {
        let hours = self.size.hours();
        let size = usize::try_from(hours).unwrap_or(1);
        self.hours().step_by(size).map(move |first| first..first + hours)
    }
}

/// The beginning of an hour.
pub fn beginning_of(hour: i64) -> Timestamp {
    Timestamp::from_second(hour.saturating_mul(HOUR)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
