//! Whole rules, read and shown.

use std::collections::BTreeSet;

use super::*;
use crate::{caller::Owner, fault::Faults, id::Id, json, json::Value, offer::Placement};

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn affiliate() -> Owner {
    Owner::Affiliate { affiliate_id: id("aff_7") }
}

fn parse(document: &Value, owner: &Owner) -> Result<RuleDefinition, Faults> {
    RuleDefinition::parse(document, owner, &Settings::default())
}

/// A rule with one further field.
fn with(field: &str, value: Value) -> Value {
    let mut document = json!({"name": "Bank status", "request": {"url": "https://api.bank.example/status"}});
    document[field] = value;
    document
}

#[track_caller]
fn check_faults(document: &Value, owner: &Owner, expected: &[(&str, &str)]) {
    let faults = parse(document, owner).expect_err("the rule is wrong");
    let found: Vec<(&str, &str)> = faults.0.iter().map(|f| (f.pointer.as_str(), f.detail.as_str())).collect();
    assert_eq!(found, expected);
}

/// The waits of the default retries.
fn schedule() -> Value {
    json!({
        "waits_seconds": [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600, 3_600, 3_600, 3_600], "longest_seconds": 27_918,
        "text": "1 min, 2 min, 4 min, 8 min, 16 min, 32 min, 6 times 1 h; at most 7 h 46 min, or longer if the receiver asks for it",
    })
}

/// An example of a resource with every field.
fn example() -> Value {
    json!({
        "id": "trk_01J", "name": "Bank status", "active": true, "version": 4,
        "owner": {"kind": "admin"},
        "trigger": "transaction_all",
        "conditions": {"source": ["link"], "conversion_type": ["sale", "custom:signup"], "affiliate": [], "advertiser": ["adv_2"],
                       "integration": [], "channel": [], "included_offers": ["off_5"], "excluded_offers": [],
                       "result": "not_chosen", "commission": []},
        "request": {"method": "GET", "url": "https://api.bank.example/status?id={external_id}",
                    "query": [{"name": "s", "value": "{result|map:approved=1,rejected=3,pending=2}"}],
                    "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
                    "body": {"format": "none"}, "timeout_seconds": 40},
        "retry": {"max_retries": 12, "delay_seconds": 60, "backoff": "exponential", "max_delay_seconds": 3600},
        "answer": {"rules": [
            {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "approved|accepted"}],
             "then": "delivered", "set": {"result": "approved", "payout": "{body.payout}"}},
            {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}], "then": "pending"},
            {"when": [{"source": "http_code", "operator": "equals", "value": "404|410"}], "then": "failed"}],
          "otherwise": "retry"},
        "delay": {"mode": "none"},
        "country": "CZ", "category": null, "secrets": ["token"],
        "schedule": schedule(), "warnings": [],
        "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T10:00:00Z",
    })
}

fn stored(document: &Value, owner: &Owner) -> TrackingApi {
    TrackingApi {
        id: id("trk_01J"),
        version: 4,
        owner: owner.clone(),
        definition: parse(document, owner).unwrap(),
        created_at: "2026-11-22T09:00:00Z".parse().unwrap(),
        updated_at: "2026-11-22T10:00:00Z".parse().unwrap(),
    }
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(ToString::to_string).collect()
}

fn czech() -> Placement {
    Placement { country: "CZ".to_owned(), category: None }
}

#[test]
fn the_example_is_read_and_shown_unchanged() {
    let rule = stored(&example(), &Owner::Admin);
    assert_eq!(rule.view(&czech(), &names(&["token"]), None), example());
}

#[test]
fn a_shown_rule_can_be_written_back() {
    let rule = stored(&example(), &Owner::Admin);
    let again = parse(&rule.view(&czech(), &names(&["token"]), Some(json!({"counts_24h": {}}))), &Owner::Admin).unwrap();
    assert_eq!(again.document(), rule.definition.document());
    assert_eq!(parse(&again.document(), &Owner::Admin).unwrap().document(), again.document());
}

#[test]
fn only_name_and_url_are_required() {
    let rule = stored(&json!({"name": "n", "request": {"url": "https://a.example/"}}), &Owner::Admin);
    let expected = json!({
        "id": "trk_01J", "name": "n", "active": true, "version": 4, "owner": {"kind": "admin"}, "trigger": "transaction_all",
        "conditions": {"source": [], "conversion_type": [], "affiliate": [], "advertiser": [], "integration": [], "channel": [],
                       "included_offers": [], "excluded_offers": [], "result": "not_chosen", "commission": []},
        "request": {"method": "GET", "url": "https://a.example/", "query": [], "headers": [], "body": {"format": "none"},
                    "timeout_seconds": 40},
        "retry": {"max_retries": 12, "delay_seconds": 60, "backoff": "exponential", "max_delay_seconds": 3600},
        "answer": {"rules": []}, "delay": {"mode": "none"}, "country": "global", "category": null, "secrets": [],
        "schedule": schedule(),
        "warnings": [{"pointer": "/request", "detail": "no macro identifies the conversion for the receiver: add one, such as \
                                                       {affiliate_click_id} or {transaction_id}"}],
        "created_at": "2026-11-22T09:00:00Z", "updated_at": "2026-11-22T10:00:00Z",
    });
    assert_eq!(rule.view(&Placement::default(), &names(&[]), None), expected);
}

#[test]
fn null_is_the_same_as_absent() {
    let document = json!({"name": "n", "active": null, "trigger": null, "conditions": null, "request": {"url": "https://a.example/"},
                          "retry": null, "answer": null, "delay": null, "rate_per_second": null, "signing": null});
    let plain = json!({"name": "n", "request": {"url": "https://a.example/"}});
    let read = |document| parse(document, &Owner::Admin).unwrap().document();
    assert_eq!(read(&document), read(&plain));
}

#[test]
fn names_are_checked() {
    let name = |name: &str| with("name", json!(name));
    assert!(parse(&name(&"ž".repeat(200)), &Owner::Admin).is_ok());
    check_faults(&name(&"ž".repeat(201)), &Owner::Admin, &[("/name", "201 characters are too many: write 1 to 200")]);
    check_faults(&name(" "), &Owner::Admin, &[("/name", "empty: write 1 to 200 characters")]);
    let control = "holds a control character, such as a line break: write 1 to 200 others";
    check_faults(&name("a\nb"), &Owner::Admin, &[("/name", control)]);
    check_faults(&with("name", json!(5)), &Owner::Admin, &[("/name", "a number is not a text: write a JSON string")]);
    check_faults(&with("name", Value::Null), &Owner::Admin, &[("/name", "required: 1 to 200 characters")]);
}

#[test]
fn a_rate_is_1_to_1000_requests_a_second() {
    let rate = |value: Value| with("rate_per_second", value);
    assert_eq!(parse(&rate(json!(1)), &Owner::Admin).unwrap().rate_per_second, Some(1));
    assert_eq!(parse(&rate(json!(1_000)), &Owner::Admin).unwrap().document()["rate_per_second"], json!(1_000));
    let few = "0 requests a second are too few: choose 1 to 1000";
    check_faults(&rate(json!(0)), &Owner::Admin, &[("/rate_per_second", few)]);
    let many = "1001 requests a second are too many: choose 1 to 1000";
    check_faults(&rate(json!(1_001)), &Owner::Admin, &[("/rate_per_second", many)]);
}

#[test]
fn a_rule_has_at_most_64_kib() {
    let rules = |text: usize, n: usize| {
        let condition = json!({"source": "constant", "key": "x".repeat(text), "operator": "is_true"});
        with("answer", json!({"rules": vec![json!({"when": [condition], "then": "failed"}); n]}))
    };
    assert!(parse(&rules(16_000, 4), &Owner::Admin).is_ok());
    let faults = parse(&rules(16_000, 5), &Owner::Admin).unwrap_err();
    assert_eq!(faults.0[0].pointer, "");
    assert!(faults.0[0].detail.ends_with("bytes are too many for a rule: 65536 are allowed"), "{faults}");
    let mut with_values = rules(16_000, 4);
    with_values["secret_values"] = json!({"token": "x".repeat(10_000)});
    assert!(parse(&with_values, &Owner::Admin).is_ok(), "values of secrets do not count");
}

#[test]
fn a_rule_that_is_no_object_is_refused() {
    for (document, what) in [(json!([]), "a list"), (json!("x"), "a text"), (Value::Null, "null")] {
        let detail = format!("{what} is not a rule: write an object with at least name and request.url");
        check_faults(&document, &Owner::Admin, &[("", &detail)]);
    }
}

#[test]
fn t1_the_trigger_is_transaction_all_unless_set() {
    let trigger = |document: &Value| parse(document, &Owner::Admin).unwrap().trigger.number();
    assert_eq!(trigger(&with("active", json!(true))), 1);
    assert_eq!(trigger(&with("trigger", json!("conversion_updated"))), 6);
    check_faults(
        &with("trigger", json!("conversion_update")),
        &Owner::Admin,
        &[("/trigger", "unknown trigger \"conversion_update\"; did you mean \"conversion_updated\"?")],
    );
}

#[test]
fn v3_an_affiliates_rule_is_about_itself() {
    for conditions in [Value::Null, json!({}), json!({"affiliate": []}), json!({"affiliate": ["aff_7"]})] {
        let definition = parse(&with("conditions", conditions), &affiliate()).unwrap();
        assert_eq!(definition.document()["conditions"]["affiliate"], json!(["aff_7"]));
    }
    let detail = "another's: an affiliate's rule is about itself, leave it out or write [\"aff_7\"]";
    for others in [json!(["aff_8"]), json!(["aff_7", "aff_8"])] {
        let document = with("conditions", json!({"affiliate": others}));
        check_faults(&document, &affiliate(), &[("/conditions/affiliate", detail)]);
        assert!(parse(&document, &Owner::Admin).is_ok());
    }
}

#[test]
fn v3_an_affiliates_rule_reads_no_revenue() {
    let document = with("request", json!({"url": "https://a.example/?r={revenue}"}));
    assert!(parse(&document, &Owner::Admin).is_ok());
    let faults = parse(&document, &affiliate()).unwrap_err();
    assert_eq!(faults.0.len(), 1, "{faults}");
    assert_eq!(faults.0[0].pointer, "/request/url");
    let variable =
        json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": {"variables": {"r": "{revenue}"}}}]});
    let faults = parse(&with("answer", variable), &affiliate()).unwrap_err();
    assert_eq!(faults.0[0].pointer, "/answer/rules/0/set/variables/r");
}

#[test]
fn v3_an_affiliates_rule_writes_no_result_back() {
    let set = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": {"result": "approved"}}]});
    let detail = "\"result\" has no place here: an affiliate's rule may set variables only";
    check_faults(&with("answer", set), &affiliate(), &[("/answer/rules/0/set/result", detail)]);
}

#[test]
fn v4_a_rule_whose_secret_has_no_value_reads_inactive() {
    let document = json!({"name": "n", "request": {"url": "https://a.example/?k={secret.key}",
                          "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}]},
                          "signing": {"secret": "sign"}});
    let rule = stored(&document, &Owner::Admin);
    assert_eq!(rule.definition.secret_names(), names(&["key", "sign", "token"]));
    let shown = |existing: &[&str]| {
        let view = rule.view(&czech(), &names(existing), None);
        (view["active"].clone(), view["inactive_reason"].clone(), view["secrets"].clone())
    };
    assert_eq!(shown(&["key", "sign"]), (json!(false), json!("secret token has no value yet"), json!(["key", "sign"])));
    assert_eq!(shown(&["sign"]), (json!(false), json!("secrets key, token have no value yet"), json!(["sign"])));
    assert_eq!(shown(&["key", "sign", "token"]), (json!(true), Value::Null, json!(["key", "sign", "token"])));
    assert!(!rule.is_active(&names(&["key"])));
    assert!(rule.is_active(&names(&["key", "sign", "token", "more"])));
    assert_eq!(rule.missing_secrets(&names(&["sign"])), names(&["key", "token"]));
}

#[test]
fn f2_a_rule_over_a_limit_of_today_is_switched_off_and_paused_all_the_same() {
    let when = |number: u32| json!({"source": "body", "key": format!("k{number}"), "operator": "is_true"});
    let rule = |first: u32| json!({"when": (first..first + 20).map(when).collect::<Vec<_>>(), "then": "failed"});
    let mut document = with("answer", json!({"rules": (0..8).map(|number| rule(number * 20)).collect::<Vec<_>>()}));
    document["answer_format"] = json!(2);
    let settings = Settings { stored: true, ..Settings::default() };
    let stored = RuleDefinition::parse(&document, &Owner::Admin, &settings).unwrap();
    assert!(parse(&stored.document(), &Owner::Admin).is_err(), "160 conditions");
    let changed = |name: &str, value: Value| {
        let mut document = stored.document();
        document[name] = value;
        stored.switched(&document)
    };
    let off = changed("active", json!(false)).unwrap();
    assert!(!off.active && off.document()["answer"] == stored.document()["answer"]);
    let paused = changed("pause", json!(true)).unwrap();
    assert!(paused.pause && paused.switched(&stored.document()).is_some_and(|rule| !rule.pause));
    assert!(
        changed("name", json!("other")).is_none() && changed("active", json!(5)).is_none(),
        "those are read and checked again"
    );
    assert!(off.switched(&stored.document()).is_none(), "switching on is judged by the limits of today");
}

#[test]
fn v4_off_is_off_whatever_reason_is_given() {
    let mut off = with("active", json!(false));
    assert_eq!(stored(&off, &Owner::Admin).view(&czech(), &names(&[]), None).get("inactive_reason"), None);
    off["inactive_reason"] = "until Monday".into();
    assert!(!parse(&off, &Owner::Admin).unwrap().active);
}

#[test]
fn q3_receivers_on_private_addresses_need_the_setting() {
    let document = with("request", json!({"url": "http://127.0.0.1:9/"}));
    assert_eq!(parse(&document, &Owner::Admin).unwrap_err().0[0].pointer, "/request/url");
    assert!(RuleDefinition::parse(&document, &Owner::Admin, &Settings { private_targets: true, ..Settings::default() }).is_ok());
}

#[test]
fn an_invalid_rule_reports_all_its_faults_at_once() {
    let document = json!({
        "nmae": "typo", "active": "yes", "trigger": "sale", "id": "ignored", "secret_values": {"token": "x"},
        "conditions": {"source": ["manual"], "offers": [], "included_offers": ["off_1"], "excluded_offers": ["off_1"],
                       "affiliate": ["aff_8"], "result": "approved"},
        "request": {"method": "HEAD", "url": "ftp://{pcid}/", "timeout_seconds": 121, "retries": 3,
                    "query": [{"name": "a", "value": "{conversionid}"}], "headers": [{"name": "Host", "value": "x"}],
                    "body": {"format": "json", "fields": [{"path": "a..b", "value": "{revenue}", "type": "text"}]}},
        "retry": {"max_retries": 31, "delay_seconds": 0},
        "answer": {"rules": [{"when": [], "then": "done", "set": {"payout": "{body.payout}", "variables": {"x": "{nothing}"}}}],
                   "otherwise": "later"},
        "delay": {"mode": "final", "settle_seconds": -1},
        "rate_per_second": 0.5,
        "signing": {"secret": "no name"},
    });
    let faults = parse(&document, &affiliate()).unwrap_err();
    let found: Vec<String> = faults.0.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail)).collect();
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn case_a14_a_rule_that_was_stored_before_patterns_keeps_its_meaning() {
    let stored = crate::json::parse(
        br#"{"name":"n","active":true,"trigger":"transaction_all","request":{"method":"GET","url":"https://a.example/?id={external_id}"},
             "answer":{"rules":[
                {"when":[{"source":"body","key":"{a}","operator":"equals","value":"5*|x\\|y|{ok}"}],"then":"delivered"},
                {"when":[{"source":"body","key":"a","operator":"string_contains","value":"a|b*\\"},
                         {"source":"body","key":"a","operator":"matches","value":"^[0-9]{2}*$"}],"then":"pending"}]}}"#,
    )
    .unwrap();
    let settings = Settings { stored: true, ..Settings::default() };
    let read = RuleDefinition::parse(&stored, &Owner::Admin, &settings).unwrap();
    let expected = json!({"rules": [
        {"when": [{"source": "body", "key": "{{a}}", "operator": "equals", "value": r"5\*|x\|y|{{ok}}"}], "then": "delivered"},
        {"when": [{"source": "body", "key": "a", "operator": "string_contains", "value": r"a\|b\*\\"},
                  {"source": "body", "key": "a", "operator": "matches", "value": "^[0-9]{2}*$"}], "then": "pending"},
    ]});
    assert_eq!(read.document()["answer"], expected);
    let again = RuleDefinition::parse(&read.stored(), &Owner::Admin, &settings).unwrap();
    assert_eq!(again.document(), read.document(), "once is enough");
    assert_eq!(RuleDefinition::parse(&read.document(), &Owner::Admin, &Settings::default()).unwrap().document(), read.document());
    assert_eq!(RuleDefinition::current(read.stored()), read.document());
}

#[test]
fn case_d1_a_condition_learns_of_a_secret_variable_only_whether_it_is_empty() {
    let set = json!({"variables": {"token": {"value": "{body.t}", "secret": true}}});
    let on = |operator: &str, value: Value| json!({"source": "variable", "key": "token", "operator": operator, "value": value});
    let with = |condition: &Value| {
        let header = json!({"name": "a", "value": "{var.token}", "do_not_send": [condition]});
        json!({"name": "n", "request": {"url": "https://a.example/", "headers": [header]},
               "answer": {"rules": [{"when": [condition], "then": "pending", "set": set}]}})
    };
    for operator in ["is_empty", "is_not_empty"] {
        assert!(RuleDefinition::parse(&with(&on(operator, Value::Null)), &Owner::Admin, &Settings::default()).is_ok());
    }
    let detail = "token is a secret variable: only is_empty and is_not_empty may ask for it";
    let macros = json!({"source": "macro", "key": "var.token|upper", "operator": "is_empty"});
    let value = json!({"source": "constant", "key": "x", "operator": "equals", "value": "{var.token}"});
    for condition in [on("equals", json!("T-5")), macros, value] {
        let places = ["/request/headers/0/do_not_send/0", "/answer/rules/0/when/0"];
        check_faults(&with(&condition), &Owner::Admin, &places.map(|place| (place, detail)));
    }
}
