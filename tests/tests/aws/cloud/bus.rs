//! EventBridge: events that are put on the bus, and events that are refused.

use aws_sdk_eventbridge::{
    operation::put_events::{PutEventsError, PutEventsOutput},
    primitives::DateTime,
    types::PutEventsRequestEntry as Entry,
};
use serde_json::json;
use tracking_tests::cloud::BUS;

use super::{Sky, code};

fn entry(detail: impl Into<String>) -> aws_sdk_eventbridge::types::builders::PutEventsRequestEntryBuilder {
    Entry::builder().event_bus_name(BUS).source("tracking-api").detail_type("Delivery Ended").detail(detail)
}

async fn put(sky: &Sky, entries: Vec<Entry>) -> Result<PutEventsOutput, aws_sdk_eventbridge::error::SdkError<PutEventsError>> {
    sky.eventbridge().put_events().set_entries(Some(entries)).send().await
}

#[tokio::test]
async fn what_is_put_can_be_read_in_order() {
    let sky = Sky::new().await;
    let time = DateTime::from_millis(1_795_338_000_120);
    let output = put(&sky, vec![entry(r#"{"n": 1}"#).time(time).build(), entry(r#"{"n": "2.50"}"#).build()]).await.expect("put");
    assert_eq!((output.failed_entry_count(), output.entries().len()), (0, 2));
    let published = sky.cloud.published();
    assert_eq!(published[0].time.to_string(), "2026-11-22T09:00:00.12Z");
    assert_eq!(published[1].time, sky.clock.now());
    assert_eq!(Some(published[1].id.as_str()), output.entries()[1].event_id());
    assert_eq!(
        published[0].json(),
        json!({
            "version": "0", "id": published[0].id, "source": "tracking-api", "detail-type": "Delivery Ended",
            "time": "2026-11-22T09:00:00.12Z", "account": "000000000000", "region": "eu-central-1", "resources": [],
            "detail": {"n": 1},
        })
    );
    // Amounts are texts.
    assert_eq!(published[1].detail.to_string(), r#"{"n":"2.50"}"#);
}

#[tokio::test]
async fn a_call_has_one_to_ten_events() {
    let sky = Sky::new().await;
    assert_eq!(code(put(&sky, Vec::new()).await), "ValidationException");
    assert_eq!(code(put(&sky, vec![entry("{}").build(); 11]).await), "ValidationException");
    put(&sky, vec![entry("{}").build(); 10]).await.expect("ten are not too many");
    assert_eq!(sky.cloud.published().len(), 10);
}

#[tokio::test]
async fn a_call_is_one_mebibyte_at_most() {
    let sky = Sky::new().await;
    // 12 bytes of source, 14 of detail-type, 7 of JSON around the text.
    let text = |bytes: usize| entry(format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 12 - 14 - 8))).build();
    let half = 512 * 1024;
    put(&sky, vec![text(half), text(half)]).await.expect("a mebibyte is not too much");
    assert_eq!(sky.cloud.calls().bus_events(), 16);
    assert_eq!(code(put(&sky, vec![text(half), text(half + 1)]).await), "ValidationException");
}

#[tokio::test]
async fn a_bad_event_fails_alone() {
    let sky = Sky::new().await;
    let entries = vec![
        entry("not JSON").build(),
        entry("[]").build(),
        Entry::builder().event_bus_name(BUS).source("tracking-api").detail("{}").build(),
        Entry::builder().event_bus_name("another").source("tracking-api").detail_type("x").detail("{}").build(),
        entry("{}").build(),
    ];
    let output = put(&sky, entries).await.expect("it is answered event by event");
    let codes: Vec<_> = output.entries().iter().map(|entry| entry.error_code().unwrap_or("")).collect();
    assert_eq!(codes, ["MalformedDetail", "MalformedDetail", "InvalidArgument", "InvalidArgument", ""]);
    assert_eq!((output.failed_entry_count(), sky.cloud.published().len()), (4, 1));
}
