//! A result that is pending for 30 days: asked for once a day, through restarts, by one delivery.

use jiff::{SignedDuration, ToSpan as _};
use tracking_core::{caller::Caller, json, json::Value};
use tracking_tests::world::{Arrival, Reply, World};

use super::sale;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const PENDING: Reply = Reply::Says(200, "pending");

/// The retry policy that asks once a day for 30 days.
fn daily() -> Value {
    json!({"max_retries": 30, "delay_seconds": 86_400, "backoff": "fixed", "max_delay_seconds": 86_400})
}

/// A rule that asks again by this retry policy while the receiver has not decided.
fn polling(retry: &Value) -> Value {
    let on = |word: &str, then: &str| {
        let when = json!([{"source": "body", "key": "status", "operator": "equals", "value": word}]);
        json!({"when": when, "then": then, "set": {"result": "{body.status|map:approved=approved,*=pending}"}})
    };
    let rules = [on("approved", "delivered"), on("pending", "pending")];
    json!({"name": "poll", "request": {"url": "http://127.0.0.1:9/p"}, "retry": retry, "answer": {"rules": rules, "otherwise": "retry"}})
}

/// Plays a rule of this retry policy for 36 days; the machine restarts every other night.
async fn polled(retry: &Value, mut replies: impl FnMut(&Arrival) -> Reply) -> World {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, polling(retry)).await;
    world.post(&[sale(1)]).await.unwrap();
    for _ in 0..18 {
        world.pass(DAY * 2, &mut replies).await;
        world.restart();
    }
    world
}

/// Checks the wait before each request but the first, in seconds: a tenth of jitter, and up to 20 minutes for a due row.
#[track_caller]
fn check_waits(world: &World, expected: &[i64]) {
    let waits: Vec<i64> = world.arrivals.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at).as_secs()).collect();
    let is_near = |(wait, expected): (&i64, &i64)| (expected * 9 / 10..=expected * 11 / 10 + 1_200).contains(wait);
    assert!(waits.len() == expected.len() && waits.iter().zip(expected).all(is_near), "{waits:?}, not {expected:?}");
    assert!(world.arrivals.iter().all(|arrival| arrival.delivery_id == world.arrivals[0].delivery_id));
}

#[tokio::test]
async fn case_d8_a_result_that_comes_after_30_days_is_published() {
    let world = polled(&daily(), |arrival| if arrival.attempt == 31 { Reply::Says(200, "approved") } else { PENDING }).await;
    check_waits(&world, &[86_400; 30]);
    let lasted = world.arrivals[30].at.duration_since(world.arrivals[0].at);
    assert!((DAY * 29..=DAY * 31).contains(&lasted), "{lasted}");
    let delivery = world.only_delivery().await;
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(31)), "{delivery}");
    assert_eq!(delivery["log"].as_array().unwrap().len(), 31, "every attempt is in the log");
}

#[tokio::test]
async fn case_d8_a_result_that_never_comes_ends_unresolved_after_31_requests() {
    let world = polled(&daily(), |_| PENDING).await;
    check_waits(&world, &[86_400; 30]);
    assert_eq!(world.only_delivery().await["state"], "unresolved");
}

#[tokio::test]
async fn case_d8_waits_grow_to_a_day_and_stay_there() {
    let growing = json!({"max_retries": 30, "delay_seconds": 10_800, "backoff": "exponential", "max_delay_seconds": 86_400});
    // One that is down on its tenth day is asked again on the eleventh.
    let replies = |arrival: &Arrival| match arrival.attempt {
        31 => Reply::Says(200, "approved"),
        10 => Reply::Silence,
        _ => PENDING,
    };
    let world = polled(&growing, replies).await;
    let mut expected = vec![10_800, 21_600, 43_200];
    expected.extend([86_400; 27]);
    check_waits(&world, &expected);
    assert_eq!(world.only_delivery().await["state"], "delivered");
}

#[tokio::test]
async fn case_d8_the_claim_of_a_machine_that_dies_while_it_asks_is_over_long_before_the_next_day() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, polling(&daily())).await;
    world.post(&[sale(1)]).await.unwrap();
    for _ in 0..15 {
        world.pass(DAY, &mut |_| PENDING).await;
    }
    let asked = world.arrivals.len();
    let claimed = loop {
        if let Some(received) = world.pick(1).pop() {
            break received;
        }
        world.engine().sweeper().sweep().await.unwrap();
        world.clock.pass(SignedDuration::from_mins(10));
    };
    let _cut_off = world.engine().worker().claim(&claimed).await.unwrap();
    world.restart();
    let died = world.clock.now();
    world.pass(DAY * 3, &mut |_| PENDING).await;
    let next = world.arrivals[asked].at;
    assert!((died..=died + 26.hours()).contains(&next), "{died}, {next}");
    assert_eq!(world.arrivals[asked].attempt, world.arrivals[asked - 1].attempt + 2, "the one that was cut off counts");
}
