//! Going back to an older version (docs/api.md).

use serde_json::{Value, json};

use crate::support::{ADMIN, Api, without_health};

#[tokio::test]
async fn an_older_version_is_restored_as_a_new_one() {
    let api = Api::new();
    let id = api.rule(ADMIN, "first", json!({"retry": {"max_retries": 3}, "conditions": {"source": ["link"]}})).await;
    let path = format!("/tracking-apis/{id}");
    let before = api.get(ADMIN, &path).await.body;
    let changes = json!({"name": "second", "retry": {"max_retries": 1}, "conditions": {"source": null}, "active": false});
    api.call(ADMIN, &format!("PATCH {path}"), changes).await;
    let restored = api.call(ADMIN, &format!("POST {path}/history/1/restore"), Value::Null).await;
    assert_eq!((restored.status, restored.header("etag")), (200, Some("\"3\"")));
    let mut expected = without_health(before);
    expected["version"] = json!(3);
    expected["updated_at"] = restored.body["updated_at"].clone();
    assert_eq!(restored.body, expected);
    assert_eq!(without_health(api.get(ADMIN, &path).await.body), expected);
}

#[tokio::test]
async fn a_restored_rule_has_its_secrets_as_they_are_now() {
    let api = Api::new();
    let url = "http://127.0.0.1:1/p?k={secret.token}";
    let id = api.rule(ADMIN, "x", json!({"request": {"url": url}, "secret_values": {"token": "one"}})).await;
    let path = format!("/tracking-apis/{id}");
    api.call(ADMIN, &format!("PATCH {path}"), json!({"request": {"url": "http://127.0.0.1:1/q"}})).await;
    assert_eq!(api.call(ADMIN, &format!("DELETE {path}/secrets/token"), Value::Null).await.status, 204);
    let restored = api.call(ADMIN, &format!("POST {path}/history/1/restore"), Value::Null).await;
    assert_eq!((&restored.body["request"]["url"], &restored.body["secrets"]), (&json!(url), &json!([])));
    assert_eq!(restored.body["inactive_reason"], json!("secret token has no value yet"));
}

#[tokio::test]
async fn a_version_that_is_not_allowed_any_more_is_not_restored() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    // A version that was written when more retries were allowed.
    let mut row = api.rows(&format!("R#{id}"), "A#").await.pop().unwrap();
    let mut entry: Value = serde_json::from_str(&row.body).unwrap();
    entry["d"]["document"]["retry"]["max_retries"] = json!(31);
    row.body = entry.to_string();
    api.meddle(vec![row], Vec::new()).await;
    let refused = api.call(ADMIN, &format!("POST /tracking-apis/{id}/history/1/restore"), Value::Null).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    assert_eq!(refused.faults(), [("/retry/max_retries", "31 retries are too many: choose 0 to 30")]);
    assert_eq!(api.get(ADMIN, &format!("/tracking-apis/{id}")).await.header("etag"), Some("\"1\""));
}

/// A rule whose condition has this value.
fn comparing(value: &str) -> Value {
    json!({"rules": [{"when": [{"source": "body", "key": "a", "operator": "equals", "value": value}], "then": "failed"}]})
}

#[tokio::test]
async fn case_a14_a_rule_from_before_patterns_is_shown_changed_and_restored_with_its_meaning() {
    let mut api = Api::new();
    let id = api.rule(ADMIN, "x", json!({"answer": comparing("5-")})).await;
    let path = format!("/tracking-apis/{id}");
    // The rows as they were written then.
    for prefix in ["BODY#", "A#"] {
        let mut row = api.rows(&format!("R#{id}"), prefix).await.pop().unwrap();
        row.body = row.body.replace("\"answer_format\":2,", "").replace(",\"answer_format\":2", "").replace("\"5-\"", "\"5*\"");
        assert!(row.body.contains("\"5*\"") && !row.body.contains("answer_format"), "{}", row.body);
        api.meddle(vec![row], Vec::new()).await;
    }
    api.restart();
    let is_escaped = |body: &Value| body["answer"] == comparing(r"5\*");
    assert!(is_escaped(&api.get(ADMIN, &path).await.body));
    let patched = api.call(ADMIN, &format!("PATCH {path}"), json!({"name": "y"})).await;
    assert!(is_escaped(&patched.body), "{}", patched.text);
    assert_eq!(patched.body["answer_format"], Value::Null, "the mark is not shown");
    api.restart();
    assert!(is_escaped(&api.get(ADMIN, &path).await.body), "it is escaped once");
    let history = api.get(ADMIN, &format!("{path}/history")).await;
    assert_eq!(history.body["items"][0]["changes"], json!([{"pointer": "/name", "from": "x", "to": "y"}]));
    let patched = api.call(ADMIN, &format!("PATCH {path}"), json!({"answer": comparing("5*")})).await;
    assert_eq!(patched.body["answer"], comparing("5*"), "a pattern");
    for version in [1, 2] {
        let restored = api.call(ADMIN, &format!("POST {path}/history/{version}/restore"), Value::Null).await;
        assert!(is_escaped(&restored.body), "{version}: {}", restored.text);
    }
}

#[tokio::test]
async fn versions_that_never_were_are_not_found() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    for version in ["0", "2", "18446744073709551615", "18446744073709551616", "-1", "x"] {
        let absent = api.call(ADMIN, &format!("POST /tracking-apis/{id}/history/{version}/restore"), Value::Null).await;
        assert_eq!(absent.problem(), (404, "/problems/not-found"), "{version}");
    }
}

#[tokio::test]
async fn if_match_refuses_a_restore_over_another_version() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    let restore = format!("POST /tracking-apis/{id}/history/1/restore");
    api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), json!({"name": "y"})).await;
    for (tag, status) in [("\"1\"", 412), ("W/\"2\"", 412), ("2", 400), ("\"2\"", 200), ("*", 200)] {
        assert_eq!(api.call_with(ADMIN, &restore, &[("if-match", tag)], Value::Null).await.status, status, "{tag}");
    }
}
