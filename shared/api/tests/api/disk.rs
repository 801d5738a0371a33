//! Bytes that changes of rules leave in the store.

use serde_json::{Value, json};

use crate::support::{ADMIN, Api};

/// A rule of 60 KiB, nearly all of it in one list.
fn large() -> Value {
    let field = |n: usize| json!({"path": format!("f{n}"), "value": format!("{n:04}{}", "v".repeat(560))});
    let fields: Vec<Value> = (0..100).map(field).collect();
    json!({"request": {"method": "POST", "url": "http://127.0.0.1:1/p", "body": {"format": "json", "fields": fields}}})
}

async fn bytes(api: &Api, id: &str) -> usize {
    api.rows(&format!("R#{id}"), "").await.iter().map(|row| row.body.len()).sum()
}

#[tokio::test]
async fn f10_a_change_of_one_field_leaves_little_in_the_store() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", large()).await;
    let path = format!("/tracking-apis/{id}");
    let first = api.get(ADMIN, &path).await.body;
    let text = first["request"].to_string().len();
    assert!((60_000..64_000).contains(&text), "{text}");
    let before = bytes(&api, &id).await;
    let mut fields = first["request"]["body"]["fields"].clone();
    let mut tenth = Value::Null;
    for n in 0..100 {
        fields[n]["value"] = json!(format!("changed {n}"));
        let change =
            if n % 2 == 0 { json!({"request": {"body": {"fields": fields}}}) } else { json!({"name": format!("x {n}")}) };
        assert_eq!(api.call(ADMIN, &format!("PATCH {path}"), change).await.status, 200);
        if n == 9 {
            tenth = api.get(ADMIN, &path).await.body;
        }
    }
    let left = bytes(&api, &id).await - before;
    assert!(left < 600_000, "{left} bytes are left by 100 changes");
    // Every version can be restored, and every change is listed as ever.
    let restored = api.call(ADMIN, &format!("POST {path}/history/11/restore"), Value::Null).await;
    assert_eq!((restored.status, &restored.body["request"]), (200, &tenth["request"]));
    let restored = api.call(ADMIN, &format!("POST {path}/history/1/restore"), Value::Null).await;
    assert_eq!((restored.status, &restored.body["request"]), (200, &first["request"]));
    let history = api.get(ADMIN, &format!("{path}/history?limit=100")).await;
    let entries = history.body["items"].as_array().unwrap();
    let one = entries.iter().find(|entry| entry["version"] == 100).unwrap();
    assert_eq!(one["changes"].as_array().unwrap().len(), 1);
    assert_eq!(one["changes"][0]["pointer"], "/request/body/fields");
    assert_eq!(one["changes"][0]["from"][98], first["request"]["body"]["fields"][98]);
    assert_eq!((&one["changes"][0]["from"][96], &one["changes"][0]["to"][98]), (&fields[96], &fields[98]));
}

#[tokio::test]
async fn f10_large_changes_are_shown_whole_though_they_are_kept_as_differences() {
    let api = Api::new();
    let id = api.rule("aff_a", "x", large()).await;
    let path = format!("/tracking-apis/{id}");
    let first = api.get("aff_a", &path).await.body;
    let mut fields = first["request"]["body"]["fields"].clone();
    fields[50]["value"] = json!("new");
    let change = json!({"request": {"body": {"fields": fields}}, "secret_values": {"token": "hush"}});
    assert_eq!(api.call("aff_a", &format!("PATCH {path}"), change).await.status, 200);
    assert_eq!(api.call("aff_a", &format!("DELETE {path}"), Value::Null).await.status, 204);
    let rows = api.rows(&format!("R#{id}"), "A#").await;
    let sizes: Vec<usize> = rows.iter().map(|row| row.body.len()).collect();
    assert!(sizes[1] < 1_000 && sizes[2] < 1_000, "{sizes:?}");
    let history = api.get("aff_a", &format!("{path}/history")).await.body;
    let [deleted, patched, created] = history["items"].as_array().unwrap().as_slice() else { panic!("{history}") };
    let changes = patched["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(changes[0]["pointer"], "/request/body/fields");
    assert_eq!((&changes[0]["from"], &changes[0]["to"]), (&first["request"]["body"]["fields"], &fields));
    assert_eq!(changes[1], json!({"pointer": "/secrets/token", "from": null, "to": "changed"}));
    let of = |entry: &Value, pointer: &str| {
        entry["changes"].as_array().unwrap().iter().find(|change| change["pointer"] == pointer).cloned().unwrap()
    };
    assert_eq!(of(deleted, "/name"), json!({"pointer": "/name", "from": "x", "to": null}));
    assert_eq!(of(deleted, "/request")["from"]["body"]["fields"], fields);
    assert_eq!(of(deleted, "/secrets/token")["to"], "deleted");
    assert_eq!(of(created, "/request")["to"]["body"]["fields"], first["request"]["body"]["fields"]);
}

#[tokio::test]
async fn f10_the_history_of_a_living_rule_is_bounded_and_its_oldest_versions_go() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", large()).await;
    let path = format!("/tracking-apis/{id}");
    // Each text has next to nothing in common with the one before.
    let text = |n: usize| {
        let field = |m: usize| json!({"path": format!("f{m}"), "value": format!("{n:04}{m:04}").repeat(72)});
        json!({"request": {"body": {"fields": (0..100).map(field).collect::<Vec<_>>()}}})
    };
    let history = async || api.rows(&format!("R#{id}"), "A#").await.iter().map(|row| row.body.len()).sum::<usize>();
    for n in 2..=100 {
        // Small changes in between are kept as differences.
        let change = if n % 5 == 0 { json!({"name": format!("x {n}")}) } else { text(n) };
        assert_eq!(api.call(ADMIN, &format!("PATCH {path}"), change).await.status, 200);
        assert!(history().await < (2 << 20) + 16 * 70_000, "{n}");
    }
    assert!(history().await > 1 << 20);
    let listed = api.get(ADMIN, &format!("{path}/history?limit=1000")).await.body;
    let listed = listed["items"].as_array().unwrap();
    let oldest = listed.last().unwrap()["version"].as_u64().unwrap();
    assert_eq!(
        listed.iter().map(|entry| entry["version"].as_u64().unwrap()).collect::<Vec<_>>(),
        (oldest..=100).rev().collect::<Vec<_>>()
    );
    assert!((50..97).contains(&oldest), "{oldest}");
    // For the oldest it is no longer known what all of it was changed from.
    let changes = listed.last().unwrap()["changes"].as_array().unwrap();
    assert!(changes.iter().all(|change| change["from"] != Value::Null), "{changes:?}");
    for (version, detail) in [(1, "version 1 is no longer kept: choose one that the history lists"), (500, "not found")] {
        let refused = api.call(ADMIN, &format!("POST {path}/history/{version}/restore"), Value::Null).await;
        assert_eq!((refused.problem(), &refused.body["detail"]), ((404, "/problems/not-found"), &json!(detail)));
    }
    for version in oldest..=100 {
        let restored = api.call(ADMIN, &format!("POST {path}/history/{version}/restore"), Value::Null).await;
        assert_eq!(restored.status, 200, "{version}");
        if version % 5 != 0 {
            let last = &restored.body["request"]["body"]["fields"][99]["value"];
            assert_eq!(*last, format!("{version:04}0099").repeat(72), "{version}");
        }
    }
}

#[tokio::test]
async fn f10_a_rule_has_at_most_50_secrets() {
    let api = Api::new();
    let values = |count: usize| (0..count).map(|n| (format!("s{n:02}"), json!("value"))).collect::<serde_json::Map<_, _>>();
    let rule = |count: usize| json!({"name": "x", "request": {"url": "http://127.0.0.1:1/p"}, "secret_values": values(count)});
    let refused = api.call(ADMIN, "POST /tracking-apis", rule(51)).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    assert_eq!(refused.faults(), [("/secret_values", "expected at most 50 secrets, got 51")]);
    let made = api.call(ADMIN, "POST /tracking-apis", rule(50)).await;
    assert_eq!(made.status, 201);
    let path = format!("/tracking-apis/{}", made.body["id"].as_str().unwrap());
    let put = |name: &str| format!("PUT {path}/secrets/{name}");
    let refused = api.call(ADMIN, &put("more"), json!({"value": "v"})).await;
    assert_eq!(refused.faults(), [("", "expected at most 50 secrets, got 51")]);
    assert_eq!(api.call(ADMIN, &put("s00"), json!({"value": "v"})).await.status, 204, "another value is no other secret");
    let refused =
        api.call(ADMIN, &format!("PATCH {path}"), json!({"request": {"url": "http://127.0.0.1:1/p?k={secret.more}"}})).await;
    assert_eq!(refused.faults(), [("/secret_values", "expected at most 50 secrets, got 51")]);
    assert_eq!(api.call(ADMIN, &format!("PATCH {path}"), json!({"name": "y"})).await.status, 200);
    assert_eq!(api.call(ADMIN, &format!("DELETE {path}/secrets/s01"), Value::Null).await.status, 204);
    assert_eq!(api.call(ADMIN, &put("more"), json!({"value": "v"})).await.status, 204);
}
