//! Steps of hostile affiliates are bounded and learn nothing (W8).

use super::*;
use crate::template::{Scope, sample};

#[track_caller]
fn refused(steps: &Value, pointer: &str, detail: &str) {
    let found = faults(steps);
    assert!(found.iter().any(|(at, text)| at == pointer && text.contains(detail)), "{pointer}: {found:?}");
}

#[test]
fn w8_no_text_that_everybody_reads_holds_a_value_made_with_a_secret() {
    let login = |set: Value, hide: bool| {
        let rule = json!({"when": [{"operator": "always"}], "then": "delivered", "set": set});
        with(call("login"), json!({"answer": {"hide": hide, "rules": [rule]}}))
    };
    let token = json!({"variables": {"token": {"value": "{body.token}", "secret": true}}});
    for reads in ["{var.token}", "{var.token|regex:/(.)/$1-/}", "x{var.token|hex}"] {
        let steps = json!([login(token.clone(), false), {"name": "no", "fail": {"reason": reads}}]);
        refused(&steps, "/steps/1/fail/reason", "token is a secret variable");
        let steps = json!([login(token.clone(), false), {"name": "rest", "wait": {"until": reads}}]);
        refused(&steps, "/steps/1/wait/until", "token is a secret variable");
        let steps = json!([login(token.clone(), false), {"name": "copy", "set": {"variables": {"copy": reads}}},
            {"name": "done", "end": {"reason": "{var.copy}"}}]);
        refused(&steps, "/steps/2/end/reason", "copy is a secret variable");
    }
    let copied = json!({"variables": {"token": {"value": "{body.token}", "secret": true}, "copy": "{var.token|md5}"}});
    refused(&json!([login(copied, false), {"name": "no", "fail": {"reason": "{var.copy}"}}]), "/steps/1/fail/reason", "copy is");
    let hidden = "{steps.login.body.token}";
    refused(
        &json!([login(json!({}), true), {"name": "no", "fail": {"reason": hidden}}]),
        "/steps/1/fail/reason",
        "secret variable",
    );
    let asks =
        json!([{"source": "macro", "key": "steps.login.body.token|upper", "operator": "string_starts_with", "value": "A"}]);
    let steps = json!([login(json!({}), true), {"name": "ask", "switch": [{"when": asks, "go": "end"}], "go": "fail"}]);
    refused(&steps, "/steps/1/switch/0/when/0", "secret variable");
    assert_eq!(faults(&json!([login(json!({}), false), {"name": "no", "fail": {"reason": hidden}}])), [], "it is not hidden");
}

#[test]
fn w8_a_variable_of_the_rule_that_is_made_with_a_secret_is_secret_too() {
    let read = |answer: Value, steps: Option<Value>| {
        let variables = json!({"sig": "{pcid}.{secret.key}", "plain": "{pcid}"});
        let mut document = json!({"name": "x", "variables": variables, "secret_values": {"key": "k"}});
        if let Some(steps) = steps {
            document["steps"] = steps;
        } else {
            document["request"] = json!({"url": "https://a.example/?s={var.sig|md5}"});
            document["answer"] = answer;
        }
        let faults = RuleDefinition::parse(&document, &Owner::Admin, &Settings::default()).map_err(|faults| faults.0);
        faults.map_or_else(|faults| faults.into_iter().map(|fault| fault.pointer).collect(), |_| Vec::new())
    };
    let answer = |when: Value, set: Value| json!({"rules": [{"when": [when], "then": "delivered", "set": set}]});
    let always = json!({"operator": "always"});
    assert_eq!(read(answer(always.clone(), json!({"external_id": "{var.sig}"})), None), ["/answer"]);
    assert_eq!(read(answer(always.clone(), json!({"external_id": "{var.plain}"})), None), [""; 0]);
    let guess = json!({"source": "variable", "key": "sig", "operator": "string_starts_with", "value": "A"});
    assert_eq!(read(answer(guess, json!({})), None), ["/answer/rules/0/when/0"]);
    let steps = json!([call("send"), {"name": "no", "fail": {"reason": "{var.sig|regex:/(.)/$1-/}"}}]);
    assert_eq!(read(Value::Null, Some(steps)), ["/steps/1/fail/reason"]);
}

#[test]
fn f7_a_secret_of_a_rule_with_steps_is_bound_to_all_of_them() {
    let rule = |variable: &str, last: Value| {
        let first = json!({"name": "one", "call": {"url": "https://a.example/?s={var.sig|md5}"}});
        let document = json!({"name": "x", "variables": {"sig": variable}, "steps": [first, last]});
        RuleDefinition::parse(&document, &Owner::Admin, &Settings::default()).unwrap()
    };
    let fail = |reason: &str| json!({"name": "no", "fail": {"reason": reason}});
    let before = rule("{secret.key}", fail("no"));
    let binding = before.binding("key", &Owner::Admin);
    assert!(rule("{secret.key}", fail("no")).honours("key", &binding));
    for other in [rule("{secret.key}", fail("other")), rule("{secret.key}!", fail("no")), rule("{secret.key}", call("two"))] {
        assert!(!other.honours("key", &binding));
    }
}

#[test]
fn f2_a_flow_refers_to_fifty_parts_of_responses_at_most() {
    let steps = |count: usize| {
        let text = (0..count).map(|number| format!("{{steps.one.body.k{number}}}")).collect::<Vec<_>>().concat();
        json!([call("one"), {"name": "two", "call": {"method": "POST", "url": "https://a.example/", "body": {"format": "raw", "content_type": "text/plain", "text": text}}}])
    };
    assert_eq!(faults(&steps(50)), []);
    refused(&steps(51), "/steps", "expected at most 50 different parts of responses, got 51");
}

#[test]
fn f2_a_flow_waits_a_hundred_times_at_most() {
    let wait = |name: &str| json!({"name": name, "wait": {"seconds": 1}});
    let back = json!({"name": "again", "switch": [{"when": [{"operator": "always"}], "go": "a"}], "go": "send"});
    let plan = plan(&json!([wait("a"), wait("b"), wait("c"), wait("d"), back, call("send")]));
    let event = sample::event();
    let mut now = event.occurred_at;
    let mut progress = Progress::first(&plan, 0, now);
    for waited in 0.. {
        let walk = |scope: &Scope<'_>| plan.walk(progress, &Scope { now, steps: scope.steps.clone(), ..*scope }, 0, 1);
        let walked = sample::in_scope(&event, None, walk);
        progress = walked.progress;
        match walked.stance {
            Stance::Wait(until, _) => now = until,
            Stance::End(state, reason) => {
                let why = "step a: the flow has waited 100 times";
                assert_eq!((waited, state, reason.as_str()), (100, crate::delivery::State::Exhausted, why));
                return;
            }
            Stance::Send | Stance::Listen(..) => panic!("it waits"),
        }
    }
}
