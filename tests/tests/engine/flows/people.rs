//! Changes that people make to rules and deliveries while flows are under way (W12, W13).

use super::*;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Makes a flow that has sent its first request and waits for ten minutes.
async fn resting() -> World {
    let mut world =
        begun(flow(json!([call("one", "one"), {"name": "rest", "wait": {"seconds": 600}}, call("two", "two")]))).await;
    world.work_all(&mut |_| OK).await;
    world
}

async fn patch(world: &World, patch: Value) {
    let id = world.only_delivery().await["tracking_api_id"].as_str().unwrap().parse().unwrap();
    world.engine().writer().patch_rule(&Caller::Admin, &id, &patch, None).await.unwrap();
}

async fn delivery_id(world: &World) -> DeliveryId {
    DeliveryId::parse(world.only_delivery().await["id"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn w12_each_step_is_read_when_it_begins_and_waits_end_when_they_were_to() {
    let mut world = resting().await;
    let steps =
        json!([call("one", "one"), {"name": "rest", "wait": {"seconds": 6_000}}, call("two", "other"), call("three", "three")]);
    patch(&world, json!({"steps": steps})).await;
    world.pass(SignedDuration::from_mins(9), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one"]);
    world.pass(SignedDuration::from_mins(2), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one", "other", "three"], "the wait ends after the ten minutes that were computed");
}

#[tokio::test]
async fn w12_a_step_that_is_gone_or_of_another_kind_fails_the_delivery() {
    for (steps, reason) in [
        (
            json!([call("one", "one"), call("two", "two")]),
            "step rest is not in version 2 of the rule; a resend starts at the first step",
        ),
        (
            json!([call("one", "one"), call("rest", "rest"), call("two", "two")]),
            "step rest is of another kind in version 2 of the rule; a resend starts at the first step",
        ),
        (
            json!([call("one", "one"), {"name": "rest", "set": {"variables": {"x": "1"}}}, call("two", "two")]),
            "step rest is of another kind in version 2 of the rule; a resend starts at the first step",
        ),
    ] {
        let mut world = resting().await;
        patch(&world, json!({"steps": steps})).await;
        world.pass(SignedDuration::from_mins(11), &mut |_| OK).await;
        assert_eq!(paths(&world.arrivals), ["one"]);
        ends(&world.only_delivery().await, "failed", reason);
        world.engine().operator().resend(&Caller::Admin, &delivery_id(&world).await, &json!({})).await.unwrap();
        world.pass(MINUTE, &mut |_| OK).await;
        assert_eq!(world.only_delivery().await["state"], "delivered", "a resend starts at the first step");
    }
}

#[tokio::test]
async fn w12_a_delivery_with_no_finished_step_begins_at_the_present_first_step() {
    let wait = |name: &str| json!({"name": name, "wait": {"seconds": 600}});
    for steps in [json!([call("zero", "zero"), call("one", "one")]), json!([call("rest", "zero"), call("one", "one")])] {
        let mut world = begun(flow(json!([wait("rest"), call("one", "one")]))).await;
        world.work_all(&mut |_| OK).await;
        patch(&world, json!({"steps": steps})).await;
        world.pass(SignedDuration::from_mins(11), &mut |_| OK).await;
        assert_eq!(paths(&world.arrivals), ["zero", "one"]);
    }
}

#[tokio::test]
async fn w13_a_resend_of_a_flow_that_waits_ends_the_wait() {
    let mut world = resting().await;
    world.engine().operator().resend(&Caller::Admin, &delivery_id(&world).await, &json!({})).await.unwrap();
    world.pass(MINUTE, &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one", "two"]);
    ends(&world.only_delivery().await, "delivered", "delivered: status 200");
}

#[tokio::test]
async fn w13_a_resend_from_a_step_has_its_variables_as_they_were_and_a_new_budget() {
    let set = json!({"variables": {"id": "{body.status}", "key": {"value": "s-{body.status}", "secret": true}}});
    let rules = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set}]});
    let retry = json!({"max_retries": 1, "delay_seconds": 1, "backoff": "fixed"});
    let steps = json!([
        with(call("one", "one"), json!({"answer": rules})),
        with(call("two", "two?id={var.id}&key={var.key}&was={steps.one.body.status}&n={step_attempt}"), json!({"retry": retry})),
    ]);
    let mut world = begun(flow(steps)).await;
    let mut down =
        |arrival: &Arrival| if arrival.url.contains("two") { Reply::Says(503, "down") } else { Reply::Says(200, "L-17") };
    world.pass(MINUTE, &mut down).await;
    let exhausted = world.only_delivery().await;
    ends(&exhausted, "exhausted", "step two: no more retries after 2 attempts; the last: retry: status 503");
    assert!(!exhausted.to_string().contains("s-L-17"), "a secret variable is masked: {exhausted}");
    world.engine().operator().resend(&Caller::Admin, &delivery_id(&world).await, &json!({"from_step": "two"})).await.unwrap();
    world.pass(MINUTE, &mut |_| OK).await;
    let two = |number: u32| format!("two?id=L-17&key=s-L-17&was=L-17&n={number}");
    assert_eq!(paths(&world.arrivals), ["one".to_owned(), two(1), two(2), two(1)]);
}

#[tokio::test]
async fn w13_cancelling_switching_off_and_pausing_let_no_step_begin() {
    let mut world = resting().await;
    world.engine().operator().cancel(&Caller::Admin, &delivery_id(&world).await).await.unwrap();
    world.pass(SignedDuration::from_mins(11), &mut |_| OK).await;
    ends(&world.only_delivery().await, "cancelled", "stopped by a person");
    assert_eq!(paths(&world.arrivals), ["one"]);

    let mut world = resting().await;
    patch(&world, json!({"active": false})).await;
    world.pass(SignedDuration::from_mins(11), &mut |_| OK).await;
    ends(&world.only_delivery().await, "cancelled", "the Tracking API was switched off or deleted");
    assert_eq!(paths(&world.arrivals), ["one"]);

    let mut world = resting().await;
    patch(&world, json!({"pause": true})).await;
    world.pass(SignedDuration::from_mins(30), &mut |_| OK).await;
    assert_eq!(
        (paths(&world.arrivals), world.only_delivery().await["state"].as_str()),
        (vec!["one".to_owned()], Some("waiting"))
    );
    patch(&world, json!({"pause": false})).await;
    world.pass(SignedDuration::from_mins(10), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one", "two"], "the wait ended meanwhile");
}
