//! The bus: the events that we publish.

use std::{sync::Arc, time::Duration};

use aws_config::{SdkConfig, timeout::TimeoutConfig};
use aws_sdk_eventbridge::{Client, primitives::DateTime, types::PutEventsRequestEntry};
use futures_util::future::join_all;
use tracking_engine::backend::{Published, StoreError};

use tracking_core::batches::batches;

use crate::{limits, table::unavailable};

/// The time limit of a call with its repetitions, shorter than the wait of a record. An event that the bus has not accepted by then goes to
/// the queue, and the record goes on.
const CALLING: Duration = Duration::from_secs(4);
/// The source of our events (docs/results-out.md).
const SOURCE: &str = "tracking-api";

/// The reason why the bus does not have an event.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// The bus may accept the event later.
    ForNow(StoreError),
    /// The bus will never accept this event, for this reason.
    ForGood(String),
}

/// Returns true for the error codes of entries that no repeat makes acceptable.
fn is_for_good(code: &str) -> bool {
    code.starts_with("NotAuthorized") || code.starts_with("Malformed") || code.starts_with("InvalidArgument")
}

/// The bus that we publish on.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    client: Client,
    name: Arc<str>,
}

impl Bus {
    pub(crate) fn new(config: &SdkConfig, name: &str) -> Self {
        let timeouts = config.timeout_config().map(TimeoutConfig::to_builder).unwrap_or_default();
        let timeouts = timeouts.operation_timeout(CALLING).build();
        let config = aws_sdk_eventbridge::config::Builder::from(config).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), name: name.into() }
    }

    /// Publishes events. Returns for each event, in order, its outcome.
    pub(crate) async fn publish(&self, events: Vec<&Published>) -> Vec<Result<(), Refusal>> {
        let entries: Vec<PutEventsRequestEntry> = events.into_iter().map(|event| self.entry(event)).collect();
        let size = |entry: &PutEventsRequestEntry| entry.detail.as_ref().map_or(0, String::len) + limits::ENTRY_OVERHEAD;
        let calls = batches(entries, limits::ENTRIES, limits::EVENTS_BYTES, size);
        join_all(calls.into_iter().map(|call| self.call(call))).await.into_iter().flatten().collect()
    }

    async fn call(&self, entries: Vec<PutEventsRequestEntry>) -> Vec<Result<(), Refusal>> {
        let count = entries.len();
        let answer = match self.client.put_events().set_entries(Some(entries)).send().await {
            Ok(answer) => answer,
            Err(error) => return vec![Err(Refusal::ForNow(unavailable(&error))); count],
        };
        let outcome = |place: usize| match answer.entries().get(place) {
            Some(entry) => match &entry.error_code {
                None => Ok(()),
                Some(code) => {
                    let error = format!("{code}: {}", entry.error_message.as_deref().unwrap_or_default());
                    Err(if is_for_good(code) { Refusal::ForGood(error) } else { Refusal::ForNow(StoreError::Unavailable(error)) })
                }
            },
            None => Err(Refusal::ForNow(StoreError::Unavailable("the bus does not say whether it took an event".to_owned()))),
        };
        (0..count).map(outcome).collect()
    }

    fn entry(&self, event: &Published) -> PutEventsRequestEntry {
        let time = DateTime::from_millis(event.time.as_millisecond());
        let entry = PutEventsRequestEntry::builder().source(SOURCE).detail_type(&*event.detail_type).time(time);
        entry.detail(event.detail.to_string()).event_bus_name(&*self.name).build()
    }
}
