use proptest::prelude::*;

use super::*;
use crate::{fault::Faults, json};

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

fn derive(conversion: &str, subject: &str, cause: Cause<'_>) -> DeliveryId {
    DeliveryId::derive(&id(conversion), &id("trk_1"), subject, cause)
}

/// A policy with this `max_retries` and a fixed delay of 100 seconds.
fn policy(max_retries: u8) -> RetryPolicy {
    let document = json!({"max_retries": max_retries, "delay_seconds": 100, "backoff": "fixed"});
    let mut faults = Faults::default();
    let policy = RetryPolicy::parse(Some(&document), "", &mut faults);
    assert!(faults.is_empty(), "{faults}");
    policy
}

/// The continuation after attempt number `attempt` of at most three.
fn next(verdict: Verdict, attempt: u32, pending_seen: bool) -> Next {
    let id = derive("cnv_1", "transaction:trx_1", Cause::Final(0));
    let repeats = Repeats { attempt, max_attempts: 3, policy: &policy(2), id: &id, pending_seen };
    after_attempt(verdict, "retry: status 503", &repeats, None, now())
}

#[test]
fn p2_ids_are_derived_for_ever_as_the_first_version_derived_them() {
    let change = id("chg_1");
    let trx = "transaction:trx_1";
    let of = |subject, cause| derive("cnv_1", subject, cause).to_string();
    // Never edit these: stored rows and receivers have them.
    assert_eq!(of(trx, Cause::Change(&change, EventKind::TransactionCreated)), "dlv_vm5yzaxvay7sx4ycfxfrcbc5kyzhfkc4");
    assert_eq!(
        of("conversion:cnv_1", Cause::Change(&change, EventKind::ConversionUpdated)),
        "dlv_vm5yzaxvay7sx4yc3d5vwvyygzdc6r5r"
    );
    assert_eq!(of(trx, Cause::Final(0)), "dlv_vm5yzaxvay7sx4ycnd9dgf50kfj8nd60");
    assert_eq!(of(trx, Cause::Final(1)), "dlv_vm5yzaxvay7sx4ycgwdtkgnbpgv2nde1");
    assert_eq!(of(trx, Cause::Late(0)), "dlv_vm5yzaxvay7sx4yc5wcgs9zbq3zanw72");
}

#[test]
fn p2_one_id_per_rule_change_subject_and_event_kind() {
    let (one, two) = (id("chg_1"), id("chg_2"));
    let created = Cause::Change(&one, EventKind::TransactionCreated);
    let reference = derive("cnv_1", "transaction:trx_1", created);
    assert_eq!(derive("cnv_1", "transaction:trx_1", created), reference);
    let others = [
        derive("cnv_1", "transaction:trx_1", Cause::Change(&two, EventKind::TransactionCreated)),
        derive("cnv_1", "transaction:trx_1", Cause::Change(&one, EventKind::TransactionUpdated)),
        derive("cnv_1", "transaction:trx_2", created),
        derive("cnv_2", "transaction:trx_1", created),
        DeliveryId::derive(&id("cnv_1"), &id("trk_2"), "transaction:trx_1", created),
    ];
    for other in others {
        assert_ne!(other, reference);
    }
}

#[test]
fn p2_the_first_half_of_an_id_names_the_conversion() {
    let change = id("chg_1");
    let delivery = derive("cnv_1", "transaction:trx_1", Cause::Change(&change, EventKind::TransactionCreated));
    assert_eq!(delivery.conversion_part(), "vm5yzaxvay7sx4yc");
    assert_eq!(conversion_hash(&id("cnv_1")), "vm5yzaxvay7sx4yc");
    assert_eq!(derive("cnv_1", "conversion:cnv_1", Cause::Final(0)).conversion_part(), "vm5yzaxvay7sx4yc");
}

#[test]
fn p2_what_has_not_the_form_of_an_id_is_none() {
    let good = "dlv_vm5yzaxvay7sx4ycfxfrcbc5kyzhfkc4";
    assert_eq!(DeliveryId::parse(good).unwrap().as_str(), good);
    assert_eq!(serde_json::from_str::<DeliveryId>(&json!(good).to_string()).unwrap().as_str(), good);
    assert_eq!(json!(DeliveryId::parse(good)), json!(good));
    let bad = [
        "",
        "dlv_",
        "dlv_x",
        "vm5yzaxvay7sx4ycfxfrcbc5kyzhfkc4",
        "dlv_VM5yzaxvay7sx4ycfxfrcbc5kyzhfkc4",
        "dlv_vm5yzaxvay7sx4ycfxfrcbc5kyzhfkc",
        "dlv_vm5yzaxvay7sx4ycfxfrcbc5kyzhfkc44",
        "dlv_vm5yzaxvay7sx4ycfxfrcbc5kyzhfk/4",
        "dlv_vm5yzaxvay7sx4yčfxfrcbc5kyzhfkc4",
    ];
    for text in bad {
        assert_eq!(DeliveryId::parse(text), None, "{text}");
        let error = serde_json::from_str::<DeliveryId>(&json!(text).to_string()).unwrap_err();
        assert_eq!(error.to_string(), "not a delivery id: dlv_ and 32 characters of a-z 0-9 are allowed", "{text}");
    }
}

#[test]
fn s_every_state_has_its_word_in_json() {
    let words = [
        "waiting",
        "held",
        "sending",
        "delivered",
        "failed",
        "exhausted",
        "unresolved",
        "expired",
        "superseded",
        "cancelled",
        "skipped",
    ];
    assert_eq!(State::ALL.map(State::as_str), words);
    for (state, word) in State::ALL.into_iter().zip(words) {
        assert_eq!(State::from_word(word), Some(state));
        assert_eq!(json!(state), json!(word));
    }
    assert_eq!(State::from_word("Delivered"), None);
    assert_eq!(State::from_word("gone"), None);
}

#[test]
fn s_ended_states_and_published_states() {
    let open: Vec<_> = State::ALL.into_iter().filter(|state| !state.is_ended()).map(State::as_str).collect();
    assert_eq!(open, ["waiting", "held", "sending"]);
    let announced: Vec<_> = State::ALL.into_iter().filter(|state| state.is_announced()).map(State::as_str).collect();
    assert_eq!(announced, ["failed", "exhausted", "unresolved"]);
}

#[test]
fn a1_delivered_and_failed_are_the_end_whatever_is_left() {
    assert_eq!(next(Verdict::Delivered, 1, false), Next::Ended(State::Delivered, "retry: status 503".to_owned()));
    assert_eq!(next(Verdict::Failed, 1, true), Next::Ended(State::Failed, "retry: status 503".to_owned()));
    assert_eq!(next(Verdict::Delivered, 3, true), Next::Ended(State::Delivered, "retry: status 503".to_owned()));
}

#[test]
fn l1_two_retries_are_three_requests_whatever_the_reason_of_each() {
    for verdict in [Verdict::Pending, Verdict::Retry] {
        assert!(matches!(next(verdict, 1, false), Next::Again(_)));
        assert!(matches!(next(verdict, 2, false), Next::Again(_)));
        assert!(matches!(next(verdict, 3, false), Next::Ended(..)));
    }
}

#[test]
fn l1_no_retries_are_one_request() {
    let id = derive("cnv_1", "transaction:trx_1", Cause::Final(0));
    let repeats = Repeats { attempt: 1, max_attempts: 1, policy: &policy(0), id: &id, pending_seen: false };
    let next = after_attempt(Verdict::Retry, "retry: no answer", &repeats, None, now());
    assert_eq!(next, Next::Ended(State::Exhausted, "no more retries after 1 attempt; the last: retry: no answer".to_owned()));
}

#[test]
fn l2_the_wait_is_the_policys_give_or_take_a_tenth_or_the_receivers_if_longer() {
    let Next::Again(at) = next(Verdict::Retry, 1, false) else { panic!("two retries are left") };
    let wait = at.duration_since(now()).as_secs();
    assert!((90..=110).contains(&wait), "{wait}");
    assert_eq!(next(Verdict::Retry, 1, false), Next::Again(at), "jitter is derived, not rolled");
    let id = derive("cnv_1", "transaction:trx_1", Cause::Final(0));
    let asked = |seconds| {
        let retry_after = Some(Duration::from_secs(seconds));
        let repeats = Repeats { attempt: 1, max_attempts: 3, policy: &policy(2), id: &id, pending_seen: false };
        after_attempt(Verdict::Retry, "", &repeats, retry_after, now())
    };
    assert_eq!(asked(600), Next::Again("2026-11-22T09:10:00Z".parse().unwrap()));
    assert_eq!(asked(90_000), Next::Again("2026-11-22T21:00:00Z".parse().unwrap()));
    assert_eq!(asked(5), Next::Again(at));
}

#[test]
fn l3_unresolved_if_any_attempt_was_answered_pending_else_exhausted() {
    let reason = "no more retries after 3 attempts; the last: retry: status 503".to_owned();
    assert_eq!(next(Verdict::Retry, 3, false), Next::Ended(State::Exhausted, reason.clone()));
    assert_eq!(next(Verdict::Retry, 3, true), Next::Ended(State::Unresolved, reason.clone()));
    assert_eq!(next(Verdict::Pending, 3, false), Next::Ended(State::Unresolved, reason));
}

#[test]
fn l3_a_last_attempt_that_was_cut_off_says_so() {
    let reason = |attempts: &str| format!("no more retries after {attempts}; the last: cut off; it may have arrived");
    assert_eq!(used_up(1, false, "cut off; it may have arrived"), (State::Exhausted, reason("1 attempt")));
    assert_eq!(used_up(13, true, "cut off; it may have arrived"), (State::Unresolved, reason("13 attempts")));
}

proptest! {
    #[test]
    fn p2_every_derived_id_reads_back(conversion in "[a-z0-9_]{1,40}", subject in ".{0,40}", epoch in any::<u64>()) {
        let delivery = derive(&conversion, &subject, Cause::Late(epoch));
        prop_assert_eq!(DeliveryId::parse(delivery.as_str()), Some(delivery.clone()));
        let written = serde_json::to_string(&delivery).unwrap();
        prop_assert_eq!(serde_json::from_str::<DeliveryId>(&written).unwrap(), delivery);
    }
}
