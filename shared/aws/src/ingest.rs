//! Ingest: an event of the platform's bus goes on to the events queue, an invalid one to the queue of rejected events.

use serde_json::json;
use tracking_core::{change::MAX_EVENT_BYTES, fault::Faults};
use tracking_engine::{Accepted, backend::StoreError};

use crate::{Stack, metrics::Metrics};

impl Stack {
    /// Takes an event over, as the text that came. Once this succeeds, the event is certain to be matched, or it is in the queue of
    /// rejected events and in the list of rejected events, with every fault.
    ///
    /// # Errors
    /// AWS doesn't accept it: nothing is promised, and the invocation must be repeated. Repeats do no harm (P2).
    pub async fn ingest(&self, text: &str) -> Result<(), StoreError> {
        let mut metrics = Metrics::default();
        let outcomes = self.engine.matcher().ingest(&[text.as_bytes()]).await?;
        for outcome in outcomes {
            // Valid events are not counted here: they are the function's invocations.
            if let Accepted::Rejected(faults) | Accepted::TooLarge(faults) = outcome {
                self.reject(text, &faults).await?;
                metrics.count("Rejected", 1);
            }
        }
        metrics.print(&self.settings.stage, self.clock.now());
        Ok(())
    }

    /// Puts an invalid event into the queue of rejected events.
    pub(crate) async fn reject(&self, text: &str, faults: &Faults) -> Result<(), StoreError> {
        let shown = &text[..text.floor_char_boundary(MAX_EVENT_BYTES)];
        let body = json!({"received_at": self.clock.now(), "event": shown, "errors": faults});
        tracing::warn!(%faults, "a bad event was rejected");
        self.aws().queues.reject(&body.to_string(), &faults.to_string()).await
    }
}
