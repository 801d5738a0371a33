//! Callbacks (W17).

use tracking_engine::{
    IncomingRequest,
    backend::{Backend as _, Order, Partition, Range},
    rules::{New, Refused},
};

use tracking_tests::crash::Cut;

use super::*;

/// Returns a request with this body.
pub(super) fn sent(body: &str) -> IncomingRequest {
    IncomingRequest { method: "POST".to_owned(), query: String::new(), headers: Vec::new(), body: body.as_bytes().to_vec() }
}

/// Returns a flow that creates an order, waits for the callback, and reports its content.
fn confirmed(listen: Value) -> Value {
    let create = json!({"name": "create", "call": {"method": "POST", "url": url("create"),
        "body": {"format": "json", "fields": [{"path": "callback", "value": "{callback_url}"}]}}});
    flow(json!([create, with(json!({"name": "confirm"}), listen), call("report", "report?amount={var.amount}")]))
}

fn listens() -> Value {
    let rules = json!([
        {"when": when("status", "equals", "waits"), "then": "pending"},
        {"when": when("status", "equals", "no"), "then": "failed"},
        {"when": when("status", "equals", "approved"), "then": "delivered",
         "set": {"result": "{body.status}", "variables": {"amount": "{body.amount}"}}},
    ]);
    json!({"listen": {"timeout_seconds": 3_600, "answer": {"rules": rules}}})
}

/// Returns the token of the callback URL that a request held.
#[track_caller]
fn token(arrival: &Arrival) -> String {
    let body = json::parse(arrival.body.as_deref().unwrap().as_bytes()).unwrap();
    let url = body["callback"].as_str().unwrap();
    url.strip_prefix("https://tracking.example/callbacks/").unwrap_or_else(|| panic!("{url}")).to_owned()
}

async fn call_back(world: &World, token: &str, body: &str) -> Result<(), Refused> {
    world.call_back(token, sent(body)).await
}

/// Returns the results that were published to the platform.
fn results(world: &World) -> Vec<Value> {
    let published = world.store().published(None, 1_000).unwrap();
    let received = published.iter().filter(|event| event.detail_type == "Conversion Result Received");
    received.map(|event| json::parse(event.detail.to_string().as_bytes()).unwrap()).collect()
}

const APPROVED: &str = r#"{"status": "approved", "amount": "12.50"}"#;

#[tokio::test]
async fn w17_a_flow_waits_for_its_callback_and_goes_on_with_what_it_says() {
    let mut world = begun(confirmed(listens())).await;
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["create"]);
    let waiting = world.only_delivery().await;
    assert_eq!((waiting["state"].as_str(), waiting["step"].as_str()), (Some("waiting"), Some("confirm")), "{waiting}");
    assert_eq!(waiting["reason"], "step confirm waits for its callback until 2026-11-22T10:00:00Z");
    assert_eq!(waiting["next_due"], "2026-11-22T10:00:00Z");
    let shown = waiting["log"][0]["request"]["body"].as_str().unwrap();
    assert_eq!(shown, r#"{"callback":"***"}"#, "the URL is hidden: its holder may answer");
    let token = token(&world.arrivals[0]);
    call_back(&world, &token, APPROVED).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["create", "report?amount=12.50"]);
    let delivery = world.only_delivery().await;
    ends(&delivery, "delivered", "delivered: status 200");
    let callback = &delivery["callbacks"][0];
    assert_eq!((callback["step"].as_str(), callback["verdict"].as_str()), (Some("confirm"), Some("delivered")), "{delivery}");
    assert_eq!(callback["request"]["body"], APPROVED);
    let results = results(&world);
    assert_eq!((results.len(), results[0]["result"].as_str()), (1, Some("approved")), "{results:?}");
    // A repeat is accepted, another callback is refused.
    call_back(&world, &token, APPROVED).await.unwrap();
    let late = call_back(&world, &token, r#"{"status": "no"}"#).await.unwrap_err();
    assert_eq!(late, Refused::Gone("the step has ended: this callback is taken no more".to_owned()));
    world.pass(SignedDuration::from_hours(3), &mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 2);
    assert_eq!(world.only_delivery().await["state"], "delivered");
}

#[tokio::test]
async fn w17_a_callback_that_comes_before_its_step_is_read_when_the_step_begins() {
    let rest = json!({"name": "rest", "wait": {"seconds": 600}});
    let mut rule = confirmed(listens());
    rule["steps"].as_array_mut().unwrap().insert(1, rest);
    let mut world = begun(rule).await;
    world.work_all(&mut |_| OK).await;
    let token = token(&world.arrivals[0]);
    call_back(&world, &token, APPROVED).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["create"], "its step has not begun");
    world.restart();
    world.pass(SignedDuration::from_mins(11), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["create", "report?amount=12.50"]);
}

#[tokio::test]
async fn w17_a_callback_that_comes_while_the_request_runs_is_read() {
    let mut world = begun(confirmed(listens())).await;
    let (engine, received) = (world.engine(), world.pick(1).pop().unwrap());
    let ClaimOutcome::Send(claimed) = Box::pin(engine.worker().claim(&received)).await.unwrap() else {
        panic!("nothing to send")
    };
    let request = claimed.request().unwrap();
    let body = String::from_utf8(request.body.unwrap()).unwrap();
    let token = body.rsplit('/').next().unwrap().trim_end_matches("\"}").to_owned();
    call_back(&world, &token, APPROVED).await.unwrap();
    assert!(Box::pin(engine.deliveries().conclude(*claimed, OK.sent())).await.unwrap().is_none());
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["report?amount=12.50"]);
}

#[tokio::test]
async fn w17_the_url_is_the_same_in_each_retry_and_another_after_a_resend() {
    let mut world = begun(confirmed(listens())).await;
    let mut tries = 0;
    let mut reply = move |_: &Arrival| {
        tries += 1;
        if tries < 3 { Reply::Says(503, "later") } else { OK }
    };
    world.pass(SignedDuration::from_mins(30), &mut reply).await;
    let tokens: Vec<String> = world.arrivals.iter().map(token).collect();
    assert_eq!((tokens.len(), &tokens[0]), (3, &tokens[2]));
    call_back(&world, &tokens[0], r#"{"status": "no"}"#).await.unwrap();
    world.work_all(&mut |_| OK).await;
    let delivery = world.only_delivery().await;
    ends(&delivery, "failed", "step confirm: failed: a callback, answer rule 2");
    let id = DeliveryId::parse(delivery["id"].as_str().unwrap()).unwrap();
    world.engine().operator().resend(&Caller::Admin, &id, &json!({})).await.unwrap();
    world.work_all(&mut |_| OK).await;
    let after = token(world.arrivals.last().unwrap());
    assert_ne!(after, tokens[0]);
    assert!(matches!(call_back(&world, &tokens[0], APPROVED).await, Err(Refused::Gone(_))), "it was for the flow before");
    call_back(&world, &after, APPROVED).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.only_delivery().await["state"], "delivered");
}

#[tokio::test]
async fn w17_pending_keeps_listening_and_a_run_takes_31_callbacks() {
    let mut world = begun(confirmed(listens())).await;
    world.work_all(&mut |_| OK).await;
    let token = token(&world.arrivals[0]);
    for number in 0..31 {
        call_back(&world, &token, &format!(r#"{{"status": "waits", "number": {number}}}"#)).await.unwrap();
        world.work_all(&mut |_| OK).await;
    }
    let listening = world.only_delivery().await;
    assert_eq!((listening["state"].as_str(), listening["callbacks"].as_array().unwrap().len()), (Some("waiting"), 31));
    let refused = call_back(&world, &token, APPROVED).await.unwrap_err();
    assert!(matches!(refused, Refused::TooMany(_)), "{refused:?}");
    call_back(&world, &token, r#"{"status": "waits", "number": 7}"#).await.unwrap();
    world.pass(SignedDuration::from_hours(2), &mut |_| OK).await;
    ends(&world.only_delivery().await, "unresolved", "step confirm: no callback came within 3600 s that ended it");
    assert_eq!(paths(&world.arrivals), ["create"]);
}

#[tokio::test]
async fn f10_a_run_stores_256_kib_of_callbacks_and_none_that_was_read() {
    let mut world = begun(confirmed(listens())).await;
    world.work_all(&mut |_| OK).await;
    let token = token(&world.arrivals[0]);
    let id = world.only_delivery().await["id"].as_str().unwrap().to_owned();
    let contents = async |world: &World| {
        let partition = Partition::Table(format!("C#{}", &id[4..20]));
        world.store().query(&partition, &Range::prefix("CC#"), Order::Ascending, 100).await.unwrap().len()
    };
    let body = |number: u32| format!(r#"{{"status": "waits", "number": {number}, "pad": "{}"}}"#, "x".repeat(60_000));
    for number in 0..4 {
        call_back(&world, &token, &body(number)).await.unwrap();
    }
    assert!(matches!(call_back(&world, &token, &body(4)).await, Err(Refused::TooMany(_))));
    assert_eq!(contents(&world).await, 4);
    world.work_all(&mut |_| OK).await;
    assert_eq!(contents(&world).await, 0);
    call_back(&world, &token, &body(0)).await.unwrap();
    assert!(matches!(call_back(&world, &token, &body(4)).await, Err(Refused::TooMany(_))), "what was read counts");
    call_back(&world, &token, APPROVED).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.only_delivery().await["state"], "delivered");
}

#[tokio::test]
async fn f5_an_owner_s_callbacks_have_a_share() {
    let mut world = begun(confirmed(listens())).await;
    world.work_all(&mut |_| OK).await;
    let token = token(&world.arrivals[0]);
    let writes = world.fate().writes();
    let mut stored = 0;
    while call_back(&world, &token, &format!(r#"{{"pad": "{}"}}"#, "x".repeat(60_000))).await.is_ok() {
        stored += 1;
    }
    assert!((200..300).contains(&stored), "{stored} of 64 KB are 16 MiB");
    assert_eq!(world.fate().writes() - writes, 2 + stored, "stored once, with a message each time");
    assert!(matches!(call_back(&world, &token, "{}").await, Err(Refused::TooMany(_))));
    world.clock.pass(SignedDuration::from_secs(1));
    call_back(&world, &token, APPROVED).await.unwrap();
}

#[tokio::test]
async fn w17_what_follows_if_nothing_comes() {
    let mut world = begun(confirmed(listens())).await;
    world.pass(SignedDuration::from_mins(59), &mut |_| OK).await;
    assert_eq!(world.only_delivery().await["state"], "waiting");
    world.pass(SignedDuration::from_mins(2), &mut |_| OK).await;
    ends(&world.only_delivery().await, "expired", "step confirm: no callback came within 3600 s that ended it");
    let mut world = begun(confirmed(with(listens(), json!({"on_timeout": "report"})))).await;
    world.pass(SignedDuration::from_mins(61), &mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["create", "report?amount="]);
    let mut world = begun(confirmed(with(listens(), json!({"on_timeout": "fail"})))).await;
    world.pass(SignedDuration::from_mins(61), &mut |_| OK).await;
    ends(&world.only_delivery().await, "failed", "step confirm: no callback came within 3600 s that ended it");
}

#[tokio::test]
async fn w17_forged_truncated_and_foreign_tokens_are_refused_and_write_nothing() {
    let mut world = begun(confirmed(listens())).await;
    world.work_all(&mut |_| OK).await;
    let token = token(&world.arrivals[0]);
    let mut flipped = token.clone().into_bytes();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let before = world.fate().writes();
    for forged in [&token[..token.len() - 1], &token[1..], &flipped, "", "trial", "A", &"A".repeat(10_000)] {
        assert!(world.engine().callbacks().find(forged).await.unwrap().is_none(), "{forged}");
        assert_eq!(call_back(&world, forged, APPROVED).await, Err(Refused::NotFound), "{forged}");
    }
    assert_eq!(world.fate().writes(), before);
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.only_delivery().await["callbacks"].as_array().unwrap().len(), 0);
    // The token of another delivery is valid for that delivery.
    world.post(&[sale_of("cnv_2", "chg_9")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    let other = super::callbacks::token(world.arrivals.last().unwrap());
    assert_ne!(other, token);
    call_back(&world, &other, APPROVED).await.unwrap();
    world.work_all(&mut |_| OK).await;
    let log = world.log(&DeliveryFilter::default()).await;
    let state = |conversion: &str| log.iter().find(|entry| entry["conversion_id"] == conversion).unwrap()["state"].clone();
    assert_eq!((state("cnv_1"), state("cnv_2")), (json!("waiting"), json!("delivered")));
}

/// Returns a sale of another conversion.
pub(super) fn sale_of(conversion: &str, change_id: &str) -> Value {
    let members = json!({"conversion_id": conversion, "version": 1, "change": "created", "external_id": "X-78"});
    event(change_id, members, json!([transaction("trx_9", "created", "pending")]))
}

#[tokio::test]
async fn w13_a_resend_from_a_step_that_waits_for_a_callback_names_the_step_that_gives_its_url() {
    let mut world = begun(confirmed(listens())).await;
    world.pass(SignedDuration::from_mins(61), &mut |_| OK).await;
    let id = DeliveryId::parse(world.only_delivery().await["id"].as_str().unwrap()).unwrap();
    let resend = async |step: &str| {
        let engine = world.engine();
        engine.operator().resend(&Caller::Admin, &id, &json!({"from_step": step})).await.map_err(|refused| refused.to_string())
    };
    let refused = resend("confirm").await.unwrap_err();
    let why = "/from_step: confirm waits for a callback, and only an earlier step sends its URL: write \"create\"";
    assert!(refused.contains(why), "{refused}");
    resend("create").await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["create", "create"]);
    call_back(&world, &token(&world.arrivals[1]), APPROVED).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.only_delivery().await["state"], "delivered");
}

#[tokio::test]
async fn w17_a_link_without_a_body_is_read_by_its_query() {
    let mut world = begun(confirmed(listens())).await;
    world.work_all(&mut |_| OK).await;
    let token = token(&world.arrivals[0]);
    let query = "status=approved&amount=7.10".to_owned();
    let link = IncomingRequest { method: "GET".to_owned(), query, headers: Vec::new(), body: Vec::new() };
    world.call_back(&token, link).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["create", "report?amount=7.10"]);
}

#[tokio::test]
async fn w17_rules_that_could_not_work_are_refused_with_every_fault() {
    let world = World::temporary();
    let refused = async |steps: Value| match world
        .engine()
        .writer()
        .create_rule(&Caller::Admin, &flow(steps), New::Random([0; 16]))
        .await
    {
        Err(Refused::Faults(faults)) => faults.to_string(),
        other => panic!("{other:?}"),
    };
    let listen = json!({"name": "confirm", "listen": {}});
    let faults = refused(json!([call("create", "create"), listen])).await;
    assert!(faults.contains("no text holds {callback_url.confirm}: nobody would learn where to call"), "{faults}");
    let faults = refused(json!([call("create", "create?u={callback_url}")])).await;
    assert!(faults.contains("{callback_url} names no step that listens at a URL"), "{faults}");
    let faults = refused(json!([call("create", "create?u={callback_url}"), listen, {"name": "b", "listen": {}}])).await;
    assert!(faults.contains("several listen: write {callback_url.STEP}"), "{faults}");
    let open = json!({"name": "confirm", "listen": {"verify": {"incoming": "{header.x-key}", "expected": "{body.key}"}}});
    let faults = refused(json!([call("create", "create?u={callback_url}"), open])).await;
    assert!(faults.contains("/steps/1/listen/verify/expected: reads no secret"), "{faults}");
    let foreign = json!({"name": "confirm", "listen": {"match": {"waiting": "{external_id}", "incoming": "{external_id}"}}});
    let faults = refused(json!([call("create", "create"), foreign])).await;
    assert!(faults.contains("/steps/1/listen/match/incoming: {external_id} is not known yet when a request comes"), "{faults}");
    let again = json!({"rules": [{"when": when("s", "equals", "w"), "then": "pending", "go": "create"}]});
    let faults =
        refused(json!([call("create", "create?u={callback_url}"), {"name": "confirm", "listen": {"answer": again}}])).await;
    assert!(faults.contains("/steps/1/listen/answer/rules/0/go: after pending or retry the step goes on listening"), "{faults}");
}

#[tokio::test]
async fn w17_after_a_crash_at_the_last_callback_the_end_is_published_once() {
    let mut crashes = 0;
    for (body, state, kinds) in [(APPROVED, "delivered", 1), (r#"{"status": "no"}"#, "failed", 1)] {
        for cut in [Cut::Before, Cut::After] {
            for at in 1..40 {
                let mut rule = confirmed(listens());
                rule["steps"].as_array_mut().unwrap().pop();
                let mut world = begun(rule).await;
                world.work_all(&mut |_| OK).await;
                let token = token(&world.arrivals[0]);
                call_back(&world, &token, body).await.unwrap();
                let has_died = survived(&mut world, at, cut).await;
                crashes += u32::from(has_died);
                assert_eq!(world.only_delivery().await["state"], state, "{cut:?} {at}");
                let published = world.store().published(None, 1_000).unwrap();
                let ids = published.iter().map(|event| event.detail["event_id"].to_string());
                assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), kinds, "{cut:?} {at} {state}");
                if !has_died {
                    break;
                }
            }
        }
    }
    assert!(crashes > 8, "{crashes}");
}

#[tokio::test]
async fn w17_what_is_no_secret_is_published_as_it_is() {
    let rules = json!([{"when": [{"operator": "always"}], "then": "delivered",
        "set": {"external_id": "{body.ref}", "variables": {"ref": "{body.ref}", "token": {"value": "{body.token}", "secret": true}}}}]);
    let create = json!({"name": "create", "call": {"method": "POST", "url": url("leads?ref={transaction_id}"),
        "body": {"format": "json", "fields": [{"path": "callback", "value": "{callback_url}"}]}}});
    let mut world = begun(flow(json!([create, {"name": "hear", "listen": {"answer": {"rules": rules}}}]))).await;
    world.work_all(&mut |_| OK).await;
    let token = token(&world.arrivals[0]);
    let query = "ref=trx_1&token=t0p-s3cr3t-value".to_owned();
    let link = IncomingRequest { method: "GET".to_owned(), query, headers: Vec::new(), body: Vec::new() };
    world.call_back(&token, link).await.unwrap();
    world.work_all(&mut |_| OK).await;
    let results = results(&world);
    assert_eq!(
        (results[0]["external_id"].as_str(), results[0]["variables"]["ref"].as_str()),
        (Some("trx_1"), Some("trx_1")),
        "{results:?}"
    );
    let shown = world.only_delivery().await.to_string();
    assert!(!shown.contains("t0p-s3cr3t-value"), "{shown}");
    assert!(shown.contains("ref=trx_1"), "{shown}");
}

/// Works all messages that are due until the machine dies, or to the end; then restarts it, and lets two hours pass.
async fn survived(world: &mut World, crash: u64, cut: Cut) -> bool {
    world.fate().crash_at(crash, cut);
    while let Some(received) = world.pick(1).pop() {
        if world.work(&received, &mut |_| OK).await.is_err() {
            break;
        }
    }
    let has_died = world.fate().is_down();
    world.fate().revive();
    world.restart();
    world.pass(SignedDuration::from_hours(2), &mut |_| OK).await;
    has_died
}

#[tokio::test]
async fn w17_a_crash_at_any_write_loses_no_callback_and_reads_none_twice() {
    let mut crashes = 0;
    for cut in [Cut::Before, Cut::After] {
        for at in 1..60 {
            let mut rule = confirmed(listens());
            rule["steps"][2]["retry"] = json!({"max_retries": 3, "delay_seconds": 1, "backoff": "fixed"});
            let mut world = begun(rule).await;
            world.work_all(&mut |_| OK).await;
            let token = token(&world.arrivals[0]);
            call_back(&world, &token, r#"{"status": "waits"}"#).await.unwrap();
            world.clock.pass(SignedDuration::from_secs(1));
            call_back(&world, &token, APPROVED).await.unwrap();
            let has_died = survived(&mut world, at, cut).await;
            crashes += u32::from(has_died);
            let delivery = world.only_delivery().await;
            assert_eq!(delivery["state"], "delivered", "{cut:?} {at}: {delivery}");
            let verdicts: Vec<_> = delivery["callbacks"].as_array().unwrap().iter().map(|one| one["verdict"].as_str()).collect();
            assert_eq!(verdicts, [Some("pending"), Some("delivered")], "{cut:?} {at}");
            let ids: std::collections::BTreeSet<_> = results(&world).iter().map(|event| event["event_id"].to_string()).collect();
            assert_eq!(ids.len(), 1, "{cut:?} {at}: {:?}", results(&world));
            let mut reports: Vec<_> = world.arrivals[1..].iter().map(|arrival| (arrival.attempt, arrival.url.clone())).collect();
            let all = reports.len();
            reports.dedup();
            assert!(all >= 1 && reports.len() == all, "{cut:?} {at}: {reports:?}");
            if !has_died {
                break;
            }
        }
    }
    assert!(crashes > 12, "{crashes}");
}
