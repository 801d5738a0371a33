use std::collections::HashMap;

use super::*;
use crate::{delivery::Cause, id::Id, json};

mod give_back;
mod model;
mod persons;
mod slots;

/// A queue, the log and a clock that tests move by hand.
struct Play {
    queue: SubjectQueue,
    log: HashMap<DeliveryId, Recorded>,
    now: Timestamp,
    incarnation: u64,
    max_attempts: u32,
    after: Option<DeliveryId>,
    /// The seconds after a lease in which a record may be on its way.
    recording: i64,
}

/// A decision without its queue.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Claim(u32),
    /// The attempt, and the deliveries that it ended.
    Overtakes(u32, Vec<DeliveryId>),
    Mine(u32),
    Ended,
    /// Seconds to wait.
    Wait(i64),
    /// Seconds to wait after the queue is written.
    Park(i64),
    Spent(u32),
    CutOff(u32),
    Superseded,
    Stopped(u32),
}

use Said::{Claim as Claims, CutOff, Ended, Mine, Overtakes, Park, Spent, Stopped, Superseded, Wait};

pub(super) fn delivery(name: &str) -> DeliveryId {
    let parse = |text: &str| text.parse::<Id>().unwrap();
    DeliveryId::derive(&parse("cnv_1"), &parse("trk_1"), name, Cause::Final(0))
}

pub(super) fn created(version: u64) -> Order {
    Order { version, rank: 0 }
}

fn updated(version: u64) -> Order {
    Order { version, rank: 1 }
}

impl Play {
    /// Three attempts at most, a timeout of 40 seconds: a lease of 55.
    fn new() -> Self {
        let now = "2026-11-22T09:00:00Z".parse().unwrap();
        Self {
            queue: SubjectQueue::default(),
            log: HashMap::new(),
            now,
            incarnation: 1,
            max_attempts: 3,
            after: None,
            recording: 0,
        }
    }

    fn present(&self) -> Present {
        Present { now: self.now, incarnation: self.incarnation, recording: SignedDuration::from_secs(self.recording) }
    }

    fn claim_request<'a>(&'a self, id: &'a DeliveryId, order: Order, receive_id: &'a str) -> ClaimRequest<'a> {
        ClaimRequest {
            id,
            order,
            after: self.after.as_ref(),
            receive_id,
            present: self.present(),
            timeout_seconds: 40,
            step: None,
            max_attempts: self.max_attempts,
        }
    }

    fn decide(&self, name: &str, order: Order, receive_id: &str) -> Decision {
        let id = delivery(name);
        self.queue.decide(&self.claim_request(&id, order, receive_id), &|id| self.log.get(id).cloned())
    }

    /// Gives a delivery that could be claimed a slot in `seconds`.
    fn wait_for_slot(&mut self, name: &str, order: Order, seconds: i64) {
        self.wait_until(name, order, seconds, Some(self.now + SignedDuration::from_secs(seconds)));
    }

    /// Lets a delivery that could be claimed wait for `seconds`.
    fn wait_until(&mut self, name: &str, order: Order, seconds: i64, slot: Option<Timestamp>) {
        let Decision::Claim { attempt, .. } = self.decide(name, order, "") else { panic!("{name} can't be claimed") };
        let (id, until) = (delivery(name), self.now + SignedDuration::from_secs(seconds));
        self.queue = self.queue.waiting(&self.claim_request(&id, order, ""), attempt, until, slot).unwrap();
    }

    /// Requests a claim, and writes the queue if there is one to write.
    fn request(&mut self, name: &str, order: Order, receive_id: &str) -> Said {
        match self.decide(name, order, receive_id) {
            Decision::Claim { queue, attempt, lease_until, overtaken, .. } => {
                assert_eq!(lease_until.duration_since(self.now).as_secs(), 55);
                self.queue = queue;
                if overtaken.is_empty() { Claims(attempt) } else { Overtakes(attempt, overtaken) }
            }
            Decision::Mine { queue, attempt, .. } => {
                self.queue = queue.unwrap_or_else(|| self.queue.clone());
                Mine(attempt)
            }
            Decision::Ended => Ended,
            Decision::Wait { until, queue: None } => Wait(until.duration_since(self.now).as_secs()),
            Decision::Wait { until, queue: Some(queue) } => {
                self.queue = queue;
                Park(until.duration_since(self.now).as_secs())
            }
            Decision::Spent { attempts, cut_off: false, .. } => Spent(attempts),
            Decision::Spent { attempts, cut_off: true, .. } => CutOff(attempts),
            Decision::Stopped { attempts } => Stopped(attempts),
            Decision::Superseded => Superseded,
        }
    }

    /// Records an attempt; the delivery is due again in 60 seconds.
    fn again(&mut self, name: &str, attempts: u32) {
        let due = Some(self.now + SignedDuration::from_secs(60));
        let base = self.base(name);
        self.log.insert(delivery(name), Recorded { attempts, base, ended: false, due, keeps_until: None });
    }

    fn end(&mut self, name: &str, attempts: u32) {
        let base = self.base(name);
        self.log.insert(delivery(name), Recorded { attempts, base, ended: true, due: None, keeps_until: None });
    }

    /// Gives a claim of this hand-out back; returns the number of claims given back. `None`: it stays counted.
    fn give_back(&mut self, name: &str, attempt: u32, receive_id: &str) -> Option<u32> {
        let id = delivery(name);
        let given = Return { id: &id, attempt, base: self.base(name), receive_id, present: self.present() };
        let GivenBack { queue, times, .. } = self.queue.give_back(&given)?;
        self.queue = queue;
        Some(times)
    }

    /// The attempts before the present budget, as the log has them.
    fn base(&self, name: &str) -> u32 {
        self.log.get(&delivery(name)).map_or(0, |record| record.base)
    }

    /// Stores an instruction on the queue alone; returns the attempts made so far.
    fn instruct(&mut self, instruction: Instruction, name: &str, order: Order) -> u32 {
        let recorded = |id: &DeliveryId| self.log.get(id).map_or(0, |record| record.attempts);
        let (queue, attempts) = self.queue.instruct(instruction, &delivery(name), order, &recorded, self.now).unwrap();
        self.queue = queue;
        attempts
    }

    /// Stores a resend on the queue and in the log.
    fn resend(&mut self, name: &str, order: Order) {
        let attempts = self.instruct(Instruction::Resend, name, order);
        self.log
            .insert(delivery(name), Recorded { attempts, base: attempts, ended: false, due: Some(self.now), keeps_until: None });
    }

    fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }
}

#[test]
fn l1_an_attempt_is_counted_at_the_claim_before_anything_is_recorded() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    assert_eq!(play.queue.entries[0].attempts, 1);
    assert_eq!(play.queue.head, 1);
}

#[test]
fn l1_never_more_than_n_plus_one_attempts() {
    let mut play = Play::new();
    for attempt in 1..=3 {
        assert_eq!(play.request("a", created(1), &format!("t{attempt}")), Claims(attempt));
        play.again("a", attempt);
        play.wait(60);
    }
    assert_eq!(play.request("a", created(1), "t4"), Spent(3));
}

#[test]
fn l1_attempts_that_a_crash_cut_off_are_spent() {
    let mut play = Play::new();
    for attempt in 1..=3 {
        assert_eq!(play.request("a", created(1), &format!("t{attempt}")), Claims(attempt));
        play.wait(55);
    }
    assert_eq!(play.request("a", created(1), "t4"), CutOff(3));
}

#[test]
fn l1_a_limit_that_was_lowered_counts_at_once_and_one_that_was_raised_too() {
    let mut play = Play::new();
    for attempt in 1..=2 {
        assert_eq!(play.request("a", created(1), &format!("t{attempt}")), Claims(attempt));
        play.again("a", attempt);
        play.wait(60);
    }
    play.max_attempts = 1;
    assert_eq!(play.request("a", created(1), "t3"), Spent(2));
    play.max_attempts = 31;
    assert_eq!(play.request("a", created(1), "t4"), Claims(3));
}

#[test]
fn l1_what_the_log_has_counts_where_the_queue_has_forgotten() {
    let mut play = Play::new();
    play.log.insert(delivery("a"), Recorded { attempts: 2, base: 0, ended: false, due: None, keeps_until: None });
    assert_eq!(play.request("a", created(1), "t1"), Claims(3));
}

#[test]
fn l2_a_retry_waits_until_it_is_due() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.again("a", 1);
    play.wait(59);
    assert_eq!(play.request("a", created(1), "t2"), Wait(1));
    play.wait(1);
    assert_eq!(play.request("a", created(1), "t3"), Claims(2));
}

#[test]
fn p2_the_same_message_again_waits_for_the_lease() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.wait(10);
    assert_eq!(play.request("a", created(1), "t2"), Wait(45));
    play.wait(44);
    assert_eq!(play.request("a", created(1), "t2"), Wait(1));
    play.wait(1);
    assert_eq!(play.request("a", created(1), "t2"), Claims(2));
}

#[test]
fn p2_a_repeat_of_the_same_call_has_won_already() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    assert_eq!(play.request("a", created(1), "t1"), Mine(1));
    play.wait(54);
    assert_eq!(play.request("a", created(1), "t1"), Mine(1));
    play.again("a", 1);
    assert_eq!(play.request("a", created(1), "t1"), Wait(60), "its outcome is known by now");
}

#[test]
fn p2_a_repeat_after_the_lease_has_not_won_any_more() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.wait(55);
    assert_eq!(play.request("a", created(1), "t1"), Claims(2), "the first is spent (L1)");
}

#[test]
fn p2_an_ended_delivery_is_never_sent_again() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.end("a", 1);
    for _ in 0..3 {
        assert_eq!(play.request("a", created(1), "t2"), Ended);
        play.wait(86_400);
    }
    assert_eq!(play.request("a", created(1), "t1"), Ended);
}

#[test]
fn p2_a_row_that_has_expired_is_not_taken_for_one_that_was_never_written() {
    const DAY: i64 = 86_400;
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.wait(30 * DAY);
    assert!(matches!(play.decide("a", created(1), "t2"), Decision::Claim { attempt: 2, .. }), "a crash");
    play.wait(56);
    assert_eq!(play.request("a", created(1), "t2"), Ended, "the row has expired");
    play.wait(369 * DAY);
    assert_eq!(play.request("a", created(1), "t2"), Ended);
}

#[test]
fn p1_an_open_delivery_goes_on_however_long_the_process_was_away() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.again("a", 1);
    play.wait(60);
    assert_eq!(play.request("a", created(1), "t2"), Claims(2));
    play.wait(86_400 * 60);
    play.incarnation = 2;
    assert_eq!(play.request("a", created(1), "t3"), Claims(3), "its row says that it is open");
}

#[test]
fn p2_claims_of_an_earlier_incarnation_are_void_at_once() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.incarnation = 2;
    assert_eq!(play.request("a", created(1), "t1"), Claims(2), "a receive id of another incarnation is another's");
    play.incarnation = 3;
    assert_eq!(play.request("b", updated(1), "t2"), Claims(1), "nobody is sending");
}

#[test]
fn p3_one_at_a_time() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    assert_eq!(play.request("b", updated(2), "t2"), Park(1));
    assert_eq!(play.request("b", updated(2), "t3"), Wait(1), "it is known for a while");
    play.end("a", 1);
    assert_eq!(play.request("b", updated(2), "t4"), Overtakes(1, vec![delivery("a")]));
}

#[test]
fn p3_a_cut_off_attempt_blocks_others_no_longer_than_its_lease() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    play.wait(54);
    assert_eq!(play.request("b", updated(2), "t2"), Park(1));
    play.wait(1);
    assert_eq!(play.request("b", updated(2), "t3"), Overtakes(1, vec![delivery("a")]));
    assert_eq!(play.request("a", updated(1), "t4"), Superseded);
}

#[test]
fn p3_older_ones_are_superseded_from_the_newers_first_attempt_on() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    play.again("a", 1);
    assert_eq!(play.request("b", updated(2), "t2"), Overtakes(1, vec![delivery("a")]));
    play.again("b", 1);
    play.wait(60);
    assert_eq!(play.request("a", updated(1), "t3"), Superseded, "it waited for a retry");
    assert_eq!(play.request("late", updated(1), "t4"), Superseded, "it turned up late");
    assert_eq!(play.request("b", updated(2), "t5"), Claims(2), "the newer one's own retry goes out");
}

#[test]
fn p3_a_newer_one_that_only_waits_supersedes_nothing() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    assert_eq!(play.request("b", updated(2), "t2"), Park(1));
    play.again("a", 1);
    play.wait(60);
    assert_eq!(play.request("a", updated(1), "t3"), Claims(2));
}

#[test]
fn p3_equal_versions_never_supersede_each_other() {
    let mut play = Play::new();
    assert_eq!(play.request("tc", created(1), "t1"), Claims(1));
    play.again("tc", 1);
    assert_eq!(play.request("tu", updated(1), "t2"), Claims(1));
    play.end("tu", 1);
    play.wait(60);
    assert_eq!(play.request("tc", created(1), "t3"), Claims(2), "its retry goes out all the same");
}

#[test]
fn p3_created_goes_before_updated_if_it_is_known() {
    let mut play = Play::new();
    assert_eq!(play.request("other", created(1), "t1"), Claims(1));
    assert_eq!(play.request("tc", created(2), "t2"), Park(1));
    assert_eq!(play.request("tu", updated(2), "t3"), Park(1));
    play.end("other", 1);
    assert_eq!(play.request("tu", updated(2), "t4"), Wait(1));
    assert_eq!(play.request("tc", created(2), "t5"), Overtakes(1, vec![delivery("other")]));
    play.end("tc", 1);
    assert_eq!(play.request("tu", updated(2), "t6"), Claims(1));
}

#[test]
fn p3_updated_waits_for_the_created_of_its_change_even_if_nobody_has_seen_it() {
    let mut play = Play::new();
    play.after = Some(delivery("tc"));
    assert_eq!(play.request("tu", updated(1), "t1"), Park(1));
    play.after = None;
    assert_eq!(play.request("tc", created(1), "t2"), Claims(1));
    play.after = Some(delivery("tc"));
    assert_eq!(play.request("tu", updated(1), "t3"), Wait(1), "the created one is being sent");
    play.again("tc", 1);
    assert_eq!(play.request("tu", updated(1), "t4"), Claims(1), "it had its first attempt");
}

#[test]
fn p3_updated_does_not_wait_for_a_created_one_that_is_over_or_was_tried() {
    for recorded in [(0, true), (1, true), (1, false)] {
        let mut play = Play::new();
        let (attempts, ended) = recorded;
        play.log.insert(delivery("tc"), Recorded { attempts, base: 0, ended, due: None, keeps_until: None });
        play.after = Some(delivery("tc"));
        assert_eq!(play.request("tu", updated(1), "t1"), Claims(1), "{recorded:?}");
    }
}

#[test]
fn p3_a_newer_one_waits_for_an_older_one_that_is_known() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    assert_eq!(play.request("b", updated(2), "t2"), Park(1));
    play.end("a", 1);
    assert_eq!(play.request("c", updated(3), "t3"), Park(1), "b was known first");
    assert_eq!(play.request("b", updated(2), "t4"), Overtakes(1, vec![delivery("a")]));
    play.end("b", 1);
    assert_eq!(play.request("c", updated(3), "t5"), Overtakes(1, vec![delivery("b")]));
}

#[test]
fn p3_an_older_one_that_was_not_seen_for_a_minute_is_known_no_more() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    assert_eq!(play.request("b", updated(2), "t2"), Park(1));
    play.end("a", 1);
    play.wait(59);
    assert_eq!(play.request("c", updated(3), "t3"), Park(1));
    play.wait(1);
    assert_eq!(play.request("c", updated(3), "t4"), Overtakes(1, vec![delivery("a"), delivery("b")]));
    assert_eq!(play.request("b", updated(2), "t5"), Superseded);
}

#[test]
fn p3_one_that_keeps_looking_stays_known() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    assert_eq!(play.request("b", updated(2), "t2"), Park(1));
    play.wait(58);
    play.incarnation = 1;
    play.queue.entries[0].claim.as_mut().unwrap().lease_until += SignedDuration::from_secs(600);
    assert_eq!(play.request("b", updated(2), "t3"), Park(1), "soon forgotten: it makes itself known again");
    play.wait(59);
    play.end("a", 1);
    assert_eq!(play.request("c", updated(3), "t4"), Park(1));
}

#[test]
fn p3_an_ended_delivery_blocks_no_other() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    assert_eq!(play.request("b", updated(2), "t2"), Park(1));
    play.end("a", 1);
    play.end("b", 0);
    assert_eq!(play.request("c", updated(3), "t3"), Overtakes(1, vec![delivery("a"), delivery("b")]));
}

#[test]
fn p3_a_queue_stays_small_however_many_wait() {
    let mut play = Play::new();
    assert_eq!(play.request("first", updated(1), "t"), Claims(1));
    for version in 2..100 {
        play.request(&format!("d{version}"), updated(version), "t");
    }
    assert_eq!(play.queue.entries.len(), 32);
    assert_eq!(play.request("d99", updated(99), "t"), Wait(1), "it waits all the same");
    play.wait(60);
    play.end("first", 1);
    let said = play.request("d99", updated(99), "t");
    assert!(matches!(&said, Overtakes(1, overtaken) if overtaken.len() == 32), "{said:?}");
    assert_eq!(play.queue.entries.len(), 1);
}

#[test]
fn p3_of_one_version_the_last_32_are_remembered() {
    let mut play = Play::new();
    for number in 0..40 {
        let name = format!("d{number}");
        assert_eq!(play.request(&name, updated(1), "t"), Claims(1));
        play.end(&name, 1);
    }
    let remembered: Vec<_> = play.queue.entries.iter().map(|entry| entry.id.clone()).collect();
    let expected: Vec<_> = (8..40).map(|number| delivery(&format!("d{number}"))).collect();
    assert_eq!(remembered, expected);
}

/// A queue as the first version wrote it. Never edit it: add another beside it.
const FIRST_WRITTEN: &str = r#"{"head":3,"entries":[
    {"id":"dlv_vm5yzaxvay7sx4ycfxfrcbc5kyzhfkc4","order":{"version":3,"rank":0},"attempts":1,
     "claim":{"token":"t1","lease_until":"2026-11-22T09:00:55Z","run":1}},
    {"id":"dlv_vm5yzaxvay7sx4ycnd9dgf50kfj8nd60","order":{"version":4,"rank":1},"attempts":0,"parked_until":"2026-11-22T09:01:00Z"}]}"#;

#[test]
fn p2_reads_and_writes_what_the_first_version_wrote() {
    let written: crate::json::Value = serde_json::from_str(FIRST_WRITTEN).unwrap();
    let queue: SubjectQueue = serde_json::from_str(FIRST_WRITTEN).unwrap();
    assert_eq!(queue.head, 3);
    assert_eq!(queue.entries[0].claim.as_ref().unwrap().receive_id, "t1");
    assert_eq!(json!(queue), written);
    assert_eq!(json!(SubjectQueue::default()), json!({"head": 0, "entries": []}));
}
