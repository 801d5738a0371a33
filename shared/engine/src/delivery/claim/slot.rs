//! Waiting for a slot of the rule's rate, uncharged.

use jiff::{SignedDuration, Timestamp};
use tracking_core::standstill::WaitCause;

use super::{Claimant, Step, View, Won};
use crate::{
    backend::{Backend, StoreError},
    delivery::Deliveries,
    rate::SendPermit,
    spans,
};

/// The age from which a lease is computed again.
const SLOW: SignedDuration = SignedDuration::from_secs(1);

impl<B: Backend> Deliveries<B> {
    /// Lets an attempt wait for its slot, if its rule has a rate. `None`: it may go now.
    pub(super) async fn wait_for_slot(
        &self,
        asking: &mut Claimant<'_>,
        view: &View,
        won: &Won,
        now: Timestamp,
    ) -> Result<Option<Step>, StoreError> {
        let Some(rate) = asking.rule.definition.rate_per_second else { return Ok(None) };
        if asking.paced == Some(won.attempt) {
            return Ok(None);
        }
        let given = asking.slot.or_else(|| view.queue.slot(&asking.owed.id));
        let permit = self.rate.pace(&asking.rule.id, rate, given).await?;
        if let SendPermit::At(until) | SendPermit::AskAgain(until) = permit {
            spans::waits(WaitCause::RateSlot, until);
            asking.slot = if permit == SendPermit::At(until) { Some(until) } else { given };
            // A waiting attempt keeps its place and its slot on the subject queue (P3).
            let waiting = view.queue.waiting(&self.claim_request(asking, won.base, now), won.attempt, until, asking.slot);
            if let Some(waiting) = waiting.filter(|waiting| *waiting != view.queue)
                && !self.swap_queue(asking.key.clone(), view.rev, &waiting, now).await.is_done()?
            {
                return Ok(Some(Step::Again));
            }
            let max_attempts = asking.max_attempts(won.base);
            let shown = match &won.row {
                None => self.show_waiting(&asking.owed, max_attempts, until, WaitCause::RateSlot).await?,
                row => row.clone(),
            };
            let host = asking.call().request.host();
            self.store.commit_one(self.defer(asking.received, &asking.owed, host, until, shown.as_ref())).await?;
            return Ok(Some(Step::Acked));
        }
        asking.paced = Some(won.attempt);
        // A lease that began long ago is computed again.
        Ok((self.store.now() > now + SLOW).then_some(Step::Again))
    }
}
