//! `Idempotency-Key`: nothing is done twice.

use axum::{body::Body, http::Request};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tracking_core::caller::{Actor, Caller};
use tracking_engine::idempotency::{Begun, KeyedRequest};

use crate::support::{ADMIN, Api, KEY, Response};

/// A change that is new, and after which a rule owes a postback.
fn event(number: u32) -> Value {
    json!({"event": {"change_id": format!("chg_{number}"), "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": format!("cnv_{number}"), "version": 1, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": "aff_a", "advertiser_id": "adv_2", "offer_id": "off_5"},
        "transactions": [{"transaction_id": "trx_1", "result": "approved"}]}})
}

/// An API with rejected events, and the path at which each is sent in again.
async fn rejected(count: usize) -> (Api, Vec<String>) {
    let api = Api::new();
    for number in 0..count {
        api.accept(format!("no json {number}").as_bytes()).await;
    }
    let listed = api.get(ADMIN, "/events/rejected").await;
    let paths = listed.each("id").into_iter().map(|id| format!("/events/rejected/{id}/resubmit")).collect();
    (api, paths)
}

async fn post(api: &Api, path: &str, key: &str, body: Value) -> Response {
    api.call_with(ADMIN, &format!("POST {path}"), &[("idempotency-key", key)], body).await
}

#[tokio::test]
async fn the_same_request_again_gets_the_first_answer_again() {
    let (api, paths) = rejected(2).await;
    let first = post(&api, &paths[0], "k", event(1)).await;
    assert_eq!((first.status, &first.body, first.header("idempotent-replayed")), (202, &json!({"accepted": 1}), None));
    let again = post(&api, &paths[0], "k", event(1)).await;
    assert_eq!((again.status, &again.text, again.header("idempotent-replayed")), (202, &first.text, Some("true")));
    assert_eq!(again.header("content-type"), Some("application/json"));
    assert_eq!(post(&api, &paths[0], "l", event(1)).await.problem(), (404, "/problems/not-found"), "another key runs it again");
    let elsewhere = post(&api, &paths[1], "k", event(2)).await;
    assert_eq!((elsewhere.status, elsewhere.header("idempotent-replayed")), (202, None), "another path is another request");
}

#[tokio::test]
async fn a_key_is_for_one_body_of_one_caller() {
    let (api, paths) = rejected(1).await;
    post(&api, &paths[0], "k", event(1)).await;
    let other = post(&api, &paths[0], "k", event(2)).await;
    assert_eq!(other.problem(), (409, "/problems/conflict"));
    assert_eq!(other.body["detail"], "this Idempotency-Key was used for another request: use a new key");
    let line = format!("POST {}", paths[0]);
    let affiliate = api.call_with("aff_a", &line, &[("idempotency-key", "k")], event(1)).await;
    assert_eq!(affiliate.problem(), (403, "/problems/forbidden"), "an affiliate learns nothing of an admin's key");
}

#[tokio::test]
async fn f10_what_was_refused_is_not_kept_and_may_be_asked_again() {
    let (api, paths) = rejected(1).await;
    let mut bad = event(1);
    bad["event"]["conversion"]["version"] = (-1).into();
    let first = post(&api, &paths[0], "k", bad.clone()).await;
    assert_eq!(first.problem(), (400, "/problems/bad-request"));
    let again = post(&api, &paths[0], "k", bad).await;
    assert_eq!((again.problem(), &again.text), ((400, "/problems/bad-request"), &first.text));
    assert_eq!(again.header("idempotent-replayed"), None);
    let mended = post(&api, &paths[0], "k", event(1)).await;
    assert_eq!(mended.status, 202, "the key was not used: {}", mended.text);
    let id = api.rule("aff_a", "mine", json!({})).await;
    for (line, body) in [
        (format!("POST /tracking-apis/{id}/test"), json!({"send": false})),
        (
            format!("POST /tracking-apis/{id}/backfill"),
            json!({"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z", "dry_run": true}),
        ),
    ] {
        for _ in 0..2 {
            let answer = api.call_with("aff_a", &line, &[("idempotency-key", "dry")], body.clone()).await;
            assert_eq!((answer.status, answer.header("idempotent-replayed")), (200, None), "{line}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let (api, paths) = rejected(1).await;
    post(&api, &paths[0], "k", event(1)).await;
    api.pass(60 * 1_439);
    assert_eq!(post(&api, &paths[0], "k", event(1)).await.status, 202);
    api.pass(60);
    assert_eq!(post(&api, &paths[0], "k", event(1)).await.problem(), (404, "/problems/not-found"), "done again");
}

#[tokio::test]
async fn of_two_requests_at_once_one_is_done() {
    let (api, paths) = rejected(1).await;
    let both = tokio::join!(post(&api, &paths[0], "k", event(1)), post(&api, &paths[0], "k", event(1)));
    let outcome = |answer: &Response| (answer.status, answer.header("idempotent-replayed").is_some());
    let mut outcomes = [outcome(&both.0), outcome(&both.1)];
    outcomes.sort_unstable();
    assert!(outcomes == [(202, false), (202, true)] || outcomes == [(202, false), (409, false)], "{outcomes:?}");
}

#[tokio::test]
async fn a_claim_that_a_crash_left_is_void_after_two_minutes() {
    let (api, paths) = rejected(1).await;
    let asked = KeyedRequest::new(&Actor::from(&Caller::Admin), &paths[0], "k", &[], event(1).to_string().as_bytes());
    let Begun::Now(crashed) = api.engine.idempotency().begin_once(&asked).await.unwrap() else { panic!("nobody began it") };
    let early = post(&api, &paths[0], "k", event(1)).await;
    assert_eq!(early.problem(), (409, "/problems/conflict"));
    assert!(early.text.contains("still runs"), "{}", early.text);
    api.pass(120);
    let late = post(&api, &paths[0], "k", event(1)).await;
    assert_eq!((late.status, late.header("idempotent-replayed")), (202, None));
    // The process was not dead after all, and ends now: the answer that was given stays.
    api.engine.idempotency().forget_once(crashed).await.unwrap();
    assert_eq!(post(&api, &paths[0], "k", event(1)).await.header("idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn a_forgotten_request_may_be_tried_again() {
    let (api, paths) = rejected(1).await;
    let asked = KeyedRequest::new(&Actor::from(&Caller::Admin), &paths[0], "k", &[], event(1).to_string().as_bytes());
    let Begun::Now(failed) = api.engine.idempotency().begin_once(&asked).await.unwrap() else { panic!("nobody began it") };
    api.engine.idempotency().forget_once(failed).await.unwrap();
    assert_eq!(post(&api, &paths[0], "k", event(1)).await.status, 202);
}

#[tokio::test]
async fn a_refusal_that_time_may_change_is_not_kept() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", json!({"active": false})).await;
    let path = format!("/tracking-apis/{id}");
    let period = || json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z"});
    assert_eq!(post(&api, &format!("{path}/replay"), "k", period()).await.problem(), (409, "/problems/conflict"));
    assert_eq!(api.call(ADMIN, &format!("PATCH {path}"), json!({"active": true})).await.status, 200);
    let now = post(&api, &format!("{path}/replay"), "k", period()).await;
    assert_eq!((now.status, now.header("idempotent-replayed")), (200, None));

    let restore = format!("{path}/history/3/restore");
    assert_eq!(post(&api, &restore, "k", Value::Null).await.problem(), (404, "/problems/not-found"), "no such version");
    assert_eq!(api.call(ADMIN, &format!("PATCH {path}"), json!({"name": "y"})).await.status, 200);
    let now = post(&api, &restore, "k", Value::Null).await;
    assert_eq!((now.status, now.header("idempotent-replayed")), (200, None));
}

#[tokio::test]
async fn a_key_is_for_one_precondition() {
    let api = Api::new();
    let id = api.rule(ADMIN, "x", Value::Null).await;
    let line = format!("POST /tracking-apis/{id}/history/1/restore");
    let restore =
        async |tag: &str| api.call_with(ADMIN, &line, &[("idempotency-key", "k"), ("if-match", tag)], Value::Null).await;
    assert_eq!(restore("\"2\"").await.status, 412);
    let done = restore("\"1\"").await;
    assert_eq!((done.status, done.header("etag"), done.header("idempotent-replayed")), (200, Some("\"2\""), None));
    let again = restore("\"1\"").await;
    assert_eq!((again.status, again.header("etag"), again.header("idempotent-replayed")), (200, Some("\"2\""), Some("true")));
    assert_eq!(restore("\"2\"").await.problem(), (409, "/problems/conflict"), "another request");
}

#[tokio::test]
async fn the_keys_of_two_admins_are_two() {
    let (api, paths) = rejected(1).await;
    let by = async |subject: &str| {
        let claims =
            json!({"iss": "tracking-local", "aud": "tracking-api", "exp": 4_102_444_800_u64, "role": "admin", "sub": subject});
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(&KEY)).unwrap();
        let request = Request::post(&paths[0]).header("authorization", format!("Bearer {token}")).header("idempotency-key", "k");
        api.send(request.header("content-type", "application/json").body(Body::from(event(1).to_string())).unwrap()).await
    };
    assert_eq!(by("jane@ops").await.status, 202);
    assert_eq!(by("jane@ops").await.header("idempotent-replayed"), Some("true"));
    assert_eq!(by("joe@ops").await.problem(), (404, "/problems/not-found"), "done again");
}
