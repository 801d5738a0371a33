//! The contents of the table.

use tracking_core::{caller::Caller, json, json::Value};
use tracking_engine::backend::{Backend as _, Key};
use tracking_tests::{
    cloud::Queue,
    functions::Functions,
    receiver::{Receiver, Response},
};

use crate::lambda::support::{approving, rule, sale};

/// Returns the bodies of all items, as the engine reads them.
async fn bodies(functions: &Functions) -> Vec<(Key, String)> {
    let text = |item: &Value, name: &str| item[name]["S"].as_str().expect("keys are texts").to_owned();
    let keys: Vec<Key> = functions
        .cloud
        .items()
        .iter()
        .cloned()
        .map(tracking_core::json::Value::from)
        .map(|item| Key::new(text(&item, "pk"), text(&item, "sk")))
        .collect();
    let items = functions.stack().engine.backend().get(&keys).await.expect("AWS is there");
    items.into_iter().flatten().map(|item| (item.key, item.body)).collect()
}

/// A secret reaches the receiver, also from an environment that did not seal it, and is stored nowhere in clear.
#[tokio::test]
async fn q5_a_secret_lies_nowhere_in_clear() {
    let receiver = Receiver::start(|_| Response::says(503, "no, not with s3cret-token")).await;
    let mut functions = Functions::start();
    let url = format!("{}/?key={{secret.token}}&n={{attempt}}", receiver.url());
    let secret = json!({"request": {"url": url}, "secret_values": {"token": "s3cret-token"}});
    functions.rule(&Caller::Admin, rule(receiver.url(), secret)).await;
    functions.restart();
    functions.ingest(&sale(1)).await;
    functions.work(Queue::Events).await;
    functions.work(Queue::Delivery).await;
    assert_eq!(receiver.heard()[0].target, "/?key=s3cret-token&n=1");
    let bodies = bodies(&functions).await;
    assert!(bodies.iter().any(|(_, body)| body.contains("key=***")), "the log has the request, masked");
    let clear: Vec<_> = bodies.iter().filter(|(_, body)| body.contains("s3cret")).collect();
    assert!(clear.is_empty(), "{clear:#?}");
    for queue in Queue::ALL {
        assert!(!functions.cloud.messages(queue).iter().any(|body| body.contains("s3cret")), "{queue:?}");
    }
    let published = functions.cloud.published();
    assert!(!published.iter().any(|event| event.json().to_string().contains("s3cret")));
}

#[tokio::test]
async fn events_are_kept_where_that_is_wanted() {
    for (wanted, kept) in [("true", 1), ("false", 0)] {
        let mut functions = Functions::start_with(&[("TRACKING_KEEP_EVENTS", wanted)]);
        functions.ingest(&sale(1)).await;
        functions.work_all().await;
        let events: Vec<_> = bodies(&functions).await.into_iter().filter(|(key, _)| key.sort.starts_with("E#")).collect();
        assert_eq!(events.len(), kept, "{wanted}");
        for (_, body) in events {
            let row: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(serde_json::from_str::<Value>(row["d"]["event"].as_str().unwrap()).unwrap(), sale(1));
        }
    }
}

/// A row with a delivery's event, request and answer costs one write unit.
#[tokio::test]
async fn a_row_fits_into_a_write_unit() {
    let receiver = approving().await;
    let mut functions = Functions::start();
    functions.rule(&Caller::Admin, rule(receiver.url(), json!({}))).await;
    functions.ingest(&sale(1)).await;
    functions.work_all().await;
    let row = bodies(&functions).await.into_iter().find(|(key, _)| key.sort.starts_with("D#")).unwrap();
    assert!(row.1.len() > 1_800, "it is as full as the platform's: {} bytes", row.1.len());
    let items = functions.cloud.items();
    let item = items.iter().find(|item| item["sk"]["S"].as_str().unwrap() == row.0.sort).unwrap();
    let base64 = item["z"]["B"].as_str().expect("it is compressed").len();
    assert!(base64 * 3 / 4 < 850, "{base64} letters, besides the key and the revision");
}
