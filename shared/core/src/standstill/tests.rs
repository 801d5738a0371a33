use super::*;
use crate::{
    delivery::{Cause, DeliveryId},
    id::Id,
    subject_queue::SubjectQueue,
};

const NOW: &str = "2026-11-22T09:00:00Z";
const LATER: &str = "2026-11-22T09:05:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn delivery() -> DeliveryId {
    let id = |text: &str| text.parse::<Id>().unwrap();
    DeliveryId::derive(&id("cnv_1"), &id("trk_1"), "transaction:trx_1", Cause::Final(0))
}

fn position() -> Position {
    let queue = SubjectQueue::default();
    let decision = Decision::Claim { queue, attempt: 1, base: 0, lease_until: at(LATER), overtaken: Vec::new() };
    Position { decision, attempts: 0, lease: None, blocker: None, slot: None, looks_at: None, returns: None, head: 0 }
}

fn row(state: State) -> KnownRow<'static> {
    KnownRow { state, reason: Some("retry: status 503"), next_due: None, ended_at: None }
}

/// A delivery without a reason to wait.
fn free() -> Circumstances<'static> {
    let (rule, position) = (RuleNow::Sends(None), Some(position()));
    Circumstances {
        now: at(NOW),
        row: None,
        rule,
        position,
        unreadable: None,
        patient_until: None,
        hold: None,
        filed: None,
        receiver: None,
    }
}

#[track_caller]
fn check(now: &Circumstances<'_>, cause: WaitCause, until: Option<&str>, why: &str) {
    let found = standstill(now);
    assert_eq!((found.cause, found.until, found.why.as_str()), (cause, until.map(at), why));
}

#[test]
fn a_delivery_that_nothing_keeps_says_so() {
    check(&free(), WaitCause::Nothing, None, "Nothing keeps it: attempt 1 follows when its message is handed out");
    let looks = Position { looks_at: Some(at(LATER)), ..position() };
    let why = "Nothing keeps it: it waited for its turn and looks again at 2026-11-22T09:05:00Z";
    check(&Circumstances { position: Some(looks), ..free() }, WaitCause::Nothing, Some(LATER), why);
}

#[test]
fn the_end_of_a_delivery_comes_before_every_other_reason() {
    let over = KnownRow { ended_at: Some(at(NOW)), ..row(State::Failed) };
    let why = "It ended at 2026-11-22T09:00:00Z as failed (retry: status 503): only a resend makes it move";
    check(&Circumstances { row: Some(over), rule: RuleNow::Off, position: None, ..free() }, WaitCause::Ended, None, why);
}

#[test]
fn an_unreadable_row_is_named() {
    let now = Circumstances { unreadable: Some("its hold".to_owned()), position: None, rule: RuleNow::Unknown, ..free() };
    check(&now, WaitCause::Unreadable, None, "It can neither be sent nor end: its hold can't be read");
}

#[test]
fn p6_a_rule_that_is_off_ends_its_deliveries() {
    let end = "it ends cancelled when its message is handed out next";
    for (rule, what) in [
        (RuleNow::Deleted, "is deleted"),
        (RuleNow::Off, "is switched off"),
        (RuleNow::OffSince, "was switched off and on again since it matched"),
    ] {
        check(&Circumstances { rule, ..free() }, WaitCause::RuleOff, None, &format!("Its Tracking API {what}: {end}"));
    }
}

#[test]
fn q5_a_secret_that_must_be_written_again_has_its_last_time() {
    let reason = "secret token must be written again: the host was changed by another party";
    let rule = RuleNow::Unbound { reason, until: Some(at(LATER)) };
    let why = "Its Tracking API can't send: secret token must be written again: the host was changed by another party; without it, it \
        ends failed at 2026-11-22T09:05:00Z";
    check(&Circumstances { rule, ..free() }, WaitCause::Secret, Some(LATER), why);
}

#[test]
fn f1_a_held_delivery_says_how_long_it_is_held() {
    let held = |settled_at: Option<&str>, due: &str, has_outbox| Circumstances {
        row: Some(row(State::Held)),
        hold: Some(HoldNow::Holds { settled_at: settled_at.map(at), due: Some(at(due)), has_outbox }),
        ..free()
    };
    let why = "It is held until its conversion is settled, or until the hold expires at 2026-11-22T09:05:00Z";
    check(&held(None, LATER, false), WaitCause::Held, Some(LATER), why);
    let why = "It is held: its conversion is settled since 2026-11-22T09:00:00Z and it goes out at 2026-11-22T09:05:00Z";
    check(&held(Some(NOW), LATER, false), WaitCause::Held, Some(LATER), why);
    let why = "Its hold was due at 2026-11-22T09:00:00Z, and the message that releases it has not come yet";
    check(&held(None, NOW, false), WaitCause::Late, None, why);
    let why =
        "Its hold has decided, and what it decided is not carried out yet: the next change or message of the conversion does it";
    check(&held(None, LATER, true), WaitCause::Held, None, why);
}

#[test]
fn p3_a_delivery_that_waits_behind_another_names_the_other() {
    let id = delivery();
    for (kind, until, why) in [
        (BlockerKind::InFlight, Some(LATER), format!("{id} is in flight about the same subject: it waits for that answer")),
        (
            BlockerKind::Older,
            Some(LATER),
            format!("{id} goes first, an older one that has had no attempt yet: it waits for that"),
        ),
        (BlockerKind::BetweenSteps, Some(LATER), format!("{id} sends the next step of its flow at once: it waits for that")),
        (
            BlockerKind::SameChange,
            None,
            format!("{id} of the same change goes first and has had no attempt yet: it waits for that"),
        ),
    ] {
        let blocker = Some(Blocker { id: id.clone(), kind, until: until.map(at) });
        let now = Circumstances { position: Some(Position { blocker, ..position() }), patient_until: Some(at(LATER)), ..free() };
        check(&now, WaitCause::Behind, Some(LATER), &format!("{why}, at most until 2026-11-22T09:05:00Z"));
    }
}

#[test]
fn l1_a_retry_has_its_reason_and_its_time() {
    let waiting = KnownRow { next_due: Some(at(LATER)), ..row(State::Waiting) };
    let now = Circumstances { row: Some(waiting), position: Some(Position { attempts: 1, ..position() }), ..free() };
    let why = "Attempt 1 ended with: retry: status 503; attempt 2 is due at 2026-11-22T09:05:00Z";
    check(&now, WaitCause::Retry, Some(LATER), why);
    let filed = Circumstances { filed: Some(at(LATER)), ..now.clone() };
    check(&filed, WaitCause::DueRow, Some(LATER), &format!("{why} and waits in a due row, which the sweep sends in time"));
    let missed = Circumstances { now: at("2026-11-22T09:06:00Z"), ..filed };
    let why = "It was due at 2026-11-22T09:05:00Z, and the sweep has not sent its due row yet";
    check(&missed, WaitCause::Late, None, why);
    let why = "Nothing keeps it: it was due at 2026-11-22T09:05:00Z, and attempt 2 follows when its message is handed out";
    check(&Circumstances { filed: None, ..missed }, WaitCause::Late, None, why);
}

#[test]
fn l1_a_lease_counts_while_it_lives() {
    let leased = |cut_off_at, is_live| {
        let lease = Some(Lease { attempt: 2, until: at(LATER), cut_off_at: at(cut_off_at), is_live });
        Circumstances { position: Some(Position { lease, attempts: 2, ..position() }), ..free() }
    };
    let why = "Attempt 2 is claimed and has no record: it is being sent, or the process that claimed it died; its lease ends at \
        2026-11-22T09:05:00Z";
    check(&leased(LATER, true), WaitCause::Lease, Some(LATER), why);
    let late = "2026-11-22T09:15:00Z";
    let why = format!("{why}, and its record may be on its way until {late}");
    check(&leased(late, true), WaitCause::Lease, Some(late), &why);
    let why = "Nothing keeps it: attempt 2 has no record and its lease (until 2026-11-22T09:05:00Z) is void, so attempt 3 \
        follows when its message is handed out next";
    check(&leased(LATER, false), WaitCause::Nothing, None, why);
}

#[test]
fn l1_a_delivery_that_our_fault_kept_from_leaving_says_how_often() {
    let returned =
        |attempt, times| Position { returns: Some(Returns { attempt, times }), looks_at: Some(at(LATER)), ..position() };
    let now = |position| Circumstances { position: Some(position), ..free() };
    let why = "A fault of this system kept attempt 1 from leaving, 2 times: it is tried again at 2026-11-22T09:05:00Z";
    check(&now(returned(1, 2)), WaitCause::GivenBack, Some(LATER), why);
    let why = "A fault of this system kept attempt 2 from leaving, 1 time: it is tried again";
    let again = Position { attempts: 1, looks_at: None, ..returned(2, 1) };
    check(&now(again), WaitCause::GivenBack, None, why);
    let left = Position { attempts: 2, looks_at: None, ..returned(2, 1) };
    check(&now(left), WaitCause::Nothing, None, "Nothing keeps it: attempt 3 follows when its message is handed out");
}

#[test]
fn a_first_attempt_whose_row_has_a_time_waits_for_its_message() {
    let waiting = KnownRow { next_due: Some(at(LATER)), ..row(State::Waiting) };
    let why = "Nothing keeps it: attempt 1 follows when its message comes, at 2026-11-22T09:05:00Z";
    check(&Circumstances { row: Some(waiting), ..free() }, WaitCause::Nothing, Some(LATER), why);
}

#[test]
fn a_rate_has_its_slot_or_the_end_of_those_taken() {
    let rate = |free_from: Option<&str>| RuleNow::Sends(Some(RateNow { per_second: 2, free_from: free_from.map(at) }));
    let slot = Position { slot: Some(at(LATER)), ..position() };
    let why = "Its Tracking API sends at most 2 a second: its slot is at 2026-11-22T09:05:00Z";
    check(&Circumstances { rule: rate(None), position: Some(slot), ..free() }, WaitCause::RateSlot, Some(LATER), why);
    let why = "Its Tracking API sends at most 2 a second, and the slots up to 2026-11-22T09:05:00Z are taken";
    check(&Circumstances { rule: rate(Some(LATER)), ..free() }, WaitCause::RateSlot, Some(LATER), why);
    let why = "Nothing keeps it: attempt 1 follows when its message is handed out";
    check(&Circumstances { rule: rate(Some(NOW)), ..free() }, WaitCause::Nothing, None, why);
}

#[test]
fn an_end_on_the_subject_queue_is_reported() {
    let decided = |decision| Circumstances { position: Some(Position { decision, head: 5, ..position() }), ..free() };
    let why = "A person stopped it: it ends cancelled when its message is handed out next";
    check(&decided(Decision::Stopped { attempts: 1 }), WaitCause::Stopped, None, why);
    let why = "A newer change of its subject (version 5) went first: it ends superseded when its message is handed out next";
    check(&decided(Decision::Superseded), WaitCause::Superseded, None, why);
    let why = "Its 3 attempts are used: it ends when its message is handed out next";
    check(&decided(Decision::Spent { attempts: 3, base: 0, cut_off: false }), WaitCause::Spent, None, why);
}

#[test]
fn every_cause_has_the_word_that_it_is_written_as() {
    for cause in WaitCause::ALL {
        assert_eq!(serde_json::to_string(&cause).unwrap(), format!("\"{}\"", cause.as_str()));
    }
}

#[test]
fn b4_a_delivery_whose_receiver_is_down_waits_for_it() {
    let receiver = ReceiverNow { host: "api.bank.example:443", since: at(NOW), recovers: false, until: at(LATER) };
    let down = |recovers| Circumstances {
        row: Some(row(State::Waiting)),
        receiver: Some(ReceiverNow { recovers, ..receiver }),
        ..free()
    };
    let why = "Its receiver api.bank.example:443 is down since 2026-11-22T09:00:00Z and is probed; it waits uncharged, at most until \
               2026-11-22T09:05:00Z";
    check(&down(false), WaitCause::Receiver, Some(LATER), why);
    let why = "Its receiver api.bank.example:443 is down since 2026-11-22T09:00:00Z and has answered again, and lets those go that wait \
               for it, the oldest first; it waits uncharged, at most until 2026-11-22T09:05:00Z";
    check(&down(true), WaitCause::Receiver, Some(LATER), why);
}
