//! Rules and events of these tests.

use tracking_core::{caller::Caller, json, json::Value};
use tracking_tests::{
    cloud::Queue,
    functions::Functions,
    receiver::{Postback, Receiver, Response},
    world::{event, transaction},
};

/// Returns a rule that sends every new transaction to this URL, with these further fields.
pub(crate) fn rule(url: &str, more: Value) -> Value {
    let mut rule = json!({
        "name": "Network postback", "trigger": "transaction_created",
        "request": {"method": "GET", "url": format!("{url}/postback?click_id={{affiliate_click_id}}&payout={{payout}}&status={{result}}&txid={{transaction_id}}&n={{attempt}}")},
        "answer": {"rules": [
            {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "approved"}], "then": "delivered"},
            {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}], "then": "pending"},
        ]},
    });
    if let (Value::Object(rule), Value::Object(more)) = (&mut rule, more) {
        rule.extend(more);
    }
    rule
}

/// Returns a sale with one transaction and all the fields that the platform sends.
pub(crate) fn sale(number: usize) -> Value {
    let conversion = json!({
        "conversion_id": format!("cnv_{number:08}"), "affiliate_id": format!("aff_{}", number % 50), "advertiser_name": "Bank of Prague",
        "offer_name": "Loan CZ", "integration_id": "int_3", "country": "CZ", "pcid": format!("pc-{number}"),
        "external_id": format!("X-{number}"), "affiliate_click_id": format!("click-9f8e7d6c5b{number:06}"),
        "affs": {"affs1": "summer", "affs2": "z"}, "query_params": {"utm_source": "mail", "gclid": "EAIaIQobChMI7vfl"},
        "cookie_params": {"fbp": "fb.1.1596403881668.1116446470"}, "ip": "203.0.113.9",
        "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
        "click_at": "2026-11-22T08:41:00Z", "created_at": "2026-11-22T08:59:58Z", "updated_at": "2026-11-22T08:59:59Z",
    });
    event(&format!("chg_{number:08}"), conversion, json!([transaction(&format!("trx_{number:08}"), "created", "approved")]))
}

/// Starts a receiver that approves of everything.
pub(crate) async fn approving() -> Receiver {
    Receiver::start(|_| Response::says(200, "approved")).await
}

/// Answers as a receiver that is down at the first attempt.
pub(crate) fn down_at_first(postback: &Postback) -> Response {
    if postback.target.ends_with("n=1") { Response::says(503, "down") } else { Response::says(200, "approved") }
}

/// Starts functions with one rule, and the deliveries of this many sales in their queue.
pub(crate) async fn owing(receiver: &Receiver, sales: usize, more: Value) -> Functions {
    let mut functions = Functions::start();
    functions.rule(&Caller::Admin, rule(receiver.url(), more)).await;
    for number in 1..=sales {
        functions.ingest(&sale(number)).await;
    }
    while functions.work(Queue::Events).await > 0 {}
    assert_eq!(functions.cloud.depth(Queue::Delivery).visible, sales);
    functions
}
