//! Callbacks and webhooks over the running server: sent as receivers send them, and around `kill -9` (W17, W18).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::to_bytes, extract::Request};
use serde_json::{Value, json};

use crate::support::{Server, folder, sale};

const ADDRESS: &str = "https://tracking.example/base";
const FLAGS: [&str; 3] = ["--allow-private-targets", "--public-url", "https://tracking.example/base/"];
const ROUNDS: u32 = 20;

/// The requests that the receiver got: the path of the callback URL by conversion, and the queries of its reports.
#[derive(Default)]
struct Got {
    callbacks: BTreeMap<String, String>,
    reports: Vec<String>,
}

async fn receiver() -> (String, Arc<Mutex<Got>>) {
    let got: Arc<Mutex<Got>> = Arc::default();
    let noted = Arc::clone(&got);
    let take = move |request: Request| {
        let noted = Arc::clone(&noted);
        async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let body = to_bytes(request.into_body(), 65_536).await.expect("a small body");
            let mut got = noted.lock().expect("nobody panics with it");
            match serde_json::from_slice::<Value>(&body) {
                Ok(body) => {
                    let url = body["callback"].as_str().expect("a callback URL");
                    let path = url.strip_prefix(ADDRESS).unwrap_or_else(|| panic!("{url}")).to_owned();
                    got.callbacks.insert(body["conversion"].as_str().expect("its id").to_owned(), path);
                }
                Err(_) => got.reports.push(query),
            }
            "{}"
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
    (url, got)
}

fn rule(receiver: &str) -> Value {
    let fields = json!([{"path": "conversion", "value": "{conversion_id}"}, {"path": "callback", "value": "{callback_url}"}]);
    let create = json!({"name": "create",
        "call": {"method": "POST", "url": format!("{receiver}/create"), "body": {"format": "json", "fields": fields}}});
    let approves = json!({"when": [{"operator": "always"}], "then": "delivered",
        "set": {"result": "approved", "variables": {"amount": "{body.amount}"}}});
    let retry = json!({"max_retries": 10, "delay_seconds": 1, "backoff": "fixed"});
    json!({"name": "flow", "steps": [create, {"name": "hear", "listen": {"answer": {"rules": [approves]}}},
        {"name": "report", "call": {"url": format!("{receiver}/report?c={{conversion_id}}&a={{var.amount}}&n={{attempt}}")}, "retry": retry}]})
}

/// Returns the path of the callback of a conversion, once the receiver has it.
async fn callback_of(got: &Mutex<Got>, conversion: &str) -> String {
    for _ in 0..600 {
        if let Some(path) = got.lock().expect("nobody panics with it").callbacks.get(conversion) {
            return path.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no callback URL came for {conversion}");
}

async fn started(receiver: &str, data: &std::path::Path) -> (Server, String) {
    let server = Server::start(data, &FLAGS);
    let made = server.call("POST /tracking-apis", rule(receiver)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    (server, made.body["id"].as_str().expect("an id").to_owned())
}

#[tokio::test]
async fn w17_a_receiver_calls_back_over_http() {
    let data = folder();
    let (receiver, got) = receiver().await;
    let (server, rule) = started(&receiver, data.path()).await;
    assert_eq!(server.call("POST /events", sale(1)).await.status, 202);
    let path = callback_of(&got, "cnv_1").await;
    let waiting = server.delivery(&rule, "waiting").await;
    assert!(waiting["reason"].as_str().is_some_and(|reason| reason.starts_with("step hear waits for its callback")), "{waiting}");
    let status = async |line: &str, body: String| server.call_as("", line, "text/plain", body).await.status;
    assert_eq!(status(&format!("POST {path}x"), String::new()).await, 404);
    assert_eq!(status("GET /callbacks/AAAA", String::new()).await, 404);
    assert_eq!(status(&format!("DELETE {path}"), String::new()).await, 405);
    assert_eq!(status(&format!("POST {path}"), "x".repeat(65_537)).await, 413);
    let long = format!("GET {path}?q={}", "x".repeat(9_000));
    assert_eq!(status(&long, String::new()).await, 413);
    assert_eq!(status(&format!("POST {path}"), r#"{"amount": "7.50"}"#.to_owned()).await, 202);
    server.delivery(&rule, "delivered").await;
    assert_eq!(got.lock().expect("nobody panics with it").reports, ["c=cnv_1&a=7.50&n=2"]);
    assert_eq!(status(&format!("POST {path}"), r#"{"amount": "7.50"}"#.to_owned()).await, 202);
    assert_eq!(status(&format!("POST {path}"), r#"{"amount": "9"}"#.to_owned()).await, 410);
    // Without a public address no rule may hold a callback URL.
    drop(server);
    let server = Server::start(data.path(), &["--allow-private-targets"]);
    let refused = server.call("POST /tracking-apis", self::rule(&receiver)).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.to_string().contains("--public-url"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w17_twenty_kills_after_a_callback_lose_none_and_read_none_twice() {
    let data = folder();
    let (receiver, got) = receiver().await;
    let (mut server, rule) = started(&receiver, data.path()).await;
    for number in 1..=ROUNDS {
        assert_eq!(server.call("POST /events", sale(number)).await.status, 202);
        let path = callback_of(&got, &format!("cnv_{number}")).await;
        // At different moments of the delivery: at once, while the request's record is written, while it listens.
        tokio::time::sleep(Duration::from_millis(u64::from(number % 5) * 10)).await;
        let body = json!({"amount": number.to_string()}).to_string();
        assert_eq!(server.call_as("", &format!("POST {path}"), "application/json", body).await.status, 202);
        tokio::time::sleep(Duration::from_millis(u64::from(number % 4) * 3)).await;
        server.signal("KILL");
        server.reap();
        server = Server::start(data.path(), &FLAGS);
    }
    let mut log = Vec::new();
    for _ in 0..600 {
        let list = server.get(&format!("/deliveries?tracking_api_id={rule}&limit=100")).await;
        log = list["items"].as_array().expect("a list").clone();
        if log.iter().all(|item| !item["ended_at"].is_null()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(log.len(), 20);
    for item in &log {
        assert_eq!(item["state"], "delivered", "{item}");
        let delivery = server.get(&format!("/deliveries/{}", item["id"].as_str().expect("an id"))).await;
        let callbacks = delivery["callbacks"].as_array().expect("its callbacks");
        assert_eq!((callbacks.len(), callbacks[0]["verdict"].as_str()), (1, Some("delivered")), "{delivery}");
    }
    let events = server.get("/bus/events?limit=1000").await;
    let results =
        events["items"].as_array().expect("a list").iter().filter(|event| event["detail-type"] == "Conversion Result Received");
    let ids: BTreeSet<&str> = results.filter_map(|event| event["detail"]["event_id"].as_str()).collect();
    assert_eq!(ids.len(), 20, "each callback is published once, however often it is repeated");
    let reports = got.lock().expect("nobody panics with it").reports.clone();
    let each: BTreeSet<&String> = reports.iter().collect();
    assert_eq!(each.len(), reports.len(), "no attempt was sent twice: {reports:?}");
    for number in 1..=ROUNDS {
        let begin = format!("c=cnv_{number}&a={number}&n=");
        assert!(reports.iter().any(|report| report.starts_with(&begin)), "{begin} of {reports:?}");
    }
}
