//! A first try that waits: it has its row from its first wait on, so that lists and people find it.

use jiff::Timestamp;
use tracking_core::{delivery::State, standstill::WaitCause};

use super::Deliveries;
use crate::{
    backend::{Backend, StoreError, Swap},
    keys,
    rows::{DeliveryRow, OwedDelivery},
};

impl<B: Backend> Deliveries<B> {
    /// Shows a first try that waits until then, and returns its row. A try that waits no longer than running attempts go unshown has no
    /// row, nor has one whose row somebody else has written by now.
    pub(super) async fn show_waiting(
        &self,
        owed: &OwedDelivery,
        max_attempts: u32,
        until: Timestamp,
        cause: WaitCause,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let is_short = until.duration_since(self.store.now()) <= self.store.settings.shown_after;
        if is_short || owed.held {
            return Ok(None);
        }
        let mut row = DeliveryRow::new(owed.clone(), State::Waiting, max_attempts);
        row.reason = Some(reason(cause).to_owned());
        row.next_due = Some(until);
        self.recorder.list(&row).await?;
        let swap = Swap { key: keys::delivery(&owed.id), expect: None, new: Some(self.store.delivery_item(&row)) };
        Ok(self.store.swap_one(swap).await.is_done()?.then_some(row))
    }
}

/// The reason of a wait, for people.
fn reason(cause: WaitCause) -> &'static str {
    match cause {
        WaitCause::RateSlot => "it waits for a slot of its rule's rate",
        _ => "an earlier delivery of the same subject goes first",
    }
}
