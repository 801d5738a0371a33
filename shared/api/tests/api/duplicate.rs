//! Copies of rules (V4).

use serde_json::{Value, json};

use crate::support::{ADMIN, Api, Response, without_health};

async fn duplicate(api: &Api, who: &str, id: &str, patch: Value) -> Response {
    api.call(who, &format!("POST /tracking-apis/{id}/duplicate"), patch).await
}

fn with_token() -> Value {
    json!({"request": {"url": "http://127.0.0.1:1/p", "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}]},
        "secret_values": {"token": "hush-hush-1"}, "retry": {"max_retries": 3}})
}

#[tokio::test]
async fn v4_a_copy_has_everything_but_the_secrets_values() {
    let api = Api::new();
    let id = api.rule(ADMIN, "Bank", with_token()).await;
    let made = duplicate(&api, ADMIN, &id, Value::Null).await;
    assert_eq!((made.status, made.header("etag")), (201, Some("\"1\"")));
    let copy = made.body["id"].as_str().unwrap();
    assert_eq!(made.header("location"), Some(format!("/tracking-apis/{copy}").as_str()));
    let mut expected = api.get(ADMIN, &format!("/tracking-apis/{id}")).await.body;
    assert_eq!((&expected["active"], &expected["secrets"]), (&json!(true), &json!(["token"])));
    for (field, value) in [
        ("id", json!(copy)),
        ("name", json!("Bank (copy)")),
        ("active", json!(false)),
        ("inactive_reason", json!("secret token has no value yet")),
        ("secrets", json!([])),
        ("created_at", made.body["created_at"].clone()),
        ("updated_at", made.body["updated_at"].clone()),
    ] {
        expected[field] = value;
    }
    assert_eq!(made.body, without_health(expected));
    api.call(ADMIN, &format!("PUT /tracking-apis/{copy}/secrets/token"), json!({"value": "its own"})).await;
    let active = api.get(ADMIN, &format!("/tracking-apis/{copy}")).await.body;
    assert_eq!((&active["active"], active.get("inactive_reason")), (&json!(true), None), "it turns active by itself");
}

#[tokio::test]
async fn v4_a_copy_takes_a_patch_and_a_token_of_its_own() {
    let api = Api::new();
    let id = api.rule(ADMIN, "Bank", with_token()).await;
    let patch = json!({"name": "Bank, channel 2", "conditions": {"channel": ["chn_2"]}, "retry": {"delay_seconds": 5},
        "secret_values": {"token": "hush-hush-2"}});
    let made = duplicate(&api, ADMIN, &id, patch).await;
    assert_eq!((made.status, &made.body["name"], &made.body["active"]), (201, &json!("Bank, channel 2"), &json!(true)));
    assert_eq!((&made.body["retry"]["max_retries"], &made.body["retry"]["delay_seconds"]), (&json!(3), &json!(5)));
    assert_eq!((&made.body["conditions"]["channel"], &made.body["secrets"]), (&json!(["chn_2"]), &json!(["token"])));
    assert!(!made.text.contains("hush"));
}

#[tokio::test]
async fn v4_a_bad_copy_is_refused_with_all_its_faults() {
    let api = Api::new();
    let id = api.rule("aff_a", "A's", Value::Null).await;
    let patch = json!({"retry": {"max_retries": 31}, "colour": "red", "secret_values": {"token": 5},
        "owner": {"kind": "affiliate", "affiliate_id": "aff_b"}});
    let refused = duplicate(&api, "aff_a", &id, patch).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    let places: Vec<_> = refused.faults().into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(places, ["/owner", "/secret_values/token", "/colour", "/retry/max_retries"]);
    assert_eq!(duplicate(&api, "aff_a", &id, json!([1])).await.problem(), (422, "/problems/invalid"));
    assert_eq!(api.get("aff_a", "/tracking-apis").await.each("id"), [id.as_str()]);
}

#[tokio::test]
async fn v2_a_copy_has_the_originals_owner_unless_an_admin_names_another() {
    let api = Api::new();
    let of_a = api.rule("aff_a", "A's", Value::Null).await;
    let of_admin = api.rule(ADMIN, "all", Value::Null).await;
    let affiliate = |id: &str| json!({"kind": "affiliate", "affiliate_id": id});
    for (who, original, patch, owner, about) in [
        ("aff_a", &of_a, json!({}), affiliate("aff_a"), json!(["aff_a"])),
        (ADMIN, &of_a, json!({}), affiliate("aff_a"), json!(["aff_a"])),
        (ADMIN, &of_a, json!({"owner": affiliate("aff_b")}), affiliate("aff_b"), json!(["aff_b"])),
        (ADMIN, &of_a, json!({"owner": {"kind": "admin"}}), json!({"kind": "admin"}), json!(["aff_a"])),
        (ADMIN, &of_admin, json!({"owner": affiliate("aff_b")}), affiliate("aff_b"), json!(["aff_b"])),
        (ADMIN, &of_admin, json!({"owner": null}), json!({"kind": "admin"}), json!([])),
    ] {
        let made = duplicate(&api, who, original, patch.clone()).await;
        assert_eq!(made.status, 201, "{}", made.text);
        assert_eq!((&made.body["owner"], &made.body["conditions"]["affiliate"]), (&owner, &about), "{who} {patch}");
    }
}

#[tokio::test]
async fn v2_a_history_does_not_name_an_original_that_its_reader_does_not_see() {
    let api = Api::new();
    let of_admin = api.rule(ADMIN, "all", Value::Null).await;
    let given = duplicate(&api, ADMIN, &of_admin, json!({"owner": {"kind": "affiliate", "affiliate_id": "aff_b"}})).await;
    let history = api.get("aff_b", &format!("/tracking-apis/{}/history", given.body["id"].as_str().unwrap())).await;
    assert_eq!((history.each("action"), history.text.contains(&of_admin)), (vec!["duplicated"], false));
    assert_eq!((&history.body["items"][0]["note"], &history.body["items"][0]["on_behalf"]), (&Value::Null, &json!(true)));
    let own = api.rule("aff_b", "B's", Value::Null).await;
    let copy = duplicate(&api, "aff_b", &own, Value::Null).await;
    let history = api.get("aff_b", &format!("/tracking-apis/{}/history", copy.body["id"].as_str().unwrap())).await;
    assert_eq!(history.body["items"][0]["note"], json!(format!("copy of {own}")));
}

#[tokio::test]
async fn the_same_idempotency_key_is_the_same_copy() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    let other = api.rule(ADMIN, "x", Value::Null).await;
    let key = [("idempotency-key", "5f0f8d0e-6f0c")];
    let line = format!("POST /tracking-apis/{id}/duplicate");
    let first = api.call_with(ADMIN, &line, &key, json!({"name": "copy"})).await;
    // Later changes of the original make no difference.
    api.call(ADMIN, &format!("PATCH /tracking-apis/{id}"), json!({"retry": {"max_retries": 1}})).await;
    let again = api.call_with(ADMIN, &line, &key, json!({"name": "copy"})).await;
    assert_eq!((first.status, again.status, &again.body), (201, 201, &first.body));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), (None, Some("true")));
    let another = api.call_with(ADMIN, &line, &key, json!({"name": "another"})).await;
    assert_eq!(another.problem(), (409, "/problems/conflict"));
    assert_eq!(another.body["detail"], "this Idempotency-Key made another rule before: use a new key");
    let of_other = api.call_with(ADMIN, &format!("POST /tracking-apis/{other}/duplicate"), &key, json!({"name": "copy"})).await;
    assert_eq!((of_other.status, of_other.header("idempotent-replayed")), (201, None));
    assert_ne!(of_other.body["id"], first.body["id"]);
    let bad = api.call_with(ADMIN, &line, &[("idempotency-key", "")], Value::Null).await;
    assert_eq!(bad.problem(), (400, "/problems/bad-request"));
}
