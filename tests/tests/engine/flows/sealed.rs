//! Secret variables at rest: sealed in the delivery's row (W8).

use tracking_engine::backend::{Backend as _, Effects, Item, Key};

use super::*;

const FIRST: Reply = Reply::Body(200, r#"{"status": "pending", "session": "s-e-s-s-i-o-n", "id": "L-17"}"#);

fn set() -> Value {
    json!({"variables": {"session": {"value": "{body.session}", "secret": true}, "id": "{body.id}"}})
}

/// Returns a flow and a rule with one request. The first response sets a secret variable and another one, and the second request reads
/// them.
fn rules() -> [Value; 2] {
    let reads = "two?s={var.session}&id={var.id}";
    let pending = json!({"rules": [{"when": when("status", "equals", "pending"), "then": "pending", "set": set()}]});
    let always = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set()}]});
    let retry = json!({"max_retries": 1, "delay_seconds": 60, "backoff": "fixed"});
    [
        flow(
            json!([with(call("one", "one"), json!({"answer": always})), {"name": "rest", "wait": {"seconds": 60}}, call("two", reads)]),
        ),
        json!({"name": "one request", "request": {"url": url(reads)}, "answer": pending, "retry": retry}),
    ]
}

/// Returns a delivery after its first response, and its row.
async fn waiting(rule: Value, change: &str) -> (World, Item) {
    let world = World::temporary();
    world.rule(&Caller::Admin, rule).await;
    world.post(&[sale(change, 1)]).await.unwrap();
    let mut world = world;
    world.work_all(&mut |_| FIRST).await;
    assert_eq!(world.arrivals.len(), 1);
    let row = row(&world).await;
    (world, row)
}

async fn row(world: &World) -> Item {
    let id = world.only_delivery().await["id"].as_str().unwrap().to_owned();
    let key = Key::new(format!("C#{}", &id[4..20]), format!("D#{id}"));
    world.engine().backend().get(&[key]).await.unwrap().remove(0).unwrap()
}

async fn put(world: &World, row: Item) {
    let effects = Effects { put: vec![row], ..Effects::default() };
    world.engine().backend().commit(vec![effects]).await.remove(0).unwrap();
}

fn body_of(row: &Item) -> Value {
    json::parse(row.body.as_bytes()).unwrap()
}

#[tokio::test]
async fn w8_secret_variables_are_sealed_in_the_row_of_their_delivery() {
    for rule in rules() {
        let (mut world, row) = waiting(rule, "chg_1").await;
        assert!(!row.body.contains("s-e-s-s-i-o-n"), "{}", row.body);
        let data = &body_of(&row)["d"];
        assert_eq!((&data["variables"]["id"], &data["secret_variables"]), (&json!("L-17"), &json!(["session"])));
        assert!(data["sealed"].as_str().unwrap().starts_with("2:"), "{data}");
        world.pass(SignedDuration::from_mins(5), &mut |_| OK).await;
        assert_eq!(paths(&world.arrivals[1..]), ["two?s=s-e-s-s-i-o-n&id=L-17"]);
        assert_eq!(world.only_delivery().await["state"], "delivered");
    }
}

#[tokio::test]
async fn w8_a_row_that_an_earlier_version_left_unsealed_is_read_and_sealed() {
    for rule in rules() {
        let (mut world, row) = waiting(rule, "chg_1").await;
        let mut body = body_of(&row);
        let sealed = body["d"].as_object_mut().unwrap().remove("sealed");
        assert!(sealed.is_some());
        body["d"]["variables"]["session"] = "s-e-s-s-i-o-n".into();
        put(&world, Item { body: body.to_string(), ..row }).await;
        world.pass(SignedDuration::from_mins(5), &mut |_| OK).await;
        assert_eq!(paths(&world.arrivals[1..]), ["two?s=s-e-s-s-i-o-n&id=L-17"]);
        let row = self::row(&world).await;
        assert!(!row.body.contains("s-e-s-s-i-o-n"), "{}", row.body);
    }
}

#[tokio::test]
async fn w8_sealed_variables_open_in_their_own_row_alone() {
    for (rule, same) in rules().into_iter().zip(rules()) {
        let (_, other) = waiting(same, "chg_other").await;
        let (world, row) = waiting(rule, "chg_1").await;
        let mut body = body_of(&row);
        body["d"]["sealed"] = body_of(&other)["d"]["sealed"].clone();
        put(&world, Item { body: body.to_string(), ..row }).await;
        world.clock.pass(SignedDuration::from_mins(2));
        let received = world.pick(1).remove(0);
        let refused = world.engine().worker().claim(&received).await.unwrap_err();
        assert!(refused.to_string().contains("a secret does not open"), "{refused}");
        assert_eq!(world.arrivals.len(), 1, "nothing is sent");
    }
}

/// Returns a rule whose login gives the token under two names: the rule declares one as secret and keeps the other.
fn says_it_twice() -> Value {
    let kept = json!({"variables": {
        "token": {"value": "{body.token}", "secret": true},
        "session": {"value": "{body.session}", "keep_seconds": "600"},
    }});
    let answer = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": kept}]});
    let login = with(
        call("login", "login"),
        json!({
            "when": [{"source": "variable", "key": "session", "operator": "is_empty"}], "answer": answer,
        }),
    );
    flow(json!([login, call("report", "report?s={var.session}")]))
}

#[tokio::test]
async fn w8_a_kept_variable_that_held_a_secret_is_masked_in_later_deliveries() {
    const TOKEN: Reply = Reply::Body(200, r#"{"token": "t-o-k-e-n", "session": "t-o-k-e-n"}"#);
    let mut world = World::temporary();
    world.rule(&Caller::Admin, says_it_twice()).await;
    for change in ["chg_1", "chg_2"] {
        world.post(&[sale(change, 1)]).await.unwrap();
        world.work_all(&mut |_| TOKEN).await;
    }
    assert_eq!(paths(&world.arrivals), ["login", "report?s=t-o-k-e-n", "report?s=t-o-k-e-n"]);
    for listed in world.log(&DeliveryFilter::default()).await {
        let id = DeliveryId::parse(listed["id"].as_str().unwrap()).unwrap();
        let shown = world.engine().log().delivery(&Caller::Admin, &id).await.unwrap().to_string();
        assert!(shown.contains("report") && !shown.contains("t-o-k-e-n"), "{shown}");
    }
}
