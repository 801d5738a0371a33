//! The edges of a send: a receiver that echoes, a process that stops, a rule that is switched off meanwhile.

#![expect(clippy::unwrap_used, reason = "tests")]

mod corpus;
mod long_events;
mod polls;

use std::sync::{Arc, Mutex};

use axum::Router;
use jiff::SignedDuration;
use tracking_core::{answer::Response, caller::Caller, delivery::State, json, json::Value};
use tracking_engine::{ClaimOutcome, DeliveryFilter, sender::Sender};
use tracking_tests::world::{Reply, World, event, transaction};

const DOWN: Reply = Reply::Says(503, "down");
const OK: Reply = Reply::Says(200, "ok");

fn sale(version: u64) -> Value {
    let change = if version == 1 { "created" } else { "updated" };
    event(
        &format!("chg_{version}"),
        json!({"version": version, "change": change}),
        json!([transaction("trx_1", change, "pending")]),
    )
}

fn rule() -> Value {
    json!({"name": "r", "request": {"url": "http://127.0.0.1:9/p"}, "retry": {"delay_seconds": 60, "backoff": "fixed"}})
}

#[tokio::test]
async fn case_a11_a_redirect_is_not_followed_and_the_reason_names_its_location() {
    for (status, location) in [(301, "https://b.example/p?x=1"), (302, "/login"), (307, "http://127.0.0.1:9/p"), (308, "")] {
        let headers: &'static [_] = vec![("Location".to_owned(), location.to_owned())].leak();
        let mut world = World::temporary();
        world.rule(&Caller::Admin, rule()).await;
        world.post(&[sale(1)]).await.unwrap();
        world.work_all(&mut |_| Reply::Whole(status, headers, "")).await;
        let delivery = world.only_delivery().await;
        let reason = delivery["reason"].as_str().unwrap();
        assert!(reason.contains(&format!("redirects are not followed; Location: {location}")), "{status}: {reason}");
        assert_eq!((&delivery["state"], world.arrivals.len()), (&json!("failed"), 1), "{status}");
        assert_eq!(delivery["log"][0]["answer_headers"]["location"], Value::from(location), "{delivery}");
    }
}

#[tokio::test]
async fn q5_what_a_request_made_of_its_secrets_is_masked_in_an_echo() {
    let world = World::temporary();
    let request = json!({
        "method": "POST", "url": "http://127.0.0.1:9/{secret.b|base64}/p?c={conversion_id}&k={secret.b|prefix:v|base64}",
        "headers": [{"name": "Authorization", "value": "Basic {secret.b|prefix:u|base64}"}],
        "body": {"format": "raw", "content_type": "text/plain", "text": "{secret.b|prefix:w|base64}"},
    });
    world.rule(&Caller::Admin, json!({"name": "r", "request": request, "secret_values": {"b": "pass-Secret"}})).await;
    world.post(&[sale(1)]).await.unwrap();
    let received = world.pick(1).pop().unwrap();
    let ClaimOutcome::Send(claimed) = world.engine().worker().claim(&received).await.unwrap() else { panic!("it is to be sent") };
    let sent = claimed.request().unwrap();
    let basic = "dXBhc3MtU2VjcmV0";
    let authorization = format!("Basic {basic}");
    assert!(sent.headers.iter().any(|(_, value)| *value == authorization), "{:?}", sent.headers);
    assert_eq!(sent.url, "http://127.0.0.1:9/cGFzcy1TZWNyZXQ%3D/p?c=cnv_1&k=dnBhc3MtU2VjcmV0");
    assert_eq!(sent.body.as_deref(), Some(&b"d3Bhc3MtU2VjcmV0"[..]));
    let echo = format!(
        "{authorization} | {basic} | /cGFzcy1TZWNyZXQ%3D/ | cGFzcy1TZWNyZXQ= | cnv_1 dnBhc3MtU2VjcmV0 | d3Bhc3MtU2VjcmV0 | pass-Secret"
    );
    world.engine().deliveries().conclude(*claimed, Ok(Response::new(200, Vec::new(), echo.into_bytes()))).await.unwrap();
    assert_eq!(world.only_delivery().await["log"][0]["answer"], "*** | *** | /***/ | *** | cnv_1 *** | *** | ***");
}

#[tokio::test]
async fn p1_a_stop_leaves_what_waits_behind_a_running_send_for_the_next_start() {
    let mut world = World::temporary();
    let arrived = Arc::new(Mutex::new(0));
    let (engine, count) = (world.engine(), Arc::clone(&arrived));
    let take = move || {
        *count.lock().unwrap() += 1;
        engine.worker().stop();
        async { "{}" }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
    world.rule(&Caller::Admin, json!({"name": "r", "request": {"url": url}})).await;
    world.post(&[sale(1), sale(2), sale(3)]).await.unwrap();
    let engine = world.engine();
    let queued = engine.worker().queue_up(world.pick(16));
    assert!(engine.worker().work(queued, &Sender::new(true).unwrap(), None).await.is_empty());
    assert_eq!(*arrived.lock().unwrap(), 1, "what was in line behind it waits");
    serving.abort();
    assert!(serving.await.is_err());
    drop(engine);
    world.restart();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 2, "and is sent after the next start");
}

/// Switches a rule off during the first or the second attempt. Returns the log before and after the attempt's answer, and the reason.
async fn switched_off_during(attempt: u32, reply: Reply) -> (Value, Value) {
    let mut world = World::temporary();
    let id = world.rule(&Caller::Admin, rule()).await;
    world.post(&[sale(1)]).await.unwrap();
    for _ in 1..attempt {
        world.work_all(&mut |_| DOWN).await;
        world.clock.pass(SignedDuration::from_mins(2));
    }
    let received = world.pick(1).pop().unwrap();
    let ClaimOutcome::Send(claimed) = world.engine().worker().claim(&received).await.unwrap() else { panic!("it is to be sent") };
    assert_eq!(claimed.attempt(), attempt);
    world.engine().writer().patch_rule(&Caller::Admin, &id, &json!({"active": false}), None).await.unwrap();
    world.work_all(&mut |_| panic!("nothing more is sent")).await;
    let before = world.log(&DeliveryFilter { states: vec![State::Cancelled], ..DeliveryFilter::default() }).await.len();
    world.engine().deliveries().conclude(*claimed, reply.sent()).await.unwrap();
    world.pass(SignedDuration::from_mins(10), &mut |_| panic!("nothing more is sent")).await;
    let delivery = world.only_delivery().await;
    (json!([before, delivery["state"], delivery["log"].as_array().unwrap().len()]), delivery["reason"].clone())
}

#[tokio::test]
async fn p6_an_attempt_under_way_when_its_rule_is_switched_off_is_not_tried_again() {
    for attempt in [1, 2] {
        let (log, reason) = Box::pin(switched_off_during(attempt, DOWN)).await;
        assert_eq!(log, json!([0, "cancelled", attempt]), "attempt {attempt}");
        assert_eq!(reason, "the Tracking API was switched off or deleted");
        let (log, _) = Box::pin(switched_off_during(attempt, OK)).await;
        assert_eq!(log, json!([0, "delivered", attempt]), "attempt {attempt}");
    }
}

#[tokio::test]
async fn p6_cancelled_at_the_answer_not_when_the_retry_falls_due() {
    let world = World::temporary();
    let id = world.rule(&Caller::Admin, rule()).await;
    world.post(&[sale(1)]).await.unwrap();
    let received = world.pick(1).pop().unwrap();
    let ClaimOutcome::Send(claimed) = world.engine().worker().claim(&received).await.unwrap() else { panic!("it is to be sent") };
    world.engine().writer().delete_rule(&Caller::Admin, &id, None).await.unwrap();
    world.engine().deliveries().conclude(*claimed, DOWN.sent()).await.unwrap();
    assert_eq!(world.only_delivery().await["state"], "cancelled");
}

#[tokio::test]
async fn earlier_attempts_are_forgotten_soon_after_their_delivery() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule()).await;
    world.post(&[sale(1)]).await.unwrap();
    let mut replies = [DOWN, DOWN, OK].into_iter();
    world.pass(SignedDuration::from_mins(10), &mut |_| replies.next().unwrap()).await;
    assert_eq!(world.only_delivery().await["log"].as_array().unwrap().len(), 3);
    world.clock.pass(SignedDuration::from_hours(24 * 89));
    assert_eq!(world.store().purge(world.clock.now()).await.unwrap(), 0);
    world.clock.pass(SignedDuration::from_hours(24 * 47));
    assert_eq!(
        world.store().purge(world.clock.now()).await.unwrap(),
        4,
        "the delivery, two earlier attempts, and its receiver's health"
    );
}

/// Sends the first attempt of a rule with a secret and takes this answer. Returns the delivery, and the URL of the next attempt.
async fn answered(secret: &str, answer: &Value, given: Response) -> (Value, String) {
    let mut world = World::temporary();
    let rule = json!({
        "name": "r", "secret_values": {"t": secret}, "answer": answer,
        "request": {"url": "http://127.0.0.1:9/p?v={var.echoed}", "headers": [{"name": "X-T", "value": "{secret.t}"}]},
        "retry": {"delay_seconds": 60, "backoff": "fixed"},
    });
    world.rule(&Caller::Admin, rule).await;
    world.post(&[sale(1)]).await.unwrap();
    let received = world.pick(1).pop().unwrap();
    let ClaimOutcome::Send(claimed) = world.engine().worker().claim(&received).await.unwrap() else { panic!("it is to be sent") };
    world.engine().deliveries().conclude(*claimed, Ok(given)).await.unwrap();
    let delivery = world.only_delivery().await;
    world.pass(SignedDuration::from_mins(2), &mut |_| OK).await;
    (delivery, world.arrivals.first().map(|arrival| arrival.url.clone()).unwrap_or_default())
}

#[tokio::test]
async fn f8_set_and_notes_see_the_mask() {
    let secret = format!("Mixed-Case/{}", "Zx9Qv7Lm2Wk4".repeat(8));
    let set = json!({"payout": "{body.note}", "variables": {"echoed": "{header.x-e|lower}"}});
    let rules = json!({"rules": [{"when": [{"source": "body", "key": "s", "operator": "equals", "value": "ok"}], "then": "pending", "set": set}]});
    let body = json!({"s": "ok", "note": secret}).to_string();
    let given = Response::new(200, vec![("X-E".to_owned(), format!("got {secret}"))], body.into_bytes());
    let (delivery, next) = Box::pin(answered(&secret, &rules, given)).await;
    assert_eq!(delivery["state"], "waiting", "the answer is judged: {delivery}");
    assert_eq!(delivery["log"][0]["answer"], r#"{"note":"***","s":"ok"}"#);
    let note = delivery["log"][0]["error"].as_str().unwrap();
    assert!(note.starts_with(r#"/answer/rules/0/set/payout: "***" is "#), "{note}");
    assert_eq!(next, "http://127.0.0.1:9/p?v=got%20%2A%2A%2A");
}

#[tokio::test]
async fn f8_a_masked_answer_stays_json_and_conditions_see_the_mask() {
    let when = json!([
        {"source": "body", "key": "list[1]", "operator": "equals", "value": "***"},
        {"source": "body", "key": "total", "operator": "equals", "value": "7"},
        {"source": "header", "key": "x-e", "operator": "equals", "value": "id=***"},
    ]);
    let rules = json!({"rules": [{"when": when, "then": "delivered"}], "otherwise": "failed"});
    let body = br#"{"total": 7, "list": [123, 12345, -12345.5, "n 12345", true], "12345": null}"#.to_vec();
    let given = Response::new(200, vec![("x-e".to_owned(), "id=12345".to_owned())], body);
    let (delivery, _) = Box::pin(answered("12345", &rules, given)).await;
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(delivery["log"][0]["answer"], r#"{"total": 7, "list": [123, "***", "***", "n ***", true], "***": null}"#);
}

#[tokio::test]
async fn f8_more_encodings_are_masked() {
    let echo = "hex 5a783951763f3e7e376b or 5A783951763F3E7E376B, any case ZX9QV?>~7K, base64 Wng5UXY/Pn43aw== Wng5UXY_Pn43aw, \
                in a longer one eDpaeDlRdj8-fjdrLg==, json Zx9Qv?\\u003e~7k, js Zx9Qv\\x3f\\x3E~7k";
    let given = Response::new(200, Vec::new(), echo.as_bytes().to_vec());
    let (delivery, _) = Box::pin(answered("Zx9Qv?>~7k", &json!({}), given)).await;
    assert_eq!(
        delivery["log"][0]["answer"],
        "hex *** or ***, any case ***, base64 *** ***, in a longer one eDp***Lg==, json ***, js ***"
    );
}
