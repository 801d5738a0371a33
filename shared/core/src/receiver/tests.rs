use super::*;
use crate::{delivery::Cause, event::EventKind};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn at(seconds: i64) -> Timestamp {
    "2026-11-22T09:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

fn delivery(name: &str) -> DeliveryId {
    let id = |text: &str| text.parse::<Id>().unwrap();
    DeliveryId::derive(&id("cnv_1"), &id("trk_1"), "conversion", Cause::Change(&id(name), EventKind::ConversionCreated))
}

fn failure() -> Sign {
    Sign::Failure("no answer within 40 s".to_owned())
}

/// The time, in seconds, at which a receiver opens if it answers (`+`) or fails (`-`) at these times; `None` if it does not open.
fn opens(attempts: &[(i64, char)]) -> Option<i64> {
    let mut health = Health::new(at(0));
    attempts.iter().find_map(|(seconds, sign)| {
        let mut counts = Counts::default();
        counts.add(&if *sign == '+' { Sign::Response } else { failure() }, at(*seconds));
        health.merge(counts, at(*seconds)).map(|_| *seconds)
    })
}

/// A receiver that is down from 0 s on.
fn down() -> Health {
    let mut health = Health::new(at(-600));
    let mut counts = Counts::default();
    for seconds in [-300, -200, 0] {
        counts.add(&failure(), at(seconds));
    }
    assert_eq!(health.merge(counts, at(0)), Some(Transition::Down));
    health
}

fn waiting(attempts_left: &[u32]) -> Vec<ProbeCandidate> {
    let one = |(number, left): (usize, &u32)| ProbeCandidate {
        id: delivery(&format!("chg_{number}")),
        attempts_left: *left,
        created_at: at(i64::try_from(number).unwrap()),
    };
    attempts_left.iter().enumerate().map(one).collect()
}

#[test]
fn b2_ten_attempts_of_a_minute_half_of_them_failures_open_it() {
    let mut attempts: Vec<(i64, char)> = (0..5).map(|second| (second, '+')).collect();
    attempts.extend((5..9).map(|second| (second, '-')));
    assert_eq!(opens(&attempts), None, "nine");
    attempts.push((9, '-'));
    assert_eq!(opens(&attempts), Some(9));
    let fewer: Vec<(i64, char)> = (0..40).map(|second| (second, if second % 5 > 2 { '-' } else { '+' })).collect();
    assert_eq!(opens(&fewer), None, "40 % of them fail");
    let slow: Vec<(i64, char)> = (0..8).map(|number| (number * 10, '-')).chain([(81, '+')]).collect();
    assert_eq!(opens(&slow), None, "not ten in any minute, and not two minutes without an answer");
}

#[test]
fn b2_three_failures_in_a_row_over_two_minutes_open_it() {
    assert_eq!(opens(&[(0, '-'), (60, '-'), (119, '-')]), None);
    assert_eq!(opens(&[(0, '-'), (60, '-'), (120, '-')]), Some(120));
    assert_eq!(opens(&[(0, '-'), (3_600, '-'), (7_200, '-')]), Some(7_200), "one postback an hour");
    assert_eq!(opens(&[(0, '-'), (60, '-'), (90, '+'), (240, '-'), (360, '-')]), None, "an answer between them");
    assert_eq!(opens(&[(0, '-'), (86_400, '-')]), None, "two");
}

#[test]
fn b2_what_processes_counted_adds_up() {
    let (mut one, mut other) = (Counts::default(), Counts::default());
    for second in 0..5 {
        one.add(&failure(), at(second));
        other.add(&failure(), at(second));
    }
    let mut health = Health::new(at(0));
    assert!(!health.would_open(&one, at(5)));
    assert_eq!(health.merge(one, at(5)), None);
    assert!(health.would_open(&other, at(5)));
    assert_eq!(health.merge(other, at(5)), Some(Transition::Down));
    assert_eq!((health.state, health.down_since), (ReceiverState::Open, Some(at(5))));
    assert_eq!(health.last_error(), Some("no answer within 40 s"));
}

#[test]
fn b2_an_answer_ends_the_failures_in_a_row_of_every_process() {
    let mut health = Health::new(at(0));
    let mut counts = Counts::default();
    counts.add(&failure(), at(0));
    counts.add(&failure(), at(100));
    health.merge(counts, at(100));
    assert_eq!(health.failures_in_a_row(), 2);
    let mut answered = Counts::default();
    answered.add(&Sign::Response, at(110));
    health.merge(answered, at(110));
    assert_eq!(health.failures_in_a_row(), 0);
    assert!(health.has_failed_lately(at(110)) && !health.has_failed_lately(at(200)));
}

#[test]
fn b3_one_probe_at_a_time_goes_out_while_it_is_down() {
    let mut health = down();
    let (first, second) = (delivery("chg_1"), delivery("chg_2"));
    assert!(health.keeps(&first, true, at(30)) && health.keeps(&second, false, at(30)));
    let generation = health.generation;
    assert!(health.begin_probe(&first, at(30)));
    assert!(!health.begin_probe(&second, at(40)), "one is under way");
    assert_eq!(health.generation, generation + 1);
    assert!(!health.keeps(&first, true, at(40)) && health.keeps(&second, true, at(40)));
    assert!(health.keeps(&first, true, at(210)), "its lease is over");
    assert!(health.begin_probe(&second, at(210)), "a lost one is renewed");
}

#[test]
fn b3_the_probe_is_the_one_with_most_attempts_left_then_the_oldest() {
    let chosen = |left: &[u32]| choose_probe(&waiting(left)).map(|one| one.created_at);
    assert_eq!(chosen(&[3, 13, 13]), Some(at(1)));
    assert_eq!(chosen(&[1, 1]), Some(at(0)));
    assert_eq!(chosen(&[]), None);
}

#[test]
fn b3_pauses_double_and_cover_72_hours() {
    let many = waiting(&[13; 50]);
    let left = |hours: i64| SignedDuration::from_hours(hours);
    let pauses: Vec<i64> = (0..7).map(|failed| probe_pause(failed, &many, left(72)).as_secs()).collect();
    assert_eq!(pauses, [30, 60, 120, 240, 480, 600, 600]);
    // One delivery with ten attempts left, of which the last is no probe: nine probes cover the time.
    let (mut passed, mut probes) = (SignedDuration::ZERO, Vec::new());
    for failed in 0..9 {
        let one = waiting(&[10 - failed]);
        let pause = probe_pause(failed, &one, left(72) - passed);
        passed += pause;
        probes.push(pause.as_secs() / 60);
    }
    assert_eq!(probes, [8, 16, 33, 66, 131, 253, 476, 833, 1_250]);
    assert!(passed < left(72) && passed > left(48), "{passed}");
    assert_eq!(probe_pause(9, &waiting(&[1]), left(3)), left(3), "the last attempt is spared");
    assert_eq!(probe_pause(0, &waiting(&[1, 1]), left(72)), left(36), "unless no delivery has more");
}

#[test]
fn b3_the_next_probe_is_known() {
    let mut health = down();
    let many = waiting(&[13; 50]);
    let until = at(0) + LONGEST_OUTAGE;
    assert_eq!(health.next_probe(&many, until, at(1)), Some(at(30)));
    assert!(health.begin_probe(&delivery("chg_1"), at(30)));
    assert_eq!(health.next_probe(&many, until, at(31)), Some(at(210)), "while one is under way");
    assert!(health.hear(&failure(), (&delivery("chg_1"), at(30)), at(70)));
    assert_eq!(health.next_probe(&many, until, at(71)), Some(at(130)));
    assert!(health.ask_probe());
    assert_eq!(health.next_probe(&many, until, at(72)), Some(at(72)), "a person asks");
    assert_eq!(Health::new(at(0)).next_probe(&many, until, at(1)), None);
    assert!(!Health::new(at(0)).ask_probe());
}

#[test]
fn b5_an_answered_probe_lets_the_others_go_and_a_failure_ends_that() {
    let mut health = down();
    let probe = delivery("chg_1");
    assert!(!health.hear(&Sign::Response, (&delivery("chg_0"), at(-10)), at(5)), "it began before the outage");
    assert!(!health.hear(&failure(), (&delivery("chg_0"), at(-10)), at(5)));
    health.begin_probe(&probe, at(30));
    assert!(health.hear(&Sign::Response, (&probe, at(30)), at(31)));
    assert_eq!(health.state, ReceiverState::HalfOpen);
    assert!(health.keeps(&delivery("chg_9"), false, at(32)), "a fresh one waits behind many");
    assert!(!health.keeps(&delivery("chg_2"), true, at(32)), "one that has waited goes out");
    health.has_many = false;
    assert!(!health.keeps(&delivery("chg_9"), false, at(32)));
    assert!(!health.hear(&failure(), (&delivery("chg_0"), at(29)), at(33)), "a send of before times out");
    assert!(health.hear(&failure(), (&delivery("chg_2"), at(32)), at(34)));
    assert_eq!((health.state, health.down_since), (ReceiverState::Open, Some(at(0))), "the same outage");
    assert_eq!(release_count(0), 2);
    assert_eq!(release_count(64), 1);
}

#[test]
fn b6_an_outage_begins_once_and_ends_once() {
    let mut health = down();
    let probe = delivery("chg_1");
    health.begin_probe(&probe, at(30));
    health.hear(&Sign::Response, (&probe, at(30)), at(31));
    health.hear(&failure(), (&delivery("chg_2"), at(32)), at(33));
    let mut counts = Counts::default();
    (0..20).for_each(|_| counts.add(&failure(), at(34)));
    assert_eq!(health.merge(counts, at(34)), None, "it is down already");
    assert!(health.release(at(40)) && !health.release(at(41)));
    assert_eq!(health.close(at(50)), Some(Transition::Up));
    assert_eq!((health.state, health.since, health.down_since), (ReceiverState::Closed, at(50), None));
    assert_eq!(health.close(at(51)), None);
    assert_eq!(health.failures_in_a_row(), 0);
}

#[test]
fn b2_a_slow_receiver_is_suspect_for_ten_minutes() {
    let mut health = Health::new(at(0));
    assert!(health.suspect(at(3)) && !health.suspect(at(4)));
    assert!(!health.keeps(&delivery("chg_1"), false, at(5)));
    assert!(!health.is_stale_suspect(at(3) + MINUTE * 9) && health.is_stale_suspect(at(3) + MINUTE * 10));
    assert_eq!(health.close(at(700)), None);
    assert!(!down().suspect(at(5)));
}

#[test]
fn b1_a_receiver_is_an_owner_s_scheme_host_and_port() {
    let owner = |id: &str| Owner::Affiliate { affiliate_id: id.parse().unwrap() };
    let id = |owner: &Owner, scheme: &str, host: &str| Receiver::named(owner, scheme, host).id.to_string();
    let one = id(&owner("aff_1"), "https", "api.bank.example:443");
    assert_eq!(one.len(), 28);
    assert!(one.starts_with("rcv_"));
    let others = [
        id(&owner("aff_2"), "https", "api.bank.example:443"),
        id(&owner("admin"), "https", "api.bank.example:443"),
        id(&Owner::Admin, "https", "api.bank.example:443"),
        id(&owner("aff_1"), "http", "api.bank.example:443"),
        id(&owner("aff_1"), "https", "api.bank.example:8443"),
    ];
    assert!(others.iter().all(|other| *other != one));
    assert_ne!(others[1], others[2], "an affiliate of that name is no admin");
}
