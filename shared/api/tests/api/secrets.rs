//! Secrets go in and never come out (Q5, V4).

use serde_json::{Value, json};

use crate::support::{ADMIN, Api};

fn with_token() -> Value {
    json!({"request": {"url": "http://127.0.0.1:1/p", "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}]}})
}

#[tokio::test]
async fn q5_secrets_are_never_read_back() {
    let api = Api::new();
    let mut rule = with_token();
    rule["name"] = json!("x");
    rule["secret_values"] = json!({"token": "hush-hush-1"});
    let made = api.call(ADMIN, "POST /tracking-apis", rule).await;
    let path = format!("/tracking-apis/{}", made.body["id"].as_str().unwrap());
    let written = api.call(ADMIN, &format!("PUT {path}/secrets/other"), json!({"value": "hush-hush-2"})).await;
    assert_eq!((written.status, written.text.as_str()), (204, ""));
    api.sale(1, "aff_a").await;
    let delivery = api.get(ADMIN, "/deliveries").await;
    let delivery = api.get(ADMIN, &format!("/deliveries/{}", delivery.each("id")[0])).await;
    assert!(delivery.text.contains("Bearer ***"), "{}", delivery.text);
    for answer in [made, api.get(ADMIN, &path).await, api.get(ADMIN, "/tracking-apis").await, delivery] {
        assert!(!answer.text.contains("hush"), "{}", answer.text);
    }
    assert_eq!(api.get(ADMIN, &path).await.body["secrets"], json!(["other", "token"]));
}

#[tokio::test]
async fn a_secret_that_is_used_is_not_deleted() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", with_token()).await;
    let token = format!("/tracking-apis/{id}/secrets/token");
    let spare = format!("/tracking-apis/{id}/secrets/spare");
    for path in [&token, &spare] {
        assert_eq!(api.call(ADMIN, &format!("PUT {path}"), json!({"value": "v-v-v-v"})).await.status, 204);
    }
    let used = api.call(ADMIN, &format!("DELETE {token}"), Value::Null).await;
    assert_eq!(used.problem(), (409, "/problems/conflict"));
    assert_eq!(used.body["detail"], "the rule uses secret token: take it out of the rule first");
    assert_eq!(api.call(ADMIN, &format!("DELETE {spare}"), Value::Null).await.status, 204);
    assert_eq!(api.call(ADMIN, &format!("DELETE {spare}"), Value::Null).await.problem(), (404, "/problems/not-found"));
}

#[tokio::test]
async fn v4_a_rule_waits_for_the_values_of_its_secrets() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", with_token()).await;
    let path = format!("/tracking-apis/{id}");
    let waiting = api.get(ADMIN, &path).await.body;
    assert_eq!((&waiting["active"], &waiting["inactive_reason"]), (&json!(false), &json!("secret token has no value yet")));
    assert_eq!(api.get(ADMIN, "/tracking-apis?active=false").await.each("id"), [id.as_str()]);
    api.call(ADMIN, &format!("PUT {path}/secrets/token"), json!({"value": "v-v-v-v"})).await;
    let active = api.get(ADMIN, &path).await.body;
    assert_eq!((&active["active"], active.get("inactive_reason")), (&json!(true), None));
}

#[tokio::test]
async fn q5_a_secret_is_one_text() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    let put = |name: &str| format!("PUT /tracking-apis/{id}/secrets/{name}");
    let refused = api.call(ADMIN, &put("token"), json!({"valu": "x"})).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    assert_eq!(
        refused.faults(),
        [("/valu", "unknown field \"valu\"; did you mean \"value\"?"), ("/value", "give the secret's value as a text")]
    );
    let empty = api.call(ADMIN, &put("token"), json!({"value": ""})).await;
    assert_eq!(empty.faults(), [("/value", "a secret's value has 1 to 4096 bytes")]);
    assert_eq!(api.call(ADMIN, &put("a%20b"), json!({"value": "x"})).await.problem(), (422, "/problems/invalid"));
}
