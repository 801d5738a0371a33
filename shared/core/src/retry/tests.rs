use crate::json;
use proptest::prelude::*;

use super::*;

fn policy(document: &Value) -> RetryPolicy {
    let mut faults = Faults::default();
    let policy = RetryPolicy::parse(Some(document), "/retry", &mut faults);
    assert!(faults.is_empty(), "{faults}");
    policy
}

#[track_caller]
fn check_faults(document: &Value, expected: &[(&str, &str)]) {
    let mut faults = Faults::default();
    RetryPolicy::parse(Some(document), "/retry", &mut faults);
    let found: Vec<(&str, &str)> = faults.0.iter().map(|f| (f.pointer.as_str(), f.detail.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn l1_the_default_is_12_retries_which_is_13_requests() {
    let policy = RetryPolicy::parse(None, "/retry", &mut Faults::default());
    assert_eq!(policy.max_attempts(), 13);
    assert_eq!(policy.limit().retries(), 12);
}

#[test]
fn l1_0_and_30_retries_are_allowed() {
    assert_eq!(policy(&json!({"max_retries": 0})).max_attempts(), 1);
    assert_eq!(policy(&json!({"max_retries": 30})).max_attempts(), 31);
}

#[test]
fn l1_31_retries_are_refused() {
    let pointer = "/retry/max_retries";
    check_faults(&json!({"max_retries": 31}), &[(pointer, "31 retries are too many: choose 0 to 30")]);
    check_faults(&json!({"max_retries": 300}), &[(pointer, "300 retries are too many: choose 0 to 30")]);
    check_faults(&json!({"max_retries": -1}), &[(pointer, "-1 retries are too few: choose 0 to 30")]);
    check_faults(&json!({"max_retries": "12"}), &[(pointer, "a text is not a number of retries: choose 0 to 30")]);
    check_faults(&json!({"max_retries": 2.5}), &[(pointer, "2.5 is not a whole number of retries: choose 0 to 30")]);
}

#[test]
fn l2_defaults_are_written_out() {
    let expected = json!({"max_retries": 12, "delay_seconds": 60, "backoff": "exponential", "max_delay_seconds": 3_600});
    assert_eq!(policy(&json!({})).document(), expected);
    let longer = json!({"max_retries": 12, "delay_seconds": 7_200, "backoff": "exponential", "max_delay_seconds": 7_200});
    assert_eq!(policy(&json!({"delay_seconds": 7_200})).document(), longer);
}

#[test]
fn l2_all_settings_out_of_bounds_are_reported_at_once() {
    check_faults(
        &json!({"delay_seconds": 0, "backoff": "linear", "max_delay_seconds": 86_401, "jitter": 1}),
        &[
            ("/retry/jitter", "unknown field \"jitter\"; expected one of max_retries, delay_seconds, backoff, max_delay_seconds"),
            ("/retry/delay_seconds", "0 seconds are too few: choose 1 to 86400"),
            ("/retry/backoff", "unknown backoff \"linear\"; expected one of fixed, exponential"),
            ("/retry/max_delay_seconds", "86401 seconds are too many: choose 1 to 86400"),
        ],
    );
}

#[test]
fn l2_a_longest_wait_under_the_delay_is_refused() {
    check_faults(
        &json!({"delay_seconds": 100, "max_delay_seconds": 99}),
        &[("/retry/max_delay_seconds", "99 seconds are less than the delay of 100: choose 100 to 86400")],
    );
}

#[test]
fn l2_the_schedule_doubles_up_to_the_longest_wait() {
    let schedule = policy(&json!({})).schedule();
    assert_eq!(schedule.waits_seconds, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600, 3_600, 3_600, 3_600]);
    assert_eq!(schedule.longest_seconds, 27_918);
    let fixed = policy(&json!({"max_retries": 3, "delay_seconds": 30, "backoff": "fixed"})).schedule();
    assert_eq!(fixed.waits_seconds, [30, 30, 30]);
    let none = Schedule { waits_seconds: vec![], longest_seconds: 0, text: "no retries: one request".to_owned() };
    assert_eq!(policy(&json!({"max_retries": 0})).schedule(), none);
}

#[track_caller]
fn check_schedule(document: &Value, longest_seconds: u64, text: &str) {
    let schedule = policy(document).schedule();
    let end = ", or longer if the receiver asks for it";
    assert_eq!((schedule.longest_seconds, schedule.text.strip_suffix(end)), (longest_seconds, Some(text)), "{document}");
}

#[test]
fn l2_the_schedule_in_words() {
    check_schedule(&json!({}), 27_918, "1 min, 2 min, 4 min, 8 min, 16 min, 32 min, 6 times 1 h; at most 7 h 46 min");
    check_schedule(&json!({"max_retries": 3}), 462, "1 min, 2 min, 4 min; at most 7 min 42 s");
    check_schedule(&json!({"max_retries": 1, "delay_seconds": 1}), 2, "1 s; at most 2 s");
    let fixed = json!({"max_retries": 5, "delay_seconds": 90, "backoff": "fixed"});
    check_schedule(&fixed, 495, "5 times 1 min 30 s; at most 8 min 15 s");
    let fine = json!({"max_retries": 20, "delay_seconds": 1});
    check_schedule(&fine, 36_185, "1 s, 2 s, 4 s, 8 s, 16 s, …, 8 times 1 h; at most 10 h 4 min");
    let longest = json!({"max_retries": 30, "delay_seconds": 86_400});
    check_schedule(&longest, 2_851_200, "30 times 1 d; at most 33 d");
    let nearly = json!({"max_retries": 1, "delay_seconds": 3_272, "backoff": "fixed"});
    check_schedule(&nearly, 3_600, "54 min 32 s; at most 1 h");
    let a_day = json!({"max_retries": 2, "delay_seconds": 39_270, "backoff": "fixed"});
    check_schedule(&a_day, 86_394, "2 times 10 h 55 min; at most 1 d");
}

#[test]
fn l2_jitter_is_derived_not_rolled() {
    let policy = policy(&json!({"backoff": "fixed"}));
    let waits: Vec<u128> = (1..=3).map(|retry| policy.wait_before(retry, "dlv_1", None).as_millis()).collect();
    assert_eq!(waits, [59_550, 55_556, 65_755]);
}

#[test]
fn l2_a_longer_retry_after_counts_up_to_12_hours() {
    let policy = policy(&json!({}));
    let wait = |seconds| policy.wait_before(1, "dlv_1", Some(Duration::from_secs(seconds))).as_secs();
    assert_eq!(wait(600), 600);
    assert_eq!(wait(43_200), 43_200);
    assert_eq!(wait(90_000), 43_200);
    assert_eq!(wait(1), policy.wait_before(1, "dlv_1", None).as_secs());
}

#[test]
fn l2_retry_after_is_seconds_or_a_date() {
    let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
    let read = |text| parse_retry_after(text, now).map(|wait| wait.as_secs());
    assert_eq!(read("120"), Some(120));
    assert_eq!(read(" 0 "), Some(0));
    assert_eq!(read("99999999999999999999999"), Some(u64::MAX));
    assert_eq!(read("Sun, 22 Nov 2026 09:05:00 GMT"), Some(300));
    assert_eq!(read("Sun, 22 Nov 2026 08:00:00 GMT"), Some(0));
    for neither in ["", "-5", "1.5", "soon", "2026-11-22"] {
        assert_eq!(read(neither), None, "{neither:?}");
    }
}

#[test]
fn case_a12_retry_after_is_a_date_in_any_form_of_rfc_9110() {
    let now: Timestamp = "2026-11-26T08:39:37Z".parse().unwrap();
    let read = |text| parse_retry_after(text, now).map(|wait| wait.as_secs());
    for text in [
        "Thu, 26 Nov 2026 08:49:37 GMT",
        "Thursday, 26-Nov-26 08:49:37 GMT",
        "Thu Nov 26 08:49:37 2026",
        " Thursday, 26-Nov-26 08:49:37 GMT ",
    ] {
        assert_eq!(read(text), Some(600), "{text}");
    }
    let december: Timestamp = "2026-12-05T08:49:36Z".parse().unwrap();
    assert_eq!(parse_retry_after("Sun Dec  6 08:49:36 2026", december), Some(Duration::from_hours(24)));
    assert_eq!(parse_retry_after("Sunday, 06-Dec-26 08:49:36 GMT", december), Some(Duration::from_hours(24)));
    assert_eq!(read("Sunday, 06-Nov-94 08:49:37 GMT"), Some(0), "1994");
    assert!(read("Tuesday, 24-Nov-76 08:49:37 GMT").is_some_and(|seconds| seconds > 1_500_000_000), "2076");
    for neither in
        ["Thursday, 26-Nov-26 08:49:37", "Thursday, 26-Nov-26 08:49:37 CET", "Thu Foo 26 08:49:37 2026", "Thu Nov 26 2026"]
    {
        assert_eq!(read(neither), None, "{neither}");
    }
}

#[test]
fn l3_used_up_retries_end_unresolved_if_any_answer_was_pending() {
    assert_eq!(end_of_retries(true), EndOfRetries::Unresolved);
    assert_eq!(end_of_retries(false), EndOfRetries::Exhausted);
}

fn any_policy() -> impl Strategy<Value = RetryPolicy> {
    (0..=30_u64, 1..=86_400_u32, any::<bool>(), 1..=86_400_u32).prop_map(|(retries, delay, fixed, max)| RetryPolicy {
        limit: retries.try_into().unwrap(),
        delay_seconds: delay,
        backoff: if fixed { Backoff::Fixed } else { Backoff::Exponential },
        max_delay_seconds: max.max(delay),
    })
}

proptest! {
    #[test]
    fn l2_waits_stay_within_bounds(policy in any_policy(), retry in any::<u32>(), id in "[a-z0-9]{1,20}", after in any::<Option<u32>>()) {
        let after = after.map(|seconds| Duration::from_secs(u64::from(seconds)));
        let wait = policy.wait_before(retry, &id, after);
        let plain = policy.plain_wait(retry) * 1_000;
        let low = Duration::from_millis(plain - plain / 10).max(Duration::from_secs(1));
        let high = Duration::from_millis(plain + plain / 10);
        let asked = after.unwrap_or_default().min(Duration::from_hours(12));
        prop_assert!(wait >= low && wait >= asked && wait <= high.max(asked));
        prop_assert_eq!(wait, policy.wait_before(retry, &id, after));
    }

    #[test]
    fn l2_without_jitter_waits_never_shrink(policy in any_policy()) {
        let waits = policy.schedule().waits_seconds;
        prop_assert!(waits.is_sorted());
        prop_assert!(waits.iter().all(|wait| (1..=86_400).contains(wait)));
    }

    #[test]
    fn l2_what_is_written_is_read_back(policy in any_policy()) {
        let mut faults = Faults::default();
        prop_assert_eq!(RetryPolicy::parse(Some(&policy.document()), "", &mut faults), policy);
        prop_assert!(faults.is_empty());
    }
}
