//! A token from a response is used by later requests of its delivery, and nobody sees it.

use jiff::SignedDuration;
use tracking_core::{caller::Caller, json, json::Value};
use tracking_embedded::{Limits, Store};
use tracking_engine::{Clock, DeliveryFilter, Engine, Settings, secrets::Vault};
use tracking_tests::world::{HandClock, event, transaction};

use crate::sending::support::{Connection, Receiver, ok, post, rule, sender, soon, store};

/// The receiver's token.
const TOKEN: &str = "Tok-Zx9Qv7Lm2Wk4";
/// The part of it that no escape touches.
const NEEDLE: &str = "Zx9Qv7Lm2Wk4";

/// Starts a receiver that gives a token to a request without one, and echoes a request with one: once as pending, then as decided.
async fn giving_tokens() -> Receiver {
    Receiver::playing(|mut connection: Connection| async move {
        while let Some(request) = connection.request().await {
            let authorized = request.contains(&format!("Authorization: Bearer {TOKEN}\r\n"));
            let is_last = request.contains("attempt=3");
            let state = if is_last { "ok" } else { "pending" };
            let given = json!({"state": state, "access_token": TOKEN, "lead": "L-1", "seen": authorized, "echo": request});
            connection.say(ok(&given.to_string())).await;
        }
    })
    .await
}

fn document(url: &str, is_secret: bool) -> Value {
    let token = json!({"value": "{body.access_token}", "secret": is_secret});
    let mut set = json!({"external_id": "id-{body.access_token}", "variables": {
        "token": token, "lead": "{body.lead}", "copy": "Bearer {body.access_token}"}});
    if is_secret {
        // The token itself is refused there.
        set["external_id"] = "id-{body.lead}".into();
    }
    let is = |state: &str| json!([{"source": "body", "key": "state", "operator": "equals", "value": state}]);
    json!({
        "name": "tokens", "variables": {"both": "{var.lead}.{var.token}"},
        "request": {
            "url": format!("{url}?attempt={{attempt}}&signed={{var.both|base64}}"),
            "headers": [{"name": "Authorization", "value": "Bearer {var.token}",
                         "do_not_send": [{"source": "variable", "key": "token", "operator": "is_empty"}]}],
        },
        "retry": {"max_retries": 5, "delay_seconds": 60, "backoff": "fixed"},
        "answer": {"rules": [{"when": is("pending"), "then": "pending", "set": set}, {"when": is("ok"), "then": "delivered", "set": set}],
                   "otherwise": "failed"},
    })
}

/// Makes an engine on a store, with a clock that is moved by hand.
fn machine(store: &Store) -> (Engine<Store>, HandClock) {
    let clock = HandClock::default();
    let now = clock.clone();
    let settings = Settings { private_targets: true, ..Settings::default() };
    (Engine::new(store.clone(), Clock::new(move || now.now()), Vault::new(&[7; 32]), settings), clock)
}

/// Sends one postback to its end. Returns the delivery with its attempts, and the published events.
async fn sent(is_secret: bool) -> (Vec<String>, Value, String) {
    let receiver = giving_tokens().await;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let (engine, clock) = machine(&store);
    rule(&engine, document(&receiver.url("/"), is_secret)).await.unwrap();
    post(&engine, &event("chg_1", json!({}), json!([transaction("trx_1", "created", "approved")]))).await;
    let sender = sender();
    for _ in 0..4 {
        let batch = store.receive(clock.now(), &Limits::default(), 16).messages;
        assert_eq!(soon(engine.worker().work(engine.worker().queue_up(batch), &sender, None)).await, []);
        clock.pass(SignedDuration::from_mins(2));
    }
    let listed = engine.log().list(&Caller::Admin, &DeliveryFilter::default(), 10, None).await.unwrap().items;
    assert_eq!((listed.len(), &listed[0]["state"]), (1, &json!("delivered")), "{listed:?}");
    let id = serde_json::from_str(&listed[0]["id"].to_string()).unwrap();
    let delivery = engine.log().delivery(&Caller::Admin, &id).await.unwrap();
    let published: Vec<String> = store.published(None, 100).unwrap().iter().map(|event| format!("{event:?}")).collect();
    (receiver.requests(), delivery, published.join("\n"))
}

#[tokio::test]
async fn case_d1_a_secret_variable_is_sent_and_seen_by_nobody() {
    let (requests, delivery, published) = sent(true).await;
    assert_eq!(requests.len(), 3);
    assert!(!requests[0].contains("Authorization") && !requests[0].contains(NEEDLE), "{}", requests[0]);
    for request in &requests[1..] {
        assert!(request.contains(&format!("\r\nAuthorization: Bearer {TOKEN}\r\n")), "{request}");
        // base64 of L-1.Tok-Zx9Qv7Lm2Wk4
        assert!(request.contains("signed=TC0xLlRvay1aeDlRdjdMbTJXazQ%3D"), "{request}");
    }
    let shown = delivery.to_string();
    assert!(!shown.contains(NEEDLE) && !shown.contains("aeDlRdjdMbTJXazQ"), "{shown}");
    assert_eq!(delivery["log"][1]["request"]["headers"]["Authorization"], json!("Bearer ***"), "{shown}");
    let answer = delivery["log"][2]["answer"].as_str().unwrap();
    assert!(answer.contains("\"access_token\":\"***\"") && answer.contains("\"seen\":true"), "{answer}");
    assert!(
        published.contains("Conversion Result Received") && published.contains("L-1") && published.contains("id-L-1"),
        "{published}"
    );
    assert!(!published.contains(NEEDLE) && !published.contains("token") && !published.contains("copy"), "{published}");
}

#[tokio::test]
async fn case_d1_a_variable_that_is_not_secret_is_published() {
    let (_, delivery, published) = sent(false).await;
    assert_eq!(delivery["log"][1]["request"]["headers"]["Authorization"], json!(format!("Bearer {TOKEN}")));
    assert!(published.contains(&format!("id-{TOKEN}")) && published.contains("copy"), "{published}");
}

#[tokio::test]
async fn case_d1_a_trial_shows_no_secret_variable() {
    let receiver = giving_tokens().await;
    let folder = tempfile::tempdir().unwrap();
    let (engine, _) = machine(&store(folder.path()));
    let body = json!({"tracking_api": document(&receiver.url("/"), true), "send": true});
    let shown = soon(Box::pin(engine.trials().preview_rule(&Caller::Admin, &body, &sender()))).await.unwrap();
    let text = shown.to_string();
    assert!(!text.contains(NEEDLE), "{text}");
    assert_eq!(shown["told"]["variables"], json!({"copy": "***", "lead": "L-1", "token": "***"}), "{text}");
    assert_eq!(shown["told"]["external_id"], json!("id-L-1"), "{text}");
}
