//! Faults of the sending machine: they use up no attempt of a delivery, however long they last.

use std::{fs::File, process::Command};

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json, json::Value};
use tracking_engine::{
    DeliveryFilter,
    sender::{Lookups, Nameservers, Sender, SenderSettings},
};
use tracking_tests::{
    own_process::{assert_passed, own_process},
    world::{HandClock, Reply, World, event, transaction},
};

use crate::sending::support::{Receiver, engine, log, ok, post, rule, soon, store, work};

const OK: Reply = Reply::Says(200, "ok");
const DOWN: Reply = Reply::Says(503, "down");

fn sale(version: u64) -> Value {
    let change = if version == 1 { "created" } else { "updated" };
    let about = json!({"version": version, "change": change});
    event(&format!("chg_{version}"), about, json!([transaction("trx_1", change, "pending")]))
}

fn once() -> Value {
    json!({"name": "r", "request": {"url": "http://127.0.0.1:9/p"}, "retry": {"max_retries": 0}})
}

#[tokio::test]
async fn f6_l1_what_can_t_leave_this_machine_for_hours_is_sent_in_the_end() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, once()).await;
    world.post(&[sale(1)]).await.unwrap();
    let mut tries = 0;
    world
        .pass(SignedDuration::from_hours(12), &mut |_| {
            tries += 1;
            Reply::Stuck
        })
        .await;
    assert!((60..=400).contains(&tries), "it is tried again and again, ever more rarely: {tries}");
    assert_eq!(world.log(&DeliveryFilter::default()).await, [Value::Null; 0], "the log is empty");
    world.pass(SignedDuration::from_mins(6), &mut |_| OK).await;
    let delivery = world.only_delivery().await;
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(1)));
    assert_eq!((world.arrivals.len(), world.arrivals[0].attempt), (1, 1));
}

#[tokio::test]
async fn f6_l1_a_retry_that_can_t_leave_keeps_what_the_log_says() {
    let mut world = World::temporary();
    let document =
        json!({"name": "r", "request": {"url": "http://127.0.0.1:9/p"}, "retry": {"max_retries": 1, "delay_seconds": 60}});
    world.rule(&Caller::Admin, document).await;
    world.post(&[sale(1)]).await.unwrap();
    world.work_all(&mut |_| DOWN).await;
    let before = world.only_delivery().await;
    world.pass(SignedDuration::from_hours(2), &mut |_| Reply::Stuck).await;
    assert_eq!(world.only_delivery().await, before);
    world.pass(SignedDuration::from_mins(6), &mut |_| DOWN).await;
    let delivery = world.only_delivery().await;
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("exhausted"), &json!(2)));
    assert_eq!(world.arrivals.iter().map(|arrival| arrival.attempt).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(delivery["log"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn f6_p3_what_can_t_leave_is_not_overtaken() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, once()).await;
    world.post(&[sale(1)]).await.unwrap();
    world.work_all(&mut |_| Reply::Stuck).await;
    world.post(&[sale(2)]).await.unwrap();
    world.pass(SignedDuration::from_mins(10), &mut |_| OK).await;
    let order: Vec<_> = world.log(&DeliveryFilter::default()).await.iter().map(|item| item["state"].clone()).collect();
    assert_eq!(order, ["delivered", "delivered"]);
    assert_eq!(world.arrivals.len(), 2);
}

#[tokio::test]
async fn f6_without_a_nameserver_deliveries_wait_uncharged() {
    let receiver = Receiver::saying(ok("yes")).await;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let engine = engine(store.clone(), true);
    rule(&engine, json!({"name": "r", "request": {"url": "http://shop.example/"}, "retry": {"max_retries": 0}})).await.unwrap();
    post(&engine, &sale(1)).await;
    let lookups = Lookups::Nameservers(Nameservers::File(folder.path().join("resolv.conf")));
    let clock = HandClock::default();
    let clock = tracking_engine::Clock::new(move || clock.now());
    let sender =
        Sender::with(SenderSettings { private_targets: true, lookups, clock: Some(clock), ..SenderSettings::default() }).unwrap();
    soon(work(&engine, &store, &sender)).await;
    assert_eq!(log(&engine).await, [Value::Null; 0], "no attempt is charged, and the log is empty");
    assert_eq!(store.depth().unwrap().retry.waiting, 1, "its message waits in the retry queue");
    assert_eq!(receiver.connections(), 0);
}

/// Runs the test below in a process of its own that may have few files open.
#[test]
fn f6_at_the_descriptor_limit_deliveries_wait_uncharged() {
    let other = own_process("sending::own_faults::with_few_descriptors");
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"ulimit -n 96; exec "$0" "$@""#]).arg(other.get_program()).args(other.get_args());
    assert_passed(&limited.output().unwrap());
}

#[tokio::test]
#[ignore = "takes all descriptors of its process: another test runs it in one of its own"]
async fn with_few_descriptors() {
    let receiver = Receiver::saying(ok("yes")).await;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let engine = engine(store.clone(), true);
    rule(&engine, json!({"name": "r", "request": {"url": receiver.url("/")}, "retry": {"max_retries": 0}})).await.unwrap();
    post(&engine, &sale(1)).await;
    let sender = Sender::new(true).unwrap();
    // All files of the store are open by now.
    assert_eq!(log(&engine).await, [Value::Null; 0]);
    let mut taken = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        taken.push(file);
    }
    soon(work(&engine, &store, &sender)).await;
    drop(taken);
    assert_eq!(log(&engine).await, [Value::Null; 0], "nothing is charged");
    assert_eq!(store.depth().unwrap().retry.waiting, 1, "its message waits in the retry queue");
    let later = HandClock::default().now() + SignedDuration::from_mins(5);
    let batch = store.receive(later, &tracking_embedded::Limits::default(), 16).messages;
    assert_eq!(engine.worker().work(engine.worker().queue_up(batch), &sender, None).await, []);
    let log = log(&engine).await;
    assert_eq!((&log[0]["state"], &log[0]["attempts"]), (&json!("delivered"), &json!(1)));
    assert_eq!(receiver.requests().len(), 1);
}
