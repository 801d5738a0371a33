//! Generators for property tests: ids come from small pools, so that conversions and conditions meet.

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
};

use crate::{
    change::{Causation, Change, ChangeKind, Conversion, Transaction, TransactionResult},
    conditions::Conditions,
    fault::Faults,
    id::Id,
    json,
    json::Value,
    money::Money,
};

/// An id of a pool of `size`: `aff_0`, `aff_1` ….
pub fn id(prefix: &'static str, size: u8) -> impl Strategy<Value = Id> {
    (0..size).prop_map(move |number| format!("{prefix}_{number}").parse().expect("letters, a bar and digits"))
}

/// Any short text, including the empty one and all of Unicode's scripts.
pub fn text() -> impl Strategy<Value = String> {
    any::<String>().prop_filter("free text has a limit", |text| text.len() <= 2048)
}

/// Any amount.
pub fn money() -> impl Strategy<Value = Money> {
    (any::<i64>(), 0..=9_usize).prop_map(|(number, point)| {
        let digits = format!("{:010}", number.unsigned_abs());
        let (whole, part) = digits.split_at(digits.len() - point);
        let sign = if number < 0 { "-" } else { "" };
        format!("{sign}{whole}.{part}0").parse().expect("at most 21 digits")
    })
}

/// Any time of the years 1970 to 2096.
pub fn time() -> impl Strategy<Value = Timestamp> {
    (0..4_000_000_000_i64, 0..1_000_000_000_i32).prop_map(|(second, nano)| Timestamp::new(second, nano).expect("in jiff's range"))
}

/// Any effect of a change.
pub fn change_kind() -> impl Strategy<Value = ChangeKind> {
    select(&[ChangeKind::Created, ChangeKind::Updated, ChangeKind::Unchanged])
}

/// A transaction's result.
pub fn result() -> impl Strategy<Value = TransactionResult> {
    select(&[TransactionResult::Pending, TransactionResult::Approved, TransactionResult::Rejected])
}

/// A transaction with that id.
pub fn transaction(transaction_id: Id) -> impl Strategy<Value = Transaction> {
    let state = (option::of(0..1_u64 << 53), option::of(change_kind()), result(), option::of(result()));
    let commission = prop_oneof![text(), id("com", 6).prop_map(|id| id.to_string())];
    let texts = (option::of(commission), option::of(text()), option::of(text()));
    let amounts = (option::of(money()), option::of(money()));
    let times = (option::of(time()), option::of(time()), option::of(time()));
    (state, texts, amounts, times, any::<bool>(), any::<bool>()).prop_map(
        move |(state, texts, amounts, times, auto_approved, auto_set)| Transaction {
            transaction_id: transaction_id.clone(),
            version: state.0,
            change: state.1,
            commission_id: texts.0,
            transaction_type: texts.1,
            result: state.2,
            previous_result: state.3,
            payout: amounts.0,
            revenue: amounts.1,
            currency: texts.2,
            auto_approved,
            auto_set,
            created_at: times.0,
            updated_at: times.1,
            result_at: times.2,
        },
    )
}

fn params() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(text(), text(), 0..3)
}

/// A conversion of four affiliates, offers, channels and so on, of known and unknown sources and types.
pub fn conversion() -> impl Strategy<Value = Conversion> {
    let types = select(&["click", "lead", "sale", "custom", "import"]);
    let custom_types = option::of(select(&["signup", "visit"]));
    let head = (id("cnv", 20), 0..1_u64 << 53, change_kind(), types, custom_types, select(&["link", "iframe", "api", "manual"]));
    let ids = (id("aff", 4), id("adv", 4), id("off", 4), option::of(id("chn", 4)), option::of(id("int", 4)));
    let names = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    let marks = (option::of(text()), option::of(text()), option::of(text()), option::of(text()));
    let visitor = (option::of(text()), option::of(text()), option::of(money()), option::of(text()));
    let affs = btree_map((1..=10_u8).prop_map(|number| format!("affs{number}")), text(), 0..3);
    let times = (option::of(time()), option::of(time()), option::of(time()));
    let rest = (affs, params(), params(), option::of(any::<bool>()));
    (head, ids, names, marks, visitor, times, rest).prop_map(|(head, ids, names, marks, visitor, times, rest)| Conversion {
        conversion_id: head.0,
        version: head.1,
        change: head.2,
        conversion_type: head.3.to_owned(),
        custom_type: head.4.map(str::to_owned),
        source: head.5.to_owned(),
        affiliate_id: ids.0,
        advertiser_id: ids.1,
        advertiser_name: names.0,
        offer_id: ids.2,
        offer_name: names.1,
        channel_id: ids.3,
        channel: names.2,
        integration_id: ids.4,
        country: names.3,
        pcid: marks.0,
        external_id: marks.1,
        affiliate_click_id: marks.2,
        affs: rest.0,
        value: visitor.2,
        currency: visitor.3,
        voucher: marks.3,
        query_params: rest.1,
        cookie_params: rest.2,
        ip: visitor.0,
        user_agent: visitor.1,
        click_at: times.0,
        created_at: times.1,
        updated_at: times.2,
        settled: rest.3,
    })
}

/// Up to four transactions, each id once.
pub fn transactions() -> impl Strategy<Value = Vec<Transaction>> {
    (0..5_usize).prop_flat_map(|count| {
        let each = |number| transaction(format!("trx_{number}").parse().expect("letters, a bar and digits"));
        (0..count).map(each).collect::<Vec<_>>()
    })
}

/// Any change.
pub fn change() -> impl Strategy<Value = Change> {
    let causation = option::of((id("trk", 9), 1..6_u32));
    (id("chg", 200), time(), causation, conversion(), transactions()).prop_map(
        |(change_id, occurred_at, causation, conversion, transactions)| {
            let causation = causation.map(|(tracking_api_id, depth)| Causation { tracking_api_id, depth });
            Change { change_id, occurred_at, causation, conversion, transactions }
        },
    )
}

/// Conditions that fit some of [`conversion`]'s conversions. Some of its lists are too long to anchor a rule.
pub fn conditions() -> impl Strategy<Value = Conditions> {
    let ids = |prefix: &'static str| {
        let few = vec(id(prefix, 6), 1..3).prop_map(|ids| json!(ids));
        let many = Just((0..101).map(|number| format!("{prefix}_{number}")).collect::<Value>());
        prop_oneof![5 => Just(json!([])), 2 => few, 1 => many]
    };
    let commissions = prop_oneof![9 => Just(json!([])), 1 => vec(id("com", 6), 1..5).prop_map(|ids| json!(ids))];
    let words = |words: &'static [&'static str]| prop_oneof![3 => Just(json!([])), 2 => vec(select(words), 1..3).prop_map(|words| json!(words))];
    let results = prop_oneof![
        2 => Just(json!("not_chosen")),
        1 => Just(json!("all")),
        2 => vec(result(), 1..3).prop_map(|results| json!(results)),
    ];
    let types = words(&["click", "lead", "sale", "custom", "custom:signup"]);
    let excluded = prop_oneof![Just(json!([])), vec(id("off", 8), 1..2).prop_map(|ids| json!(ids))];
    (
        words(&["link", "iframe", "api"]),
        types,
        ids("aff"),
        ids("adv"),
        ids("int"),
        ids("chn"),
        ids("off"),
        excluded,
        (results, commissions),
    )
        .prop_map(
            |(
                source,
                conversion_type,
                affiliate,
                advertiser,
                integration,
                channel,
                included,
                mut excluded,
                (result, commission),
            )| {
                if included != json!([]) {
                    excluded = json!([]);
                }
                let document = json!({
                    "source": source, "conversion_type": conversion_type, "affiliate": affiliate, "advertiser": advertiser,
                    "integration": integration, "channel": channel, "included_offers": included, "excluded_offers": excluded,
                    "result": result, "commission": commission,
                });
                Conditions::parse(Some(&document), "", &mut Faults::default())
            },
        )
}

/// The example detail of docs/events-in.md, with every time and cookie filled in.
pub fn detail() -> Value {
    json!({
        "change_id": "chg_0001",
        "occurred_at": "2026-11-22T08:59:59.120Z",
        "causation": {"tracking_api_id": "trk_9", "depth": 1},
        "conversion": {
            "conversion_id": "cnv_1", "version": 3, "change": "updated",
            "type": "sale", "custom_type": null, "source": "link",
            "affiliate_id": "aff_7", "advertiser_id": "adv_2", "advertiser_name": "Bank", "offer_id": "off_5", "offer_name": "Loan CZ",
            "channel_id": "chn_1", "channel": "main", "integration_id": "int_3", "country": "CZ",
            "pcid": "pc-1", "external_id": "X-77", "affiliate_click_id": "click 1/2", "affs": {"affs1": "summer", "affs10": "z"},
            "value": "100.00", "currency": "EUR", "voucher": null, "query_params": {"utm_source": "mail"},
            "cookie_params": {"fbp": "fb.1.2"}, "ip": "203.0.113.9", "user_agent": "Mozilla/5.0",
            "click_at": "2026-11-22T08:00:00Z", "created_at": "2026-11-22T08:30:00Z", "updated_at": "2026-11-22T08:59:59Z",
            "settled": null
        },
        "transactions": [
            {"transaction_id": "trx_1", "version": 2, "change": "updated", "commission_id": "com_1", "type": "sale",
             "result": "approved", "previous_result": "pending", "payout": "5.00", "revenue": "8.00", "currency": "EUR",
             "auto_approved": false, "auto_set": false, "created_at": "2026-11-22T08:30:00Z",
             "updated_at": "2026-11-22T08:59:59Z", "result_at": "2026-11-22T08:59:59Z"}
        ]
    })
}
