//! Receivers and headers that a rule can't have.

use serde_json::{Value, json};
use tracking_engine::backend::Item;

use crate::support::{ADMIN, Api};

async fn saved(api: &Api, url: &str) -> (u16, Vec<(String, String)>) {
    let answer = api.call(ADMIN, "POST /tracking-apis", json!({"name": "x", "request": {"url": url}})).await;
    (answer.status, answer.faults().into_iter().map(|(at, why)| (at.to_owned(), why.to_owned())).collect())
}

#[tokio::test]
async fn f13_a_host_that_no_resolver_knows_is_refused() {
    let api = Api::new();
    let label = "a".repeat(64);
    let long = format!("{}ab", "abcdefg.".repeat(32));
    for host in [
        ".",
        "..",
        "a..",
        "-",
        "a..b",
        ".a",
        "-a.example",
        "a-.example",
        "a.example-",
        "a.example..",
        "ex%61mple.com",
        "a*b.example",
        "1.2.3.4.5",
        "a.1",
        &label,
        &long,
    ] {
        let (status, faults) = saved(&api, &format!("https://{host}/p")).await;
        assert_eq!((status, faults.len()), (422, 1), "{host}: {faults:?}");
        assert_eq!(faults[0].0, "/request/url", "{host}");
    }
    let (_, faults) = saved(&api, "https://a..b/p").await;
    let why = "expected a host name such as api.example.com, got \"a..b\": a part between dots is empty";
    assert_eq!(faults, [("/request/url".to_owned(), why.to_owned())]);
}

#[tokio::test]
async fn f13_a_host_that_resolvers_know_is_taken() {
    let api = Api::new();
    for host in
        ["example.com", "example.com.", "bücher.example", "xn--bcher-kva.example", "a_b.example", "a-b.example:8443", "7.example"]
    {
        assert_eq!(saved(&api, &format!("https://{host}/p")).await, (201, vec![]), "{host}");
    }
}

#[tokio::test]
async fn f13_signing_owns_its_headers() {
    let api = Api::new();
    let headers = json!([{"name": "X-Own", "value": "1"}, {"name": "Webhook-ID", "value": "1"}, {"name": "webhook-timestamp", "value": "1"},
        {"name": "WEBHOOK-SIGNATURE", "value": "1"}]);
    let mut rule =
        json!({"name": "x", "request": {"url": "https://a.example/", "headers": headers}, "signing": {"secret": "key"}});
    let refused = api.call(ADMIN, "POST /tracking-apis", rule.clone()).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    assert_eq!(
        refused.faults(),
        [
            ("/request/headers/1/name", "webhook-id is written by signing: leave out the header or signing"),
            ("/request/headers/2/name", "webhook-timestamp is written by signing: leave out the header or signing"),
            ("/request/headers/3/name", "webhook-signature is written by signing: leave out the header or signing"),
        ]
    );
    rule["signing"] = Value::Null;
    assert_eq!(api.call(ADMIN, "POST /tracking-apis", rule).await.status, 201, "without signing they are headers like others");
}

#[tokio::test]
async fn f13_what_was_stored_keeps_being_read_and_is_mended_when_it_changes() {
    let mut api = Api::new();
    let id = api.rule(ADMIN, "x", json!({"signing": {"secret": "key"}, "secret_values": {"key": "value"}})).await;
    // The row as an older version left it.
    let mut row = api.rows(&format!("R#{id}"), "BODY#").await.pop().unwrap();
    let mut text: Value = serde_json::from_str(&row.body).unwrap();
    text["d"]["request"]["url"] = json!("https://a..b/p");
    text["d"]["request"]["headers"] = json!([{"name": "webhook-id", "value": "mine"}]);
    row.body = text.to_string();
    let head = api.rows(&format!("R#{id}"), "HEAD").await.pop().unwrap();
    api.meddle(vec![row, without_bindings(head)], Vec::new()).await;
    api.restart();
    let path = format!("/tracking-apis/{id}");
    assert_eq!(api.get(ADMIN, &path).await.body["request"]["url"], "https://a..b/p");
    let tried = api.call(ADMIN, &format!("POST {path}/test"), json!({})).await.body;
    let ids: Vec<_> = tried["request"]["headers"].as_object().unwrap().keys().filter(|name| *name == "webhook-id").collect();
    assert_eq!((ids.len(), tried["request"]["headers"]["webhook-id"] == "mine"), (1, false), "{tried}");
    let refused = api.call(ADMIN, &format!("PATCH {path}"), json!({"name": "y"})).await;
    assert_eq!(refused.faults().into_iter().map(|(at, _)| at).collect::<Vec<_>>(), ["/request/url", "/request/headers/0/name"]);
}

/// A head as it was before there were bindings.
fn without_bindings(mut head: Item) -> Item {
    let mut value: Value = serde_json::from_str(&head.body).expect("the row has it");
    value["d"].as_object_mut().expect("the row has it").remove("bindings");
    head.body = value.to_string();
    head
}
