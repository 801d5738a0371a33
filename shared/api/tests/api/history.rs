//! The author, content and time of a rule's changes (docs/api.md).

use axum::{body::Body, http::Request};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tracking_engine::backend::{Item, Key};

use crate::support::{ADMIN, Api, Response};

async fn history(api: &Api, who: &str, id: &str) -> Response {
    api.get(who, &format!("/tracking-apis/{id}/history")).await
}

/// Pointer, from and to of an entry's changes.
fn changes(entry: &Value) -> Vec<(&str, &Value, &Value)> {
    let changes = entry["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    changes.iter().filter_map(|change| Some((change["pointer"].as_str()?, &change["from"], &change["to"]))).collect()
}

/// The versions of a page's entries.
fn versions(page: &Response) -> Vec<u64> {
    let items = page.body["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|entry| entry["version"].as_u64()).collect()
}

/// A row as a crash may have left it.
fn row(partition: &str, sort: &str, data: &Value) -> Item {
    Item { key: Key::new(partition, sort), rev: 0, body: json!({"v": 1, "d": data}).to_string(), expires: None, attention: None }
}

/// The rows of a rule's entries.
async fn entries(api: &Api, id: &str) -> Vec<Item> {
    api.rows(&format!("R#{id}"), "A#").await
}

#[tokio::test]
async fn every_kind_of_change_is_in_the_history() {
    let api = Api::new();
    let id = api.rule("aff_a", "x", json!({"retry": {"max_retries": 3}, "secret_values": {"a": "hush-1"}})).await;
    let path = format!("/tracking-apis/{id}");
    let replaced = json!({"name": "y", "request": {"url": "http://127.0.0.1:1/p?t={transaction_id}"},
        "retry": {"max_retries": 3}, "secret_values": {"a": "hush-2"}});
    for (line, body, status) in [
        (format!("PUT {path}"), replaced, 200),
        (format!("PATCH {path}"), json!({"conditions": {"source": ["api"]}, "rate_per_second": 9}), 200),
        (format!("PUT {path}/secrets/b"), json!({"value": "hush-3"}), 204),
        (format!("DELETE {path}/secrets/a"), Value::Null, 204),
        (format!("POST {path}/history/1/restore"), Value::Null, 200),
        (format!("DELETE {path}"), Value::Null, 204),
    ] {
        let answer = api.call("aff_a", &line, body).await;
        assert_eq!(answer.status, status, "{line}: {}", answer.text);
    }
    let listed = history(&api, "aff_a", &id).await;
    assert_eq!((listed.status, &listed.body["next_cursor"]), (200, &Value::Null));
    let items = listed.body["items"].as_array().unwrap();
    assert_eq!(versions(&listed), [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(
        listed.each("action"),
        ["deleted", "restored", "secret_deleted", "secret_written", "patched", "replaced", "created"]
    );
    for entry in items {
        assert_eq!(entry["by"], json!({"role": "affiliate", "affiliate_id": "aff_a"}));
        assert_eq!(entry["on_behalf"], json!(false));
        assert!(entry["at"].as_str().unwrap().starts_with("2026-11-22T09:00:00"), "{entry}");
    }
    let nothing = Value::Null;
    let [deleted, restored, secret_deleted, written, patched, replaced, created] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!(changes(secret_deleted), [("/secrets/a", &nothing, &json!("deleted"))]);
    assert_eq!(changes(written), [("/secrets/b", &nothing, &json!("changed"))]);
    assert_eq!(
        changes(patched),
        [("/conditions/source", &json!([]), &json!(["api"])), ("/rate_per_second", &nothing, &json!(9))]
    );
    assert_eq!(changes(replaced), [("/name", &json!("x"), &json!("y")), ("/secrets/a", &nothing, &json!("changed"))]);
    assert_eq!(
        changes(restored),
        [
            ("/conditions/source", &json!(["api"]), &json!([])),
            ("/name", &json!("y"), &json!("x")),
            ("/rate_per_second", &json!(9), &nothing)
        ]
    );
    assert_eq!((&restored["note"], &created["note"]), (&json!("version 1 restored"), &nothing));
    assert!(changes(created).contains(&("/name", &nothing, &json!("x"))));
    assert!(changes(created).contains(&("/secrets/a", &nothing, &json!("changed"))));
    assert!(changes(deleted).contains(&("/name", &json!("x"), &nothing)));
    assert!(changes(deleted).contains(&("/secrets/b", &nothing, &json!("deleted"))));
    assert!(!listed.text.contains("hush"), "{}", listed.text);
    let rows = api.rows(&format!("R#{id}"), "").await;
    assert_eq!(rows.len(), 8, "seven entries and the tombstone");
    assert!(rows.iter().all(|row| !row.body.contains("hush")), "{rows:?}");
}

#[tokio::test]
async fn a_history_names_the_actor_and_on_whose_behalf() {
    let api = Api::new();
    let claims =
        json!({"iss": "tracking-local", "aud": "tracking-api", "exp": 4_102_444_800_u64, "role": "admin", "sub": "jane@ops"});
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(&[1; 32])).unwrap();
    let id = api.rule("aff_a", "x", Value::Null).await;
    let patch = Request::patch(format!("/tracking-apis/{id}")).header("authorization", format!("Bearer {token}"));
    assert_eq!(api.send(patch.body(Body::from("{\"name\": \"y\"}")).unwrap()).await.status, 200);
    let page = history(&api, ADMIN, &id).await.body;
    assert_eq!(page["items"][0]["by"], json!({"role": "admin", "subject": "jane@ops"}));
    assert_eq!((&page["items"][0]["on_behalf"], &page["items"][1]["on_behalf"]), (&json!(true), &json!(false)));
    // An affiliate only sees that it was an admin.
    let page = history(&api, "aff_a", &id).await.body;
    assert_eq!((&page["items"][0]["by"], &page["items"][0]["on_behalf"]), (&json!({"role": "admin"}), &json!(true)));
    let own = api.rule(ADMIN, "own", Value::Null).await;
    assert_eq!(history(&api, ADMIN, &own).await.body["items"][0]["on_behalf"], json!(false));
    let created = api.rule(ADMIN, "for A", json!({"owner": {"kind": "affiliate", "affiliate_id": "aff_a"}})).await;
    assert_eq!(history(&api, "aff_a", &created).await.body["items"][0]["on_behalf"], json!(true));
}

#[tokio::test]
async fn v2_a_deleted_rules_history_stays_its_owners() {
    let api = Api::new();
    let id = api.rule("aff_a", "x", Value::Null).await;
    api.call("aff_a", &format!("DELETE /tracking-apis/{id}"), Value::Null).await;
    assert_eq!(history(&api, "aff_a", &id).await.each("action"), ["deleted", "created"]);
    assert_eq!(history(&api, ADMIN, &id).await.each("action"), ["deleted", "created"]);
    let absent = history(&api, "aff_b", "trk_none").await;
    assert_eq!(absent.problem(), (404, "/problems/not-found"));
    let hidden = history(&api, "aff_b", &id).await;
    assert_eq!((&hidden.text, &hidden.headers), (&absent.text, &absent.headers));
    let gone = api.call("aff_a", &format!("POST /tracking-apis/{id}/history/1/restore"), Value::Null).await;
    assert_eq!((gone.status, &gone.text), (404, &absent.text), "what was deleted stays deleted");
    // It goes after 90 days; the tombstone stays for as long as the log may remember the rule.
    let expiries: Vec<_> = entries(&api, &id).await.iter().map(|row| row.expires.unwrap().to_string()).collect();
    assert_eq!(expiries.iter().map(|at| &at[..10]).collect::<Vec<_>>(), ["2027-02-20", "2027-02-20"]);
    let tombstone = api.rows(&format!("R#{id}"), "HEAD").await.pop().unwrap();
    assert_eq!(&tombstone.expires.unwrap().to_string()[..10], "2027-12-27");
}

#[tokio::test]
async fn a_rule_made_again_goes_on_with_its_history() {
    let api = Api::new();
    let key = [("idempotency-key", "again")];
    let rule = json!({"name": "x", "request": {"url": "http://127.0.0.1:1/p?t={transaction_id}"}});
    let id = api.call_with("aff_a", "POST /tracking-apis", &key, rule.clone()).await.body["id"].as_str().unwrap().to_owned();
    api.call("aff_a", &format!("DELETE /tracking-apis/{id}"), Value::Null).await;
    let again = api.call_with("aff_a", "POST /tracking-apis", &key, rule).await;
    assert_eq!((&again.body["id"], again.header("etag")), (&json!(id), Some("\"3\"")));
    assert_eq!(history(&api, "aff_a", &id).await.each("action"), ["created", "deleted", "created"]);
    let refused = api.call("aff_a", &format!("POST /tracking-apis/{id}/history/2/restore"), Value::Null).await;
    assert_eq!(refused.problem(), (409, "/problems/conflict"));
    assert_eq!(refused.body["detail"], "at version 2 the rule was deleted: choose another version");
    assert_eq!(api.call("aff_a", &format!("POST /tracking-apis/{id}/history/1/restore"), Value::Null).await.status, 200);
}

#[tokio::test]
async fn a_history_comes_in_pages() {
    let api = Api::new();
    let id = api.rule(ADMIN, "1", Value::Null).await;
    for n in 2..=60 {
        api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), json!({"name": n.to_string()})).await;
    }
    let (mut seen, mut path) = (Vec::new(), format!("/tracking-apis/{id}/history?limit=7"));
    loop {
        let page = api.get(ADMIN, &path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        seen.extend(versions(&page));
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        path = format!("/tracking-apis/{id}/history?limit=7&cursor={next}");
    }
    assert_eq!(seen, (1..=60).rev().collect::<Vec<u64>>());
    let whole = api.get(ADMIN, &format!("/tracking-apis/{id}/history?limit=60")).await;
    assert_eq!((whole.each("at").len(), &whole.body["next_cursor"]), (60, &Value::Null));
    for bad in ["cursor=x", "cursor=1", "limit=0", "version=1"] {
        let refused = api.get(ADMIN, &format!("/tracking-apis/{id}/history?{bad}")).await;
        assert_eq!((refused.problem(), refused.faults().len()), ((400, "/problems/bad-request"), 1), "{bad}");
    }
}

#[tokio::test]
async fn entries_that_a_crash_left_are_hidden_and_removed() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    let partition = format!("R#{id}");
    let entry = |version: u64, previous: Value| {
        json!({"version": version, "at": "2026-11-22T09:00:00Z", "by": {"kind": "admin"}, "action": "patched",
            "changes": [{"pointer": "/name", "from": "x", "to": "never"}], "document": {"name": "never"}, "previous": previous})
    };
    let first = entries(&api, &id).await.pop().unwrap().key.sort;
    let first = first.strip_prefix("A#").unwrap();
    let under_way = |write: &str| row("INTENT", &format!("{id}#{write}"), &json!(["2026-11-22T09:00:00Z", []]));
    let mut left = vec![row(&partition, "A#000000000009#0", &entry(9, Value::Null))];
    // Writes of version 2 that never became the head, with names on both sides of any other.
    for write in ["000000000002#0", "000000000002#zzzzzzzzzzzzzzzzzzzzzzzzz"] {
        left.extend([row(&partition, &format!("A#{write}"), &entry(2, json!(first))), under_way(write)]);
    }
    // The first write got no answer that it was done: its true entry stays.
    left.push(under_way(first));
    api.meddle(left, Vec::new()).await;
    assert_eq!(history(&api, ADMIN, &id).await.each("action"), ["created"]);
    for name in ["two", "three"] {
        api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), json!({"name": name})).await;
    }
    let shown = history(&api, ADMIN, &id).await;
    assert_eq!((shown.each("action"), shown.text.contains("never")), (vec!["patched", "patched", "created"], false));
    assert_eq!(entries(&api, &id).await.len(), 6);
    api.pass(360);
    api.engine.sweeper().sweep().await.unwrap();
    assert_eq!(entries(&api, &id).await.len(), 4, "all but the two whose writes were known to be under way");
    assert_eq!(history(&api, ADMIN, &id).await.text, shown.text);
}

#[tokio::test]
async fn a_rule_older_than_the_history_has_no_entries_of_that_time() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    let first = entries(&api, &id).await.pop().unwrap();
    api.meddle(Vec::new(), vec![first.key]).await;
    let empty = history(&api, ADMIN, &id).await;
    assert_eq!(empty.body, json!({"items": [], "next_cursor": null}));
    api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), json!({"name": "y"})).await;
    let page = history(&api, ADMIN, &id).await.body;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(changes(&page["items"][0]), [("/name", &json!("x"), &json!("y"))]);
    let absent = api.call(ADMIN, &format!("POST /tracking-apis/{id}/history/1/restore"), Value::Null).await;
    assert_eq!(absent.problem(), (404, "/problems/not-found"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_many_changes_at_once_is_in_the_history_once() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    let line = format!("PATCH /tracking-apis/{id}");
    let calls = (0..12).map(|n| api.call(ADMIN, &line, json!({"rate_per_second": n + 1})));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let listed = history(&api, ADMIN, &id).await;
    assert_eq!(versions(&listed), (1..=13).rev().collect::<Vec<u64>>());
    assert_eq!(entries(&api, &id).await.len(), 13, "losers take their entries back");
}
