//! A rule's life: made, read, changed, deleted.

use serde_json::{Value, json};

use crate::support::{ADMIN, Api, without_health};

fn bank() -> Value {
    json!({"name": "Bank status", "request": {"url": "https://api.bank.example/status?id={external_id}"}})
}

#[tokio::test]
async fn a_rule_is_made_with_its_defaults() {
    let api = Api::new();
    let made = api.call(ADMIN, "POST /tracking-apis", bank()).await;
    assert_eq!(made.status, 201);
    let id = made.body["id"].as_str().unwrap();
    assert_eq!(made.header("location"), Some(format!("/tracking-apis/{id}").as_str()));
    assert_eq!(made.header("etag"), Some("\"1\""));
    assert_eq!(made.header("idempotent-replayed"), None);
    assert_eq!(
        made.body["retry"],
        json!({"max_retries": 12, "delay_seconds": 60, "backoff": "exponential", "max_delay_seconds": 3600})
    );
    let read = api.get(ADMIN, &format!("/tracking-apis/{id}")).await;
    assert_eq!((read.status, read.header("etag")), (200, Some("\"1\"")));
    assert_eq!(without_health(read.body), made.body);
}

#[tokio::test]
async fn a_rule_can_be_written_back_as_it_was_read() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", json!({"delay": {"mode": "final"}, "conditions": {"result": "all"}})).await;
    let path = format!("/tracking-apis/{id}");
    let before = api.get(ADMIN, &path).await.body;
    let after = api.call(ADMIN, &format!("PUT {path}"), before.clone()).await;
    assert_eq!((after.status, after.header("etag")), (200, Some("\"2\"")));
    let mut expected = without_health(before);
    expected["version"] = json!(2);
    expected["updated_at"] = after.body["updated_at"].clone();
    assert_eq!(after.body, expected);
}

#[tokio::test]
async fn if_match_refuses_a_change_of_another_version() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    let put = format!("PUT /tracking-apis/{id}");
    let patch = format!("PATCH /tracking-apis/{id}");
    let delete = format!("DELETE /tracking-apis/{id}");
    let changed = api.call_with(ADMIN, &put, &[("if-match", "\"1\"")], bank()).await;
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")));
    let restore = format!("POST /tracking-apis/{id}/history/1/restore");
    for (line, body) in [(&put, bank()), (&patch, json!({"name": "y"})), (&delete, Value::Null), (&restore, Value::Null)] {
        for tag in ["\"1\"", "W/\"2\"", "\"02\"", "\"1\", \"3\""] {
            let late = api.call_with(ADMIN, line, &[("if-match", tag)], body.clone()).await;
            assert_eq!(late.problem(), (412, "/problems/changed"), "{line} {tag}");
        }
        let bad = api.call_with(ADMIN, line, &[("if-match", "2")], body).await;
        assert_eq!(bad.problem(), (400, "/problems/bad-request"), "{line}");
    }
    let detail = "the rule is at version 2 now, not at the one that If-Match names: read it again";
    assert_eq!(api.call_with(ADMIN, &delete, &[("if-match", "\"1\"")], Value::Null).await.body["detail"], detail);
    let listed = api.call_with(ADMIN, &patch, &[("if-match", "\"1\", \"2\"")], json!({"name": "y"})).await;
    assert_eq!((listed.status, &listed.body["name"]), (200, &json!("y")));
    assert_eq!(api.call_with(ADMIN, &patch, &[("if-match", "*")], json!({"active": false})).await.header("etag"), Some("\"4\""));
    let gone = api.call_with(ADMIN, &delete, &[("if-match", "\"4\"")], Value::Null).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
    assert_eq!(api.get(ADMIN, &format!("/tracking-apis/{id}")).await.problem(), (404, "/problems/not-found"));
    assert_eq!(api.call_with(ADMIN, &delete, &[("if-match", "\"4\"")], Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", json!({"retry": {"max_retries": 3}})).await;
    let patched =
        api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), json!({"retry": {"delay_seconds": 5}, "name": "y"})).await;
    assert_eq!(patched.status, 200);
    assert_eq!((&patched.body["name"], &patched.body["retry"]["max_retries"]), (&json!("y"), &json!(3)));
    let refused = api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), json!({"retry": {"max_retries": 31}})).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    assert_eq!(refused.faults(), [("/retry/max_retries", "31 retries are too many: choose 0 to 30")]);
    let patch = json!({"retry": {"delay_seconds": null}, "conditions": {"source": ["link", "api"]}, "rate_per_second": 5});
    api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), patch).await;
    let patch = json!({"conditions": {"source": ["iframe"]}, "rate_per_second": null});
    let patched = api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), patch).await;
    assert_eq!(patched.header("etag"), Some("\"4\""));
    assert_eq!((&patched.body["conditions"]["source"], patched.body.get("rate_per_second")), (&json!(["iframe"]), None));
    assert_eq!((&patched.body["retry"]["max_retries"], &patched.body["retry"]["delay_seconds"]), (&json!(3), &json!(60)));
    let refused = api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), json!({"name": null})).await;
    assert_eq!((refused.status, refused.faults()), (422, vec![("/name", "required: 1 to 200 characters")]));
    assert_eq!(api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), json!([1])).await.problem(), (422, "/problems/invalid"));
    let typed = [("content-type", "application/merge-patch+json")];
    let patched = api.call_with(ADMIN, &format!("PATCH /tracking-apis/{id}"), &typed, json!({"name": "z"})).await;
    assert_eq!((patched.status, patched.header("etag")), (200, Some("\"5\"")), "what was refused changed nothing");
}

#[tokio::test]
async fn the_same_idempotency_key_is_the_same_rule() {
    let api = Api::new();
    let key = [("idempotency-key", "5f0f8d0e-6f0c")];
    let first = api.call_with(ADMIN, "POST /tracking-apis", &key, bank()).await;
    let again = api.call_with(ADMIN, "POST /tracking-apis", &key, bank()).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!((&again.body, again.header("location")), (&first.body, first.header("location")));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), (None, Some("true")));
    let with_value = |value: &str| {
        let mut body = bank();
        body["secret_values"] = json!({"token": value});
        body
    };
    let own = [("idempotency-key", "5f0f8d0e-secret")];
    for (value, status) in [("first", 201), ("first", 201), ("second", 409)] {
        assert_eq!(api.call_with(ADMIN, "POST /tracking-apis", &own, with_value(value)).await.status, status, "{value}");
    }
    let path = format!("DELETE /tracking-apis/{}", api.get(ADMIN, "/tracking-apis").await.each("id")[0]);
    assert_eq!(api.call(ADMIN, &path, Value::Null).await.status, 204);
    let another = api.call_with("aff_a", "POST /tracking-apis", &key, bank()).await;
    assert_ne!(another.body["id"], first.body["id"], "another caller's key is another key");
    assert_eq!(api.get(ADMIN, "/tracking-apis").await.each("id").len(), 2);
    for bad in ["", &"k".repeat(256)] {
        let refused = api.call_with(ADMIN, "POST /tracking-apis", &[("idempotency-key", bad)], bank()).await;
        assert_eq!(refused.problem(), (400, "/problems/bad-request"));
    }
}

#[tokio::test]
async fn q2_all_faults_of_a_rule_are_reported_at_once() {
    let api = Api::new();
    let wrong = json!({
        "name": "", "trigger": "transaction_deleted", "retry": {"max_retries": 31}, "colour": "red",
        "request": {"url": "ftp://x.example/{nonsense}", "timeout_seconds": 0}, "secret_values": {"token": 5},
    });
    let refused = api.call(ADMIN, "POST /tracking-apis", wrong).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    let places: Vec<_> = refused.faults().into_iter().map(|(pointer, _)| pointer.to_owned()).collect();
    let wanted = [
        "/name",
        "/trigger",
        "/retry/max_retries",
        "/colour",
        "/request/url",
        "/request/timeout_seconds",
        "/secret_values/token",
    ];
    for place in wanted {
        assert!(places.iter().any(|found| found == place), "{place} is missing in {places:?}");
    }
    assert_eq!(refused.body["detail"], format!("{} faults, each with its place in errors", places.len()));
}

#[tokio::test]
async fn v2_the_owner_never_changes() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    let given_away = json!({"owner": {"kind": "affiliate", "affiliate_id": "aff_a"}});
    let refused = api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), given_away).await;
    assert_eq!((refused.status, refused.faults()[0].0), (422, "/owner"));
}
