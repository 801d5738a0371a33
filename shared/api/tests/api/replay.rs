//! Repairing a period: replays, and backfills from kept events (L1, P2, docs/api.md).

use serde_json::{Value, json};

use crate::{
    support::{ADMIN, Response},
    workshop::Workshop,
};

const DAY: [&str; 2] = ["2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"];

async fn ask(shop: &Workshop, who: &str, rule: &str, verb: &str, more: Value) -> Response {
    let mut body = json!({"from": DAY[0], "to": DAY[1]});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    shop.api.call(who, &format!("POST /tracking-apis/{rule}/{verb}"), body).await
}

#[tokio::test]
async fn l1_a_replay_is_counted_first_and_then_worked_off() {
    let shop = Workshop::new(404).await;
    let rule = shop.rule("aff_a", json!({})).await;
    for number in 1..=120 {
        shop.change(number, 1, "pending").await;
    }
    shop.work_all().await;
    shop.receiver.answers(200);
    shop.process_change(500, 1, "pending").await;
    shop.receiver.heard();

    let counted = ask(&shop, "aff_a", &rule, "replay", json!({})).await;
    assert_eq!(counted.status, 200, "{}", counted.text);
    let counts =
        json!({"dry_run": true, "deliveries": 120, "states": {"failed": 120}, "skipped": 0, "complete": true, "per_second": 50});
    assert_eq!(counted.body, counts);
    shop.minutes(1).await;
    assert_eq!(shop.receiver.heard().len(), 0, "counting sends nothing");

    let begun = ask(&shop, "aff_a", &rule, "replay", json!({"dry_run": false})).await;
    assert_eq!((begun.status, &begun.body["deliveries"], &begun.body["dry_run"]), (202, &json!(120), &json!(false)));
    shop.work_all().await;
    let first = shop.receiver.heard().len();
    assert!((50..120).contains(&first), "{first} in the first second");
    shop.minutes(3).await;
    assert_eq!(first + shop.receiver.heard().len(), 120);
    let delivered = shop.api.get(ADMIN, "/deliveries?state=delivered&limit=1000").await;
    assert_eq!(delivered.each("id").len(), 121);
    let again = ask(&shop, "aff_a", &rule, "replay", json!({})).await;
    assert_eq!(again.body["deliveries"], 0);
}

#[tokio::test]
async fn l1_a_step_of_a_replay_that_comes_twice_sends_nothing_twice() {
    let shop = Workshop::new(404).await;
    let rule = shop.rule(ADMIN, json!({})).await;
    for number in 1..=3 {
        shop.process_change(number, 1, "pending").await;
    }
    shop.receiver.heard();
    assert_eq!(ask(&shop, ADMIN, &rule, "replay", json!({"dry_run": false})).await.status, 202);
    let step = shop.due();
    assert_eq!(step.len(), 1);
    shop.work(step.clone()).await;
    // Also after the deliveries that it resent have failed again.
    shop.work_all().await;
    assert_eq!(shop.receiver.heard().len(), 3);
    shop.work(step).await;
    shop.minutes(2).await;
    assert_eq!(shop.receiver.heard().len(), 0);
    assert_eq!(ask(&shop, ADMIN, &rule, "replay", json!({"dry_run": false})).await.status, 202);
    shop.minutes(2).await;
    assert_eq!(shop.receiver.heard().len(), 3, "another replay is another one");
}

#[tokio::test]
async fn l1_a_replay_skips_what_a_newer_one_was_delivered_of_unless_it_is_forced() {
    let shop = Workshop::new(404).await;
    let rule = shop.rule(ADMIN, json!({})).await;
    shop.process_change(1, 1, "pending").await;
    shop.process_change(2, 1, "pending").await;
    shop.receiver.answers(200);
    shop.process_change(1, 2, "approved").await;
    shop.receiver.answers(503);
    shop.change(3, 1, "pending").await;
    shop.work_all().await;
    shop.receiver.heard();
    shop.receiver.answers(200);
    let counted = ask(&shop, ADMIN, &rule, "replay", json!({})).await;
    assert_eq!((&counted.body["deliveries"], &counted.body["skipped"]), (&json!(1), &json!(1)));
    let forced = ask(&shop, ADMIN, &rule, "replay", json!({"force": true})).await;
    assert_eq!((&forced.body["deliveries"], &forced.body["skipped"]), (&json!(2), &json!(0)));
    let all = ask(&shop, ADMIN, &rule, "replay", json!({"states": ["delivered", "failed"]})).await;
    assert_eq!(all.body["states"], json!({"delivered": 1, "failed": 1}));
    assert_eq!(ask(&shop, ADMIN, &rule, "replay", json!({"dry_run": false})).await.status, 202);
    shop.work_all().await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_2&r=pending&n=2"], "what waits is left alone");
}

#[tokio::test]
async fn a_replay_is_of_its_period() {
    let shop = Workshop::new(404).await;
    let rule = shop.rule(ADMIN, json!({})).await;
    shop.process_change(1, 1, "pending").await;
    shop.api.pass(86_400);
    shop.process_change(2, 1, "pending").await;
    for (from, to, owed) in [
        ("2026-11-22T00:00:00Z", "2026-11-24T00:00:00Z", 2),
        ("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", 1),
        ("2026-11-23T00:00:00Z", "2026-12-24T00:00:00Z", 1),
        ("2026-11-24T00:00:00Z", "2026-12-24T00:00:00Z", 0),
    ] {
        let counted = ask(&shop, ADMIN, &rule, "replay", json!({"from": from, "to": to})).await;
        assert_eq!(counted.body["deliveries"], owed, "{from} to {to}: {}", counted.text);
    }
}

#[tokio::test]
async fn p6_a_replay_needs_a_rule_that_sends_and_ends_with_it() {
    let shop = Workshop::new(404).await;
    let rule = shop.rule(ADMIN, json!({})).await;
    for number in 1..=60 {
        shop.change(number, 1, "pending").await;
    }
    shop.work_all().await;
    shop.receiver.heard();
    assert_eq!(ask(&shop, ADMIN, &rule, "replay", json!({"dry_run": false})).await.status, 202);
    shop.api.call(ADMIN, &format!("PATCH /tracking-apis/{rule}"), json!({"active": false})).await;
    for verb in ["replay", "backfill"] {
        assert_eq!(ask(&shop, ADMIN, &rule, verb, json!({})).await.problem(), (409, "/problems/conflict"));
    }
    shop.api.call(ADMIN, &format!("PATCH /tracking-apis/{rule}"), json!({"active": true})).await;
    shop.minutes(3).await;
    assert_eq!(shop.receiver.heard().len(), 0, "switching on revives nothing");
    let waiting = shop.api.get(ADMIN, "/deliveries?state=waiting").await;
    assert_eq!(waiting.each("id").len(), 0);
}

#[tokio::test]
async fn p6_what_is_about_to_be_cancelled_is_replayed_as_cancelled() {
    let shop = Workshop::new(503).await;
    let rule = shop.rule(ADMIN, json!({})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    shop.receiver.heard();
    for active in [false, true] {
        shop.api.call(ADMIN, &format!("PATCH /tracking-apis/{rule}"), json!({"active": active})).await;
    }
    shop.receiver.answers(200);
    let id = shop.deliveries().await.remove(0);
    assert_eq!(shop.delivery(&id).await["state"], "waiting", "nobody has ended it yet");
    let begun = ask(&shop, ADMIN, &rule, "replay", json!({"states": ["cancelled"], "dry_run": false})).await;
    assert_eq!((begun.status, &begun.body["states"]), (202, &json!({"cancelled": 1})));
    // The replay comes before the message that ends it.
    let mut messages = shop.due();
    messages.sort_by_key(|message| !message.body.contains("replay"));
    shop.work(messages.drain(..1).collect()).await;
    assert_eq!(shop.delivery(&id).await["state"], "waiting");
    shop.work(messages).await;
    shop.minutes(2).await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=pending&n=2"]);
    assert_eq!(shop.delivery(&id).await["state"], "delivered");
}

#[tokio::test]
async fn a_bad_replay_is_refused_with_its_faults_and_does_nothing() {
    let shop = Workshop::new(404).await;
    let rule = shop.rule(ADMIN, json!({"rate_per_second": 3})).await;
    let refused = shop.api.call(ADMIN, &format!("POST /tracking-apis/{rule}/replay"), json!({"to": 5, "states": ["held"]})).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    let pointers: Vec<_> = refused.faults().into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(pointers, ["/from", "/to", "/states/0"]);
    let refused =
        shop.api.call(ADMIN, &format!("POST /tracking-apis/{rule}/backfill"), json!({"from": DAY[1], "to": DAY[0]})).await;
    let detail = "2026-11-22T00:00:00Z is not after from: choose a time after 2026-11-23T00:00:00Z";
    assert_eq!((refused.status, refused.faults()), (422, vec![("/to", detail)]));
    assert_eq!(ask(&shop, ADMIN, &rule, "replay", json!({})).await.body["per_second"], 3, "the rule's own rate");
}

#[tokio::test]
async fn a_backfill_judges_events_from_before_the_rule() {
    let shop = Workshop::new(200).await;
    for number in 1..=3 {
        shop.process_change(number, 1, "pending").await;
    }
    shop.process_change(2, 2, "approved").await;
    let rule = shop.rule("aff_a", json!({"conditions": {"result": ["pending", "approved"]}})).await;
    shop.process_change(4, 1, "pending").await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_4&r=pending&n=1"]);
    let counted = ask(&shop, "aff_a", &rule, "backfill", json!({})).await;
    assert_eq!(counted.status, 200, "{}", counted.text);
    let counts =
        json!({"dry_run": true, "events": 5, "deliveries": 4, "held": 0, "already": 1, "complete": true, "per_second": 50});
    assert_eq!(counted.body, counts);
    shop.minutes(1).await;
    assert_eq!(shop.receiver.heard().len(), 0);
    let begun = ask(&shop, "aff_a", &rule, "backfill", json!({"dry_run": false})).await;
    assert_eq!((begun.status, &begun.body["deliveries"]), (202, &json!(4)));
    let step = shop.due();
    assert_eq!(step.len(), 1);
    shop.work(step.clone()).await;
    shop.work_all().await;
    let mut heard = shop.receiver.heard();
    heard.sort_unstable();
    let owed = ["/p?t=trx_1&r=pending&n=1", "/p?t=trx_2&r=approved&n=1", "/p?t=trx_2&r=pending&n=1", "/p?t=trx_3&r=pending&n=1"];
    assert_eq!(heard, owed);
    // The step's message comes again.
    shop.work(step).await;
    shop.minutes(3).await;
    assert_eq!(shop.receiver.heard().len(), 0);
    let again = ask(&shop, "aff_a", &rule, "backfill", json!({"dry_run": false})).await;
    assert_eq!((&again.body["deliveries"], &again.body["already"]), (&json!(0), &json!(5)));
    shop.minutes(3).await;
    assert_eq!(shop.receiver.heard().len(), 0);
}

#[tokio::test]
async fn v3_p4_a_backfill_judges_as_matching_does() {
    let shop = Workshop::new(200).await;
    shop.process_change(1, 1, "pending").await;
    let others = shop.rule("aff_b", json!({})).await;
    let picky = shop.rule(ADMIN, json!({"trigger": "transaction_updated"})).await;
    for (rule, events) in [(others, 0), (picky, 1)] {
        let counted = ask(&shop, ADMIN, &rule, "backfill", json!({"dry_run": false})).await;
        assert_eq!((&counted.body["events"], &counted.body["deliveries"]), (&json!(events), &json!(0)));
    }
    shop.minutes(2).await;
    assert_eq!(shop.receiver.heard().len(), 0);
}

#[tokio::test]
async fn v3_a_backfill_shows_an_affiliate_no_events_of_others() {
    let shop = Workshop::new(200).await;
    shop.api.sale(1, "aff_a").await;
    for number in 2..=4 {
        shop.api.sale(number, "aff_b").await;
    }
    for delay in [json!({"mode": "none"}), json!({"mode": "final"})] {
        for (who, events) in [("aff_a", 1), ("aff_b", 3), ("aff_c", 0), (ADMIN, 4)] {
            let rule = shop.rule(who, json!({"delay": delay})).await;
            let counted = ask(&shop, who, &rule, "backfill", json!({})).await;
            assert_eq!((&counted.body["events"], &counted.body["complete"]), (&json!(events), &json!(true)), "{who}");
        }
    }
}

#[tokio::test]
async fn f1_a_backfill_of_a_final_rule_holds_what_is_not_settled() {
    let shop = Workshop::new(200).await;
    shop.process_change(1, 1, "pending").await;
    shop.process_change(1, 2, "approved").await;
    shop.process_change(2, 1, "pending").await;
    let rule = shop.rule(ADMIN, json!({"delay": {"mode": "final"}})).await;
    let counted = ask(&shop, ADMIN, &rule, "backfill", json!({})).await;
    assert_eq!((&counted.body["deliveries"], &counted.body["held"], &counted.body["already"]), (&json!(1), &json!(1), &json!(0)));
    assert_eq!(shop.deliveries().await.len(), 0, "counting writes nothing");
    for _ in 0..2 {
        assert_eq!(ask(&shop, ADMIN, &rule, "backfill", json!({"dry_run": false})).await.status, 202);
        shop.minutes(2).await;
    }
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_1&r=approved&n=1"]);
    let counted = ask(&shop, ADMIN, &rule, "backfill", json!({})).await;
    assert_eq!((&counted.body["deliveries"], &counted.body["held"], &counted.body["already"]), (&json!(0), &json!(0), &json!(2)));
    shop.process_change(2, 2, "rejected").await;
    assert_eq!(shop.receiver.heard(), ["/p?t=trx_2&r=rejected&n=1"]);
}

#[tokio::test]
async fn a_long_backfill_goes_step_by_step() {
    let shop = Workshop::new(200).await;
    for number in 1..=130 {
        shop.change(number, 1, "pending").await;
    }
    let rule = shop.rule(ADMIN, json!({"rate_per_second": 40})).await;
    let begun = ask(&shop, ADMIN, &rule, "backfill", json!({"dry_run": false})).await;
    assert_eq!(
        (&begun.body["events"], &begun.body["deliveries"], &begun.body["per_second"]),
        (&json!(130), &json!(130), &json!(40))
    );
    shop.work(shop.due()).await;
    let second = shop.due();
    assert_eq!(second.len(), 40, "a second's worth, and the next step later");
    shop.work(second).await;
    shop.steps(30, 1).await;
    assert_eq!(shop.deliveries().await.len(), 130);
}

#[tokio::test]
async fn a_long_count_stops_and_the_replay_or_backfill_begins_all_the_same() {
    let shop = Workshop::new(404).await;
    for number in 1..=130 {
        shop.change(number, 1, "pending").await;
    }
    let seen = |answer: &Response, field: &str| (answer.status, answer.body[field].as_u64(), answer.body["complete"].as_bool());
    let slowly = async |rule: &str, verb: &str, dry_run: bool| {
        shop.api.hurry(3_000);
        let counted = ask(&shop, ADMIN, rule, verb, json!({"dry_run": dry_run})).await;
        shop.api.hurry(1);
        counted
    };
    let late = shop.rule(ADMIN, json!({"delay": {"mode": "final"}})).await;
    assert_eq!(seen(&ask(&shop, ADMIN, &late, "backfill", json!({})).await, "held"), (200, Some(130), Some(true)));
    assert_eq!(seen(&slowly(&late, "backfill", true).await, "held"), (200, Some(100), Some(false)));

    let rule = shop.rule(ADMIN, Value::Null).await;
    let begun = slowly(&rule, "backfill", false).await;
    assert_eq!(seen(&begun, "deliveries"), (202, Some(100), Some(false)));
    shop.minutes(5).await;
    assert_eq!(shop.deliveries().await.len(), 130);

    assert_eq!(seen(&ask(&shop, ADMIN, &rule, "replay", json!({})).await, "deliveries"), (200, Some(130), Some(true)));
    let begun = slowly(&rule, "replay", false).await;
    let (status, counted, complete) = seen(&begun, "deliveries");
    assert!(status == 202 && counted < Some(130) && complete == Some(false), "{}", begun.text);
    shop.receiver.heard();
    shop.minutes(5).await;
    assert_eq!(shop.receiver.heard().len(), 130);
}

#[tokio::test]
async fn a_rule_shows_its_health_where_it_is_read_alone() {
    let shop = Workshop::new(200).await;
    let rule = shop.rule("aff_a", json!({})).await;
    let health = |answer: &Response| answer.body["health"].clone();
    let read = async || health(&shop.api.get("aff_a", &format!("/tracking-apis/{rule}")).await);
    let fresh = read().await;
    assert_eq!(
        (&fresh["last_delivered_at"], &fresh["failing_since"], &fresh["counts_24h"]),
        (&Value::Null, &Value::Null, &json!({}))
    );
    shop.process_change(1, 1, "pending").await;
    shop.receiver.answers(404);
    shop.process_change(2, 1, "pending").await;
    shop.process_change(3, 1, "pending").await;
    let failing = read().await;
    let made = shop.api.get("aff_a", "/deliveries").await.body["items"].clone();
    assert_eq!(failing["last_delivered_at"], made[2]["ended_at"]);
    assert_eq!(failing["failing_since"], made[1]["created_at"]);
    assert_eq!(failing["last_error"], "failed: status 404");
    assert_eq!(failing["counts_24h"], json!({"delivered": 1, "failed": 2}));
    assert_eq!((&fresh["state"], &failing["state"]), (&json!("idle"), &json!("failing")));
}
