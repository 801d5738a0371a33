//! The reasons why rules fired and why not (docs/api.md).

use serde_json::{Value, json};

use crate::support::{ADMIN, Api};

/// A change of `cnv_1` in that version.
fn change(version: u64, affiliate: &str, result: &str) -> Value {
    json!({
        "change_id": format!("chg_{version}"), "occurred_at": "2026-11-22T08:59:59Z",
        "conversion": {"conversion_id": "cnv_1", "version": version, "change": if version == 1 { "created" } else { "updated" },
            "type": "sale", "source": "link", "affiliate_id": affiliate, "advertiser_id": "adv_2", "offer_id": "off_5"},
        "transactions": [{"transaction_id": "trx_1", "result": result}],
    })
}

#[tokio::test]
async fn an_event_is_explained_rule_by_rule() {
    let api = Api::new();
    api.rule(ADMIN, "all", Value::Null).await;
    api.rule(ADMIN, "approved", json!({"conditions": {"result": ["approved"]}})).await;
    api.rule(ADMIN, "off", json!({"active": false})).await;
    api.rule("aff_a", "A's", json!({"delay": {"mode": "final"}})).await;
    let body = || json!({"event": change(1, "aff_a", "pending")});
    let answer = api.call(ADMIN, "POST /explain", body()).await;
    assert_eq!((answer.status, answer.each("name")), (200, vec!["A's", "off", "approved", "all"]));
    let items = answer.body["items"].as_array().unwrap();
    let outcome = |item: &Value| json!([item["active"], item["fires"], item["held"], item["verdicts"][1]["reasons"]]);
    let outcomes: Vec<Value> = items.iter().map(outcome).collect();
    assert_eq!(
        outcomes,
        [
            json!([true, true, true, []]),
            json!([false, false, false, [{"condition": "active", "detail": "the rule is switched off: active is false"}]]),
            json!([true, false, false, [{"condition": "result", "detail": "result is pending; the rule wants approved"}]]),
            json!([true, true, false, []]),
        ]
    );
    assert_eq!(items[0]["owner"], json!({"kind": "affiliate", "affiliate_id": "aff_a"}));
    assert_eq!(
        items[0]["verdicts"][1]["note"],
        "held until the conversion is settled; the conditions are judged then, on the state that is sent"
    );
    assert_eq!(api.call("aff_a", "POST /explain", body()).await.each("name"), ["A's"]);
    assert_eq!(api.call("aff_b", "POST /explain", body()).await.each("name").len(), 0);
    assert_eq!(api.get(ADMIN, "/deliveries").await.each("id").len(), 0, "explaining does nothing");
}

#[tokio::test]
async fn case_c1_c4_what_happened_is_explained_with_notes_on_how_it_was_read() {
    let api = Api::new();
    api.rule(ADMIN, "all", Value::Null).await;
    let mut first = change(1, "aff_a", "pending");
    first["conversion"]["query_params"] = json!({"utm_source": ["a", "b"], "deep": {"x": 1}, "long": "x".repeat(3_000)});
    first["conversion"]["affs"] = json!([]);
    first["conversion"]["user_agent"] = "u".repeat(2_049).into();
    let mut silent = change(2, "aff_a", "approved");
    silent["conversion"]["updated_at"] = "2026-11-22T08:59:59Z".into();
    silent["transactions"][0]["updated_at"] = "2026-11-22T08:00:00Z".into();
    for event in [&first, &silent, &change(3, "aff_a", "approved")] {
        api.event(event).await;
    }
    let answer = api.get(ADMIN, "/conversions/cnv_1/explain").await;
    let changes = answer.body["items"][0]["changes"].as_array().unwrap();
    let notes = |number: usize| -> Vec<(&str, &str)> {
        let notes = changes[number]["notes"].as_array().unwrap().iter();
        notes.map(|note| (note["pointer"].as_str().unwrap(), note["detail"].as_str().unwrap())).collect()
    };
    let mut of_first = notes(0);
    of_first.sort_unstable();
    assert_eq!(
        of_first,
        [
            ("/detail/conversion/query_params/deep", "an object: it is taken as JSON"),
            ("/detail/conversion/query_params/long", "3000 bytes are too many: cut to 2048"),
            ("/detail/conversion/query_params/utm_source", "a list of 2: its last entry counts"),
            ("/detail/conversion/user_agent", "2049 bytes are too many: cut to 2048"),
        ]
    );
    let older = "no change is given and its updated_at is older than the conversion's: it counts as unchanged";
    assert_eq!(notes(1), [("/detail/transactions/0", older)]);
    let silent = "no change is given: it counts as updated, as its conversion";
    assert_eq!(notes(2), [("/detail/transactions/0", silent)]);
    // The event alone is explained with the same notes.
    let alone = api.call(ADMIN, "POST /explain", json!({"event": {"detail-type": "Conversion Changed", "detail": first}})).await;
    assert_eq!(alone.body["notes"].as_array().unwrap().len(), 4, "{}", alone.text);
}

#[tokio::test]
async fn case_c2_an_event_whose_change_id_was_used_for_another_change_is_refused_as_it_is_when_sent() {
    let api = Api::new();
    api.rule(ADMIN, "all", Value::Null).await;
    api.rule("aff_b", "B's", Value::Null).await;
    api.event(&change(1, "aff_a", "pending")).await;
    let fault = "change_id \"chg_1\" was used for another change";
    let mut others = vec![change(1, "aff_a", "approved"), change(1, "aff_a", "pending"), change(1, "aff_b", "pending")];
    others[1]["conversion"]["version"] = 7.into();
    for other in &others {
        let alone = api.call(ADMIN, "POST /explain", json!({"event": other})).await;
        assert_eq!(alone.problem(), (400, "/problems/bad-request"), "{other}");
        assert_eq!(alone.faults(), [("/event/change_id", fault)]);
        let envelope = json!({"detail-type": "Conversion Changed", "detail": other});
        let whole = api.call(ADMIN, "POST /explain", json!({"event": envelope})).await;
        assert_eq!(whole.faults(), [("/event/detail/change_id", fault)]);
    }
    // An event with the same content is the same change; an event of another conversion is another change.
    let mut elsewhere = change(1, "aff_a", "approved");
    elsewhere["conversion"]["conversion_id"] = "cnv_2".into();
    for good in [change(1, "aff_a", "pending"), change(2, "aff_a", "approved"), elsewhere] {
        assert_eq!(api.call(ADMIN, "POST /explain", json!({"event": good})).await.status, 200);
    }
    // An affiliate learns nothing of events that are not its own.
    assert_eq!(api.call("aff_b", "POST /explain", json!({"event": others[2]})).await.status, 200);
    assert_eq!(api.call("aff_a", "POST /explain", json!({"event": others[0]})).await.status, 400);
}

#[tokio::test]
async fn explanations_come_in_pages() {
    let api = Api::new();
    for number in 0..5 {
        api.rule(ADMIN, &format!("r{number}"), Value::Null).await;
    }
    let (mut names, mut path) = (Vec::new(), "POST /explain?limit=2".to_owned());
    loop {
        let page = api.call(ADMIN, &path, json!({"event": change(1, "aff_a", "pending")})).await;
        assert_eq!(page.status, 200, "{}", page.text);
        names.extend(page.each("name").into_iter().map(ToOwned::to_owned));
        let Some(next) = page.body["next_cursor"].as_str() else { break };
        path = format!("POST /explain?limit=2&cursor={next}");
    }
    assert_eq!(names, ["r4", "r3", "r2", "r1", "r0"]);
}

#[tokio::test]
async fn faults_of_an_event_to_explain_have_their_places() {
    let api = Api::new();
    let body = json!({"event": {"change_id": "c", "occurred_at": "now", "conversion": {}}, "rule": {}});
    let refused = api.call(ADMIN, "POST /explain", body).await;
    assert_eq!(refused.problem(), (422, "/problems/invalid"));
    let places: Vec<_> = refused.faults().into_iter().map(|(pointer, _)| pointer.to_owned()).collect();
    assert_eq!(places[..3], ["/rule", "/event/occurred_at", "/event/conversion/conversion_id"]);
    assert_eq!(api.call(ADMIN, "POST /explain", json!({})).await.faults()[0].0, "/event");
    let bad = api.call(ADMIN, "POST /explain?limit=0&who=me", json!({"event": change(1, "a", "pending")})).await;
    assert_eq!(bad.problem(), (400, "/problems/bad-request"));
    assert_eq!(api.get(ADMIN, "/conversions/cnv_1/explain?limit=x").await.problem(), (400, "/problems/bad-request"));
}

#[tokio::test]
async fn a_conversion_is_explained_with_its_deliveries() {
    let api = Api::new();
    let each = api.rule(ADMIN, "each", json!({"conditions": {"result": ["approved"]}})).await;
    api.rule(ADMIN, "final", json!({"delay": {"mode": "final"}})).await;
    api.event(&change(1, "aff_a", "pending")).await;
    api.event(&change(2, "aff_a", "approved")).await;
    api.rule(ADMIN, "new", Value::Null).await;
    api.call(ADMIN, &format!("PATCH /tracking-apis/{each}"), json!({"name": "each, renamed"})).await;
    let answer = api.get(ADMIN, "/conversions/cnv_1/explain").await;
    assert_eq!((answer.status, answer.each("name")), (200, vec!["new", "final", "each, renamed"]), "{}", answer.text);
    let items = answer.body["items"].as_array().unwrap();
    let changes = |item: &Value| {
        let changes = item["changes"].as_array().unwrap().iter();
        changes
            .map(|change| json!([change["change_id"], change["fires"], change["held"], change["rule_changed_since"]]))
            .collect()
    };
    let of: Vec<Vec<Value>> = items.iter().map(changes).collect();
    assert_eq!(of[0], [json!(["chg_1", true, false, true]), json!(["chg_2", true, false, true])]);
    assert_eq!(of[1], [json!(["chg_1", true, true, false]), json!(["chg_2", true, false, false])]);
    assert_eq!(of[2], [json!(["chg_1", false, false, true]), json!(["chg_2", true, false, true])]);
    let deliveries = |item: &Value| {
        let deliveries = item["deliveries"].as_array().unwrap().iter();
        deliveries.map(|delivery| json!([delivery["change_id"], delivery["event"], delivery["state"]])).collect()
    };
    let of: Vec<Vec<Value>> = items.iter().map(deliveries).collect();
    let sent = json!(["chg_2", "transaction_updated", "waiting"]);
    assert_eq!(of, [vec![], vec![sent.clone()], vec![sent]]);
    assert_eq!((&items[2]["changes"][0]["version"], &items[2]["complete"]), (&json!(1), &json!(true)));
    assert_eq!(items[2]["changes"][0]["occurred_at"], "2026-11-22T08:59:59Z");

    assert_eq!(api.call(ADMIN, &format!("DELETE /tracking-apis/{each}"), Value::Null).await.status, 204);
    let first = api.get(ADMIN, "/conversions/cnv_1/explain?limit=1").await;
    assert_eq!(first.each("name"), ["new"]);
    let next = format!("/conversions/cnv_1/explain?limit=5&cursor={}", first.body["next_cursor"].as_str().unwrap());
    let rest = api.get(ADMIN, &next).await;
    assert_eq!(rest.each("name"), ["final", "a deleted Tracking API"]);
    let gone = &rest.body["items"][1];
    assert_eq!((&gone["tracking_api_id"], gone["deliveries"].as_array().unwrap().len()), (&json!(each), 1));
}

#[tokio::test]
async fn of_too_many_changes_the_newest_are_explained() {
    let api = Api::new();
    for version in 1..=6 {
        let mut event = change(version, "aff_a", "pending");
        let transactions = (0..1_000).map(|number| json!({"transaction_id": format!("trx_{number}"), "result": "pending"}));
        event["transactions"] = transactions.collect();
        api.event(&event).await;
    }
    api.rule(ADMIN, "one", json!({"delay": {"mode": "final"}})).await;
    api.rule(ADMIN, "two", json!({"active": false})).await;
    let path = "/conversions/cnv_1/explain";
    let first = api.get(ADMIN, path).await;
    assert_eq!((first.status, first.each("name")), (200, vec!["two"]), "a page ends early");
    assert!(first.text.len() < 4 * 1024 * 1024, "{}", first.text.len());
    let next = first.body["next_cursor"].as_str().expect("a second page is there");
    let second = api.get(ADMIN, &format!("{path}?cursor={next}")).await;
    assert_eq!((second.each("name"), &second.body["next_cursor"]), (vec!["one"], &Value::Null));
    for page in [first, second] {
        let item = &page.body["items"][0];
        let versions: Vec<&Value> = item["changes"].as_array().unwrap().iter().map(|change| &change["version"]).collect();
        assert_eq!((versions, &item["complete"]), (vec![&json!(3), &json!(4), &json!(5), &json!(6)], &json!(false)));
    }
}

#[tokio::test]
async fn v2_v3_of_a_conversion_an_affiliate_learns_what_is_its_own() {
    let api = Api::new();
    api.rule(ADMIN, "all", Value::Null).await;
    api.rule("aff_a", "A's", Value::Null).await;
    api.rule("aff_b", "B's", Value::Null).await;
    api.event(&change(1, "aff_a", "pending")).await;
    let path = "/conversions/cnv_1/explain";
    let own = api.get("aff_a", path).await;
    assert_eq!((own.each("name"), own.body["items"][0]["deliveries"].as_array().unwrap().len()), (vec!["A's"], 1));
    let hidden = api.get("aff_b", path).await;
    let absent = api.get("aff_b", "/conversions/cnv_none/explain").await;
    assert_eq!(hidden.problem(), (404, "/problems/not-found"));
    assert_eq!((&hidden.text, &hidden.headers), (&absent.text, &absent.headers));
    assert_eq!(api.get(ADMIN, "/conversions/cnv_none/explain").await.problem(), (404, "/problems/not-found"));

    // A voucher moves the conversion: each affiliate sees the changes in which the conversion was its own.
    api.event(&change(2, "aff_b", "approved")).await;
    for (who, known) in [("aff_a", "chg_1"), ("aff_b", "chg_2")] {
        let answer = api.get(who, path).await;
        let changes = answer.body["items"][0]["changes"].as_array().unwrap();
        assert_eq!(changes.iter().map(|change| &change["change_id"]).collect::<Vec<_>>(), [known], "{who}");
    }
    assert_eq!(api.get(ADMIN, path).await.body["items"][0]["changes"].as_array().unwrap().len(), 2);
}
