//! Q5 over the whole system: secrets are written, used by every operation of the API and by every function, and echoed by a receiver. Then
//! every answer, log line, stored row, queue message and event is searched for them. Only the receiver may have them.
//!
//! The search grows with the API: the test fails if an operation that the API describes was not called.

mod echo;
mod flow;
mod run;
mod search;

use jiff::SignedDuration;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tracking_tests::own_process::run_in_own_process;

use self::{
    echo::Echo,
    run::{ADMIN, AFFILIATE, Run},
    search::{INNER, TOKEN},
};

/// Returns a rule that has its secrets in every place where a secret may be used.
fn rule(receiver: &str, name: &str) -> Value {
    let set = json!({"external_id": "{body.id}", "variables": {
        "echo": "{body.echo}", "header": "{header.x-echo}", "shout": "{header.x-shout|lower}", "encoded": "{body.encoded|lower}",
        "bytes": "{body.encoded[5]|base64decode}", "note": "{body.encoded[1]|upper}"},
        "payout": "{body.encoded[1]}", "result": "{body.id|lower}"});
    json!({
        "name": name, "secret_values": {"token": TOKEN, "inner": INNER, "signer": "whsec_Zx9Qv7Lm2Wk4Zx9Qv7Lm2Wk4Zx9Qv7Lm"},
        "signing": {"secret": "signer"},
        "request": {
            "method": "POST", "url": format!("{receiver}/p/{{secret.token}}?u={{secret.token}}&n={{attempt}}"),
            "query": [{"name": "h", "value": "{transaction_id|hmac_sha256:token}"}, {"name": "b", "value": "{secret.token|base64}"}],
            "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}, {"name": "X-Basic", "value": "Basic {secret.inner|base64}"}],
            "body": {"format": "json", "fields": [{"path": "t", "value": "{secret.token}"}, {"path": "c", "value": "{conversion_id}"}]},
        },
        "retry": {"max_retries": 2, "delay_seconds": 1, "backoff": "fixed"},
        "answer": {"rules": [
            {"when": [{"source": "http_code", "operator": "equals", "value": "202"}], "then": "pending", "set": set},
            {"when": [{"source": "http_code", "operator": "equals", "value": "200"}], "then": "delivered", "set": set},
        ]},
    })
}

/// Returns a sale of the affiliate.
pub(crate) fn sale(number: u32) -> Value {
    json!({"change_id": format!("chg_{number}"), "occurred_at": "2026-11-22T08:59:59Z",
        "conversion": {"conversion_id": format!("cnv_{number}"), "version": 1, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": AFFILIATE, "advertiser_id": "adv_2", "offer_id": "off_5", "external_id": "X-77"},
        "transactions": [{"transaction_id": format!("trx_{number}"), "result": "approved", "payout": "5.00"}]})
}

pub(crate) fn envelope(detail: &Value) -> Value {
    json!({"detail-type": "Conversion Changed", "source": "platform.conversions", "detail": detail})
}

#[test]
fn q5_secrets_are_at_the_receiver_and_nowhere_else() {
    run_in_own_process("secrecy::every_output_is_searched");
}

#[tokio::test]
#[ignore = "listens to all traces of its process: another test runs it in one of its own"]
async fn every_output_is_searched() {
    let echo = Echo::start().await;
    let mut run = Run::start();
    flow::tokens_of_a_login(&mut run, &echo).await;
    let (id, copy) = a_rule_s_life(&mut run, &echo).await;
    postbacks(&mut run, &echo).await;
    repairs(&mut run, &echo, &id).await;
    listening(&mut run, &echo).await;
    the_rest(&mut run, &id).await;
    // Likewise for an affiliate, who has no access to an admin's secrets.
    let own =
        run.call(AFFILIATE, "POST /tracking-apis", rule_of_affiliate(&echo.url)).await["id"].as_str().expect("made").to_owned();
    run.call(AFFILIATE, &format!("POST /tracking-apis/{own}/test"), json!({"send": true})).await;
    run.bus(&envelope(&sale(5))).await;
    run.pass(SignedDuration::from_secs(60)).await;
    run.call(AFFILIATE, "GET /deliveries", Value::Null).await;
    run.call(ADMIN, &format!("DELETE /tracking-apis/{}", copy.as_str().expect("an id")), Value::Null).await;
    run.pass(SignedDuration::from_secs(5)).await;

    run.every_operation_was_called();
    run.nothing_was_found();
}

/// Makes, changes, tests, copies and restores a rule. Returns its id, and the copy's.
async fn a_rule_s_life(run: &mut Run, echo: &Echo) -> (String, Value) {
    let document = rule(&echo.url, "Echo");
    run.call(ADMIN, "POST /tracking-apis/preview", json!({"tracking_api": document, "event": sale(1), "send": true})).await;
    let id = run.call(ADMIN, "POST /tracking-apis", document).await["id"].as_str().expect("it was made").to_owned();
    let path = |rest: &str| format!("/tracking-apis/{id}{rest}");
    run.call(ADMIN, &format!("PUT {}", path("/secrets/token")), json!({"value": TOKEN})).await;
    run.call(ADMIN, &format!("PUT {}", path("/secrets/spare")), json!({"value": INNER})).await;
    run.call(ADMIN, &format!("DELETE {}", path("/secrets/spare")), Value::Null).await;
    let shown = run.call(ADMIN, &format!("GET {}", path("")), Value::Null).await;
    run.call(ADMIN, &format!("PUT {}", path("")), shown).await;
    run.call(ADMIN, &format!("PATCH {}", path("")), json!({"name": "Echo, renamed", "secret_values": {"token": TOKEN}})).await;
    run.call(ADMIN, &format!("POST {}", path("/test")), json!({"event": sale(1), "send": true})).await;
    let copy = json!({"name": "Copy", "secret_values": {"token": TOKEN}});
    let copy = run.call(ADMIN, &format!("POST {}", path("/duplicate")), copy).await["id"].clone();
    let history = run.call(ADMIN, &format!("GET {}", path("/history")), Value::Null).await;
    assert!(history.to_string().contains("/secrets/token"), "the history shows that a secret changed: {history}");
    run.call(ADMIN, &format!("POST {}", path("/history/1/restore")), Value::Null).await;
    // Faults quote the input, never a secret.
    let faulty =
        json!({"name": "", "request": {"url": "ftp://x"}, "secret_values": {"token": TOKEN, "bad name": TOKEN, "list": [TOKEN]}});
    run.refused(ADMIN, "POST /tracking-apis", faulty).await;
    run.refused(ADMIN, &format!("PUT {}", path("/secrets/token")), json!({"value": TOKEN, "valeu": TOKEN})).await;
    (id, copy)
}

/// Postbacks: one that is answered pending and tried again, then fails for good; one that is delivered.
async fn postbacks(run: &mut Run, echo: &Echo) {
    for number in 1..=3 {
        run.bus(&envelope(&sale(number))).await;
    }
    run.bus(&json!({"detail-type": "Conversion Changed", "detail": {"change_id": "chg_bad"}})).await;
    run.pass(SignedDuration::from_secs(30)).await;
    assert!(echo.heard() >= 5, "the receiver was asked {} times", echo.heard());
    let list = run.call(ADMIN, "GET /deliveries", Value::Null).await;
    for item in list["items"].as_array().expect("a list") {
        let path = format!("/deliveries/{}", item["id"].as_str().expect("an id"));
        run.call(ADMIN, &format!("GET {path}"), Value::Null).await;
        run.call(ADMIN, &format!("GET {path}/internals"), Value::Null).await;
    }
}

/// The operations of people on deliveries, and their explanations.
async fn repairs(run: &mut Run, echo: &Echo, id: &str) {
    let path = |rest: &str| format!("/tracking-apis/{id}{rest}");
    let list = run.call(ADMIN, "GET /deliveries", Value::Null).await;
    let ended = list["items"].as_array().into_iter().flatten().find(|item| item["tracking_api_id"] == id);
    let ended = ended.and_then(|item| item["id"].as_str()).expect("the rule has a delivery").to_owned();
    run.call(ADMIN, &format!("POST /deliveries/{ended}/resend"), json!({"force": true})).await;
    run.call(ADMIN, &format!("POST /deliveries/{ended}/cancel"), Value::Null).await;
    let period = json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z", "dry_run": false, "force": true});
    run.call(ADMIN, &format!("POST {}", path("/replay")), period).await;
    let period = json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z", "dry_run": false});
    let late = rule(&echo.url, "Late");
    let late = run.call(ADMIN, "POST /tracking-apis", late).await["id"].as_str().expect("it was made").to_owned();
    run.call(ADMIN, &format!("POST /tracking-apis/{late}/backfill"), period).await;
    run.pass(SignedDuration::from_secs(60)).await;
    run.call(ADMIN, "POST /explain", json!({"event": sale(9)})).await;
    run.call(ADMIN, "GET /conversions/cnv_1/explain", Value::Null).await;
    let again = json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z", "dry_run": false});
    let begun = run.call(ADMIN, &format!("POST /tracking-apis/{late}/backfill"), again).await;
    let begun = format!("/replays/{}", begun["id"].as_str().expect("it was begun"));
    run.call(ADMIN, &format!("GET {begun}"), Value::Null).await;
    run.call(ADMIN, &format!("POST {begun}/cancel"), Value::Null).await;
    let rejected = run.call(ADMIN, "GET /events/rejected", Value::Null).await;
    let rejected = rejected["items"][0]["id"].as_str().expect("a bad event").to_owned();
    run.call(ADMIN, &format!("POST /events/rejected/{rejected}/resubmit"), json!({"event": sale(4)})).await;
}

/// A flow that gets a callback and a webhook, which bring secrets, and a rule that mirrors its request.
async fn listening(run: &mut Run, echo: &Echo) {
    let fields = json!([{"path": "callback", "value": "{callback_url}"}, {"path": "token", "value": "{secret.token}"}]);
    let ask = json!({"name": "ask", "call": {"method": "POST", "url": format!("{}/listen", echo.url),
        "body": {"format": "json", "fields": fields}}});
    let always =
        json!([{"when": [{"operator": "always"}], "then": "delivered", "set": {"variables": {"echoed": "{body.echo}"}}}]);
    let hear = json!({"name": "hear", "listen": {"answer": {"rules": always}}});
    let proof = json!({"incoming": "{body.key}", "expected": "{secret.token}"});
    let order = json!({"waiting": "{conversion_id}", "incoming": "{body.order}"});
    let paid = json!({"name": "paid", "listen": {"match": order, "verify": proof, "answer": {"rules": always}}});
    let rule = json!({"name": "Listening", "steps": [ask, hear, paid], "secret_values": {"token": TOKEN}});
    let rule = run.call(ADMIN, "POST /tracking-apis", rule).await["id"].as_str().expect("it was made").to_owned();
    let shown = run.call(ADMIN, &format!("POST /tracking-apis/{rule}/webhook-id"), Value::Null).await;
    let webhook = shown["webhook_id"].as_str().expect("it has a webhook").to_owned();
    let mirror = json!({"name": "ask", "mirror": {"tracking_api_id": rule, "step": "ask"}});
    let hear = json!({"name": "hear", "listen": {"timeout_seconds": 60}});
    let mirror = json!({"name": "Mirror", "steps": [mirror, hear], "secret_values": {"token": TOKEN}});
    run.call(ADMIN, "POST /tracking-apis", mirror).await;
    run.call(ADMIN, &format!("PATCH /tracking-apis/{rule}"), json!({"rate_per_second": 100})).await;
    run.bus(&envelope(&sale(6))).await;
    run.pass(SignedDuration::from_secs(30)).await;
    let callbacks = echo.callbacks();
    assert!(callbacks.len() >= 2, "{callbacks:?}");
    for path in &callbacks {
        run.call(ADMIN, &format!("GET {path}?echo={}&note=link", utf8_percent_encode(TOKEN, NON_ALPHANUMERIC)), Value::Null)
            .await;
        run.call(ADMIN, &format!("POST {path}"), json!({"echo": [TOKEN], "note": path})).await;
    }
    run.pass(SignedDuration::from_secs(30)).await;
    run.call(ADMIN, &format!("POST /webhooks/{webhook}"), json!({"order": "cnv_6", "key": TOKEN, "echo": TOKEN})).await;
    run.pass(SignedDuration::from_secs(30)).await;
    let list = run.call(ADMIN, "GET /deliveries?conversion_id=cnv_6", Value::Null).await;
    for item in list["items"].as_array().expect("a list") {
        let path = format!("/deliveries/{}", item["id"].as_str().expect("an id"));
        run.call(ADMIN, &format!("GET {path}"), Value::Null).await;
    }
}

/// The remaining operations of the API.
async fn the_rest(run: &mut Run, id: &str) {
    for line in [
        "GET /tracking-apis",
        "GET /affiliate-postbacks",
        "GET /offers",
        "GET /stats",
        "GET /stats?bucket=day",
        "GET /replays",
        "GET /receivers",
        "GET /macros",
        "GET /step-kinds",
        "GET /presets",
        "GET /openapi.json",
        "GET /healthz",
        "GET /affiliates/aff_7/quota",
    ] {
        run.call(ADMIN, line, Value::Null).await;
    }
    receivers(run).await;
    run.call(ADMIN, "PUT /offers/off_5", json!({"name": "Loan", "country": "CZ"})).await;
    run.call(ADMIN, "PUT /affiliates/aff_7/quota", json!({"rules": 30})).await;
    run.call(ADMIN, "POST /tracking-apis/bulk", json!({"ids": [id], "action": "resume"})).await;
}

/// A receiver that fails, with a rule that sends it secrets.
async fn receivers(run: &mut Run) {
    run.call(ADMIN, "POST /tracking-apis", rule("http://127.0.0.1:1", "Away")).await;
    run.bus(&envelope(&sale(8))).await;
    run.pass(SignedDuration::from_secs(2)).await;
    let receivers = run.call(ADMIN, "GET /receivers", Value::Null).await;
    let receiver = receivers["items"][0]["id"].as_str().expect("one has failed").to_owned();
    run.call(ADMIN, &format!("GET /receivers/{receiver}"), Value::Null).await;
    run.call(ADMIN, &format!("POST /receivers/{receiver}/probe"), Value::Null).await;
    run.call(ADMIN, &format!("POST /receivers/{receiver}/reset"), Value::Null).await;
}

/// Returns the rule for an affiliate, whose rules set variables only (V3).
fn rule_of_affiliate(receiver: &str) -> Value {
    let mut rule = rule(receiver, "Own");
    rule["answer"]["rules"] = json!([
        {"when": [{"source": "http_code", "operator": "equals", "value": "200"}], "then": "delivered",
         "set": {"variables": {"echo": "{body.echo}", "shout": "{header.x-shout|lower}", "encoded": "{body.encoded|upper}"}}}]);
    rule
}
