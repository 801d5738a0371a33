//! Retries: their number and the waits before them (L1–L3).

use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, fmt::rfc2822, tz::TimeZone};

use crate::{
    document::{Fields, whole},
    fault::Faults,
    hash, json,
    json::Value,
};

mod schedule;
#[cfg(test)]
mod tests;

pub use schedule::Schedule;

/// The longest wait that a setting allows: a day, in seconds (L2).
pub const LONGEST_WAIT_SECONDS: u32 = 86_400;
/// The longest `Retry-After` that counts: 12 hours (L2).
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(12);

/// The most retries after the first request: 0 to 30, 12 unless set (L1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryLimit(u8);

/// A number of retries above the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} retries are too many: choose 0 to 30")]
pub struct TooManyRetries(pub u64);

impl RetryLimit {
    /// The largest limit, 30.
    pub const MAX: Self = Self(30);

    /// Retries after the first request.
    pub fn retries(self) -> u32 {
        u32::from(self.0)
    }

    /// Requests in all: one more than the retries (L1).
    pub fn attempts(self) -> u32 {
        self.retries() + 1
    }
}

impl Default for RetryLimit {
    fn default() -> Self {
        Self(12)
    }
}

impl TryFrom<u64> for RetryLimit {
    type Error = TooManyRetries;

    fn try_from(retries: u64) -> Result<Self, TooManyRetries> {
        u8::try_from(retries).ok().map(Self).filter(|limit| *limit <= Self::MAX).ok_or(TooManyRetries(retries))
    }
}

/// The growth of the wait from retry to retry (L2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backoff {
    /// Every wait is `delay_seconds`.
    Fixed,
    /// Every wait is twice the one before, up to `max_delay_seconds`.
    #[default]
    Exponential,
}

impl Backoff {
    const WORDS: [(&str, Self); 2] = [("fixed", Self::Fixed), ("exponential", Self::Exponential)];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Exponential => "exponential",
        }
    }
}

/// The number of retries and the waits before them (L1, L2). Its waits are 1 second to a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    limit: RetryLimit,
    delay_seconds: u32,
    backoff: Backoff,
    max_delay_seconds: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { limit: RetryLimit::default(), delay_seconds: 60, backoff: Backoff::Exponential, max_delay_seconds: 3_600 }
    }
}

/// The end of a delivery whose retries are used up (L3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfRetries {
    /// At least one response was pending, and none was definite since.
    Unresolved,
    /// No response was pending.
    Exhausted,
}

impl RetryPolicy {
    /// Reads `retry` of a rule; absent fields take their defaults. Faults go to `faults`, and a faulty field's default into the
    /// result.
    pub fn parse(value: Option<&Value>, pointer: &str, faults: &mut Faults) -> Self {
        let known = ["max_retries", "delay_seconds", "backoff", "max_delay_seconds"];
        let fields = Fields::open(value, pointer, &known, &[], faults);
        let seconds = 1..=LONGEST_WAIT_SECONDS;
        let limit = fields.get("max_retries").and_then(|value| match read_limit(value) {
            Ok(limit) => Some(limit),
            Err(detail) => {
                faults.add(fields.at("max_retries"), detail);
                None
            }
        });
        let delay = fields.integer("delay_seconds", seconds.clone(), "seconds", faults);
        let backoff = fields.word("backoff", &Backoff::WORDS, faults);
        let max_delay = fields.integer("max_delay_seconds", seconds, "seconds", faults);
        let default = Self::default();
        let delay_seconds = delay.unwrap_or(default.delay_seconds);
        let delay_is_sound = delay.is_some() || fields.get("delay_seconds").is_none();
        if let Some(max) = max_delay.filter(|max| delay_is_sound && *max < delay_seconds) {
            let detail = format!(
                "{max} seconds are less than the delay of {delay_seconds}: choose {delay_seconds} to {LONGEST_WAIT_SECONDS}"
            );
            faults.add(fields.at("max_delay_seconds"), detail);
        }
        Self {
            limit: limit.unwrap_or_default(),
            delay_seconds,
            backoff: backoff.unwrap_or_default(),
            max_delay_seconds: max_delay.unwrap_or(default.max_delay_seconds).max(delay_seconds),
        }
    }

    /// The resource's form, with defaults.
    pub fn document(&self) -> Value {
        json!({
            "max_retries": self.limit.retries(),
            "delay_seconds": self.delay_seconds,
            "backoff": self.backoff.as_str(),
            "max_delay_seconds": self.max_delay_seconds,
        })
    }

    /// The most retries after the first request (L1).
    pub fn limit(&self) -> RetryLimit {
        self.limit
    }

    /// The number of requests in all, for whatever reason (L1).
    pub fn max_attempts(&self) -> u32 {
        self.limit.attempts()
    }

    /// The wait before retry `retry` (1 is the first), exact to the millisecond (L2).
    ///
    /// The plain wait with a jitter of up to a tenth, derived from the delivery and the retry, so that the result for the
    /// same arguments never changes. Never under 1 second, never over 110 % of `max_delay_seconds`. A longer `Retry-After`
    /// counts, up to 12 hours, and jitter never shortens it.
    pub fn wait_before(&self, retry: u32, delivery_id: &str, retry_after: Option<Duration>) -> Duration {
        let plain = self.plain_wait(retry) * 1_000;
        let wait = hash::jitter(&["jitter", delivery_id, &retry.to_string()], plain, plain / 10);
        let wait = Duration::from_millis(wait.max(1_000));
        wait.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
    }

    /// The waits of the policy, for people to read (L2).
    pub fn schedule(&self) -> Schedule {
        Schedule::of((1..=self.limit.retries()).map(|retry| self.plain_wait(retry)).collect())
    }

    /// The wait before a retry in seconds, without jitter.
    pub fn plain_wait(&self, retry: u32) -> u64 {
        let delay = u64::from(self.delay_seconds);
        match self.backoff {
            Backoff::Fixed => delay,
            Backoff::Exponential => {
                let doublings = retry.saturating_sub(1).min(u32::from(RetryLimit::MAX.0));
                (delay << doublings).min(u64::from(self.max_delay_seconds))
            }
        }
    }
}

fn read_limit(value: &Value) -> Result<RetryLimit, String> {
    match value.as_u64() {
        Some(retries) => RetryLimit::try_from(retries).map_err(|fault| fault.to_string()),
        None => whole(value, 0..=30, "retries").map(|_| RetryLimit::MAX),
    }
}

/// The end of a delivery whose retries are used up. `any_pending`: a response to any attempt was pending (L3).
pub fn end_of_retries(any_pending: bool) -> EndOfRetries {
    if any_pending { EndOfRetries::Unresolved } else { EndOfRetries::Exhausted }
}

/// Reads a `Retry-After` header: seconds, or an HTTP date in any of the three forms of RFC 9110, as seen at `now` (L2).
///
/// A date in the past means no wait; a text that is neither gives `None`. The result isn't capped: [`RetryPolicy::wait_before`] caps it.
pub fn parse_retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    static HTTP_DATE: rfc2822::DateTimeParser = rfc2822::DateTimeParser::new().relaxed_weekday(true);
    let text = header.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = HTTP_DATE.parse_timestamp(text).ok().or_else(|| parse_older_date(text, now))?;
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

/// Reads the two older forms of an HTTP date: `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`. The day of the week is
/// ignored; a year of two digits is at most 50 years ahead.
fn parse_older_date(text: &str, now: Timestamp) -> Option<Timestamp> {
    let parse = |format, text: &str| DateTime::strptime(format, text).ok();
    let date = if let Some((_, text)) = text.split_once(", ") {
        let date = parse("%d-%b-%y %H:%M:%S", text.strip_suffix(" GMT")?)?;
        let this_year = now.to_zoned(TimeZone::UTC).year();
        let year = this_year - this_year.rem_euclid(100) + date.year().rem_euclid(100);
        date.with().year(if year > this_year + 50 { year - 100 } else { year }).build().ok()?
    } else {
        let (_, text) = text.split_once(' ')?;
        parse("%b %d %H:%M:%S %Y", &text.replacen("  ", " ", 1))?
    };
    date.to_zoned(TimeZone::UTC).ok().map(|date| date.timestamp())
}
