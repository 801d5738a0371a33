//! Access: the callers that may come in, and the things that each sees (V2, V3).

use axum::{body::Body, http::Request};
use serde_json::{Value, json};

use crate::support::{ADMIN, Api};

const ROUTES: [&str; 23] = [
    "GET /tracking-apis",
    "POST /tracking-apis",
    "GET /tracking-apis/trk_1",
    "PUT /tracking-apis/trk_1",
    "PATCH /tracking-apis/trk_1",
    "DELETE /tracking-apis/trk_1",
    "PUT /tracking-apis/trk_1/secrets/token",
    "DELETE /tracking-apis/trk_1/secrets/token",
    "POST /tracking-apis/trk_1/duplicate",
    "GET /tracking-apis/trk_1/history",
    "POST /tracking-apis/trk_1/history/1/restore",
    "GET /affiliates/aff_7/quota",
    "PUT /affiliates/aff_7/quota",
    "GET /affiliate-postbacks",
    "GET /deliveries",
    "GET /deliveries/dlv_0123456789abcdefghjkmnpqrstvwxyz/internals",
    "GET /receivers",
    "POST /receivers/rcv_1/reset",
    "GET /offers",
    "PUT /offers/off_5",
    "GET /macros",
    "GET /step-kinds",
    "GET /presets",
];

#[tokio::test]
async fn every_route_but_healthz_asks_for_a_token() {
    let api = Api::new();
    for line in ROUTES {
        let (method, path) = line.split_once(' ').unwrap();
        let bare = api.send(Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await;
        assert_eq!(bare.problem(), (401, "/problems/unauthorized"), "{line}");
        assert_eq!(bare.header("www-authenticate"), Some("Bearer"), "{line}");
        let request = Request::builder().method(method).uri(path).header("authorization", "Bearer x");
        let bad = api.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(bad.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{line}");
    }
    let alive = api.send(Request::get("/healthz").body(Body::empty()).unwrap()).await;
    assert_eq!((alive.status, &alive.body), (200, &json!({"status": "ok"})));
}

#[tokio::test]
async fn v2_what_is_not_visible_is_answered_as_what_is_not_there() {
    let api = Api::new();
    let of_a = api.rule("aff_a", "A's", Value::Null).await;
    let of_admin = api.rule(ADMIN, "for A, by an admin", json!({"conditions": {"affiliate": ["aff_a"]}})).await;
    let body = json!({"name": "mine", "request": {"url": "https://b.example/"}});
    let secret = json!({"value": "x"});
    for (method, behind, body) in [
        ("GET", "", Value::Null),
        ("PUT", "", body.clone()),
        ("PUT", "", json!("bad")),
        ("PATCH", "", json!({"name": "mine"})),
        ("DELETE", "", Value::Null),
        ("PUT", "/secrets/token", secret.clone()),
        ("PUT", "/secrets/no name", json!(1)),
        ("DELETE", "/secrets/token", Value::Null),
        ("POST", "/duplicate", json!({"name": "mine"})),
        ("POST", "/duplicate", Value::Null),
        ("GET", "/history", Value::Null),
        ("GET", "/history?limit=1&cursor=000000000001.a", Value::Null),
        ("POST", "/history/1/restore", Value::Null),
        ("POST", "/history/9/restore", Value::Null),
    ] {
        let behind = behind.replace(' ', "%20");
        let absent = api.call("aff_b", &format!("{method} /tracking-apis/trk_none{behind}"), body.clone()).await;
        assert_eq!(absent.problem(), (404, "/problems/not-found"));
        for hidden in [&of_a, &of_admin] {
            let answer = api.call("aff_b", &format!("{method} /tracking-apis/{hidden}{behind}"), body.clone()).await;
            assert_eq!((answer.status, &answer.text), (404, &absent.text), "{method} {behind}");
            assert_eq!(answer.headers, absent.headers, "{method} {behind}");
        }
    }
    let weird = api.get("aff_b", "/tracking-apis/a%20b").await;
    assert_eq!(weird.problem(), (404, "/problems/not-found"));
    assert_eq!(api.get("aff_a", &format!("/tracking-apis/{of_admin}")).await.status, 404);
    assert_eq!(api.get("aff_a", &format!("/tracking-apis/{of_a}")).await.body["name"], "A's");
    assert_eq!(api.get(ADMIN, &format!("/tracking-apis/{of_a}")).await.body["name"], "A's");
}

#[tokio::test]
async fn v2_lists_go_by_owner_never_by_condition() {
    let api = Api::new();
    api.rule("aff_a", "A's", Value::Null).await;
    api.rule("aff_b", "B's", Value::Null).await;
    api.rule(ADMIN, "about A", json!({"conditions": {"affiliate": ["aff_a"]}})).await;
    api.rule(ADMIN, "on A's behalf", json!({"owner": {"kind": "affiliate", "affiliate_id": "aff_a"}})).await;
    for (who, path, names) in [
        (ADMIN, "/tracking-apis", &["on A's behalf", "about A", "B's", "A's"][..]),
        (ADMIN, "/tracking-apis?owner=admin", &["about A"]),
        (ADMIN, "/tracking-apis?owner=aff_b", &["B's"]),
        ("aff_a", "/tracking-apis", &["on A's behalf", "A's"]),
        ("aff_a", "/tracking-apis?owner=aff_b", &[]),
        ("aff_a", "/tracking-apis?owner=admin", &[]),
        (ADMIN, "/affiliate-postbacks", &["on A's behalf", "B's", "A's"]),
        (ADMIN, "/affiliate-postbacks?affiliate_id=aff_a", &["on A's behalf", "A's"]),
        (ADMIN, "/affiliate-postbacks?affiliate_id=admin", &[]),
        ("aff_b", "/affiliate-postbacks", &["B's"]),
        ("aff_b", "/affiliate-postbacks?affiliate_id=aff_a", &[]),
    ] {
        assert_eq!(api.get(who, path).await.each("name"), names, "{who} {path}");
    }
}

#[tokio::test]
async fn v3_an_affiliates_rule_is_about_itself_alone() {
    let api = Api::new();
    let own = api.rule("aff_a", "A's", Value::Null).await;
    let own = api.get("aff_a", &format!("/tracking-apis/{own}")).await;
    assert_eq!(own.body["conditions"]["affiliate"], json!(["aff_a"]));
    assert_eq!(own.body["owner"], json!({"kind": "affiliate", "affiliate_id": "aff_a"}));
    let others =
        json!({"name": "x", "request": {"url": "https://a.example/?r={revenue}"}, "conditions": {"affiliate": ["aff_b"]}});
    let refused = api.call("aff_a", "POST /tracking-apis", others).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    let places: Vec<_> = refused.faults().into_iter().map(|(pointer, _)| pointer).collect();
    assert!(
        places.contains(&"/request/url") && places.iter().any(|place| place.starts_with("/conditions/affiliate")),
        "{places:?}"
    );
}

#[tokio::test]
async fn v3_offers_are_the_admins() {
    let api = Api::new();
    for (line, body) in [("GET /offers", Value::Null), ("PUT /offers/off_5", json!({"name": "Loan"}))] {
        assert_eq!(api.call("aff_a", line, body).await.problem(), (403, "/problems/forbidden"), "{line}");
    }
}
