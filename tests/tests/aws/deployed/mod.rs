//! The whole system as it is deployed: the real template on an emulator of AWS, the functions' real binaries, events on its bus,
//! receivers on loopback.
//!
//! One deployment serves all of these tests. Each keeps to an affiliate of its own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod bus;
mod callbacks;
mod contract;
mod flows;
mod issuer;
mod ministack;
mod package;
mod poison;
mod postbacks;
mod queues;
mod stack;
mod tokens;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracking_tests::receiver::{OK, sorted, targets};

/// The longest wait for an expected result.
const WAIT_TIMEOUT: Duration = Duration::from_secs(90);

/// Asks until there is an answer; panics with the last error if it takes too long.
#[expect(clippy::disallowed_methods, reason = "what doesn't come is waited for by the machine's clock")]
async fn soon<T>(what: &str, ask: impl AsyncFn() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(excuse) => assert!(begun.elapsed() < WAIT_TIMEOUT, "timed out waiting for {what}: {excuse}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Returns the detail of a change of an affiliate's conversion, with these transactions.
fn change(affiliate: &str, conversion: &str, version: u64, transactions: &Value) -> Value {
    json!({
        "change_id": format!("chg_{conversion}_{version}"), "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {
            "conversion_id": conversion, "version": version, "change": if version == 1 { "created" } else { "updated" },
            "type": "sale", "source": "link", "affiliate_id": affiliate, "advertiser_id": "adv_2", "offer_id": "off_5",
            "external_id": format!("X-{conversion}"),
        },
        "transactions": transactions,
    })
}

/// Returns a new sale of an affiliate with one pending transaction.
fn sale(affiliate: &str, conversion: &str) -> Value {
    change(
        affiliate,
        conversion,
        1,
        &json!([{"transaction_id": format!("trx_{conversion}"), "result": "pending", "payout": "5.00"}]),
    )
}
