//! The API described by itself.

use serde_json::Value;
use tracking_api::description;
use tracking_embedded::Store;

use crate::support::{ADMIN, Api};

/// The description as it lies beside the stack.
const WRITTEN: &str = include_str!("../../../../infra/openapi.json");

#[test]
fn the_description_beside_the_stack_is_that_of_the_code() {
    let told = format!("{:#}\n", description::<Store>());
    let same = told.lines().zip(WRITTEN.lines()).position(|(told, written)| told != written);
    assert!(
        told == WRITTEN,
        "infra/openapi.json differs from line {same:?} on: cargo run -- openapi > infra/openapi.json writes it"
    );
}

#[tokio::test]
async fn contract_3_the_api_describes_itself() {
    let api = Api::new();
    for who in [ADMIN, "aff_a"] {
        let told = api.get(who, "/openapi.json").await;
        assert_eq!((told.status, told.header("content-type")), (200, Some("application/json")));
        let same = told.body == serde_json::from_str::<Value>(WRITTEN).unwrap();
        assert!(same, "what is served is not what lies beside the stack");
    }
    let refused = api.get(ADMIN, "/openapi.json?x=1").await;
    assert_eq!(refused.problem(), (400, "/problems/bad-request"));
}

/// Every operation of a description: method, path, and what is told.
fn operations(description: &Value) -> Vec<(String, &str, &Value)> {
    let paths = description["paths"].as_object().expect("a description has paths");
    let each = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .expect("a path has operations")
            .iter()
            .map(move |(method, told)| (method.to_uppercase(), path.as_str(), told))
    });
    each.collect()
}

#[test]
fn every_operation_is_told_whole() {
    let description = description::<Store>();
    assert_eq!(description["openapi"], "3.1.0");
    let mut names = Vec::new();
    for (method, path, told) in operations(&description) {
        let line = format!("{method} {path}");
        names.push(told["operationId"].as_str().unwrap());
        assert!(told["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{line}");
        let answers = told["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{line}");
        for (status, answer) in answers {
            for (kind, content) in answer["content"].as_object().into_iter().flatten() {
                assert!(content["example"].is_object(), "{line} {status} has no example");
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
        if let Some(body) = told["requestBody"]["content"].as_object() {
            assert!(body.values().all(|content| content["example"].is_object()), "{line} has no example of its body");
            for status in ["400", "413", "415"] {
                owes(status, true);
            }
        }
        for parameter in told["parameters"].as_array().into_iter().flatten() {
            assert!(!parameter["example"].is_null() && parameter["description"].is_string(), "{line}: {parameter}");
        }
        let keyed = told["parameters"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == "Idempotency-Key"));
        assert_eq!(keyed, method == "POST" && !WITHOUT_KEY.contains(&line.as_str()), "{line}");
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "each name once");
}

/// The POSTs that change nothing, and need no key.
const WITHOUT_KEY: [&str; 1] = ["POST /explain"];
