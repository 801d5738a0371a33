//! Statistics over time (docs/api.md): counts by state, latency, both roles, and the reads that they cost.

use serde_json::{Value, json};
use tracking_engine::backend::{Item, Key};

use crate::{
    support::{ADMIN, Api, Response},
    workshop::Workshop,
};

const NOTHING: &str = r#"{"p50":null,"p95":null,"p99":null}"#;

async fn stats(api: &Api, who: &str, query: &str) -> Response {
    let answer = api.get(who, &format!("/stats{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

/// Beginning and counts of the buckets that have any; `true` if all was counted.
fn counts(answer: &Response) -> (Vec<(String, Value)>, bool) {
    let buckets = answer.body["buckets"].as_array().expect("a list");
    let full = buckets.iter().filter(|bucket| bucket["counts"] != json!({}));
    let counted = full.map(|bucket| (bucket["at"].as_str().expect("a time").to_owned(), bucket["counts"].clone()));
    (counted.collect(), answer.body["complete"].as_bool().expect("a flag"))
}

async fn check(api: &Api, who: &str, query: &str, expected: &[(&str, Value)]) {
    let expected: Vec<_> = expected.iter().map(|(at, counts)| ((*at).to_owned(), counts.clone())).collect();
    assert_eq!(counts(&stats(api, who, query).await), (expected, true), "{who} {query}");
}

#[tokio::test]
async fn deliveries_are_counted_by_hour_and_by_day_for_both_roles() {
    let shop = Workshop::new(200).await;
    let api = &shop.api;
    let own = shop.rule("aff_a", json!({})).await;
    let admins = shop.rule(ADMIN, json!({"answer": {"otherwise": "failed"}})).await;
    shop.process_change(1, 1, "pending").await;
    api.pass(3_600);
    shop.process_change(2, 1, "pending").await;
    shop.process_change(3, 1, "pending").await;
    let (nine, ten) = ("2026-11-22T09:00:00Z", "2026-11-22T10:00:00Z");
    let both = [(nine, json!({"delivered": 1, "failed": 1})), (ten, json!({"delivered": 2, "failed": 2}))];
    let mine = [(nine, json!({"delivered": 1})), (ten, json!({"delivered": 2}))];
    check(api, ADMIN, "", &both).await;
    check(api, "aff_a", "", &mine).await;
    check(api, "aff_a", "?bucket=hour&from=2026-11-22T10:00:00Z", &mine[1..]).await;
    check(api, "aff_a", "?to=2026-11-22T10:00:00Z", &mine[..1]).await;
    let day = "2026-11-22T00:00:00Z";
    check(api, ADMIN, "?bucket=day", &[(day, json!({"delivered": 3, "failed": 3}))]).await;
    check(api, "aff_a", "?bucket=day", &[(day, json!({"delivered": 3}))]).await;
    check(api, ADMIN, &format!("?bucket=day&tracking_api_id={own}"), &[(day, json!({"delivered": 3}))]).await;
    check(api, ADMIN, &format!("?bucket=day&tracking_api_id={admins}"), &[(day, json!({"failed": 3}))]).await;
    // Another owner's rule looks like one that does not exist.
    for (who, rule) in
        [("aff_a", admins.as_str()), ("aff_b", own.as_str()), ("aff_b", "all"), (ADMIN, "trk_none"), (ADMIN, "all")]
    {
        check(api, who, &format!("?bucket=day&tracking_api_id={rule}"), &[]).await;
    }
    check(api, "aff_b", "", &[]).await;
    // Kept counts are shown again, also to a reader that starts over.
    check(api, ADMIN, "", &both).await;
    check(api, "aff_a", "", &mine).await;
}

#[tokio::test]
async fn every_bucket_of_the_period_is_listed_with_the_latency_of_its_deliveries() {
    let shop = Workshop::new(503).await;
    let api = &shop.api;
    shop.rule("aff_a", json!({})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let waiting = stats(api, "aff_a", "?from=2026-11-22T08:00:00Z").await;
    let expected = format!(r#"{{"buckets":[{{"at":"2026-11-22T08:00:00Z","counts":{{}},"latency_ms":{NOTHING}}},"#)
        + &format!(r#"{{"at":"2026-11-22T09:00:00Z","counts":{{"waiting":1}},"latency_ms":{NOTHING}}}],"complete":true}}"#);
    assert_eq!(waiting.text, expected);
    shop.receiver.answers(200);
    shop.minutes(2).await;
    let delivered = stats(api, "aff_a", "?from=2026-11-22T08:00:00Z").await;
    // A minute passed before the second attempt: the middle of the bucket from 65 536 to 73 727.
    let latency = json!({"p50": 69_632, "p95": 69_632, "p99": 69_632});
    assert_eq!(
        delivered.body["buckets"][1],
        json!({"at": "2026-11-22T09:00:00Z", "counts": {"delivered": 1}, "latency_ms": latency})
    );
    assert_eq!(stats(api, "aff_a", "?bucket=day").await.body["buckets"][30]["latency_ms"], latency);
}

#[tokio::test]
async fn an_hour_that_is_over_is_counted_by_the_present_states_of_its_deliveries() {
    let shop = Workshop::new(503).await;
    let api = &shop.api;
    shop.rule("aff_a", json!({"retry": {"max_retries": 1, "delay_seconds": 7_200, "backoff": "fixed"}})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let nine = "2026-11-22T09:00:00Z";
    let hour = "?from=2026-11-22T09:00:00Z&to=2026-11-22T10:00:00Z";
    check(api, "aff_a", hour, &[(nine, json!({"waiting": 1}))]).await;
    shop.steps(5, 1_800).await;
    check(api, "aff_a", hour, &[(nine, json!({"exhausted": 1}))]).await;
    // A person resends it: the hour is counted again, though not at once.
    shop.receiver.answers(200);
    let id = shop.deliveries().await[0].clone();
    assert_eq!(shop.resend(ADMIN, &id, Value::Null).await.status, 202);
    shop.steps(1, 600).await;
    check(api, "aff_a", hour, &[(nine, json!({"delivered": 1}))]).await;
    // Nothing more can happen to it: the row alone is read, and the log no more.
    shop.steps(1, 600).await;
    let pages = api.rows("T#all#0", "").await.len();
    assert!(pages <= 1);
    let log: Vec<Key> = api.rows(&format!("C#{}", &id[4..20]), "D#").await.into_iter().map(|row| row.key).collect();
    api.meddle(Vec::new(), log).await;
    check(api, "aff_a", hour, &[(nine, json!({"delivered": 1}))]).await;
    check(api, ADMIN, hour, &[]).await;
}

#[tokio::test]
async fn a_period_is_bounded_and_may_be_empty() {
    let api = Api::new();
    api.rule("aff_a", "x", json!({})).await;
    let empty = r#"{"buckets":[],"complete":true}"#;
    for query in ["?from=2026-11-22T09:00:00Z&to=2026-11-22T09:00:00Z", "?from=2027-01-01T00:00:00Z&to=2027-01-02T00:00:00Z"] {
        assert_eq!(stats(&api, "aff_a", query).await.text, empty, "{query}");
    }
    let long = stats(&api, "aff_a", "?from=2026-10-22T10:00:00Z").await;
    assert_eq!(long.body["buckets"].as_array().map(Vec::len), Some(744));
    let days = stats(&api, "aff_a", "?bucket=day&from=2025-10-19T00:00:00Z").await;
    assert_eq!(days.body["buckets"].as_array().map(Vec::len), Some(400));
    for (query, detail) in [
        ("?from=2026-10-22T09:00:00Z&to=2026-11-22T09:00:01Z", "expected at most 31 days with bucket=hour, or bucket=day"),
        ("?bucket=day&from=2025-10-18T09:00:00Z&to=2026-11-22T09:00:01Z", "expected at most 400 days with bucket=day"),
        ("?from=-009999-01-03T00:00:00Z&to=9999-12-30T00:00:00Z", "expected at most 31 days with bucket=hour, or bucket=day"),
        ("?from=2026-11-22T09:00:00Z&to=2026-11-22T08:00:00Z", "expected a time that is not after the end of the period"),
    ] {
        let refused = api.get("aff_a", &format!("/stats{query}")).await;
        assert_eq!(refused.problem().0, 400);
        assert_eq!(refused.faults(), [("/from", detail)], "{query}");
    }
    assert!(api.rows("S#affiliate#aff_a#all", "").await.is_empty(), "what sends nothing has no rows");
}

#[tokio::test]
async fn f10_one_call_looks_at_five_thousand_deliveries_and_the_next_goes_on() {
    let shop = Workshop::new(200).await;
    let api = &shop.api;
    let rule = shop.rule("aff_a", json!({})).await;
    shop.process_change(1, 1, "pending").await;
    let id = shop.deliveries().await[0].clone();
    // A page of 4 999 ids without rows, so that its hour uses up one call's bound; and one of the hour before.
    let page = |partition: String, place: &str, id: &str, count: usize| {
        let fill = |number: usize| if number == 0 { id.to_owned() } else { format!("dlv_{number:032}") };
        let listed: Vec<Value> = (0..count).map(|number| json!([fill(number), "2026-11-22T09:00:00Z"])).collect();
        let key = Key::new(partition, place);
        Item { key, rev: 0, body: json!({"v": 1, "d": {"listed": listed}}).to_string(), expires: None, attention: None }
    };
    let hour = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let missing = "dlv_00000000000000000000000000000000";
    let log = format!("T#{rule}#0");
    let busy = format!("{:014}#aaaaaaaa", hour("2026-11-22T09:30:00Z"));
    let before = format!("{:014}#aaaaaaaa", hour("2026-11-22T08:30:00Z"));
    api.meddle(vec![page(log.clone(), &busy, missing, 4_999), page(log, &before, &id, 1)], Vec::new()).await;
    api.pass(3_600);
    let (eight, nine) = ("2026-11-22T08:00:00Z".to_owned(), "2026-11-22T09:00:00Z".to_owned());
    let query = format!("?tracking_api_id={rule}&from=2026-11-22T08:00:00Z");
    let first = counts(&stats(api, "aff_a", &query).await);
    assert_eq!(first, (vec![(nine.clone(), json!({"delivered": 1}))], false));
    let rows = api.rows(&format!("S#affiliate#aff_a#rule#{rule}"), "").await;
    assert!(rows.len() == 1 && rows[0].body.contains("\"p\""), "{rows:?}");
    let second = counts(&stats(api, "aff_a", &query).await);
    assert_eq!(second, (vec![(eight, json!({"delivered": 1})), (nine, json!({"delivered": 1}))], true));
}

#[tokio::test]
async fn one_unreadable_row_stops_no_statistics() {
    let shop = Workshop::new(200).await;
    let api = &shop.api;
    shop.rule("aff_a", json!({})).await;
    shop.process_change(1, 1, "pending").await;
    check(api, "aff_a", "", &[("2026-11-22T09:00:00Z", json!({"delivered": 1}))]).await;
    let rows = api.rows("S#affiliate#aff_a#all", "").await;
    assert!(!rows.is_empty());
    for body in ["{", r#"{"v":1,"d":{"h":{"x":1}}}"#, r#"{"v":9,"d":{}}"#] {
        let damaged = rows.iter().map(|row| Item { body: body.to_owned(), ..row.clone() }).collect();
        api.meddle(damaged, Vec::new()).await;
        check(api, "aff_a", "", &[("2026-11-22T09:00:00Z", json!({"delivered": 1}))]).await;
    }
    let damaged: Vec<Item> = api.rows("S#affiliate#aff_a#all", "").await;
    assert!(damaged.iter().all(|row| row.body == r#"{"v":9,"d":{}}"#), "what a newer version wrote stays");
}
