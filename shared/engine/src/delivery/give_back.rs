//! Giving a claim back: a fault of this machine kept the request from leaving, so it is charged to nobody.
//!
//! First the subject queue is written without the claim, then the message is deferred. A crash before the first leaves the attempt
//! counted; a crash between the two leaves the message open, so that it comes again. The log gets no attempt.

use std::sync::atomic::Ordering;

use tracking_core::{
    delivery::State,
    subject_queue::{GivenBack, Return, SubjectQueue},
};

use super::ClaimedAttempt;
use crate::{
    backend::{Backend, Effects, StoreError},
    delivery::Deliveries,
    keys,
    sender::OurFault,
    store::Update,
};

impl<B: Backend> Deliveries<B> {
    /// Gives a claim back and lets the delivery wait.
    ///
    /// # Errors
    /// The store is unavailable, or somebody else holds the claim too: the attempt stays counted, and the message comes again.
    pub(super) async fn give_back(&self, claimed: ClaimedAttempt, fault: &OurFault) -> Result<(), StoreError> {
        if claimed.shown.load(Ordering::Relaxed) {
            // The row says that the delivery is being sent. Nobody else writes the row while the claim holds.
            let row = self.store.delivery_item(&claimed.row_or_new(State::Waiting));
            if let Err(error) = self.store.commit_one(Effects { put: vec![row], ..Effects::default() }).await {
                tracing::debug!(%error, "the row shows that it is being sent until its next attempt");
            }
        }
        let GivenBack { until, times, .. } = self.uncount(&claimed).await?;
        let (rule, delivery, affiliate) = (&claimed.rule.id, &claimed.owed.id, claimed.owed.owner.affiliate());
        if times == 1 {
            tracing::error!(
                tracking_api_id = %rule, delivery_id = %delivery, affiliate_id = affiliate.map(tracing::field::display),
                attempt = claimed.attempt, %fault, "a fault of this server kept a request from leaving: it is not charged"
            );
        } else {
            tracing::debug!(tracking_api_id = %rule, delivery_id = %delivery, attempt = claimed.attempt, times, %fault, "given back");
        }
        crate::spans::waits(tracking_core::standstill::WaitCause::GivenBack, until);
        let host = claimed.call().request.host();
        let effects = self.defer(&claimed.received, &claimed.owed, host, until, claimed.row.as_ref());
        drop(claimed.under_way);
        self.recorder.record(effects, None).await
    }

    /// Writes the subject queue without the claim.
    async fn uncount(&self, claimed: &ClaimedAttempt) -> Result<GivenBack, StoreError> {
        let key = keys::subject_queue(&claimed.owed.id, &claimed.rule.id, &claimed.owed.event.known().subject());
        let uncounted = |queue: Option<SubjectQueue>| {
            let given = Return {
                id: &claimed.owed.id,
                attempt: claimed.attempt,
                base: claimed.base,
                receive_id: &claimed.received.receive_id,
                present: self.store.present(),
            };
            let back = queue.unwrap_or_default().give_back(&given).ok_or_else(|| {
                let why = "an attempt that could not leave stays counted: its claim is not held by it alone";
                StoreError::Unavailable(why.to_owned())
            })?;
            Ok(Update::Put(self.store.queue_item(key.clone(), &back.queue, self.store.now()), back))
        };
        self.store.update(&key, uncounted).await
    }
}
