//! `tracking inspect`: the reason for which a delivery does not move, read beside a running server, from it, and after its end.

use std::{path::Path, time::Duration};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Receiver, Server, folder, run, sale, text};

const FLAGS: [&str; 1] = ["--allow-private-targets"];

/// Returns the internals of a delivery as `inspect --json` prints them.
#[track_caller]
fn inspect(more: &[&str], id: &str) -> Value {
    let shown = run(&[&["inspect", "--json", id], more].concat());
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    serde_json::from_slice(&shown.stdout).expect("it prints JSON")
}

fn name(data: &Path) -> &str {
    data.to_str().expect("temporary folders are named in text")
}

/// Makes a rule for this receiver and posts a sale. Returns the rule's id.
async fn owing(server: &Server, receiver: &Receiver, members: Value) -> String {
    let mut rule = json!({"name": "sale", "request": {"url": format!("{}/?t={{transaction_id}}", receiver.url)}});
    if let (Some(rule), Value::Object(members)) = (rule.as_object_mut(), members) {
        rule.extend(members);
    }
    let made = server.call("POST /tracking-apis", rule).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(server.call("POST /events", sale(1)).await.status, 202);
    made.body["id"].as_str().expect("a rule has an id").to_owned()
}

fn id_of(delivery: &Value) -> String {
    delivery["id"].as_str().expect("a delivery has an id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inspect_gives_the_same_reason_from_the_server_and_from_its_folder() {
    let (data, receiver) = (folder(), Receiver::start(StatusCode::SERVICE_UNAVAILABLE, Duration::ZERO).await);
    let server = Server::start(data.path(), &FLAGS);
    let rule = owing(&server, &receiver, json!({"retry": {"max_retries": 3, "delay_seconds": 3_600, "backoff": "fixed"}})).await;
    receiver.wait_for(1).await;
    let delivery = server.delivery(&rule, "waiting").await;
    let id = id_of(&delivery);
    let folder = ["--data", name(data.path())];
    let beside = inspect(&folder, &id);
    let asked = inspect(&["--server", &server.url, "--token", &server.token], &id);
    let with_its_key = inspect(&[&["--server", &server.url], &folder[..]].concat(), &id);
    let due = delivery["next_due"].as_str().expect("it is due");
    let why = format!(
        "Attempt 1 ended with: retry: status 503; attempt 2 is due at {due} and waits in a due row, which the sweep sends in time"
    );
    let without_time = |mut internals: Value| {
        internals["at"].take();
        internals
    };
    assert_eq!((&beside["cause"], &beside["until"], &beside["why"]), (&json!("due_row"), &json!(due), &json!(why)));
    assert_eq!(without_time(asked), without_time(beside.clone()));
    assert_eq!(without_time(with_its_key), without_time(beside));

    let shown = run(&[&["inspect", &id], &folder[..]].concat());
    let shown = text(&shown.stdout);
    let mut lines = shown.lines();
    assert_eq!(lines.next(), Some(format!("why               {why}").as_str()), "{shown}");
    assert!(lines.next().is_some_and(|line| line.starts_with(&format!("until             {due} (in "))), "{shown}");
    for expected in ["\nrow\n  state             waiting\n", "\nsubject queue\n", &format!("* {id}"), "\ndue rows\n  due row "] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }

    let off = server.call(&format!("PATCH /tracking-apis/{rule}"), json!({"active": false})).await;
    assert_eq!(off.status, 200, "{}", off.body);
    let ended = server.delivery(&rule, "cancelled").await;
    assert_eq!(inspect(&folder, &id_of(&ended))["cause"], "ended");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let after = inspect(&folder, &id);
    assert!(after["why"].as_str().is_some_and(|why| why.contains("switched off or deleted")), "{after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l1_a_killed_server_leaves_a_lease_that_the_next_one_does_not_honour() {
    let (data, receiver) = (folder(), Receiver::start(StatusCode::OK, Duration::from_mins(1)).await);
    let server = Server::start(data.path(), &FLAGS);
    let rule = owing(&server, &receiver, json!({})).await;
    receiver.wait_for(1).await;
    let id = id_of(&server.delivery(&rule, "sending").await);
    let folder = ["--data", name(data.path())];
    server.signal("KILL");
    let _killed = server.wait();
    let leased = inspect(&folder, &id);
    assert_eq!(leased["cause"], "lease", "{leased}");
    let lease = leased["until"].as_str().expect("a lease ends");
    let expected = format!(
        "Attempt 1 is claimed and has no record: it is being sent, or the process that claimed it died; its lease ends at {lease}"
    );
    assert_eq!(leased["why"], expected);

    let next = Server::start(data.path(), &FLAGS);
    receiver.wait_for(2).await;
    let again = inspect(&["--server", &next.url, "--token", &next.token], &id);
    let own = &again["subject_queue"]["entries"][0];
    assert_eq!((&again["cause"], &own["attempts"], &own["claim"]["incarnation"]), (&json!("lease"), &json!(2), &json!(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_a_held_one_says_until_when() {
    let (data, receiver) = (folder(), Receiver::start(StatusCode::OK, Duration::ZERO).await);
    let server = Server::start(data.path(), &FLAGS);
    let rule = owing(&server, &receiver, json!({"delay": {"mode": "final"}})).await;
    let held = inspect(&["--data", name(data.path())], &id_of(&server.delivery(&rule, "held").await));
    let until = held["until"].as_str().expect("a hold expires");
    assert_eq!(held["why"], format!("It is held until its conversion is settled, or until the hold expires at {until}"));
}

#[test]
fn inspect_says_why_it_fails() {
    let data = folder();
    let unknown = "dlv_0123456789abcdefghjkmnpqrstvwxyz";
    let refusal = |arguments: &[&str]| {
        let output = run(&[&["inspect"], arguments].concat());
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        (output.status.code(), text(&output.stderr))
    };
    let (code, why) = refusal(&["--data", name(data.path()), unknown]);
    assert_eq!(code, Some(2));
    assert!(why.ends_with("holds no data of a server: name the folder that the server uses with --data\n"), "{why}");
    let (code, why) = refusal(&["--server", "http://127.0.0.1:9", "--token", "x", unknown]);
    assert_eq!(code, Some(2));
    assert!(why.contains("http://127.0.0.1:9 can't be reached"), "{why}");
    let (code, why) = refusal(&["--data", name(data.path()), "dlv_1"]);
    assert_eq!(code, Some(2));
    assert!(why.contains("not a delivery id: dlv_ and 32 characters of a-z 0-9 are allowed"), "{why}");

    let server = Server::start(data.path(), &[]);
    let asked = ["--server", &server.url, "--token", "forged", unknown];
    let (code, why) = refusal(&asked);
    assert_eq!(code, Some(2));
    assert!(why.contains(" answers 401 Unauthorized: "), "{why}");
    for known in [&["--data", name(data.path()), unknown][..], &["--server", &server.url, "--token", &server.token, unknown]] {
        let (code, why) = refusal(known);
        assert_eq!(code, Some(1), "{why}");
        assert!(why.contains(&format!("{unknown} is not known: no row has it and no subject queue names it.")), "{why}");
    }
}
