//! From an event to its postback, and the log that people see.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{Receiver, Server, folder, sale};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_becomes_a_postback() {
    let data = folder();
    let server = Server::start(data.path(), &["--allow-private-targets"]);
    let receiver = Receiver::start(StatusCode::OK, Duration::ZERO).await;
    let rule = json!({
        "name": "tracker", "secret_values": {"token": "hush-hush"},
        "request": {"url": format!("{}/p?t={{transaction_id}}&k={{secret.token}}", receiver.url),
                    "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}]}});
    let made = server.call("POST /tracking-apis", rule).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let posted = server.call("POST /events", sale(1)).await;
    assert_eq!((posted.status, posted.body), (202, json!({"accepted": 1, "rejected": []})));

    let delivery = server.delivery(made.body["id"].as_str().unwrap(), "delivered").await;
    let expected = ("GET".to_owned(), "/p?t=trx_1&k=hush-hush".to_owned(), Some("Bearer hush-hush".to_owned()));
    assert_eq!(receiver.got(), [expected]);
    assert_eq!(delivery["log"][0]["status"], 200);
    let request = &delivery["log"][0]["request"];
    assert_eq!(request["headers"]["Authorization"], "Bearer ***", "{request}");
    assert!(request["url"].as_str().unwrap().starts_with(&format!("{}/p?t=trx_1&k=", receiver.url)), "{request}");
    assert!(!delivery.to_string().contains("hush"), "{delivery}");

    // A repeat is the same postback (P2).
    let again = server.call("POST /events", sale(1)).await;
    assert_eq!((again.status, &again.body["accepted"]), (202, &json!(1)));
    let other = server.call("POST /events", sale(2)).await;
    assert_eq!(other.status, 202);
    receiver.wait_for(2).await;
    assert_eq!(receiver.got()[1].1, "/p?t=trx_2&k=hush-hush");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_that_are_not_public_are_refused_unless_allowed() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    for url in ["http://127.0.0.1:9/", "http://[::1]/", "http://10.0.0.1/", "http://169.254.169.254/latest"] {
        let refused = server.call("POST /tracking-apis", json!({"name": "x", "request": {"url": url}})).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &json!("/request/url")), "{url}");
    }
    // A host name is checked when it is resolved, at the send.
    let made = server.call("POST /tracking-apis", json!({"name": "x", "request": {"url": "http://localhost:9/"}})).await;
    if made.status == 201 {
        server.call("POST /events", sale(1)).await;
        let failed = server.delivery(made.body["id"].as_str().unwrap(), "failed").await;
        assert!(failed["reason"].as_str().unwrap().contains("is not public"), "{failed}");
        assert_eq!(failed["attempts"], 1);
    } else {
        assert_eq!(made.status, 422, "{}", made.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_delivery_is_published_on_the_bus() {
    let data = folder();
    let server = Server::start(data.path(), &["--allow-private-targets"]);
    let receiver = Receiver::start(StatusCode::NOT_FOUND, Duration::ZERO).await;
    let made = server.call("POST /tracking-apis", json!({"name": "x", "request": {"url": receiver.url}})).await;
    let rule = made.body["id"].as_str().unwrap();
    let events = format!("[{},{}]", sale(1), sale(2));
    assert_eq!(server.call_as(&server.token, "POST /events", "application/json", events).await.body["accepted"], 2);
    receiver.wait_for(2).await;
    server.delivery(rule, "failed").await;
    let bus = loop {
        let bus = server.get("/bus/events").await;
        if bus["items"].as_array().unwrap().len() == 2 {
            break bus;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let first = &bus["items"][0];
    assert_eq!((&first["version"], &first["id"], &first["source"]), (&json!("0"), &json!("1"), &json!("tracking-api")));
    assert_eq!((&first["detail-type"], &first["detail"]["state"]), (&json!("Delivery Ended"), &json!("failed")));
    assert_eq!(bus["next_cursor"], json!(null));
    let page = server.get("/bus/events?limit=1").await;
    assert_eq!((&page["items"][0], &page["next_cursor"]), (first, &json!("1")));
    assert_eq!(server.get("/bus/events?after=1").await["items"], json!([bus["items"][1]]));
    assert_eq!(server.call("GET /bus/events?after=x", json!(null)).await.status, 400);
}
