//! Texts chosen by conditions, and parts dropped by conditions (Q6).

use proptest::prelude::*;

use super::*;
use crate::{
    caller::Owner,
    template::sample::{event, event_with_click_id},
    tracking_api::{RuleDefinition, Settings, merge_patch},
};

fn parse(members: &Value) -> Result<RuleDefinition, Faults> {
    let mut document = json!({"name": "n", "request": {"url": "https://a.example/"}});
    merge_patch(&mut document, members);
    RuleDefinition::parse(&document, &Owner::Admin, &Settings::default())
}

#[track_caller]
fn check(document: &Value, click_id: &str, expected: &str) {
    assert_eq!(sent(document, click_id).unwrap(), expected, "{document}");
    assert_eq!(request(&request(document).document()), request(document), "it is read back as it was");
}

#[track_caller]
fn check_refused(members: &Value, expected: &[(&str, &str)]) {
    let faults = parse(members).unwrap_err();
    let found: Vec<_> = faults.0.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
    assert_eq!(found, expected, "{members}");
}

fn when(key: &str, value: &str) -> Value {
    json!([{"source": "macro", "key": key, "operator": "equals", "value": value}])
}

const HEAD: &str = "Tracking-Delivery-Id: dlv_1\nUser-Agent: tracking-api/";

#[test]
fn q6_a_part_is_not_sent_where_its_conditions_hold() {
    let unless = |result: &str| {
        json!({"method": "POST", "url": "https://a.example/p",
            "query": [{"name": "a", "value": "1", "do_not_send": when("result", result)}, {"name": "b", "value": "2"}],
            "headers": [{"name": "X-A", "value": "{payout}", "do_not_send": when("result", result)}],
            "body": {"format": "json", "fields": [
                {"path": "sum", "value": "{payout}", "type": "number", "do_not_send": when("result", result)},
                {"path": "list[0]", "value": "x", "do_not_send": when("result", result)},
                {"path": "id", "value": "{transaction_id}"}]}})
    };
    let version = env!("CARGO_PKG_VERSION");
    check(
        &unless("approved"),
        "c",
        &format!("POST https://a.example/p?b=2\n{HEAD}{version}\nContent-Type: application/json\n\n{{\"id\":\"trx_1\"}}"),
    );
    check(
        &unless("rejected"),
        "c",
        &format!(
            "POST https://a.example/p?a=1&b=2\n{HEAD}{version}\nContent-Type: application/json\nX-A: 5.00\n\n\
             {{\"sum\":5.00,\"list\":[\"x\"],\"id\":\"trx_1\"}}"
        ),
    );
    for format in ["form", "multipart"] {
        let field = |path: &str, wanted: &str| json!({"path": path, "value": "1", "do_not_send": when("click_id", wanted)});
        let body = json!({"format": format, "fields": [field("gone", "c"), field("here", "other")]});
        let text = sent(&json!({"method": "POST", "url": "https://a.example/", "body": body}), "c").unwrap();
        assert!(text.contains("here") && !text.contains("gone"), "{text}");
    }
}

#[test]
fn q6_the_first_text_whose_conditions_hold_is_sent() {
    let value = json!([
        {"when": when("click_id", "a*"), "text": "first {click_id}"},
        {"when": [{"any": [when("click_id", "b"), when("click_id", "c")]}], "text": "second"},
        {"text": "{click_id|upper}"},
    ]);
    let document = |value: &Value| json!({"url": "https://a.example/", "query": [{"name": "v", "value": value}]});
    let version = env!("CARGO_PKG_VERSION");
    for (click_id, query) in [("ab", "?v=first%20ab"), ("b", "?v=second"), ("c", "?v=second"), ("d", "?v=D")] {
        check(&document(&value), click_id, &format!("GET https://a.example/{query}\n{HEAD}{version}\n"));
    }
    let none = json!([{"when": when("click_id", "a"), "text": "x"}]);
    check(&document(&none), "b", &format!("GET https://a.example/\n{HEAD}{version}\n"));
}

#[test]
fn q6_a_variable_is_chosen_and_a_condition_reads_variables() {
    let members = json!({
        "variables": {
            "state": [{"when": when("result", "approved"), "text": "ok"}, {"text": "no"}],
            "sum": [{"when": [{"source": "variable", "key": "state", "operator": "equals", "value": "ok"}], "text": "{payout}"}],
            "none": [{"when": when("result", "rejected"), "text": "x"}],
        },
        "request": {"url": "https://a.example/{var.state}?sum={var.sum}&n={var.none}",
            "query": [{"name": "late", "value": "1",
                       "do_not_send": [{"source": "variable", "key": "sum", "operator": "bigger_than", "value": "4"}]}]},
    });
    let definition = parse(&members).unwrap();
    let rendered = in_scope(&event(), None, |scope| definition.plan.first_call().request.render(scope)).unwrap();
    assert_eq!(rendered.url, "https://a.example/ok?sum=5.00&n=");
    assert_eq!(parse(&definition.document()).unwrap().plan.first_call().request, definition.plan.first_call().request);
    assert_eq!(definition.document()["variables"], members["variables"]);
    let circle = json!({"variables": {
        "a": [{"when": [{"source": "variable", "key": "b", "operator": "is_empty"}], "text": "x"}, {"text": "y"}],
        "b": "{var.a}",
    }, "request": {"url": "https://a.example/{var.b}"}});
    check_refused(&circle, &[("/variables/a", "variables read each other in a circle: a → b → a")]);
}

#[test]
fn q6_all_faults_of_chosen_texts_are_reported_at_once() {
    let part = |value: Value| json!({"request": {"query": [{"name": "v", "value": value}]}});
    check_refused(
        &part(json!([{"text": "{x}"}, {"when": [], "text": 5}, {"wen": [], "when": "x"}])),
        &[
            (
                "/request/query/0/value/0/text",
                "character 1: unknown macro {x}: for a parameter of the affiliate's link write {query.x}",
            ),
            ("/request/query/0/value/1", "never reached: the text before it has no conditions"),
            ("/request/query/0/value/1/when", "no condition: write at least one, such as {\"operator\": \"always\"}"),
            ("/request/query/0/value/1/text", "a number is not a text: write a JSON string"),
            ("/request/query/0/value/2", "never reached: the text before it has no conditions"),
            ("/request/query/0/value/2/wen", "unknown field \"wen\"; did you mean \"when\"?"),
            ("/request/query/0/value/2/when", "a text is not a list: write […]"),
            ("/request/query/0/value/2/text", "missing: write a text, which may hold macros such as {transaction_id}"),
        ],
    );
    check_refused(&part(json!([])), &[("/request/query/0/value", "expected 1 to 20 texts to choose from, got 0")]);
    let unless = |condition: Value| json!({"request": {"headers": [{"name": "a", "value": "x", "do_not_send": [condition]}]}});
    check_refused(
        &unless(json!({"source": "body", "key": "a", "operator": "is_empty"})),
        &[("/request/headers/0/do_not_send/0/source", "unknown source \"body\"; expected one of macro, variable, constant")],
    );
    let at = "/request/headers/0/do_not_send/0/key";
    check_refused(
        &unless(json!({"source": "macro", "key": "body.a", "operator": "is_empty"})),
        &[(at, "{body.a} is allowed only in an answer rule: a request has no answer yet")],
    );
    check_refused(
        &unless(json!({"source": "macro", "key": "secret.key", "operator": "is_empty"})),
        &[(at, "a secret has no place here: the request would reveal it")],
    );
    check_refused(
        &unless(json!({"source": "macro", "key": "query_sorted", "operator": "is_empty"})),
        &[(at, "the sorted query is made once the conditions are judged")],
    );
    let by_variable = json!({"variables": {"sig": "{secret.key|md5}", "too": "{var.sig}"}, "request": {"headers": [
        {"name": "a", "value": "{var.sig}", "do_not_send": [{"source": "variable", "key": "too", "operator": "is_empty"}]}]}});
    let detail = "reads a variable that is made with a secret: the request would reveal the secret";
    check_refused(&by_variable, &[("/request/headers/0/do_not_send/0", detail)]);
}

#[test]
fn q6_the_budget_of_conditions_is_that_of_the_whole_rule() {
    let always = |count: usize| vec![json!({"operator": "always"}); count];
    let rule = json!({"when": always(20), "then": "delivered"});
    let header = |count: usize| json!([{"name": "a", "value": "x", "do_not_send": always(count)}]);
    let with = |count: usize| json!({"request": {"headers": header(count)}, "answer": {"rules": [rule, rule, rule, rule]}});
    assert!(parse(&with(20)).is_ok());
    let five = json!({"request": {"headers": header(1)}, "answer": {"rules": [rule, rule, rule, rule, rule]}});
    let detail = "expected at most 100 conditions in a rule, this is number 101";
    check_refused(&five, &[("/answer/rules/4/when/19", detail)]);
}

#[test]
fn q6_a_secret_is_bound_to_the_conditions_of_its_place() {
    let uses = |header: Value| {
        parse(&json!({"request": {"headers": [header]}})).unwrap().plan.first_call().request.uses_fingerprint(Some("key"))
    };
    let plain = uses(json!({"name": "a", "value": "{secret.key}"}));
    assert_eq!(plain, uses(json!({"name": "a", "value": [{"text": "{secret.key}"}]})));
    let unless = |value: &str| uses(json!({"name": "a", "value": "{secret.key}", "do_not_send": when("result", value)}));
    let chosen = |value: &str| {
        uses(json!({"name": "a", "value": [{"when": when("result", value), "text": "{secret.key}"}, {"text": "x"}]}))
    };
    let all = [plain, unless("approved"), unless("rejected"), chosen("approved"), chosen("rejected")];
    for (i, one) in all.iter().enumerate() {
        assert!(!all[..i].contains(one), "{i}");
    }
}

#[test]
fn q6_what_is_at_hand_says_which_texts_are_sent() {
    let members = json!({
        "variables": {"v": [{"when": when("result", "approved"), "text": "{payout}"}, {"text": "{value}"}]},
        "request": {"url": "https://a.example/{var.v}", "query": [
            {"name": "a", "value": "{pcid}", "do_not_send": when("result", "approved")},
            {"name": "b", "value": "{affs1}", "do_not_send": when("result", "rejected")}]},
    });
    let definition = parse(&members).unwrap();
    let places: Vec<String> = in_scope(&event(), None, |scope| {
        definition.plan.first_call().request.placed_templates_in(scope).map(|(place, _)| place).collect()
    });
    let expected = [
        "/url",
        "/query/0/do_not_send/0/key",
        "/query/1/value",
        "/query/1/do_not_send/0/key",
        "/variables/v/0/text",
        "/variables/v/0/when/0/key",
    ];
    assert_eq!(places, expected);
}

proptest! {
    #[test]
    fn q6_a_value_of_an_event_never_widens_a_condition(
        click_id in "[*|\\\\\\]{}.a-c]{1,6}", other in "[*|\\\\\\]{}.a-c]{1,6}",
    ) {
        let is_same = click_id == other;
        let mut event = event_with_click_id(&click_id);
        std::sync::Arc::make_mut(&mut event.conversion).voucher = Some(other.clone());
        let is_sent = |operator: &str| {
            let unless = json!([{"source": "macro", "key": "voucher", "operator": operator, "value": "{click_id}"}]);
            let query = json!([{"name": "a", "value": "1", "do_not_send": unless}]);
            let request = request(&json!({"url": "https://a.example/", "query": query}));
            in_scope(&event, None, |scope| request.render(scope)).unwrap().url.ends_with("?a=1")
        };
        prop_assert_eq!(is_sent("equals"), !is_same);
        prop_assert_eq!(is_sent("not_equals"), is_same);
        prop_assert_eq!(is_sent("string_contains"), !other.contains(&click_id));
        prop_assert_eq!(is_sent("string_starts_with"), !other.starts_with(&click_id));
        prop_assert_eq!(is_sent("string_ends_with"), !other.ends_with(&click_id));
    }
}
