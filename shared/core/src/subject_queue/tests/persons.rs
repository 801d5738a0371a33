//! A person's instructions for a delivery: resend, or stop.

use super::*;

#[test]
fn l1_a_resend_opens_a_new_budget_and_attempts_count_on() {
    let mut play = Play { max_attempts: 2, ..Play::new() };
    for attempt in 1..=2 {
        assert_eq!(play.request("a", created(1), "t"), Claims(attempt));
        play.again("a", attempt);
        play.wait(60);
    }
    assert_eq!(play.request("a", created(1), "t"), Spent(2));
    play.end("a", 2);
    play.resend("a", created(1));
    for attempt in 3..=4 {
        assert_eq!(play.request("a", created(1), "t"), Claims(attempt));
        play.again("a", attempt);
        play.wait(60);
    }
    assert_eq!(play.request("a", created(1), "t"), Spent(4));
}

#[test]
fn l1_the_log_keeps_the_budget_where_the_queue_has_forgotten() {
    let mut play = Play { max_attempts: 2, ..Play::new() };
    play.log.insert(delivery("a"), Recorded { attempts: 5, base: 4, ended: false, due: None, keeps_until: None });
    assert_eq!(play.request("a", created(1), "t1"), Claims(6));
    play.end("a", 6);
    play.log.insert(delivery("a"), Recorded { attempts: 6, base: 4, ended: false, due: None, keeps_until: None });
    assert_eq!(play.request("a", created(1), "t2"), Spent(6));
}

#[test]
fn l1_a_resend_that_the_log_has_not_yet_revives_nothing() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.end("a", 1);
    assert_eq!(play.instruct(Instruction::Resend, "a", created(1)), 1);
    assert_eq!(play.request("a", created(1), "t2"), Ended);
}

#[test]
fn l1_an_attempt_that_a_crash_cut_off_is_spent_before_the_new_budget() {
    let mut play = Play { max_attempts: 2, ..Play::new() };
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.again("a", 1);
    play.wait(60);
    assert_eq!(play.request("a", created(1), "t2"), Claims(2));
    play.wait(60);
    assert!(play.queue.holds(&delivery("a"), 2, 0), "it may still be recorded");
    play.resend("a", created(1));
    assert!(!play.queue.holds(&delivery("a"), 2, 0), "what it leaves now is a trace");
    assert_eq!(play.request("a", created(1), "t3"), Claims(3));
    play.again("a", 3);
    play.wait(60);
    assert_eq!(play.request("a", created(1), "t4"), Claims(4));
    play.again("a", 4);
    play.wait(60);
    assert_eq!(play.request("a", created(1), "t5"), Spent(4));
}

#[test]
fn l1_a_resend_goes_out_although_a_newer_one_went_first() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    play.again("a", 1);
    assert_eq!(play.request("b", updated(2), "t2"), Overtakes(1, vec![delivery("a")]));
    play.end("a", 1);
    play.resend("a", updated(1));
    assert_eq!(play.request("a", updated(1), "t3"), Wait(1), "one at a time (P3)");
    play.end("b", 1);
    assert_eq!(play.request("a", updated(1), "t4"), Claims(2));
    assert_eq!(play.queue.head, 2, "the head stays with the newest");
    play.again("a", 2);
    play.wait(60);
    assert_eq!(play.request("a", updated(1), "t5"), Claims(3), "its retries go out too");
    assert_eq!(play.request("late", updated(1), "t6"), Superseded, "nobody asked for this one");
}

#[test]
fn l1_one_that_was_superseded_unsent_and_is_sent_again_waits_without_being_forgotten() {
    let mut play = Play::new();
    assert_eq!(play.request("b", updated(2), "t1"), Claims(1));
    assert_eq!(play.request("a", updated(1), "t2"), Superseded);
    play.end("a", 0);
    play.resend("a", updated(1));
    play.queue.entries[0].claim.as_mut().unwrap().lease_until += SignedDuration::from_secs(600);
    for _ in 0..3 {
        assert_eq!(play.request("a", updated(1), "t3"), Park(1));
        play.wait(61);
    }
    play.end("b", 1);
    assert_eq!(play.request("a", updated(1), "t4"), Claims(1));
}

#[test]
fn p3_a_newer_one_waits_for_what_a_person_asked_for_before_its_first_attempt() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    assert_eq!(play.request("b", updated(2), "t2"), Park(1));
    play.log.insert(delivery("b"), Recorded { attempts: 0, base: 0, ended: false, due: None, keeps_until: None });
    play.resend("b", updated(2));
    play.end("a", 1);
    assert_eq!(play.request("c", updated(3), "t3"), Park(1), "b was known first");
    assert_eq!(play.request("b", updated(2), "t4"), Overtakes(1, vec![delivery("a")]));
}

#[test]
fn p3_a_newer_ones_attempt_supersedes_what_a_person_asked_for_before() {
    let mut play = Play::new();
    assert_eq!(play.request("b", updated(2), "t1"), Claims(1));
    play.end("b", 1);
    play.log.insert(delivery("a"), Recorded { attempts: 0, base: 0, ended: true, due: None, keeps_until: None });
    play.resend("a", updated(1));
    assert_eq!(play.request("a", updated(1), "t2"), Claims(1));
    play.again("a", 1);
    assert_eq!(play.request("c", updated(3), "t3"), Overtakes(1, vec![delivery("b"), delivery("a")]));
    play.wait(60);
    assert_eq!(play.request("a", updated(1), "t4"), Superseded);
}

#[test]
fn p3_of_several_that_a_person_asked_for_the_newer_one_supersedes_the_older() {
    let mut play = Play::new();
    assert_eq!(play.request("c", updated(3), "t1"), Claims(1));
    play.end("c", 1);
    for (name, version) in [("a", 1), ("b", 2)] {
        play.log.insert(delivery(name), Recorded { attempts: 1, base: 0, ended: true, due: None, keeps_until: None });
        play.resend(name, updated(version));
    }
    assert_eq!(play.request("a", updated(1), "t2"), Claims(2));
    play.again("a", 2);
    assert_eq!(play.request("b", updated(2), "t3"), Overtakes(2, vec![delivery("a")]));
    play.end("b", 2);
    play.wait(60);
    assert_eq!(play.request("a", updated(1), "t4"), Superseded);
}

#[test]
fn p6_a_delivery_that_a_person_stopped_is_claimed_only_after_a_resend() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.again("a", 1);
    assert_eq!(play.instruct(Instruction::Stop, "a", created(1)), 1);
    play.wait(60);
    assert_eq!(play.request("a", created(1), "t2"), Stopped(1));
    assert_eq!(play.request("b", created(1), "t3"), Claims(1), "the others go on");
    play.end("b", 1);
    play.resend("a", created(1));
    assert_eq!(play.request("a", created(1), "t4"), Claims(2), "a person may think again");
}

#[test]
fn p6_a_delivery_can_be_stopped_before_the_queue_knows_it() {
    let mut play = Play::new();
    assert_eq!(play.instruct(Instruction::Stop, "a", created(1)), 0);
    play.wait(86_400);
    assert_eq!(play.request("a", created(1), "t1"), Stopped(0));
}

#[test]
fn l1_is_sending_as_long_as_the_lease_lasts_and_nothing_is_recorded() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    let sending = |play: &Play, name, recorded| {
        play.queue.sending_until(&delivery(name), recorded, play.present()).map(|until| until.duration_since(play.now).as_secs())
    };
    assert_eq!(sending(&play, "a", 0), Some(55));
    assert_eq!(sending(&play, "a", 1), None, "its outcome is known");
    assert_eq!(sending(&play, "b", 0), None);
    play.wait(55);
    assert_eq!(sending(&play, "a", 0), None);
    // A record may still be on its way.
    play.recording = 600;
    assert_eq!(sending(&play, "a", 0), Some(600));
    play.wait(600);
    assert_eq!(sending(&play, "a", 0), None);
}

#[test]
fn a_queue_stays_small_and_forgets_no_word_of_a_person() {
    let mut play = Play::new();
    assert_eq!(play.request("first", updated(100), "t"), Claims(1));
    for version in 1..=30 {
        play.instruct(Instruction::Resend, &format!("d{version}"), updated(version));
    }
    assert_eq!(play.request("second", created(101), "t"), Park(1));
    assert_eq!(play.queue.entries.len(), 32);
    let stop = |play: &Play, name: &str| {
        let recorded = |id: &DeliveryId| play.log.get(id).map_or(0, |record| record.attempts);
        play.queue.instruct(Instruction::Stop, &delivery(name), updated(50), &recorded, play.now)
    };
    assert_eq!(stop(&play, "e"), None, "one waits, one is being sent, and the others were asked for");
    let (again, _) = stop(&play, "d1").unwrap();
    assert_eq!(again.entries.len(), 32, "what is on it can be asked for again");
    play.wait(61);
    assert!(!stop(&play, "e").unwrap().0.entries.iter().any(|entry| entry.id == delivery("second")), "it waits no more");
    play.instruct(Instruction::Stop, "e", updated(50));
    assert_eq!(stop(&play, "f"), None, "the first one's attempt was cut off, and stays counted");
    play.again("first", 1);
    let (queue, _) = stop(&play, "f").unwrap();
    assert_eq!(queue.entries.len(), 32);
    assert!(!queue.entries.iter().any(|entry| entry.id == delivery("first")));
    assert!((1..=30).all(|version| queue.entries.iter().any(|entry| entry.id == delivery(&format!("d{version}")))));
}

#[test]
fn p3_updated_is_newer_than_created_of_the_same_version() {
    let mut play = Play::new();
    assert_eq!(play.request("update", updated(2), "t1"), Claims(1));
    let newer = |order| play.queue.newer_claimed(order).cloned().collect::<Vec<_>>();
    assert_eq!(newer(created(2)), [delivery("update")]);
    assert_eq!(newer(updated(1)), [delivery("update")]);
    assert_eq!(newer(updated(2)), []);
    assert_eq!(newer(created(3)), []);
}
