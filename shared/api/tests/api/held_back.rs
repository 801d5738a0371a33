//! Resending a held and never sent delivery: in its present state, never as it was when holding began (F3, P6).

use serde_json::{Value, json};
use tracking_engine::backend::{Backend, Effects, Key};

use crate::{
    support::{ADMIN, Response},
    workshop::Workshop,
};

const FINAL: &str = "final";

async fn switch(shop: &Workshop, rule: &str, active: bool) {
    let switched = shop.api.call(ADMIN, &format!("PATCH /tracking-apis/{rule}"), json!({"active": active})).await;
    assert_eq!(switched.status, 200, "{}", switched.text);
}

async fn replay(shop: &Workshop, rule: &str, states: &[&str], dry_run: bool) -> Response {
    let body = json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z", "states": states, "dry_run": dry_run});
    shop.api.call(ADMIN, &format!("POST /tracking-apis/{rule}/replay"), body).await
}

async fn state(shop: &Workshop, id: &str) -> String {
    shop.state_and_attempts(id).await.0
}

/// A sale that is held, and its delivery.
async fn held(members: Value) -> (Workshop, String, String) {
    let shop = Workshop::new(200).await;
    let rule = shop.rule(ADMIN, members).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let id = shop.deliveries().await.remove(0);
    assert_eq!(state(&shop, &id).await, "held");
    (shop, rule, id)
}

#[tokio::test]
async fn f3_what_was_held_when_its_rule_was_switched_off_is_not_sent_where_it_does_not_fit() {
    let (shop, rule, id) = held(json!({"delay": {"mode": FINAL}, "conditions": {"result": ["approved"]}})).await;
    switch(&shop, &rule, false).await;
    shop.work_all().await;
    assert_eq!(state(&shop, &id).await, "cancelled");
    switch(&shop, &rule, true).await;
    let counted = replay(&shop, &rule, &["cancelled"], true).await;
    assert_eq!((&counted.body["deliveries"], &counted.body["skipped"]), (&json!(0), &json!(1)), "{}", counted.text);
    assert_eq!(replay(&shop, &rule, &["cancelled"], false).await.status, 202);
    shop.minutes(3).await;
    let refused = shop.resend(ADMIN, &id, json!({"force": true})).await;
    assert_eq!(refused.problem(), (409, "/problems/conflict"));
    shop.minutes(3).await;
    assert_eq!(shop.receiver.heard(), [""; 0]);
    assert_eq!(state(&shop, &id).await, "cancelled");
}

#[tokio::test]
async fn f3_what_was_held_when_its_rule_was_switched_off_is_sent_as_it_is_known_now() {
    let (shop, rule, id) = held(json!({"delay": {"mode": FINAL}, "trigger": "transaction_created"})).await;
    switch(&shop, &rule, false).await;
    shop.work_all().await;
    shop.process_change(1, 2, "pending").await;
    switch(&shop, &rule, true).await;
    assert_eq!(replay(&shop, &rule, &["cancelled"], false).await.status, 202);
    shop.minutes(1).await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=1"]);
    let sent = shop.delivery(&id).await;
    assert_eq!((&sent["state"], &sent["change_id"]), (&json!("delivered"), &json!("chg_1_2")));
    shop.process_change(1, 3, "approved").await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=approved&n=1"], "it settles later");
}

#[tokio::test]
async fn f3_a_replay_of_what_was_stopped_while_it_was_held_leaves_the_final_one_to_come() {
    let (shop, rule, id) = held(json!({"delay": {"mode": FINAL}})).await;
    assert_eq!(shop.cancel(ADMIN, &id).await.status, 200);
    assert_eq!(replay(&shop, &rule, &["cancelled"], false).await.body["states"], json!({"cancelled": 1}));
    shop.minutes(2).await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=1"]);
    shop.process_change(1, 2, "approved").await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=approved&n=1"]);
}

#[tokio::test]
async fn f3_what_settled_after_it_was_stopped_is_sent_as_it_settled() {
    let (shop, _, id) = held(json!({"delay": {"mode": FINAL}})).await;
    assert_eq!(shop.cancel(ADMIN, &id).await.status, 200);
    shop.process_change(1, 2, "approved").await;
    assert_eq!(shop.receiver.heard(), [""; 0]);
    assert_eq!(shop.resend(ADMIN, &id, Value::Null).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=approved&n=1"]);
    shop.process_change(1, 3, "rejected").await;
    assert_eq!(shop.receiver.heard(), [""; 0], "that was the final one");
}

#[tokio::test]
async fn f3_what_expired_is_sent_as_it_is_and_once_more_when_it_settles() {
    let (shop, _, id) = held(json!({"delay": {"mode": FINAL, "max_hold_days": 1}})).await;
    shop.api.pass(2 * 86_400);
    shop.minutes(2).await;
    assert_eq!(state(&shop, &id).await, "expired");
    shop.process_change(1, 2, "pending").await;
    assert_eq!(shop.resend(ADMIN, &id, Value::Null).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=1"]);
    assert_eq!(shop.delivery(&id).await["change_id"], "chg_1_2");
    shop.process_change(1, 3, "approved").await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=approved&n=1"]);
}

#[tokio::test]
async fn p6_what_is_shown_as_held_since_before_its_rule_was_switched_off_can_be_sent() {
    let (shop, rule, id) = held(json!({"delay": {"mode": FINAL}})).await;
    switch(&shop, &rule, false).await;
    switch(&shop, &rule, true).await;
    // Nobody has ended it yet, and a newer change is held under another name.
    shop.change(1, 2, "pending").await;
    let answer = shop.resend(ADMIN, &id, Value::Null).await;
    assert_eq!((answer.status, &answer.body["state"]), (202, &json!("waiting")), "{}", answer.text);
    shop.work_all().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=1"]);
    assert_eq!(state(&shop, &id).await, "delivered");
    shop.process_change(1, 3, "approved").await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=approved&n=1"]);
    assert_eq!(shop.deliveries().await.len(), 2);
}

#[tokio::test]
async fn f3_a_refused_resend_leaves_what_was_stopped_cancelled() {
    let (shop, _, id) = held(json!({"delay": {"mode": FINAL}, "conditions": {"result": ["approved"]}})).await;
    assert_eq!(shop.cancel(ADMIN, &id).await.status, 200);
    assert_eq!(shop.resend(ADMIN, &id, Value::Null).await.problem(), (409, "/problems/conflict"));
    assert_eq!(state(&shop, &id).await, "cancelled");
    shop.process_change(1, 2, "approved").await;
    assert_eq!(shop.receiver.heard(), [""; 0], "it stays stopped");
}

#[tokio::test]
async fn l1_a_stop_that_was_cut_off_is_taken_back_by_a_resend() {
    let (shop, _, id) = held(json!({"delay": {"mode": FINAL}})).await;
    let store = shop.api.engine.backend();
    let key = Key::new(format!("C#{}", &id[4..20]), format!("D#{id}"));
    let row = store.get(&[key]).await.unwrap().remove(0).unwrap();
    assert_eq!(shop.cancel(ADMIN, &id).await.status, 200);
    // The subject queue has it, and the row has not.
    store.commit(vec![Effects { put: vec![row], ..Effects::default() }]).await.remove(0).unwrap();
    assert_eq!(state(&shop, &id).await, "held");
    assert_eq!(shop.resend(ADMIN, &id, Value::Null).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=1"]);
    assert_eq!(state(&shop, &id).await, "delivered");
}

#[tokio::test]
async fn f4_a_final_one_that_was_stopped_unsent_is_followed_by_no_correction() {
    let shop = Workshop::new(200).await;
    let url = format!("{}/p?r={{result}}&c={{is_correction}}", shop.receiver.url);
    shop.rule(ADMIN, json!({"request": {"url": url}, "delay": {"mode": FINAL, "corrections": true}})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let id = shop.deliveries().await.remove(0);
    assert_eq!(shop.cancel(ADMIN, &id).await.status, 200);
    shop.process_change(1, 2, "approved").await;
    assert_eq!(shop.receiver.heard(), [""; 0]);
    shop.process_change(1, 3, "rejected").await;
    assert_eq!(shop.receiver.heard(), ["/p?r=rejected&c=0"]);
}
