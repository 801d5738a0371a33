//! One delivery is stuck: the ways of being stuck, each made on purpose, and the internals' reason for each.

use serde_json::{Value, json};
use tracking_core::{
    delivery::{Cause, DeliveryId},
    event::EventKind,
    id::Id,
};
use tracking_engine::{
    ClaimOutcome,
    backend::{Backend as _, Effects, Item, Lane, Message},
};

use crate::{
    log,
    support::{ADMIN, Api, Response},
    workshop::Workshop,
};

fn id(text: &str) -> Id {
    text.parse().expect("it is an id")
}

/// The delivery that a rule owes for a change of [`Workshop::change`], before any list shows it.
fn owed(rule: &str, number: u32, version: u32) -> String {
    let kind = if version == 1 { EventKind::TransactionCreated } else { EventKind::TransactionUpdated };
    let change = id(&format!("chg_{number}_{version}"));
    let (conversion, subject) = (id(&format!("cnv_{number}")), format!("transaction:trx_{number}"));
    DeliveryId::derive(&conversion, &id(rule), &subject, Cause::Change(&change, kind)).to_string()
}

async fn internals(api: &Api, delivery: &str) -> Value {
    let answer = api.get(ADMIN, &format!("/deliveries/{delivery}/internals")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

/// Cause and sentence, with `<until>` in place of the time that both name.
#[track_caller]
fn cause_and_why(internals: &Value) -> (&str, String) {
    let (cause, why) = (internals["cause"].as_str().expect("a cause"), internals["why"].as_str().expect("a sentence"));
    let until = internals["until"].as_str();
    (cause, until.map_or_else(|| why.to_owned(), |until| why.replace(until, "<until>")))
}

/// The entry of the delivery itself on its subject queue.
fn own_entry(internals: &Value) -> &Value {
    let entries = internals["subject_queue"]["entries"].as_array().expect("a queue");
    entries.iter().find(|entry| entry["is_this"] == true).expect("it is on its queue")
}

/// A rule of one request a second whose first slot is taken: a delivery that comes now waits.
async fn paced() -> (Workshop, String) {
    let shop = Workshop::new(200).await;
    let rule = shop.rule(ADMIN, json!({"rate_per_second": 1})).await;
    for number in [1, 2] {
        shop.change(number, 1, "pending").await;
        let due = shop.due();
        shop.work(due).await;
    }
    (shop, rule)
}

#[tokio::test]
async fn a_rate_slot_is_waited_for() {
    let (shop, rule) = paced().await;
    let stuck = internals(&shop.api, &owed(&rule, 2, 1)).await;
    let expected = "Its Tracking API sends at most 1 a second: its slot is at <until>";
    assert_eq!(cause_and_why(&stuck), ("rate_slot", expected.to_owned()));
    assert_eq!(stuck["until"], own_entry(&stuck)["slot"]);
    assert_eq!((&stuck["row"], &stuck["rule"]["rate_per_second"]), (&Value::Null, &json!(1)));
    assert!(stuck["rate"]["free_from"].as_str() > stuck["until"].as_str(), "{stuck}");
    assert_eq!((&stuck["tracking_api_id"], &stuck["subject"]), (&json!(rule), &json!("transaction:trx_2")));
}

#[tokio::test]
async fn p3_an_older_one_that_has_had_no_attempt_goes_first() {
    let (shop, rule) = paced().await;
    shop.change(2, 2, "approved").await;
    let due = shop.due();
    shop.work(due).await;
    let (first, stuck) = (owed(&rule, 2, 1), internals(&shop.api, &owed(&rule, 2, 2)).await);
    let expected =
        format!("{first} goes first, an older one that has had no attempt yet: it waits for that, at most until <until>");
    assert_eq!(cause_and_why(&stuck), ("behind", expected));
    assert_eq!(own_entry(&stuck)["behind"], json!({"id": first, "kind": "older", "until": stuck["until"]}));
    assert_eq!(cause_and_why(&internals(&shop.api, &first).await).0, "rate_slot");
}

/// A delivery whose first attempt is claimed, and whose process is gone.
async fn claimed_and_lost(shop: &Workshop, number: u32) {
    let claimed = shop.api.engine.worker().claim(&shop.due()[0]).await.expect("the store is there");
    assert!(matches!(claimed, ClaimOutcome::Send(_)), "delivery {number} is claimed");
}

#[tokio::test]
async fn l1_a_dead_process_leaves_a_lease() {
    let shop = Workshop::new(200).await;
    let rule = shop.rule(ADMIN, json!({"request": {"url": "http://127.0.0.1:1/", "timeout_seconds": 5}})).await;
    shop.change(1, 1, "pending").await;
    claimed_and_lost(&shop, 1).await;
    let first = owed(&rule, 1, 1);
    let stuck = internals(&shop.api, &first).await;
    let expected = "Attempt 1 is claimed and has no record: it is being sent, or the process that claimed it died; its lease ends at \
        <until>";
    assert_eq!(cause_and_why(&stuck), ("lease", expected.to_owned()));
    let claim = &own_entry(&stuck)["claim"];
    assert_eq!((&claim["lease_until"], &claim["is_live"]), (&stuck["until"], &json!(true)));

    shop.change(1, 2, "approved").await;
    shop.work_all().await;
    let behind = internals(&shop.api, &owed(&rule, 1, 2)).await;
    let expected = format!("{first} is in flight about the same subject: it waits for that answer, at most until <until>");
    assert_eq!(cause_and_why(&behind), ("behind", expected));

    shop.api.pass(30);
    let (cause, why) = (&internals(&shop.api, &first).await["cause"], &internals(&shop.api, &first).await["why"]);
    assert_eq!(cause, "nothing");
    assert!(why.as_str().is_some_and(|why| why.ends_with("so attempt 2 follows when its message is handed out next")), "{why}");
}

#[tokio::test]
async fn f1_a_held_one_waits_for_its_conversion() {
    let shop = Workshop::new(200).await;
    shop.rule(ADMIN, json!({"delay": {"mode": "final", "settle_seconds": 60, "max_hold_days": 7}})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let delivery = shop.deliveries().await.remove(0);
    let stuck = internals(&shop.api, &delivery).await;
    let expected = "It is held until its conversion is settled, or until the hold expires at <until>";
    assert_eq!(cause_and_why(&stuck), ("held", expected.to_owned()));
    assert!(stuck["until"].as_str().is_some_and(|until| until.starts_with("2026-11-29T09:00:0")), "{stuck}");
    let hold = &stuck["hold"];
    assert_eq!((&hold["phase"], &hold["held"], &hold["due"]), (&json!("held"), &json!(1), &stuck["until"]));
    assert_eq!((&stuck["due_rows"][0]["at"], &hold["to_send"]), (&stuck["until"], &json!(0)));
    let bucket = stuck["due_rows"][0]["partition"].as_str().expect("a bucket");
    assert!(bucket.starts_with("DUE#"), "{bucket}");

    shop.change(1, 2, "approved").await;
    shop.work_all().await;
    let waiting = internals(&shop.api, &delivery).await;
    assert_eq!(waiting["cause"], "held");
    let why = waiting["why"].as_str().expect("a sentence");
    assert!(why.starts_with("It is held: its conversion is settled since 2026-11-22T09:00:0"), "{why}");
    assert_eq!(waiting["hold"]["version"], 2);
}

/// A delivery that was answered 503 once, whose next attempt is so many seconds away.
async fn retrying(delay_seconds: u32) -> (Workshop, String, String) {
    let shop = Workshop::new(503).await;
    let retry = json!({"max_retries": 3, "delay_seconds": delay_seconds, "max_delay_seconds": delay_seconds, "backoff": "fixed"});
    let rule = shop.rule(ADMIN, json!({"retry": retry})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let delivery = shop.deliveries().await.remove(0);
    (shop, rule, delivery)
}

#[tokio::test]
async fn l1_a_dead_receiver_is_tried_again() {
    let (shop, _, delivery) = retrying(60).await;
    let stuck = internals(&shop.api, &delivery).await;
    assert_eq!(
        cause_and_why(&stuck),
        ("retry", "Attempt 1 ended with: retry: status 503; attempt 2 is due at <until>".to_owned())
    );
    assert_eq!((&stuck["until"], &stuck["due_rows"]), (&stuck["row"]["next_due"], &json!([])));
    assert_eq!((&stuck["row"]["attempts"], &stuck["row"]["max_attempts"]), (&json!(1), &json!(4)));
    shop.api.pass(300);
    let late = internals(&shop.api, &delivery).await;
    assert_eq!((&late["cause"], &late["until"]), (&json!("late"), &Value::Null));
}

#[tokio::test]
async fn a_due_row_may_be_far_away() {
    let (shop, _, delivery) = retrying(36_000).await;
    let stuck = internals(&shop.api, &delivery).await;
    let expected = "Attempt 1 ended with: retry: status 503; attempt 2 is due at <until> and waits in a due row, \
        which the sweep sends in time";
    assert_eq!(cause_and_why(&stuck), ("due_row", expected.to_owned()));
    assert_eq!((&stuck["due_rows"][0]["at"], &stuck["swept_until"]), (&stuck["until"], &Value::Null));
    shop.api.engine.sweeper().sweep().await.expect("the store is there");
    assert_eq!(internals(&shop.api, &delivery).await["swept_until"], "2026-11-22T09:00:00Z");
    shop.api.pass(50_000);
    let late = internals(&shop.api, &delivery).await;
    assert_eq!(late["cause"], "late");
    assert!(late["why"].as_str().is_some_and(|why| why.ends_with("and the sweep has not sent its due row yet")), "{late}");
}

#[tokio::test]
async fn p6_a_rule_that_is_switched_off_sends_nothing_more() {
    let (shop, rule, delivery) = retrying(60).await;
    let switch = async |active: bool| {
        let switched = shop.api.call(ADMIN, &format!("PATCH /tracking-apis/{rule}"), json!({"active": active})).await;
        assert_eq!(switched.status, 200, "{}", switched.text);
        internals(&shop.api, &delivery).await
    };
    let end = "it ends cancelled when its message is handed out next";
    let off = switch(false).await;
    assert_eq!(cause_and_why(&off), ("rule_off", format!("Its Tracking API is switched off: {end}")));
    assert_eq!(
        (&off["rule"]["live"], &off["rule"]["sends"], &off["until"]),
        (&json!(false), &json!(false), &off["row"]["next_due"])
    );
    let on = switch(true).await;
    assert_eq!(
        cause_and_why(&on),
        ("rule_off", format!("Its Tracking API was switched off and on again since it matched: {end}"))
    );
    assert_eq!((&on["rule"]["epoch"], &on["row"]["epoch"]), (&json!(1), &json!(0)));
    let deleted = shop.api.call(ADMIN, &format!("DELETE /tracking-apis/{rule}"), Value::Null).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text);
    let gone = internals(&shop.api, &delivery).await;
    assert_eq!(
        (cause_and_why(&gone), &gone["rule"]),
        (("rule_off", format!("Its Tracking API is deleted: {end}")), &Value::Null)
    );
}

#[tokio::test]
async fn what_is_over_says_so() {
    let shop = Workshop::new(200).await;
    shop.rule(ADMIN, Value::Null).await;
    shop.process_change(1, 1, "pending").await;
    let over = internals(&shop.api, &shop.deliveries().await[0]).await;
    assert_eq!((&over["cause"], &over["until"]), (&json!("ended"), &Value::Null));
    let why = over["why"].as_str().expect("a sentence");
    assert!(why.starts_with("It ended at 2026-11-22T09:00:0") && why.ends_with(": only a resend makes it move"), "{why}");
}

#[tokio::test]
async fn only_admins_see_internals_and_what_nobody_knows_is_not_found() {
    let (shop, _, delivery) = retrying(60).await;
    let path = |delivery: &str| format!("/deliveries/{delivery}/internals");
    for delivery in [delivery.as_str(), "dlv_0123456789abcdefghjkmnpqrstvwxyz", "nothing"] {
        assert_eq!(shop.api.get("aff_a", &path(delivery)).await.problem(), (403, "/problems/forbidden"), "{delivery}");
    }
    for delivery in ["dlv_0123456789abcdefghjkmnpqrstvwxyz", "nothing", &format!("{}zz", &delivery[..34])] {
        assert_eq!(shop.api.get(ADMIN, &path(delivery)).await.problem(), (404, "/problems/not-found"), "{delivery}");
    }
}

/// Every row about the delivery of [`retrying`].
async fn rows(shop: &Workshop, rule: &str, delivery: &str) -> Vec<Item> {
    let mut rows = shop.api.rows(&format!("C#{}", &delivery[4..20]), "").await;
    rows.extend(shop.api.rows(&format!("R#{rule}"), "").await);
    rows
}

#[tokio::test]
async fn nothing_is_written_and_no_secret_or_content_of_an_event_is_shown() {
    let shop = Workshop::new(503).await;
    let url = format!("{}/?t={{secret.token}}&sum={{payout}}", shop.receiver.url);
    let rule = shop.rule(ADMIN, json!({"request": {"url": url}, "secret_values": {"token": "s3cret-token"}})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let delivery = shop.deliveries().await.remove(0);
    let before = rows(&shop, &rule, &delivery).await;
    let shown: Response = shop.api.get(ADMIN, &format!("/deliveries/{delivery}/internals")).await;
    assert_eq!(rows(&shop, &rule, &delivery).await, before);
    for hidden in ["s3cret-token", "adv_2", "off_5", "127.0.0.1", "\"pending\":true"] {
        assert!(!shown.text.contains(hidden), "{hidden}: {}", shown.text);
    }
}

/// Each row in turn can't be read: it is listed, and fails nothing.
#[tokio::test]
async fn an_unreadable_row_is_listed() {
    let (shop, rule, delivery) = retrying(36_000).await;
    let due = internals(&shop.api, &delivery).await["due_rows"][0]["partition"].as_str().expect("a bucket").to_owned();
    let mut all = rows(&shop, &rule, &delivery).await;
    all.extend(shop.api.rows(&due, "").await);
    let mut named = Vec::new();
    for row in all {
        shop.api.meddle(vec![Item { body: "junk".to_owned(), ..row.clone() }], Vec::new()).await;
        // Rows that were read before are remembered.
        let fresh = internals(&shop.api, &delivery).await;
        let key = json!([{"partition": row.key.partition, "sort": row.key.sort}]);
        if fresh["unreadable"] == key {
            named.push(format!("{}: {}", row.key.sort.split('#').next().unwrap_or_default(), cause_and_why(&fresh).1));
        }
        shop.api.meddle(vec![row], Vec::new()).await;
    }
    named.sort_unstable();
    let sentence = |row: &str, what: &str| format!("{row}: It can neither be sent nor end: {what} can't be read");
    let place = named.iter().find_map(|line| line.split_once(':')).map(|(time, _)| time.to_owned()).unwrap_or_default();
    assert_eq!(
        named,
        [
            sentence(&place, "its due row"),
            sentence("D", "its row"),
            sentence("HEAD", "its Tracking API"),
            sentence("L", "its subject queue"),
        ]
    );
}

#[tokio::test]
async fn lines_about_a_message_name_its_delivery() {
    let (shop, rule, delivery) = retrying(60).await;
    let span = json!({"name": "deliver", "delivery_id": delivery, "tracking_api_id": rule, "attempt": 1});
    assert_eq!(log::spans("attempt concluded"), [span]);
    shop.minutes(1).await;
    assert_eq!(log::spans("attempt concluded")[1]["attempt"], 2);
    assert_eq!(log::spans("attempt concluded")[1]["tracking_api_id"], rule);
}

#[tokio::test]
async fn a_message_that_can_t_be_read_is_named_by_its_delivery_in_the_log() {
    let api = Api::new();
    let body = "{\"v\":1,\"d\":{\"kind\":\"deliver\",\"delivery\":\"dlv_0123456789abcdefghjkmnpqrstvwxyz\"}}".to_owned();
    let message = Message { lane: Lane::Retry, group: "g".to_owned(), not_before: None, body };
    let sent = api.engine.backend().commit(vec![Effects { send: vec![message], ..Effects::default() }]).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    api.work().await;
    let spans = log::spans("a message that can't be read was dead-lettered");
    assert_eq!(spans, [json!({"name": "deliver", "delivery_id": "dlv_0123456789abcdefghjkmnpqrstvwxyz"})]);
}
