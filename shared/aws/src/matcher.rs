//! The matcher: makes one message per postback from the events of a queue; and, by its schedule, the sweep.

use std::collections::HashMap;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use tracking_engine::{
    Matched,
    backend::{Receipt, StoreError},
};

use crate::{Stack, batch::Batch, metrics::Metrics};

impl Stack {
    /// Matches a batch of events, each on its own.
    pub async fn match_events(&self, event: SqsEvent) -> SqsBatchResponse {
        let (batch, messages) = Batch::read(self, event);
        let outcomes = self.engine.matcher().match_messages(&messages).await;
        let mut metrics = Metrics::default();
        let mut failed: HashMap<Receipt, String> = HashMap::new();
        for (message, outcome) in messages.into_iter().zip(outcomes) {
            let reason = match outcome {
                Matched::Yes(_) => None,
                Matched::Failed(error) => Some(error.to_string()),
                Matched::Rejected(faults) => match self.reject(&message.body, &faults).await {
                    Ok(()) => {
                        self.aws().queues.done(message.receipt.clone());
                        metrics.count("Rejected", 1);
                        None
                    }
                    Err(error) => Some(error.to_string()),
                },
                Matched::Unreadable(faults) => match self.dead_letter(&message, &faults.to_string()).await {
                    Ok(()) => {
                        metrics.count("SetAside", 1);
                        None
                    }
                    Err(error) => Some(error.to_string()),
                },
            };
            failed.extend(reason.map(|reason| (message.receipt, reason)));
        }
        if let Some(age) = batch.age(self.clock.now()) {
            metrics.seconds("OldestMessageAge", age);
        }
        metrics.tally(&self.engine.tally());
        metrics.print(&self.settings.stage, self.clock.now());
        batch.end(self, &failed).await
    }

    /// Sends the messages that fell due, and cleans up after interrupted rule changes.
    ///
    /// # Errors
    /// AWS doesn't answer: the next sweep sends the rest.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let swept = self.engine.sweeper().sweep().await?;
        let mut metrics = Metrics::default();
        metrics.count("Swept", swept as u64);
        metrics.count("Sweeps", 1);
        metrics.print(&self.settings.stage, self.clock.now());
        Ok(())
    }
}
