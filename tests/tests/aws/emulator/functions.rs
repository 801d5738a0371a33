//! Each function on events, valid and invalid.

use serde_json::{Value, json};
use tracking_tests::{cloud::Queue, receiver::Receiver};

use crate::emulator::{
    OK,
    events::{request, sale},
    system::System,
    targets,
};

fn admin() -> Value {
    json!({"role": "admin"})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_goes_through_all_four_functions_to_the_receiver() {
    let receiver = Receiver::start(|_| OK).await;
    let system = System::of(&["ingest", "matcher", "delivery", "api"]).await;
    let rule = system.rule("aff_7", &format!("{}/?t={{transaction_id}}", receiver.url()), &json!({})).await;
    assert_eq!(system.invoke("ingest", &sale("aff_7", "cnv_1")).await, Value::Null);
    assert_eq!(system.work("matcher", Queue::Events).await.len(), 0);
    assert_eq!(system.work("delivery", Queue::Delivery).await.len(), 0);
    assert_eq!(targets(&receiver), ["/?t=trx_cnv_1"]);
    for queue in [Queue::Events, Queue::Delivery, Queue::Retry, Queue::Rejected] {
        assert_eq!(system.held(queue), 0, "{}", queue.name());
    }
    let answer = system.invoke("api", &request(&format!("GET /deliveries?tracking_api_id={rule}"), &admin(), &Value::Null)).await;
    let listed: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(listed["items"][0]["state"], "delivered", "{listed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingest_rejects_a_bad_event_with_every_fault_and_goes_on() {
    let system = System::of(&["ingest"]).await;
    let mut bad = sale("aff_7", "cnv 1");
    bad["detail"]["occurred_at"] = "yesterday".into();
    for event in [bad, json!("no event at all"), json!([1, 2])] {
        assert_eq!(system.invoke("ingest", &event).await, Value::Null);
    }
    assert_eq!((system.held(Queue::Events), system.held(Queue::Rejected)), (0, 3));
    let rejected = system.cloud.messages(Queue::Rejected);
    for fault in ["/detail/conversion/conversion_id", "/detail/occurred_at"] {
        assert!(rejected.iter().any(|body| body.contains(fault)), "{fault} in {rejected:?}");
    }
    assert_eq!(system.invoke("ingest", &sale("aff_7", "cnv_1")).await, Value::Null);
    assert_eq!(system.held(Queue::Events), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_matcher_dead_letters_a_bad_event_and_matches_the_others() {
    let receiver = Receiver::start(|_| OK).await;
    let system = System::of(&["matcher", "api"]).await;
    system.rule("aff_7", receiver.url(), &json!({})).await;
    system.cloud.put(Queue::Events, &sale("aff_7", "cnv_1").to_string());
    system.cloud.put(Queue::Events, "no event at all");
    system.cloud.put(Queue::Events, &sale("aff_7", "cnv_2").to_string());
    assert_eq!(system.work("matcher", Queue::Events).await.len(), 0);
    assert_eq!((system.held(Queue::Delivery), system.held(Queue::Events)), (2, 0));
    assert_eq!(system.cloud.messages(Queue::EventsDead), ["no event at all"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_matcher_sweeps_when_the_schedule_calls() {
    let system = System::of(&["matcher"]).await;
    assert_eq!(system.invoke("matcher", &json!({"sweep": true})).await, Value::Null);
    let lines = system.function("matcher").lines();
    assert!(lines.iter().any(|line| line["Sweeps"] == 1), "{lines:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delivery_dead_letters_a_bad_message_and_sends_the_others() {
    let receiver = Receiver::start(|_| OK).await;
    let system = System::of(&["matcher", "delivery", "api"]).await;
    system.rule("aff_7", receiver.url(), &json!({})).await;
    for conversion in ["cnv_1", "cnv_2"] {
        system.cloud.put(Queue::Events, &sale("aff_7", conversion).to_string());
    }
    system.work("matcher", Queue::Events).await;
    system.cloud.put(Queue::Delivery, "no message at all");
    assert_eq!(system.work("delivery", Queue::Delivery).await.len(), 0);
    assert_eq!(targets(&receiver).len(), 2);
    assert_eq!(system.cloud.messages(Queue::DeliveryDead), ["no message at all"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_answers_requests_and_asks_for_the_claims_of_the_authorizer() {
    let system = System::of(&["api"]).await;
    for (what, line, claims, expected) in [
        ("health without a token", "GET /healthz", Value::Null, 200),
        ("an admin", "GET /tracking-apis", admin(), 200),
        ("an affiliate", "GET /affiliate-postbacks", json!({"role": "affiliate", "affiliate_id": "aff_7"}), 200),
        ("nobody", "GET /tracking-apis", Value::Null, 401),
        ("somebody else", "GET /tracking-apis", json!({"role": "root"}), 403),
        ("what is not there", "GET /nothing", admin(), 404),
    ] {
        let answer = system.invoke("api", &request(line, &claims, &Value::Null)).await;
        assert_eq!(answer["statusCode"], expected, "{what}: {answer}");
    }
    let answer = system.invoke("api", &request("POST /tracking-apis", &admin(), &json!({"name": ""}))).await;
    assert_eq!(answer["statusCode"], 422, "{answer}");
    let type_of = answer["headers"]["content-type"].as_str().or(answer["multiValueHeaders"]["content-type"][0].as_str());
    assert_eq!(type_of, Some("application/problem+json"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_serves_the_description_in_infra() {
    let system = System::of(&["api"]).await;
    let answer = system.invoke("api", &request("GET /openapi.json", &admin(), &Value::Null)).await;
    let served: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).unwrap();
    let written: Value = serde_json::from_str(include_str!("../../../../infra/openapi.json")).unwrap();
    assert!(served == written, "{:.300}", answer.to_string());
    let nobody = system.invoke("api", &request("GET /openapi.json", &Value::Null, &Value::Null)).await;
    assert_eq!(nobody["statusCode"], 401, "{nobody}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_is_an_error_and_the_next_one_is_worked() {
    let system = System::of(&["matcher", "delivery", "api"]).await;
    for function in ["matcher", "delivery", "api"] {
        let answer = system.function(function).invoke(&json!("nothing that Lambda would hand over")).await;
        assert!(answer["errorType"].is_string(), "{function}: {answer}");
    }
    assert_eq!(system.invoke("matcher", &json!({"Records": []})).await, json!({"batchItemFailures": []}));
    assert_eq!(system.invoke("delivery", &json!({"Records": []})).await, json!({"batchItemFailures": []}));
    assert_eq!(system.invoke("api", &request("GET /healthz", &Value::Null, &Value::Null)).await["statusCode"], 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_with_wrong_settings_reports_all_of_them_and_does_not_start() {
    let wrong = [("TRACKING_TABLE", None), ("TRACKING_LOG_RETENTION_DAYS", Some("7")), ("TRACKING_KEEP_EVENTS", Some("perhaps"))];
    let all = ["ingest", "matcher", "delivery", "api"];
    let system = System::with(&all, &wrong).await;
    for function in all {
        let answer = system.function(function).invoke(&json!({})).await;
        assert!(answer["errorType"].is_string(), "{function}: {answer}");
        let log = system.function(function).log();
        for (name, _) in wrong {
            assert!(log.contains(name), "{function} says nothing of {name}: {log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_json_at_the_level_that_lambda_says() {
    let system = System::of(&["ingest"]).await;
    system.invoke("ingest", &json!("no event at all")).await;
    let lines = system.function("ingest").lines();
    let warned = lines.iter().find(|line| line["level"] == "WARN").unwrap_or_else(|| panic!("no warning: {lines:#?}"));
    assert_eq!(warned["message"], "a bad event was rejected");
    let metrics = lines.iter().find(|line| line["_aws"].is_object()).unwrap_or_else(|| panic!("no metrics: {lines:#?}"));
    assert_eq!(metrics["Rejected"], 1);
    let quiet = System::with(&["ingest"], &[("AWS_LAMBDA_LOG_LEVEL", Some("ERROR"))]).await;
    quiet.invoke("ingest", &json!("no event at all")).await;
    let lines = quiet.function("ingest").lines();
    assert!(!lines.iter().any(|line| line["level"] == "WARN"), "{lines:#?}");
}
