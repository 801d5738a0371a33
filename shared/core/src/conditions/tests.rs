use proptest::prelude::*;

use super::*;
use crate::{change::Change, event::Event, fault::Faults, json, json::Value, testing};

fn conditions(document: &Value) -> Conditions {
    let mut faults = Faults::default();
    let conditions = Conditions::parse(Some(document), "/conditions", &mut faults);
    assert_eq!(faults, Faults::default());
    conditions
}

/// The example detail with `edit`s: its conversion event, its first transaction's event, and the change.
fn sample(edit: impl FnOnce(&mut Value)) -> (Event, Event, Change) {
    let mut detail = testing::detail();
    edit(&mut detail);
    let change = Change::parse_detail(&detail, "").unwrap();
    let events = change.events();
    let of_transaction = events.iter().find(|event| event.kind.is_transaction()).unwrap_or(&events[0]).clone();
    (events[0].clone(), of_transaction, change)
}

/// Checks which conditions fail on the conversion event of the edited example.
#[track_caller]
fn check(what: &str, document: &Value, edit: impl FnOnce(&mut Value), misses: &[(&str, &str)]) {
    let (event, _, change) = sample(edit);
    let found = conditions(document).judge(&event, &change.transactions).err().unwrap_or_default();
    let found: Vec<_> = found.iter().map(|miss| (miss.condition, miss.detail.as_str())).collect();
    assert_eq!(found, misses, "{what}");
}

#[test]
fn case_c6_all_excludes_other_values_and_the_word_custom_has_no_case() {
    let mut faults = Faults::default();
    Conditions::parse(Some(&json!({"affiliate": ["all", "x"], "commission": ["ALL"]})), "/conditions", &mut faults);
    assert_eq!(faults, Faults::one("/conditions/affiliate/0", "all excludes other values: leave them out, or leave out all"));
    let mut faults = Faults::default();
    let types = json!({"conversion_type": ["Custom:SIGNUP", "custom:SIGNUP", "CUSTOM"]});
    let conditions = Conditions::parse(Some(&types), "/conditions", &mut faults);
    assert!(faults.is_empty(), "{faults}");
    assert_eq!(conditions.document()["conversion_type"], json!(["custom:SIGNUP", "custom"]));
}

#[test]
fn s_a_condition_that_is_not_set_is_all() {
    for document in [json!({}), json!({"source": [], "affiliate": null, "result": []}), json!({"result": "not_chosen"})] {
        assert_eq!(conditions(&document), Conditions::default());
        check("all", &document, |_| {}, &[]);
    }
    let mut faults = Faults::default();
    assert_eq!(Conditions::parse(None, "", &mut faults), Conditions::default());
    assert_eq!(Conditions::parse(Some(&Value::Null), "", &mut faults), Conditions::default());
    assert!(faults.is_empty());
}

#[test]
fn s_all_conditions_must_hold_and_any_listed_value_will_do() {
    let all_nine = json!({
        "source": ["iframe", "link"], "conversion_type": ["lead", "sale"], "affiliate": ["aff_1", "aff_7"], "advertiser": ["adv_2"],
        "integration": ["int_3"], "channel": ["chn_1"], "included_offers": ["off_5"], "excluded_offers": ["off_6"],
        "result": ["rejected", "approved"],
    });
    check("all hold", &all_nine, |_| {}, &[]);
    check(
        "none holds",
        &all_nine,
        |detail| {
            for (field, value) in [
                ("source", "api"),
                ("type", "click"),
                ("affiliate_id", "a"),
                ("advertiser_id", "b"),
                ("integration_id", "i"),
                ("channel_id", "c"),
            ] {
                detail["conversion"][field] = json!(value);
            }
            detail["conversion"]["offer_id"] = json!("off_6");
            detail["transactions"][0]["result"] = json!("pending");
        },
        &[
            ("source", "source is api; the rule wants iframe or link"),
            ("conversion_type", "conversion type is click; the rule wants lead or sale"),
            ("affiliate", "affiliate is a; the rule wants aff_1 or aff_7"),
            ("advertiser", "advertiser is b; the rule wants adv_2"),
            ("integration", "integration is i; the rule wants int_3"),
            ("channel", "channel is c; the rule wants chn_1"),
            ("included_offers", "offer is off_6; the rule wants off_5"),
            ("excluded_offers", "offer is off_6; the rule excludes it"),
            ("result", "the transactions are pending; the rule wants one with rejected or approved"),
        ],
    );
}

#[test]
fn c1_what_a_conversion_lacks_passes_all_and_fails_specific() {
    let lack = |detail: &mut Value| {
        detail["conversion"]["channel_id"] = Value::Null;
        detail["conversion"]["integration_id"] = Value::Null;
    };
    check("all", &json!({}), lack, &[]);
    check(
        "specific",
        &json!({"channel": ["chn_1"], "integration": ["a", "b", "c", "d", "e", "f", "g"]}),
        lack,
        &[
            ("integration", "the conversion has no integration; the rule wants a, b, c, d, e or one of 2 more"),
            ("channel", "the conversion has no channel; the rule wants chn_1"),
        ],
    );
}

/// Checks a result condition on a conversion event whose transactions have these results. `expected` is the transaction that
/// the event is about, or the reason why the condition fails.
#[track_caller]
fn check_result(condition: &Value, results: &[&str], expected: Result<Option<&str>, &str>) {
    let (event, _, change) = sample(|detail| {
        let each = |(n, result)| json!({"transaction_id": format!("trx_{n}"), "result": result});
        detail["transactions"] = results.iter().enumerate().map(each).collect();
    });
    let conditions = conditions(&json!({"result": condition}));
    let judged = conditions.judge(&event, &change.transactions);
    let judged = judged
        .map(|chosen| chosen.map(|transaction| transaction.transaction_id.as_str()))
        .map_err(|misses| misses[0].detail.clone());
    assert_eq!(judged, expected.map_err(ToOwned::to_owned), "{condition} of {results:?}");
}

#[test]
fn c2_a_conversion_event_takes_the_first_transaction_that_fits() {
    check_result(&json!("not_chosen"), &[], Ok(None));
    check_result(&json!("not_chosen"), &["pending", "approved"], Ok(Some("trx_0")));
    check_result(&json!("all"), &[], Err("the conversion has no transaction; the rule wants one with any result"));
    check_result(&json!("all"), &["rejected", "pending"], Ok(Some("trx_0")));
    check_result(&json!(["approved"]), &["pending", "approved", "approved"], Ok(Some("trx_1")));
    check_result(&json!(["approved", "rejected"]), &["rejected", "approved"], Ok(Some("trx_0")));
    check_result(&json!(["approved"]), &[], Err("the conversion has no transaction; the rule wants one with approved"));
    check_result(
        &json!(["rejected"]),
        &["approved", "pending", "approved"],
        Err("the transactions are pending and approved; the rule wants one with rejected"),
    );
}

#[test]
fn c2_a_transaction_event_is_judged_on_its_own_transaction() {
    let (_, event, change) = sample(|detail| {
        detail["transactions"] =
            json!([{"transaction_id": "trx_1", "result": "pending"}, {"transaction_id": "trx_2", "result": "approved"}]);
    });
    let judge = |result: Value| {
        let conditions = conditions(&json!({"result": result}));
        conditions.judge(&event, &change.transactions).map(|chosen| chosen.map(|t| t.transaction_id.to_string()))
    };
    assert_eq!(judge(json!("not_chosen")), Ok(Some("trx_1".to_owned())));
    assert_eq!(judge(json!("all")), Ok(Some("trx_1".to_owned())));
    assert_eq!(judge(json!(["pending"])), Ok(Some("trx_1".to_owned())));
    let miss = Miss { condition: "result", detail: "result is pending; the rule wants approved".to_owned() };
    assert_eq!(judge(json!(["approved"])), Err(vec![miss]));
}

#[test]
fn c3_the_affiliate_is_the_events_own() {
    let moved = |detail: &mut Value| {
        detail["conversion"]["affiliate_id"] = json!("aff_8");
        detail["conversion"]["voucher"] = json!("SUMMER");
    };
    check("its final owner", &json!({"affiliate": ["aff_8"]}), moved, &[]);
    check(
        "the owner before",
        &json!({"affiliate": ["aff_7"]}),
        moved,
        &[("affiliate", "affiliate is aff_8; the rule wants aff_7")],
    );
}

#[test]
fn c4_later_sources_and_types_pass_all_and_fail_specific() {
    let later = |detail: &mut Value| {
        detail["conversion"]["source"] = json!("manual");
        detail["conversion"]["type"] = json!("import");
    };
    check("all", &json!({}), later, &[]);
    check(
        "specific",
        &json!({"source": ["link", "iframe"], "conversion_type": ["click", "view", "custom"]}),
        later,
        &[
            ("source", "source is manual; the rule wants link or iframe"),
            ("conversion_type", "conversion type is import; the rule wants click, view or custom"),
        ],
    );
}

#[test]
fn s_custom_types_go_by_name_or_all_together() {
    let custom = |name: Value| {
        move |detail: &mut Value| {
            detail["conversion"]["type"] = json!("custom");
            detail["conversion"]["custom_type"] = name;
        }
    };
    check("any custom", &json!({"conversion_type": ["custom"]}), custom(Value::Null), &[]);
    check("by name", &json!({"conversion_type": ["custom:signup"]}), custom(json!("signup")), &[]);
    let miss = ("conversion_type", "conversion type is custom:visit; the rule wants custom:signup");
    check("another name", &json!({"conversion_type": ["custom:signup"]}), custom(json!("visit")), &[miss]);
    let miss = ("conversion_type", "conversion type is custom; the rule wants custom:signup");
    check("no name", &json!({"conversion_type": ["custom:signup"]}), custom(Value::Null), &[miss]);
}

#[test]
fn f1_a_hold_asks_only_what_cannot_change() {
    let lasting = |document: Value, edit: fn(&mut Value)| conditions(&document).fits_lasting(&sample(edit).2.conversion);
    assert!(lasting(json!({"affiliate": ["aff_1"], "result": ["rejected"]}), |_| {}));
    assert!(lasting(json!({"channel": ["chn_9"], "integration": ["int_9"]}), |detail| {
        detail["conversion"]["channel_id"] = Value::Null;
        detail["conversion"]["integration_id"] = Value::Null;
    }));
    assert!(lasting(json!({"conversion_type": ["custom:signup"]}), |detail| detail["conversion"]["type"] = json!("custom")));
    for document in [
        json!({"source": ["api"]}),
        json!({"conversion_type": ["click"]}),
        json!({"advertiser": ["adv_9"]}),
        json!({"integration": ["int_9"]}),
        json!({"channel": ["chn_9"]}),
        json!({"included_offers": ["off_9"]}),
        json!({"excluded_offers": ["off_5"]}),
    ] {
        assert!(!lasting(document.clone(), |_| {}), "{document}");
    }
    assert!(!lasting(json!({"conversion_type": ["sale"]}), |detail| detail["conversion"]["type"] = json!("custom")));
}

#[track_caller]
fn check_faults(what: &str, document: &Value, expected: &[(&str, &str)]) {
    let mut faults = Faults::default();
    Conditions::parse(Some(document), "/conditions", &mut faults);
    let found: Vec<_> = faults.0.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
    assert_eq!(found, expected, "{what}");
}

#[test]
fn s_all_faults_of_conditions_are_reported_at_once() {
    check_faults(
        "one of each",
        &json!({"sources": ["link"], "colour": 1, "source": ["link", "manual"], "conversion_type": ["custom:", "order"], "affiliate": "aff_7",
                "advertiser": ["a b"], "result": "approved"}),
        &[
            (
                "/conditions/colour",
                "unknown condition \"colour\"; expected one of source, conversion_type, affiliate, advertiser, integration, channel, included_offers, \
                 excluded_offers, result, commission",
            ),
            ("/conditions/sources", "unknown condition \"sources\"; did you mean \"source\"?"),
            ("/conditions/source/1", "\"manual\" is not allowed: choose link, iframe or api"),
            (
                "/conditions/conversion_type/0",
                "\"custom:\" is not allowed: choose click, view, lead, send, prospect, sale, custom or custom:NAME",
            ),
            (
                "/conditions/conversion_type/1",
                "\"order\" is not allowed: choose click, view, lead, send, prospect, sale, custom or custom:NAME",
            ),
            ("/conditions/affiliate", "\"aff_7\" is not allowed: give a list, or null for all"),
            ("/conditions/advertiser/0", "\"a b\" is not allowed: give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -"),
            (
                "/conditions/result",
                "\"approved\" is not allowed: choose \"not_chosen\", \"all\" or a list of pending, approved and rejected",
            ),
        ],
    );
    check_faults(
        "a result that isn't one",
        &json!({"result": ["approved", "all"]}),
        &[("/conditions/result/1", "\"all\" is not allowed: choose pending, approved or rejected")],
    );
    check_faults(
        "a text",
        &json!("all"),
        &[("/conditions", "\"all\" is not allowed: give an object with the conditions that are set")],
    );
}

#[test]
fn s_an_offer_in_both_lists_is_refused_by_name() {
    check_faults(
        "two of three",
        &json!({"included_offers": ["off_1", "off_2", "off_3"], "excluded_offers": ["off_3", "off_1"]}),
        &[
            (
                "/conditions/included_offers/0",
                "off_1 is both included and excluded: keep it in included_offers or in excluded_offers",
            ),
            (
                "/conditions/included_offers/2",
                "off_3 is both included and excluded: keep it in included_offers or in excluded_offers",
            ),
        ],
    );
}

#[test]
fn s_a_condition_has_a_thousand_values_at_most() {
    let ids = |count: usize| (0..count).map(|number| format!("aff_{number}")).collect::<Value>();
    check_faults("a thousand", &json!({"affiliate": ids(1000)}), &[]);
    let fault = ("/conditions/affiliate", "1001 values are too many: give at most 1000");
    check_faults("one more", &json!({"affiliate": ids(1001)}), &[fault]);
}

#[test]
fn s_repeated_values_count_once_in_the_order_given() {
    let document =
        json!({"source": ["link", "api", "link"], "channel": ["b", "a", "b", "c", "a"], "result": ["pending", "pending"]});
    let shown = conditions(&document).document();
    assert_eq!(
        shown,
        json!({"source": ["link", "api"], "conversion_type": [], "affiliate": [], "advertiser": [], "integration": [],
               "channel": ["b", "a", "c"], "included_offers": [], "excluded_offers": [], "result": ["pending"], "commission": []})
    );
}

#[test]
fn case_c5_a_rule_is_about_commissions() {
    let two = |detail: &mut Value| {
        detail["transactions"] = json!([
            {"transaction_id": "trx_1", "result": "approved", "commission_id": "com_1", "change": "updated"},
            {"transaction_id": "trx_2", "result": "pending", "commission_id": "com_2", "change": "updated"},
        ]);
    };
    let (event, of_transaction, change) = sample(two);
    let judge = |document: Value, event: &Event| -> Result<Option<String>, Vec<String>> {
        let judged = conditions(&document)
            .judge(event, &change.transactions)
            .map(|chosen| chosen.map(|one| one.transaction_id.to_string()));
        judged.map_err(|misses| misses.into_iter().map(|miss| format!("{}: {}", miss.condition, miss.detail)).collect())
    };
    // The event of a transaction is about its own commission, that of a conversion about any.
    assert_eq!(judge(json!({"commission": ["com_1"]}), &of_transaction), Ok(Some("trx_1".to_owned())));
    let other = "commission: commission is com_1; the rule wants com_2";
    assert_eq!(judge(json!({"commission": ["com_2"]}), &of_transaction), Err(vec![other.to_owned()]));
    assert_eq!(judge(json!({"commission": ["com_9", "com_2"]}), &event), Ok(Some("trx_2".to_owned())));
    let none = "commission: no transaction has commission com_9";
    assert_eq!(judge(json!({"commission": ["com_9"]}), &event), Err(vec![none.to_owned()]));
    // One transaction must fit both.
    let both = json!({"commission": ["com_2"], "result": ["pending"]});
    assert_eq!(judge(both, &event), Ok(Some("trx_2".to_owned())));
    let neither = "result: the transactions with commission com_2 are pending; the rule wants one with approved";
    assert_eq!(judge(json!({"commission": ["com_2"], "result": ["approved"]}), &event), Err(vec![neither.to_owned()]));
    let result = "result: the transactions are pending and approved; the rule wants one with rejected";
    let document = json!({"commission": ["com_9"], "result": ["rejected"]});
    assert_eq!(judge(document, &event), Err(vec![result.to_owned(), none.to_owned()]));
    // Without a commission, and without a transaction.
    check(
        "no transaction",
        &json!({"commission": ["com_1"]}),
        |detail| detail["transactions"] = json!([]),
        &[("commission", "the conversion has no transaction; the rule wants one with commission com_1")],
    );
}

#[test]
fn case_c6_all_is_a_word_everywhere() {
    for all in [json!("all"), json!(["all"]), json!("All"), json!(["ALL"])] {
        for name in Condition::ALL.map(Condition::name).into_iter().filter(|name| *name != "result") {
            let mut document = json!({});
            document[name] = all.clone();
            assert_eq!(conditions(&document), Conditions::default(), "{document}");
        }
        assert_eq!(*conditions(&json!({"result": all})).result(), ResultCondition::All);
    }
    let mut stored = Faults::of_stored_rule();
    let two = Conditions::parse(Some(&json!({"affiliate": ["all", "aff_7"]})), "/conditions", &mut stored);
    assert_eq!((two.affiliate().len(), stored.is_empty()), (2, true), "as an id of an older rule it stays one");
    let one = Conditions::parse(Some(&json!({"affiliate": ["all"], "excluded_offers": ["all"]})), "/conditions", &mut stored);
    assert_eq!((one.affiliate().len(), stored.is_empty()), (1, true), "also alone: such a rule has fired for nobody");
    assert_eq!(one.named_all().collect::<Vec<_>>(), ["affiliate"], "an excluded offer has no effect");
}

#[test]
fn case_c3_words_compare_without_case() {
    let wanted = json!({"source": ["iframe"], "conversion_type": ["Sale", "custom:Sign Up"]});
    let edited = |source: &'static str, kind: &'static str, custom: Value| {
        move |detail: &mut Value| {
            detail["conversion"]["source"] = json!(source);
            detail["conversion"]["type"] = json!(kind);
            detail["conversion"]["custom_type"] = custom;
        }
    };
    check("as the platform may write them", &wanted, edited("Iframe", "SALE", Value::Null), &[]);
    check("custom ones", &wanted, edited("IFRAME", "Custom", json!("sign up")), &[]);
    let other = ("source", "source is link; the rule wants iframe");
    check("another", &wanted, edited("Link", "sale", Value::Null), &[other]);
}

#[test]
fn v3_an_affiliates_rule_is_about_itself() {
    let own = conditions(&json!({"source": ["link"]})).for_affiliate("aff_7".parse().unwrap());
    assert_eq!(own, conditions(&json!({"source": ["link"], "affiliate": ["aff_7"]})));
}

proptest! {
    #[test]
    fn s_conditions_read_back_what_they_show(conditions in testing::conditions()) {
        let mut faults = Faults::default();
        prop_assert_eq!(Conditions::parse(Some(&conditions.document()), "", &mut faults), conditions);
        prop_assert!(faults.is_empty());
    }

    #[test]
    fn c2_judging_and_fitting_agree(conditions in testing::conditions(), change in testing::change()) {
        for event in change.events() {
            let judged = conditions.judge(&event, &change.transactions);
            prop_assert_eq!(judged.is_ok(), conditions.fits(&event, &change.transactions));
            if judged.is_ok() {
                prop_assert!(conditions.fits_lasting(&event.conversion), "a hold that fits at release is never missed (F1)");
            }
        }
    }
}
