//! The contents of a flow's requests and events (W7, W8, W16).

use super::*;

#[tokio::test]
async fn w7_requests_name_step_and_run_in_headers_and_in_the_id_of_a_signature() {
    let mut rule =
        flow(json!([call("one", "one?n={attempt}&m={step_attempt}"), call("two", "two?n={attempt}&m={step_attempt}")]));
    rule["signing"] = json!({"secret": "key"});
    rule["secret_values"] = json!({"key": "k-1"});
    rule["steps"][1]["retry"] = json!({"max_retries": 1, "delay_seconds": 1, "backoff": "fixed"});
    let mut world = begun(rule).await;
    world
        .pass(SignedDuration::from_mins(1), &mut |arrival| {
            if arrival.url.contains("n=2") { Reply::Says(503, "down") } else { OK }
        })
        .await;
    assert_eq!(paths(&world.arrivals), ["one?n=1&m=1", "two?n=2&m=1", "two?n=3&m=2"]);
    let id = world.only_delivery().await["id"].as_str().unwrap().to_owned();
    for (arrival, step) in world.arrivals.iter().zip(["one", "two", "two"]) {
        let headers =
            ["Tracking-Delivery-Id", "Tracking-Step", "Tracking-Run", "webhook-id"].map(|name| header(arrival, name).to_owned());
        assert_eq!(headers, [id.clone(), step.to_owned(), "1".to_owned(), format!("{id}/{step}/1")]);
    }
}

#[tokio::test]
async fn w7_a_rule_with_one_request_is_signed_with_the_delivery_s_id() {
    let rule = json!({"name": "r", "request": {"url": url("p")}, "signing": {"secret": "key"}, "secret_values": {"key": "k-1"}});
    let mut world = begun(rule).await;
    world.work_all(&mut |_| OK).await;
    let [arrival] = &world.arrivals[..] else { panic!("one request") };
    assert_eq!(header(arrival, "webhook-id"), arrival.delivery_id);
    assert!(!arrival.headers.iter().any(|(name, _)| name == "Tracking-Step" || name == "Tracking-Run"));
}

#[tokio::test]
async fn w8_what_holds_a_secret_variable_is_in_no_reason_event_or_log() {
    let set = json!({"variables": {"token": {"value": "{body.token}", "secret": true}, "echo": "{body.echo}"}});
    let rules = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set}]});
    let steps = json!([
        with(call("one", "one"), json!({"answer": rules})),
        {"name": "copied", "set": {"variables": {"copy": "{var.echo}"}}},
        {"name": "rest", "wait": {"seconds": 60}},
        {"name": "later", "set": {"variables": {"late": "{steps.one.body.echo}"}}},
        call("two", "two?t={var.token}&e={var.echo}&c={var.copy}&l={var.late}&s={steps.one.body.echo}"),
        {"name": "over", "fail": {"reason": "over: {var.copy}, {steps.one.body.echo}"}},
    ]);
    let mut world = begun(flow(steps)).await;
    let body = Reply::Body(200, r#"{"token": "t-o-k-e-n", "echo": "it is t-o-k-e-n"}"#);
    world.pass(SignedDuration::from_mins(5), &mut |_| body).await;
    let echo = "it%20is%20t-o-k-e-n";
    assert_eq!(paths(&world.arrivals)[1], format!("two?t=t-o-k-e-n&e={echo}&c={echo}&l={echo}&s={echo}"));
    let delivery = world.only_delivery().await;
    ends(&delivery, "failed", "step over: over: ***, ***");
    assert!(!delivery.to_string().contains("t-o-k-e-n"), "{delivery}");
    let published = format!("{:?}", world.store().published(None, 100).unwrap());
    assert!(published.contains("Delivery Ended") && !published.contains("t-o-k-e-n"), "{published}");
}

#[tokio::test]
async fn w16_each_request_s_events_have_their_own_event_id_and_a_repeat_has_the_same() {
    let set = |id: &str| json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": {"external_id": id}}]});
    let steps =
        json!([with(call("one", "one"), json!({"answer": set("a")})), with(call("two", "two"), json!({"answer": set("b")}))]);
    let mut world = begun(flow(steps)).await;
    let received = world.pick(1).remove(0);
    let engine = world.engine();
    let ClaimOutcome::Send(one) = engine.worker().claim(&received).await.unwrap() else { panic!("it is sent") };
    assert!(engine.deliveries().conclude(*one, OK.sent()).await.unwrap().is_some(), "the second step follows at once");
    // The process dies here: the message comes again, and with it the published events.
    let mut again = received;
    again.receive_id.push_str("-again");
    again.redelivered = true;
    world.work(&again, &mut |_| OK).await.unwrap();
    world.work_all(&mut |_| OK).await;
    let id = DeliveryId::parse(world.only_delivery().await["id"].as_str().unwrap()).unwrap();
    world.engine().operator().resend(&Caller::Admin, &id, &json!({"force": true})).await.unwrap();
    world.clock.pass(SignedDuration::from_secs(1));
    world.work_all(&mut |_| OK).await;
    let published = world.store().published(None, 100).unwrap();
    let mut events: Vec<(u64, String)> = published
        .iter()
        .map(|event| (event.detail["attempt"].as_u64().unwrap(), event.detail["event_id"].as_str().unwrap().to_owned()))
        .collect();
    events.sort();
    events.dedup();
    let attempts: Vec<u64> = events.iter().map(|(attempt, _)| *attempt).collect();
    assert_eq!(
        attempts,
        [1, 2, 3, 4],
        "one id for each request, the resend's included: {published:?} {:?}",
        world.only_delivery().await
    );
    let ids: std::collections::BTreeSet<&String> = events.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.iter().all(|id| id.starts_with("evt_")), "{ids:?}");
}
