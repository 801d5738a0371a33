//! Permissions: every operation of the description, asked by every caller. An operation without a row fails the test, and so does a row
//! without an operation.

use axum::{body::Body, http::Request};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tracking_core::caller::Caller;
use tracking_http_api::auth::LocalTokens;

use crate::{
    support::{ADMIN, Api, KEY, Response, morning},
    world::World,
};

/// The callers, in the order of the columns.
const CALLERS: [&str; 7] = ["no token", "expired", "forged", "wrong audience", "aff_b", "aff_a", ADMIN];

/// The status that each caller gets for things of `aff_a`.
const ROWS: &[(&str, [u16; 7])] = &[
    //                                         none exp. forged aud.  B    A    admin
    ("GET /tracking-apis", [401, 401, 401, 401, 200, 200, 200]),
    ("POST /tracking-apis", [401, 401, 401, 401, 201, 201, 201]),
    ("GET /tracking-apis/{id}", [401, 401, 401, 401, 404, 200, 200]),
    ("PUT /tracking-apis/{id}", [401, 401, 401, 401, 404, 200, 200]),
    ("PATCH /tracking-apis/{id}", [401, 401, 401, 401, 404, 200, 200]),
    ("DELETE /tracking-apis/{id}", [401, 401, 401, 401, 404, 204, 204]),
    ("PUT /tracking-apis/{id}/secrets/{name}", [401, 401, 401, 401, 404, 204, 204]),
    ("DELETE /tracking-apis/{id}/secrets/{name}", [401, 401, 401, 401, 404, 204, 204]),
    ("POST /tracking-apis/{id}/duplicate", [401, 401, 401, 401, 404, 201, 201]),
    ("GET /tracking-apis/{id}/history", [401, 401, 401, 401, 404, 200, 200]),
    ("POST /tracking-apis/{id}/history/{version}/restore", [401, 401, 401, 401, 404, 200, 200]),
    ("POST /tracking-apis/bulk", [401, 401, 401, 401, 200, 200, 200]),
    ("POST /tracking-apis/preview", [401, 401, 401, 401, 200, 200, 200]),
    ("POST /tracking-apis/{id}/test", [401, 401, 401, 401, 404, 200, 200]),
    ("POST /tracking-apis/{id}/replay", [401, 401, 401, 401, 404, 200, 200]),
    ("POST /tracking-apis/{id}/backfill", [401, 401, 401, 401, 404, 200, 200]),
    ("POST /explain", [401, 401, 401, 401, 200, 200, 200]),
    ("GET /conversions/{id}/explain", [401, 401, 401, 401, 404, 200, 200]),
    ("GET /affiliates/{id}/quota", [401, 401, 401, 401, 404, 200, 200]),
    ("PUT /affiliates/{id}/quota", [401, 401, 401, 401, 403, 403, 200]),
    ("GET /affiliate-postbacks", [401, 401, 401, 401, 200, 200, 200]),
    ("GET /deliveries", [401, 401, 401, 401, 200, 200, 200]),
    ("GET /deliveries/{id}", [401, 401, 401, 401, 404, 200, 200]),
    ("GET /deliveries/{id}/internals", [401, 401, 401, 401, 403, 403, 200]),
    ("POST /deliveries/{id}/resend", [401, 401, 401, 401, 404, 202, 202]),
    ("POST /deliveries/{id}/cancel", [401, 401, 401, 401, 404, 200, 200]),
    ("GET /stats", [401, 401, 401, 401, 200, 200, 200]),
    ("GET /replays", [401, 401, 401, 401, 200, 200, 200]),
    ("GET /replays/{id}", [401, 401, 401, 401, 404, 200, 200]),
    ("POST /replays/{id}/cancel", [401, 401, 401, 401, 404, 200, 200]),
    ("GET /receivers", [401, 401, 401, 401, 200, 200, 200]),
    ("GET /receivers/{id}", [401, 401, 401, 401, 404, 200, 200]),
    ("POST /receivers/{id}/probe", [401, 401, 401, 401, 404, 409, 409]),
    ("POST /receivers/{id}/reset", [401, 401, 401, 401, 404, 200, 200]),
    ("GET /offers", [401, 401, 401, 401, 403, 403, 200]),
    ("PUT /offers/{id}", [401, 401, 401, 401, 403, 403, 200]),
    ("GET /events/rejected", [401, 401, 401, 401, 403, 403, 200]),
    ("POST /events/rejected/{id}/resubmit", [401, 401, 401, 401, 403, 403, 202]),
    ("POST /tracking-apis/{id}/webhook-id", [401, 401, 401, 401, 404, 409, 409]),
    ("GET /callbacks/{token}", [404, 404, 404, 404, 404, 404, 404]),
    ("POST /callbacks/{token}", [404, 404, 404, 404, 404, 404, 404]),
    ("POST /webhooks/{webhook_id}", [404, 404, 404, 404, 404, 404, 404]),
    ("GET /macros", [401, 401, 401, 401, 200, 200, 200]),
    ("GET /step-kinds", [401, 401, 401, 401, 200, 200, 200]),
    ("GET /presets", [401, 401, 401, 401, 200, 200, 200]),
    ("GET /openapi.json", [401, 401, 401, 401, 200, 200, 200]),
    ("GET /healthz", [200, 200, 200, 200, 200, 200, 200]),
];

/// A body that the operation takes; null for those that take none.
fn body(line: &str) -> Value {
    match line {
        "POST /tracking-apis" | "PUT /tracking-apis/{id}" => json!({"name": "x", "request": {"url": "http://127.0.0.1:1/"}}),
        "PATCH /tracking-apis/{id}" | "POST /tracking-apis/{id}/duplicate" => json!({"name": "x"}),
        "PUT /tracking-apis/{id}/secrets/{name}" => json!({"value": "t0ken"}),
        "POST /tracking-apis/preview" => json!({"tracking_api": {"name": "x", "request": {"url": "http://127.0.0.1:1/"}}}),
        "POST /tracking-apis/{id}/replay" | "POST /tracking-apis/{id}/backfill" => {
            json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z"})
        }
        "PUT /affiliates/{id}/quota" => json!({"rules": 50}),
        "PUT /offers/{id}" => json!({"name": "Loan"}),
        "POST /tracking-apis/bulk" => json!({"ids": ["trk_9"], "action": "resume"}),
        "POST /explain" | "POST /events/rejected/{id}/resubmit" => json!({"event": event()}),
        _ => Value::Null,
    }
}

fn event() -> Value {
    json!({"change_id": "chg_9", "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": "cnv_9", "version": 1, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": "aff_a", "advertiser_id": "adv_2", "offer_id": "off_5"}})
}

impl World {
    async fn ask(&self, who: &str, line: &str, body: &Value) -> Response {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = self.token(who) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.api
            .send(request.header("content-type", "application/json").body(body).expect("the test's parts are well-formed"))
            .await
    }

    fn token(&self, who: &str) -> Option<String> {
        let hour = SignedDuration::from_hours(1);
        match who {
            "no token" => None,
            "expired" => Some(LocalTokens::new(&KEY, morning).mint(&Caller::Admin, morning() - hour)),
            "forged" => Some(LocalTokens::new(&[2; 32], morning).mint(&Caller::Admin, morning() + hour)),
            "wrong audience" => Some(for_others(morning() + hour)),
            _ => Some(self.api.token(who)),
        }
    }
}

/// An admin's token of our key that is meant for another service.
fn for_others(expires: Timestamp) -> String {
    let claims = json!({"iss": "tracking-local", "aud": "billing", "role": "admin", "exp": expires.as_second()});
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(&KEY))
        .expect("any key will do for HMAC")
}

#[tokio::test]
async fn every_operation_has_its_row() {
    let api = Api::new();
    let described = api.get(ADMIN, "/openapi.json").await;
    let paths = described.body["paths"].as_object().unwrap();
    let lines = paths.iter().flat_map(|(path, item)| {
        item.as_object().expect("a path has operations").keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    let (mut lines, mut rows): (Vec<String>, Vec<&str>) = (lines.collect(), ROWS.iter().map(|(line, _)| *line).collect());
    lines.sort_unstable();
    rows.sort_unstable();
    assert_eq!(lines, rows);
}

#[tokio::test]
async fn v2_every_operation_answers_everybody_as_it_should() {
    for &(line, expected) in ROWS {
        let body = body(line);
        let (shared, own) = (World::of("aff_a").await, World::of("aff_a").await);
        let mut found = Vec::new();
        for who in CALLERS {
            // An admin may not be able to repeat what `aff_a` did.
            let world = if who == ADMIN { &own } else { &shared };
            let answer = world.ask(who, &world.about(line, true), &body).await;
            if answer.status >= 400 {
                answer.problem();
            }
            found.push(answer.status);
        }
        assert_eq!(found, expected, "{line}: {CALLERS:?}");
    }
}

#[tokio::test]
async fn v2_what_is_anothers_is_byte_for_byte_what_does_not_exist() {
    let world = World::of("aff_a").await;
    let mut seen = 0;
    for &(line, expected) in ROWS.iter().filter(|(line, expected)| line.contains("{id}") && expected[4] == 404) {
        for body in [body(line), json!("bad"), json!({"unknown": 1})] {
            let hidden = world.ask("aff_b", &world.about(line, true), &body).await;
            let absent = world.ask("aff_b", &world.about(line, false), &body).await;
            assert_eq!(
                (hidden.status, &hidden.text, &hidden.headers),
                (404, &absent.text, &absent.headers),
                "{line} {body} {expected:?}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 7 * 3, "{seen}");
}

/// Lists filtered by another owner's thing equal lists filtered by a thing that does not exist.
#[tokio::test]
async fn v2_lists_do_not_reveal_that_anothers_things_exist() {
    let world = World::of("aff_a").await;
    for (path, own, none) in [
        ("/deliveries?tracking_api_id=", world.rule.as_str(), "trk_none"),
        ("/deliveries?conversion_id=", "cnv_1", "cnv_none"),
        ("/deliveries?affiliate_id=", "aff_a", "aff_none"),
        ("/tracking-apis?owner=", "aff_a", "aff_none"),
        ("/tracking-apis?offer=", "off_5", "off_none"),
        ("/tracking-apis?cursor=", world.rule.as_str(), "trk_none"),
        ("/affiliate-postbacks?affiliate_id=", "aff_a", "aff_none"),
    ] {
        let hidden = world.api.get("aff_b", &format!("{path}{own}")).await;
        let absent = world.api.get("aff_b", &format!("{path}{none}")).await;
        assert_eq!((hidden.status, &hidden.text, &hidden.headers), (200, &absent.text, &absent.headers), "{path}");
        assert_eq!(hidden.each("id").len(), 0, "{path}");
    }
}
