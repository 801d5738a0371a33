//! A caller's share of the processor: an affiliate's requests run one at a time, and for half of a processor's time.
//!
//! A server works requests in turn, a piece at a time: from one wait for the store or a receiver to the next. If eight requests of one
//! affiliate each need some milliseconds for their next piece, everybody else's piece waits for all of them, at each of its own waits. So
//! an affiliate has one piece at most that runs or waits for a processor, and after some milliseconds of work it rests for as long as it
//! worked. Waits for the store or a receiver cost nothing.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// The work of one affiliate after which it rests.
const MAX_WORK: Duration = Duration::from_millis(3);
/// The time from the beginning of a piece to the next, as a multiple of the time that the piece took.
const SHARE: u32 = 2;
/// The time after which a request looks again whether another one's piece has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The time that an affiliate's requests take of the processors.
#[derive(Debug)]
pub(crate) struct Slices {
    is_running: bool,
    /// The time at which all work is balanced by rest.
    rested: Instant,
}

impl Slices {
    pub(crate) fn new(now: Instant) -> Self {
        Self { is_running: false, rested: now }
    }

    /// Begins a piece of work, or returns the time at which to ask again.
    fn begin(&mut self, now: Instant) -> Result<(), Instant> {
        if self.is_running {
            return Err(now + LOOK_AGAIN);
        }
        let begin = self.rested.checked_sub(MAX_WORK * SHARE).unwrap_or(now);
        if begin > now {
            return Err(begin);
        }
        self.is_running = true;
        Ok(())
    }

    /// Ends the piece of work that began then.
    fn end(&mut self, began: Instant, now: Instant) {
        self.is_running = false;
        self.rested = self.rested.max(began) + now.saturating_duration_since(began) * SHARE;
    }
}

/// A future that is polled within its caller's share.
pub(crate) struct Sliced<F> {
    inner: Pin<Box<F>>,
    slices: Arc<Mutex<Slices>>,
    rest: Option<Pin<Box<Sleep>>>,
}

impl<F> Sliced<F> {
    pub(crate) fn new(inner: F, slices: Arc<Mutex<Slices>>) -> Self {
        Self { inner: Box::pin(inner), slices, rest: None }
    }
}

impl<F: Future> Future for Sliced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let began = loop {
            if let Some(rest) = &mut this.rest {
                ready!(rest.as_mut().poll(context));
                this.rest = None;
            }
            let now = Instant::now();
            match lock(&this.slices).begin(now) {
                Ok(()) => break now,
                Err(at) => this.rest = Some(Box::pin(sleep_until(at))),
            }
        };
        let _running = Running { slices: &this.slices, began };
        this.inner.as_mut().poll(context)
    }
}

/// A running piece of work; dropping this ends it, also by a panic.
struct Running<'a> {
    slices: &'a Mutex<Slices>,
    began: Instant,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(self.slices).end(self.began, Instant::now());
    }
}

fn lock(slices: &Mutex<Slices>) -> MutexGuard<'_, Slices> {
    slices.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn f5_an_affiliate_works_for_half_of_the_time() {
        let start = Instant::now();
        let mut slices = Slices::new(start);
        // Six milliseconds of work at a go, then as much rest.
        for piece in 0..3 {
            assert_eq!(slices.begin(start + ms(2 * piece)), Ok(()));
            slices.end(start + ms(2 * piece), start + ms(2 * piece + 2));
        }
        assert_eq!(slices.begin(start + ms(6)), Ok(()));
        slices.end(start + ms(6), start + ms(8));
        assert_eq!(slices.begin(start + ms(8)), Err(start + ms(10)));
        assert_eq!(slices.begin(start + ms(10)), Ok(()));
        slices.end(start + ms(10), start + ms(10));
        // A short piece costs no rest.
        assert_eq!(slices.begin(start + ms(10)), Ok(()));
        slices.end(start + ms(10), start + ms(40));
        assert_eq!(slices.begin(start + ms(40)), Err(start + ms(70)));
    }

    #[tokio::test]
    async fn f5_one_piece_of_an_affiliate_runs_at_once_and_a_panic_ends_it() {
        let slices = Arc::new(Mutex::new(Slices::new(Instant::now())));
        lock(&slices).is_running = true;
        let mut waiting = Box::pin(Sliced::new(async { "done" }, Arc::clone(&slices)));
        assert_eq!((&mut waiting).now_or_never(), None);
        lock(&slices).is_running = false;
        assert_eq!(waiting.await, "done");
        let panics = Sliced::new(async { panic!("on purpose") }, Arc::clone(&slices));
        assert!(tokio::spawn(panics).await.unwrap_err().is_panic());
        assert_eq!(Sliced::new(async { "next" }, slices).await, "next");
    }
}
