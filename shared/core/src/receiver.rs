//! The health of a receiver: one scheme, host and port that one owner's rules send to (B1–B6).
//!
//! Attempts are counted in buckets of ten seconds, so that the counts of several processes add up in any order. A receiver
//! that fails too often is *open*: its deliveries wait, uncharged, and one delivery at a time probes it. An answered probe makes it
//! *half open*: waiting deliveries go out, two for each answer. Nothing here reads a clock: the time is an argument.

mod probe;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use probe::{ProbeCandidate, choose_probe, probe_pause};

use crate::{caller::Owner, delivery::DeliveryId, hash, id::Id, request::Request};

/// The longest time that a delivery waits for its receiver, from its first wait in an outage on (B4).
pub const LONGEST_OUTAGE: SignedDuration = SignedDuration::from_hours(72);
/// The number of waiting deliveries beyond which fresh ones wait behind them while the receiver recovers (B5).
pub const MANY_WAIT: usize = 100;
/// The number of released deliveries without an answer from which an answer releases one delivery instead of two (B5).
const MOST_UNDER_WAY: u32 = 64;
/// The length of a bucket, in seconds, and the number of buckets that count.
const BUCKET_SECONDS: i64 = 10;
const BUCKETS: i64 = 6;
/// The attempts in a minute from which a share of failures opens the breaker (B2).
const LEAST_ATTEMPTS: u32 = 10;
/// The failures in a row that open the breaker, and the least time from the first of them to the last (B2).
const RUN_LENGTH: u32 = 3;
const RUN_TIME: SignedDuration = SignedDuration::from_mins(2);
/// The time for which no second probe begins: more than the longest timeout and a claim.
const PROBE_LEASE: SignedDuration = SignedDuration::from_mins(3);
/// The time after which a suspect that was not slow again is closed.
const SUSPICION: SignedDuration = SignedDuration::from_mins(10);
/// The bytes of an error that are stored.
const MAX_ERROR_BYTES: usize = 200;

/// A receiver by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiver {
    /// The id, made of the owner, the scheme, the host and the port.
    pub id: Id,
    /// The owner of the rules that send to it.
    pub owner: Owner,
    /// `https` or `http`.
    pub scheme: Box<str>,
    /// Host and port, such as `api.bank.example:443`.
    pub host: Box<str>,
}

impl Receiver {
    /// The receiver of a request by this owner's rules.
    pub fn of(owner: &Owner, request: &Request) -> Self {
        let scheme = request.origin().split_once("://").map_or("https", |(scheme, _)| scheme);
        Self::named(owner, scheme, request.host())
    }

    /// The receiver with this name.
    fn named(owner: &Owner, scheme: &str, host: &str) -> Self {
        let of = owner.affiliate().map_or("admin", Id::as_str);
        let kind = if owner.affiliate().is_some() { "affiliate" } else { "admin" };
        let id = format!("rcv_{}", hash::text(&["receiver", kind, of, scheme, host], 24));
        let id = id.parse().expect("a hash is an id");
        Self { id, owner: owner.clone(), scheme: scheme.into(), host: host.into() }
    }
}

/// The state of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiverState {
    /// Requests are sent.
    #[default]
    Closed,
    /// Requests are sent; answers are slow.
    Suspect,
    /// The receiver is down: deliveries wait for it.
    Open,
    /// The receiver has answered again: waiting deliveries go out.
    HalfOpen,
}

impl ReceiverState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Closed, Self::Suspect, Self::Open, Self::HalfOpen];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Suspect => "suspect",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The outcome of one attempt for its receiver's health (B1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// An answer that shows that the receiver works, whatever its content.
    Response,
    /// No answer in time, or no connection, with the error.
    Failure(String),
    /// A 5xx or 429 that its rule retries. It does not affect other rules: alone it opens the breaker only if nothing else is counted for
    /// minutes.
    Refusal(String),
}

/// The attempts of ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Bucket {
    /// The number of its ten seconds, counted from 1970.
    at: i64,
    attempts: u32,
    failures: u32,
}

/// Failures without an answer between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Streak {
    failures: u32,
    first: Timestamp,
    last: Timestamp,
}

/// The attempts that one process has seen since it last wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The attempts of the last minute.
    buckets: Vec<Bucket>,
    /// `true` if there was an answer; the streak began after it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    answered: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    streak: Option<Streak>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
}

impl Counts {
    /// Counts an attempt that ended now.
    pub fn add(&mut self, sign: &Sign, now: Timestamp) {
        let failed = matches!(sign, Sign::Failure(_));
        self.count(Bucket { at: bucket(now), attempts: 1, failures: failed.into() });
        self.age(now);
        match sign {
            Sign::Response => (self.answered, self.streak) = (true, None),
            Sign::Failure(error) | Sign::Refusal(error) => {
                let streak = self.streak.get_or_insert(Streak { failures: 0, first: now, last: now });
                streak.failures = streak.failures.saturating_add(1);
                streak.last = streak.last.max(now);
                self.last_error = Some(error[..error.floor_char_boundary(MAX_ERROR_BYTES)].to_owned());
            }
        }
    }

    /// Adds later counts of another process or of this one.
    fn merge(&mut self, later: Self, now: Timestamp) {
        later.buckets.into_iter().for_each(|bucket| self.count(bucket));
        self.age(now);
        self.last_error = later.last_error.or(self.last_error.take());
        self.streak = match (self.streak, later.streak) {
            (_, streak) if later.answered => streak,
            (Some(one), Some(other)) => Some(Streak {
                failures: one.failures.saturating_add(other.failures),
                first: one.first.min(other.first),
                last: one.last.max(other.last),
            }),
            (one, other) => one.or(other),
        };
        self.answered = false;
    }

    fn count(&mut self, more: Bucket) {
        match self.buckets.iter_mut().find(|bucket| bucket.at == more.at) {
            Some(bucket) => {
                bucket.attempts = bucket.attempts.saturating_add(more.attempts);
                bucket.failures = bucket.failures.saturating_add(more.failures);
            }
            None => self.buckets.push(more),
        }
    }

    /// Forgets buckets that are older than a minute.
    fn age(&mut self, now: Timestamp) {
        let first = bucket(now) - BUCKETS + 1;
        self.buckets.retain(|bucket| bucket.at >= first);
    }

    /// Returns true if these counts open the breaker (B2).
    fn is_too_bad(&self) -> bool {
        let (attempts, failures) = self.buckets.iter().fold((0_u32, 0_u32), |(attempts, failures), bucket| {
            (attempts.saturating_add(bucket.attempts), failures.saturating_add(bucket.failures))
        });
        let often = attempts >= LEAST_ATTEMPTS && failures.saturating_mul(2) >= attempts;
        let long = self.streak.is_some_and(|Streak { failures, first, last }| failures >= RUN_LENGTH && last >= first + RUN_TIME);
        often || long
    }
}

fn bucket(now: Timestamp) -> i64 {
    now.as_second().div_euclid(BUCKET_SECONDS)
}

/// A delivery that probes an open receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The time after which another one may probe.
    pub until: Timestamp,
}

/// The health of one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The state.
    pub state: ReceiverState,
    /// The time since which it is in this state.
    pub since: Timestamp,
    /// Grows with each transition and with each probe: a write with an older one is late.
    pub generation: u64,
    /// The time at which its outage began, until it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_since: Option<Timestamp>,
    counts: Counts,
    /// The running probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// The time of the last probe's end, or of the outage's beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probed_at: Option<Timestamp>,
    /// The probes of this outage that failed.
    #[serde(default)]
    failed_probes: u32,
    /// `true` if a person requested a probe.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_asked: bool,
    /// `true` while many deliveries wait for the half-open receiver: fresh ones wait behind them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_many: bool,
}

/// A change of a receiver's state that is published on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// An outage has begun.
    Down,
    /// The outage has ended.
    Up,
}

impl Health {
    /// The health of a receiver without known failures.
    pub fn new(now: Timestamp) -> Self {
        Self {
            state: ReceiverState::Closed,
            since: now,
            generation: 0,
            down_since: None,
            counts: Counts::default(),
            probe: None,
            probed_at: None,
            failed_probes: 0,
            is_asked: false,
            has_many: false,
        }
    }

    /// The error of its last failure.
    pub fn last_error(&self) -> Option<&str> {
        self.counts.last_error.as_deref()
    }

    /// The failures since its last answer.
    pub fn failures_in_a_row(&self) -> u32 {
        self.counts.streak.map_or(0, |streak| streak.failures)
    }

    /// Returns true if it has failed in the last minute.
    pub fn has_failed_lately(&self, now: Timestamp) -> bool {
        let first = bucket(now) - BUCKETS + 1;
        self.counts.buckets.iter().any(|bucket| bucket.at >= first && bucket.failures > 0)
    }

    /// Returns true if its outage has not ended.
    pub fn is_out(&self) -> bool {
        matches!(self.state, ReceiverState::Open | ReceiverState::HalfOpen)
    }

    /// Returns true if a delivery must wait for the receiver. A delivery that has waited is sent while the receiver recovers; a
    /// probe is sent at any time.
    pub fn keeps(&self, delivery: &DeliveryId, has_waited: bool, now: Timestamp) -> bool {
        match self.state {
            ReceiverState::Closed | ReceiverState::Suspect => false,
            ReceiverState::HalfOpen => self.has_many && !has_waited,
            ReceiverState::Open => self.probe.as_ref().is_none_or(|probe| probe.delivery != *delivery || probe.until <= now),
        }
    }

    /// Adds counts. Returns the transition if they open the breaker (B2).
    pub fn merge(&mut self, counts: Counts, now: Timestamp) -> Option<Transition> {
        self.counts.merge(counts, now);
        if self.is_out() || !self.counts.is_too_bad() {
            return None;
        }
        self.go(ReceiverState::Open, now);
        (self.down_since, self.probed_at, self.failed_probes) = (Some(now), Some(now), 0);
        Some(Transition::Down)
    }

    /// Returns true if these counts would open the breaker.
    pub fn would_open(&self, counts: &Counts, now: Timestamp) -> bool {
        self.clone().merge(counts.clone(), now).is_some()
    }

    /// Begins a probe by this delivery, unless one is running.
    pub fn begin_probe(&mut self, delivery: &DeliveryId, now: Timestamp) -> bool {
        if self.state != ReceiverState::Open || self.is_probed(now) {
            return false;
        }
        self.generation += 1;
        self.is_asked = false;
        self.probe = Some(Probe { delivery: delivery.clone(), until: now + PROBE_LEASE });
        true
    }

    /// Returns true while a probe is running.
    pub fn is_probed(&self, now: Timestamp) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.until > now)
    }

    /// The time of the next probe, while these wait, the oldest of them until `until` at most; `None` if the receiver is not open.
    pub fn next_probe(&self, waiting: &[ProbeCandidate], until: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let last = self.probed_at.filter(|_| self.state == ReceiverState::Open)?;
        if let Some(probe) = self.probe.as_ref().filter(|probe| probe.until > now) {
            return Some(probe.until);
        }
        if self.is_asked {
            return Some(now);
        }
        Some(last + probe_pause(self.failed_probes, waiting, until.duration_since(last)))
    }

    /// Makes the next probe due now at a person's request, and later probes frequent again. Returns false if the receiver is
    /// not open.
    pub fn ask_probe(&mut self) -> bool {
        if self.state != ReceiverState::Open {
            return false;
        }
        (self.is_asked, self.failed_probes) = (true, 0);
        self.generation += 1;
        true
    }

    /// Records the result of an attempt that began at `began` while the receiver is open or half-open. Returns true if that changes
    /// anything: an attempt that began earlier does not count.
    pub fn hear(&mut self, sign: &Sign, (delivery, began): (&DeliveryId, Timestamp), now: Timestamp) -> bool {
        let is_probe = self.probe.as_ref().is_some_and(|probe| probe.delivery == *delivery);
        match (self.state, sign) {
            (ReceiverState::Open, Sign::Response) if began >= self.since => {
                self.go(ReceiverState::HalfOpen, now);
                self.has_many = true;
                true
            }
            (ReceiverState::Open, Sign::Failure(_) | Sign::Refusal(_)) if is_probe => {
                self.fail(sign, now);
                true
            }
            (ReceiverState::HalfOpen, Sign::Failure(_) | Sign::Refusal(_)) if began >= self.since => {
                self.go(ReceiverState::Open, now);
                self.fail(sign, now);
                true
            }
            _ => false,
        }
    }

    /// Records the failure of a probe, or of a released delivery.
    fn fail(&mut self, sign: &Sign, now: Timestamp) {
        self.counts.add(sign, now);
        self.probe = None;
        self.generation += 1;
        self.probed_at = Some(now);
        self.failed_probes = self.failed_probes.saturating_add(1);
    }

    /// Releases waiting deliveries at a person's request. Returns false if nothing waits for the receiver in this state.
    pub fn release(&mut self, now: Timestamp) -> bool {
        if self.state != ReceiverState::Open {
            return false;
        }
        self.go(ReceiverState::HalfOpen, now);
        self.has_many = true;
        true
    }

    /// Closes the breaker. Returns the transition if an outage has ended.
    pub fn close(&mut self, now: Timestamp) -> Option<Transition> {
        self.go(ReceiverState::Closed, now);
        let last_error = self.counts.last_error.take();
        self.counts = Counts { last_error, ..Counts::default() };
        (self.failed_probes, self.probed_at, self.is_asked) = (0, None, false);
        self.down_since.take().map(|_| Transition::Up)
    }

    /// Makes the receiver suspect: a send takes long. Returns false if that changes nothing.
    pub fn suspect(&mut self, now: Timestamp) -> bool {
        let changes = self.state == ReceiverState::Closed;
        if changes {
            self.go(ReceiverState::Suspect, now);
        }
        changes
    }

    /// Returns true if it has been suspect for so long that it can be closed.
    pub fn is_stale_suspect(&self, now: Timestamp) -> bool {
        self.state == ReceiverState::Suspect && now >= self.since + SUSPICION
    }

    fn go(&mut self, state: ReceiverState, now: Timestamp) {
        (self.state, self.since, self.probe, self.has_many) = (state, now, None, false);
        self.generation += 1;
    }
}

/// The number of waiting deliveries that an answer releases (B5): two, so that the number under way doubles, until it reaches
/// its limit; then one. `under_way` is the number of released deliveries without an answer.
pub fn release_count(under_way: u32) -> usize {
    if under_way < MOST_UNDER_WAY { 2 } else { 1 }
}

#[cfg(test)]
mod tests;
