//! The JSON Schema of events accepts the same events as the code that reads them.

use serde_json::{Value, json};
use tracking_core::change::Envelope;

use crate::stack::templates::{python, text};

/// Returns the schema's faults of documents, in their order.
fn judged(documents: &[String]) -> Vec<Vec<String>> {
    let schema: Value = serde_json::from_str(&text("infra/event.schema.json")).unwrap();
    let output = python("schema.py", &json!({"schema": schema, "documents": documents}));
    serde_json::from_value(output).unwrap()
}

/// Fails with each document that one of the two accepts and the other refuses.
#[track_caller]
fn agree(documents: &[String]) {
    let mut apart = Vec::new();
    for (document, faults) in documents.iter().zip(judged(documents)) {
        let read = Envelope::parse(document.as_bytes());
        if read.is_ok() != faults.is_empty() {
            let shown: String = document.chars().take(400).collect();
            apart.push(format!("{shown}\n  the schema says {faults:?}\n  the code says {:?}", read.map(drop)));
        }
    }
    assert!(apart.is_empty(), "\n{}\n", apart.join("\n"));
}

fn lines(file: &str) -> Vec<String> {
    text(&format!("tests/events/{file}")).lines().map(str::to_owned).collect()
}

#[test]
fn every_sample_event_is_good_by_the_schema() {
    let documents = ["stories.ndjson", "conversions.ndjson", "offers.ndjson"].map(lines).concat();
    assert!(documents.len() > 500, "the samples were read");
    let bad: Vec<_> = documents.iter().zip(judged(&documents)).filter(|(_, faults)| !faults.is_empty()).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    agree(&documents);
}

#[test]
fn every_bad_sample_is_refused_by_the_schema_as_by_the_code() {
    let documents = lines("bad.ndjson");
    let refused: Vec<bool> = judged(&documents).iter().map(|faults| !faults.is_empty()).collect();
    let mut wanted = vec![true; 14];
    // The last document is valid.
    wanted[13] = false;
    assert_eq!(refused, wanted);
    agree(&documents);
}

/// Returns a valid event with one field set to this: at a path below the detail.
fn with(path: &str, value: Value) -> String {
    let mut detail = json!({
        "change_id": "chg_1", "occurred_at": "2026-11-22T08:59:59.120Z",
        "conversion": {
            "conversion_id": "cnv_1", "version": 3, "change": "updated", "type": "sale", "source": "link",
            "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5",
        },
        "transactions": [{"transaction_id": "trx_1", "result": "approved"}],
    });
    if let Some((parent, field)) = path.rsplit_once('/') {
        let parent = detail.pointer_mut(parent).unwrap();
        parent[field] = value;
    }
    json!({"source": "platform.conversions", "detail-type": "Conversion Changed", "detail": detail}).to_string()
}

/// Returns a valid event without one of its fields.
fn without(path: &str) -> String {
    let mut event: Value = serde_json::from_str(&with("", Value::Null)).unwrap();
    let (parent, field) = path.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).unwrap();
    event.to_string()
}

#[test]
fn what_is_required_and_what_is_not_is_the_same_in_both() {
    let conversion = "conversion_id version change type source affiliate_id advertiser_id offer_id".split(' ');
    let required = ["/detail", "/detail-type", "/detail/change_id", "/detail/occurred_at", "/detail/conversion"]
        .map(str::to_owned)
        .into_iter()
        .chain(conversion.map(|field| format!("/detail/conversion/{field}")))
        .chain(["transaction_id", "result"].map(|field| format!("/detail/transactions/0/{field}")));
    let documents: Vec<String> = required.map(|path| without(&path)).collect();
    assert!(judged(&documents).iter().all(|faults| !faults.is_empty()));
    agree(&documents);
    let free = [without("/source"), without("/detail/transactions")];
    assert_eq!(judged(&free), [Vec::<String>::new(), Vec::new()]);
    agree(&free);
}

/// Returns values of all kinds, about half of them invalid for any one field.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(3),
        json!(-1),
        json!(9_007_199_254_740_991_u64),
        json!(9_007_199_254_740_992_u64),
        json!(4_294_967_295_u64),
        json!(4_294_967_296_u64),
        json!("created"),
        json!("approved"),
        json!("Updated"),
        json!("REJECTED"),
        json!("12.50"),
        json!("-0.1"),
        json!("+1"),
        json!(".5"),
        json!("5."),
        json!("1.5e3"),
        json!("1,5"),
        json!("1_000"),
        json!("e5"),
        json!(""),
        json!(" "),
        json!("a b"),
        json!("aff:1-2_3.4"),
        json!("x".repeat(128)),
        json!("x".repeat(129)),
        json!("x".repeat(2_048)),
        json!("x".repeat(2_049)),
        json!("2026-11-22T09:00:00Z"),
        json!("2026-11-22t09:00:00.5+01:00"),
        json!("2026-11-22 09:00:00Z"),
        json!("2026-11-22"),
        json!("2026-13-22T09:00:00Z"),
        json!("2026-02-30T09:00:00Z"),
        json!([]),
        json!({}),
        json!({"affs1": 5, "affs11": [], "other": {}}),
        json!({"affs1": []}),
        json!({"utm": "x", "n": 1.50, "flag": false, "none": null}),
        json!({"utm": {}}),
        json!({"tracking_api_id": "trk_1", "depth": 1}),
        json!({"tracking_api_id": "trk_1", "depth": 0}),
        json!({"tracking_api_id": "trk_1"}),
        json!([null]),
        json!([{"transaction_id": "trx_1", "result": "pending"}]),
    ]
}

#[test]
fn every_field_takes_the_same_values_in_both() {
    let values = values();
    let detail = "change_id occurred_at causation conversion transactions unknown".split(' ');
    let conversion = [
        "conversion_id",
        "version",
        "change",
        "type",
        "source",
        "affiliate_id",
        "advertiser_id",
        "offer_id",
        "custom_type",
        "advertiser_name",
        "offer_name",
        "channel_id",
        "channel",
        "integration_id",
        "country",
        "pcid",
        "external_id",
        "affiliate_click_id",
        "affs",
        "value",
        "currency",
        "voucher",
        "query_params",
        "cookie_params",
        "ip",
        "user_agent",
        "click_at",
        "created_at",
        "updated_at",
        "settled",
        "unknown",
    ];
    let transaction = "transaction_id version change commission_id type result previous_result payout revenue currency \
        auto_approved auto_set created_at updated_at result_at unknown"
        .split(' ');
    let paths = detail
        .map(|field| format!("/{field}"))
        .chain(conversion.map(|field| format!("/conversion/{field}")))
        .chain(transaction.map(|field| format!("/transactions/0/{field}")));
    let documents: Vec<String> =
        paths.flat_map(|path| values.iter().map(move |value| with(&path, value.clone())).collect::<Vec<_>>()).collect();
    agree(&documents);
}

#[test]
fn offers_take_the_same_values_in_both() {
    let offer = |detail: Value| json!({"detail-type": "Offer Changed", "detail": detail}).to_string();
    let documents = [
        offer(json!({"offer_id": "off_1"})),
        offer(json!({"offer_id": "off_1", "name": "Loan", "country": null, "category": "", "more": 1})),
        offer(json!({"name": "Loan"})),
        offer(json!({"offer_id": "off 1"})),
        offer(json!({"offer_id": "off_1", "country": ["CZ"]})),
        offer(json!({"offer_id": "off_1", "name": "x".repeat(2_049)})),
        offer(json!(null)),
        json!({"detail-type": "Something Else", "detail": {}}).to_string(),
        json!([]).to_string(),
    ];
    let good = judged(&documents).iter().filter(|faults| faults.is_empty()).count();
    assert_eq!(good, 2);
    agree(&documents);
}
