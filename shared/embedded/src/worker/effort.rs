//! The processor time that the messages of each owner take. An owner *gives way* if its messages take much more time than usual, or more
//! than a share of the time while other owners have messages too: they are worked by threads of low priority, so that they delay no other
//! owner's.

use std::{
    collections::HashMap,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// The processor time of a usual message, in microseconds; what goes beyond it is excess. Programs without optimizations take ten times as
/// long.
const USUAL: i64 = if cfg!(debug_assertions) { 5_000 } else { 500 };
/// The excess, in microseconds, from which an owner gives way.
const COSTLY: i64 = 20_000;
/// The most excess that is remembered, in microseconds.
const MOST: i64 = 200_000;
/// An owner is forgiven one part in so many of the time that passes: 20 ms a second.
const FORGIVEN_OF: i64 = 50;
/// The share of an owner: one part in so many of the time that passes, 100 ms a second.
const SHARE_OF: i64 = if cfg!(debug_assertions) { 1 } else { 10 };
/// The time, in microseconds, that an owner may be ahead of its share.
const AHEAD: i64 = 50_000;
/// The most time beyond its share that is remembered, in microseconds.
const MOST_USED: i64 = 500_000;
/// The time after which another owner's last message does not count any more, in microseconds.
const BESIDE: i64 = 2_000_000;
/// The number of owners that are remembered; after that all are forgotten.
const MOST_OWNERS: usize = 10_000;

/// The efforts for each owner.
#[derive(Debug, Default)]
pub(super) struct Efforts {
    owners: HashMap<Box<str>, Effort>,
    /// The owner of the last message, and the time at which it was last another one's than the message before, in microseconds.
    last: Box<str>,
    changed_at: i64,
}

/// The effort for one owner. Times are in microseconds.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// The excess at `at`.
    excess: i64,
    /// The time of the owner's share that is used at `at`.
    used: i64,
    at: i64,
}

impl Effort {
    /// Returns the effort at another time: what was forgiven since is gone.
    fn at(self, now: i64) -> Self {
        let passed = now.saturating_sub(self.at).max(0);
        let (excess, used) = (self.excess - passed / FORGIVEN_OF, self.used - passed / SHARE_OF);
        Self { excess: excess.max(0), used: used.max(0), at: now }
    }
}

impl Efforts {
    /// Returns true if the owner's messages are to be worked by threads of low priority.
    pub(super) fn gives_way(&self, owner: &str, now: Timestamp) -> bool {
        let now = now.as_microsecond();
        let Some(effort) = self.owners.get(owner).map(|effort| effort.at(now)) else { return false };
        let is_alone = now.saturating_sub(self.changed_at) > BESIDE;
        effort.excess > COSTLY || effort.used > AHEAD && !is_alone
    }

    /// Notes the processor time of so many of the owner's messages.
    pub(super) fn spent(&mut self, owner: &str, messages: usize, time: Duration, now: Timestamp) {
        let at = now.as_microsecond();
        if *self.last != *owner {
            (self.last, self.changed_at) = (owner.into(), at);
        }
        if self.owners.len() >= MOST_OWNERS && !self.owners.contains_key(owner) {
            self.owners.clear();
        }
        let time = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let usual = USUAL.saturating_mul(i64::try_from(messages).unwrap_or(i64::MAX));
        let effort = self.owners.entry(owner.into()).or_insert(Effort { excess: 0, used: 0, at });
        let Effort { excess, used, .. } = effort.at(at);
        let excess = excess.saturating_add(time.saturating_sub(usual)).clamp(0, MOST);
        *effort = Effort { excess, used: used.saturating_add(time).min(MOST_USED), at };
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

    fn after(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + seconds.seconds()
    }

    /// The time that so many usual messages take, and so much more.
    fn usual_and(messages: i64, excess: i64) -> Duration {
        Duration::from_micros((USUAL * messages + excess).unsigned_abs())
    }

    #[test]
    fn f3_an_owner_gives_way_while_its_messages_take_much_more_than_usual() {
        let mut efforts = Efforts::default();
        efforts.spent("usual", 1, usual_and(1, 0), after(0));
        efforts.spent("dear", 1, usual_and(1, 20_000), after(0));
        assert!(
            !efforts.gives_way("usual", after(0))
                && !efforts.gives_way("dear", after(0))
                && !efforts.gives_way("other", after(0))
        );
        efforts.spent("dear", 1, usual_and(1, 45_000), after(0));
        assert!(efforts.gives_way("dear", after(0)) && efforts.gives_way("dear", after(2)));
        assert!(!efforts.gives_way("dear", after(3)), "45 ms are forgiven down to 20 ms in 2.25 s");
        efforts.spent("dear", 1, Duration::from_mins(1), after(3));
        assert!(efforts.gives_way("dear", after(11)) && !efforts.gives_way("dear", after(13)), "at most 200 ms are remembered");
        efforts.spent("dear", 1, Duration::from_mins(1), after(20));
        efforts.spent("dear", 1_000, Duration::ZERO, after(20));
        assert!(!efforts.gives_way("dear", after(20)), "cheap messages make up for costly ones");
        assert!(!efforts.gives_way("dear", after(0)), "the clock may be set back");
    }

    #[test]
    fn f3_an_owner_beyond_its_share_gives_way_while_others_have_messages() {
        let mut efforts = Efforts::default();
        let many = usize::try_from(AHEAD / USUAL + 1).unwrap();
        let ahead = Duration::from_micros(AHEAD.unsigned_abs() + 1_000);
        efforts.spent("big", 1, Duration::ZERO, after(0));
        efforts.spent("big", many, ahead, after(10));
        assert!(!efforts.gives_way("big", after(10)), "it is alone");
        efforts.spent("small", 1, Duration::ZERO, after(10));
        assert!(efforts.gives_way("big", after(10)) && !efforts.gives_way("small", after(10)));
        assert!(!efforts.gives_way("big", after(11)), "its share of a second is more than what it was ahead");
        efforts.spent("big", 1_000_000, Duration::from_mins(1), after(20));
        efforts.spent("small", 1, Duration::ZERO, after(22));
        assert!(efforts.gives_way("big", after(24)) || cfg!(debug_assertions), "450 ms take 4.5 s");
        assert!(!efforts.gives_way("big", after(25)), "at most 500 ms are remembered");
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
