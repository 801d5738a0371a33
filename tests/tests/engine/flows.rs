//! Flows over the whole engine: one machine, its store, a clock moved by hand, receivers that answer as the test says. Tests are named
//! after the rules in `docs/domain.md`.

#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

use jiff::SignedDuration;
use tracking_core::{caller::Caller, delivery::DeliveryId, json, json::Value};
use tracking_engine::{ClaimOutcome, DeliveryFilter, sender::Sender};
use tracking_tests::world::{Arrival, Reply, World, event, transaction};

mod callbacks;
mod emits;
mod limits;
mod logins;
mod mirrors;
mod order;
mod page;
mod people;
mod presets;
mod requests;
mod sealed;
mod webhooks;

const OK: Reply = Reply::Says(200, "ok");

fn url(path: &str) -> String {
    format!("http://127.0.0.1:9/{path}")
}

fn call(name: &str, path: &str) -> Value {
    json!({"name": name, "call": {"url": url(path)}})
}

fn with(mut step: Value, members: Value) -> Value {
    step.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    step
}

fn when(key: &str, operator: &str, value: &str) -> Value {
    json!([{"source": "body", "key": key, "operator": operator, "value": value}])
}

fn flow(steps: Value) -> Value {
    json!({"name": "flow", "steps": steps})
}

fn sale(change_id: &str, version: u64) -> Value {
    let change = if version == 1 { "created" } else { "updated" };
    event(
        change_id,
        json!({"version": version, "change": change, "external_id": "X-77"}),
        json!([transaction("trx_1", change, "pending")]),
    )
}

/// Starts a machine with one rule of an admin, and posts one sale.
async fn begun(rule: Value) -> World {
    let world = World::temporary();
    world.rule(&Caller::Admin, rule).await;
    world.post(&[sale("chg_1", 1)]).await.unwrap();
    world
}

/// Returns the requested paths, in order.
fn paths(arrivals: &[Arrival]) -> Vec<String> {
    arrivals.iter().map(|arrival| arrival.url.trim_start_matches("http://127.0.0.1:9/").to_owned()).collect()
}

#[track_caller]
fn header<'a>(arrival: &'a Arrival, name: &str) -> &'a str {
    let found = arrival.headers.iter().find(|(given, _)| given == name);
    found.map_or_else(|| panic!("no {name}: {arrival:?}"), |(_, value)| value)
}

#[track_caller]
fn ends(delivery: &Value, state: &str, reason: &str) {
    assert_eq!((delivery["state"].as_str(), delivery["reason"].as_str()), (Some(state), Some(reason)), "{delivery}");
}

#[tokio::test]
async fn w1_steps_run_in_order_and_the_log_names_them() {
    let steps = json!([
        call("create", "create"),
        call("confirm", "confirm?id={steps.create.body.id}&s={step}&n={step_attempt}&a={attempt}")
    ]);
    let mut world = begun(flow(steps)).await;
    world.work_all(&mut |_| Reply::Body(200, r#"{"id": "L-17"}"#)).await;
    assert_eq!(paths(&world.arrivals), ["create", "confirm?id=L-17&s=confirm&n=1&a=2"]);
    let headers = |index: usize| -> Vec<String> {
        let named = world.arrivals[index].headers.iter().filter(|(name, _)| name == "Tracking-Step" || name == "Tracking-Run");
        named.map(|(_, value)| value.clone()).collect()
    };
    assert_eq!((headers(0), headers(1)), (vec!["create".to_owned(), "1".to_owned()], vec!["confirm".to_owned(), "1".to_owned()]));
    let delivery = world.only_delivery().await;
    ends(&delivery, "delivered", "delivered: status 200");
    let steps: Vec<_> =
        delivery["log"].as_array().unwrap().iter().map(|attempt| (attempt["step"].as_str(), attempt["run"].as_u64())).collect();
    assert_eq!(steps, [(Some("create"), Some(1)), (Some("confirm"), Some(1))]);
}

#[tokio::test]
async fn w1_a_flow_that_sends_nothing_is_skipped() {
    let steps = json!([
        {"name": "small", "switch": [{"when": [{"source": "macro", "key": "payout", "operator": "smaller_than", "value": "10"}], "go": "end"}]},
        call("report", "report"),
    ]);
    let mut world = begun(flow(steps)).await;
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 0);
    ends(&world.only_delivery().await, "skipped", "the flow ended before it sent a request");
}

#[tokio::test]
async fn w1_fail_and_a_failed_call_fail_the_flow_and_name_the_step() {
    let steps = json!([call("ask", "ask"), {"name": "no", "fail": {"reason": "refused for {external_id}"}}]);
    let mut world = begun(flow(steps)).await;
    world.work_all(&mut |_| OK).await;
    ends(&world.only_delivery().await, "failed", "step no: refused for X-77");
    let mut world = begun(flow(json!([call("ask", "ask"), call("never", "never")]))).await;
    world.work_all(&mut |_| Reply::Says(404, "gone")).await;
    assert_eq!(paths(&world.arrivals), ["ask"]);
    ends(&world.only_delivery().await, "failed", "step ask: failed: status 404");
}

#[tokio::test]
async fn w2_pending_with_go_comes_back_to_the_same_run() {
    let login = with(
        call("login", "login"),
        json!({"answer": {"rules": [{"when": when("status", "equals", "ok"), "then": "delivered",
        "set": {"variables": {"token": "T{http_code}"}}}]}}),
    );
    let answer = json!({"rules": [{"when": when("status", "equals", "wait"), "then": "pending", "go": "login"}]});
    let retry = json!({"max_retries": 2, "delay_seconds": 600, "backoff": "fixed"});
    let status = with(call("status", "status?t={var.token}&n={step_attempt}"), json!({"answer": answer, "retry": retry}));
    let mut world = begun(flow(json!([login, status]))).await;
    let mut reply = |arrival: &Arrival| if arrival.url.contains("login") { OK } else { Reply::Says(200, "wait") };
    world.pass(SignedDuration::from_mins(5), &mut reply).await;
    assert_eq!(paths(&world.arrivals), ["login", "status?t=T200&n=1"], "it waits as its retry says");
    assert_eq!(world.only_delivery().await["step"], "login");
    world.pass(SignedDuration::from_hours(2), &mut reply).await;
    assert_eq!(
        paths(&world.arrivals),
        ["login", "status?t=T200&n=1", "login", "status?t=T200&n=2", "login", "status?t=T200&n=3"]
    );
    ends(
        &world.only_delivery().await,
        "unresolved",
        "step status: no more retries after 3 attempts; the last: pending: status 200, answer rule 1",
    );
}

#[tokio::test]
async fn w2_used_up_repeats_go_on_where_on_exhausted_says() {
    let retry = json!({"max_retries": 1, "delay_seconds": 1, "backoff": "fixed"});
    let first = with(call("first", "first"), json!({"retry": retry, "on_exhausted": "second", "go": "end"}));
    let mut world = begun(flow(json!([first, call("second", "second")]))).await;
    let mut reply = |arrival: &Arrival| if arrival.url.contains("first") { Reply::Silence } else { OK };
    world.pass(SignedDuration::from_mins(5), &mut reply).await;
    assert_eq!(paths(&world.arrivals), ["first", "first", "second"]);
    ends(&world.only_delivery().await, "delivered", "delivered: status 200");
}

#[tokio::test]
async fn w3_a_finished_step_is_not_repeated_after_a_restart() {
    let mut world = begun(flow(json!([call("one", "one"), {"name": "rest", "wait": {"seconds": 60}}, call("two", "two")]))).await;
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one"]);
    let waiting = world.only_delivery().await;
    assert_eq!((waiting["state"].as_str(), waiting["step"].as_str()), (Some("waiting"), Some("rest")), "{waiting}");
    assert_eq!(waiting["reason"], "step rest goes on at 2026-11-22T09:01:00Z");
    world.restart();
    world.pass(SignedDuration::from_mins(2), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one", "two"]);
}

#[tokio::test]
async fn w10_a_fixed_delay_sends_every_change_later_and_in_order() {
    let rule = json!({"name": "later", "request": {"url": url("p?v={event}")}, "delay": {"mode": "fixed", "seconds": 3_600}});
    let mut world = begun(rule).await;
    world.post(&[sale("chg_2", 2)]).await.unwrap();
    world.pass(SignedDuration::from_mins(59), &mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 0);
    world.pass(SignedDuration::from_mins(10), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["p?v=transaction_created", "p?v=transaction_updated"]);
}

#[tokio::test]
async fn w6_what_a_response_sets_is_published_whatever_the_verdict() {
    let answer = json!({"rules": [{"when": [{"operator": "always"}], "go": "second", "set": {"result": "approved"}}]});
    let steps = json!([with(call("first", "first"), json!({"answer": answer})), call("second", "second")]);
    let mut world = begun(flow(steps)).await;
    world.work_all(&mut |_| OK).await;
    let published = world.store().published(None, 100).unwrap();
    let results: Vec<_> = published.iter().filter(|event| event.detail_type == "Conversion Result Received").collect();
    assert_eq!(results.len(), 1);
    let delivery = world.only_delivery().await;
    assert_eq!(delivery["log"][0]["verdict"], "branch", "{delivery}");
}

#[tokio::test]
async fn w13_a_resend_begins_at_the_first_step() {
    let mut world = begun(flow(json!([call("one", "one"), call("two", "two")]))).await;
    world.work_all(&mut |arrival| if arrival.url.contains("two") { Reply::Says(404, "no") } else { OK }).await;
    let delivery = world.only_delivery().await;
    ends(&delivery, "failed", "step two: failed: status 404");
    let id = DeliveryId::parse(delivery["id"].as_str().unwrap()).unwrap();
    world.engine().operator().resend(&Caller::Admin, &id, &json!({})).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one", "two", "one", "two"]);
    assert_eq!(world.only_delivery().await["state"], "delivered");
}

/// Returns a rule with a login whose token is kept, and a status query that forgets a refused token.
fn with_login() -> Value {
    let login = json!({
        "name": "login", "max_runs": 3, "when": [{"source": "variable", "key": "token", "operator": "is_empty"}],
        "call": {"method": "POST", "url": url("login"), "timeout_seconds": 10},
        "answer": {"hide": true, "rules": [{"when": [{"source": "http_code", "operator": "equals", "value": "200"}], "then": "delivered",
            "set": {"variables": {"token": {"value": "{body.access_token}", "secret": true, "keep_seconds": "{body.expires_in|subtract:60}"}}}}]},
    });
    let status = json!({
        "name": "status",
        "call": {"url": url("status/{external_id}"), "headers": [{"name": "Authorization", "value": "Bearer {var.token}"}]},
        "answer": {"rules": [
            {"when": [{"source": "http_code", "operator": "equals", "value": "401"}], "forget": ["token"], "go": "login"},
            {"when": when("status", "equals", "approved"), "then": "delivered", "set": {"result": "{body.status}"}},
        ]},
    });
    flow(json!([login, status]))
}

fn token_of(arrival: &Arrival) -> Option<&str> {
    arrival.headers.iter().find(|(name, _)| name == "Authorization").map(|(_, value)| value.as_str())
}

const TOKEN: Reply = Reply::Body(200, r#"{"access_token": "t-o-k-e-n-1", "expires_in": 3600}"#);

#[tokio::test]
async fn w5_a_kept_token_serves_later_deliveries_until_it_expires() {
    let mut world = begun(with_login()).await;
    let mut reply = |arrival: &Arrival| if arrival.url.contains("login") { TOKEN } else { Reply::Says(200, "approved") };
    world.pass(SignedDuration::from_mins(1), &mut reply).await;
    assert_eq!(paths(&world.arrivals), ["login", "status/X-77"]);
    assert_eq!(token_of(&world.arrivals[1]), Some("Bearer t-o-k-e-n-1"));
    world.post(&[sale("chg_2", 2)]).await.unwrap();
    world.pass(SignedDuration::from_mins(1), &mut reply).await;
    assert_eq!(paths(&world.arrivals)[2..], ["status/X-77"], "the token is kept");
    world.pass(SignedDuration::from_hours(1), &mut reply).await;
    world.post(&[sale("chg_3", 3)]).await.unwrap();
    world.pass(SignedDuration::from_mins(1), &mut reply).await;
    assert_eq!(paths(&world.arrivals)[3..], ["login", "status/X-77"], "it expired an hour less a minute after the login");
    for delivery in world.log(&DeliveryFilter::default()).await {
        let id = DeliveryId::parse(delivery["id"].as_str().unwrap()).unwrap();
        let shown = world.engine().log().delivery(&Caller::Admin, &id).await.unwrap().to_string();
        assert!(!shown.contains("t-o-k-e-n-1"), "{shown}");
        assert_eq!(delivery["state"], "delivered");
    }
}

#[tokio::test]
async fn w5_a_revoked_token_is_fetched_again_once_however_many_deliveries_find_it_refused() {
    let mut world = begun(with_login()).await;
    let mut reply = |arrival: &Arrival| if arrival.url.contains("login") { TOKEN } else { Reply::Says(200, "approved") };
    world.pass(SignedDuration::from_mins(1), &mut reply).await;
    for number in 0..20 {
        let conversion = json!({"conversion_id": format!("cnv_r{number}"), "external_id": "X-1"});
        let transaction = transaction(&format!("trx_r{number}"), "created", "pending");
        world.post(&[event(&format!("chg_r{number}"), conversion, json!([transaction]))]).await.unwrap();
    }
    let second = Reply::Body(200, r#"{"access_token": "t-o-k-e-n-2", "expires_in": 3600}"#);
    let mut reply = |arrival: &Arrival| match token_of(arrival) {
        None => second,
        Some("Bearer t-o-k-e-n-2") => Reply::Says(200, "approved"),
        Some(_) => Reply::Says(401, "revoked"),
    };
    world.pass(SignedDuration::from_mins(5), &mut reply).await;
    let logins = world.arrivals.iter().filter(|arrival| arrival.url.contains("login")).count();
    assert_eq!(logins, 2, "one at first, one after the token was revoked");
    assert!(world.log(&DeliveryFilter::default()).await.iter().all(|delivery| delivery["state"] == "delivered"));
}

#[tokio::test]
async fn w5_deliveries_that_find_no_token_wait_for_one_login() {
    let world = World::temporary();
    world.rule(&Caller::Admin, with_login()).await;
    for number in 0..10 {
        let conversion = json!({"conversion_id": format!("cnv_r{number}"), "external_id": "X-1"});
        let transaction = transaction(&format!("trx_r{number}"), "created", "pending");
        world.post(&[event(&format!("chg_r{number}"), conversion, json!([transaction]))]).await.unwrap();
    }
    // All deliveries are claimed before the first is answered.
    let mut world = world;
    let mut claimed = Vec::new();
    for received in world.pick(10) {
        if let ClaimOutcome::Send(one) = world.engine().worker().claim(&received).await.unwrap() {
            claimed.push(one);
        }
    }
    assert_eq!(claimed.len(), 1, "one logs in, the others wait");
    let engine = world.engine();
    let (worker, deliveries) = (engine.worker(), engine.deliveries());
    let next = deliveries.conclude(*claimed.remove(0), TOKEN.sent()).await.unwrap().expect("the status follows at once");
    let ClaimOutcome::Send(status) = worker.go_on(next).await.unwrap() else { panic!("nothing is in its way") };
    assert!(deliveries.conclude(*status, Reply::Says(200, "approved").sent()).await.unwrap().is_none());
    let mut reply = |arrival: &Arrival| if arrival.url.contains("login") { TOKEN } else { Reply::Says(200, "approved") };
    world.pass(SignedDuration::from_mins(2), &mut reply).await;
    assert_eq!(world.arrivals.iter().filter(|arrival| arrival.url.contains("login")).count(), 0);
    assert_eq!(world.arrivals.len(), 9);
    assert!(
        world.log(&DeliveryFilter::default()).await.iter().all(|delivery| delivery["attempts"].as_u64() <= Some(2)),
        "waits are uncharged"
    );
}

/// Runs a trial of a rule that is not saved.
async fn preview(steps: Value, answers: Value) -> Value {
    let world = World::temporary();
    let body = json!({"tracking_api": flow(steps), "event": sale("chg_1", 1), "answers": answers});
    world.engine().trials().preview_rule(&Caller::Admin, &body, &Sender::new(true).unwrap()).await.unwrap()
}

/// Returns the steps that a trial went through, with the outcome of each.
fn tried(trial: &Value) -> Vec<String> {
    let word = |step: &Value| {
        let name = step["step"].as_str().unwrap();
        match (step["verdict"].as_str(), step["waits_until"].as_str()) {
            (Some(verdict), _) => format!("{name} {verdict}"),
            (None, Some(_)) => format!("{name} waits"),
            (None, None) => {
                format!("{name} {}", step["request"]["url"].as_str().unwrap().trim_start_matches("http://127.0.0.1:9/"))
            }
        }
    };
    trial["steps"].as_array().unwrap_or_else(|| panic!("{trial}")).iter().map(word).collect()
}

#[tokio::test]
async fn w11_a_preview_shows_every_step_with_what_is_to_come() {
    let steps = json!([
        with(call("create", "create"), json!({"answer": {"rules": [{"when": [{"operator": "always"}], "then": "delivered",
            "set": {"variables": {"lead": "{body.id}"}}}]}})),
        {"name": "rest", "wait": {"seconds": 60}},
        call("confirm", "confirm/{var.lead|raw}"),
    ]);
    let trial = preview(steps.clone(), json!({})).await;
    assert_eq!(tried(&trial), ["create create", "rest waits", "confirm confirm/‹body.id›"], "{trial}");
    assert_eq!(trial["sent"], json!(false));
    let given = json!({"create": [{"status": 201, "body": {"id": "L-17"}}]});
    let trial = preview(steps, given).await;
    assert_eq!(tried(&trial), ["create delivered", "rest waits", "confirm confirm/L-17"], "{trial}");
    assert_eq!(trial["steps"][0]["told"]["variables"], json!({"lead": "L-17"}));
}

#[tokio::test]
async fn w11_given_answers_are_judged_and_repeats_without_one_end_the_trial() {
    let answer = json!({"rules": [{"when": when("status", "equals", "pending"), "then": "pending"}]});
    let retry = json!({"max_retries": 3, "delay_seconds": 3_600, "backoff": "fixed"});
    let steps = json!([with(call("ask", "ask"), json!({"answer": answer, "retry": retry})), call("report", "report")]);
    let pending = json!({"body": {"status": "pending"}});
    let trial =
        preview(steps.clone(), json!({"ask": [pending, {"body": "{\"status\": \"ok\"}"}], "report": [{"status": 404}]})).await;
    assert_eq!(tried(&trial), ["ask pending", "ask delivered", "report failed"], "{trial}");
    assert_eq!(trial["ends"], json!({"state": "failed", "reason": "step report: failed: status 404"}));
    let trial = preview(steps, json!({"ask": [pending]})).await;
    let reason = trial["ends"]["reason"].as_str().unwrap();
    assert_eq!((tried(&trial), reason), (vec!["ask pending".to_owned()], "step ask would ask again in 1 h"), "{trial}");
}

#[tokio::test]
async fn w11_a_repeat_that_goes_by_another_step_ends_the_trial_too() {
    let login = call("login", "login");
    let answer = json!({"rules": [{"when": when("status", "equals", "pending"), "then": "pending", "go": "login"}]});
    let retry = json!({"max_retries": 3, "delay_seconds": 3_600, "backoff": "fixed"});
    let steps = json!([login, with(call("ask", "ask"), json!({"answer": answer, "retry": retry}))]);
    let pending = json!({"body": {"status": "pending"}});
    let trial = preview(steps.clone(), json!({"login": [{}], "ask": [pending]})).await;
    assert_eq!(tried(&trial), ["login delivered", "ask pending"], "{trial}");
    assert_eq!(trial["ends"], json!({"state": "waiting", "reason": "step ask would ask again in 1 h"}));
    let trial = preview(steps, json!({"login": [{}, {}], "ask": [pending, {"body": {"status": "done"}}]})).await;
    assert_eq!(tried(&trial), ["login delivered", "ask pending", "login waits", "login delivered", "ask delivered"], "{trial}");
}

#[tokio::test]
async fn w4_a_newer_change_supersedes_a_flow_that_waits_or_waits_for_its_end() {
    let steps = json!([call("one", "one?v={event}"), {"name": "rest", "wait": {"seconds": 600}}, call("two", "two?v={event}")]);
    for (on_newer, expected) in [
        ("supersede", vec!["one?v=transaction_created", "one?v=transaction_updated", "two?v=transaction_updated"]),
        (
            "finish",
            vec![
                "one?v=transaction_created",
                "two?v=transaction_created",
                "one?v=transaction_updated",
                "two?v=transaction_updated",
            ],
        ),
    ] {
        let mut world = begun(json!({"name": "flow", "steps": steps, "on_newer": on_newer})).await;
        world.work_all(&mut |_| OK).await;
        world.post(&[sale("chg_2", 2)]).await.unwrap();
        world.pass(SignedDuration::from_hours(1), &mut |_| OK).await;
        assert_eq!(paths(&world.arrivals), expected, "{on_newer}");
        let mut states: Vec<_> = world
            .log(&DeliveryFilter::default())
            .await
            .iter()
            .map(|delivery| delivery["state"].as_str().unwrap().to_owned())
            .collect();
        states.sort();
        let first = if on_newer == "finish" { "delivered" } else { "superseded" };
        assert!(states.contains(&first.to_owned()) && states.contains(&"delivered".to_owned()), "{states:?}");
    }
}
