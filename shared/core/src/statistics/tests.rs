use super::*;

const NOON: &str = "2026-11-22T12:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[track_caller]
fn check_percentiles(latencies: impl IntoIterator<Item = u64>, expected: [u64; 3]) {
    let mut histogram = Histogram::default();
    for latency in latencies {
        histogram.add(latency);
    }
    let found = histogram.percentiles().unwrap();
    assert_eq!([found.p50, found.p95, found.p99], expected);
}

#[test]
fn percentiles_are_those_of_the_nearest_rank() {
    assert_eq!(Histogram::default().percentiles(), None);
    check_percentiles([0], [0, 0, 0]);
    check_percentiles(1..=15, [8, 15, 15]);
    // 120 is in the bucket from 120 to 127, whose middle is 124; 40 000 in that from 36 864 to 40 959.
    check_percentiles([vec![120; 95], vec![40_000; 5]].concat(), [124, 124, 38_912]);
    check_percentiles([u64::MAX], [(15 << 60) + (1 << 59); 3]);
}

#[test]
fn a_percentile_is_wrong_by_a_sixteenth_at_most() {
    for exponent in 0..63 {
        for latency in [1_u64 << exponent, (1 << exponent) + (1 << exponent) / 3, (1 << exponent) + ((1 << exponent) - 1)] {
            let found = Histogram::middle(Histogram::bucket(latency));
            assert!(found.abs_diff(latency) <= latency / 16, "{latency}: {found}");
        }
    }
}

#[test]
fn a_histogram_that_is_damaged_is_read_without_a_panic() {
    let histogram: Histogram = serde_json::from_str(r#"{"65535": 18446744073709551615, "0": 18446744073709551615}"#).unwrap();
    let mut twice = histogram.clone();
    twice.merge(&histogram);
    assert!(twice.percentiles().is_some());
}

#[test]
fn figures_are_stored_as_few_bytes_and_add_up() {
    let mut figures = Figures::default();
    figures.add(State::Delivered, Some(SignedDuration::from_millis(250)));
    figures.add(State::Waiting, None);
    let text = serde_json::to_string(&figures).unwrap();
    assert_eq!(text, r#"{"c":{"waiting":1,"delivered":1},"l":{"47":1}}"#);
    let mut sum: Figures = serde_json::from_str("{}").unwrap();
    sum.merge(&serde_json::from_str(&text).unwrap());
    sum.merge(&figures);
    assert_eq!(sum.counts, BTreeMap::from([(State::Waiting, 2), (State::Delivered, 2)]));
    assert_eq!(sum.latency.percentiles().map(|found| found.p50), Some(248));
}

#[track_caller]
fn check_due(counts: &[(State, u64)], (end, counted, now): (&str, &str, &str), expected: bool) {
    let figures = Figures { counts: counts.iter().copied().collect(), latency: Histogram::default() };
    let counted = Counted { at: time(counted), figures };
    assert_eq!(counted.is_due(time(end), time(now)), expected, "{counts:?} {end}");
}

#[test]
fn an_hour_is_counted_again_while_it_may_change() {
    let ended = [(State::Delivered, 10)];
    // The hour has not ended: it is due as soon as rereading ten rows costs little.
    check_due(&ended, (NOON, "2026-11-22T11:30:00Z", "2026-11-22T11:30:00.019Z"), false);
    check_due(&ended, (NOON, "2026-11-22T11:30:00Z", "2026-11-22T11:30:00.020Z"), true);
    check_due(&[(State::Delivered, 5_000)], (NOON, "2026-11-22T11:30:00Z", "2026-11-22T11:30:09Z"), false);
    check_due(&[(State::Delivered, 5_000)], (NOON, "2026-11-22T11:30:00Z", "2026-11-22T11:30:10Z"), true);
    // The log may get pages for five more minutes, then no more.
    check_due(&ended, (NOON, "2026-11-22T12:04:59Z", "2026-11-22T12:30:00Z"), true);
    check_due(&ended, (NOON, "2026-11-22T12:05:00Z", "2026-12-22T12:30:00Z"), false);
    // Open deliveries will end; failed ones may be sent again for a month.
    check_due(&[(State::Held, 1)], (NOON, "2027-02-01T00:00:00Z", "2027-02-20T00:00:00Z"), true);
    check_due(&[(State::Exhausted, 1)], (NOON, "2026-11-23T12:00:00Z", "2026-11-24T12:00:00Z"), true);
    check_due(&[(State::Exhausted, 1)], (NOON, "2026-12-25T12:00:00Z", "2027-01-24T12:00:00Z"), false);
    // An old count is valid for a thirty-second of its age.
    check_due(&[(State::Waiting, 1)], (NOON, "2026-11-24T11:00:00Z", "2026-11-24T12:00:00Z"), false);
    check_due(&[(State::Waiting, 1)], (NOON, "2026-11-24T10:30:00Z", "2026-11-24T12:00:00Z"), true);
}

#[track_caller]
fn check_period(size: BucketSize, from: Option<&str>, to: Option<&str>, expected: Result<(usize, &str, &str), &str>) {
    let period = StatisticsPeriod::new(size, from.map(time), to.map(time), time(NOON));
    match (period, expected) {
        (Ok(period), Ok((count, first, end))) => {
            assert_eq!(period.buckets().count(), count);
            let hours = period.hours();
            assert_eq!((beginning_of(hours.start), beginning_of(hours.end)), (time(first), time(end)));
        }
        (Err(faults), Err(detail)) => assert_eq!((faults.0[0].pointer.as_str(), faults.0[0].detail.as_str()), ("/from", detail)),
        (found, expected) => panic!("{found:?} is not {expected:?}"),
    }
}

#[test]
fn a_period_consists_of_whole_buckets() {
    use BucketSize::{Day, Hour};
    let check = check_period;
    check(Hour, None, None, Ok((24, "2026-11-21T12:00:00Z", NOON)));
    check(Day, None, None, Ok((31, "2026-10-23T00:00:00Z", "2026-11-23T00:00:00Z")));
    let (from, to) = (Some("2026-11-22T09:59:59.9Z"), Some("2026-11-22T11:00:00.1Z"));
    check(Hour, from, to, Ok((3, "2026-11-22T09:00:00Z", NOON)));
    check(Day, from, to, Ok((1, "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z")));
    check(Hour, to, to, Ok((0, "2026-11-22T11:00:00Z", "2026-11-22T11:00:00Z")));
    // No bucket is in the future, and none before 1970.
    check(
        Hour,
        Some("2026-11-22T11:30:00Z"),
        Some("2026-12-20T00:00:00Z"),
        Ok((2, "2026-11-22T11:00:00Z", "2026-11-22T13:00:00Z")),
    );
    check(
        Hour,
        Some("9999-11-22T11:30:00Z"),
        Some("9999-12-20T00:00:00Z"),
        Ok((0, "2026-11-22T13:00:00Z", "2026-11-22T13:00:00Z")),
    );
    check(
        Day,
        Some("-009999-01-03T00:00:00Z"),
        Some("-009999-01-04T00:00:00Z"),
        Ok((0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z")),
    );
    // At most 31 days in hours and 400 in days.
    check(Hour, Some("2026-10-22T12:00:00Z"), None, Ok((744, "2026-10-22T12:00:00Z", NOON)));
    let long = "expected at most 31 days with bucket=hour, or bucket=day";
    check(Hour, Some("2026-10-22T11:59:59Z"), None, Err(long));
    check(Day, Some("2025-10-18T12:00:00Z"), None, Ok((401, "2025-10-18T00:00:00Z", "2026-11-23T00:00:00Z")));
    check(Day, Some("2025-10-18T11:59:59Z"), None, Err("expected at most 400 days with bucket=day"));
    check(Hour, Some(NOON), Some("2026-11-22T11:59:59Z"), Err("expected a time that is not after the end of the period"));
    check(Day, Some("-009999-01-02T01:59:59Z"), Some("9999-12-30T22:00:00Z"), Err("expected at most 400 days with bucket=day"));
}
