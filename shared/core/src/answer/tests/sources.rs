//! Conditions on macros, variables and alternatives.

use super::*;

fn event_with(external_id: &str) -> Event {
    let detail = json!({
        "change_id": "chg_1", "occurred_at": "2026-11-22T08:59:59Z",
        "conversion": {"conversion_id": "cnv_1", "version": 3, "change": "updated", "type": "sale", "source": "link",
                       "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5", "external_id": external_id,
                       "value": "100.00", "currency": "EUR"},
        "transactions": [],
    });
    Change::parse_detail(&detail, "").unwrap().events().remove(0)
}

fn rules(when: &Value) -> Value {
    json!({"rules": [{"when": when, "then": "delivered"}], "otherwise": "failed"})
}

#[track_caller]
fn check(external_id: &str, when: &Value, body: &str, expected: bool) {
    let judgement = judge_event(&event_with(external_id), &rules(when), &answer(200, body));
    assert_eq!(judgement.verdict == Verdict::Delivered, expected, "{when} of {external_id}, {body}: {:?}", judgement.notes);
}

fn one(source: &str, key: &str, operator: &str, value: &str) -> Value {
    json!([{"source": source, "key": key, "operator": operator, "value": value}])
}

#[test]
fn a2_a_macro_with_its_modifiers_is_a_source() {
    check("X-77", &one("macro", "external_id", "equals", "X-77"), "", true);
    check("X-77", &one("macro", "{external_id|lower}", "equals", "x-*"), "", true);
    check("X-77", &one("macro", "external_id|first:/[0-9]+/", "bigger_than", "76"), "", true);
    check("X-77", &one("macro", "value|times:2", "equals", "200"), "", true);
    check("X-77", &one("macro", "value|times:2", "bigger_than", "200"), "", false);
    check("X-77", &one("macro", "body.sum|times:100", "equals", "1250"), r#"{"sum":"12.50"}"#, true);
    check("X-77", &one("macro", "http_code", "equals", "200"), "", true);
    check("X-77", &json!([{"source": "macro", "key": "pcid", "operator": "is_empty"}]), "", true);
    check("X-77", &one("macro", "body.id", "equals", "{external_id}"), r#"{"id":"X-77"}"#, true);
}

#[test]
fn a2_a_variable_is_a_source() {
    let when = |operator: &str| json!([{"source": "variable", "key": "token", "operator": operator}]);
    check("", &when("is_empty"), "", true);
    let variables = BTreeMap::from([("token".to_owned(), "T-5".to_owned())]);
    for (when, expected) in [
        (when("is_empty"), Verdict::Failed),
        (when("is_not_empty"), Verdict::Delivered),
        (one("variable", "token", "equals", "T-*"), Verdict::Delivered),
        (one("body", "t", "equals", "{var.token}"), Verdict::Delivered),
    ] {
        let rules = parse(&rules(&when), &Owner::Admin).unwrap();
        let verdict = in_scope(&event(), &variables, |scope| rules.judge(&answer(200, r#"{"t":"T-5"}"#), SENT, scope).verdict);
        assert_eq!(verdict, expected, "{when}");
    }
}

#[test]
fn a2_alternatives_hold_if_one_of_them_does() {
    let is = |key: &str, value: &str| json!({"source": "body", "key": key, "operator": "equals", "value": value});
    let when = json!([{"any": [[is("a", "1"), is("b", "1")], [is("c", "1")]]}, is("d", "1")]);
    for (body, expected) in [
        (r#"{"a":1,"b":1,"d":1}"#, true),
        (r#"{"c":1,"d":1}"#, true),
        (r#"{"a":1,"c":1,"d":1}"#, true),
        (r#"{"a":1,"d":1}"#, false),
        (r#"{"a":1,"b":1,"c":1}"#, false),
        (r#"{"d":1}"#, false),
    ] {
        check("", &when, body, expected);
    }
    let written = rules(&when);
    assert_eq!(parse(&written, &Owner::Admin).unwrap().document(), written);
}

#[test]
fn a2_notes_name_the_condition_within_its_alternative() {
    let many = json!({"source": "constant", "key": "5", "operator": "bigger_than", "value": "{external_id}"});
    let when = json!([{"any": [[{"operator": "always"}, many], [many]]}]);
    let judgement = judge_event(&event_with("many"), &rules(&when), &answer(200, ""));
    let why = "\"many\" is not a number: write a decimal such as 12.50; the condition does not hold";
    let places = ["/answer/rules/0/when/0/any/0/1", "/answer/rules/0/when/0/any/1/0"];
    assert_eq!(judgement.notes, places.map(|place| format!("{place}: {why}")));
}

#[test]
fn a2_all_faults_of_sources_and_alternatives_are_reported_at_once() {
    let when = json!([
        {"source": "macro", "key": "external_idd", "operator": "is_empty"},
        {"source": "macro", "key": "pcid}{pcid", "operator": "is_empty"},
        {"source": "macro", "operator": "is_empty"},
        {"source": "macro", "key": "secret.token", "operator": "is_empty"},
        {"source": "variable", "key": "a b", "operator": "is_empty"},
        {"any": [[{"any": [[{"operator": "always"}]]}], [], {"operator": "always"}], "operator": "always"},
        {"any": []},
        {"any": "x"},
    ]);
    let faults = parse(&rules(&when), &Owner::Admin).unwrap_err();
    let found: Vec<(&str, &str)> =
        faults.0.iter().map(|f| (f.pointer.strip_prefix("/answer/rules/0/when").unwrap(), f.detail.as_str())).collect();
    let none = "write at least one, such as {\"operator\": \"always\"}";
    let (no_condition, no_alternative) = (format!("no condition: {none}"), format!("no alternative: {none}"));
    let expected = [
        ("/0/key", "unknown macro {external_idd}; did you mean {external_id}?"),
        ("/1/key", "not one macro: write it with its modifiers, such as payout or result|map:approved=1"),
        ("/2/key", "required: a macro, such as payout or result|map:approved=1"),
        ("/3/key", "a secret has no place here: responses are masked before conditions look at them"),
        ("/4/key", "not a name: 1 to 64 characters of A-Z a-z 0-9 _ - are allowed"),
        ("/5/operator", "unknown field \"operator\"; expected any"),
        ("/5/any/0/0", "alternatives within alternatives: write them side by side"),
        ("/5/any/1", &*no_condition),
        ("/5/any/2", "an object is not a list: write [{…}] with conditions"),
        ("/6/any", &*no_alternative),
        ("/7/any", "a text is not a list: write […]"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a2_a_rule_has_100_conditions_those_of_alternatives_included() {
    let conditions = |count: usize| vec![json!({"operator": "always"}); count];
    let of = |count: usize| {
        let full = json!({"when": conditions(20), "then": "delivered"});
        let last = json!({"when": [{"any": [conditions(19), conditions(count)]}], "then": "delivered"});
        json!({"rules": [full, full, full, full, last]})
    };
    assert!(parse(&of(1), &Owner::Admin).is_ok());
    let detail = "expected at most 100 conditions in a rule, this is number 101";
    check_faults(&of(5), &Owner::Admin, &[("/answer/rules/4/when/0/any/1/1", detail)]);
    let mut stored = Faults::of_stored_rule();
    AnswerRules::parse(Some(&of(5)), "/answer", &Owner::Admin, Within::OneRequest, &mut stored);
    assert_eq!(stored, Faults::default(), "one that was saved before there was the limit");
}

#[test]
fn a2_braces_around_no_macro_are_literal() {
    for (value, found) in [
        ("{state}", "{state}"),
        ("{exernal_id}", "{exernal_id}"),
        (r#"{"a":{"b":[1]}}"#, r#"{"a":{"b":[1]}}"#),
        ("{}", "{}"),
        ("{", "{"),
        ("}", "}"),
        ("a{b", "a{b"),
        ("{{external_id}}", "{external_id}"),
        ("{a {external_id}}", "{a X-77}"),
        ("{External_Id}-{external_id}", "{External_Id}-X-77"),
    ] {
        check("X-77", &one("body", "a", "equals", value), &json!({"a": found}).to_string(), true);
        check("X-77", &one("body", "a", "equals", value), r#"{"a":"X-77"}"#, false);
    }
    check("X-77", &one("body", "{a}", "equals", "1"), r#"{"{a}":1}"#, true);
}

#[test]
fn case_b10_a_field_of_a_form_with_dots_in_its_name_is_found() {
    for key in ["user.id", r"user\.id", "{external_id}", "user.{external_id|regex:/.*[.]//}"] {
        check("user.id", &one("body", key, "equals", "7"), "user.id=7", true);
    }
}

proptest! {
    #[test]
    fn case_a4_a_value_of_an_event_is_literal_wherever_a_condition_reads_it(
        external_id in "[*|\\\\\\]{}.a-c]{1,6}", other in "[*|\\\\\\]{}.a-c]{0,6}",
    ) {
        let is_same = external_id == other;
        let of = |source: &str, key: &str, operator: &str| {
            let when = one(source, key, operator, "{external_id}");
            let headers = vec![("x-a".to_owned(), other.clone())];
            let answer = Response::new(200, headers, json!({"a": other}).to_string().into_bytes());
            judge_event(&event_with(&external_id), &rules(&when), &answer).verdict == Verdict::Delivered
        };
        for (source, key) in [("macro", "body.a"), ("macro", "header.x-a"), ("header", "x-a"), ("body", "a")] {
            prop_assert_eq!(of(source, key, "equals"), is_same);
            prop_assert_eq!(of(source, key, "string_contains"), other.contains(&external_id));
            prop_assert_eq!(of(source, key, "string_starts_with"), other.starts_with(&external_id));
            prop_assert_eq!(of(source, key, "string_ends_with"), other.ends_with(&external_id));
        }
        // A value of the event is no macro, whatever it looks like.
        let itself = [of("constant", "{external_id}", "equals"), of("macro", "external_id", "equals")];
        prop_assert_eq!(itself, [true, true]);
    }
}
