use proptest::prelude::*;

use super::*;
use crate::{json, json::Value, testing};

/// Checks the faults of the example detail after an `edit`: pointers and sentences.
#[track_caller]
fn check(what: &str, edit: impl FnOnce(&mut Value), faults: &[(&str, &str)]) {
    let mut detail = testing::detail();
    edit(&mut detail);
    let found = Change::parse_detail(&detail, "/detail").err().unwrap_or_default();
    let found: Vec<_> = found.0.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
    assert_eq!(found, faults, "{what}");
}

/// The change in the example detail after an `edit`.
#[track_caller]
fn read(edit: impl FnOnce(&mut Value)) -> Change {
    let mut detail = testing::detail();
    edit(&mut detail);
    Change::parse_detail(&detail, "").unwrap()
}

const GIVE_ID: &str = "missing: give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -";

#[test]
fn s_the_example_change_is_read() {
    let change = read(|_| {});
    assert_eq!(change.change_id.as_str(), "chg_0001");
    assert_eq!(change.occurred_at.to_string(), "2026-11-22T08:59:59.12Z");
    let causation = change.causation.unwrap();
    assert_eq!((causation.tracking_api_id.as_str(), causation.depth), ("trk_9", 1));
    let conversion = change.conversion;
    assert_eq!((conversion.version, conversion.change), (3, ChangeKind::Updated));
    assert_eq!(conversion.custom_type, None);
    assert_eq!(conversion.affs["affs10"], "z");
    assert_eq!(conversion.value.unwrap().to_string(), "100.00");
    assert_eq!(conversion.settled, None);
    let [transaction] = &change.transactions[..] else { panic!("one transaction") };
    assert_eq!(
        (transaction.result, transaction.previous_result),
        (TransactionResult::Approved, Some(TransactionResult::Pending))
    );
    assert_eq!(transaction.revenue.unwrap().to_string(), "8.00");
}

#[test]
fn s_what_is_not_required_may_be_absent() {
    let detail = json!({
        "change_id": "c", "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {"conversion_id": "k", "version": 0, "change": "unchanged", "type": "click", "source": "manual",
                       "affiliate_id": "a", "advertiser_id": "b", "offer_id": "o"},
    });
    let change = Change::parse_detail(&detail, "").unwrap();
    assert_eq!(change.transactions, []);
    assert_eq!(change.conversion.source, "manual");
    assert_eq!(json!(change)["conversion"], detail["conversion"]);
}

#[test]
fn s_all_missing_fields_are_reported_at_once() {
    check(
        "an empty conversion and an empty transaction",
        |detail| *detail = json!({"conversion": {}, "transactions": [{}, 7]}),
        &[
            ("/detail/change_id", GIVE_ID),
            ("/detail/occurred_at", "missing: give an RFC 3339 time such as \"2026-11-22T08:59:59.120Z\""),
            ("/detail/conversion/conversion_id", GIVE_ID),
            ("/detail/conversion/version", "missing: give an integer from 0 to 9007199254740991"),
            ("/detail/conversion/change", "missing: give created, updated or unchanged"),
            ("/detail/conversion/type", "missing: give a text of 1 to 2048 bytes"),
            ("/detail/conversion/source", "missing: give a text of 1 to 2048 bytes"),
            ("/detail/conversion/affiliate_id", GIVE_ID),
            ("/detail/conversion/advertiser_id", GIVE_ID),
            ("/detail/conversion/offer_id", GIVE_ID),
            ("/detail/transactions/0/transaction_id", GIVE_ID),
            ("/detail/transactions/0/result", "missing: give pending, approved or rejected"),
            ("/detail/transactions/1", "7 is not allowed: give an object"),
        ],
    );
    check("no conversion", |detail| detail["conversion"] = Value::Null, &[("/detail/conversion", "missing: give an object")]);
    check("no object", |detail| *detail = json!([]), &[("/detail", "a list is not allowed: give an object")]);
}

#[test]
fn s_all_wrong_fields_are_reported_at_once() {
    check(
        "one of each kind",
        |detail| {
            detail["change_id"] = json!("a b");
            detail["occurred_at"] = json!("yesterday");
            detail["causation"] = json!({"depth": 0});
            detail["conversion"]["version"] = json!("3");
            detail["conversion"]["change"] = json!("deleted");
            detail["conversion"]["channel_id"] = json!("");
            detail["conversion"]["value"] = json!("1,50");
            detail["conversion"]["settled"] = json!("yes");
            detail["transactions"][0]["result"] = json!("paid");
        },
        &[
            ("/detail/change_id", "\"a b\" is not allowed: give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -"),
            ("/detail/occurred_at", "\"yesterday\" is not allowed: give an RFC 3339 time such as \"2026-11-22T08:59:59.120Z\""),
            ("/detail/causation/tracking_api_id", GIVE_ID),
            ("/detail/causation/depth", "0 is not allowed: give an integer from 1 to 4294967295"),
            ("/detail/conversion/version", "\"3\" is not allowed: give an integer from 0 to 9007199254740991"),
            ("/detail/conversion/change", "\"deleted\" is not allowed: give created, updated or unchanged"),
            ("/detail/conversion/channel_id", "\"\" is not allowed: give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -"),
            ("/detail/conversion/value", "\"1,50\" is not allowed: give a decimal such as \"12.50\", at most 28 digits"),
            ("/detail/conversion/settled", "\"yes\" is not allowed: give true or false"),
            ("/detail/transactions/0/result", "\"paid\" is not allowed: give pending, approved or rejected"),
        ],
    );
}

/// The change in the example detail with these fields in its conversion, and its notes.
#[track_caller]
fn noted(conversion: &Value) -> (Change, Vec<(String, String)>) {
    let mut detail = testing::detail();
    crate::tracking_api::merge_patch(&mut detail, &json!({"conversion": conversion}));
    let (change, notes) = Change::parse_noting(&detail, "").unwrap();
    (change, notes.into_iter().map(|note| (note.pointer, note.detail)).collect())
}

#[test]
fn case_c1_decoration_never_refuses_a_conversion() {
    let query = |value: Value| {
        let (change, notes) = noted(&json!({"query_params": null}));
        assert_eq!((change.conversion.query_params.len(), notes), (0, Vec::new()));
        let (change, notes) = noted(&json!({"query_params": {"utm_source": value}}));
        (change.conversion.query_params.into_iter().collect::<Vec<_>>(), notes)
    };
    let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let (listed, notes) = query(json!(["a", "b"]));
    assert_eq!(listed, [text("utm_source", "b"), text("utm_source.0", "a"), text("utm_source.1", "b")]);
    assert_eq!(notes, [text("/conversion/query_params/utm_source", "a list of 2: its last entry counts")]);
    assert_eq!(query(json!([])).0, []);
    assert_eq!(query(json!([[1, 2], null])).0, [text("utm_source.0", "2")]);
    assert_eq!(query(json!({"a": [1, "x"]})).0, [text("utm_source", r#"{"a":[1,"x"]}"#)]);
    assert_eq!(query(json!(7.25)).0, [text("utm_source", "7.25")]);
    let (cut, notes) = query(json!("ä".repeat(1_500)));
    assert_eq!(cut, [text("utm_source", &"ä".repeat(1_024))]);
    assert_eq!(notes, [text("/conversion/query_params/utm_source", "3000 bytes are too many: cut to 2048")]);
    assert_eq!(query(json!(vec!["x".repeat(1_000); 50])).0.len(), 5, "what lists add is bounded");
}

#[test]
fn case_c1_texts_that_decorate_are_taken_as_far_as_they_can_be() {
    let (change, notes) = noted(&json!({
        "affs": [], "cookie_params": "none", "user_agent": "x".repeat(2_049), "ip": ["203.0.113.9"], "offer_name": 7,
        "advertiser_name": {"cs": "Banka"}, "pcid": "p".repeat(5_000),
    }));
    let conversion = change.conversion;
    assert!(conversion.affs.is_empty() && conversion.cookie_params.is_empty());
    assert_eq!(conversion.user_agent.map(|text| text.len()), Some(2_048));
    assert_eq!(conversion.ip.as_deref(), Some("203.0.113.9"));
    assert_eq!(conversion.offer_name.as_deref(), Some("7"));
    assert_eq!(conversion.advertiser_name.as_deref(), Some(r#"{"cs":"Banka"}"#));
    assert_eq!(conversion.pcid.map(|text| text.len()), Some(2_048));
    let places: Vec<_> = notes.iter().map(|(place, _)| place.trim_start_matches("/conversion/")).collect();
    assert_eq!(places, ["advertiser_name", "pcid", "cookie_params", "ip", "user_agent"]);
}

#[test]
fn case_c3_words_are_read_in_any_case() {
    let change = read(|detail| {
        detail["conversion"]["change"] = json!("Created");
        detail["transactions"][0]["result"] = json!("APPROVED");
        detail["transactions"][0]["previous_result"] = json!("Pending");
    });
    assert_eq!(change.conversion.change, ChangeKind::Created);
    assert_eq!(change.transactions[0].result, TransactionResult::Approved);
    assert_eq!(change.transactions[0].previous_result, Some(TransactionResult::Pending));
}

#[test]
fn case_c4_a_transaction_that_is_repeated_without_a_word_is_as_it_was() {
    let kinds = |updated: Value, own: Value, change: Value| {
        let mut detail = testing::detail();
        detail["conversion"]["change"] = json!("updated");
        detail["conversion"]["updated_at"] = updated;
        detail["transactions"][0]["updated_at"] = own;
        detail["transactions"][0]["change"] = change;
        let (change, notes) = Change::parse_noting(&detail, "").unwrap();
        (change.events().iter().filter(|event| event.kind.is_transaction()).count(), notes.len())
    };
    let (now, before) = (json!("2026-11-22T09:00:00Z"), json!("2026-11-22T08:00:00Z"));
    assert_eq!(kinds(now.clone(), before.clone(), Value::Null), (0, 1));
    assert_eq!(kinds(now.clone(), before.clone(), json!("updated")), (1, 0), "its own word counts");
    assert_eq!(kinds(now.clone(), now.clone(), Value::Null), (1, 1), "the note says that it counts as the conversion does");
    assert_eq!(kinds(now.clone(), json!("2026-11-22T08:59:59.4Z"), Value::Null), (1, 1), "the same update");
    assert_eq!(kinds(now, Value::Null, Value::Null), (1, 1));
    assert_eq!(kinds(Value::Null, before, Value::Null), (1, 1));
}

#[test]
fn case_c4_a_changed_result_is_an_event_although_auto_approved_is_kept() {
    let kinds = |result: &str, previous: Value, change: Value| {
        let mut detail = testing::detail();
        detail["conversion"]["change"] = json!("updated");
        let transaction = &mut detail["transactions"][0];
        let all = [("auto_approved", json!(true)), ("result", json!(result)), ("previous_result", previous), ("change", change)];
        for (name, value) in all {
            transaction[name] = value;
        }
        let (change, notes) = Change::parse_noting(&detail, "").unwrap();
        (change.events().iter().filter(|event| event.kind.is_transaction()).count(), notes.len())
    };
    assert_eq!(kinds("approved", json!("pending"), Value::Null), (0, 1), "the pixel repeats it; the note says how it is read");
    assert_eq!(kinds("approved", Value::Null, Value::Null), (0, 1));
    assert_eq!(kinds("rejected", json!("approved"), Value::Null), (1, 1), "a chargeback");
    assert_eq!(kinds("rejected", json!("rejected"), Value::Null), (0, 1));
    assert_eq!(kinds("rejected", Value::Null, Value::Null), (0, 1), "nothing says that it was another");
    assert_eq!(kinds("approved", Value::Null, json!("updated")), (1, 0), "its own word counts");
}

#[test]
fn case_c1_what_a_visitor_can_write_never_makes_an_event_unreadable() {
    let event = |params: &str| {
        let mut detail = testing::detail();
        detail["conversion"]["query_params"] = "@".into();
        let text = json!({"detail-type": "Conversion Changed", "detail": detail}).to_string();
        text.replacen("\"@\"", params, 1)
    };
    let deep = format!("{{\"utm\":{}1{}}}", "{\"a\":[".repeat(100), "]}".repeat(100));
    for (params, key, expected) in [
        (r#"{"utm":"a","utm":"b"}"#, "utm", Some("b")),
        (r#"{"utm":"cut \ud83d"}"#, "utm", Some("cut \u{fffd}")),
        (r#"{"utm":"\udc00\ud83d\u0041"}"#, "utm", Some("\u{fffd}\u{fffd}A")),
        (&deep, "utm", None),
    ] {
        let Ok(Envelope::ConversionChanged(change)) = Envelope::parse(event(params).as_bytes()) else { panic!("{params}") };
        if let Some(expected) = expected {
            assert_eq!(change.conversion.query_params.get(key).map(String::as_str), Some(expected), "{params}");
        }
    }
    let twice = event("{}").replacen("\"change_id\"", "\"change_id\":\"chg_0\",\"change_id\"", 1);
    assert!(Envelope::parse(twice.as_bytes()).is_err(), "a field that decides may occur only once");
}

#[test]
fn s_each_transaction_is_listed_once_and_a_thousand_at_most() {
    let listed = |count: usize| (0..count).map(|n| json!({"transaction_id": format!("trx_{n}"), "result": "pending"})).collect();
    check("a thousand", |detail| detail["transactions"] = listed(1000), &[]);
    check(
        "one more",
        |detail| detail["transactions"] = listed(1001),
        &[("/detail/transactions", "1001 entries are too many: give at most 1000")],
    );
    check(
        "the same twice",
        |detail| {
            detail["transactions"] =
                json!([{"transaction_id": "t", "result": "pending"}, {"transaction_id": "t", "result": "approved"}]);
        },
        &[("/detail/transactions/1/transaction_id", "t is at 0 already: give every transaction once, as it now is")],
    );
}

#[test]
fn s_money_is_read_exactly_from_texts_and_numbers() {
    for (written, shown) in [
        (r#""12.50""#, "12.50"),
        ("12.50", "12.50"),
        ("0.1", "0.1"),
        ("-3", "-3"),
        ("1e2", "100"),
        ("0.1234567890123456789012345678", "0.1234567890123456789012345678"),
        ("9007199254740993", "9007199254740993"),
    ] {
        let value = json::parse(written.as_bytes()).unwrap();
        let change = read(|detail| detail["conversion"]["value"] = value);
        assert_eq!(change.conversion.value.unwrap().to_string(), shown, "{written}");
    }
    let too_long = json::parse(b"0.12345678901234567890123456789012345").unwrap();
    let too_long_fault =
        "0.12345678901234567890123456789012345 is not allowed: give a decimal such as \"12.50\", at most 28 digits";
    check("never rounded", |d| d["conversion"]["value"] = too_long, &[("/detail/conversion/value", too_long_fault)]);
}

#[test]
fn s_versions_are_integers_below_two_to_the_53() {
    for (written, allowed) in [
        ("0", true),
        ("9007199254740991", true),
        ("9007199254740992", false),
        ("-1", false),
        ("3.0", false),
        ("1e3", false),
        ("true", false),
    ] {
        let value = json::parse(written.as_bytes()).unwrap();
        let mut detail = testing::detail();
        detail["conversion"]["version"] = value;
        assert_eq!(Change::parse_detail(&detail, "").is_ok(), allowed, "{written}");
    }
}

#[test]
fn s_times_are_rfc_3339() {
    for (written, utc) in [
        ("2026-11-22T09:00:00Z", "2026-11-22T09:00:00Z"),
        ("2026-11-22t09:00:00z", "2026-11-22T09:00:00Z"),
        ("2026-11-22T09:00:00.123456789+01:00", "2026-11-22T08:00:00.123456789Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
    ] {
        assert_eq!(read(|detail| detail["occurred_at"] = json!(written)).occurred_at.to_string(), utc);
    }
    for bad in [
        "2026-11-22",
        "2026-11-22T09:00:00",
        "2026-11-22T09:00Z",
        "2026-11-22T09:00:00+01",
        "2026-11-22T09:00:00Z[UTC]",
        "2026-13-22T09:00:00Z",
        "2026-11-22T09:00:00.Z",
        "0000-01-01T00:00:00+01:00",
        "+002026-11-22T09:00:00Z",
        "ääääääääääääääääääää",
        "1763802000",
    ] {
        let mut detail = testing::detail();
        detail["occurred_at"] = json!(bad);
        assert!(Change::parse_detail(&detail, "").is_err(), "{bad}");
    }
}

#[test]
fn s_parameters_are_texts_and_other_affs_are_ignored() {
    let conversion = read(|detail| {
        detail["conversion"]["query_params"] = json!({"n": 1.50, "b": true, "none": null, "t": "x"});
        detail["conversion"]["affs"] =
            json!({"affs1": "a", "affs10": "b", "affs0": "-", "affs11": "-", "affs01": "-", "sub1": [], "affs2": null});
    })
    .conversion;
    let pairs = |map: &BTreeMap<String, String>| map.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ");
    assert_eq!(pairs(&conversion.query_params), "b=true n=1.5 t=x");
    assert_eq!(pairs(&conversion.affs), "affs1=a affs10=b");
}

#[test]
fn s_settled_is_the_platforms_word_or_all_results_are_final() {
    let settled = |word: Value, results: &[&str]| {
        read(|detail| {
            detail["conversion"]["settled"] = word;
            let each = |(n, result)| json!({"transaction_id": format!("trx_{n}"), "result": result});
            detail["transactions"] = results.iter().enumerate().map(each).collect();
        })
        .is_settled()
    };
    assert!(!settled(Value::Null, &[]));
    assert!(!settled(Value::Null, &["approved", "pending"]));
    assert!(settled(Value::Null, &["approved", "rejected"]));
    assert!(settled(json!(true), &[]));
    assert!(settled(json!(true), &["pending"]));
    assert!(!settled(json!(false), &["approved"]));
}

#[track_caller]
fn check_envelope(what: &str, bytes: &[u8], pointer: &str, start: &str) {
    let faults = Envelope::parse(bytes).unwrap_err().0;
    assert_eq!(faults[0].pointer, pointer, "{what}");
    assert!(faults[0].detail.starts_with(start), "{what}: {}", faults[0].detail);
}

#[test]
fn s_an_envelope_is_read_by_its_detail_type() {
    let conversion = json!({"detail-type": "Conversion Changed", "detail": testing::detail()});
    let Ok(Envelope::ConversionChanged(change)) = Envelope::parse(conversion.to_string().as_bytes()) else { panic!("a change") };
    assert_eq!(change, read(|_| {}));
    let offer = json!({"source": "anyone", "detail-type": "Offer Changed", "detail": {"offer_id": "off_5", "country": "CZ"}});
    let Ok(Envelope::OfferChanged(offer)) = Envelope::parse(offer.to_string().as_bytes()) else { panic!("an offer") };
    assert_eq!((offer.offer_id.as_str(), offer.country.as_deref(), offer.name), ("off_5", Some("CZ"), None));
}

#[test]
fn s_the_fault_of_a_bad_envelope_says_what_is_allowed() {
    check_envelope("no JSON", b"{", "", "not JSON (expected a key in quotes, found the end at line 1 column 2): give one event");
    check_envelope("no text", &[0xff, 0xfe], "", "not JSON");
    let deep = "[".repeat(100_000);
    check_envelope("too deep", deep.as_bytes(), "", "not JSON (expected the end of a list or an object, found the end");
    check_envelope("a list", b"[]", "", "a list is not allowed: give one event as a JSON object");
    let allowed = "give \"Conversion Changed\" or \"Offer Changed\"";
    check_envelope("no type", b"{}", "/detail-type", &format!("missing: {allowed}"));
    check_envelope("another type", br#"{"detail-type":"X"}"#, "/detail-type", &format!("\"X\" is not known: {allowed}"));
    check_envelope("no detail", br#"{"detail-type":"Conversion Changed"}"#, "/detail", "missing: give an object");
    check_envelope("a bad detail", br#"{"detail-type":"Offer Changed","detail":{}}"#, "/detail/offer_id", "missing: give an id");
}

#[test]
fn s_an_event_over_256_kib_is_refused() {
    let mut event = json!({"detail-type": "Offer Changed", "detail": {"offer_id": "off_5"}}).to_string();
    event.push_str(&" ".repeat(MAX_EVENT_BYTES - event.len()));
    assert_eq!(event.len(), 262_144);
    Envelope::parse(event.as_bytes()).unwrap();
    event.push(' ');
    check_envelope("a byte more", event.as_bytes(), "", "262145 bytes are too many: an event has at most 262144");
}

/// Every place of a document, as JSON pointers.
fn places(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| places(value, format!("{at}/{key}"), found)),
        Value::Array(entries) => entries.iter().enumerate().for_each(|(n, value)| places(value, format!("{at}/{n}"), found)),
        _ => {}
    }
    found.push(at);
}

fn any_value() -> impl Strategy<Value = Value> {
    let number = prop_oneof!["-?[0-9]{1,40}", "[0-9]{1,30}\\.[0-9]{1,30}", "[1-9]e[+-]?[0-9]{1,4}"];
    let number = number.prop_filter_map("a JSON number", |text| json::parse(text.as_bytes()).ok());
    prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        any::<bool>().prop_map(Value::from),
        number,
        any::<String>().prop_map(Value::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|[+-][0-9]{2}:[0-9]{2})"
            .prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn s_any_change_reads_back_what_it_writes(change in testing::change()) {
        let written = json!(change);
        prop_assert_eq!(Change::parse_detail(&written, "").unwrap(), change);
    }

    #[test]
    fn s_no_bytes_make_the_parser_panic(bytes in any::<Vec<u8>>()) {
        prop_assert!(Envelope::parse(&bytes).is_err());
    }

    #[test]
    fn s_cut_or_overwritten_bytes_make_no_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut bytes = json!({"detail-type": "Conversion Changed", "detail": testing::detail()}).to_string().into_bytes();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        if let Err(faults) = Envelope::parse(&bytes) {
            prop_assert!(!faults.is_empty());
        }
    }

    #[test]
    fn s_any_value_in_any_place_is_read_or_reported(at in any::<prop::sample::Index>(), value in any_value()) {
        let mut detail = testing::detail();
        let mut found = Vec::new();
        places(&detail, String::new(), &mut found);
        let place = at.get(&found);
        *detail.pointer_mut(place).unwrap() = value;
        match Change::parse_detail(&detail, "") {
            Ok(change) => prop_assert_eq!(Change::parse_detail(&json!(change), "").unwrap(), change),
            Err(faults) => prop_assert!(faults.0.iter().all(|fault| fault.pointer.starts_with(place) || place.starts_with(&fault.pointer))),
        }
    }
}

#[test]
fn f1_keys_of_serde_json_are_keys_like_any_other() {
    for key in ["$serde_json::private::Number", "$serde_json::private::RawValue"] {
        for place in ["query_params", "cookie_params"] {
            let change = read(|detail| detail["conversion"][place] = json!({key: "x", "utm_source": "mail"}));
            let params = if place == "query_params" {
                change.conversion.query_params.clone()
            } else {
                change.conversion.cookie_params.clone()
            };
            assert_eq!(params, [(key.to_owned(), "x".to_owned()), ("utm_source".to_owned(), "mail".to_owned())].into());
            let stored = serde_json::to_string(&change).unwrap();
            assert_eq!(Change::parse_detail(&json::parse(stored.as_bytes()).unwrap(), ""), Ok(change));
        }
    }
}

#[test]
fn case_c2_two_changes_are_the_same_whatever_the_order_of_their_parts() {
    let transaction = |id: &str, payout: Value| json!({"transaction_id": id, "result": "pending", "payout": payout});
    let with = |transactions: Value| move |detail: &mut Value| detail["transactions"] = transactions;
    let first = read(with(json!([transaction("trx_1", json!("5.00")), transaction("trx_2", json!("1"))])));
    let other_order = json!([{"payout": 1, "transaction_id": "trx_2", "result": "pending"}, transaction("trx_1", json!(5.0))]);
    assert!(first.has_same_content_as(&read(with(other_order))), "5.00 equals 5.0, and the order means nothing");
    let not_read = |detail: &mut Value| {
        with(json!([transaction("trx_1", json!("5.00")), transaction("trx_2", json!("1"))]))(detail);
        detail["published_at"] = json!("2026-11-22T10:00:00Z");
    };
    assert!(first.has_same_content_as(&read(not_read)));
    for others in [
        json!([transaction("trx_1", json!("5.01")), transaction("trx_2", json!("1"))]),
        json!([transaction("trx_1", json!("5.00"))]),
        json!([transaction("trx_1", json!("5.00")), {"transaction_id": "trx_2", "result": "approved", "payout": "1"}]),
    ] {
        assert!(!first.has_same_content_as(&read(with(others.clone()))), "{others}");
    }
    let later = Change { occurred_at: "2026-11-22T09:00:00Z".parse().unwrap(), ..first.clone() };
    assert!(!first.has_same_content_as(&later));
}
