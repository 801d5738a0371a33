//! Rules that fail, as a process remembers them, and the verdicts that were recorded since somebody noted them.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{answer::Verdict, caller::Owner, id::Id};

/// The time without a success after which a rule's failing is published.
pub(crate) const PUBLISH_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// The least time between two looks at the log of one rule.
pub(crate) const LOOK_INTERVAL: SignedDuration = SignedDuration::from_mins(10);
/// The time without a failure after which a rule loses its row.
const RECOVERED_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// The most rules that a process remembers, and the most verdicts that wait to be noted. Beyond it the rules are forgotten, and
/// verdicts dropped.
const MAX_RULES: usize = 10_000;

/// The verdict of an attempt that is recorded.
#[derive(Debug, Clone)]
pub(crate) struct Concluded {
    pub(crate) rule: Id,
    pub(crate) owner: Owner,
    pub(crate) verdict: Verdict,
    /// The time at which the attempt began.
    pub(crate) at: Timestamp,
}

/// A rule that failed, as a process remembers it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) since: Timestamp,
    /// The next look at the log.
    pub(crate) look_at: Timestamp,
    pub(crate) last_success: Option<Timestamp>,
    /// The first success since the last failure.
    pub(crate) recovered_since: Option<Timestamp>,
}

/// The rules of which a process knows that they failed.
#[derive(Debug, Default)]
pub(crate) struct FailingRules {
    known: Mutex<HashMap<Id, Known>>,
    concluded: Mutex<Vec<Concluded>>,
}

impl FailingRules {
    /// Adds a verdict that is to be noted.
    pub(crate) fn conclude(&self, one: Concluded) {
        let mut concluded = self.concluded.lock().unwrap_or_else(PoisonError::into_inner);
        if concluded.len() < MAX_RULES {
            concluded.push(one);
        }
    }

    /// Takes the verdicts that are to be noted.
    pub(crate) fn take_concluded(&self) -> Vec<Concluded> {
        mem::take(&mut *self.concluded.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, HashMap<Id, Known>> {
        let mut kept = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() > MAX_RULES {
            kept.clear();
        }
        kept
    }

    /// Notes a success. Returns true if the rule has recovered.
    pub(crate) fn succeeded(&self, rule: &Id, now: Timestamp) -> bool {
        let mut kept = self.kept();
        let Some(known) = kept.get_mut(rule) else { return false };
        known.last_success = Some(now);
        let has_recovered = now >= *known.recovered_since.get_or_insert(now) + RECOVERED_AFTER;
        if has_recovered {
            kept.remove(rule);
        }
        has_recovered
    }

    /// Notes a failure. Returns the known state of the rule if there is nothing to do.
    pub(crate) fn failed(&self, rule: &Id, at: Timestamp, now: Timestamp) -> Option<Known> {
        let mut kept = self.kept();
        let known = kept.get_mut(rule)?;
        if known.recovered_since.take().is_some() {
            (known.since, known.look_at) = (at, at + PUBLISH_AFTER);
        }
        let found = *known;
        if now < found.look_at {
            return Some(found);
        }
        // One caller looks, the others go on.
        known.look_at = now + LOOK_INTERVAL;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn a_rule_that_fails_now_and_then_is_rarely_looked_at() {
        let (rules, rule): (FailingRules, Id) = (FailingRules::default(), "trk_1".parse().unwrap());
        assert!(rules.failed(&rule, at(0), at(0)).is_none(), "nothing is known of it");
        let known = Known { since: at(0), look_at: at(60), last_success: None, recovered_since: None };
        rules.kept().insert(rule.clone(), known);
        assert!(rules.failed(&rule, at(59), at(59)).is_some());
        assert!(!rules.succeeded(&rule, at(59)));
        let since = rules.failed(&rule, at(60), at(60)).map(|known| (known.since, known.look_at));
        assert_eq!(since, Some((at(60), at(120))), "a success begins a new run");
        assert!(rules.failed(&rule, at(120), at(120)).is_none(), "an hour is over");
        assert!(!rules.succeeded(&rule, at(121)) && !rules.succeeded(&rule, at(130)));
        assert!(rules.succeeded(&rule, at(131)), "ten minutes after the first success");
        assert!(!rules.succeeded(&rule, at(132)), "it is known no more");
    }
}
