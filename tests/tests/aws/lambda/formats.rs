//! Rows and messages of a newer version: one that this version can't read is deferred, and worked once it can be read.

use jiff::SignedDuration;
use tracking_core::json;
use tracking_engine::backend::{Backend as _, Effects, Item, Key};
use tracking_tests::{cloud::Queue, functions::Functions, receiver::Receiver};

use crate::lambda::support::{approving, down_at_first, owing};

const DEAD: [Queue; 3] = [Queue::EventsDead, Queue::DeliveryDead, Queue::RetryDead];

#[track_caller]
fn no_dead_letters(functions: &Functions) {
    for queue in DEAD {
        assert_eq!(functions.cloud.messages(queue), [""; 0], "{queue:?}");
    }
}

/// Returns the message of a delivery as a newer version would write it.
fn newer(functions: &Functions, from: &str, to: &str) -> String {
    let body = functions.cloud.messages(Queue::Delivery).remove(0);
    assert!(body.contains(from), "{body}");
    body.replace(from, to)
}

async fn put_off_for_a_day(from: &str, to: &str) {
    let receiver = approving().await;
    let mut functions = owing(&receiver, 1, json!({})).await;
    let body = newer(&functions, from, to);
    functions.work_all().await;
    assert_eq!(receiver.heard().len(), 1, "the message of this version is worked");
    functions.cloud.put(Queue::Delivery, &body);
    functions.wait(functions.clock.now() + SignedDuration::from_hours(23)).await;
    no_dead_letters(&functions);
    assert_eq!(functions.cloud.messages(Queue::Retry).len(), 1, "it waits for a version that can read it");
    functions.wait(functions.clock.now() + SignedDuration::from_hours(2)).await;
    assert_eq!(functions.cloud.messages(Queue::RetryDead), [body], "after a day the message is dead-lettered unchanged");
    assert_eq!(receiver.heard().len(), 1);
}

#[tokio::test]
async fn a_message_of_a_newer_format_is_deferred_for_a_day() {
    put_off_for_a_day(r#"{"v":1,"#, r#"{"v":3,"#).await;
}

#[tokio::test]
async fn a_task_of_an_unknown_kind_is_deferred_for_a_day() {
    put_off_for_a_day(r#""kind":"deliver""#, r#""kind":"listen""#).await;
}

#[tokio::test]
async fn what_was_deferred_is_worked_by_a_version_that_can_read_it() {
    let receiver = approving().await;
    let mut functions = owing(&receiver, 1, json!({})).await;
    let records = functions.cloud.take(Queue::Delivery, 10, functions.clock.now());
    let body = functions.cloud.messages(Queue::Delivery).remove(0);
    functions.cloud.ack(&records, &[]);
    let wrapped = json!({"v": 1, "d": {"kind": "put_off", "body": body, "first_seen": functions.clock.now(), "tries": 4}});
    functions.cloud.put(Queue::Retry, &wrapped.to_string());
    functions.work_all().await;
    assert_eq!(receiver.heard().len(), 1);
    assert_eq!(functions.log().await[0]["state"], "delivered");
    assert_eq!(functions.cloud.messages(Queue::Retry), [""; 0]);
}

/// Makes a delivery that waits for its second attempt. Returns its row too.
async fn waiting(receiver: &Receiver) -> (Functions, Item) {
    let mut functions = owing(receiver, 1, json!({})).await;
    functions.work_all().await;
    assert_eq!(receiver.heard().len(), 1);
    let id = functions.log().await[0]["id"].as_str().expect("an id").to_owned();
    let key = Key::new(format!("C#{}", &id[4..20]), format!("D#{id}"));
    let row =
        functions.stack().engine.backend().get(&[key]).await.expect("the table is there").remove(0).expect("the row is there");
    (functions, row)
}

async fn put(functions: &Functions, row: Item) {
    let effects = Effects { put: vec![row], ..Effects::default() };
    functions.stack().engine.backend().commit(vec![effects]).await.remove(0).expect("the table is there");
}

#[tokio::test]
async fn a_delivery_whose_row_a_newer_version_wrote_waits_for_that_version() {
    let receiver = Receiver::start(down_at_first).await;
    let (mut functions, row) = waiting(&receiver).await;
    put(&functions, Item { body: row.body.replacen(r#"{"v":1,"#, r#"{"v":3,"#, 1), ..row.clone() }).await;
    functions.wait(functions.clock.now() + SignedDuration::from_hours(20)).await;
    assert_eq!(receiver.heard().len(), 1, "nothing is sent by a version that can't read it");
    no_dead_letters(&functions);
    put(&functions, row).await;
    functions.wait(functions.clock.now() + SignedDuration::from_mins(16)).await;
    assert_eq!(receiver.heard().len(), 2, "and by one that can it is");
    assert_eq!(functions.log().await[0]["state"], "delivered");
    no_dead_letters(&functions);
}

#[tokio::test]
async fn a_delivery_whose_row_is_damaged_is_dead_lettered_with_its_key_and_harms_none() {
    let receiver = Receiver::start(down_at_first).await;
    let (mut functions, row) = waiting(&receiver).await;
    let sort = row.key.sort.clone();
    put(&functions, Item { body: r#"{"v":1,"d":{"job":"damaged"}}"#.to_owned(), ..row }).await;
    functions.wait(functions.clock.now() + SignedDuration::from_hours(1)).await;
    assert_eq!(receiver.heard().len(), 1);
    let reasons = functions.cloud.reasons(Queue::RetryDead);
    assert!(matches!(&reasons[..], [Some(reason)] if reason.contains(&sort)), "{reasons:?}");
}
