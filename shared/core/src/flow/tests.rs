//! Plans: refused ones (W9), the ends of waits (W14), the order of steps (W1, W2).

use super::*;
use crate::{
    caller::Owner,
    testing,
    tracking_api::{RuleDefinition, Settings},
};

mod checks;
mod hostile;
mod waits;

/// The faults of a rule with these steps.
fn faults(steps: &Value) -> Vec<(String, String)> {
    let document = json!({"name": "flow", "steps": steps});
    let mut masters = Masters::default();
    for mirror in Mirror::of_document(&document) {
        masters.insert(mirror, json!({"call": {"url": "https://a.example/"}}));
    }
    let settings = Settings { has_public_url: true, ..Settings::default() };
    match RuleDefinition::parse_with(&document, &Owner::Admin, &settings, &masters) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.0.into_iter().map(|fault| (fault.pointer, fault.detail)).collect(),
    }
}

/// The plan of a rule with these steps.
fn plan(steps: &Value) -> Plan {
    let document = json!({"name": "flow", "steps": steps});
    RuleDefinition::parse(&document, &Owner::Admin, &Settings::default()).unwrap_or_else(|faults| panic!("{faults}")).plan
}

fn call(name: &str) -> Value {
    json!({"name": name, "call": {"url": format!("https://a.example/{name}")}})
}

fn with(mut step: Value, members: Value) -> Value {
    let (Value::Object(step_members), Value::Object(members)) = (&mut step, members) else { panic!("objects") };
    step_members.extend(members);
    step
}

/// The flow at the beginning of docs/flows.md: a login, a status query, a report on large sales within office hours.
pub(crate) fn example() -> Value {
    json!([
        {"name": "login", "when": [{"source": "variable", "key": "token", "operator": "is_empty"}],
         "call": {"method": "POST", "url": "https://api.bank.example/login", "timeout_seconds": 10,
                  "body": {"format": "json", "fields": [{"path": "user", "value": "tracking"}, {"path": "password", "value": "{secret.password}"}]}},
         "answer": {"hide": true, "rules": [{"when": [{"source": "http_code", "operator": "equals", "value": "200"}], "then": "delivered",
             "set": {"variables": {"token": {"value": "{body.access_token}", "secret": true, "keep_seconds": "{body.expires_in|subtract:60}"}}}}]}},
        {"name": "status",
         "call": {"url": "https://api.bank.example/leads/{external_id}", "headers": [{"name": "Authorization", "value": "Bearer {var.token}"}]},
         "answer": {"rules": [
             {"when": [{"source": "http_code", "operator": "equals", "value": "401"}], "forget": ["token"], "go": "login"},
             {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}], "then": "pending", "go": "login"},
             {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "approved|rejected"}], "then": "delivered",
              "set": {"result": "{body.status}", "payout": "{body.amount}", "variables": {"amount": "{body.amount}"}}}]},
         "retry": {"max_retries": 30, "delay_seconds": 3600, "backoff": "fixed"}},
        {"name": "is_large", "switch": [{"when": [{"source": "variable", "key": "amount", "operator": "bigger_than", "value": "1000"}], "go": "hours"}], "go": "end"},
        {"name": "hours", "wait": {"within": {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "09:00", "to": "17:00", "time_zone": "Europe/Prague"}}},
        {"name": "report", "call": {"method": "POST", "url": "https://hooks.example/large-sale", "body": {"format": "json", "fields": [{"path": "id", "value": "{conversion_id}"}]}}}
    ])
}

#[test]
fn w1_the_form_that_was_written_is_given_back() {
    let document = json!({"name": "flow", "steps": example()});
    let definition = RuleDefinition::parse(&document, &Owner::Admin, &Settings::default()).unwrap();
    let shown = definition.document();
    assert_eq!(shown.get("request"), None);
    let again = RuleDefinition::parse(&shown, &Owner::Admin, &Settings::default()).unwrap();
    assert_eq!(again.document(), shown);
    assert_eq!(shown["steps"][0]["answer"]["hide"], json!(true));
    assert_eq!(shown["steps"][1]["answer"]["rules"][0], example()[1]["answer"]["rules"][0]);
    assert_eq!(shown["steps"][3]["wait"], example()[3]["wait"]);
    assert_eq!(definition.secret_names().into_iter().collect::<Vec<_>>(), ["password"]);
    assert_eq!(definition.plan.secret_variables().iter().collect::<Vec<_>>(), ["token"]);
}

#[test]
fn w1_the_catalogue_s_examples_are_steps() {
    for kind in STEP_KINDS {
        let step = json::parse(kind.example.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", kind.kind));
        assert!(step.get(kind.kind).is_some(), "{}", kind.kind);
        let url = if kind.kind == "listen" { "https://a.example/?u={callback_url}" } else { "https://a.example/" };
        let first = json!({"name": "first", "call": {"url": url}});
        let mut steps = vec![first, step.clone(), call("report")];
        if step["name"] == "report" {
            steps.pop();
        }
        let found: Vec<_> =
            faults(&Value::from(steps)).into_iter().filter(|(_, detail)| !detail.contains("never reached")).collect();
        assert_eq!(found, [], "{}", kind.kind);
    }
}

#[test]
fn w8_a_variable_made_of_a_secret_is_secret() {
    let steps = json!([
        {"name": "sign", "set": {"variables": {"text": "{pcid}:{secret.key}", "more": "x{var.text}", "plain": "{pcid}"}}},
        call("send"),
    ]);
    assert_eq!(plan(&steps).secret_variables().iter().collect::<Vec<_>>(), ["more", "text"]);
}

#[test]
fn w2_what_is_not_written_is_read_back_as_it_was() {
    let now = "2026-11-22T09:00:00Z".parse().unwrap();
    let mut progress = Progress::first(&plan(&json!([call("one")])), 0, now);
    let stored = serde_json::to_string(&progress).unwrap();
    assert_eq!(stored, r#"{"step":"one","began":"2026-11-22T09:00:00Z","before":0}"#);
    progress.pending = true;
    progress.open.insert("two".to_owned(), 3);
    assert_eq!(serde_json::from_str::<Progress>(&serde_json::to_string(&progress).unwrap()).unwrap(), progress);
    let _ = testing::detail();
}
