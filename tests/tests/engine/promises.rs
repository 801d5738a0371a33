//! The domain's rules over the whole engine: one machine, its store, a clock moved by hand, receivers that answer as the test says. Tests
//! are named after the rules in `docs/domain.md`.

#![expect(clippy::unwrap_used, clippy::needless_pass_by_value, reason = "tests")]

use jiff::SignedDuration;
use tracking_core::{caller::Caller, delivery::State, id::Id, json, json::Value};
use tracking_engine::DeliveryFilter;
use tracking_tests::{
    crash::Cut,
    world::{Arrival, Reply, World, event, transaction},
};

const OK: Reply = Reply::Says(200, "ok");

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn rule(more: Value) -> Value {
    let mut rule = json!({
        "name": "r", "request": {"url": "http://127.0.0.1:9/p?c={conversion_id}&t={transaction_id}&e={event}&r={result}&f={is_final}&k={is_correction}&n={attempt}"},
        "retry": {"delay_seconds": 60, "backoff": "fixed"},
    });
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

/// Returns the arrivals, as `event result final correction attempt`.
fn summaries(arrivals: &[Arrival]) -> Vec<String> {
    let word = |url: &str, name: &str| {
        let pairs = url.split_once('?').unwrap().1.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    arrivals.iter().map(|a| ["e", "r", "f", "k", "n"].map(|name| word(&a.url, name)).join(" ").replace("  ", " ")).collect()
}

async fn states(world: &World) -> Vec<(String, String)> {
    let log = world.log(&DeliveryFilter::default()).await;
    let mut states: Vec<(String, String)> = log
        .iter()
        .map(|item| (item["change_id"].as_str().unwrap().to_owned(), item["state"].as_str().unwrap().to_owned()))
        .collect();
    states.sort();
    states
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(change, state)| ((*change).to_owned(), (*state).to_owned())).collect()
}

fn sale(change_id: &str, version: u64, change: &str, result: &str) -> Value {
    event(change_id, json!({"version": version, "change": change}), json!([transaction("trx_1", change, result)]))
}

#[tokio::test]
async fn p1_every_event_ends_in_a_delivery_with_a_final_state() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(json!({}))).await;
    world.post(&[sale("chg_1", 1, "created", "pending"), sale("chg_2", 2, "updated", "approved")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(summaries(&world.arrivals), ["transaction_created pending 0 0 1", "transaction_updated approved 1 0 1"]);
    assert_eq!(states(&world).await, pairs(&[("chg_1", "delivered"), ("chg_2", "delivered")]));
}

#[tokio::test]
async fn t1_two_commissions_are_two_postbacks() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(json!({}))).await;
    let both = json!([transaction("trx_1", "created", "pending"), transaction("trx_2", "created", "pending")]);
    world.post(&[event("chg_1", json!({}), both)]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 2);
    assert_ne!(world.arrivals[0].delivery_id, world.arrivals[1].delivery_id);
}

#[tokio::test]
async fn p2_the_same_change_again_makes_no_second_delivery() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(json!({}))).await;
    for _ in 0..3 {
        world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
        world.work_all(&mut |_| OK).await;
        world.restart();
    }
    world.clock.pass(SignedDuration::from_hours(24 * 80));
    world.work_all(&mut |_| OK).await;
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 1);
}

#[tokio::test]
async fn p3_from_a_newer_versions_first_attempt_on_older_ones_send_nothing() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(json!({}))).await;
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    world.work_all(&mut |_| Reply::Says(503, "down")).await;
    assert_eq!(states(&world).await, pairs(&[("chg_1", "waiting")]));
    world.post(&[sale("chg_3", 3, "updated", "approved")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(states(&world).await, pairs(&[("chg_1", "superseded"), ("chg_3", "delivered")]));
    world.post(&[sale("chg_2", 2, "updated", "pending")]).await.unwrap();
    world.pass(SignedDuration::from_hours(2), &mut |_| OK).await;
    assert_eq!(summaries(&world.arrivals), ["transaction_created pending 0 0 1", "transaction_updated approved 1 0 1"]);
    assert_eq!(states(&world).await, pairs(&[("chg_1", "superseded"), ("chg_2", "superseded"), ("chg_3", "delivered")]));
}

#[tokio::test]
async fn p3_created_goes_before_updated_and_neither_supersedes_the_other() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(json!({}))).await;
    let mut auto_set = transaction("trx_1", "created", "approved");
    auto_set["auto_set"] = json!(true);
    world.post(&[event("chg_1", json!({}), json!([auto_set]))]).await.unwrap();
    // The messages come in the wrong order.
    let mut picked = world.pick(2);
    assert_eq!(picked.len(), 2);
    picked.reverse();
    for received in &picked {
        world.work(received, &mut |_| Reply::Says(500, "down")).await.unwrap();
    }
    world.pass(SignedDuration::from_mins(5), &mut |_| OK).await;
    assert_eq!(summaries(&world.arrivals)[..2], ["transaction_created pending 0 0 1", "transaction_updated approved 1 0 1"]);
    assert_eq!(states(&world).await, pairs(&[("chg_1", "delivered"), ("chg_1", "delivered")]));
}

#[tokio::test]
async fn p4_a_rule_does_not_fire_on_what_its_own_answer_caused() {
    let mut world = World::temporary();
    let own = world.rule(&Caller::Admin, rule(json!({}))).await;
    let caused = |change: &str, by: &str, depth: u32, version: u64| {
        let mut event = sale(change, version, "updated", "approved");
        event["detail"]["causation"] = json!({"tracking_api_id": by, "depth": depth});
        event
    };
    world.post(&[caused("chg_1", own.as_str(), 1, 1)]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 0, "its own");
    world.post(&[caused("chg_2", "trk_other", 5, 2)]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 1, "another's, five deep");
    world.post(&[caused("chg_3", "trk_other", 6, 3)]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 1, "six deep");
}

#[tokio::test]
async fn p6_switched_off_ends_what_waits_and_switching_on_revives_nothing() {
    let mut world = World::temporary();
    let rule_id = world.rule(&Caller::Admin, rule(json!({}))).await;
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    world.work_all(&mut |_| Reply::Says(503, "down")).await;
    let engine = world.engine();
    engine.writer().patch_rule(&Caller::Admin, &rule_id, &json!({"active": false}), None).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(states(&world).await, pairs(&[("chg_1", "cancelled")]));
    engine.writer().patch_rule(&Caller::Admin, &rule_id, &json!({"active": true}), None).await.unwrap();
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    world.pass(SignedDuration::from_hours(2), &mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 1, "nothing is revived, not even by a repeat");
    world.post(&[sale("chg_2", 2, "updated", "approved")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(states(&world).await, pairs(&[("chg_1", "cancelled"), ("chg_2", "delivered")]));
}

#[tokio::test]
async fn p6_a_deleted_rule_cancels_what_is_on_its_way() {
    let mut world = World::temporary();
    let rule_id = world.rule(&Caller::Admin, rule(json!({}))).await;
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    world.engine().writer().delete_rule(&Caller::Admin, &rule_id, None).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 0);
    assert_eq!(states(&world).await, pairs(&[("chg_1", "cancelled")]));
}

#[tokio::test]
async fn l1_n_retries_are_at_most_n_plus_one_requests_also_over_crashes() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(json!({"retry": {"max_retries": 2, "delay_seconds": 1, "backoff": "fixed"}}))).await;
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    // Each attempt is cut off between sending and recording. A later attempt reads the subject queue first, which is one more write.
    for writes in [1, 2, 2, 2, 2] {
        if let Some(received) = world.pick(1).pop() {
            world.fate().crash_at(writes + 1, Cut::Before);
            let _dead = world.work(&received, &mut |_| OK).await;
        }
        world.restart();
        world.clock.pass(SignedDuration::from_mins(5));
    }
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 3);
    let log = world.log(&DeliveryFilter::default()).await;
    assert_eq!(log[0]["state"], "exhausted");
    assert_eq!(log[0]["reason"], "no more retries after 3 attempts; the last: cut off; it may have arrived");
}

#[tokio::test]
async fn l3_used_up_ends_unresolved_or_exhausted_and_the_platform_hears_of_it() {
    for (word, state) in [("pending", "unresolved"), ("down", "exhausted")] {
        let mut world = World::temporary();
        let answer = json!({"rules": [{"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}], "then": "pending"}], "otherwise": "retry"});
        world
            .rule(
                &Caller::Admin,
                rule(json!({"retry": {"max_retries": 1, "delay_seconds": 1, "backoff": "fixed"}, "answer": answer})),
            )
            .await;
        world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
        world.pass(SignedDuration::from_mins(5), &mut |_| Reply::Says(200, word)).await;
        assert_eq!(states(&world).await, pairs(&[("chg_1", state)]));
        let published = world.store().published(None, 10).unwrap();
        assert_eq!(published.len(), 1);
        assert_eq!((published[0].detail_type.as_str(), &published[0].detail["state"]), ("Delivery Ended", &json!(state)));
    }
}

#[tokio::test]
async fn a3_extracted_data_goes_to_the_platform_once() {
    let mut world = World::temporary();
    let when = |word: &str| json!([{"source": "body", "key": "status", "operator": "equals", "value": word}]);
    let answer = json!({"rules": [
        {"when": when("pending"), "then": "pending", "set": {"result": "pending", "variables": {"seen": "{body.status}"}}},
        {"when": when("approved"), "then": "delivered", "set": {"result": "approved", "external_id": "X-{var.seen}"}},
    ]});
    let rule_id = world.rule(&Caller::Admin, rule(json!({"answer": answer}))).await;
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    let mut asked = 0;
    let mut replies = |_: &Arrival| {
        asked += 1;
        Reply::Says(200, if asked < 3 { "pending" } else { "approved" })
    };
    world.pass(SignedDuration::from_mins(5), &mut replies).await;
    let published = world.store().published(None, 10).unwrap();
    let details: Vec<&Value> = published.iter().map(|event| &event.detail).collect();
    assert_eq!(details.len(), 2, "the second pending had nothing new");
    assert_eq!((&details[0]["result"], &details[0]["attempt"]), (&json!("pending"), &json!(1)));
    assert_eq!(
        (&details[1]["result"], &details[1]["attempt"], &details[1]["external_id"]),
        (&json!("approved"), &json!(3), &json!("X-pending"))
    );
    assert_eq!(details[1]["transaction_id"], "trx_1");
    assert_eq!(details[1]["causation"], json!({"tracking_api_id": rule_id, "depth": 1}));
}

fn held(more: Value) -> Value {
    let mut delay = json!({"mode": "final"});
    delay.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule(json!({"delay": delay}))
}

#[tokio::test]
async fn f1_held_until_settled_then_one_postback_with_the_newest_state() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, held(json!({}))).await;
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!((world.arrivals.len(), states(&world).await), (0, pairs(&[("chg_1", "held")])));
    world.restart();
    world.post(&[sale("chg_2", 2, "updated", "pending"), sale("chg_3", 3, "updated", "approved")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(summaries(&world.arrivals), ["transaction_updated approved 1 0 1"]);
    assert_eq!(states(&world).await, pairs(&[("chg_3", "delivered")]));
}

#[tokio::test]
async fn f1_late_and_repeated_changes_lead_to_the_same_final() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, held(json!({}))).await;
    for change in [
        sale("chg_2", 2, "updated", "pending"),
        sale("chg_1", 1, "created", "pending"),
        sale("chg_3", 3, "updated", "approved"),
        sale("chg_2", 2, "updated", "pending"),
        sale("chg_3", 3, "updated", "approved"),
    ] {
        world.post(&[change]).await.unwrap();
        world.work_all(&mut |_| OK).await;
    }
    assert_eq!(summaries(&world.arrivals), ["transaction_updated approved 1 0 1"]);
}

#[tokio::test]
async fn f1_a_conversion_without_a_transaction_makes_no_hold_until_its_first_one() {
    let mut world = World::temporary();
    let mut rule = held(json!({}));
    rule["trigger"] = json!("conversion_created");
    world.rule(&Caller::Admin, rule).await;
    world.post(&[event("chg_1", json!({}), json!([]))]).await.unwrap();
    assert_eq!(states(&world).await, pairs(&[]));
    let with = event("chg_2", json!({"version": 2, "change": "updated"}), json!([transaction("trx_1", "created", "pending")]));
    world.post(&[with]).await.unwrap();
    assert_eq!(states(&world).await, pairs(&[("chg_2", "held")]));
    world.post(&[sale("chg_3", 3, "updated", "rejected")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(summaries(&world.arrivals), ["conversion_created rejected 1 0 1"]);
}

#[tokio::test]
async fn f2_settle_seconds_wait_and_send_the_newest_state() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, held(json!({"settle_seconds": 100}))).await;
    world.post(&[sale("chg_1", 1, "created", "approved")]).await.unwrap();
    world.pass(SignedDuration::from_secs(90), &mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 0);
    world.post(&[sale("chg_2", 2, "updated", "rejected")]).await.unwrap();
    world.pass(SignedDuration::from_secs(20), &mut |_| OK).await;
    assert_eq!(summaries(&world.arrivals), ["transaction_updated rejected 1 0 1"]);
    world.pass(SignedDuration::from_hours(2), &mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 1);
}

#[tokio::test]
async fn f2_a_week_of_settling_survives_restarts() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, held(json!({"settle_seconds": 604_800}))).await;
    world.post(&[sale("chg_1", 1, "created", "approved")]).await.unwrap();
    for _ in 0..7 {
        world.restart();
        world.pass(SignedDuration::from_hours(23), &mut |_| OK).await;
    }
    assert_eq!(world.arrivals.len(), 0);
    world.pass(SignedDuration::from_hours(8), &mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 1);
}

#[tokio::test]
async fn f3_conditions_are_judged_on_the_state_that_would_be_sent() {
    let mut world = World::temporary();
    let mut rule = held(json!({}));
    rule["conditions"] = json!({"result": ["approved"]});
    world.rule(&Caller::Admin, rule).await;
    world.post(&[sale("chg_1", 1, "created", "pending"), sale("chg_2", 2, "updated", "rejected")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!((world.arrivals.len(), states(&world).await), (0, pairs(&[("chg_2", "skipped")])));
}

#[tokio::test]
async fn f3_what_never_settles_expires_and_is_sent_if_it_settles_after_all() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, held(json!({"max_hold_days": 2}))).await;
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    world.pass(SignedDuration::from_hours(47), &mut |_| OK).await;
    assert_eq!(states(&world).await, pairs(&[("chg_1", "held")]));
    world.pass(SignedDuration::from_hours(2), &mut |_| OK).await;
    assert_eq!((world.arrivals.len(), states(&world).await), (0, pairs(&[("chg_1", "expired")])));
    world.post(&[sale("chg_2", 2, "updated", "approved")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(summaries(&world.arrivals), ["transaction_updated approved 1 0 1"]);
}

#[tokio::test]
async fn f3_send_current_sends_what_never_settles_as_it_is() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, held(json!({"max_hold_days": 2, "on_expiry": "send_current"}))).await;
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    world.pass(SignedDuration::from_hours(49), &mut |_| OK).await;
    assert_eq!(summaries(&world.arrivals), ["transaction_created pending 0 0 1"]);
    world.post(&[sale("chg_2", 2, "updated", "approved")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(summaries(&world.arrivals)[1..], ["transaction_updated approved 1 0 1"]);
}

#[tokio::test]
async fn f4_after_the_final_postback_changes_are_skipped_or_sent_as_corrections() {
    for (corrections, expected, state) in [(false, 1, "skipped"), (true, 2, "delivered")] {
        let mut world = World::temporary();
        world.rule(&Caller::Admin, held(json!({"corrections": corrections}))).await;
        world.post(&[sale("chg_1", 1, "created", "approved")]).await.unwrap();
        world.work_all(&mut |_| OK).await;
        world.post(&[sale("chg_2", 2, "updated", "rejected")]).await.unwrap();
        world.work_all(&mut |_| OK).await;
        assert_eq!(world.arrivals.len(), expected);
        assert_eq!(states(&world).await, pairs(&[("chg_1", "delivered"), ("chg_2", state)]));
        if corrections {
            assert_eq!(summaries(&world.arrivals)[1..], ["transaction_updated rejected 1 1 1"]);
        }
    }
}

#[tokio::test]
async fn f5_a_result_condition_keeps_pending_notices_away() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(json!({"conditions": {"result": ["approved", "rejected"]}}))).await;
    let mut approved = transaction("trx_2", "created", "approved");
    approved["auto_approved"] = json!(true);
    world
        .post(&[
            sale("chg_1", 1, "created", "pending"),
            sale("chg_2", 2, "updated", "approved"),
            event("chg_3", json!({"conversion_id": "cnv_2"}), json!([approved])),
        ])
        .await
        .unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(summaries(&world.arrivals), ["transaction_updated approved 1 0 1", "transaction_created approved 1 0 1"]);
}

#[tokio::test]
async fn v2_an_affiliate_sees_the_deliveries_of_its_own_rules_alone() {
    let mut world = World::temporary();
    let affiliate = Caller::Affiliate(id("aff_7"));
    let own = world.rule(&affiliate, rule(json!({}))).await;
    world.rule(&Caller::Admin, rule(json!({"conditions": {"affiliate": ["aff_7"]}}))).await;
    world.post(&[sale("chg_1", 1, "created", "pending")]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(world.arrivals.len(), 2);
    let seen = world.engine().log().list(&affiliate, &DeliveryFilter::default(), 10, None).await.unwrap().items;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["tracking_api_id"], json!(own));
    let other = Caller::Affiliate(id("aff_8"));
    assert_eq!(world.engine().log().list(&other, &DeliveryFilter::default(), 10, None).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn the_log_pages_through_everything_newest_first_without_gaps_or_repeats() {
    let mut world = World::temporary();
    world.rule(&Caller::Admin, rule(json!({}))).await;
    let mut expected = Vec::new();
    for n in 0..137 {
        let one = event(
            &format!("chg_{n:03}"),
            json!({"conversion_id": format!("cnv_{n}")}),
            json!([transaction("trx_1", "created", "pending")]),
        );
        world.post(&[one]).await.unwrap();
        expected.push(format!("chg_{n:03}"));
        world.clock.pass(SignedDuration::from_millis(3));
        if n % 7 == 0 {
            world.work_all(&mut |_| OK).await;
        }
    }
    world.work_all(&mut |_| OK).await;
    expected.reverse();
    for limit in [1, 10, 100, 1_000] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page =
                world.engine().log().list(&Caller::Admin, &DeliveryFilter::default(), limit, cursor.as_deref()).await.unwrap();
            seen.extend(page.items.iter().map(|item| item["change_id"].as_str().unwrap().to_owned()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "pages of {limit}");
    }
    let delivered = DeliveryFilter { states: vec![State::Delivered], ..DeliveryFilter::default() };
    assert_eq!(world.log(&delivered).await.len(), 137);
}
