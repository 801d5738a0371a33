//! Rules beside their writing: pausing them, switching them off for good, finding them again.

use serde_json::{Value, json};

use crate::{
    receiver::Receiver,
    support::{ADMIN, Api},
};

/// A rule of an affiliate that sends to this receiver; its path.
async fn made(api: &Api, url: &str, more: Value) -> String {
    let mut members = json!({"request": {"url": format!("{url}/?t={{transaction_id}}")}});
    members.as_object_mut().expect("it is one").extend(more.as_object().expect("it is one").clone());
    format!("/tracking-apis/{}", api.rule("aff_a", "x", members).await)
}

async fn patch(api: &Api, who: &str, path: &str, body: Value) -> Value {
    let answer = api.call(who, &format!("PATCH {path}"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

async fn pass(api: &Api, seconds: i64) {
    api.pass(seconds);
    api.work_until(api.now()).await;
}

#[tokio::test]
async fn case_d6_what_a_paused_rule_matches_waits_and_goes_out_when_it_goes_on() {
    let api = Api::new();
    let bank = Receiver::answering(200).await;
    let path = made(&api, &bank.url, json!({"pause": true})).await;
    assert_eq!(api.get("aff_a", &path).await.body["pause"], true);
    api.sale(1, "aff_a").await;
    pass(&api, 60).await;
    let list = api.get(ADMIN, "/deliveries").await.body;
    let waiting = &list["items"][0];
    assert_eq!(
        (&waiting["state"], &waiting["reason"], &waiting["attempts"]),
        (&json!("waiting"), &json!("the Tracking API is paused"), &json!(0))
    );
    let inside = api.get(ADMIN, &format!("/deliveries/{}/internals", waiting["id"].as_str().expect("it has one"))).await.body;
    assert_eq!(inside["cause"], "paused", "{inside}");
    assert_eq!(bank.heard(), [""; 0]);
    patch(&api, "aff_a", &path, json!({"pause": false})).await;
    for _ in 0..3 {
        pass(&api, 300).await;
    }
    assert_eq!(bank.heard(), ["/?t=trx_1"]);
    // Off is off: waiting deliveries are cancelled.
    patch(&api, "aff_a", &path, json!({"pause": true})).await;
    api.sale(2, "aff_a").await;
    patch(&api, "aff_a", &path, json!({"active": false})).await;
    pass(&api, 600).await;
    assert_eq!(api.get(ADMIN, "/deliveries").await.each("state"), ["cancelled", "delivered"]);
}

#[tokio::test]
async fn case_d6_a_pause_lasts_72_hours_at_most() {
    let api = Api::new();
    let bank = Receiver::answering(200).await;
    let path = made(&api, &bank.url, json!({"pause": true})).await;
    api.sale(1, "aff_a").await;
    for _ in 0..73 {
        pass(&api, 3_600).await;
    }
    let list = api.get(ADMIN, "/deliveries").await.body;
    let expected = "the Tracking API is paused; it did not go on within 72 hours";
    assert_eq!((&list["items"][0]["state"], &list["items"][0]["reason"]), (&json!("expired"), &json!(expected)));
    patch(&api, "aff_a", &path, json!({"pause": false})).await;
    api.sale(2, "aff_a").await;
    assert_eq!(bank.heard(), ["/?t=trx_2"]);
}

#[tokio::test]
async fn case_d5_what_an_admin_switched_off_stays_off() {
    let api = Api::new();
    let path = made(&api, "http://127.0.0.1:1", json!({})).await;
    assert_eq!(patch(&api, "aff_a", &path, json!({"active": false})).await["locked_by_admin"], false, "its own");
    patch(&api, "aff_a", &path, json!({"active": true})).await;
    assert_eq!(patch(&api, ADMIN, &path, json!({"active": false})).await["locked_by_admin"], true);
    for (line, body) in
        [(format!("PATCH {path}"), json!({"active": true})), (format!("POST {path}/history/1/restore"), Value::Null)]
    {
        let refused = api.call("aff_a", &line, body).await;
        assert_eq!(refused.problem(), (409, "/problems/conflict"), "{line}");
        assert_eq!(refused.body["detail"], "an admin switched this Tracking API off: ask one to switch it on");
    }
    assert_eq!(patch(&api, "aff_a", &path, json!({"name": "y"})).await["locked_by_admin"], true, "else it may change it");
    assert_eq!(patch(&api, ADMIN, &path, json!({"active": true})).await["locked_by_admin"], false);
    patch(&api, "aff_a", &path, json!({"active": false})).await;
    patch(&api, "aff_a", &path, json!({"active": true})).await;
}

#[tokio::test]
async fn case_d5_an_admins_off_locks_what_is_off_already_and_its_copies() {
    let api = Api::new();
    let path = made(&api, "http://127.0.0.1:1", json!({})).await;
    patch(&api, "aff_a", &path, json!({"active": false})).await;
    let locked = patch(&api, ADMIN, &path, json!({"active": false})).await;
    assert_eq!(locked["locked_by_admin"], true);
    assert_eq!(locked["inactive_reason"], "an admin switched it off: only an admin switches it on");
    let line = format!("POST {path}/duplicate");
    assert_eq!(api.call("aff_a", &line, json!({"active": true})).await.problem(), (409, "/problems/conflict"));
    let copy = api.call("aff_a", &line, json!({})).await.body;
    assert_eq!((&copy["active"], &copy["locked_by_admin"]), (&json!(false), &json!(true)));
    let copy = format!("PATCH /tracking-apis/{}", copy["id"].as_str().unwrap());
    assert_eq!(api.call("aff_a", &copy, json!({"active": true})).await.problem(), (409, "/problems/conflict"));
    let of_admin = api.call(ADMIN, &line, json!({"active": true})).await.body;
    assert_eq!((&of_admin["active"], &of_admin["locked_by_admin"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn case_b11_a_secrets_value_for_its_name_is_never_echoed() {
    let api = Api::new();
    for value in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "sk_live_4eC39HqLyjWDarjtT1zdp7dc"] {
        let rule = |members: Value| {
            let mut rule = json!({"name": "n", "request": {"url": "http://127.0.0.1:1/?c={click_id}"}});
            for (name, value) in members.as_object().into_iter().flatten() {
                rule[name] = value.clone();
            }
            rule
        };
        let signing = rule(json!({"signing": {"secret": value}, "secret_values": {"key": "k"}}));
        let values = rule(json!({"secret_values": {value: "k"}}));
        for (line, body, pointer) in [
            ("POST /tracking-apis", signing.clone(), "/signing/secret"),
            ("POST /tracking-apis/preview", json!({"tracking_api": signing}), "/tracking_api/signing/secret"),
            ("POST /tracking-apis", values, "/secret_values"),
        ] {
            let refused = api.call("aff_a", line, body).await;
            assert_eq!(refused.problem(), (422, "/problems/invalid"), "{line}");
            assert_eq!(refused.body["errors"][0]["pointer"], pointer);
            assert!(!refused.text.contains(value), "{}", refused.text);
        }
    }
}

#[tokio::test]
async fn case_w11_answers_are_for_steps_that_there_are() {
    let api = Api::new();
    let rule = json!({"name": "n", "request": {"url": "http://127.0.0.1:1/?c={click_id}"}});
    let body = json!({"tracking_api": rule, "answers": {"stauts": [{"status": 200}]}});
    let refused = api.call(ADMIN, "POST /tracking-apis/preview", body).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    assert_eq!(refused.body["errors"][0]["pointer"], "/answers/stauts");
}

#[tokio::test]
async fn one_delivery_shows_status_and_duration_as_the_list_does() {
    let api = Api::new();
    let bank = Receiver::answering(200).await;
    made(&api, &bank.url, json!({})).await;
    api.sale(1, "aff_a").await;
    pass(&api, 1).await;
    let listed = api.get(ADMIN, "/deliveries").await.body["items"][0].clone();
    let one = api.get(ADMIN, &format!("/deliveries/{}", listed["id"].as_str().unwrap())).await.body;
    assert_eq!(one["http_status"], 200);
    assert_eq!((&one["http_status"], &one["duration_ms"]), (&listed["http_status"], &listed["duration_ms"]));
}

#[tokio::test]
async fn many_rules_are_changed_at_once() {
    let api = Api::new();
    let (own, other) = (made(&api, "http://127.0.0.1:1", json!({})).await, api.rule("aff_b", "y", json!({})).await);
    let id = |path: &str| path.trim_start_matches("/tracking-apis/").to_owned();
    let body = json!({"ids": [id(&own), other, "trk_none"], "action": "pause"});
    let answer = api.call("aff_a", "POST /tracking-apis/bulk", body).await;
    let results = answer.body["results"].as_array().unwrap_or_else(|| panic!("{}", answer.text)).clone();
    let outcomes: Vec<_> = results.iter().map(|one| (one["status"].clone(), one["version"].clone())).collect();
    assert_eq!(outcomes, [(json!(200), json!(2)), (json!(404), Value::Null), (json!(404), Value::Null)]);
    assert_eq!(api.get("aff_a", &own).await.body["pause"], true);
    assert_eq!(api.get("aff_b", &format!("/tracking-apis/{other}")).await.body["version"], 1, "another's");
    let refused = api.call("aff_a", "POST /tracking-apis/bulk", json!({"ids": [], "action": "delete"})).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
}

#[tokio::test]
async fn the_table_is_filtered_by_trigger_label_and_category() {
    let api = Api::new();
    let offer = json!({"name": "Loan", "country": "CZ", "category": "loans"});
    assert_eq!(api.call(ADMIN, "PUT /offers/off_5", offer).await.status, 200);
    let labelled = api.rule(ADMIN, "a", json!({"labels": ["Bank"], "trigger": "conversion_created"})).await;
    let placed = api.rule(ADMIN, "b", json!({"conditions": {"included_offers": ["off_5"]}})).await;
    for (query, expected) in [
        ("label=bank", vec![&labelled]),
        ("trigger=conversion_created", vec![&labelled]),
        ("category=loans", vec![&placed]),
        ("category=loans&label=bank", vec![]),
    ] {
        assert_eq!(api.get(ADMIN, &format!("/tracking-apis?{query}")).await.each("id"), expected, "{query}");
    }
    assert_eq!(api.get(ADMIN, "/tracking-apis?trigger=sale").await.status, 400);
}

#[tokio::test]
async fn the_log_is_searched_and_shows_what_people_look_for() {
    let api = Api::new();
    let bank = Receiver::answering(503).await;
    made(&api, &bank.url, json!({})).await;
    api.sale(1, "aff_a").await;
    api.sale(2, "aff_a").await;
    let list = api.get(ADMIN, "/deliveries").await.body;
    let shown = &list["items"][0];
    assert_eq!(
        (&shown["http_status"], &shown["offer_id"], &shown["result"]),
        (&json!(503), &json!("off_5"), &json!("pending")),
        "{shown}"
    );
    assert!(shown["duration_ms"].is_u64() && shown.get("payout").is_some() && shown.get("currency").is_some(), "{shown}");
    let (click, external) = (shown["click_id"].as_str(), shown["external_id"].as_str());
    for (query, count) in [
        ("http_status=503".to_owned(), 2),
        ("http_status=200".to_owned(), 0),
        ("transaction_id=trx_2".to_owned(), 1),
        ("offer_id=off_5&state=waiting&state=failed".to_owned(), 2),
        ("state=delivered&state=failed".to_owned(), 0),
        ("offer_id=off_6".to_owned(), 0),
        (format!("click_id={}", click.unwrap_or("none")), if click.is_some() { 2 } else { 0 }),
        (format!("external_id={}", external.unwrap_or("none")), if external.is_some() { 2 } else { 0 }),
    ] {
        let found = api.get(ADMIN, &format!("/deliveries?{}", query.replace(' ', "%20"))).await;
        assert_eq!(found.each("id").len(), count, "{query}: {}", found.text);
    }
    assert_eq!(api.get(ADMIN, "/deliveries?http_status=99").await.status, 400);
    assert_eq!(api.get(ADMIN, "/deliveries?offer_id=a&offer_id=b").await.status, 400);
}

#[tokio::test]
async fn a_rule_has_a_description_and_labels() {
    let api = Api::new();
    let path = made(&api, "http://127.0.0.1:1", json!({"description": "Loans", "labels": ["bank", " cz ", "bank"]})).await;
    let shown = api.get("aff_a", &path).await.body;
    assert_eq!((&shown["description"], &shown["labels"]), (&json!("Loans"), &json!(["bank", "cz"])));
    let wrong = json!({"description": "x".repeat(2_001), "labels": ["", 5, "x".repeat(51)]});
    let refused = api.call("aff_a", &format!("PATCH {path}"), wrong).await;
    let places: Vec<_> =
        refused.body["errors"].as_array().expect("it has them").iter().map(|fault| fault["pointer"].clone()).collect();
    assert_eq!(
        (refused.status, places),
        (422, vec![json!("/description"), json!("/labels/0"), json!("/labels/1"), json!("/labels/2")])
    );
    let many = api.call("aff_a", &format!("PATCH {path}"), json!({"labels": vec!["x"; 11]})).await;
    assert_eq!(many.body["errors"][0]["detail"], "11 labels are too many: write 10 at most");
}
