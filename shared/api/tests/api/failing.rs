//! Health in lists, the filter for rules that fail, and the event about a failing rule.

use serde_json::{Value, json};

use crate::{support::ADMIN, workshop::Workshop};

async fn listed(shop: &Workshop, who: &str, path: &str) -> Vec<(String, String)> {
    let page = shop.api.get(who, path).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let items = page.body["items"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    items.iter().map(|item| (text(&item["name"]), text(&item["health"]["state"]))).collect()
}

fn failing_events(shop: &Workshop) -> Vec<Value> {
    let published = shop.api.engine.backend().published(None, 1_000).expect("the bus is there");
    let failing = published.into_iter().filter(|event| event.detail_type == "Tracking API Failing");
    failing.map(|event| serde_json::from_str(&event.detail.to_string()).expect("an event is JSON")).collect()
}

#[tokio::test]
async fn lists_show_the_health_of_rules_and_filter_those_that_fail() {
    let shop = Workshop::new(200).await;
    shop.rule("aff_a", json!({"name": "idle", "conditions": {"included_offers": ["off_9"]}})).await;
    shop.rule("aff_a", json!({"name": "ok"})).await;
    let only_second = json!({"name": "failing", "conditions": {"conversion_type": ["sale"]}});
    let failing = shop.rule("aff_a", only_second).await;
    shop.process_change(1, 1, "pending").await;
    let all = |of_first: &str, of_last: &str| {
        [("failing", of_last), ("ok", of_first), ("idle", "idle")].map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec()
    };
    assert_eq!(listed(&shop, "aff_a", "/tracking-apis").await, all("ok", "ok"));
    assert_eq!(listed(&shop, "aff_a", "/tracking-apis?failing=true").await, []);

    let broken = json!({"request": {"url": format!("{}/broken", shop.receiver.url)}, "answer": {"otherwise": "failed"}});
    shop.api.call("aff_a", &format!("PATCH /tracking-apis/{failing}"), broken).await;
    shop.process_change(2, 1, "pending").await;
    assert_eq!(listed(&shop, "aff_a", "/tracking-apis").await, all("ok", "failing"));
    let only = vec![("failing".to_owned(), "failing".to_owned())];
    for (who, path) in [
        ("aff_a", "/tracking-apis?failing=true"),
        (ADMIN, "/tracking-apis?failing=true&limit=1"),
        ("aff_a", "/affiliate-postbacks?failing=true"),
        (ADMIN, "/affiliate-postbacks?failing=true&affiliate_id=aff_a"),
    ] {
        assert_eq!(listed(&shop, who, path).await, only, "{who} {path}");
    }
    assert_eq!(listed(&shop, "aff_b", "/tracking-apis?failing=true").await, []);
    let item = shop.api.get("aff_a", "/tracking-apis?failing=true").await.body["items"][0]["health"].clone();
    assert_eq!(item["last_error"], "failed: status 200");
    assert_eq!(item["counts_24h"], json!({"delivered": 1, "failed": 1}));

    let mended = json!({"answer": {"otherwise": null}});
    shop.api.call("aff_a", &format!("PATCH /tracking-apis/{failing}"), mended).await;
    shop.process_change(3, 1, "pending").await;
    assert_eq!(listed(&shop, "aff_a", "/tracking-apis?failing=true").await, [], "the log decides, at once");
    let refused = shop.api.get("aff_a", "/tracking-apis?failing=false").await;
    assert_eq!(refused.faults(), [("/failing", "failing=\"false\" is not allowed: choose true")]);
}

#[tokio::test]
async fn a_rule_without_a_success_for_an_hour_is_published_once() {
    let mut shop = Workshop::new(408).await;
    let retry = json!({"max_retries": 30, "delay_seconds": 600, "backoff": "fixed"});
    let rule = shop.rule("aff_a", json!({"retry": retry})).await;
    shop.change(1, 1, "pending").await;
    shop.work_all().await;
    let first = shop.deliveries().await[0].clone();
    let since = shop.delivery(&first).await["log"][0]["at"].clone();
    shop.steps(5, 665).await;
    assert_eq!(failing_events(&shop), [] as [Value; 0], "55 minutes are no hour");
    shop.change(2, 1, "pending").await;
    shop.steps(10, 665).await;
    // A restarted process remembers nothing.
    shop.api.restart();
    shop.steps(10, 665).await;
    let events = failing_events(&shop);
    assert_eq!(events.len(), 1, "{events:?}");
    let event_id = events[0]["event_id"].as_str().unwrap();
    assert!(event_id.starts_with("evt_"), "{event_id}");
    let expected =
        json!({"tracking_api_id": rule, "failing_since": since, "last_error": "retry: status 408", "event_id": event_id});
    assert_eq!(events[0], expected);

    // It recovers, and fails again for an hour.
    shop.receiver.answers(200);
    shop.steps(3, 665).await;
    shop.change(3, 1, "pending").await;
    shop.steps(2, 665).await;
    shop.receiver.answers(408);
    shop.change(4, 1, "pending").await;
    shop.steps(4, 665).await;
    assert_eq!(failing_events(&shop).len(), 1);
    shop.steps(8, 665).await;
    assert_eq!(failing_events(&shop).len(), 2, "another run of failures is published too");
}

#[tokio::test]
async fn a_rule_that_is_answered_pending_does_not_fail() {
    let shop = Workshop::new(200).await;
    let retry = json!({"max_retries": 30, "delay_seconds": 600, "backoff": "fixed"});
    shop.rule("aff_a", json!({"retry": retry, "answer": {"otherwise": "pending"}})).await;
    shop.change(1, 1, "pending").await;
    shop.steps(12, 665).await;
    assert_eq!(failing_events(&shop), [] as [Value; 0]);
    assert_eq!(listed(&shop, "aff_a", "/tracking-apis?failing=true").await, []);
}
