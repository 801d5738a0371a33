//! `kill -9` of the running server under load, again and again on the same folder: every event that it accepted leads to an ended delivery
//! after a restart, within the limits (P1, P2, L1).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::Request, http::StatusCode};
use serde_json::{Value, json};

use crate::support::{Server, folder};

const ROUNDS: u32 = 20;
pub(crate) const MAX_RETRIES: usize = 3;
pub(crate) const FLAGS: [&str; 1] = ["--allow-private-targets"];

/// The attempt of each request, by delivery id.
type Seen = Arc<Mutex<HashMap<String, Vec<String>>>>;

/// A receiver that fails some first attempts and answers some as pending once.
async fn receiver() -> (String, Seen) {
    let seen: Seen = Arc::default();
    let noted = Arc::clone(&seen);
    let take = move |request: Request| {
        let noted = Arc::clone(&noted);
        async move {
            let id = request.headers()["tracking-delivery-id"].to_str().expect("our ids are text").to_owned();
            let query = request.uri().query().unwrap_or_default();
            let attempt = query.rsplit('=').next().unwrap_or_default().to_owned();
            let kind = id.bytes().last().unwrap_or_default() % 8;
            let is_first = attempt == "1";
            noted.lock().expect("nobody panics with it").entry(id).or_default().push(attempt);
            match kind {
                0 if is_first => (StatusCode::SERVICE_UNAVAILABLE, "{}"),
                1 if is_first => (StatusCode::OK, r#"{"status":"pending"}"#),
                _ => (StatusCode::OK, r#"{"status":"ok"}"#),
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it listens"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(take)).await });
    (url, seen)
}

fn sale(number: u32) -> Value {
    let mut sale = crate::support::sale(number);
    // Half of them are settled at once: the final rule sends those.
    sale["detail"]["transactions"][0]["result"] = json!(if number.is_multiple_of(2) { "approved" } else { "pending" });
    sale
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_twenty_kills_under_load_lose_nothing_that_was_accepted() {
    let data = folder();
    let (receiver, seen) = receiver().await;
    let mut server = Server::start(data.path(), &FLAGS);
    let pending = json!([{"source": "body", "key": "status", "operator": "equals", "value": "pending"}]);
    let rule = |name: &str, delay: Value| {
        json!({
            "name": name, "delay": delay, "retry": {"max_retries": MAX_RETRIES, "delay_seconds": 1, "backoff": "fixed"},
            "answer": {"rules": [{"when": pending, "then": "pending"}]},
            "request": {"url": format!("{receiver}/{name}?c={{conversion_id}}&n={{attempt}}"), "timeout_seconds": 2},
        })
    };
    let mut rules = Vec::new();
    for (name, delay) in [("each", json!({"mode": "none"})), ("final", json!({"mode": "final"}))] {
        let made = server.call("POST /tracking-apis", rule(name, delay)).await;
        assert_eq!(made.status, 201, "{}", made.body);
        rules.push(made.body["id"].as_str().expect("an id").to_owned());
    }
    let accepted = killed_again_and_again(&mut server, data.path()).await;
    let log = log_at_rest(&server).await;
    let found = by_rule_and_conversion(&log);
    for number in &accepted {
        for (rule, state) in [(&rules[0], "delivered"), (&rules[1], if number % 2 == 0 { "delivered" } else { "held" })] {
            let own = found.get(&(rule.clone(), format!("cnv_{number}"))).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(own.len(), 1, "cnv_{number} of {rule}: {own:?}");
            // An attempt that a kill cut off is spent; many kills can spend them all.
            let ended = own[0]["state"] == state || own[0]["reason"].as_str().is_some_and(|reason| reason.contains("cut off"));
            assert!(ended, "{}", own[0]);
        }
    }
    sent_once(&seen.lock().expect("nobody panics with it"), &log);
}

/// Kills the server twenty times under load and restarts it. Returns the numbers of the sales that it accepted.
pub(crate) async fn killed_again_and_again(server: &mut Server, data: &Path) -> BTreeSet<u32> {
    let mut accepted: BTreeSet<u32> = BTreeSet::new();
    let mut next = 0;
    for round in 0..ROUNDS {
        let posting = tokio::spawn(post_until_it_fails(server.url.clone(), server.token.clone(), next));
        // Some rounds are killed while retries of earlier rounds are due.
        tokio::time::sleep(Duration::from_millis(u64::from(60 + 37 * (round % 11)))).await;
        server.signal("KILL");
        let (reached, more) = posting.await.expect("posting does not panic");
        server.reap();
        next = reached;
        accepted.extend(more);
        *server = Server::start(data, &FLAGS);
    }
    assert!(accepted.len() > 100, "only {} events were accepted: no load", accepted.len());
    accepted
}

/// Groups the deliveries of a log by rule and conversion.
pub(crate) fn by_rule_and_conversion(log: &[Value]) -> BTreeMap<(String, String), Vec<&Value>> {
    let mut found: BTreeMap<(String, String), Vec<&Value>> = BTreeMap::new();
    for item in log {
        let key = (item["tracking_api_id"].as_str().unwrap_or_default(), item["conversion_id"].as_str().unwrap_or_default());
        found.entry((key.0.to_owned(), key.1.to_owned())).or_default().push(item);
    }
    found
}

/// Posts events, beginning with this number, until the server is killed. Returns the next number, and the accepted ones.
async fn post_until_it_fails(url: String, token: String, mut number: u32) -> (u32, Vec<u32>) {
    let client = reqwest::Client::new();
    let mut accepted = Vec::new();
    loop {
        let batch: Vec<u32> = (number..number + 7).collect();
        number += 7;
        let body = json!(batch.iter().map(|number| sale(*number)).collect::<Vec<_>>()).to_string();
        let post = client.post(format!("{url}/events")).bearer_auth(&token).header("content-type", "application/json");
        match post.body(body).send().await {
            Ok(answer) if answer.status() == 202 => accepted.extend(batch),
            // The server was killed in the middle: it may have accepted the batch or not.
            _ => return (number, accepted),
        }
    }
}

/// Checks that every received request is in the log, and that no attempt arrived twice.
fn sent_once(seen: &HashMap<String, Vec<String>>, log: &[Value]) {
    let known: BTreeSet<&str> = log.iter().filter_map(|item| item["id"].as_str()).collect();
    for (id, attempts) in seen {
        assert!(known.contains(id.as_str()), "{id} was sent and is not in the log");
        let distinct: BTreeSet<&String> = attempts.iter().collect();
        assert_eq!(distinct.len(), attempts.len(), "{id} sent an attempt twice: {attempts:?}");
        assert!(attempts.len() <= MAX_RETRIES + 1, "{id} was sent {} times", attempts.len());
    }
}

/// Returns the whole log, once no delivery is open any more.
pub(crate) async fn log_at_rest(server: &Server) -> Vec<Value> {
    for _ in 0..120 {
        let mut log = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = server.get(&format!("/deliveries?limit=1000{cursor}")).await;
            log.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let open = |item: &&Value| matches!(item["state"].as_str(), Some("waiting" | "sending"));
        let waits = log.iter().filter(open).count();
        // Until its first attempt a delivery is only a message: the last accepted events may not be listed yet.
        if waits == 0 && server.get("/healthz").await["status"] == "ok" && is_idle(server, log.len()).await {
            return log;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("deliveries are still open after a minute");
}

/// Returns true if the length of the log doesn't change for a second.
async fn is_idle(server: &Server, length: usize) -> bool {
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut count = 0;
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/deliveries?limit=1000{cursor}")).await;
        count += page["items"].as_array().map_or(0, Vec::len);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count == length,
        }
    }
}
