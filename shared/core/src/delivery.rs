//! A delivery: one postback owed to one receiver for one change; its id, its states, and its continuation after an attempt.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    answer::Verdict,
    event::EventKind,
    hash,
    id::Id,
    retry::{EndOfRetries, RetryPolicy, end_of_retries},
};

/// The state of a delivery (docs/domain.md, "States of a delivery").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Due later.
    Waiting,
    /// Held until the conversion is settled (F1).
    Held,
    /// An attempt is under way.
    Sending,
    /// The receiver accepted it.
    Delivered,
    /// The receiver will not take it, or it cannot be sent.
    Failed,
    /// Retries used up, none answered pending (L3).
    Exhausted,
    /// Retries used up, the result is still pending (L3).
    Unresolved,
    /// Held for too long (F3).
    Expired,
    /// A newer change went first (P3).
    Superseded,
    /// The rule was switched off or deleted, or a person stopped it (P6).
    Cancelled,
    /// There is nothing to send (F3, F4).
    Skipped,
}

impl State {
    /// Every state, in the order of docs/domain.md.
    pub const ALL: [Self; 11] = [
        Self::Waiting,
        Self::Held,
        Self::Sending,
        Self::Delivered,
        Self::Failed,
        Self::Exhausted,
        Self::Unresolved,
        Self::Expired,
        Self::Superseded,
        Self::Cancelled,
        Self::Skipped,
    ];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Exhausted => "exhausted",
            Self::Unresolved => "unresolved",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }

    /// The state with that name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Returns true if the delivery has ended.
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Waiting | Self::Held | Self::Sending)
    }

    /// Returns true if the state is published to the platform as `Delivery Ended` (docs/results-out.md).
    pub fn is_announced(self) -> bool {
        matches!(self, Self::Failed | Self::Exhausted | Self::Unresolved)
    }
}

/// The id of a delivery: `dlv_`, sixteen characters that name the conversion, sixteen that name the rest. It is derived, so that
/// repeats of a bus event or a message have the same id (P2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeliveryId(Box<str>);

/// A text that is no delivery's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a delivery id: dlv_ and 32 characters of a-z 0-9 are allowed")]
pub struct NotADeliveryId;

const HALF: usize = 16;
const PREFIX: &str = "dlv_";

/// The cause of a delivery: it distinguishes deliveries of the same rule and subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause<'a> {
    /// A change: one delivery per (rule, change, subject, event kind).
    Change(&'a Id, EventKind),
    /// The one final postback of a hold (F1). The rule's epoch distinguishes a hold that was cancelled from one that began again after
    /// the rule was switched on again (P6).
    Final(u64),
    /// The postback of a conversion that is settled after its hold expired (F3).
    Late(u64),
}

impl DeliveryId {
    /// The id of the delivery that a rule owes to a subject of a conversion for a cause.
    pub fn derive(conversion: &Id, rule: &Id, subject: &str, cause: Cause<'_>) -> Self {
        let rest = match cause {
            Cause::Change(change, kind) => hash::text(&["change", rule.as_str(), change.as_str(), subject, kind.as_str()], HALF),
            Cause::Final(epoch) => hash::text(&["final", rule.as_str(), subject, &epoch.to_string()], HALF),
            Cause::Late(epoch) => hash::text(&["late", rule.as_str(), subject, &epoch.to_string()], HALF),
        };
        Self(format!("{PREFIX}{}{rest}", conversion_hash(conversion)).into())
    }

    /// An id for a trial; no delivery has it.
    pub fn of_trial(rule: &Id, now: Timestamp) -> Self {
        let part = |half: &str| hash::text(&["test", half, rule.as_str(), &now.to_string()], HALF);
        Self(format!("{PREFIX}{}{}", part("conversion"), part("rest")).into())
    }

    /// The id in a text, if it has the form of one.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(PREFIX)?;
        let fits = rest.len() == 2 * HALF && rest.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        fits.then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The half that names the conversion: the partition it is stored in.
    pub fn conversion_part(&self) -> &str {
        &self.0[PREFIX.len()..PREFIX.len() + HALF]
    }
}

impl TryFrom<String> for DeliveryId {
    type Error = NotADeliveryId;

    fn try_from(text: String) -> Result<Self, NotADeliveryId> {
        Self::parse(&text).ok_or(NotADeliveryId)
    }
}

impl From<DeliveryId> for String {
    fn from(id: DeliveryId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The half of a delivery's id that names its conversion.
pub fn conversion_hash(conversion: &Id) -> String {
    hash::text(&["conversion", conversion.as_str()], HALF)
}

/// The continuation of a delivery after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It has ended.
    Ended(State, String),
    /// The request is repeated at this time.
    Again(Timestamp),
}

/// The repeats of a request: the number sent, the number allowed, and their times (L1, L2).
#[derive(Debug, Clone, Copy)]
pub struct Repeats<'a> {
    /// The number of the finished attempt; 1 is the first.
    pub attempt: u32,
    /// The most attempts.
    pub max_attempts: u32,
    /// The times of repeats.
    pub policy: &'a RetryPolicy,
    /// The delivery, by which waits differ.
    pub id: &'a DeliveryId,
    /// `true` if this or an earlier attempt was answered pending.
    pub pending_seen: bool,
}

/// Returns the continuation after an attempt with this verdict (A1, A2, L1–L3); `why` is the verdict in words, for the log.
pub fn after_attempt(verdict: Verdict, why: &str, repeats: &Repeats<'_>, retry_after: Option<Duration>, now: Timestamp) -> Next {
    let Repeats { attempt, max_attempts, policy, id, pending_seen } = *repeats;
    match verdict {
        Verdict::Delivered => Next::Ended(State::Delivered, why.to_owned()),
        // A rule with one request has no other step.
        Verdict::Failed | Verdict::Branch => Next::Ended(State::Failed, why.to_owned()),
        Verdict::Pending | Verdict::Retry if attempt >= max_attempts => {
            let (state, reason) = used_up(attempt, pending_seen || verdict == Verdict::Pending, why);
            Next::Ended(state, reason)
        }
        Verdict::Pending | Verdict::Retry => {
            let wait = policy.wait_before(attempt, id.as_str(), retry_after);
            let wait = jiff::SignedDuration::try_from(wait).unwrap_or(jiff::SignedDuration::from_hours(12));
            Next::Again(now.saturating_add(wait).unwrap_or(Timestamp::MAX))
        }
    }
}

/// The end of a delivery whose retries are used up (L3).
pub fn used_up(attempts: u32, pending_seen: bool, why: &str) -> (State, String) {
    let state = match end_of_retries(pending_seen) {
        EndOfRetries::Unresolved => State::Unresolved,
        EndOfRetries::Exhausted => State::Exhausted,
    };
    let plural = if attempts == 1 { "" } else { "s" };
    (state, format!("no more retries after {attempts} attempt{plural}; the last: {why}"))
}

#[cfg(test)]
mod tests;
