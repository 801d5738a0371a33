//! Deliveries that wait for their rule's rate.

use super::*;

#[test]
fn p3_one_that_waits_for_its_slot_stays_known_until_then_and_is_waited_for() {
    let mut play = Play::new();
    play.wait_for_slot("a", updated(1), 300);
    assert_eq!(play.queue.slot(&delivery("a")), Some(play.now + SignedDuration::from_secs(300)));
    assert_eq!(play.request("b", updated(2), "t1"), Park(301), "not before a has gone");
    play.wait(301);
    assert_eq!(play.request("b", updated(2), "t2"), Wait(1), "a may be late by a minute");
    assert_eq!(play.request("a", updated(1), "t3"), Claims(1));
    assert_eq!(play.queue.slot(&delivery("a")), None, "the slot was for this attempt");
    play.end("a", 1);
    assert_eq!(play.request("b", updated(2), "t4"), Overtakes(1, vec![delivery("a")]));
}

#[test]
fn p3_one_that_is_to_ask_again_for_a_slot_is_waited_for_as_long() {
    let mut play = Play::new();
    play.wait_until("a", updated(1), 600, None);
    assert_eq!(play.queue.slot(&delivery("a")), None);
    assert_eq!(play.request("b", updated(2), "t1"), Park(601));
    assert_eq!(play.request("c", updated(3), "t2"), Park(601));
}

#[test]
fn p3_a_delivery_that_never_polls_for_its_slot_blocks_others_for_a_minute_at_most() {
    let mut play = Play::new();
    play.wait_for_slot("a", updated(1), 10);
    play.wait(70);
    assert_eq!(play.request("b", updated(2), "t1"), Overtakes(1, vec![delivery("a")]));
}

#[test]
fn l1_a_retry_that_waits_for_its_slot_keeps_its_attempts() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    play.again("a", 1);
    play.wait(60);
    play.wait_for_slot("a", updated(1), 5);
    assert_eq!(play.request("b", updated(2), "t2"), Overtakes(1, vec![delivery("a")]), "only a first attempt is waited for");
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    play.again("a", 1);
    play.wait(60);
    play.wait_for_slot("a", updated(1), 5);
    assert_eq!(play.request("a", updated(1), "t3"), Claims(2));
}
