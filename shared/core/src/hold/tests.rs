use super::*;
use crate::{conditions::Conditions, fault::Faults, json, json::Value, trigger::Trigger};

mod by_hand;
mod commute;

const DAY: i64 = 86_400;

/// A change of conversion `cnv_1`: its version, its kind, the platform's `settled`, and its transactions as
/// (id, kind of change, result).
fn change(version: u64, kind: &str, settled: Option<bool>, transactions: &[(&str, &str, &str)]) -> Change {
    let transactions: Vec<Value> = transactions
        .iter()
        .map(|(id, change, result)| json!({"transaction_id": id, "change": change, "result": result}))
        .collect();
    let detail = json!({
        "change_id": format!("chg_{version}"), "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": "cnv_1", "version": version, "change": kind, "type": "sale", "source": "link",
                       "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5", "settled": settled},
        "transactions": transactions,
    });
    Change::parse_detail(&detail, "").unwrap()
}

fn sale(version: u64, result: &str) -> Change {
    let what = if version == 1 { "created" } else { "updated" };
    change(version, what, None, &[("trx_1", what, result)])
}

fn fired(change: &Change, trigger: Trigger) -> Vec<Event> {
    change.events().into_iter().filter(|event| trigger.fires_on(event.kind)).collect()
}

/// One rule and one conversion, with a clock moved by hand.
struct Play {
    hold: Option<Hold>,
    trigger: Trigger,
    conditions: Conditions,
    delay: Final,
    now: Timestamp,
}

impl Play {
    fn new(delay: Final) -> Self {
        let conditions = Conditions::parse(None, "", &mut Faults::default());
        let now = "2026-11-22T09:00:00Z".parse().unwrap();
        Self { hold: None, trigger: Trigger::TransactionAll, conditions, delay, now }
    }

    fn of(trigger: Trigger) -> Self {
        Self { trigger, ..Self::new(Final::default()) }
    }

    /// Sets the result condition.
    fn with_result(mut self, result: &str) -> Self {
        self.conditions = Conditions::parse(Some(&json!({"result": [result]})), "", &mut Faults::default());
        self
    }

    fn hold(&self) -> &Hold {
        self.hold.as_ref().unwrap()
    }

    /// Adds a change; returns the lines of the postbacks in that step.
    fn take(&mut self, change: &Change) -> Vec<String> {
        let hold = self.hold.get_or_insert_with(|| Hold::begin(change, self.now));
        let due = hold.absorb(change, &fired(change, self.trigger), self.delay, self.now);
        self.carry_out(due)
    }

    /// Moves the clock and looks at the hold; returns the lines of the postbacks.
    fn pass(&mut self, seconds: i64) -> Vec<String> {
        self.now += SignedDuration::from_secs(seconds);
        self.carry_out(Vec::new())
    }

    fn carry_out(&mut self, mut due: Vec<DuePostback>) -> Vec<String> {
        let hold = self.hold.as_mut().unwrap();
        due.extend(hold.owed(self.delay, self.now));
        let mut done = Vec::new();
        for due in due {
            let fits = self.conditions.judge(&due.event, &due.transactions).is_ok();
            let sent = due.instead.is_none() && fits;
            hold.conclude(&due, sent);
            done.push(line_of(&due, sent));
        }
        done
    }

    /// Seconds until the hold is due.
    fn due(&self) -> Option<i64> {
        self.hold().due(self.delay).map(|due| due.duration_since(self.now).as_secs())
    }

    fn held(&self) -> Vec<String> {
        self.hold().held().map(|(subject, _)| subject.id().to_string()).collect()
    }
}

/// A postback as a line such as `final trx_1 v2 approved final=1 correction=0`, or the reason why nothing is sent.
fn line_of(due: &DuePostback, sent: bool) -> String {
    let kind = match due.kind {
        PostbackKind::Final => "final",
        PostbackKind::Late => "late",
        PostbackKind::Change => "change",
    };
    let (id, version) = (due.subject.id(), due.event.conversion.version);
    let result = due.event.transaction.as_ref().map_or("-", |transaction| transaction.result.as_str());
    let (is_final, is_correction) = (u8::from(due.event.is_final), u8::from(due.event.is_correction));
    assert_eq!(due.event.subject(), due.subject);
    match due.instead {
        Some(Ending::Expired) => format!("expired {id}"),
        Some(Ending::FinalAlreadySent) => format!("final already sent {id} v{version}"),
        None if !sent => format!("{kind} {id} v{version} skipped"),
        None => format!("{kind} {id} v{version} {result} final={is_final} correction={is_correction}"),
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn f1_a_pending_sale_is_held_and_sent_once_when_it_is_settled() {
    let mut play = Play::new(Final::default());
    assert_eq!(play.take(&sale(1, "pending")), NOTHING);
    assert_eq!(play.held(), ["trx_1"]);
    assert_eq!(play.take(&sale(2, "pending")), NOTHING);
    assert_eq!(play.take(&sale(3, "approved")), ["final trx_1 v3 approved final=1 correction=0"]);
    assert_eq!(play.held(), NOTHING);
    assert_eq!(play.pass(400 * DAY), NOTHING);
}

#[test]
fn f1_several_transactions_are_held_until_the_last_is_final_and_sent_one_by_one() {
    let mut play = Play::new(Final::default());
    let both = |version, one: &'static str, two: &'static str| {
        change(version, "updated", None, &[("trx_1", "updated", one), ("trx_2", "updated", two)])
    };
    assert_eq!(play.take(&both(1, "pending", "pending")), NOTHING);
    assert_eq!(play.take(&both(2, "approved", "pending")), NOTHING);
    assert_eq!(
        play.take(&both(3, "approved", "rejected")),
        ["final trx_1 v3 approved final=1 correction=0", "final trx_2 v3 rejected final=1 correction=0"]
    );
}

#[test]
fn f1_a_subject_is_held_whatever_the_result_condition_says_now() {
    let mut play = Play::new(Final::default()).with_result("approved");
    assert_eq!(play.take(&sale(1, "pending")), NOTHING);
    assert_eq!(play.held(), ["trx_1"]);
    assert_eq!(play.take(&sale(2, "approved")), ["final trx_1 v2 approved final=1 correction=0"]);
}

#[test]
fn f1_a_subject_is_held_from_the_event_that_fires_and_sent_in_its_newest_state() {
    let mut play = Play::of(Trigger::TransactionCreated);
    assert_eq!(play.take(&sale(1, "pending")), NOTHING);
    assert_eq!(play.take(&sale(2, "rejected")), ["final trx_1 v2 rejected final=1 correction=0"], "T2 does not fire on updates");
    let mut play = Play::of(Trigger::TransactionUpdated);
    assert_eq!(play.take(&sale(1, "approved")), NOTHING, "T3 does not fire on creations: nothing is held");
    assert_eq!(play.held(), NOTHING);
    assert_eq!(play.take(&sale(2, "approved")), ["final trx_1 v2 approved final=1 correction=0"]);
}

#[test]
fn f1_a_conversion_without_a_transaction_makes_no_hold_until_its_first_one() {
    let mut play = Play::of(Trigger::ConversionAll);
    assert_eq!(play.take(&change(1, "created", None, &[])), NOTHING);
    assert!(!play.hold().is_open());
    assert_eq!((play.held().len(), play.due()), (0, None), "nothing expires");
    assert_eq!(play.pass(400 * DAY), NOTHING);
    assert_eq!(play.take(&change(2, "unchanged", None, &[("trx_1", "created", "pending")])), NOTHING);
    assert_eq!(play.held(), ["cnv_1"]);
    assert_eq!(play.due(), Some(120 * DAY), "the hold begins with the transaction");
    let settled = change(3, "unchanged", None, &[("trx_1", "updated", "approved")]);
    assert_eq!(play.take(&settled), ["final cnv_1 v3 - final=1 correction=0"]);
}

#[test]
fn f1_a_conversion_whose_transactions_vanished_still_ends() {
    let mut play = Play::of(Trigger::ConversionAll);
    assert_eq!(play.take(&change(1, "created", None, &[("trx_1", "created", "pending")])), NOTHING);
    assert_eq!(play.take(&change(2, "updated", None, &[])), NOTHING);
    assert_eq!(play.held(), ["cnv_1"]);
    assert_eq!(play.pass(120 * DAY), ["expired cnv_1"]);
}

#[test]
fn f1_once_there_was_something_to_hold_for_the_order_of_changes_makes_no_difference() {
    let (settled, taken_back) = (change(1, "created", Some(true), &[]), change(2, "updated", None, &[]));
    for changes in [[&settled, &taken_back], [&taken_back, &settled]] {
        let mut play = Play::of(Trigger::ConversionUpdated);
        let done: Vec<_> = changes.into_iter().flat_map(|change| play.take(change)).collect();
        assert_eq!((done.as_slice(), play.held()), (&[][..], vec!["cnv_1".to_owned()]));
    }
}

#[test]
fn f1_the_platforms_word_settles_without_a_transaction_and_holds_open_with_one() {
    let mut play = Play::of(Trigger::ConversionAll);
    assert_eq!(play.take(&change(1, "created", Some(true), &[])), ["final cnv_1 v1 - final=0 correction=0"]);
    let mut play = Play::new(Final::default());
    let approved = |version, settled| change(version, "updated", settled, &[("trx_1", "updated", "approved")]);
    assert_eq!(play.take(&approved(1, Some(false))), NOTHING);
    assert_eq!(play.held(), ["trx_1"]);
    assert_eq!(play.take(&approved(2, None)), ["final trx_1 v2 approved final=1 correction=0"]);
    let mut play = Play::new(Final::default());
    let pending = change(1, "created", Some(true), &[("trx_1", "created", "pending")]);
    assert_eq!(play.take(&pending), ["final trx_1 v1 pending final=0 correction=0"]);
}

#[test]
fn f1_a_hold_survives_a_change_of_affiliate() {
    let mut play = Play::new(Final::default());
    play.take(&sale(1, "pending"));
    let mut moved = sale(2, "approved");
    moved.conversion.affiliate_id = "aff_8".parse().unwrap();
    assert_eq!(play.take(&moved), ["final trx_1 v2 approved final=1 correction=0"]);
    assert_eq!(play.hold().newest.conversion.affiliate_id.as_str(), "aff_8");
}

#[test]
fn f1_a_late_older_change_adds_its_subjects_only() {
    let mut play = Play::of(Trigger::TransactionCreated);
    let newer = change(2, "updated", None, &[("trx_1", "updated", "approved"), ("trx_2", "created", "pending")]);
    assert_eq!(play.take(&newer), NOTHING);
    assert_eq!(play.held(), ["trx_2"]);
    assert_eq!(play.take(&sale(1, "pending")), NOTHING);
    assert_eq!(play.held(), ["trx_1", "trx_2"]);
    assert_eq!(play.hold().newest.conversion.version, 2);
    let settled = change(3, "updated", None, &[("trx_1", "unchanged", "approved"), ("trx_2", "updated", "rejected")]);
    assert_eq!(
        play.take(&settled),
        ["final trx_1 v3 approved final=1 correction=0", "final trx_2 v3 rejected final=1 correction=0"]
    );
}

#[test]
fn f1_a_subject_that_a_late_change_adds_is_sent_in_its_newest_state() {
    let mut play = Play::of(Trigger::TransactionCreated);
    assert_eq!(play.take(&sale(2, "approved")), NOTHING, "its creation is not known yet");
    assert_eq!(play.take(&sale(1, "pending")), ["final trx_1 v2 approved final=1 correction=0"]);
}

#[test]
fn f2_settle_seconds_wait_after_settling_and_the_newest_state_is_sent() {
    let mut play = Play::new(Final { settle_seconds: 3_600, ..Final::default() });
    play.take(&sale(1, "pending"));
    assert_eq!(play.due(), Some(120 * DAY));
    assert_eq!(play.take(&sale(2, "approved")), NOTHING);
    assert_eq!(play.due(), Some(3_600));
    assert_eq!(play.pass(3_000), NOTHING);
    assert_eq!(play.take(&sale(3, "rejected")), NOTHING, "a change inside that time starts no second postback");
    assert_eq!(play.due(), Some(600), "nor does the wait start over");
    assert_eq!(play.pass(599), NOTHING);
    assert_eq!(play.pass(1), ["final trx_1 v3 rejected final=1 correction=0"]);
    assert_eq!(play.pass(DAY), NOTHING);
}

#[test]
fn f2_a_conversion_that_is_unsettled_while_it_waits_starts_over() {
    let mut play = Play::new(Final { settle_seconds: 3_600, ..Final::default() });
    play.take(&sale(1, "approved"));
    play.pass(3_000);
    assert_eq!(play.take(&sale(2, "pending")), NOTHING);
    assert_eq!(play.due(), Some(120 * DAY - 3_000), "held since the first change");
    assert_eq!(play.pass(3_000), NOTHING);
    assert_eq!(play.take(&sale(3, "approved")), NOTHING);
    assert_eq!(play.due(), Some(3_600));
    assert_eq!(play.pass(3_600), ["final trx_1 v3 approved final=1 correction=0"]);
}

#[test]
fn f2_a_repeated_change_does_not_restart_the_wait() {
    let mut play = Play::new(Final { settle_seconds: 3_600, ..Final::default() });
    play.take(&sale(1, "approved"));
    play.pass(1_800);
    assert_eq!(play.take(&sale(1, "approved")), NOTHING);
    assert_eq!(play.due(), Some(1_800));
}

#[test]
fn f2_zero_seconds_send_in_the_step_that_settles() {
    let mut play = Play::new(Final::default());
    assert_eq!(play.take(&sale(1, "approved")), ["final trx_1 v1 approved final=1 correction=0"]);
}

#[test]
fn f3_a_hold_that_never_settles_expires() {
    let mut play = Play::new(Final { max_hold_days: 30, ..Final::default() });
    play.take(&sale(1, "pending"));
    assert_eq!(play.pass(30 * DAY - 1), NOTHING);
    assert_eq!(play.pass(1), ["expired trx_1"]);
    assert_eq!(play.pass(DAY), NOTHING);
    assert_eq!(play.hold().subjects.values().next().unwrap().phase, Phase::Expired);
}

#[test]
fn f3_a_conversion_that_settles_after_expiry_is_still_sent() {
    let mut play = Play::of(Trigger::TransactionCreated);
    play.take(&sale(1, "pending"));
    assert_eq!(play.pass(120 * DAY), ["expired trx_1"]);
    assert_eq!(play.take(&sale(2, "approved")), ["late trx_1 v2 approved final=1 correction=0"]);
    assert_eq!(play.take(&sale(3, "rejected")), NOTHING, "T2 does not fire on it");
}

#[test]
fn f3_send_current_sends_it_as_it_is_and_once_more_when_it_settles() {
    let mut play = Play::new(Final { on_expiry: OnExpiry::SendCurrent, ..Final::default() });
    play.take(&sale(1, "pending"));
    play.take(&sale(2, "pending"));
    assert_eq!(play.pass(120 * DAY), ["final trx_1 v2 pending final=0 correction=0"]);
    assert_eq!(play.take(&sale(3, "pending")), NOTHING);
    assert_eq!(play.pass(120 * DAY), NOTHING);
    assert_eq!(play.take(&sale(4, "approved")), ["late trx_1 v4 approved final=1 correction=0"]);
    assert_eq!(play.take(&sale(5, "rejected")), ["final already sent trx_1 v5"]);
}

#[test]
fn f3_a_conversion_that_did_not_fit_at_expiry_is_still_sent_when_it_settles() {
    let delay = Final { on_expiry: OnExpiry::SendCurrent, ..Final::default() };
    let mut play = Play { trigger: Trigger::TransactionCreated, ..Play::new(delay) }.with_result("approved");
    play.take(&sale(1, "pending"));
    assert_eq!(play.pass(120 * DAY), ["final trx_1 v1 skipped"]);
    assert_eq!(play.take(&sale(2, "approved")), ["late trx_1 v2 approved final=1 correction=0"]);
}

#[test]
fn f3_a_conversion_that_settles_late_waits_its_settle_seconds_too() {
    let mut play = Play::new(Final { settle_seconds: 60, ..Final::default() });
    play.take(&sale(1, "pending"));
    assert_eq!(play.pass(120 * DAY), ["expired trx_1"]);
    assert_eq!(play.take(&sale(2, "approved")), NOTHING);
    assert_eq!(play.due(), Some(60));
    assert_eq!(play.pass(60), ["late trx_1 v2 approved final=1 correction=0"]);
}

#[test]
fn f3_a_new_transaction_after_an_ended_hold_is_held_for_its_own_time() {
    let mut play = Play::new(Final { max_hold_days: 30, ..Final::default() });
    play.take(&sale(1, "approved"));
    play.pass(40 * DAY);
    let second =
        |version, result| change(version, "updated", None, &[("trx_1", "unchanged", "approved"), ("trx_2", "created", result)]);
    assert_eq!(play.take(&second(2, "pending")), NOTHING, "not expired as it begins");
    assert_eq!(play.due(), Some(30 * DAY));
    assert_eq!(play.pass(30 * DAY), ["expired trx_2"]);
    let mut play = Play::new(Final { max_hold_days: 30, ..Final::default() });
    play.take(&sale(1, "pending"));
    assert_eq!(play.pass(30 * DAY), ["expired trx_1"]);
    play.take(&change(2, "updated", None, &[("trx_1", "unchanged", "pending"), ("trx_2", "created", "pending")]));
    assert_eq!(play.due(), Some(30 * DAY));
}

#[test]
fn f3_conditions_are_judged_on_the_state_that_would_be_sent() {
    let mut play = Play::new(Final::default()).with_result("approved");
    play.take(&sale(1, "approved"));
    let mut play = Play::new(Final { settle_seconds: 60, ..Final::default() }).with_result("approved");
    play.take(&sale(1, "approved"));
    play.take(&sale(2, "rejected"));
    assert_eq!(play.pass(60), ["final trx_1 v2 skipped"]);
    assert_eq!(play.hold().subjects.values().next().unwrap().phase, Phase::Skipped(2));
}

#[test]
fn f4_after_the_final_postback_nothing_more_is_sent() {
    let mut play = Play::new(Final::default());
    play.take(&sale(1, "approved"));
    assert_eq!(play.take(&sale(2, "rejected")), ["final already sent trx_1 v2"]);
    assert_eq!(play.take(&sale(3, "pending")), ["final already sent trx_1 v3"]);
    assert_eq!(play.take(&sale(4, "approved")), ["final already sent trx_1 v4"]);
    assert_eq!(play.pass(400 * DAY), NOTHING);
}

#[test]
fn f4_a_repeat_of_what_was_sent_is_no_change() {
    for corrections in [false, true] {
        let mut play = Play::new(Final { corrections, ..Final::default() });
        play.take(&sale(2, "approved"));
        assert_eq!(play.take(&sale(2, "approved")), NOTHING);
        assert_eq!(play.take(&sale(1, "pending")), NOTHING, "an older one is over with the newer one");
    }
}

#[test]
fn f4_each_settled_change_is_a_correction_if_the_rule_wants_them() {
    let mut play = Play::new(Final { corrections: true, ..Final::default() });
    assert_eq!(play.take(&sale(1, "approved")), ["final trx_1 v1 approved final=1 correction=0"]);
    assert_eq!(play.take(&sale(2, "rejected")), ["change trx_1 v2 rejected final=1 correction=1"]);
    assert_eq!(play.take(&sale(3, "pending")), NOTHING, "not settled");
    assert_eq!(play.take(&sale(4, "approved")), ["change trx_1 v4 approved final=1 correction=1"]);
    assert_eq!(play.take(&sale(4, "approved")), NOTHING);
}

#[test]
fn f4_a_correction_that_another_transaction_holds_open_goes_out_when_that_one_is_final() {
    let mut play = Play::new(Final { corrections: true, ..Final::default() });
    play.take(&sale(1, "approved"));
    let both = |version, one: (&'static str, &'static str), two: (&'static str, &'static str)| {
        change(version, "updated", None, &[("trx_1", one.0, one.1), ("trx_2", two.0, two.1)])
    };
    assert_eq!(play.take(&both(2, ("updated", "rejected"), ("created", "pending"))), NOTHING);
    assert_eq!(
        play.take(&both(3, ("unchanged", "rejected"), ("updated", "approved"))),
        ["change trx_1 v3 rejected final=1 correction=1", "final trx_2 v3 approved final=1 correction=0"]
    );
}

#[test]
fn f4_what_was_skipped_may_fit_later_and_is_no_correction_then() {
    let mut play = Play::new(Final::default()).with_result("approved");
    assert_eq!(play.take(&sale(1, "rejected")), ["final trx_1 v1 skipped"]);
    assert_eq!(play.take(&sale(2, "rejected")), ["change trx_1 v2 skipped"]);
    assert_eq!(play.take(&sale(3, "approved")), ["change trx_1 v3 approved final=1 correction=0"]);
    assert_eq!(play.take(&sale(4, "approved")), ["final already sent trx_1 v4"]);
}

#[test]
fn f4_a_correction_that_does_not_fit_keeps_the_postback_sent() {
    let delay = Final { corrections: true, ..Final::default() };
    let mut play = Play::new(delay).with_result("approved");
    play.take(&sale(1, "approved"));
    assert_eq!(play.take(&sale(2, "rejected")), ["change trx_1 v2 skipped"]);
    assert_eq!(play.take(&sale(3, "approved")), ["change trx_1 v3 approved final=1 correction=1"]);
}

#[test]
fn f5_what_auto_approve_made_is_approved_in_its_first_postback() {
    let detail = json!({
        "change_id": "chg_1", "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": "cnv_1", "version": 1, "change": "created", "type": "lead", "source": "iframe",
                       "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5"},
        "transactions": [{"transaction_id": "trx_1", "result": "approved", "auto_approved": true}],
    });
    let created = Change::parse_detail(&detail, "").unwrap();
    let mut play = Play::new(Final::default());
    assert_eq!(play.take(&created), ["final trx_1 v1 approved final=1 correction=0"]);
    let events: Vec<_> = fired(&created, Trigger::TransactionAll);
    let results: Vec<_> = events.iter().map(|event| event.transaction.as_ref().unwrap().result.as_str()).collect();
    assert_eq!(results, ["approved"], "one event, without delay too");
}

#[test]
fn f5_the_result_condition_keeps_pending_notices_back_without_a_delay() {
    let play = Play::new(Final::default()).with_result("approved");
    let fits = |change: &Change| {
        let events = fired(change, Trigger::TransactionAll);
        events.iter().filter(|event| play.conditions.judge(event, &change.transactions).is_ok()).count()
    };
    assert_eq!([fits(&sale(1, "pending")), fits(&sale(2, "approved")), fits(&sale(3, "rejected"))], [0, 1, 0]);
}

#[test]
fn p6_a_rule_that_is_switched_off_forgets_what_is_held_and_keeps_what_was_sent() {
    let mut play = Play::new(Final::default());
    play.take(&sale(1, "approved"));
    let second =
        |version, result| change(version, "updated", None, &[("trx_1", "unchanged", "approved"), ("trx_2", "updated", result)]);
    play.take(&second(2, "pending"));
    assert_eq!(play.held(), ["trx_2"]);
    play.hold.as_mut().unwrap().cancel();
    assert_eq!((play.held().len(), play.due()), (0, None));
    assert_eq!(play.pass(400 * DAY), NOTHING, "switching on again revives nothing");
    let again = change(3, "updated", None, &[("trx_1", "updated", "approved"), ("trx_2", "updated", "rejected")]);
    assert_eq!(play.take(&again), ["final already sent trx_1 v3", "final trx_2 v3 rejected final=1 correction=0"]);
}

#[test]
fn p6_what_had_expired_is_not_revived_either() {
    let mut play = Play::of(Trigger::TransactionCreated);
    play.take(&sale(1, "pending"));
    assert_eq!(play.pass(120 * DAY), ["expired trx_1"]);
    play.hold.as_mut().unwrap().cancel();
    assert_eq!(play.take(&sale(2, "approved")), NOTHING);
}
