//! The counts of an engine since they were last asked for: metrics are made of them.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::SignedDuration;
use tracking_core::{answer::Verdict, delivery::State};

/// Latencies that are kept between two questions, at most.
const MOST_LATENCIES: usize = 1_000;

/// The events since the last question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rules that matched a change and owe a postback at once.
    pub matched: u64,
    /// Attempts that were concluded, by verdict.
    pub attempts: BTreeMap<&'static str, u64>,
    /// Deliveries that ended, by state.
    pub ended: BTreeMap<&'static str, u64>,
    /// The times that receivers took, in milliseconds: of the first thousand attempts.
    pub latencies: Vec<u64>,
}

/// The tally that is being kept.
#[derive(Debug, Default)]
pub(crate) struct Tallying(Mutex<Tally>);

impl Tallying {
    /// Returns the tally and begins a new one.
    pub(crate) fn take(&self) -> Tally {
        mem::take(&mut *self.kept())
    }

    pub(crate) fn matched(&self, count: usize) {
        self.kept().matched += count as u64;
    }

    pub(crate) fn attempt(&self, verdict: Verdict, took: SignedDuration) {
        let mut kept = self.kept();
        *kept.attempts.entry(verdict.as_str()).or_default() += 1;
        if kept.latencies.len() < MOST_LATENCIES {
            kept.latencies.push(u64::try_from(took.as_millis()).unwrap_or(0));
        }
    }

    pub(crate) fn ended(&self, state: State) {
        *self.kept().ended.entry(state.as_str()).or_default() += 1;
    }

    fn kept(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_taken_once() {
        let tallying = Tallying::default();
        tallying.matched(2);
        tallying.attempt(Verdict::Delivered, SignedDuration::from_millis(12));
        tallying.ended(State::Delivered);
        let tally = tallying.take();
        assert_eq!((tally.matched, tally.latencies), (2, vec![12]));
        assert_eq!(tally.ended, BTreeMap::from([("delivered", 1)]));
        assert_eq!(tallying.take(), Tally::default());
    }
}
