//! Q5: a secret arrives at its receiver in clear, and is visible nowhere else, even if the receiver sends it back in every way.

use std::{fmt::Write as _, fs, path::Path};

use rusqlite::{Connection as Database, OpenFlags, types::ValueRef};
use tracking_core::{caller::Caller, json, json::Value};
use tracking_engine::DeliveryFilter;
use tracking_tests::{
    own_process::run_in_own_process,
    traces::Traces,
    world::{event, transaction},
};

use crate::sending::support::{Connection, Receiver, engine, post, rule, sender, soon, store, work};

/// A secret with the characters that escapes treat differently.
const TOKEN: &str = "a/b Zx9Qv7Lm2Wk4\"ž+\\&?~";
/// A secret that is the beginning of `LONG`.
const INNER: &str = "Jd4Kf7Ws";
/// A secret that begins with `INNER`.
const LONG: &str = "Jd4Kf7WsRt5Yb8Nc3Ph6";
/// The texts that must not be found: letters and digits from the secrets, which no escape touches, and the secrets in base 64.
const NEEDLES: [&str; 7] = [
    "Zx9Qv7Lm2Wk4",
    "Jd4Kf7Ws",
    "Rt5Yb8Nc3Ph6",
    "YS9iIFp4OVF2N0xtMldrNCLFvitcJj9-",
    "YS9iIFp4OVF2N0xtMldrNCLFvitcJj9+",
    "SmQ0S2Y3V3M",
    "SmQ0S2Y3V3NSdDVZYjhOYzNQaDY",
];

/// Percent-encodes a text in one of the ways in which libraries differ.
fn percent(text: &str, plus: bool, upper: bool) -> String {
    let one = |byte: u8| match byte {
        b' ' if plus => "+".to_owned(),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        other if upper => format!("%{other:02X}"),
        other => format!("%{other:02x}"),
    };
    text.bytes().map(one).collect()
}

/// Escapes a text as writers do that keep to ASCII.
fn ascii(text: &str) -> String {
    let one = |c: char| match c {
        ' '..='~' => c.to_string(),
        c => format!("\\u{:04x}", u32::from(c)),
    };
    text.chars().map(one).collect()
}

/// Returns a request in all the ways in which receivers write it back.
fn echoes(request: &str) -> Vec<String> {
    let json = Value::from(request).to_string();
    let slashes = json.replace('/', "\\/");
    vec![
        request.to_owned(),
        ascii(&json),
        ascii(&slashes),
        json,
        slashes,
        percent(TOKEN, false, false),
        percent(TOKEN, true, true),
        percent(TOKEN, true, false),
        TOKEN.replace('&', "&amp;").replace('"', "&quot;"),
        format!("{INNER} {LONG} {}", NEEDLES[3..].join(" ")),
    ]
}

#[track_caller]
fn nowhere(what: &str, bytes: &[u8]) {
    for needle in NEEDLES {
        let found = bytes.windows(needle.len()).position(|window| window == needle.as_bytes());
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(100)..(at + 60).min(bytes.len())];
            panic!("{what} holds {needle}: …{}…", String::from_utf8_lossy(around));
        }
    }
}

/// Returns every value of every table, as text.
fn dump(folder: &Path) -> String {
    let database = Database::open_with_flags(folder.join("tracking.db"), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let names: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut dump = String::new();
    for name in names {
        let mut statement = database.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let width = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..width {
                match row.get_ref(column).unwrap() {
                    ValueRef::Text(text) => dump.push_str(&String::from_utf8_lossy(text)),
                    other => write!(dump, "{other:?}").unwrap(),
                }
                dump.push('|');
            }
            dump.push('\n');
        }
    }
    dump
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// A receiver that sends back each request: first as a temporary fault, then as an answer with response data, then as a failure.
async fn echoing() -> Receiver {
    Receiver::playing(|mut connection: Connection| async move {
        for status in [503, 200, 400].into_iter().cycle() {
            let Some(request) = connection.request().await else { return };
            let echoes = echoes(&request);
            let body = match status {
                200 => json!({"echo": echoes, "id": TOKEN, "token": INNER}).to_string(),
                503 => echoes.join("\n"),
                _ => format!("token={}&all={}", percent(TOKEN, true, true), percent(&request, true, false)),
            };
            let head = format!("HTTP/1.1 {status} {TOKEN}\r\nX-Echo: {TOKEN}\r\nSet-Cookie: t={TOKEN}\r\n");
            connection.say(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
        }
    })
    .await
}

/// Returns a rule with secrets in every place of its request, which extracts all that it can from the response.
fn with_secrets_everywhere(receiver: &Receiver) -> Value {
    let set = json!({"external_id": "{body.id}", "variables": {"all": "{body.echo}", "first": "{body.echo[0]}", "token": "{body.token}", "header": "{header.x-echo}"}});
    json!({
        "name": "r", "secret_values": {"inner": INNER, "long": LONG, "token": TOKEN},
        "request": {
            "method": "POST", "url": receiver.url("/p/{secret.token}?u={secret.token}"),
            "query": [{"name": "q", "value": "{secret.token}"}, {"name": "b", "value": "{secret.token|base64}"}],
            "headers": [{"name": "Authorization", "value": "Bearer {secret.token} {secret.long}"}, {"name": "X-Basic", "value": "Basic {secret.inner|base64}"}],
            "body": {"format": "json", "fields": [{"path": "t", "value": "{secret.token}"}]},
        },
        "retry": {"max_retries": 1, "delay_seconds": 1, "backoff": "fixed"},
        "answer": {"rules": [{"when": [{"source": "http_code", "operator": "equals", "value": "200"}], "then": "pending", "set": set}], "otherwise": "retry"},
    })
}

/// Checks that a request holds the secrets as its rule says.
#[track_caller]
fn holds_the_secrets(request: &str) {
    let percent = "a%2Fb%20Zx9Qv7Lm2Wk4%22%C5%BE%2B%5C%26%3F~";
    let line = format!("POST /p/{percent}?u={percent}&q={percent}&b=YS9iIFp4OVF2N0xtMldrNCLFvitcJj9%2B HTTP/1.1\r\n");
    assert!(request.starts_with(&line), "{request}");
    assert!(
        request.contains(&format!("\r\nAuthorization: Bearer {TOKEN} {LONG}\r\nX-Basic: Basic SmQ0S2Y3V3M=\r\n")),
        "{request}"
    );
    assert!(request.ends_with("\r\n\r\n{\"t\":\"a/b Zx9Qv7Lm2Wk4\\\"ž+\\\\&?~\"}"), "{request}");
}

#[test]
fn q5_only_the_receiver_gets_the_secrets() {
    run_in_own_process("sending::secrets::store_log_and_traces_are_searched");
}

#[tokio::test]
#[ignore = "listens to all traces of its process: another test runs it in one of its own"]
async fn store_log_and_traces_are_searched() {
    let traces = Traces::of_all();
    let receiver = echoing().await;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let engine = engine(store.clone(), true);
    let sender = sender();
    let made = rule(&engine, with_secrets_everywhere(&receiver)).await.unwrap();
    for n in 1..=3 {
        let conversion = json!({"conversion_id": format!("cnv_{n}")});
        post(&engine, &event(&format!("chg_{n}"), conversion, json!([transaction(&format!("trx_{n}"), "created", "approved")])))
            .await;
        soon(work(&engine, &store, &sender)).await;
    }

    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        holds_the_secrets(request);
    }

    let log = engine.log().list(&Caller::Admin, &DeliveryFilter::default(), 10, None).await.unwrap().items;
    let states: Vec<_> = log.iter().map(|item| (item["conversion_id"].clone(), item["state"].clone())).collect();
    assert_eq!(states.len(), 3, "{states:?}");
    for item in &log {
        let delivery =
            engine.log().delivery(&Caller::Admin, &serde_json::from_str(&item["id"].to_string()).unwrap()).await.unwrap();
        nowhere("the log", delivery.to_string().as_bytes());
        let request = &delivery["log"][0]["request"];
        assert!(request["url"].as_str().unwrap().ends_with("/p/***?u=***&q=***&b=Kioq"), "{request}");
        assert_eq!(
            (&request["headers"]["Authorization"], &request["body"]),
            (&json!("Bearer *** ***"), &json!("{\"t\":\"***\"}"))
        );
    }
    nowhere("the rule", serde_json::to_vec(&made.resource).unwrap().as_slice());
    let published = store.published(None, 100).unwrap();
    assert!(published.iter().any(|event| event.detail_type == "Conversion Result Received"), "the response had a result");

    let dumped = dump(folder.path());
    assert!(dumped.contains("***") && dumped.contains("Conversion Result Received"), "the dump shows what is stored");
    nowhere("the store", dumped.as_bytes());
    for (name, bytes) in files(folder.path()) {
        nowhere(&name, &bytes);
    }
    drop((engine, store));
    for (name, bytes) in files(folder.path()) {
        nowhere(&name, &bytes);
    }
    let traces = traces.text();
    assert!(traces.contains("attempt concluded"), "the traces show what is done");
    nowhere("the traces", traces.as_bytes());
}
