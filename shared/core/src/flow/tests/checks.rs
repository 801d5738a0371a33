//! Faults of plans, all at once, with their places (W2, W8, W9).

#![expect(clippy::needless_pass_by_value, reason = "tests write them in place")]

use super::*;

#[track_caller]
fn check(steps: Value, expected: &[(&str, &str)]) {
    let found = faults(&steps);
    let found: Vec<(&str, &str)> = found.iter().map(|(pointer, detail)| (pointer.as_str(), detail.as_str())).collect();
    assert_eq!(found, expected, "{steps}");
}

#[test]
fn w9_all_faults_of_steps_are_reported_at_once() {
    check(json!([]), &[("/steps", "expected 1 to 30 steps, got 0")]);
    check(
        json!([{"name": "end", "call": {"url": "https://a.example/"}}, {"call": {"url": "x"}}]),
        &[
            ("/steps/0/name", "end is where a flow ends: choose another name"),
            ("/steps/1/name", "required: 1 to 64 of A-Z a-z 0-9 _ -"),
            ("/steps/1/call/url", "not a URL: it must begin with https:// or http:// and a host"),
        ],
    );
    check(
        json!([{"name": "a"}, {"name": "b", "call": {"url": "https://a.example/"}, "wait": {"seconds": 5}}]),
        &[
            ("/steps/0", "expected one of call, set, switch, wait, listen, emit, end, fail, mirror, got none"),
            ("/steps/1", "expected one of call, set, switch, wait, listen, emit, end, fail, mirror, got call and wait"),
        ],
    );
    check(
        json!([with(call("a"), json!({"max_runs": 32})), {"name": "b", "end": {}, "go": "a"}]),
        &[
            ("/steps/0/max_runs", "32 runs are too many: choose 1 to 31"),
            ("/steps/1/go", "\"go\" has no place here: nothing follows the end of a flow"),
        ],
    );
}

#[test]
fn w9_steps_and_one_request_exclude_each_other() {
    let both = json!({"name": "x", "request": {"url": "https://a.example/"}, "retry": {}, "steps": [call("a")]});
    let faults = RuleDefinition::parse(&both, &Owner::Admin, &Settings::default()).unwrap_err();
    let found: Vec<String> = faults.0.into_iter().map(|fault| fault.pointer).collect();
    assert_eq!(found, ["/request", "/retry"]);
}

#[test]
fn w9_an_unknown_step_name_is_reported_with_the_nearest() {
    let rules = json!({"rules": [{"when": [{"operator": "always"}], "go": "confrim"}]});
    check(
        json!([with(call("a"), json!({"answer": rules, "on_exhausted": "nowhere"})), call("confirm")]),
        &[
            ("/steps/0/answer/rules/0/go", "unknown step \"confrim\"; did you mean \"confirm\"?"),
            ("/steps/0/on_exhausted", "unknown step \"nowhere\""),
        ],
    );
    check(json!([call("a"), call("a")]), &[("/steps/1/name", "another step is named a: names are unique")]);
    check(
        json!([call("a"), with(call("b"), json!({"call": {"url": "https://a.example/{steps.c.body.id}"}}))]),
        &[("/steps", "{steps.c.…} names no step with a request")],
    );
}

#[test]
fn w9_a_step_that_nothing_leads_to_is_a_fault() {
    check(json!([with(call("a"), json!({"go": "end"})), call("b")]), &[("/steps/1", "step b is never reached")]);
    check(json!([{"name": "a", "wait": {"seconds": 5}}]), &[("/steps", "no step sends a request: write one with call")]);
}

#[test]
fn w9_a_loop_waits_or_says_how_often_it_runs() {
    let back = |then: Option<&str>| {
        let mut rule = json!({"when": [{"source": "http_code", "operator": "equals", "value": "401"}], "go": "a"});
        if let Some(then) = then {
            rule["then"] = then.into();
        }
        with(call("b"), json!({"answer": {"rules": [rule]}}))
    };
    let text =
        "a loop leads back to step a without a wait: add a step with wait, choose pending or retry with go, or write max_runs";
    check(json!([call("a"), back(None)]), &[("/steps/0", text)]);
    check(json!([call("a"), back(Some("pending"))]), &[]);
    check(json!([with(call("a"), json!({"max_runs": 4})), back(None)]), &[]);
    check(json!([call("a"), {"name": "rest", "wait": {"seconds": 5}}, back(None)]), &[]);
    let itself =
        "a loop leads back to step b without a wait: add a step with wait, choose pending or retry with go, or write max_runs";
    check(json!([call("a"), with(call("b"), json!({"go": "b"}))]), &[("/steps/1", itself)]);
    assert_eq!(faults(&example()), []);
}

#[test]
fn w8_no_text_that_everybody_reads_may_hold_a_secret() {
    let set = json!({"result": "{var.token}", "variables": {"token": {"value": "{body.t}", "secret": true}}});
    let first =
        with(call("a"), json!({"answer": {"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set}]}}));
    check(
        json!([first.clone(), {"name": "no", "fail": {"reason": "no {var.token}"}}]),
        &[
            ("/steps/0/answer", "token is a secret variable, and everybody reads this"),
            ("/steps/1/fail/reason", "token is a secret variable, and everybody reads this"),
        ],
    );
    let condition = json!([{"when": [{"source": "variable", "key": "key", "operator": "equals", "value": "x"}], "go": "end"}]);
    let steps =
        json!([{"name": "s", "set": {"variables": {"key": "{secret.key}"}}}, {"name": "w", "switch": condition}, call("c")]);
    check(steps, &[("/steps/1/switch/0/when/0", "key is a secret variable: only is_empty and is_not_empty may ask for it")]);
}

#[test]
fn w5_kept_variables_have_bounds() {
    let keep = |seconds: Value| {
        let set = json!({"variables": {"t": {"value": "{body.t}", "keep_seconds": seconds}}});
        json!([with(
            call("a"),
            json!({"answer": {"rules": [{"when": [{"operator": "always"}], "then": "delivered", "set": set}]}})
        )])
    };
    let at = "/steps/0/answer/rules/0/set/variables/t/keep_seconds";
    check(keep(json!(2_592_001)), &[(at, "2592001 seconds are too many: choose 0 to 2592000")]);
    check(keep(json!(true)), &[(at, "a flag is not a number of seconds: choose 0 to 2592000, or a text with macros")]);
    check(keep(json!("{body.expires_in|subtract:60}")), &[]);
    let forget = json!({"rules": [{"when": [{"operator": "always"}], "then": "delivered", "forget": ["x"]}]});
    check(
        json!([with(call("a"), json!({"answer": forget}))]),
        &[("/steps/0/answer/rules/0/forget", "x is no variable with keep_seconds")],
    );
}

#[test]
fn w20_emit_is_an_admin_s_and_holds_no_secret() {
    let emit = |emit: Value| json!([{"name": "publish", "emit": emit}, call("send")]);
    check(emit(json!({"name": "Large Sale", "fields": {"payout": "{payout}"}, "count": 1_000})), &[]);
    check(emit(json!({"name": "Large Sale"})), &[]);
    check(emit(json!({})), &[("/steps/0/emit/name", "required: the name of the event, without macros")]);
    check(
        emit(json!({"name": "x", "fields": {"a": "{secret.t}"}})),
        &[("/steps/0/emit/fields/a", "an event may not hold a secret: everybody reads it")],
    );
    let secret = json!([
        {"name": "sign", "set": {"variables": {"token": {"value": "{pcid}", "secret": true}}}},
        {"name": "publish", "emit": {"name": "x", "fields": {"a": "{var.token}"}}},
        call("send"),
    ]);
    check(secret, &[("/steps/1/emit/fields", "token is a secret variable, and everybody reads this")]);
    let twenty_one: Vec<Value> =
        (0..21).map(|i| json!({"name": format!("e{i}"), "emit": {"name": "x"}})).chain([call("send")]).collect();
    check(twenty_one.into(), &[("/steps", "expected at most 20 steps with emit, got 21")]);
    let owner = Owner::Affiliate { affiliate_id: "aff_1".parse().unwrap() };
    let document = json!({"name": "flow", "steps": emit(json!({"name": "x"}))});
    let refused = RuleDefinition::parse(&document, &owner, &Settings::default()).unwrap_err();
    let found: Vec<_> = refused.0.iter().map(|fault| (&*fault.pointer, &*fault.detail)).collect();
    assert_eq!(found, [("/steps/0", "a step with emit belongs to an admin's rule: the event goes to the platform's bus")]);
}
