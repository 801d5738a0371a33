//! The processor time that the messages of each owner take. An owner whose messages take much more than usual is *costly*: they are worked
//! by threads of low priority, so that they delay no other owner's.

use std::{
    collections::HashMap,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// The processor time of a usual message, in microseconds; what goes beyond it is excess.
const USUAL: i64 = 500;
/// The excess, in microseconds, from which an owner is costly.
const COSTLY: i64 = 20_000;
/// The most excess that is remembered, in microseconds.
const MOST: i64 = 200_000;
/// An owner is forgiven one part in so many of the time that passes: 20 ms a second.
const FORGIVEN_OF: i64 = 50;
/// The number of owners that are remembered; after that all are forgotten.
const MOST_OWNERS: usize = 10_000;

/// The excess of each owner.
#[derive(Debug, Default)]
pub(super) struct Efforts(HashMap<Box<str>, Excess>);

/// An excess and the time at which it was noted, both in microseconds.
#[derive(Debug, Clone, Copy)]
struct Excess {
    amount: i64,
    at: i64,
}

impl Excess {
    /// Returns what is not forgiven yet.
    fn left(self, now: i64) -> i64 {
        let passed = now.saturating_sub(self.at).max(0);
        (self.amount - passed / FORGIVEN_OF).max(0)
    }
}

impl Efforts {
    /// Returns true if the owner's messages took much more than usual of late.
    pub(super) fn is_costly(&self, owner: &str, now: Timestamp) -> bool {
        self.0.get(owner).is_some_and(|excess| excess.left(now.as_microsecond()) > COSTLY)
    }

    /// Notes the processor time of so many of the owner's messages.
    pub(super) fn spent(&mut self, owner: Box<str>, messages: usize, time: Duration, now: Timestamp) {
        if self.0.len() >= MOST_OWNERS && !self.0.contains_key(&owner) {
            self.0.clear();
        }
        let usual = USUAL.saturating_mul(i64::try_from(messages).unwrap_or(i64::MAX));
        let over = i64::try_from(time.as_micros()).unwrap_or(i64::MAX).saturating_sub(usual);
        let at = now.as_microsecond();
        let excess = self.0.entry(owner).or_insert(Excess { amount: 0, at });
        *excess = Excess { amount: excess.left(at).saturating_add(over).clamp(0, MOST), at };
    }
}

/// Work that measures its own processor time, and returns it.
pub(super) struct Measured<F> {
    work: Pin<Box<F>>,
    spent: Duration,
}

impl<F: Future<Output = ()>> Measured<F> {
    /// Begins some work. Its beginning counts too.
    pub(super) fn begin(work: impl FnOnce() -> F) -> Self {
        let begun = processor_time();
        let work = Box::pin(work());
        Self { work, spent: processor_time().saturating_sub(begun) }
    }
}

impl<F: Future<Output = ()>> Future for Measured<F> {
    type Output = Duration;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Duration> {
        let begun = processor_time();
        let polled = self.work.as_mut().poll(context);
        self.spent += processor_time().saturating_sub(begun);
        polled.map(|()| self.spent)
    }
}

/// Returns the processor time that this thread has taken.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;

    #[test]
    fn f3_an_owner_is_costly_while_its_messages_take_much_more_than_usual() {
        let (mut efforts, start) = (Efforts::default(), Timestamp::UNIX_EPOCH);
        let after = |seconds: i64| start + seconds.seconds();
        efforts.spent("usual".into(), 1_000, Duration::from_millis(500), start);
        assert!(!efforts.is_costly("usual", start), "however many there are");
        efforts.spent("dear".into(), 1, Duration::from_micros(20_500), start);
        assert!(!efforts.is_costly("dear", start) && !efforts.is_costly("other", start));
        efforts.spent("dear".into(), 10, Duration::from_millis(50), start);
        assert!(efforts.is_costly("dear", start) && efforts.is_costly("dear", after(2)));
        assert!(!efforts.is_costly("dear", after(3)), "45 ms are forgiven down to 20 ms in 2.25 s");
        efforts.spent("dear".into(), 1, Duration::from_mins(1), after(3));
        assert!(efforts.is_costly("dear", after(11)) && !efforts.is_costly("dear", after(13)), "at most 200 ms are remembered");
        efforts.spent("dear".into(), 1, Duration::from_mins(1), after(20));
        efforts.spent("dear".into(), 1_000, Duration::ZERO, after(20));
        assert!(!efforts.is_costly("dear", after(20)), "cheap messages make up for costly ones");
        assert!(!efforts.is_costly("dear", start), "the clock may be set back");
    }

    #[tokio::test]
    async fn f3_work_measures_its_processor_time_and_not_its_waits() {
        let busy = |least: Duration| {
            let until = processor_time() + least;
            while processor_time() < until {
                std::hint::spin_loop();
            }
        };
        let work = || {
            busy(Duration::from_millis(5));
            async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                busy(Duration::from_millis(5));
            }
        };
        let spent = Measured::begin(work).await;
        assert!((Duration::from_millis(10)..Duration::from_millis(200)).contains(&spent), "{spent:?}");
    }
}
