//! Events with very long parameters: these are stored in a row of their own, and every request still carries them.

use jiff::SignedDuration;
use tracking_core::{
    caller::Caller,
    json,
    json::{Map, Value},
};
use tracking_engine::{
    DeliveryFilter,
    backend::{Backend as _, Item, Order, Partition, Range},
};
use tracking_tests::{
    cloud::Queue,
    functions::Functions,
    receiver::{Receiver, Response, targets},
    world::{Arrival, Reply, World, event, transaction},
};

use super::{DOWN, OK};

const PATH: &str = "/?q={query.k7}&c={cookie.k}&a={affs1}&x={query.k99|sha256}&n={attempt}";
/// The parameters of a request behind its version of the event and before the number of its attempt.
const CARRIED: &str = "c=two&a=one&x=5c0e0ea421571c300b5df6aec0a118b5c3dc02e0683a546341d5efc689df2f58";

/// Returns a sale with 200 KB of link parameters.
fn long_sale(version: u64, result: &str) -> Value {
    let mut parameters: Map = (0..100).map(|n| (format!("k{n}"), Value::from("x".repeat(2_000)))).collect();
    parameters.insert("k7".to_owned(), format!("seven-{version}").into());
    let change = if version == 1 { "created" } else { "updated" };
    let conversion = json!({"version": version, "change": change, "affs": {"affs1": "one"}, "cookie_params": {"k": "two"},
        "query_params": parameters});
    event(&format!("chg_{version}"), conversion, json!([transaction("trx_1", change, result)]))
}

fn request() -> Value {
    json!({"url": format!("http://127.0.0.1:9{PATH}")})
}

fn retry() -> Value {
    json!({"delay_seconds": 60, "backoff": "fixed"})
}

/// Returns the items of the conversion whose places begin with this prefix.
async fn items(world: &World, prefix: &str) -> Vec<Item> {
    let log = world.log(&DeliveryFilter::default()).await;
    let partition = Partition::Table(format!("C#{}", &log[0]["id"].as_str().unwrap()[4..20]));
    world.store().query(&partition, &Range::prefix(prefix), Order::Ascending, 100).await.unwrap()
}

/// Returns the versions whose parameters the requests carried, in their order.
fn versions(targets: &[String]) -> Vec<&str> {
    let carried = targets.iter().map(|target| {
        let (version, rest) = target.split_once("?q=seven-").unwrap().1.split_once('&').unwrap();
        assert_eq!(rest.rsplit_once("&n=").unwrap().0, CARRIED, "{target}");
        version
    });
    carried.collect()
}

fn urls(world: &World) -> Vec<String> {
    world.arrivals.iter().map(|arrival| arrival.url.clone()).collect()
}

fn third_time(arrival: &Arrival) -> Reply {
    if arrival.attempt < 3 { DOWN } else { OK }
}

#[tokio::test]
async fn f10_every_attempt_of_a_long_event_has_its_parameters_and_no_row_has_them_again() {
    let mut world = World::temporary();
    for name in ["a", "b", "c"] {
        world.rule(&Caller::Admin, json!({"name": name, "request": request(), "retry": retry()})).await;
    }
    let steps = json!([{"name": "first", "call": request(), "retry": retry()}, {"name": "rest", "wait": {"seconds": 30}},
        {"name": "second", "call": request()}]);
    world.rule(&Caller::Admin, json!({"name": "flow", "steps": steps})).await;
    world.post(&[long_sale(1, "approved")]).await.unwrap();
    world.work_all(&mut third_time).await;
    world.restart();
    world.pass(SignedDuration::from_mins(30), &mut third_time).await;
    let log = world.log(&DeliveryFilter::default()).await;
    assert!(log.len() == 4 && log.iter().all(|listed| listed["state"] == "delivered"), "{log:?}");
    assert_eq!(versions(&urls(&world)), ["1"; 3 * 3 + 4]);
    let parameters = items(&world, "P#").await;
    assert!(parameters.len() == 1 && parameters[0].body.len() > 190_000, "four rules and all their attempts share one row");
    let rows: Vec<usize> = items(&world, "D#").await.iter().map(|row| row.body.len()).collect();
    assert!(rows.iter().all(|length| *length < 6_000), "{rows:?}");
}

#[tokio::test]
async fn f10_a_long_event_that_is_held_replaced_and_sent_again_has_its_parameters() {
    let mut world = World::keeping_events();
    let rule = json!({"name": "r", "request": request(), "delay": {"mode": "final", "settle_seconds": 60}});
    let rule = world.rule(&Caller::Admin, rule).await;
    world.post(&[long_sale(1, "pending")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    world.restart();
    world.post(&[long_sale(2, "approved")]).await.unwrap();
    world.pass(SignedDuration::from_mins(10), &mut |_| OK).await;
    assert_eq!(versions(&urls(&world)), ["2"], "the settled state is sent, with its own parameters");
    let listed = &world.log(&DeliveryFilter::default()).await[0];
    let id = serde_json::from_str(&listed["id"].to_string()).unwrap();
    world.engine().operator().resend(&Caller::Admin, &id, &json!({})).await.unwrap();
    world.pass(SignedDuration::from_mins(1), &mut |_| OK).await;
    let period = json!({"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "dry_run": false, "force": true, "states": ["delivered"]});
    world.engine().operator().replay(&Caller::Admin, &rule, &period).await.unwrap();
    world.pass(SignedDuration::from_mins(10), &mut |_| OK).await;
    assert_eq!(versions(&urls(&world)), ["2", "2", "2"], "by hand and by a replay");
    assert_eq!(items(&world, "P#").await.len(), 2, "one row for each of the two changes");
}

/// Starts functions with two rules of this receiver. Returns them with the messages of a long sale's deliveries in their queue.
async fn owing(receiver: &Receiver) -> (Functions, Vec<String>) {
    let mut functions = Functions::start();
    for name in ["a", "b"] {
        let request = json!({"url": format!("{}{PATH}", receiver.url())});
        functions.rule(&Caller::Admin, json!({"name": name, "request": request, "retry": retry()})).await;
    }
    functions.ingest(&long_sale(1, "approved")).await;
    while functions.work(Queue::Events).await > 0 {}
    let messages = functions.cloud.messages(Queue::Delivery);
    (functions, messages)
}

async fn down_at_first() -> Receiver {
    Receiver::start(|postback| Response::says(if postback.target.ends_with("n=1") { 503 } else { 200 }, "")).await
}

async fn five_minutes(functions: &mut Functions) {
    functions.wait(functions.clock.now() + SignedDuration::from_mins(5)).await;
}

#[tokio::test]
async fn f10_messages_to_functions_are_short_however_long_the_event() {
    let receiver = down_at_first().await;
    let (mut functions, messages) = owing(&receiver).await;
    assert!(
        messages.len() == 2 && messages.iter().all(|body| body.starts_with(r#"{"v":2,"#) && body.len() < 2_000),
        "{messages:?}"
    );
    functions.restart();
    five_minutes(&mut functions).await;
    assert_eq!(versions(&targets(&receiver)), ["1"; 4]);
    assert!(functions.log().await.iter().all(|listed| listed["state"] == "delivered"));
}

#[tokio::test]
async fn f10_a_message_of_an_earlier_version_holds_a_long_event_in_full() {
    let receiver = down_at_first().await;
    let (mut functions, messages) = owing(&receiver).await;
    let records = functions.cloud.take(Queue::Delivery, 10, functions.clock.now());
    functions.cloud.ack(&records, &[]);
    let mut whole: serde_json::Value = serde_json::from_str(&messages[0]).unwrap();
    let mut event = whole["d"]["event"]["event"].take();
    let sale: serde_json::Value = serde_json::from_str(&long_sale(1, "approved").to_string()).unwrap();
    for parameters in ["affs", "query_params", "cookie_params"] {
        event["conversion"][parameters] = sale["detail"]["conversion"][parameters].clone();
    }
    (whole["v"], whole["d"]["event"]) = (1.into(), event);
    functions.cloud.put(Queue::Delivery, &whole.to_string());
    five_minutes(&mut functions).await;
    assert_eq!(versions(&targets(&receiver)), ["1"; 2]);
    assert_eq!(functions.log().await[0]["state"], "delivered");
    assert_eq!(functions.cloud.messages(Queue::DeliveryDead), [""; 0]);
}
