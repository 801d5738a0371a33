//! Ingest: an event of the platform's bus goes on to the events queue, a bad one to the people who can mend it.

use serde_json::json;
use tracking_core::{change::MAX_EVENT_BYTES, fault::Faults};
use tracking_engine::{Accepted, backend::StoreError};

use crate::{Stack, metrics::Metrics};

impl Stack {
    /// Takes an event over, as the text that came. Once this is done it is certain that it will be matched, or that it lies in the queue of bad events and
    /// in the list of rejected ones, with every fault (contract §1).
    ///
    /// # Errors
    /// AWS doesn't take it: nothing is promised, the invocation is to be repeated. Repeats do no harm (P2).
    pub async fn ingest(&self, text: &str) -> Result<(), StoreError> {
        let mut metrics = Metrics::default();
        let outcomes = self.engine.matcher().ingest(&[text.as_bytes()]).await?;
        for outcome in outcomes {
            // Good events are not counted here: they are the function's invocations.
            if let Accepted::Rejected(faults) | Accepted::TooLarge(faults) = outcome {
                self.reject(text, &faults).await?;
                metrics.count("Rejected", 1);
            }
        }
        metrics.tell(&self.settings.stage, self.clock.now());
        Ok(())
    }

    /// Puts a bad event into its queue.
    pub(crate) async fn reject(&self, text: &str, faults: &Faults) -> Result<(), StoreError> {
        let shown = &text[..text.floor_char_boundary(MAX_EVENT_BYTES)];
        let body = json!({"received_at": self.clock.now(), "event": shown, "errors": faults});
        tracing::warn!(%faults, "a bad event was rejected");
        self.aws().queues.reject(&body.to_string(), &faults.to_string()).await
    }
}
