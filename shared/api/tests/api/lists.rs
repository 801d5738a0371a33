//! Pages of lists, offers, and the catalogue.

use serde_json::{Value, json};

use crate::support::{ADMIN, Api};

#[tokio::test]
async fn pages_follow_each_other() {
    let api = Api::new();
    for name in ["1", "2", "3", "4", "5"] {
        api.rule(ADMIN, name, Value::Null).await;
    }
    let first = api.get(ADMIN, "/tracking-apis?limit=2").await;
    assert_eq!(first.each("name"), ["5", "4"]);
    let second = api.get(ADMIN, &format!("/tracking-apis?limit=2&cursor={}", first.body["next_cursor"].as_str().unwrap())).await;
    assert_eq!(second.each("name"), ["3", "2"]);
    let third = api.get(ADMIN, &format!("/tracking-apis?limit=2&cursor={}", second.body["next_cursor"].as_str().unwrap())).await;
    assert_eq!((third.each("name"), &third.body["next_cursor"]), (vec!["1"], &Value::Null));
}

#[tokio::test]
async fn a_full_last_page_has_no_next_one() {
    let api = Api::new();
    for name in ["1", "2"] {
        api.rule("aff_7", name, Value::Null).await;
        api.rule(ADMIN, "not asked for", json!({"active": false})).await;
        api.call(ADMIN, &format!("PUT /offers/off_{name}"), json!({})).await;
    }
    for (path, field, last) in [
        ("/tracking-apis?active=true&limit=", "name", "1"),
        ("/affiliate-postbacks?limit=", "name", "1"),
        ("/offers?limit=", "offer_id", "off_2"),
    ] {
        let whole = api.get(ADMIN, &format!("{path}2")).await;
        assert_eq!((whole.each(field).len(), &whole.body["next_cursor"]), (2, &Value::Null), "{path}");
        let first = api.get(ADMIN, &format!("{path}1")).await;
        let cursor = first.body["next_cursor"].as_str().expect("a second page is there");
        let second = api.get(ADMIN, &format!("{path}1&cursor={cursor}")).await;
        assert_eq!((second.each(field), &second.body["next_cursor"]), (vec![last], &Value::Null), "{path}");
    }
}

#[tokio::test]
async fn v1_the_table_follows_offers() {
    let api = Api::new();
    api.rule(ADMIN, "Bank status", json!({"conditions": {"included_offers": ["off_5"]}})).await;
    api.rule(ADMIN, "shop", Value::Null).await;
    let offer = api.call(ADMIN, "PUT /offers/off_5", json!({"name": "Loan CZ", "country": "CZ", "category": "loans"})).await;
    let expected = json!({"offer_id": "off_5", "name": "Loan CZ", "country": "CZ", "category": "loans"});
    assert_eq!((offer.status, &offer.body), (200, &expected));
    assert_eq!(api.get(ADMIN, "/offers").await.body, json!({"items": [expected], "next_cursor": null}));
    for (query, names) in [
        ("country=CZ", &["Bank status"][..]),
        ("country=global", &["shop"]),
        ("offer=off_5", &["Bank status"]),
        ("active=true", &["shop", "Bank status"]),
        ("active=false", &[]),
        ("q=STAT", &["Bank status"]),
        ("q=stat&country=global", &[]),
    ] {
        assert_eq!(api.get(ADMIN, &format!("/tracking-apis?{query}")).await.each("name"), names, "{query}");
    }
    let rule = &api.get(ADMIN, "/tracking-apis?offer=off_5").await.body["items"][0];
    assert_eq!((&rule["country"], &rule["category"]), (&json!("CZ"), &json!("loans")));
}

#[tokio::test]
async fn a_bad_offer_is_refused_with_all_its_faults() {
    let api = Api::new();
    let refused = api.call(ADMIN, "PUT /offers/off_5", json!({"offer_id": "ignored", "nam": "x", "country": 5})).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    assert_eq!(
        refused.faults(),
        [
            ("/nam", "unknown field \"nam\"; did you mean \"name\"?"),
            ("/country", "5 is not allowed: give a text of at most 2048 bytes")
        ]
    );
    assert_eq!(api.call(ADMIN, "PUT /offers/off_5", json!([])).await.problem(), (422, "/problems/invalid"));
    assert_eq!(api.call(ADMIN, "PUT /offers/a%20b", json!({})).await.problem(), (400, "/problems/bad-request"));
}

#[tokio::test]
async fn unknown_parameters_and_bad_values_are_refused() {
    let api = Api::new();
    for path in [
        "/tracking-apis?limit=1001",
        "/tracking-apis?active=1",
        "/tracking-apis?owner=a%20b",
        "/tracking-apis?cursor=%2F",
        "/tracking-apis?colour=red",
        "/affiliate-postbacks?owner=aff_a",
        "/offers?cursor=%2F",
        "/deliveries?state=lost",
        "/deliveries?from=today",
        "/deliveries?cursor=bm9uc2Vuc2U",
        "/deliveries?cursor=!",
        "/deliveries?cursor=e30",
        "/macros?limit=5",
        "/presets?limit=5",
    ] {
        let refused = api.get(ADMIN, path).await;
        assert_eq!(refused.problem(), (400, "/problems/bad-request"), "{path}");
        assert_eq!(refused.faults().len(), 1, "{path}: {}", refused.text);
    }
    let refused = api.get(ADMIN, "/deliveries?state=lost&limit=0&x=1").await;
    assert_eq!(refused.faults().iter().map(|(pointer, _)| *pointer).collect::<Vec<_>>(), ["/x", "/state", "/limit"]);
    assert_eq!(refused.faults()[2].1, "limit=\"0\" is not allowed: choose 1 to 1000");
}

#[tokio::test]
async fn v3_affiliates_are_not_shown_the_admins_macros() {
    let api = Api::new();
    let names = |body: &Value| -> Vec<String> {
        body["macros"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = api.get(ADMIN, "/macros").await;
    let some = api.get("aff_a", "/macros").await;
    assert!(names(&all.body).contains(&"revenue".to_owned()));
    assert!(!names(&some.body).contains(&"revenue".to_owned()) && !some.text.contains("revenue\""));
    assert_eq!(names(&all.body).len(), names(&some.body).len() + 1);
    let default = all.body["modifiers"].as_array().unwrap().iter().find(|row| row["name"] == "default").unwrap();
    assert_eq!(default["example"], "{query.coupon|default:none}");
}

/// A request of 60 kB.
fn long_request(filling: &str) -> Value {
    let query: Vec<Value> = (0..4).map(|n| json!({"name": format!("q{n}"), "value": filling.repeat(15_000)})).collect();
    json!({"url": "http://127.0.0.1:1/", "query": query})
}

/// The number of pages and items; no page may be longer than an answer can be.
async fn counted(api: &Api, path: &str) -> (usize, usize) {
    let (mut pages, mut items, mut cursor) = (0, 0, String::new());
    loop {
        let page = api.get(ADMIN, &format!("{path}?limit=1000{cursor}")).await;
        assert!(page.status == 200 && page.text.len() < 2 * 1024 * 1024, "{} with {} bytes", page.status, page.text.len());
        pages += 1;
        items += page.body["items"].as_array().map_or(0, Vec::len);
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (pages, items),
        }
    }
}

#[tokio::test]
async fn a_page_ends_before_it_is_too_long_for_an_answer() {
    let api = Api::new();
    for number in 0..75 {
        api.rule(ADMIN, &number.to_string(), json!({"request": long_request("x")})).await;
    }
    assert_eq!(counted(&api, "/tracking-apis").await, (5, 75));
    let rule = api.rule(ADMIN, "changes", Value::Null).await;
    for filling in ["a", "b"].into_iter().cycle().take(40) {
        let patch = json!({"request": long_request(filling)});
        assert_eq!(api.call(ADMIN, &format!("PATCH /tracking-apis/{rule}"), patch).await.status, 200);
    }
    assert_eq!(counted(&api, &format!("/tracking-apis/{rule}/history")).await, (5, 41));
}
