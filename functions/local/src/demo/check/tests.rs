use serde_json::json;

use super::*;

/// Two rules: `shop` owes a postback with one request and one with two, `last` a final one and one that stays held.
fn owed() -> Owed {
    serde_json::from_value(json!({
        "total": {"deliveries": 4, "requests": 4},
        "bus": [{"detail-type": "Delivery Ended", "rule": "shop", "conversion_id": "cnv_2", "state": "failed", "attempts": 2}],
        "rules": {
            "shop": {"deliveries": 2, "requests": 3, "owed": [
                ["cnv_1", "trx_1", "transaction_created", "chg_1", 1, "delivered"],
                ["cnv_2", null, "conversion_updated", "chg_2", 2, "failed"]]},
            "last": {"deliveries": 2, "requests": 1, "owed": [
                ["cnv_1", "trx_1", null, null, 1, "delivered"],
                ["cnv_3", "trx_3", null, null, 0, "held"]],
                "after_final": [["cnv_1", "trx_1", "transaction_updated", "chg_9", 0, "skipped"]],
                "bystanders": {"skipped": 1, "held": 0}},
        },
    }))
    .unwrap()
}

fn delivery(id: &str, key: &str, conversion: &str, transaction: Option<&str>, event: &str, change: &str) -> Delivery {
    Delivery {
        id: id.to_owned(),
        key: key.to_owned(),
        conversion_id: conversion.to_owned(),
        transaction_id: transaction.map(str::to_owned),
        event: event.to_owned(),
        change_id: change.to_owned(),
        attempts: 0,
        state: String::new(),
        log: Vec::new(),
        callbacks: Vec::new(),
    }
}

fn ending(mut delivery: Delivery, state: &str, attempts: u32) -> Delivery {
    delivery.state = state.to_owned();
    delivery.attempts = attempts;
    delivery.log = (1..=attempts).map(|attempt| Logged { attempt, verdict: String::new() }).collect();
    delivery
}

fn request(key: &str, id: &str) -> Request {
    Request { key: key.to_owned(), delivery_id: Some(id.to_owned()) }
}

/// Exactly the postbacks that are owed.
fn seen() -> Observations {
    let Value::Object(detail) = json!({"conversion_id": "cnv_2", "state": "failed", "attempts": 2, "reason": "…"}) else {
        panic!("an object")
    };
    Observations {
        deliveries: vec![
            ending(delivery("d1", "shop", "cnv_1", Some("trx_1"), "transaction_created", "chg_1"), "delivered", 1),
            ending(delivery("d2", "shop", "cnv_2", None, "conversion_updated", "chg_2"), "failed", 2),
            ending(delivery("d3", "last", "cnv_1", Some("trx_1"), "transaction_updated", "chg_4"), "delivered", 1),
            ending(delivery("d4", "last", "cnv_3", Some("trx_3"), "transaction_created", "chg_5"), "held", 0),
        ],
        requests: vec![request("shop", "d2"), request("shop", "d1"), request("last", "d3"), request("shop", "d2")],
        bus: vec![Published { detail_type: "Delivery Ended".to_owned(), key: "shop".to_owned(), detail }],
        callbacks: Vec::new(),
        leaks: Vec::new(),
    }
}

/// Checks the differences, as `rule: subject: owed | seen`.
#[track_caller]
fn check(owed: &Owed, seen: &Observations, expected: &[&str]) {
    let found = differences(owed, seen).into_iter();
    let found: Vec<_> = found.map(|d| format!("{}: {}: {} | {}", d.key, d.about, d.owed, d.seen)).collect();
    assert_eq!(found, expected);
}

#[test]
fn p1_what_is_owed_and_nothing_else_is_no_difference() {
    check(&owed(), &seen(), &[]);
}

#[test]
fn p1_a_missing_delivery_is_reported() {
    let mut owed = owed();
    let shop = owed.rules.get_mut("shop").unwrap();
    shop.owed.push(OwedRow {
        conversion_id: "cnv_7".to_owned(),
        transaction_id: Some("trx_7".to_owned()),
        ..shop.owed[0].clone()
    });
    check(&owed, &seen(), &["shop: trx_7 transaction_created chg_1: delivered, 1 request | missing"]);
}

#[test]
fn p1_another_end_is_reported() {
    let mut owed = owed();
    let row = &mut owed.rules.get_mut("shop").unwrap().owed[1];
    (row.state, row.requests) = ("delivered".to_owned(), 3);
    check(&owed, &seen(), &["shop: cnv_2 conversion_updated chg_2: delivered, 3 requests | failed, 2 requests"]);
}

#[test]
fn p2_a_doubled_delivery_is_reported() {
    let mut seen = seen();
    let double = Delivery { id: "d9".to_owned(), ..seen.deliveries[0].clone() };
    seen.deliveries.push(double);
    seen.requests.push(request("shop", "d9"));
    let expected = "shop: trx_1 transaction_created chg_1: nothing more: it is there already (P2) | delivered, 1 request";
    check(&owed(), &seen, &[expected]);
}

#[test]
fn p2_a_doubled_request_is_reported() {
    let mut seen = seen();
    seen.requests.push(request("shop", "d1"));
    check(&owed(), &seen, &["shop: trx_1 transaction_created chg_1: 1 request by its attempts | 2 requests"]);
}

#[test]
fn l1_a_request_that_never_came_and_a_log_that_lacks_one_are_reported() {
    let mut seen = seen();
    seen.requests.remove(0);
    seen.deliveries[1].log.pop();
    let about = "shop: cnv_2 conversion_updated chg_2";
    check(
        &owed(),
        &seen,
        &[
            &format!("{about}: 2 requests by its attempts | 1 request"),
            &format!("{about}: 2 attempts in its log, numbered from 1 | [1]"),
        ],
    );
}

#[test]
fn p1_a_foreign_delivery_is_reported() {
    let mut owed = owed();
    owed.rules.get_mut("shop").unwrap().owed.remove(0);
    check(&owed, &seen(), &["shop: trx_1 transaction_created chg_1: nothing | delivered, 1 request"]);
}

#[test]
fn q1_a_foreign_request_and_one_without_an_id_are_reported() {
    let mut seen = seen();
    seen.requests.push(request("last", "d1"));
    seen.requests.push(request("off", "dx"));
    seen.requests.push(Request { key: "shop".to_owned(), delivery_id: None });
    check(
        &owed(),
        &seen,
        &[
            "shop: a request: a Tracking-Delivery-Id (Q1) | none",
            "last: d1: nothing: no delivery of this rule | 1 request",
            "off: dx: nothing: no delivery of this rule | 1 request",
        ],
    );
}

#[test]
fn w17_a_callback_that_is_not_read_and_one_that_is_read_twice_are_reported() {
    let mut seen = seen();
    seen.callbacks.push("d1".to_owned());
    let about = "shop: trx_1 transaction_created chg_1: 1 callback read, as sent";
    check(&owed(), &seen, &[&format!("{about} | 0 of 0 read")]);
    let callback = |verdict: Option<&str>| LoggedCallback { verdict: verdict.map(str::to_owned) };
    seen.deliveries[0].callbacks = vec![callback(None)];
    check(&owed(), &seen, &[&format!("{about} | 0 of 1 read")]);
    seen.deliveries[0].callbacks = vec![callback(Some("delivered"))];
    check(&owed(), &seen, &[]);
    seen.deliveries[0].callbacks.push(callback(Some("delivered")));
    check(&owed(), &seen, &[&format!("{about} | 2 of 2 read")]);
}

#[test]
fn f4_what_may_be_there_is_no_difference_but_what_is_more_is() {
    let mut seen = seen();
    let late = delivery("d5", "last", "cnv_1", Some("trx_1"), "transaction_updated", "chg_9");
    seen.deliveries.push(ending(late, "skipped", 0));
    for (id, conversion) in [("d6", "cnv_8"), ("d7", "cnv_9")] {
        let other = delivery(id, "last", conversion, Some("trx_8"), "transaction_updated", "chg_8");
        seen.deliveries.push(ending(other, "skipped", 0));
    }
    check(&owed(), &seen, &["last: trx_8 transaction_updated chg_8: nothing | skipped, 0 requests"]);
    let owed = owed();
    let last = |seen: &Observations| counted(&owed.rules["last"], seen.deliveries.iter().filter(|d| d.key == "last").collect());
    assert_eq!(last(&seen), 3);
    seen.deliveries.pop();
    assert_eq!(last(&seen), 2);
}

#[test]
fn a3_events_on_the_bus_are_owed_one_by_one() {
    let mut twice = seen();
    twice.bus.push(twice.bus[0].clone());
    check(&owed(), &twice, &["shop: Delivery Ended of \"cnv_2\": nothing | an event on the bus"]);
    for event in &mut twice.bus {
        event.detail.insert("event_id".to_owned(), "evt_1".into());
    }
    check(&owed(), &twice, &[]);
    let mut none = seen();
    none.bus[0].key = "last".to_owned();
    let event = json!(owed().bus[0]).to_string();
    let expected = [
        format!("shop: on the bus: {event} | missing"),
        "last: Delivery Ended of \"cnv_2\": nothing | an event on the bus".to_owned(),
    ];
    check(&owed(), &none, &expected.each_ref().map(String::as_str));
}

#[test]
fn q5_a_secret_in_an_answer_is_reported() {
    let seen = Observations { leaks: vec!["/deliveries/d1".to_owned()], ..seen() };
    check(&owed(), &seen, &[": /deliveries/d1: no secret in any answer (Q5) | a secret's value"]);
}
