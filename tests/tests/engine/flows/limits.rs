//! The limits of loops and flows (W2), and the rate that holds for every step (W15).

use tracking_engine::rules::New;

use super::*;

const AGAIN: Reply = Reply::Says(200, "again");

/// Returns a step that goes to another one when its answer says `again`.
fn looping(name: &str, go: &str, then: Option<&str>) -> Value {
    let mut rule = json!({"when": when("status", "equals", "again"), "go": go});
    if let Some(then) = then {
        rule["then"] = then.into();
    }
    let retry = json!({"max_retries": 30, "delay_seconds": 1, "backoff": "fixed"});
    with(call(name, name), json!({"answer": {"rules": [rule]}, "retry": retry}))
}

fn rest(go: &str) -> Value {
    json!({"name": "rest", "wait": {"seconds": 1}, "go": go})
}

#[tokio::test]
async fn w2_31_requests_of_a_step_are_the_most_whichever_way_it_loops() {
    let no_retries = json!({"max_retries": 0, "delay_seconds": 1, "backoff": "fixed"});
    let exhausted = with(call("ask", "ask"), json!({"retry": no_retries, "on_exhausted": "rest", "go": "end"}));
    for (how, steps, reply) in [
        ("a branch, by way of a wait", json!([with(looping("ask", "rest", None), json!({"go": "end"})), rest("ask")]), AGAIN),
        ("a branch to itself", json!([with(looping("ask", "ask", None), json!({"max_runs": 31}))]), AGAIN),
        (
            "pending with go",
            json!([{"name": "before", "set": {"variables": {"x": "1"}}}, looping("ask", "before", Some("pending"))]),
            AGAIN,
        ),
        ("its own go", json!([with(call("ask", "ask"), json!({"go": "rest"})), rest("ask")]), OK),
        ("repeats that are used up", json!([exhausted, rest("ask")]), Reply::Says(408, "later")),
    ] {
        let mut world = begun(flow(steps)).await;
        world.pass(SignedDuration::from_hours(3), &mut |_| reply).await;
        assert_eq!(world.arrivals.len(), 31, "{how}");
        let delivery = world.only_delivery().await;
        assert!(matches!(delivery["state"].as_str(), Some("exhausted" | "unresolved")), "{how}: {delivery}");
        let reason = delivery["reason"].as_str().unwrap();
        assert!(reason.starts_with("step "), "{how}: {reason}");
    }
}

#[tokio::test]
async fn w2_max_runs_4_begins_no_fifth_run() {
    for (max_runs, expected) in [(1, 1), (4, 4), (31, 31)] {
        let ask = with(looping("ask", "rest", None), json!({"max_runs": max_runs, "go": "end"}));
        let mut world = begun(flow(json!([ask, rest("ask")]))).await;
        world.pass(SignedDuration::from_hours(1), &mut |_| AGAIN).await;
        let runs: Vec<&str> = world.arrivals.iter().map(|arrival| header(arrival, "Tracking-Run")).collect();
        let counted: Vec<String> = (1..=expected).map(|run| run.to_string()).collect();
        assert_eq!(runs, counted);
        let times = if max_runs == 1 { "1 time".to_owned() } else { format!("{max_runs} times") };
        ends(&world.only_delivery().await, "exhausted", &format!("step ask: it has run {times}, as often as max_runs says"));
    }
}

#[tokio::test]
async fn w2_a_flow_sends_100_requests_at_most() {
    // Each of these steps could send 31 requests.
    let mut steps: Vec<Value> = ["a", "b", "c", "d"].map(|name| call(name, name)).to_vec();
    steps.push(rest("a"));
    let mut world = begun(flow(steps.into())).await;
    world.pass(SignedDuration::from_hours(3), &mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 100);
    assert_eq!(world.only_delivery().await["state"], "exhausted");
}

#[tokio::test]
async fn w2_a_flow_lasts_120_days_at_most() {
    let day = 86_400;
    let steps = json!([call("one", "one"), {"name": "long", "wait": {"seconds": 100 * day}}, {"name": "longer", "wait": {"seconds": 100 * day}}, call("two", "two")]);
    let mut world = begun(flow(steps)).await;
    world.pass(SignedDuration::from_hours(24 * 121), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one"]);
    let delivery = world.only_delivery().await;
    ends(&delivery, "expired", "the flow lasted 120 days");
    assert_eq!(delivery["ended_at"].as_str().map(|at| &at[..10]), Some("2027-03-22"));
}

#[tokio::test]
async fn w9_a_definition_that_could_loop_for_ever_is_refused() {
    let world = World::temporary();
    let ways = [
        json!([looping("ask", "ask", None)]),
        json!([call("ask", "ask"), with(call("more", "more"), json!({"go": "ask"}))]),
        json!([call("ask", "ask"), {"name": "back", "switch": [{"when": [{"source": "macro", "key": "payout", "operator": "is_empty"}], "go": "ask"}]}]),
        json!([with(call("ask", "ask"), json!({"on_exhausted": "ask"}))]),
    ];
    for steps in ways {
        let refused = world.engine().writer().create_rule(&Caller::Admin, &flow(steps.clone()), New::Random([1; 16])).await;
        let refused = refused.expect_err("a loop without a wait").to_string();
        assert!(
            refused.contains("without a wait: add a step with wait, choose pending or retry with go, or write max_runs"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn w15_every_step_waits_for_a_slot_of_the_rule_s_rate() {
    let mut rule = flow(json!([call("one", "one"), call("two", "two"), call("three", "three")]));
    rule["rate_per_second"] = 1.into();
    let mut world = begun(rule).await;
    world.pass(SignedDuration::from_mins(1), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one", "two", "three"]);
    for pair in world.arrivals.windows(2) {
        let apart = pair[1].at.duration_since(pair[0].at);
        assert!(apart >= SignedDuration::from_millis(900), "{} and {} are {apart} apart", pair[0].url, pair[1].url);
    }
}
