//! 20 rules an affiliate unless an admin raises it (V3).

use futures_util::future::join_all;
use serde_json::{Value, json};
use tracking_engine::backend::Key;

use crate::support::{ADMIN, Api, Response};

const FULL: &str = "20 of 20 rules are in use: delete one, or ask an admin to raise the quota";

fn rule(name: &str) -> Value {
    json!({"name": name, "request": {"url": "http://127.0.0.1:1/p?t={transaction_id}"}})
}

async fn create(api: &Api, who: &str) -> Response {
    api.call(who, "POST /tracking-apis", rule("x")).await
}

async fn fill(api: &Api, who: &str, rules: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..rules {
        ids.push(api.rule(who, "x", Value::Null).await);
    }
    ids
}

async fn quota(api: &Api, affiliate: &str) -> Value {
    api.get(ADMIN, &format!("/affiliates/{affiliate}/quota")).await.body
}

/// Removes a row behind the engine's back.
async fn remove(api: &Api, partition: &str, sort: &str) {
    api.meddle(Vec::new(), vec![Key::new(partition, sort)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_creates_at_once_exactly_twenty_succeed() {
    let api = Api::new();
    let answers = join_all((0..50).map(|_| create(&api, "aff_a"))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 20);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!((refused.problem(), &refused.body["detail"]), ((409, "/problems/conflict"), &json!(FULL)));
    }
    assert_eq!(api.get("aff_a", "/tracking-apis").await.each("id").len(), 20);
    assert_eq!(quota(&api, "aff_a").await, json!({"affiliate_id": "aff_a", "rules": 20, "used": 20}));
    assert_eq!(create(&api, "aff_b").await.status, 201, "another affiliate has its own places");
    assert_eq!(create(&api, ADMIN).await.status, 201);
}

#[tokio::test]
async fn a_deleted_rule_gives_its_place_back() {
    let api = Api::new();
    let ids = fill(&api, "aff_a", 20).await;
    assert_eq!(create(&api, "aff_a").await.status, 409);
    api.call("aff_a", &format!("DELETE /tracking-apis/{}", ids[3]), Value::Null).await;
    assert_eq!(quota(&api, "aff_a").await["used"], json!(19));
    assert_eq!(create(&api, "aff_a").await.status, 201);
    assert_eq!(create(&api, "aff_a").await.status, 409);
}

#[tokio::test]
async fn every_way_to_make_an_affiliates_rule_counts() {
    let api = Api::new();
    let id = fill(&api, "aff_a", 20).await.pop().unwrap();
    let duplicate = format!("POST /tracking-apis/{id}/duplicate");
    let owner = json!({"kind": "affiliate", "affiliate_id": "aff_a"});
    let mut on_behalf = rule("x");
    on_behalf["owner"] = owner.clone();
    let of_admin = api.rule(ADMIN, "x", Value::Null).await;
    for (who, line, body) in [
        ("aff_a", "POST /tracking-apis", rule("x")),
        ("aff_a", &duplicate, Value::Null),
        (ADMIN, &duplicate, Value::Null),
        (ADMIN, "POST /tracking-apis", on_behalf),
        (ADMIN, &format!("POST /tracking-apis/{of_admin}/duplicate"), json!({"owner": owner})),
    ] {
        let refused = api.call(who, line, body).await;
        assert_eq!((refused.status, &refused.body["detail"]), (409, &json!(FULL)), "{who} {line}");
    }
    assert_eq!(api.call(ADMIN, &duplicate, json!({"owner": {"kind": "admin"}})).await.status, 201);
}

#[tokio::test]
async fn the_same_idempotency_key_takes_no_second_place() {
    let api = Api::new();
    fill(&api, "aff_a", 19).await;
    let key = [("idempotency-key", "k")];
    for replayed in [None, Some("true"), Some("true")] {
        let made = api.call_with("aff_a", "POST /tracking-apis", &key, rule("x")).await;
        assert_eq!((made.status, made.header("idempotent-replayed")), (201, replayed));
    }
    assert_eq!(quota(&api, "aff_a").await["used"], json!(20));
    assert_eq!(create(&api, "aff_a").await.status, 409);
    // Deleted and made again, it has its place again.
    let id = api.get("aff_a", "/tracking-apis?limit=1").await.each("id")[0].to_owned();
    api.call("aff_a", &format!("DELETE /tracking-apis/{id}"), Value::Null).await;
    assert_eq!(api.call_with("aff_a", "POST /tracking-apis", &key, rule("x")).await.status, 201);
    assert_eq!(quota(&api, "aff_a").await["used"], json!(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_rule_deleted_and_made_again_by_many_keeps_the_count_true() {
    let api = Api::new();
    let key = [("idempotency-key", "k")];
    let made = api.call_with("aff_a", "POST /tracking-apis", &key, rule("x")).await;
    let delete = format!("DELETE /tracking-apis/{}", made.body["id"].as_str().unwrap());
    for _ in 0..10 {
        let deletes = join_all((0..3).map(|_| api.call("aff_a", &delete, Value::Null)));
        let makes = join_all((0..3).map(|_| api.call_with("aff_a", "POST /tracking-apis", &key, rule("x"))));
        let (_, makes) = tokio::join!(deletes, makes);
        assert!(makes.iter().all(|made| made.status == 201));
    }
    api.call_with("aff_a", "POST /tracking-apis", &key, rule("x")).await;
    assert_eq!(quota(&api, "aff_a").await["used"], json!(1));
}

#[tokio::test]
async fn an_admin_raises_and_lowers_the_quota() {
    let api = Api::new();
    assert_eq!(quota(&api, "aff_a").await, json!({"affiliate_id": "aff_a", "rules": 20, "used": 0}));
    let put = "PUT /affiliates/aff_a/quota";
    let set = api.call(ADMIN, put, json!({"rules": 2})).await;
    assert_eq!((set.status, set.body), (200, json!({"affiliate_id": "aff_a", "rules": 2, "used": 0})));
    fill(&api, "aff_a", 2).await;
    assert_eq!(create(&api, "aff_a").await.status, 409);
    assert_eq!(api.call(ADMIN, put, json!({"rules": 3})).await.body["used"], json!(2));
    assert_eq!(create(&api, "aff_a").await.status, 201);
    api.call(ADMIN, put, json!({"rules": 0})).await;
    let refused = create(&api, "aff_a").await;
    assert_eq!(refused.body["detail"], "3 of 0 rules are in use: delete one, or ask an admin to raise the quota");
    let written_back = api.get(ADMIN, "/affiliates/aff_a/quota").await.body;
    assert_eq!(api.call(ADMIN, put, written_back.clone()).await.body, written_back);
}

#[tokio::test]
async fn a_quota_is_its_affiliates_to_read_and_the_admins_to_write() {
    let api = Api::new();
    fill(&api, "aff_a", 1).await;
    let own = api.get("aff_a", "/affiliates/aff_a/quota").await;
    assert_eq!((own.status, own.body), (200, json!({"affiliate_id": "aff_a", "rules": 20, "used": 1})));
    let absent = api.get("aff_b", "/affiliates/aff_none/quota").await;
    assert_eq!(absent.problem(), (404, "/problems/not-found"));
    let hidden = api.get("aff_b", "/affiliates/aff_a/quota").await;
    assert_eq!((&hidden.text, &hidden.headers), (&absent.text, &absent.headers));
    assert_eq!(api.get(ADMIN, "/affiliates/a%20b/quota").await.text, absent.text);
    for whose in ["aff_a", "aff_none"] {
        let refused = api.call("aff_a", &format!("PUT /affiliates/{whose}/quota"), json!({"rules": 50})).await;
        assert_eq!(refused.problem(), (403, "/problems/forbidden"));
    }
    let wrong = api.call(ADMIN, "PUT /affiliates/aff_a/quota", json!({"rule": 5, "rules": 1_001})).await;
    assert_eq!(wrong.problem(), (422, "/problems/invalid"));
    assert_eq!(
        wrong.faults(),
        [("/rule", "unknown field \"rule\"; did you mean \"rules\"?"), ("/rules", "1001 rules are too many: choose 0 to 1000")]
    );
    assert_eq!(api.get(ADMIN, "/affiliates/aff_a/quota").await.body["rules"], json!(20));
}

#[tokio::test]
async fn places_that_a_crash_left_are_found_when_they_run_out() {
    let api = Api::new();
    let ids = fill(&api, "aff_a", 20).await;
    // Two rules whose places were taken and whose heads were never written.
    for id in &ids[..2] {
        remove(&api, &format!("R#{id}"), "HEAD").await;
    }
    assert_eq!(create(&api, "aff_a").await.body["detail"], FULL, "they may be under way still");
    assert_eq!(quota(&api, "aff_a").await["used"], json!(20));
    api.pass(360);
    assert_eq!(quota(&api, "aff_a").await["used"], json!(18));
    assert_eq!((create(&api, "aff_a").await.status, create(&api, "aff_a").await.status), (201, 201));
    assert_eq!(create(&api, "aff_a").await.body["detail"], FULL);
}

#[tokio::test]
async fn rules_from_before_there_was_a_quota_count() {
    let api = Api::new();
    let ids = fill(&api, "aff_a", 20).await;
    api.call("aff_a", &format!("DELETE /tracking-apis/{}", ids[0]), Value::Null).await;
    remove(&api, "Q#aff_a", "RULES").await;
    assert_eq!(quota(&api, "aff_a").await["used"], json!(19), "the list keeps the deleted one's name, the head decides");
    assert_eq!((create(&api, "aff_a").await.status, create(&api, "aff_a").await.status), (201, 409));
    remove(&api, "Q#aff_a", "RULES").await;
    api.call("aff_a", &format!("DELETE /tracking-apis/{}", ids[1]), Value::Null).await;
    assert_eq!(create(&api, "aff_a").await.status, 201);
    assert_eq!(create(&api, "aff_a").await.status, 409);
}
