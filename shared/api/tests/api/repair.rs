//! Resending one delivery, and stopping it (L1, P3, P6).

use serde_json::{Value, json};
use tracking_core::delivery::DeliveryId;

use crate::{support::ADMIN, workshop::Workshop};

fn state_and_attempts(state: &str, attempts: u64, most: u64) -> (String, u64, u64) {
    (state.to_owned(), attempts, most)
}

#[tokio::test]
async fn l1_what_failed_is_sent_again_once_the_receiver_is_repaired() {
    let shop = Workshop::new(503).await;
    shop.rule("aff_a", json!({})).await;
    shop.process_change(1, 1, "pending").await;
    let id = shop.deliveries().await.remove(0);
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("exhausted", 2, 2));
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=1", "/p?t=trx_1&r=pending&n=2"]);

    shop.receiver.answers(200);
    let answer = shop.resend("aff_a", &id, Value::Null).await;
    assert_eq!(
        (answer.status, &answer.body["id"], &answer.body["state"]),
        (202, &json!(id), &json!("waiting")),
        "{}",
        answer.text
    );
    assert_eq!((&answer.body["attempts"], &answer.body["max_attempts"]), (&json!(2), &json!(4)));
    assert_eq!(answer.body["log"], Value::Null, "as in lists");
    shop.work_all().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=3"], "attempts count on");
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("delivered", 3, 4));
    let log = shop.delivery(&id).await["log"].clone();
    let attempts: Vec<_> = log.as_array().unwrap().iter().map(|attempt| (&attempt["attempt"], &attempt["status"])).collect();
    assert_eq!(attempts, [(&json!(1), &json!(503)), (&json!(2), &json!(503)), (&json!(3), &json!(200))]);
    shop.minutes(3).await;
    assert_eq!(shop.receiver.heard(), [""; 0], "messages that come later do nothing");
    assert_eq!(shop.deliveries().await, [id], "the same delivery");
}

#[tokio::test]
async fn l1_a_resend_opens_a_new_budget_with_its_own_waits() {
    let shop = Workshop::new(408).await;
    shop.rule(ADMIN, json!({})).await;
    shop.process_change(1, 1, "pending").await;
    let id = shop.deliveries().await.remove(0);
    for budget in [2, 4] {
        assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("exhausted", budget, budget));
        assert_eq!(shop.resend(ADMIN, &id, json!({})).await.status, 202);
        shop.work_all().await;
        assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("waiting", budget + 1, budget + 2));
        shop.minutes(3).await;
    }
    let ended = shop.delivery(&id).await;
    assert_eq!((&ended["state"], &ended["attempts"]), (&json!("exhausted"), &json!(6)));
    assert_eq!(ended["reason"], "no more retries after 2 attempts; the last: retry: status 408");
    assert_eq!(ended["log"].as_array().unwrap().len(), 6);
    assert_eq!(shop.receiver.heard().len(), 6);
}

#[tokio::test]
async fn l1_a_resend_does_not_wait_for_the_retry_and_what_was_delivered_is_sent_again_too() {
    let shop = Workshop::new(503).await;
    shop.rule(ADMIN, json!({})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let id = shop.deliveries().await.remove(0);
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("waiting", 1, 2));
    shop.receiver.answers(204);
    for (attempts, most) in [(2, 3), (3, 4)] {
        assert_eq!(shop.resend(ADMIN, &id, json!({"force": null})).await.status, 202);
        shop.work_all().await;
        assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("delivered", attempts, most));
    }
    shop.minutes(3).await;
    assert_eq!(shop.receiver.heard().len(), 3);
}

#[tokio::test]
async fn l1_a_resend_is_refused_while_the_rule_is_off_and_revives_what_that_ended() {
    let shop = Workshop::new(503).await;
    let rule = shop.rule("aff_a", json!({})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let id = shop.deliveries().await.remove(0);
    shop.api.call("aff_a", &format!("PATCH /tracking-apis/{rule}"), json!({"active": false})).await;
    shop.work_all().await;
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("cancelled", 1, 2));
    let refused = shop.resend("aff_a", &id, json!({"force": true})).await;
    assert_eq!(refused.problem(), (409, "/problems/conflict"));
    assert_eq!(refused.body["detail"], "the Tracking API is switched off or deleted: switch it on first");
    shop.receiver.answers(200);
    shop.api.call("aff_a", &format!("PATCH /tracking-apis/{rule}"), json!({"active": true})).await;
    shop.minutes(3).await;
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("cancelled", 1, 2), "switching on revives nothing (P6)");
    assert_eq!(shop.resend("aff_a", &id, Value::Null).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("delivered", 2, 3));
    shop.api.call("aff_a", &format!("DELETE /tracking-apis/{rule}"), Value::Null).await;
    assert_eq!(shop.resend("aff_a", &id, Value::Null).await.problem(), (409, "/problems/conflict"));
}

#[tokio::test]
async fn l1_a_resend_is_refused_where_a_newer_one_was_delivered_unless_it_is_forced() {
    let shop = Workshop::new(404).await;
    shop.rule(ADMIN, json!({})).await;
    shop.process_change(1, 1, "pending").await;
    shop.process_change(1, 2, "approved").await;
    let ids = shop.deliveries().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=1", "/p?t=trx_1&r=approved&n=1"]);
    // The newer one failed too: there is no obstacle to the older.
    assert_eq!(shop.resend(ADMIN, &ids[0], Value::Null).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.state_and_attempts(&ids[0]).await, state_and_attempts("failed", 2, 3));
    shop.receiver.answers(200);
    assert_eq!(shop.resend(ADMIN, &ids[1], Value::Null).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=2", "/p?t=trx_1&r=approved&n=2"]);
    let refused = shop.resend(ADMIN, &ids[0], json!({"force": false})).await;
    assert_eq!(refused.problem(), (409, "/problems/conflict"));
    let why = "a newer change of the same subject was delivered: send this one all the same with \"force\": true";
    assert_eq!(refused.body["detail"], why);
    assert_eq!(shop.state_and_attempts(&ids[0]).await, state_and_attempts("failed", 2, 3));
    assert_eq!(shop.resend(ADMIN, &ids[0], json!({"force": true})).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=3"]);
    assert_eq!(shop.state_and_attempts(&ids[0]).await, state_and_attempts("delivered", 3, 4));
}

#[tokio::test]
async fn p3_a_newer_change_supersedes_a_resend_that_waits() {
    let shop = Workshop::new(404).await;
    shop.rule(ADMIN, json!({})).await;
    shop.process_change(1, 1, "pending").await;
    let first = shop.deliveries().await.remove(0);
    shop.receiver.answers(503);
    assert_eq!(shop.resend(ADMIN, &first, Value::Null).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.state_and_attempts(&first).await, state_and_attempts("waiting", 2, 3));
    shop.receiver.answers(200);
    shop.process_change(1, 2, "approved").await;
    assert_eq!(shop.state_and_attempts(&first).await, state_and_attempts("superseded", 2, 3));
    assert_eq!(shop.receiver.heard().len(), 3);
}

#[tokio::test]
async fn l1_what_is_being_sent_is_left_alone() {
    let shop = Workshop::new(200).await;
    shop.rule(ADMIN, json!({})).await;
    shop.receiver.answers(503);
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let id = shop.deliveries().await.remove(0);
    shop.api.pass(67);
    let retry = shop.due().remove(0);
    // The retry is claimed, and not sent yet.
    let claiming = shop.api.engine.worker().claim(&retry).await.unwrap();
    assert!(matches!(claiming, tracking_engine::ClaimOutcome::Send(_)), "{claiming:?}");
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("sending", 1, 2));
    for refused in [shop.resend(ADMIN, &id, json!({"force": true})).await, shop.cancel(ADMIN, &id).await] {
        assert_eq!(refused.problem(), (409, "/problems/conflict"));
        let detail = refused.body["detail"].as_str().expect("the answer has it");
        assert!(detail.starts_with("it is being sent: wait for its answer, or until 20"), "{detail}");
    }
    // Nobody concludes it: when its lease is over, it counts as cut off, and is spent.
    shop.api.pass(60);
    assert_eq!(shop.resend(ADMIN, &id, Value::Null).await.status, 202);
    shop.receiver.answers(200);
    shop.work_all().await;
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("delivered", 3, 4));
}

#[tokio::test]
async fn l1_a_resend_is_refused_while_a_newer_one_is_being_sent_unless_it_is_forced() {
    let shop = Workshop::new(404).await;
    let rule = shop.rule(ADMIN, json!({})).await;
    shop.process_change(1, 1, "pending").await;
    let older = shop.deliveries().await.remove(0);
    shop.receiver.answers(503);
    shop.change(1, 2, "approved").await;
    shop.work_all().await;
    shop.api.pass(67);
    let claiming = shop.api.engine.worker().claim(&shop.due().remove(0)).await.unwrap();
    assert!(matches!(claiming, tracking_engine::ClaimOutcome::Send(_)), "{claiming:?}");
    let refused = shop.resend(ADMIN, &older, Value::Null).await;
    assert_eq!(refused.problem(), (409, "/problems/conflict"));
    let why = "a newer change of the same subject is being sent: wait for its answer, or send this one all the same with \"force\": true";
    assert_eq!(refused.body["detail"], why);
    let period = json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z"});
    let counted = shop.api.call(ADMIN, &format!("POST /tracking-apis/{rule}/replay"), period).await;
    assert_eq!((&counted.body["deliveries"], &counted.body["skipped"]), (&json!(0), &json!(1)));
    assert_eq!(shop.resend(ADMIN, &older, json!({"force": true})).await.status, 202);
}

#[tokio::test]
async fn l1_created_is_older_than_updated_of_the_same_change() {
    let shop = Workshop::new(404).await;
    shop.rule(ADMIN, json!({})).await;
    let event = json!({"detail-type": "Conversion Changed", "detail": {
        "change_id": "chg_1", "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": "cnv_1", "version": 1, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": "aff_a", "advertiser_id": "adv_2", "offer_id": "off_5"},
        "transactions": [{"transaction_id": "trx_1", "result": "approved", "auto_set": true}]}});
    shop.api.engine.matcher().accept(&[event.to_string().as_bytes()]).await.unwrap();
    shop.minutes(2).await;
    let mut ids = shop.deliveries().await;
    assert_eq!(ids.len(), 2);
    if shop.delivery(&ids[0]).await["event"] == "transaction_updated" {
        ids.reverse();
    }
    shop.receiver.answers(200);
    assert_eq!(shop.resend(ADMIN, &ids[1], Value::Null).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.state_and_attempts(&ids[1]).await, state_and_attempts("delivered", 2, 3));
    assert_eq!(shop.resend(ADMIN, &ids[0], Value::Null).await.problem(), (409, "/problems/conflict"));
    assert_eq!(shop.resend(ADMIN, &ids[0], json!({"force": true})).await.status, 202);
}

#[tokio::test]
async fn p6_a_person_stops_what_waits() {
    let shop = Workshop::new(503).await;
    shop.rule("aff_a", json!({})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let id = shop.deliveries().await.remove(0);
    let stopped = shop.cancel("aff_a", &id).await;
    assert_eq!((stopped.status, &stopped.body["state"]), (200, &json!("cancelled")), "{}", stopped.text);
    assert_eq!((&stopped.body["reason"], &stopped.body["next_due"]), (&json!("stopped by a person"), &Value::Null));
    shop.receiver.answers(200);
    shop.minutes(3).await;
    assert_eq!(shop.receiver.heard().len(), 1);
    let refused = shop.cancel("aff_a", &id).await;
    assert_eq!(refused.problem(), (409, "/problems/conflict"));
    assert_eq!(refused.body["detail"], "it is over, cancelled: only what waits or is held can be stopped");
    assert_eq!(shop.resend("aff_a", &id, Value::Null).await.status, 202, "a person may think again");
    shop.work_all().await;
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("delivered", 2, 3));
}

#[tokio::test]
async fn p6_a_person_stops_what_is_held_and_it_is_not_released() {
    let shop = Workshop::new(200).await;
    shop.rule(ADMIN, json!({"delay": {"mode": "final"}})).await;
    shop.change(1, 1, "pending").await;
    shop.change(2, 1, "pending").await;
    shop.work_all().await;
    let ids = shop.deliveries().await;
    assert_eq!(shop.state_and_attempts(&ids[0]).await, state_and_attempts("held", 0, 2));
    assert_eq!(shop.cancel(ADMIN, &ids[0]).await.body["state"], "cancelled");
    shop.process_change(1, 2, "approved").await;
    shop.process_change(2, 2, "approved").await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_2&r=approved&n=1"]);
    assert_eq!(shop.state_and_attempts(&ids[0]).await, state_and_attempts("cancelled", 0, 2));
    assert_eq!(shop.state_and_attempts(&ids[1]).await, state_and_attempts("delivered", 1, 2));
}

#[tokio::test]
async fn p6_one_that_was_released_already_is_stopped_before_its_first_attempt() {
    let shop = Workshop::new(200).await;
    shop.rule(ADMIN, json!({"delay": {"mode": "final"}})).await;
    shop.change(1, 1, "pending").await;
    shop.change(1, 2, "approved").await;
    let id = shop.deliveries().await.remove(0);
    // The hold has handed it over, and nobody has taken the message yet.
    assert_eq!(shop.cancel(ADMIN, &id).await.body["state"], "cancelled");
    shop.minutes(3).await;
    assert_eq!(shop.receiver.heard(), [""; 0]);
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("cancelled", 0, 2));
}

#[tokio::test]
async fn f3_what_is_held_is_sent_now_as_it_is_known_now_and_still_when_it_settles() {
    let shop = Workshop::new(200).await;
    shop.rule(ADMIN, json!({"delay": {"mode": "final"}})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let id = shop.deliveries().await.remove(0);
    let answer = shop.resend(ADMIN, &id, Value::Null).await;
    assert_eq!((answer.status, &answer.body["state"]), (202, &json!("waiting")), "{}", answer.text);
    shop.work_all().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=1"]);
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("delivered", 1, 2));
    shop.minutes(3).await;
    shop.process_change(1, 2, "approved").await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=approved&n=1"], "the final one goes out still");
}

#[tokio::test]
async fn f3_one_that_was_stopped_while_it_was_held_is_sent_as_it_is_known_now() {
    let shop = Workshop::new(200).await;
    shop.rule(ADMIN, json!({"delay": {"mode": "final", "settle_seconds": 86_400}})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let id = shop.deliveries().await.remove(0);
    assert_eq!(shop.cancel(ADMIN, &id).await.status, 200);
    shop.process_change(1, 2, "approved").await;
    assert_eq!(shop.resend(ADMIN, &id, Value::Null).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=approved&n=1"]);
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("delivered", 1, 2));
    shop.api.pass(2 * 86_400);
    shop.minutes(3).await;
    assert_eq!(shop.receiver.heard(), [""; 0], "that was the final one");
}

#[tokio::test]
async fn f3_what_is_held_and_does_not_fit_as_it_is_now_is_not_sent() {
    let shop = Workshop::new(200).await;
    shop.rule(ADMIN, json!({"delay": {"mode": "final"}, "conditions": {"result": ["approved"]}})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let id = shop.deliveries().await.remove(0);
    let refused = shop.resend(ADMIN, &id, json!({"force": true})).await;
    assert_eq!(refused.problem(), (409, "/problems/conflict"));
    let why = refused.body["detail"].as_str().unwrap();
    assert!(why.starts_with("the conditions do not hold for it as it is now: "), "{why}");
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("held", 0, 2));
    shop.process_change(1, 2, "approved").await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=approved&n=1"]);
}

#[tokio::test]
async fn v2_anothers_deliveries_can_be_neither_sent_nor_stopped() {
    let shop = Workshop::new(404).await;
    let rule = shop.rule("aff_a", json!({})).await;
    shop.process_change(1, 1, "pending").await;
    let id = shop.deliveries().await.remove(0);
    let absent = DeliveryId::parse("dlv_0123456789abcdefghjkmnpqrstvwxyz").unwrap();
    for body in [Value::Null, json!({"force": true}), json!({"farce": 1})] {
        let hidden = shop.resend("aff_b", &id, body.clone()).await;
        let gone = shop.resend("aff_b", absent.as_str(), body).await;
        assert_eq!(hidden.problem(), (404, "/problems/not-found"));
        assert_eq!((&hidden.text, &hidden.headers), (&gone.text, &gone.headers));
    }
    assert_eq!(shop.cancel("aff_b", &id).await.text, shop.cancel("aff_b", "nonsense").await.text);
    for (verb, body) in [("replay", json!({"from": "x"})), ("backfill", Value::Null)] {
        let hidden = shop.api.call("aff_b", &format!("POST /tracking-apis/{rule}/{verb}"), body.clone()).await;
        let gone = shop.api.call("aff_b", &format!("POST /tracking-apis/trk_none/{verb}"), body).await;
        assert_eq!(hidden.problem(), (404, "/problems/not-found"));
        assert_eq!((&hidden.text, &hidden.headers), (&gone.text, &gone.headers));
    }
    assert_eq!(shop.receiver.heard().len(), 1);
}

#[tokio::test]
async fn a_bad_resend_is_refused_with_its_faults() {
    let shop = Workshop::new(404).await;
    shop.rule(ADMIN, json!({})).await;
    shop.process_change(1, 1, "pending").await;
    let id = shop.deliveries().await.remove(0);
    let refused = shop.resend(ADMIN, &id, json!({"force": "yes", "farce": true})).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    let faults = [
        ("/farce", "unknown field \"farce\"; did you mean \"force\"?"),
        ("/force", "a text is not a flag: choose true or false"),
    ];
    assert_eq!(refused.faults(), faults);
    assert_eq!(shop.state_and_attempts(&id).await, state_and_attempts("failed", 1, 2));
}
