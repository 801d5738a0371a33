//! A crowd of clients that send nothing, or half of something, at a server with few file descriptors.

use std::{io::Write as _, net::TcpStream, time::Duration};

use axum::http::StatusCode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::support::{Receiver, Server, folder, sale};

/// Raises the limit of descriptors, so that this process can open the crowd's ends.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current < limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("the soft limit may be the hard one");
    }
}

/// Opens connections that have sent this part of a request. A connection that the server closes stays open at this end.
fn crowd(server: &Server, count: usize, begin: &str) -> Vec<TcpStream> {
    let address = server.url.strip_prefix("http://").expect("it is a URL");
    let open = |_| {
        let mut client = TcpStream::connect(address).expect("the server accepts");
        // The server may have closed it.
        let _closed = client.write_all(begin.as_bytes());
        client
    };
    (0..count).map(open).collect()
}

/// Checks that a server works with this many descriptors and this crowd.
async fn check(descriptors: u32, crowds: &[(usize, &str)], as_admin: bool) {
    raise_descriptors();
    let data = folder();
    let receiver = Receiver::start(StatusCode::SERVICE_UNAVAILABLE, Duration::ZERO).await;
    let server = Server::start_with_descriptors(descriptors, data.path(), &["--allow-private-targets"]);
    let rule = json!({
        "name": "x", "request": {"url": receiver.url},
        "retry": {"max_retries": 2, "delay_seconds": 1, "backoff": "fixed"},
    });
    let made = server.call("POST /tracking-apis", rule).await;
    let rule = made.body["id"].as_str().expect("an id").to_owned();
    let authorization = if as_admin { format!("Authorization: Bearer {}\r\n", server.token) } else { String::new() };
    let mut clients = Vec::new();
    for (count, begin) in crowds {
        clients.extend(crowd(&server, *count, &begin.replace("Authorization\r\n", &authorization)));
    }
    assert_eq!(server.get("/healthz").await, json!({"status": "ok"}));
    let taken = server.call("POST /events", sale(1)).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    // Both retries are sent while the crowd is connected, and each meets the receiver.
    let delivery = server.delivery(&rule, "exhausted").await;
    assert_eq!((&delivery["attempts"], receiver.got().len()), (&json!(3), 3), "{delivery}");
    for attempt in delivery["log"].as_array().expect("a list") {
        assert_eq!(attempt["status"], 503, "{attempt}");
    }
    assert_eq!(server.get("/healthz").await, json!({"status": "ok"}));
    drop(clients);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

const HALF_A_HEAD: &str = "POST /events HTTP/1.1\r\nHost: tracking\r\nContent-Le";
const HALF_A_BODY: &str = "POST /events HTTP/1.1\r\nHost: tracking\r\nAuthorization\r\nContent-Length: 1000\r\n\r\n[{";
const UNREAD: &str = "GET /openapi.json HTTP/1.1\r\nHost: tracking\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f6_idle_and_half_sent_requests_stop_nothing() {
    check(128, &[(1_000, ""), (1_000, HALF_A_HEAD)], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f6_few_descriptors_are_enough() {
    check(64, &[(1_000, ""), (1_000, HALF_A_HEAD)], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f6_half_bodies_and_unread_responses_stop_nothing() {
    let pipelined = UNREAD.repeat(100);
    check(128, &[(300, HALF_A_BODY), (300, &pipelined)], true).await;
}
