use std::collections::BTreeMap;

use proptest::prelude::*;
use url::form_urlencoded;

use super::*;
use crate::{
    caller::Owner,
    change::Change,
    event::Event,
    fault::Faults,
    json,
    json::Value,
    template::{At, Scope, Steps},
};

mod bodies;
mod patterns;
mod set;
mod sources;

const SENT: &str = "https://api.bank.example/status?id=X-77&note=a%20b&empty=&id=second#part";

fn event() -> Event {
    let detail = json!({
        "change_id": "chg_1", "occurred_at": "2026-11-22T08:59:59Z",
        "conversion": {"conversion_id": "cnv_1", "version": 3, "change": "updated", "type": "sale", "source": "link",
                       "affiliate_id": "aff_7", "advertiser_id": "adv_2", "offer_id": "off_5"},
        "transactions": [],
    });
    Change::parse_detail(&detail, "").unwrap().events().remove(0)
}

fn answer(status: u16, body: &str) -> Response {
    let headers = vec![("X-State".to_owned(), "Ready".to_owned()), ("x-state".to_owned(), "second".to_owned())];
    Response::new(status, headers, body.as_bytes().to_vec())
}

fn affiliate() -> Owner {
    Owner::Affiliate { affiliate_id: "aff_7".parse().unwrap() }
}

fn parse(document: &Value, owner: &Owner) -> Result<AnswerRules, Faults> {
    let mut faults = Faults::default();
    let rules = AnswerRules::parse(Some(document), "/answer", owner, Within::OneRequest, &mut faults);
    if faults.is_empty() { Ok(rules) } else { Err(faults) }
}

fn judge(document: &Value, answer: &Response) -> Judgement {
    judge_event(&event(), document, answer)
}

fn judge_event(event: &Event, document: &Value, answer: &Response) -> Judgement {
    in_scope(event, &BTreeMap::new(), |scope| parse(document, &Owner::Admin).unwrap().judge(answer, SENT, scope))
}

/// Calls `with` in the scope of an attempt for an event, with these variables.
fn in_scope<T>(event: &Event, variables: &BTreeMap<String, String>, with: impl FnOnce(&Scope<'_>) -> T) -> T {
    with(&Scope {
        event,
        delivery_id: "dlv_1",
        tracking_api_id: "trk_1",
        attempt: 1,
        at: At::default(),
        is_test: false,
        masks: false,
        now: "2026-11-22T09:00:00Z".parse().unwrap(),
        secrets: &BTreeMap::new(),
        variables,
        answer: None,
        bound: None,
        steps: Steps::default(),
    })
}

#[track_caller]
fn check_faults(document: &Value, owner: &Owner, expected: &[(&str, &str)]) {
    let faults = parse(document, owner).unwrap_err();
    let found: Vec<(&str, &str)> = faults.0.iter().map(|f| (f.pointer.as_str(), f.detail.as_str())).collect();
    assert_eq!(found, expected);
}

/// The faults of one condition, at `/answer/rules/0/when/0`.
#[track_caller]
fn check_condition_faults(condition: &Value, expected: &[(&str, &str)]) {
    let document = json!({"rules": [{"when": [condition], "then": "delivered"}]});
    let faults = parse(&document, &Owner::Admin).unwrap_err();
    let found: Vec<(&str, &str)> =
        faults.0.iter().map(|f| (f.pointer.strip_prefix("/answer/rules/0/when/0").unwrap(), f.detail.as_str())).collect();
    assert_eq!(found, expected);
}

const BODY: &str = r#"{"status": "Approved", "payout": 12.50, "negative": -3, "large": 1E2, "ok": true, "one": 1, "no": false,
    "zero": "0", "nil": null, "empty": "", "text": "10 apples", "pipe": "a|b", "slash": "a\\b",
    "data": {"items": [{"id": 7}]}, "list": [1, "x"], "long": 12345678901234567890.123456789}"#;

/// Checks for which fields of [`BODY`] a condition with an operator holds, and for which not.
#[track_caller]
fn check(operator: &str, values: &[&str], holds_of: &[&str], not_of: &[&str]) {
    let answer = answer(200, BODY);
    for (keys, expected) in [(holds_of, Verdict::Delivered), (not_of, Verdict::Failed)] {
        for key in keys {
            let mut condition = json!({"source": "body", "key": key, "operator": operator});
            for (name, value) in ["value", "value2"].iter().zip(values) {
                condition[*name] = json!(value);
            }
            let document = json!({"rules": [{"when": [condition], "then": "delivered"}], "otherwise": "failed"});
            assert_eq!(judge(&document, &answer).verdict, expected, "{operator} {values:?} of {key}");
        }
    }
}

#[track_caller]
fn check_status(status: u16, expected: Verdict) {
    assert_eq!(Verdict::of_status(status), expected, "{status}");
    assert_eq!(judge(&json!({}), &answer(status, "")).verdict, expected, "{status}");
}

#[test]
fn a1_without_rules_the_status_decides() {
    for status in [200, 201, 204, 299] {
        check_status(status, Verdict::Delivered);
    }
    for status in [408, 425, 429, 500, 502, 503, 504, 599] {
        check_status(status, Verdict::Retry);
    }
    for status in [100, 199, 300, 301, 302, 307, 400, 401, 403, 404, 409, 410, 422, 426, 428, 600] {
        check_status(status, Verdict::Failed);
    }
}

#[test]
fn a1_a2_no_answer_at_all_is_tried_again() {
    assert_eq!(no_answer(), Verdict::Retry);
}

#[test]
fn a2_equals_takes_alternatives_case_sensitively() {
    check("equals", &["approved|Approved"], &["status"], &["ok", "empty", "missing"]);
    check("equals", &["approved"], &[], &["status"]);
    check("equals", &["12.50|1E2"], &["payout", "large"], &["negative"]);
    check("equals", &["12.5"], &["payout"], &["negative"]);
}

#[test]
fn a2_equals_takes_a_bar_that_is_escaped() {
    check("equals", &[r"a\|b"], &["pipe"], &["slash"]);
    check("equals", &["a|b"], &[], &["pipe"]);
    check("equals", &[r"a\b|x"], &["slash"], &["pipe"]);
    check("equals", &[r"a\\b"], &["slash"], &["pipe"]);
}

#[test]
fn a2_not_equals_is_none_of_the_alternatives() {
    check("not_equals", &["Approved|true"], &["zero", "missing", "nil"], &["status", "ok"]);
}

#[test]
fn a2_is_true_is_true_or_1() {
    check("is_true", &[], &["ok", "one"], &["no", "zero", "status", "missing", "payout"]);
}

#[test]
fn a2_is_false_is_false_or_0() {
    check("is_false", &[], &["no", "zero"], &["ok", "one", "missing", "empty", "nil"]);
}

#[test]
fn a2_bigger_than_compares_numbers_exactly() {
    check("bigger_than", &["12.49"], &["payout", "large", "long"], &["negative", "zero", "text", "missing"]);
    check("bigger_than", &["12.50"], &["large"], &["payout"]);
    check("bigger_than", &["12345678901234567890.123456788"], &["long"], &[]);
    check("bigger_than", &["12345678901234567890.123456789"], &[], &["long"]);
}

#[test]
fn a2_smaller_than_compares_numbers_exactly() {
    check("smaller_than", &["12.51"], &["payout", "negative", "zero"], &["large", "text", "empty", "missing"]);
    check("smaller_than", &["-3"], &[], &["negative"]);
}

#[test]
fn a2_between_includes_both_ends() {
    check("between", &["-3", "12.5"], &["payout", "negative", "zero", "one"], &["large", "text", "missing"]);
}

#[test]
fn a2_string_contains_and_string_not_contains() {
    check("string_contains", &["app"], &["text"], &["status", "missing"]);
    check("string_not_contains", &["app"], &["status", "missing"], &["text"]);
}

#[test]
fn a2_string_starts_with_and_string_ends_with() {
    check("string_starts_with", &["App"], &["status"], &["text", "missing"]);
    check("string_ends_with", &["es"], &["text"], &["status", "missing"]);
}

#[test]
fn a2_is_empty_and_is_not_empty() {
    check("is_empty", &[], &["missing", "nil", "empty", "data.items[1].id"], &["zero", "no", "data"]);
    check("is_not_empty", &[], &["zero", "no", "data", "data.items[0].id"], &["missing", "nil", "empty"]);
}

#[test]
fn a2_matches_finds_an_expression_anywhere() {
    check("matches", &["^[A-Z][a-z]+$"], &["status"], &["text", "missing"]);
    check("matches", &["[0-9]+ a"], &["text"], &["status"]);
}

#[test]
fn a2_always_holds_of_every_answer() {
    check("always", &[], &["status", "missing"], &[]);
    let document = json!({"rules": [{"when": [{"operator": "always"}], "then": "pending"}]});
    assert_eq!(judge(&document, &answer(500, "")).verdict, Verdict::Pending);
}

#[track_caller]
fn check_source(condition: &Value, expected: bool) {
    let document = json!({"rules": [{"when": [condition], "then": "delivered"}], "otherwise": "failed"});
    let verdict = judge(&document, &answer(404, BODY)).verdict;
    assert_eq!(verdict, if expected { Verdict::Delivered } else { Verdict::Failed }, "{condition}");
}

#[test]
fn a2_the_cookies_of_an_answer_are_one_header_and_other_repeated_headers_are_the_first() {
    let cookies =
        [("Set-Cookie", "lang=cs; Path=/"), ("X-State", "Ready"), ("set-cookie", "sid=8f3a; HttpOnly"), ("x-state", "second")];
    let headers = cookies.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let answer = Response::new(200, headers.into(), Vec::new());
    assert_eq!(answer.header("Set-Cookie"), Some("lang=cs; Path=/, sid=8f3a; HttpOnly"));
    assert_eq!(answer.header("X-State"), Some("Ready"));
    assert_eq!(answer.headers.len(), 3);
}

#[test]
fn a2_sources_are_body_header_http_code_query_and_constant() {
    check_source(&json!({"source": "body", "key": "data.items[0].id", "operator": "equals", "value": "7"}), true);
    check_source(&json!({"source": "body", "key": "data.items", "operator": "equals", "value": "[{{\"id\":7}}]"}), true);
    check_source(&json!({"source": "body", "operator": "string_starts_with", "value": "{{\"status\""}), true);
    check_source(&json!({"source": "header", "key": "X-STATE", "operator": "equals", "value": "Ready"}), true);
    check_source(&json!({"source": "header", "key": "x-none", "operator": "is_empty"}), true);
    check_source(&json!({"source": "http_code", "operator": "equals", "value": "404|410"}), true);
    check_source(&json!({"source": "http_code", "operator": "between", "value": 400, "value2": 499}), true);
    check_source(&json!({"source": "http_code", "operator": "equals", "value": "200"}), false);
    check_source(&json!({"source": "query", "key": "id", "operator": "equals", "value": "X-77"}), true);
    check_source(&json!({"source": "query", "key": "note", "operator": "equals", "value": "a b"}), true);
    check_source(&json!({"source": "query", "key": "empty", "operator": "is_empty"}), true);
    check_source(&json!({"source": "query", "key": "part", "operator": "is_not_empty"}), false);
    check_source(&json!({"source": "constant", "key": "5", "operator": "bigger_than", "value": 4}), true);
}

#[test]
fn a2_a_body_is_json_if_it_parses_as_json_else_a_form() {
    let field = |body: &str, path: &str| answer(200, body).field(&path.parse().unwrap());
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(field("{\"a\": {\"b\": [\"x\"]}}", "a.b[0]"), is("x"));
    assert_eq!(field("\u{feff}{\"a\": 1}", "a"), is("1"), "with a byte order mark");
    assert_eq!(field("status=ok+now&a.b%5B0%5D=x%26y&status=second\r\n", "a.b[0]"), is("x&y"));
    assert_eq!(field("status=ok+now&a.b%5B0%5D=x%26y&status=second\r\n", "status"), is("ok now"));
    assert_eq!(field("OK", "OK"), None);
    assert_eq!(field("", "a"), None);
    assert_eq!(field("[1]", "a"), None);
    assert_eq!(field("7", "a"), None);
}

#[test]
fn a2_json_values_are_read_as_text_exactly_as_written() {
    let field = |value: &str| answer(200, &format!("{{\"a\": {value}}}")).field(&"a".parse().unwrap());
    for number in ["1", "1E2", "-0", "1.50", "12345678901234567890.123456789012345678901234567890", "1e+400", "0.1"] {
        assert_eq!(field(number).as_deref(), Some(number));
    }
    assert_eq!(field("true").as_deref(), Some("true"));
    assert_eq!(field("\"a\\nb\"").as_deref(), Some("a\nb"));
    assert_eq!(field("null"), None);
    assert_eq!(field("[1, {\"b\": 2.0}]").as_deref(), Some("[1,{\"b\":2.0}]"));
}

#[test]
fn a2_the_first_rule_that_holds_decides_and_needs_all_its_conditions() {
    let document = json!({"rules": [
        {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"},
                  {"source": "http_code", "operator": "equals", "value": "200"}], "then": "pending"},
        {"when": [{"source": "body", "key": "status", "operator": "is_not_empty"}], "then": "delivered"},
        {"when": [{"operator": "always"}], "then": "failed"},
    ]});
    let decided = |status, body| {
        let judgement = judge(&document, &answer(status, body));
        (judgement.verdict, judgement.rule)
    };
    assert_eq!(decided(200, "status=pending"), (Verdict::Pending, Some(0)));
    assert_eq!(decided(500, "status=pending"), (Verdict::Delivered, Some(1)));
    assert_eq!(decided(200, "nothing"), (Verdict::Failed, Some(2)));
}

#[test]
fn a2_where_none_holds_otherwise_decides_else_the_status() {
    let never = json!([{"when": [{"source": "http_code", "operator": "equals", "value": "999"}], "then": "delivered"}]);
    let verdict = |document: Value, status| judge(&document, &answer(status, "")).verdict;
    assert_eq!(verdict(json!({"rules": never, "otherwise": "retry"}), 200), Verdict::Retry);
    assert_eq!(verdict(json!({"rules": never}), 200), Verdict::Delivered);
    assert_eq!(verdict(json!({"rules": never}), 404), Verdict::Failed);
    assert_eq!(verdict(json!({"otherwise": "pending"}), 404), Verdict::Pending);
}

#[test]
fn a2_operators_take_their_number_of_values() {
    let body = |operator: &str| json!({"source": "body", "key": "a", "operator": operator});
    let with = |operator: &str, values: &[(&str, Value)]| {
        let mut condition = body(operator);
        for (key, value) in values {
            condition[*key] = value.clone();
        }
        condition
    };
    check_condition_faults(&body("equals"), &[("/value", "required: equals compares with it")]);
    check_condition_faults(&with("is_true", &[("value", json!("1"))]), &[("/value", "is_true takes no value: leave it out")]);
    check_condition_faults(
        &with("equals", &[("value", json!("1")), ("value2", json!("2"))]),
        &[("/value2", "equals takes no value2: leave it out")],
    );
    check_condition_faults(
        &body("between"),
        &[("/value", "required: between compares with it"), ("/value2", "required: between compares with it")],
    );
    check_condition_faults(
        &with("between", &[("value", json!("2")), ("value2", json!("1.5"))]),
        &[("/value2", "1.5 is less than 2: value2 is the upper bound, 2 or more")],
    );
    check_condition_faults(
        &with("bigger_than", &[("value", json!("many"))]),
        &[("/value", "\"many\" is not a number: write a decimal such as 12.50")],
    );
    check_condition_faults(
        &with("equals", &[("value", json!("a|"))]),
        &[("/value", "an alternative is empty: write them as approved|rejected, or use the operator is_empty")],
    );
    check_condition_faults(
        &with("equals", &[("value", json!(["a"]))]),
        &[("/value", "a list can't be compared with: write a text, a number, true or false")],
    );
    check_condition_faults(
        &with("string_contains", &[("value", json!(""))]),
        &[("/value", "every text contains the empty text: write a longer one, or use is_empty, is_not_empty, always")],
    );
}

#[test]
fn a2_hostile_and_broken_expressions_are_refused() {
    let matches = |pattern: &str| json!({"source": "body", "key": "a", "operator": "matches", "value": pattern});
    check_condition_faults(
        &matches("(a"),
        &[("/value", "not a regular expression: unclosed group; Rust's regex syntax is allowed")],
    );
    for too_big in [r"(\w{1000}){1000}", r"((a{100}){100}){100}"] {
        let expected = [(
            "/value",
            "the regular expression takes more than 64 KiB compiled: repeat less, or write smaller classes, such as [0-9] for \\d and \
             [A-Za-z0-9_] for \\w",
        )];
        check_condition_faults(&matches(too_big), &expected);
    }
}

#[test]
fn a2_sources_take_their_keys() {
    check_condition_faults(
        &json!({"source": "body", "key": "a..b", "operator": "is_true"}),
        &[(
            "/key",
            "not a path: write keys joined by dots and positions in brackets, such as lead.items[0].id (positions 0 to 999)",
        )],
    );
    check_condition_faults(
        &json!({"source": "header", "key": "a b", "operator": "is_true"}),
        &[("/key", "not a header's name: letters, digits and !#$%&'*+-.^_`|~ are allowed")],
    );
    check_condition_faults(
        &json!({"source": "http_code", "key": "a", "operator": "is_true"}),
        &[("/key", "\"key\" has no place here: http_code is the status itself, leave the key out")],
    );
    check_condition_faults(
        &json!({"operator": "is_true"}),
        &[("/source", "required: choose body, header, http_code, query, constant, macro, variable")],
    );
}

#[test]
fn a2_all_faults_of_a_condition_are_reported_at_once() {
    check_condition_faults(
        &json!({"source": "bodi", "operator": "equal", "values": 1, "value2": []}),
        &[
            ("/values", "unknown field \"values\"; did you mean \"value\"?"),
            ("/operator", "unknown operator \"equal\"; did you mean \"equals\"?"),
            ("/source", "unknown source \"bodi\"; did you mean \"body\"?"),
            ("/value2", "a list can't be compared with: write a text, a number, true or false"),
        ],
    );
    check_condition_faults(&json!(5), &[("", "a number is not an object: write {…} with source, key, operator, value, value2")]);
}

#[test]
fn a2_rules_have_limits() {
    let condition = json!({"operator": "always"});
    let rule = |n: usize| json!({"when": vec![condition.clone(); n], "then": "delivered"});
    check_faults(
        &json!({"rules": vec![rule(1); 51]}),
        &Owner::Admin,
        &[("/answer/rules", "51 rules are too many: 50 are allowed")],
    );
    let pointer = "/answer/rules/0/when";
    check_faults(&json!({"rules": [rule(21)]}), &Owner::Admin, &[(pointer, "21 conditions are too many: 20 are allowed")]);
    let none = "no condition: write at least one, such as {\"operator\": \"always\"}";
    check_faults(&json!({"rules": [rule(0)]}), &Owner::Admin, &[(pointer, none)]);
    let null = [("/answer/rules/0/when/0", "null is not an object: write {…} with source, key, operator, value, value2")];
    check_faults(&json!({"rules": [{"when": [null], "then": "failed"}]}), &Owner::Admin, &null);
    check_faults(
        &json!({"rules": [{}, 5]}),
        &Owner::Admin,
        &[
            (pointer, none),
            ("/answer/rules/0/then", "required: choose delivered, pending, retry or failed"),
            ("/answer/rules/1", "a number is not an object: write {…} with when, then, set"),
        ],
    );
    let expression = json!({"source": "body", "key": "a", "operator": "matches", "value": "x"});
    let many = |count: usize| {
        json!({"rules": [{"when": vec![expression.clone(); 20], "then": "delivered"},
        {"when": vec![expression.clone(); count], "then": "delivered"}]})
    };
    let detail = "expected at most 20 regular expressions in a rule, this is number 21";
    check_faults(&many(1), &Owner::Admin, &[("/answer/rules/1/when/0/value", detail)]);
    let long = json!({"source": "constant", "key": "x".repeat(16_385), "operator": "is_true"});
    check_condition_faults(&long, &[("/key", "16385 bytes are too many: 16384 are allowed")]);
}

#[test]
fn a2_what_is_written_is_read_back() {
    let document = json!({"rules": [
        {"when": [{"source": "body", "key": "a[0].b", "operator": "between", "value": "1.50", "value2": "2"},
                  {"source": "header", "key": "X-State", "operator": "matches", "value": "^a|b$"},
                  {"source": "constant", "key": "", "operator": "is_empty"}],
         "then": "pending"},
        {"when": [{"operator": "always"}], "then": "delivered",
         "set": {"result": "{body.state}", "payout": "{body.payout}", "value": "{body.value}", "external_id": "{body.id}",
                 "variables": {"lead": "{body.lead}"}}},
    ], "otherwise": "retry"});
    assert_eq!(parse(&document, &Owner::Admin).unwrap().document(), document);
    let mut faults = Faults::default();
    let absent = AnswerRules::parse(None, "/answer", &Owner::Admin, Within::OneRequest, &mut faults);
    assert!(faults.is_empty());
    assert_eq!(absent.document(), json!({"rules": []}));
}

proptest! {
    #[test]
    fn a2_any_body_is_read(body in any::<Vec<u8>>(), path in "[a-z]{1,3}(\\[[0-9]\\])?(\\.[a-z]{1,3})?") {
        Response::new(200, vec![], body).field(&path.parse().unwrap());
    }

    #[test]
    fn a2_any_condition_is_read_or_refused(operator in prop::sample::select(vec!["equals", "between", "matches", "bigger_than"]), value in any::<String>()) {
        let condition = json!({"source": "body", "key": "a", "operator": operator, "value": value, "value2": value});
        let document = json!({"rules": [{"when": [condition], "then": "delivered"}]});
        if let Ok(rules) = parse(&document, &Owner::Admin) {
            prop_assert_eq!(rules.document(), document);
        }
    }

    #[test]
    fn a2_every_form_field_is_found(value in any::<String>()) {
        let body = form_urlencoded::Serializer::new(String::new()).append_pair("first", "1").append_pair("a.b[0]", &value).finish();
        let found = answer(200, &body).field(&"a.b[0]".parse().unwrap());
        prop_assert_eq!(found, Some(value));
    }
}
