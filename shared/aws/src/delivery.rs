//! Delivery: each message of a batch of first tries or retries is claimed, sent, concluded and recorded on its own.

use std::collections::HashMap;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use jiff::{SignedDuration, Timestamp};
use tracking_engine::{
    Unworked,
    backend::{Lane, Receipt, Received, StoreError},
    sender::{Sender, SenderSettings},
};

use crate::{Stack, StartError, batch::Batch, metrics::Metrics};

/// The part of an invocation's time that is kept for reporting the result to Lambda.
const REPORTING: SignedDuration = SignedDuration::from_secs(2);

impl Stack {
    /// Makes the sender of this stack.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn sender(&self) -> Result<Sender, StartError> {
        let private_targets = self.settings.private_targets;
        let settings = SenderSettings { private_targets, clock: Some(self.clock.clone()), ..SenderSettings::default() };
        Sender::with(settings).map_err(StartError::Sender)
    }

    /// Works a batch until the invocation's deadline. A message that could run past the deadline is not begun but handed back, uncharged.
    pub async fn deliver(&self, event: SqsEvent, sender: &Sender, deadline: Timestamp) -> SqsBatchResponse {
        let begun = self.clock.now();
        let until = deadline - REPORTING;
        let (batch, messages) = Batch::read(self, event);
        let mut metrics = Metrics::default();
        // Retries are old by design: the metric shows the age of first tries.
        if let Some(age) = batch.age(begun).filter(|_| !batch.has(Lane::Retry)) {
            metrics.seconds("OldestMessageAge", age);
        }
        if batch.has(Lane::Retry) {
            self.aws().queues.look_for_room(begun).await;
        }
        let mut failed: HashMap<Receipt, String> = HashMap::new();
        let mut queued = self.engine.worker().queue_up(messages);
        for (message, reason) in queued.take_unreadable() {
            match self.dead_letter(&message, &reason).await {
                Ok(()) => metrics.count("SetAside", 1),
                Err(error) => failed.extend([(message.receipt, error.to_string())]),
            }
        }
        let left = until.duration_since(self.clock.now()).max(SignedDuration::ZERO).unsigned_abs();
        if let Ok(unworked) = tokio::time::timeout(left, self.engine.worker().work(queued, sender, Some(until))).await {
            for Unworked { received, failed: why, .. } in unworked {
                let reason = why.to_string();
                if why.is_for_good() && self.dead_letter(&received, &reason).await.is_ok() {
                    metrics.count("SetAside", 1);
                } else {
                    failed.insert(received.receipt, reason);
                }
            }
        } else {
            // A message without an ack by now is reported as failed, and the queue brings it back.
            tracing::error!("the deadline came before the batch was worked");
        }
        metrics.tally(&self.engine.tally());
        metrics.print(&self.settings.stage, self.clock.now());
        batch.end(self, &failed).await
    }

    /// Dead-letters a message that can never be read: it goes to its queue's dead letters, with the reason, and nowhere else.
    pub(crate) async fn dead_letter(&self, message: &Received, reason: &str) -> Result<(), StoreError> {
        let delivery_id = crate::batch::delivery_of(message).map(tracing::field::display);
        tracing::error!(reason, delivery_id, "a message that can't be read was dead-lettered");
        self.aws().queues.dead_letter(message.receipt.lane, &message.body, reason).await?;
        self.aws().queues.done(message.receipt.clone());
        Ok(())
    }
}
