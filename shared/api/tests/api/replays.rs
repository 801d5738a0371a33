//! Replays and backfills are listed, counted and stopped; a rule has one at a time.

use serde_json::{Value, json};

use crate::{
    support::{ADMIN, Response},
    workshop::Workshop,
};

fn day(more: &Value) -> Value {
    let mut body = json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z", "dry_run": false});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more.clone()) {
        body.extend(more);
    }
    body
}

async fn begin(shop: &Workshop, who: &str, rule: &str, verb: &str) -> Response {
    shop.api.call(who, &format!("POST /tracking-apis/{rule}/{verb}"), day(&json!({}))).await
}

/// A rule of `aff_a` with 120 failed deliveries, and a receiver that works by now.
async fn broken() -> (Workshop, String) {
    let shop = Workshop::new(404).await;
    let rule = shop.rule("aff_a", json!({})).await;
    for number in 1..=120 {
        shop.change(number, 1, "pending").await;
    }
    shop.work_all().await;
    shop.receiver.answers(200);
    shop.receiver.heard();
    (shop, rule)
}

#[tokio::test]
async fn a_replay_shows_its_progress() {
    let (shop, rule) = broken().await;
    let begun = begin(&shop, "aff_a", &rule, "replay").await;
    assert_eq!(begun.status, 202, "{}", begun.text);
    let id = begun.body["id"].as_str().unwrap().to_owned();
    let path = format!("/replays/{id}");
    let fresh = shop.api.get("aff_a", &path).await;
    let counts = json!({"expected": 120, "expected_complete": true, "looked_at": 0, "deliveries": 0, "held": 0});
    let expected = json!({
        "id": id, "tracking_api_id": rule, "owner": {"kind": "affiliate", "affiliate_id": "aff_a"}, "kind": "replay", "state": "running",
        "reason": null, "from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z",
        "states": ["failed", "exhausted", "unresolved", "cancelled", "expired"], "force": false,
        "begun_at": fresh.body["begun_at"], "ended_at": null, "counts": counts,
    });
    assert_eq!(fresh.body, expected);
    shop.work_all().await;
    let some = shop.api.get("aff_a", &path).await.body;
    let sent = some["counts"]["deliveries"].as_u64().unwrap();
    assert!((50..120).contains(&sent) && some["state"] == "running", "{some}");
    shop.minutes(3).await;
    let over = shop.api.get("aff_a", &path).await.body;
    assert_eq!(
        (&over["state"], &over["counts"]["deliveries"], &over["reason"]),
        (&json!("completed"), &json!(120), &Value::Null)
    );
    assert!(over["ended_at"].is_string());
    assert_eq!(shop.receiver.heard().len(), 120);
    let refused = shop.api.call("aff_a", &format!("POST {path}/cancel"), Value::Null).await;
    assert_eq!(
        (refused.problem().0, refused.body["detail"].as_str()),
        (409, Some("it is over: only one that runs can be stopped"))
    );
}

#[tokio::test]
async fn a_replay_that_is_stopped_sends_nothing_more() {
    let (shop, rule) = broken().await;
    let id = begin(&shop, "aff_a", &rule, "replay").await.body["id"].as_str().unwrap().to_owned();
    shop.work_all().await;
    let before = shop.receiver.heard().len();
    assert!((50..120).contains(&before), "{before}");
    let stopped = shop.api.call("aff_a", &format!("POST /replays/{id}/cancel"), Value::Null).await;
    assert_eq!(
        (stopped.status, &stopped.body["state"], &stopped.body["reason"]),
        (200, &json!("cancelled"), &json!("a person stopped it"))
    );
    shop.minutes(5).await;
    assert_eq!(shop.receiver.heard().len(), 0);
    let over = shop.api.get(ADMIN, &format!("/replays/{id}")).await.body;
    assert_eq!((&over["state"], &over["counts"]["deliveries"]), (&json!("cancelled"), &json!(before)));
    let again = begin(&shop, "aff_a", &rule, "replay").await;
    assert_eq!((again.status, &again.body["deliveries"]), (202, &json!(120 - before)), "what it left is still there");
}

#[tokio::test]
async fn a_rule_has_one_replay_or_backfill_at_a_time() {
    let (shop, rule) = broken().await;
    let id = begin(&shop, "aff_a", &rule, "replay").await.body["id"].as_str().unwrap().to_owned();
    let detail = format!("{id} of the same Tracking API is running: wait for its end, or stop it with POST /replays/{id}/cancel");
    for verb in ["replay", "backfill"] {
        let refused = begin(&shop, "aff_a", &rule, verb).await;
        assert_eq!((refused.problem().0, refused.body["detail"].as_str()), (409, Some(detail.as_str())), "{verb}");
        let counted = shop.api.call("aff_a", &format!("POST /tracking-apis/{rule}/{verb}"), day(&json!({"dry_run": true}))).await;
        assert_eq!((counted.status, counted.body.get("id")), (200, None), "counting is no replay");
    }
    let other = shop.rule("aff_a", json!({"name": "other"})).await;
    let backfill = begin(&shop, "aff_a", &other, "backfill").await;
    assert_eq!(backfill.status, 202, "another rule has its own: {}", backfill.text);
    shop.minutes(5).await;
    let backfill = shop.api.get("aff_a", &format!("/replays/{}", backfill.body["id"].as_str().unwrap())).await.body;
    let counts = json!({"expected": 120, "expected_complete": true, "looked_at": 120, "deliveries": 120, "held": 0});
    assert_eq!((&backfill["kind"], &backfill["state"], &backfill["counts"]), (&json!("backfill"), &json!("completed"), &counts));
    assert_eq!(begin(&shop, "aff_a", &rule, "replay").await.status, 202, "the first is over");
}

#[tokio::test]
async fn of_replays_at_the_same_moment_one_begins() {
    let (shop, rule) = broken().await;
    let all = (0..8).map(|_| begin(&shop, ADMIN, &rule, "replay"));
    let mut statuses: Vec<u16> = futures_util::future::join_all(all).await.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409, 409, 409, 409, 409, 409, 409]);
    shop.minutes(5).await;
    assert_eq!(shop.receiver.heard().len(), 120);
}

#[tokio::test]
async fn v2_replays_are_listed_for_the_owner_of_their_rule() {
    let shop = Workshop::new(404).await;
    let (own, admins) = (shop.rule("aff_a", json!({})).await, shop.rule(ADMIN, json!({})).await);
    let mut ids = Vec::new();
    for rule in [&own, &admins, &own] {
        ids.push(begin(&shop, ADMIN, rule, "replay").await.body["id"].as_str().unwrap().to_owned());
        shop.minutes(1).await;
    }
    ids.reverse();
    let listed = async |who: &str, path: &str| {
        let page = shop.api.get(who, path).await;
        (page.each("id").into_iter().map(ToOwned::to_owned).collect::<Vec<_>>(), page.body["next_cursor"].clone())
    };
    assert_eq!(listed(ADMIN, "/replays").await, (ids.clone(), Value::Null));
    assert_eq!(listed("aff_a", "/replays").await, (vec![ids[0].clone(), ids[2].clone()], Value::Null));
    assert_eq!(listed("aff_b", "/replays").await, (Vec::new(), Value::Null));
    let first = listed(ADMIN, "/replays?limit=2").await;
    assert_eq!(first, (ids[..2].to_vec(), json!(ids[1])));
    assert_eq!(listed(ADMIN, &format!("/replays?limit=2&cursor={}", ids[1])).await, (ids[2..].to_vec(), Value::Null));
}

#[tokio::test]
async fn p6_a_replay_ends_with_its_rule() {
    let (shop, rule) = broken().await;
    let id = begin(&shop, "aff_a", &rule, "replay").await.body["id"].as_str().unwrap().to_owned();
    shop.api.call("aff_a", &format!("PATCH /tracking-apis/{rule}"), json!({"active": false})).await;
    shop.minutes(3).await;
    let over = shop.api.get("aff_a", &format!("/replays/{id}")).await.body;
    let reason = json!("the Tracking API was switched off or deleted");
    assert_eq!((&over["state"], &over["reason"]), (&json!("cancelled"), &reason));
    shop.api.call("aff_a", &format!("PATCH /tracking-apis/{rule}"), json!({"active": true})).await;
    assert_eq!(begin(&shop, "aff_a", &rule, "replay").await.status, 202);
}
