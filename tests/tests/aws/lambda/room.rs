//! Waiting: a hundred thousand retries wait, and the messages of the retry lane stay below the limit of a queue in flight.

use jiff::SignedDuration;
use tracking_core::json;
use tracking_engine::backend::{Backend as _, Effects, Item, Key};
use tracking_tests::{
    cloud::{Queue, failures},
    functions::Functions,
    receiver::{Receiver, Response},
};

use crate::lambda::support::{down_at_first, owing, sale};

/// Retries that wait at once.
const WAITING: usize = 100_000;
/// Half of the messages that a queue can have in flight.
const MOST_IN_FLIGHT: usize = 60_000;

/// Starts functions whose deliveries of this many sales were tried once; after a failure they wait an hour.
async fn waiting_an_hour(receiver: &Receiver, sales: usize) -> Functions {
    let retry = json!({"retry": {"backoff": "fixed", "delay_seconds": 3600, "max_retries": 3}});
    let mut functions = owing(receiver, sales, retry).await;
    functions.work_all().await;
    functions
}

#[tokio::test]
async fn a_first_failure_with_an_hour_to_wait_rests_in_the_table() {
    let receiver = Receiver::start(|_| Response::says(503, "down")).await;
    let functions = waiting_an_hour(&receiver, 10).await;
    let depth = functions.cloud.depth(Queue::Retry);
    assert_eq!((depth.visible, depth.in_flight, depth.delayed), (0, 0, 0));
    let filed = functions.cloud.items().iter().filter(|item| item["pk"]["S"].as_str().unwrap().starts_with("DUE#")).count();
    assert_eq!(filed, 10);
}

#[tokio::test]
async fn a_due_row_that_cannot_be_read_holds_up_no_other() {
    let receiver = Receiver::start(down_at_first).await;
    let mut functions = waiting_an_hour(&receiver, 10).await;
    // A row that is first in each shard of their hours.
    let hour = (functions.clock.now().as_second() + 3600) / 3600;
    let unreadable = |hour: i64, shard: u32| Item {
        key: Key::new(format!("DUE#{hour:08}#{shard:02}"), "0"),
        rev: 0,
        body: r#"{"v":9}"#.to_owned(),
        expires: None,
        attention: None,
    };
    let put = (hour - 1..=hour + 1).flat_map(|hour| (0..16).map(move |shard| unreadable(hour, shard))).collect();
    let stack = functions.stack();
    stack.engine.backend().commit(vec![Effects { put, ..Effects::default() }]).await.pop().unwrap().unwrap();
    functions.clock.pass(SignedDuration::from_mins(70));
    stack.sweep().await.unwrap();
    functions.wait(functions.clock.now() + SignedDuration::from_mins(5)).await;
    assert_eq!(receiver.heard().len(), 20);
    let left = functions.cloud.items().iter().filter(|item| item["sk"]["S"] == "0").count();
    assert_eq!(left, 48, "they stay where they are, for a version that reads them");
}

#[tokio::test]
async fn a_hundred_thousand_retries_leave_room_in_the_retry_lane() {
    let receiver = Receiver::start(|postback| {
        if postback.target.contains("fresh") { Response::says(200, "approved") } else { Response::says(503, "down") }
    })
    .await;
    let mut functions = waiting_an_hour(&receiver, 100).await;
    // Each of a hundred deliveries has a thousand messages: all of them have an hour to wait.
    let nudges: Vec<String> = functions
        .log()
        .await
        .iter()
        .map(|row| json!({"v": 1, "d": {"kind": "wake", "delivery": row["id"]}}).to_string())
        .collect();
    assert_eq!(nudges.len(), 100);
    for nudge in nudges.iter().cycle().take(WAITING) {
        functions.cloud.put(Queue::Retry, nudge);
    }
    let (mut most, mut worked, mut fresh) = (0, 0, false);
    loop {
        let records = functions.cloud.take(Queue::Retry, 500, functions.clock.now());
        if records.is_empty() {
            break;
        }
        worked += records.len();
        let answer = functions.invoke(Queue::Retry, &records).await.unwrap();
        functions.cloud.ack(&records, &failures(&answer));
        most = most.max(functions.cloud.depth(Queue::Retry).in_flight);
        functions.clock.pass(SignedDuration::from_secs(1));
        if worked > WAITING / 2 && !fresh {
            fresh = true;
            let mut sale = sale(7_777);
            sale["detail"]["conversion"]["affiliate_click_id"] = "fresh".into();
            functions.ingest(&sale).await;
            functions.work(Queue::Events).await;
            functions.work(Queue::Delivery).await;
            assert!(receiver.heard().last().unwrap().target.contains("fresh"), "a fresh postback is not behind those that wait");
        }
    }
    assert!(fresh && worked >= WAITING, "{worked}");
    assert!((MOST_IN_FLIGHT / 2..=MOST_IN_FLIGHT).contains(&most), "{most} were in flight at most");
    assert_eq!(receiver.heard().len(), 101, "none of them was sent early");
}
