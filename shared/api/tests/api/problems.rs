//! The answers of the router itself, and bodies that can't be read.

use axum::{body::Body, http::Request};
use serde_json::Value;

use crate::support::{ADMIN, Api, Response};

async fn post(api: &Api, content_type: Option<&str>, body: impl Into<Body>) -> Response {
    let mut request = Request::post("/tracking-apis").header("authorization", format!("Bearer {}", api.token(ADMIN)));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    api.send(request.body(body.into()).expect("the test's parts are well-formed")).await
}

#[tokio::test]
async fn what_is_not_routed_is_a_problem() {
    let api = Api::new();
    assert_eq!(api.get(ADMIN, "/nothing").await.problem(), (404, "/problems/not-found"));
    assert_eq!(api.get(ADMIN, "/tracking-apis/").await.problem(), (404, "/problems/not-found"));
    let wrong = api.call(ADMIN, "DELETE /tracking-apis", Value::Null).await;
    assert_eq!(wrong.problem(), (405, "/problems/method-not-allowed"));
    assert_eq!(wrong.header("allow"), Some("GET,HEAD,POST"));
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_with_its_place() {
    let api = Api::new();
    let broken = post(&api, Some("application/json"), "{\"name\":\n  oops}").await;
    assert_eq!(broken.problem(), (400, "/problems/bad-request"));
    assert_eq!(broken.faults(), [("", "the body is not JSON: expected a value, found 'o' at line 2 column 3")]);
    let empty = post(&api, Some("application/json"), "").await;
    assert_eq!(empty.faults(), [("", "the body is not JSON: expected a value, found the end at line 1 column 1")]);
    let bytes = post(&api, Some("application/json"), vec![b'"', 0xFF, b'"']).await;
    assert_eq!(bytes.problem(), (400, "/problems/bad-request"));
    let deep = post(&api, Some("application/json"), "[".repeat(100_000)).await;
    assert_eq!(deep.problem(), (400, "/problems/bad-request"));
}

#[tokio::test]
async fn a_body_of_another_content_type_is_not_taken() {
    let api = Api::new();
    let table = post(&api, Some("text/csv"), "{}").await;
    assert_eq!(table.problem(), (415, "/problems/unsupported-media-type"));
    let detail = "\"text/csv\" is not taken: send the body with Content-Type: application/json";
    assert_eq!(table.body["detail"], detail);
    assert_eq!(post(&api, Some("application/json; charset=utf-8"), "{}").await.problem(), (422, "/problems/invalid"));
}

#[tokio::test]
async fn without_a_content_type_or_with_curls_default_the_body_decides() {
    let api = Api::new();
    for unsaid in [None, Some("application/x-www-form-urlencoded")] {
        assert_eq!(post(&api, unsaid, "{}").await.problem(), (422, "/problems/invalid"), "{unsaid:?}");
        assert_eq!(post(&api, unsaid, "name=x").await.problem(), (400, "/problems/bad-request"), "{unsaid:?}");
    }
}

#[tokio::test]
async fn a_body_over_its_limit_is_too_large() {
    let api = Api::new();
    assert_eq!(post(&api, Some("application/json"), " ".repeat((128 << 10) + 1)).await.problem(), (413, "/problems/too-large"));
    assert_eq!(post(&api, Some("application/json"), " ".repeat(128 << 10)).await.problem(), (400, "/problems/bad-request"));
}
