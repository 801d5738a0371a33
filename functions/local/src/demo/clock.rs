//! The demo's clock: it starts before an office opens, is moved to the opening, and ends at the machine's time.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp, Zoned, civil::Weekday, tz::TimeZone};
use tracking_engine::Clock;

use crate::clock;

/// The office of the sample's rule: its time zone and the hour at which it opens, from Monday to Friday.
const OFFICE: &str = "Europe/Prague";
const OPENS_AT_HOUR: i8 = 9;
/// The time before the opening at which the demo begins.
const BEFORE: SignedDuration = SignedDuration::from_hours(2);
/// The time after the opening to which the clock is moved: postbacks that wait for it are spread over its first 5 minutes.
const AFTER: SignedDuration = SignedDuration::from_mins(6);

/// A clock that runs like the machine's, but may be behind it.
#[derive(Debug, Clone)]
pub(super) struct DemoClock {
    /// Milliseconds to add to the machine's time.
    offset_ms: Arc<AtomicI64>,
    opening: Timestamp,
}

impl DemoClock {
    /// Makes the clock of a demo that begins two hours before the last opening.
    pub(super) fn before_opening() -> Self {
        let now = clock::now();
        let opening = last_opening(now);
        let this = Self { offset_ms: Arc::default(), opening };
        this.set(opening - BEFORE);
        this
    }

    /// Returns the clock for an engine.
    pub(super) fn clock(&self) -> Clock {
        let offset_ms = Arc::clone(&self.offset_ms);
        Clock::new(move || clock::now() + SignedDuration::from_millis(offset_ms.load(Ordering::Relaxed)))
    }

    /// Moves the clock to a few minutes after the opening. Returns that time in the office's zone.
    pub(super) fn open_office(&self) -> Zoned {
        let at = self.opening + AFTER;
        self.set(at);
        at.to_zoned(office())
    }

    /// Sets the clock to the machine's time.
    pub(super) fn catch_up(&self) {
        self.offset_ms.store(0, Ordering::Relaxed);
    }

    fn set(&self, time: Timestamp) {
        let offset = time.as_millisecond() - clock::now().as_millisecond();
        self.offset_ms.store(offset, Ordering::Relaxed);
    }
}

/// Returns the last opening of the office that the machine's clock has passed by a few minutes.
fn last_opening(now: Timestamp) -> Timestamp {
    let mut day = now.to_zoned(office()).date();
    loop {
        let opens = day.at(OPENS_AT_HOUR, 0, 0, 0).to_zoned(office()).expect("a day of now has a time").timestamp();
        let is_working_day = !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
        // A demo lasts some minutes at most.
        if is_working_day && opens + AFTER + AFTER <= now {
            return opens;
        }
        day = day.yesterday().expect("a week before now is a day");
    }
}

fn office() -> TimeZone {
    TimeZone::get(OFFICE).expect("the zones are built in")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(now: &str, expected: &str) {
        assert_eq!(last_opening(now.parse().unwrap()).to_string(), expected, "{now}");
    }

    #[test]
    fn w14_the_last_opening_is_a_working_day_s_morning_that_has_passed() {
        check("2026-11-27T18:00:00Z", "2026-11-27T08:00:00Z");
        check("2026-11-27T08:11:59Z", "2026-11-26T08:00:00Z");
        check("2026-11-27T08:12:00Z", "2026-11-27T08:00:00Z");
        check("2026-11-29T12:00:00Z", "2026-11-27T08:00:00Z");
        check("2026-11-30T01:00:00Z", "2026-11-27T08:00:00Z");
        check("2026-07-01T12:00:00Z", "2026-07-01T07:00:00Z");
    }

    #[test]
    fn the_clock_begins_before_the_opening_and_ends_as_the_machine_s() {
        let demo = DemoClock::before_opening();
        let until_opening = |demo: &DemoClock| demo.opening.duration_since(demo.clock().now()).as_mins();
        assert!((119..=120).contains(&until_opening(&demo)));
        let opened = demo.open_office();
        assert_eq!((opened.hour(), opened.minute(), until_opening(&demo)), (9, 6, -6));
        demo.catch_up();
        assert!(demo.clock().now().duration_since(clock::now()).as_secs().abs() < 2);
    }
}
