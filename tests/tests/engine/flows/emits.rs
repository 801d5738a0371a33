//! Events that flows publish (W20).

use super::*;

/// Returns the events that steps published, in order.
fn emitted(world: &World) -> Vec<Value> {
    let published = world.store().published(None, 1_000).unwrap();
    let emitted = published.iter().filter(|event| event.detail_type == "Tracking API Event");
    emitted.map(|event| json::parse(event.detail.to_string().as_bytes()).unwrap()).collect()
}

fn emit(name: &str, event: &str) -> Value {
    json!({"name": name, "emit": {"name": event, "fields": {"id": "{conversion_id}", "step": "{step}"}}})
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn w20_each_emit_is_published_once_whatever_follows_it() {
    let steps = json!([
        emit("a", "Before"),
        call("one", "one"),
        {"name": "b", "emit": {"name": "Large Sale", "fields": {"payout": "{payout}", "none": "{query.none}"}, "count": 3}},
        {"name": "rest", "wait": {"seconds": 600}},
        emit("c", "After the wait"),
        call("two", "two"),
        emit("d", "Last"),
    ]);
    let mut world = begun(flow(steps)).await;
    let mut replies = 0;
    let mut reply = move |_: &Arrival| {
        replies += 1;
        if replies == 1 { Reply::Says(503, "later") } else { OK }
    };
    world.pass(SignedDuration::from_mins(30), &mut reply).await;
    assert_eq!(paths(&world.arrivals), ["one", "one", "two"]);
    let events = emitted(&world);
    assert_eq!(names(&events), ["Before", "Large Sale", "After the wait", "Last"]);
    let delivery = world.only_delivery().await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    let mut large = events[1].clone();
    let id = large.as_object_mut().unwrap().remove("event_id").unwrap();
    assert!(id.as_str().unwrap().starts_with("evt_"), "{id}");
    let rule = &delivery["tracking_api_id"];
    assert_eq!(
        large,
        json!({"name": "Large Sale", "fields": {"payout": "5.00", "none": ""}, "count": 3, "tracking_api_id": rule,
            "delivery_id": delivery["id"], "conversion_id": delivery["conversion_id"],
            "causation": {"tracking_api_id": rule, "depth": 1}})
    );
    let mut ids: Vec<_> = events.iter().map(|event| event["event_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    assert_eq!((events[0]["fields"]["step"].as_str(), events[0]["count"].as_u64()), (Some("a"), Some(1)));
}

#[tokio::test]
async fn w20_a_flow_that_ends_before_a_request_or_by_fail_publishes_too_and_a_resend_again() {
    let when = json!([{"source": "macro", "key": "external_id", "operator": "equals", "value": "X-77"}]);
    let steps = json!([
        {"name": "skip", "switch": [{"when": when, "go": "skipped"}]},
        call("one", "one"),
        emit("skipped", "Skipped"),
        {"name": "no", "fail": {"reason": "not wanted"}},
    ]);
    let mut world = begun(flow(steps)).await;
    world.work_all(&mut |_| OK).await;
    assert_eq!((names(&emitted(&world)), world.only_delivery().await["state"].as_str()), (vec!["Skipped"], Some("failed")));
    let id = DeliveryId::parse(world.only_delivery().await["id"].as_str().unwrap()).unwrap();
    world.pass(SignedDuration::from_secs(5), &mut |_| OK).await;
    world.engine().operator().resend(&Caller::Admin, &id, &json!({})).await.unwrap();
    world.work_all(&mut |_| OK).await;
    let events = emitted(&world);
    assert_eq!(names(&events), ["Skipped", "Skipped"]);
    assert_ne!(events[0]["event_id"], events[1]["event_id"], "a resend is another flow");
}

#[tokio::test]
async fn w20_an_event_before_the_first_request_is_published_once_too() {
    let steps = json!([
        emit("a", "First"),
        {"name": "rest", "wait": {"seconds": 600}},
        emit("b", "Second"),
        {"name": "again", "wait": {"seconds": 600}},
        call("one", "one"),
    ]);
    let mut world = begun(flow(steps)).await;
    world.work_all(&mut |_| OK).await;
    assert_eq!(names(&emitted(&world)), ["First"]);
    world.pass(SignedDuration::from_mins(60), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one"]);
    assert_eq!(names(&emitted(&world)), ["First", "Second"]);
}
