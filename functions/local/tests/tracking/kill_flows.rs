//! `kill -9` of the running server under flows of three steps, again and again on the same folder: every flow ends, and no step whose end
//! was recorded is sent again (W3).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request, http::StatusCode};
use serde_json::{Value, json};

use crate::{
    kill::{FLAGS, by_rule_and_conversion, killed_again_and_again, log_at_rest},
    support::{Server, folder},
};

/// More repeats of a step than the likely number of kills that cut one delivery off.
const MAX_RETRIES: usize = 12;

/// The requests of each delivery in the order in which they came: step, run and attempt.
type Seen = Arc<Mutex<BTreeMap<String, Vec<(String, String, u32)>>>>;

/// A receiver that fails some steps at first, answers some as pending, and gives each delivery a value for its later steps.
async fn receiver() -> (String, Seen) {
    let seen: Seen = Arc::default();
    let noted = Arc::clone(&seen);
    let take = move |request: Request| {
        let noted = Arc::clone(&noted);
        async move {
            let header = |name: &str| request.headers()[name].to_str().expect("our headers are text").to_owned();
            let id = header("tracking-delivery-id");
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (_, attempt) = query.rsplit_once("n=").expect("the attempt is the last parameter");
            let attempt: u32 = attempt.parse().expect("a number");
            let step = header("tracking-step");
            if step != "one" {
                assert!(query.contains(&format!("v=V-{id}&")), "a later step reads what the first one gave: {query}");
            }
            let mut seen = noted.lock().expect("nobody panics with it");
            let requests = seen.entry(id.clone()).or_default();
            let is_first = requests.iter().all(|(before, ..)| *before != step);
            let kind = (id.bytes().last().unwrap_or_default() + step.bytes().next().unwrap_or_default()) % 8;
            requests.push((step, header("tracking-run"), attempt));
            let body = |status: &str| json!({"status": status, "value": format!("V-{id}")}).to_string();
            match kind {
                0 if is_first => (StatusCode::SERVICE_UNAVAILABLE, body("down")),
                1 if is_first => (StatusCode::OK, body("pending")),
                _ => (StatusCode::OK, body("ok")),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
    (url, seen)
}

fn flow(receiver: &str) -> Value {
    let pending = json!([{"source": "body", "key": "status", "operator": "equals", "value": "pending"}]);
    let step = |name: &str| {
        json!({
            "name": name,
            "call": {"url": format!("{receiver}/{name}?v={{steps.one.body.value}}&n={{attempt}}"), "timeout_seconds": 2},
            "answer": {"rules": [{"when": pending, "then": "pending"}]},
            "retry": {"max_retries": MAX_RETRIES, "delay_seconds": 1, "backoff": "fixed"},
        })
    };
    json!({"name": "flow", "steps": [
        step("one"),
        {"name": "noted", "set": {"variables": {"noted": "{steps.one.body.value}"}}},
        step("two"),
        {"name": "rest", "wait": {"seconds": 1}},
        step("three"),
    ]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w3_twenty_kills_under_flows_lose_nothing_and_repeat_no_finished_step() {
    let data = folder();
    let (receiver, seen) = receiver().await;
    let mut server = Server::start(data.path(), &FLAGS);
    let made = server.call("POST /tracking-apis", flow(&receiver)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let rule = made.body["id"].as_str().expect("an id").to_owned();
    let accepted = killed_again_and_again(&mut server, data.path()).await;
    let log = log_at_rest(&server).await;
    let found = by_rule_and_conversion(&log);
    for number in &accepted {
        let own = found.get(&(rule.clone(), format!("cnv_{number}"))).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(own.len(), 1, "cnv_{number}: {own:?}");
        // An attempt that a kill cut off is spent; many kills can spend those of a step.
        let ended = own[0]["state"] == "delivered" || own[0]["reason"].as_str().is_some_and(|reason| reason.contains("cut off"));
        assert!(ended, "{}", own[0]);
    }
    let seen = seen.lock().expect("nobody panics with it").clone();
    let delivered = log.iter().filter(|item| item["state"] == "delivered");
    for id in delivered.filter_map(|item| item["id"].as_str()) {
        let steps: BTreeSet<&str> = seen[id].iter().map(|(step, ..)| step.as_str()).collect();
        assert_eq!(steps, BTreeSet::from(["one", "three", "two"]), "{id} is delivered: {:?}", seen[id]);
    }
    let mut repeated = 0;
    for (id, requests) in &seen {
        assert!(log.iter().any(|item| item["id"] == **id), "{id} was sent and is not in the log");
        repeated += u32::from(goes_forward(id, requests));
        finished_stays_finished(&server, id, requests).await;
    }
    assert!(repeated > 0, "no step was sent again: the kills and the receiver's faults tested nothing");
}

/// Checks that steps are sent in order, each in one run and within its attempts. Returns true if a step was repeated.
fn goes_forward(id: &str, requests: &[(String, String, u32)]) -> bool {
    let position = |step: &str| ["one", "two", "three"].iter().position(|known| *known == step);
    assert!(requests.is_sorted_by_key(|(step, ..)| position(step)), "{id} went back: {requests:?}");
    assert!(requests.is_sorted_by(|one, other| one.2 < other.2), "{id} sent an attempt twice: {requests:?}");
    assert!(requests.iter().all(|(_, run, _)| run == "1"), "{id} ran a step twice: {requests:?}");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (step, ..) in requests {
        *counts.entry(step).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count <= MAX_RETRIES + 1), "{id} repeated a step too often: {requests:?}");
    counts.values().any(|count| *count > 1)
}

/// Checks that nothing was sent for a step after an attempt of it that the log calls delivered.
async fn finished_stays_finished(server: &Server, id: &str, requests: &[(String, String, u32)]) {
    let steps: BTreeSet<&str> = requests.iter().map(|(step, ..)| step.as_str()).collect();
    if steps.len() == requests.len() {
        return;
    }
    let delivery = server.get(&format!("/deliveries/{id}")).await;
    for attempt in delivery["log"].as_array().into_iter().flatten().filter(|attempt| attempt["verdict"] == "delivered") {
        let number = attempt["attempt"].as_u64().expect("a number");
        let later = requests.iter().find(|(step, _, sent)| attempt["step"] == **step && u64::from(*sent) > number);
        assert_eq!(later, None, "{id} sent a finished step again: {requests:?} {delivery}");
    }
}
