//! Starting and stopping `tracking serve`.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use crate::support::{Receiver, Server, folder, run, sale, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_stops_cleanly_on_both_signals() {
    let data = folder();
    for signal in ["TERM", "INT"] {
        let server = Server::start(data.path(), &[]);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_a_running_send() {
    let data = folder();
    let receiver = Receiver::start(StatusCode::OK, Duration::from_millis(1_500)).await;
    let mut server = Server::start(data.path(), &["--allow-private-targets"]);
    let made = server.call("POST /tracking-apis", json!({"name": "x", "request": {"url": receiver.url}})).await;
    let rule = made.body["id"].as_str().unwrap().to_owned();
    server.call("POST /events", sale(1)).await;
    receiver.wait_for(1).await;
    server.signal("TERM");
    assert!(!server.has_ended(), "it waits for the answer");
    assert_eq!(server.wait().code(), Some(0));

    let server = Server::start(data.path(), &["--allow-private-targets"]);
    let delivery = server.delivery(&rule, "delivered").await;
    assert_eq!((&delivery["attempts"], receiver.got().len()), (&json!(1), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_begins_no_new_send() {
    let data = folder();
    let receiver = Receiver::start(StatusCode::OK, Duration::from_millis(1_500)).await;
    let server = Server::start(data.path(), &["--allow-private-targets"]);
    server.call("POST /tracking-apis", json!({"name": "x", "request": {"url": receiver.url}})).await;
    // Created and updated in one subject queue, from one change: one after the other.
    let mut both = sale(1);
    both["detail"]["transactions"] = json!([
        {"transaction_id": "trx_1", "change": "created", "result": "approved", "auto_set": true, "payout": "5.00", "currency": "EUR"},
    ]);
    let taken = server.call("POST /events", both).await;
    assert_eq!(taken.status, 202, "{}", taken.body);
    receiver.wait_for(1).await;
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(receiver.got().len(), 1, "the second of them waits for the next start");

    let _server = Server::start(data.path(), &["--allow-private-targets"]);
    receiver.wait_for(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_what_a_kill_cut_off_is_taken_up_again() {
    let data = folder();
    let slow = Receiver::start(StatusCode::OK, Duration::from_secs(1)).await;
    let server = Server::start(data.path(), &["--allow-private-targets"]);
    let made = server.call("POST /tracking-apis", json!({"name": "x", "request": {"url": slow.url}})).await;
    let rule = made.body["id"].as_str().unwrap().to_owned();
    server.call("POST /events", sale(1)).await;
    slow.wait_for(1).await;
    server.signal("KILL");
    server.wait();

    let server = Server::start(data.path(), &["--allow-private-targets"]);
    let delivery = server.delivery(&rule, "delivered").await;
    assert_eq!(delivery["attempts"], 2, "the attempt that was cut off is spent (L1): {delivery}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_and_a_port_have_one_server() {
    let (data, other) = (folder(), folder());
    let server = Server::start(data.path(), &[]);
    let folder = data.path().to_str().unwrap();
    let second = run(&["serve", "--listen", "127.0.0.1:0", "--data", folder]);
    assert_eq!((second.status.success(), text(&second.stdout).as_str()), (false, ""));
    assert!(text(&second.stderr).contains("is in use by another process"), "{}", text(&second.stderr));
    let address = server.url.strip_prefix("http://").unwrap();
    let second = run(&["serve", "--listen", address, "--data", other.path().to_str().unwrap()]);
    assert_eq!((second.status.success(), text(&second.stdout).as_str()), (false, ""));
    assert!(text(&second.stderr).contains(&format!("can't listen on {address}: choose")), "{}", text(&second.stderr));
}
