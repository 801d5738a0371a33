//! Order between the flows of one subject (W4, W15): a step that follows at once, and newer deliveries that wait for an older one's end.

use super::*;

/// Returns a flow of two requests with a wait of ten minutes between them; newer deliveries wait for its end.
fn waiting_flow() -> Value {
    let steps = json!([call("one", "one?v={external_id}"), {"name": "rest", "wait": {"seconds": 600}}, call("two", "two?v={external_id}")]);
    json!({"name": "flow", "steps": steps, "on_newer": "finish"})
}

/// Returns a change of the one conversion, with its version as external id.
fn change(version: u64) -> Value {
    let word = if version == 1 { "created" } else { "updated" };
    let conversion = json!({"version": version, "change": word, "external_id": version.to_string()});
    event(&format!("chg_{version}"), conversion, json!([transaction("trx_1", word, "pending")]))
}

async fn post(world: &World, versions: std::ops::RangeInclusive<u64>) {
    for version in versions {
        world.post(&[change(version)]).await.unwrap();
    }
}

/// Starts a machine with one rule of an admin, and posts version 1 of a sale.
async fn begun(rule: Value) -> World {
    let world = World::temporary();
    world.rule(&Caller::Admin, rule).await;
    post(&world, 1..=1).await;
    world
}

/// Returns state and reason of each delivery, oldest first.
async fn ended(world: &World) -> Vec<(String, String)> {
    let log = world.log(&DeliveryFilter::default()).await;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut rows: Vec<_> = log.iter().map(|row| (text(row, "change_id"), text(row, "state"), text(row, "reason"))).collect();
    rows.sort_by_key(|(change, ..)| change.trim_start_matches("chg_").parse::<u64>().unwrap());
    rows.into_iter().map(|(_, state, reason)| (state, reason)).collect()
}

#[tokio::test]
async fn w15_a_step_that_follows_at_once_is_sent_in_the_same_working_of_its_message() {
    let mut world = begun(flow(json!([call("one", "one"), call("two", "two"), call("three", "three")]))).await;
    let message = world.pick(1).remove(0);
    world.work(&message, &mut |_| OK).await.unwrap();
    assert_eq!(paths(&world.arrivals), ["one", "two", "three"]);
    assert!(world.pick(1).is_empty(), "nothing is left in the queue");
}

#[tokio::test]
async fn w15_after_ten_seconds_the_next_step_has_a_message_of_its_own() {
    let mut world = begun(flow(json!([call("one", "one"), call("two", "two")]))).await;
    let message = world.pick(1).remove(0);
    let clock = world.clock.clone();
    let slow = &mut |_: &Arrival| {
        clock.pass(SignedDuration::from_secs(11));
        OK
    };
    world.work(&message, slow).await.unwrap();
    assert_eq!(paths(&world.arrivals), ["one"]);
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one", "two"]);
}

#[tokio::test]
async fn w4_between_two_steps_that_follow_at_once_nobody_goes_first() {
    let mut world = begun(flow(json!([call("one", "one?v={external_id}"), call("two", "two?v={external_id}")]))).await;
    let message = world.pick(1).remove(0);
    let engine = world.engine();
    let ClaimOutcome::Send(one) = engine.worker().claim(&message).await.unwrap() else { panic!("it is sent") };
    let next = engine.deliveries().conclude(*one, OK.sent()).await.unwrap().expect("the next step follows at once");
    post(&world, 2..=2).await;
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), [""; 0], "the newer change waits");
    let ClaimOutcome::Send(two) = engine.worker().go_on(next).await.unwrap() else { panic!("it goes on") };
    assert_eq!(two.request().unwrap().url, url("two?v=1"));
    assert!(engine.deliveries().conclude(*two, OK.sent()).await.unwrap().is_none());
    world.pass(SignedDuration::from_secs(5), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one?v=2", "two?v=2"]);
}

#[tokio::test]
async fn w4_a_process_that_dies_between_two_steps_holds_the_newer_change_up_for_a_minute() {
    let mut world = begun(flow(json!([call("one", "one?v={external_id}"), call("two", "two?v={external_id}")]))).await;
    let message = world.pick(1).remove(0);
    let engine = world.engine();
    let ClaimOutcome::Send(one) = engine.worker().claim(&message).await.unwrap() else { panic!("it is sent") };
    assert!(engine.deliveries().conclude(*one, OK.sent()).await.unwrap().is_some());
    post(&world, 2..=2).await;
    world.pass(SignedDuration::from_secs(59), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), [""; 0]);
    world.pass(SignedDuration::from_secs(5), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one?v=2", "two?v=2"]);
}

#[tokio::test]
async fn w4_those_that_wait_for_an_older_flow_are_woken_in_order_and_look_at_nothing_meanwhile() {
    let mut world = begun(waiting_flow()).await;
    world.work_all(&mut |_| OK).await;
    post(&world, 2..=4).await;
    world.work_all(&mut |_| OK).await;
    world.clock.pass(SignedDuration::from_secs(599));
    assert!(world.pick(10).is_empty(), "nobody looks again");
    world.pass(SignedDuration::from_mins(45), &mut |_| OK).await;
    let expected = (1..=4).flat_map(|version| [format!("one?v={version}"), format!("two?v={version}")]);
    assert_eq!(paths(&world.arrivals), expected.collect::<Vec<_>>());
    assert!(ended(&world).await.iter().all(|(state, _)| state == "delivered"));
}

#[tokio::test]
async fn w4_a_flow_that_is_cancelled_or_fails_before_a_request_wakes_who_waits() {
    let mut world = begun(waiting_flow()).await;
    world.work_all(&mut |_| OK).await;
    post(&world, 2..=2).await;
    world.work_all(&mut |_| OK).await;
    let first = world.log(&DeliveryFilter::default()).await.pop().unwrap();
    let id = DeliveryId::parse(first["id"].as_str().unwrap()).unwrap();
    world.engine().operator().cancel(&Caller::Admin, &id).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one?v=1", "one?v=2"]);

    let steps = json!([call("one", "one?v={external_id}"), {"name": "rest", "wait": {"seconds": 600}}, {"name": "no", "fail": {"reason": "no"}}]);
    let mut world = begun(json!({"name": "flow", "steps": steps, "on_newer": "finish"})).await;
    world.work_all(&mut |_| OK).await;
    post(&world, 2..=2).await;
    world.pass(SignedDuration::from_secs(601), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one?v=1", "one?v=2"]);
}

#[tokio::test]
async fn w4_twenty_wait_for_an_older_flow_and_the_oldest_beyond_ends_superseded() {
    let mut world = begun(waiting_flow()).await;
    world.work_all(&mut |_| OK).await;
    post(&world, 2..=23).await;
    world.work_all(&mut |_| OK).await;
    let ended = ended(&world).await;
    let superseded = (
        "superseded".to_owned(),
        "more than 20 changes waited for the end of an older flow, and this was the oldest of them".to_owned(),
    );
    assert_eq!(ended[1..3], [superseded.clone(), superseded]);
    assert!(ended[3..].iter().all(|(state, _)| state == "waiting"), "{ended:?}");
    world.pass(SignedDuration::from_hours(5), &mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 2 * 21);
}

#[tokio::test]
async fn f2_a_response_that_sets_too_much_fails_the_flow_and_is_left_out_elsewhere() {
    let set = |count: usize| -> Value {
        let one = |number: usize| (format!("v{number}"), Value::from("{body.text}"));
        json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered",
            "set": {"variables": Value::Object((0..count).map(one).collect())}}]})
    };
    let long = || -> &'static str { Box::leak(format!("{{\"text\": \"{}\"}}", "x".repeat(8_000)).into_boxed_str()) };
    let body = long();
    for (count, state, reason) in [
        (4, "delivered", "delivered: status 200"),
        (5, "failed", "step one: failed: the variables of the delivery are longer than 32768 bytes"),
    ] {
        let mut world = begun(flow(json!([with(call("one", "one"), json!({"answer": set(count)})), call("two", "two")]))).await;
        world.work_all(&mut |_| Reply::Body(200, body)).await;
        ends(&world.only_delivery().await, state, reason);
    }
    let rule = json!({"name": "plain", "request": {"url": url("one")}, "answer": set(5)});
    let mut world = begun(rule).await;
    world.work_all(&mut |_| Reply::Body(200, body)).await;
    let delivery = world.only_delivery().await;
    ends(&delivery, "delivered", "delivered: status 200, answer rule 1");
    let note = "the variables of the delivery are longer than 32768 bytes; left out";
    assert_eq!(delivery["log"][0]["error"], note);
}
