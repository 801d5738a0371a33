//! The description of the API.

use serde_json::Value;
use tracking_embedded::Store;
use tracking_http_api::description;

use crate::support::{ADMIN, Api};

/// The description as it lies beside the stack.
const WRITTEN: &str = include_str!("../../../../infra/openapi.json");

#[test]
fn the_description_beside_the_stack_is_that_of_the_code() {
    let document = format!("{:#}\n", description::<Store>());
    let same = document.lines().zip(WRITTEN.lines()).position(|(line, written)| line != written);
    assert!(
        document == WRITTEN,
        "infra/openapi.json differs from line {same:?} on: cargo run -- openapi > infra/openapi.json writes it"
    );
}

#[tokio::test]
async fn the_api_describes_itself() {
    let api = Api::new();
    for who in [ADMIN, "aff_a"] {
        let answer = api.get(who, "/openapi.json").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        let same = answer.body == serde_json::from_str::<Value>(WRITTEN).unwrap();
        assert!(same, "what is served is not what lies beside the stack");
    }
    let refused = api.get(ADMIN, "/openapi.json?x=1").await;
    assert_eq!(refused.problem(), (400, "/problems/bad-request"));
}

/// Every operation of a description: method, path and description.
fn operations(description: &Value) -> Vec<(String, &str, &Value)> {
    let paths = description["paths"].as_object().expect("a description has paths");
    let each = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .expect("a path has operations")
            .iter()
            .map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
    });
    each.collect()
}

#[test]
fn every_operation_is_described_completely() {
    let description = description::<Store>();
    assert_eq!(description["openapi"], "3.1.0");
    let mut names = Vec::new();
    for (method, path, operation) in operations(&description) {
        let line = format!("{method} {path}");
        names.push(operation["operationId"].as_str().unwrap());
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{line}");
        let answers = operation["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{line}");
        for (status, answer) in answers {
            for (kind, content) in answer["content"].as_object().into_iter().flatten() {
                let has_example =
                    if kind == "text/csv" { content["example"].is_string() } else { content["example"].is_object() };
                assert!(has_example, "{line} {status} has no example");
                assert_eq!(kind == "application/problem+json", !status.starts_with('2'), "{line} {status}");
            }
            assert!(status == "204" || answer["content"].is_object(), "{line} {status}");
        }
        let statuses: Vec<&str> = answers.keys().map(String::as_str).collect();
        let owes = |status: &str, owed: bool| assert_eq!(statuses.contains(&status), owed, "{line}: {status} of {statuses:?}");
        owes("401", path != "/healthz");
        if path.contains('{') {
            owes("404", true);
        }
        if let Some(body) = operation["requestBody"]["content"].as_object() {
            assert!(body.values().all(|content| content["example"].is_object()), "{line} has no example of its body");
            owes("413", true);
            // Requests of receivers may be of any media type, and are not read as JSON.
            let is_json = !body.contains_key("*/*");
            owes("400", is_json);
            owes("415", is_json);
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(!parameter["example"].is_null() && parameter["description"].is_string(), "{line}: {parameter}");
        }
        let keyed = operation["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "Idempotency-Key"));
        assert_eq!(keyed, method == "POST" && !WITHOUT_KEY.contains(&line.as_str()), "{line}");
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "each name once");
}

/// The POSTs that need no key: one changes nothing, the others remember what they did before.
const WITHOUT_KEY: [&str; 3] = ["POST /explain", "POST /callbacks/{token}", "POST /webhooks/{webhook_id}"];

/// Calls `look` with the place of each object of a description that has properties; examples are no part of it.
fn each_object<'d>(place: &str, part: &'d Value, look: &mut impl FnMut(&str, &'d Value)) {
    match part {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) {
                look(place, part);
            }
            let inner = members.iter().filter(|(name, _)| !["example", "examples", "default", "enum"].contains(&name.as_str()));
            for (name, member) in inner {
                each_object(&format!("{place}/{name}"), member, look);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                each_object(&format!("{place}/{index}"), item, look);
            }
        }
        _ => {}
    }
}

/// Returns true if a part has a description in words.
fn is_described(part: &Value) -> bool {
    part["description"].as_str().is_some_and(|text| text.len() > 3)
}

#[test]
fn case_d7_every_property_and_every_parameter_is_described() {
    let description = description::<Store>();
    let (mut properties, mut bare) = (0, Vec::new());
    each_object("", &description, &mut |place, object| {
        for (name, property) in object["properties"].as_object().expect("an object") {
            properties += 1;
            if !is_described(property) {
                bare.push(format!("{place}.{name}"));
            }
        }
    });
    for (method, path, operation) in operations(&description) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        bare.extend(parameters.filter(|one| !is_described(one)).map(|one| format!("{method} {path}: {}", one["name"])));
    }
    for (name, schema) in description["components"]["schemas"].as_object().expect("schemas") {
        if !is_described(schema) {
            bare.push(name.clone());
        }
    }
    assert!(properties > 500, "{properties} properties were found");
    assert!(bare.is_empty(), "no description: {bare:#?}");
}

/// The words that a fault offers behind `choose`.
fn choices(fault: &str) -> Option<Vec<&str>> {
    let words = fault
        .split_once("choose ")
        .or_else(|| fault.split_once("expected one of "))?
        .1
        .split(['(', ';'])
        .next()?
        .trim_end_matches('.');
    Some(words.split([',', ' ']).map(str::trim).filter(|word| !word.is_empty() && !["or", "of"].contains(word)).collect())
}

/// Sets the word at a place of a rule.
fn rule_with(pointer: &str, word: &str) -> Value {
    let mut rule = serde_json::json!({
        "name": "n", "trigger": "transaction_all", "conditions": {"source": ["link"], "result": ["approved"]},
        "request": {"method": "POST", "url": "https://a.example/",
            "body": {"format": "json", "fields": [{"path": "a", "value": "1", "type": "string"}]}},
        "retry": {"backoff": "fixed"}, "delay": {"mode": "final", "on_expiry": "expire"},
        "answer": {"rules": [{"when": [{"source": "body", "key": "a", "operator": "equals", "value": "1"}], "then": "delivered"}],
            "otherwise": "retry"},
        "signing": {"secret": "key", "header": "X-Sig", "algorithm": "hmac_sha256", "encoding": "hex"},
    });
    *rule.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is no place of the rule")) = word.into();
    rule
}

#[tokio::test]
async fn case_d7_closed_lists_of_words_are_those_that_the_code_reads() {
    let description = description::<Store>();
    let schemas = &description["components"]["schemas"];
    let words = |schema: &str, place: &str| -> Vec<String> {
        let found = schemas[schema].pointer(place).unwrap_or_else(|| panic!("{schema}{place}")).as_array().expect("a list");
        found.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
    };
    let api = Api::new();
    for (pointer, schema, place) in [
        ("/trigger", "NewTrackingApi", "/properties/trigger/enum"),
        ("/conditions/source/0", "NewConditions", "/properties/source/items/enum"),
        ("/request/method", "NewRequest", "/properties/method/enum"),
        ("/request/body/format", "NewRequest", "/properties/body/properties/format/enum"),
        ("/retry/backoff", "NewRetry", "/properties/backoff/enum"),
        ("/delay/mode", "NewDelay", "/properties/mode/enum"),
        ("/delay/on_expiry", "NewDelay", "/properties/on_expiry/enum"),
        ("/answer/otherwise", "NewAnswer", "/properties/otherwise/enum"),
        ("/answer/rules/0/then", "NewAnswerRule", "/properties/then/enum"),
        ("/answer/rules/0/when/0/source", "NewAnswerCondition", "/anyOf/0/properties/source/enum"),
        ("/answer/rules/0/when/0/operator", "NewAnswerCondition", "/anyOf/0/properties/operator/enum"),
        ("/signing/algorithm", "NewTrackingApi", "/properties/signing/properties/algorithm/enum"),
        ("/signing/encoding", "NewTrackingApi", "/properties/signing/properties/encoding/enum"),
    ] {
        let refused = api.call(ADMIN, "POST /tracking-apis", rule_with(pointer, "zebra")).await;
        let fault = refused.faults().into_iter().find(|(at, _)| *at == pointer).unwrap_or_else(|| panic!("{}", refused.text)).1;
        let mut read: Vec<String> =
            choices(fault).unwrap_or_else(|| panic!("{fault}")).into_iter().map(ToOwned::to_owned).collect();
        let mut described = words(schema, place);
        read.sort_unstable();
        described.sort_unstable();
        assert_eq!(described, read, "{pointer}: {fault}");
    }
}
