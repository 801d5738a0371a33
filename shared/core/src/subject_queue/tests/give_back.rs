use super::*;

#[test]
fn f6_l1_an_attempt_that_could_not_leave_is_not_charged() {
    let mut play = Play::new();
    for times in 1..=100 {
        let receive_id = format!("t{times}");
        assert_eq!(play.request("a", created(1), &receive_id), Claims(1));
        assert_eq!(play.give_back("a", 1, &receive_id), Some(times));
        play.wait(300);
    }
    for attempt in 1..=3 {
        assert_eq!(play.request("a", created(1), &format!("u{attempt}")), Claims(attempt), "its whole budget is left");
        play.again("a", attempt);
        play.wait(60);
    }
    assert_eq!(play.request("a", created(1), "u4"), Spent(3));
}

#[test]
fn f6_l1_a_retry_is_given_back_too_and_the_attempts_before_it_stay_counted() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.again("a", 1);
    play.wait(60);
    assert_eq!(play.request("a", created(1), "t2"), Claims(2));
    assert_eq!(play.give_back("a", 2, "t2"), Some(1));
    assert_eq!(play.queue.entries[0].attempts, 1);
    assert!(play.queue.entries[0].claim.is_some(), "it was claimed before");
    assert_eq!(play.request("b", created(2), "t3"), Overtakes(1, vec![delivery("a")]), "it holds up nobody");
}

#[test]
fn f6_l1_one_that_is_given_back_waits_for_no_record_of_an_attempt_that_was_cut_off() {
    let mut play = Play::new();
    play.recording = 600;
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.wait(55);
    assert_eq!(play.request("a", created(1), "t2"), Wait(600));
    play.wait(600);
    assert_eq!(play.request("a", created(1), "t3"), Claims(2));
    assert_eq!(play.give_back("a", 2, "t3"), Some(1));
    assert_eq!(play.request("a", created(1), "t4"), Claims(2));
}

#[test]
fn f6_l1_a_claim_is_given_back_once_and_only_by_its_holder() {
    let mut play = Play::new();
    assert_eq!(play.give_back("a", 1, "t1"), None, "it was never claimed");
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    assert_eq!(play.give_back("a", 1, "t2"), None, "another hand-out's");
    assert_eq!(play.give_back("a", 2, "t1"), None, "another attempt's");
    play.incarnation = 2;
    assert_eq!(play.give_back("a", 1, "t1"), None, "another incarnation's");
    play.incarnation = 1;
    assert_eq!(play.give_back("a", 1, "t1"), Some(1));
    assert_eq!(play.give_back("a", 1, "t1"), None, "once");
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
}

#[test]
fn f6_l1_a_claim_that_somebody_else_took_over_stays_counted() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    play.wait(55);
    assert_eq!(play.request("a", created(1), "t2"), Claims(2));
    assert_eq!(play.give_back("a", 1, "t1"), None);
    assert_eq!(play.give_back("a", 2, "t1"), None);
}

#[test]
fn f6_l1_a_claim_of_a_call_that_was_repeated_stays_counted() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    assert_eq!(play.request("a", created(1), "t1"), Mine(1));
    assert_eq!(play.give_back("a", 1, "t1"), None, "the other one may have sent");
    assert_eq!(play.queue.entries[0].attempts, 1);
}

#[test]
fn f6_p3_one_that_could_not_leave_keeps_its_place() {
    let mut play = Play::new();
    assert_eq!(play.request("a", updated(1), "t1"), Claims(1));
    assert_eq!(play.give_back("a", 1, "t1"), Some(1));
    assert!(matches!(play.request("b", updated(2), "t2"), Park(_)), "it goes first");
    assert_eq!(play.request("a", updated(1), "t3"), Claims(1));
}

#[test]
fn f6_the_waits_grow_and_no_two_deliveries_wait_alike() {
    let waits = |name: &str| -> Vec<i64> {
        let mut play = Play::new();
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(play.request(name, created(1), "t"), Claims(1));
            let id = delivery(name);
            let given = Return { id: &id, attempt: 1, base: 0, receive_id: "t", present: play.present() };
            let back = play.queue.give_back(&given).unwrap();
            waits.push(i64::try_from(back.until.duration_since(play.now).as_millis()).unwrap());
            play.queue = back.queue;
            play.now = back.until;
        }
        waits
    };
    let (a, b) = (waits("a"), waits("b"));
    for (times, wait) in a.iter().chain(&b).enumerate() {
        let plain = [2, 4, 8, 16, 32, 64, 128, 240, 240, 240, 240, 240][times % 12] * 1_000;
        assert!((plain * 3 / 4..=plain * 5 / 4).contains(wait), "{wait} ms, the {times}th");
    }
    assert_ne!(a, b);
}

#[test]
fn f6_the_waits_start_over_with_the_next_attempt() {
    let mut play = Play::new();
    for times in 1..=3 {
        assert_eq!(play.request("a", created(1), "t1"), Claims(1));
        assert_eq!(play.give_back("a", 1, "t1"), Some(times));
    }
    assert_eq!(play.request("a", created(1), "t2"), Claims(1));
    play.again("a", 1);
    play.wait(60);
    assert_eq!(play.request("a", created(1), "t3"), Claims(2));
    assert_eq!(play.give_back("a", 2, "t3"), Some(1));
}

#[test]
fn f6_a_queue_with_what_was_given_back_is_read_again() {
    let mut play = Play::new();
    assert_eq!(play.request("a", created(1), "t1"), Claims(1));
    assert_eq!(play.give_back("a", 1, "t1"), Some(1));
    let written = json!(play.queue);
    assert_eq!(written["entries"][0]["returns"], json!({"attempt": 1, "times": 1}));
    assert_eq!(serde_json::from_str::<SubjectQueue>(&written.to_string()).unwrap(), play.queue);
}
