//! Waits: literals across clock changes, leap days and holidays (W14).

use jiff::Timestamp;

use super::{super::wait::WaitEnd, *};
use crate::{
    fault::Faults,
    template::{Allowed, Scope, sample},
};

fn parse(wait: &Value) -> Result<Wait, Vec<(String, String)>> {
    let mut faults = Faults::default();
    let wait = Wait::parse(wait, "", Allowed { admin: true, ..Allowed::default() }, &mut faults);
    if faults.is_empty() {
        Ok(wait.unwrap())
    } else {
        Err(faults.0.into_iter().map(|fault| (fault.pointer, fault.detail)).collect())
    }
}

/// The end of a wait that begins at `now`; `None` if there is nothing to wait for.
fn due(wait: &Value, now: &str) -> Option<String> {
    let wait = parse(wait).unwrap_or_else(|faults| panic!("{faults:?}"));
    let now: Timestamp = now.parse().unwrap();
    sample::in_scope(&sample::event(), None, |scope| {
        match wait.due(&Scope { now, steps: scope.steps.clone(), ..*scope }).unwrap() {
            WaitEnd::Now => None,
            WaitEnd::At(at) => Some(at.to_string()),
        }
    })
}

#[track_caller]
fn check(wait: &Value, now: &str, expected: Option<&str>) {
    assert_eq!(due(wait, now).as_deref(), expected, "{wait} at {now}");
}

/// Checks the opening of a window, without the spread over its first minutes.
#[track_caller]
fn opens(wait: &Value, now: &str, expected: &str) {
    let at: Timestamp = due(wait, now).unwrap_or_else(|| panic!("no wait at {now}")).parse().unwrap();
    let opening: Timestamp = expected.parse().unwrap();
    let late = at.duration_since(opening).as_secs();
    assert!((0..300).contains(&late), "{at} is not within 5 minutes of {expected}");
}

fn next(day: &str, at: &str, zone: &str, holidays: &[&str]) -> Value {
    json!({"next": {"day": day, "at": at, "time_zone": zone, "holidays": holidays}})
}

fn within(days: &[&str], from: &str, to: &str, zone: &str) -> Value {
    json!({"within": {"days": days, "from": from, "to": to, "time_zone": zone}})
}

const WORKING: [&str; 5] = ["mon", "tue", "wed", "thu", "fri"];

#[test]
fn w14_a_wait_after_the_last_time_there_is_ends_then_at_the_latest() {
    let mut event = sample::event();
    let mut change = crate::testing::detail();
    for last in ["9999-12-30T21:59:59Z", "9999-12-30T22:00:00Z"] {
        change["occurred_at"] = json!(last);
        change["conversion"]["updated_at"] = json!(last);
        change["transactions"][0]["updated_at"] = json!(last);
        crate::change::Change::parse_detail(&change, "").unwrap().events();
        event.occurred_at = last.parse().unwrap();
        let wait = parse(&json!({"after": {"of": "event_at", "seconds": 10_368_000}})).unwrap();
        let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let due = sample::in_scope(&event, None, |scope| wait.due(&Scope { now, steps: scope.steps.clone(), ..*scope }));
        assert_eq!(due, Ok(WaitEnd::At("2027-03-22T09:00:00Z".parse().unwrap())), "120 days");
    }
}

#[test]
fn w14_seconds_until_and_after() {
    check(&json!({"seconds": 3_600}), "2026-11-22T09:00:00Z", Some("2026-11-22T10:00:00Z"));
    check(&json!({"until": "2026-12-01T00:00:00Z"}), "2026-11-22T09:00:00Z", Some("2026-12-01T00:00:00Z"));
    check(&json!({"until": "2026-11-01T00:00:00Z"}), "2026-11-22T09:00:00Z", None);
    let local = json!({"until": "2026-12-01T08:00:00", "time_zone": "Europe/Prague"});
    check(&local, "2026-11-22T09:00:00Z", Some("2026-12-01T07:00:00Z"));
    // 120 days at most.
    check(&json!({"until": "2030-01-01T00:00:00Z"}), "2026-11-22T09:00:00Z", Some("2027-03-22T09:00:00Z"));
    let after = json!({"after": {"of": "event_at", "seconds": 60}});
    check(&after, "2026-11-22T08:59:00Z", Some("2026-11-22T09:00:59.12Z"));
    check(&after, "2026-11-23T08:59:00Z", None);
}

#[test]
fn w14_next_day_s_time_across_clock_changes() {
    // Prague: 2026-03-29 02:00 → 03:00, 2026-10-25 03:00 → 02:00.
    let prague = |at: &str| next("sun", at, "Europe/Prague", &[]);
    check(&prague("01:30"), "2026-03-28T12:00:00Z", Some("2026-03-29T00:30:00Z"));
    check(&prague("02:30"), "2026-03-28T12:00:00Z", Some("2026-03-29T01:00:00Z"));
    check(&prague("03:30"), "2026-03-28T12:00:00Z", Some("2026-03-29T01:30:00Z"));
    check(&prague("02:30"), "2026-10-24T12:00:00Z", Some("2026-10-25T00:30:00Z"));
    check(&prague("02:30"), "2026-10-25T00:30:00Z", Some("2026-11-01T01:30:00Z"));
    // New York: 2026-03-08 02:00 → 03:00, 2026-11-01 02:00 → 01:00.
    let york = |at: &str| next("sun", at, "America/New_York", &[]);
    check(&york("02:15"), "2026-03-07T12:00:00Z", Some("2026-03-08T07:00:00Z"));
    check(&york("01:15"), "2026-10-31T12:00:00Z", Some("2026-11-01T05:15:00Z"));
    check(&york("09:00"), "2026-11-01T05:15:00Z", Some("2026-11-01T14:00:00Z"));
}

#[test]
fn w14_working_days_leap_days_and_holidays() {
    let working = |holidays: &[&str]| next("working_day", "08:30", "Europe/Prague", holidays);
    check(&working(&[]), "2026-11-27T07:29:59Z", Some("2026-11-27T07:30:00Z"));
    check(&working(&[]), "2026-11-27T07:30:00Z", Some("2026-11-30T07:30:00Z"));
    check(&working(&["2026-12-24", "2026-12-25"]), "2026-12-23T12:00:00Z", Some("2026-12-28T07:30:00Z"));
    check(&next("tue", "00:00", "UTC", &[]), "2028-02-28T12:00:00Z", Some("2028-02-29T00:00:00Z"));
    check(&json!({"next": {"working_day": true, "at": "00:00"}}), "2026-11-27T00:00:00Z", Some("2026-11-30T00:00:00Z"));
}

#[test]
fn w14_hours_of_a_day_from_the_first_inclusive_to_the_last_exclusive() {
    let office = within(&WORKING, "09:00", "17:00", "Europe/Prague");
    check(&office, "2026-11-27T08:00:00Z", None);
    check(&office, "2026-11-27T15:59:59Z", None);
    opens(&office, "2026-11-27T16:00:00Z", "2026-11-30T08:00:00Z");
    opens(&office, "2026-11-27T07:59:59Z", "2026-11-27T08:00:00Z");
    // Summer and winter time.
    opens(&office, "2026-03-27T17:00:00Z", "2026-03-30T07:00:00Z");
    opens(&office, "2026-10-23T17:00:00Z", "2026-10-26T08:00:00Z");
    // The night of the clock change: the window opens at the first instant after the gap.
    let night = within(&["sun"], "02:30", "03:30", "Europe/Prague");
    opens(&night, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z");
    check(&night, "2026-03-29T01:29:59Z", None);
}

#[test]
fn w14_hours_over_midnight_belong_to_the_day_they_begin() {
    let night = within(&["fri"], "22:00", "06:00", "UTC");
    check(&night, "2026-11-27T22:00:00Z", None);
    check(&night, "2026-11-28T05:59:59Z", None);
    opens(&night, "2026-11-28T06:00:00Z", "2026-12-04T22:00:00Z");
    opens(&night, "2026-11-27T05:00:00Z", "2026-11-27T22:00:00Z");
}

#[test]
fn w14_faults_of_waits() {
    let faults_of = |wait: Value| parse(&wait).err().unwrap_or_default();
    let one = |pointer: &str, detail: &str| vec![(pointer.to_owned(), detail.to_owned())];
    assert_eq!(
        faults_of(within(&["mon"], "09:00", "09:00", "UTC")),
        one("/within/to", "expected another time than from: a window is not empty")
    );
    assert_eq!(
        faults_of(within(&["mon"], "09:00", "10:00", "Prague")),
        one("/within/time_zone", "unknown time zone \"Prague\": expected an IANA name such as Europe/Prague")
    );
    assert_eq!(
        faults_of(within(&["monday"], "9:00", "10:00", "UTC")),
        [
            ("/within/days/0".to_owned(), "expected one of mon, tue, wed, thu, fri, sat, sun".to_owned()),
            ("/within/days".to_owned(), "expected at least one day".to_owned()),
            ("/within/from".to_owned(), "expected a time of day such as 09:00".to_owned()),
        ]
    );
    assert_eq!(faults_of(json!({})), one("", "expected one of seconds, until, after, within, next, got none"));
    assert_eq!(faults_of(json!({"seconds": 10_368_001})), one("/seconds", "10368001 seconds are too many: choose 1 to 10368000"));
    assert_eq!(faults_of(json!({"next": {"at": "09:00"}})), one("/next/day", "required: working_day, or a day such as mon"));
}
