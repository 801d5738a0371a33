//! The end of a delivery whose event is not known in full any more.

use tracking_core::delivery::State;

use super::super::{ClaimOutcome, Deliveries, Ending};
use crate::{
    backend::{Backend, Received, StoreError},
    keys,
    rows::{DeliveryRow, OwedDelivery},
};

const GONE: &str = "the parameters of its event are not kept any more";

/// Ends a delivery that can't be rendered, for ever: nothing is sent with empty values.
pub(super) async fn end<B: Backend>(
    deliveries: &Deliveries<B>,
    received: &Received,
    owed: &OwedDelivery,
) -> Result<ClaimOutcome, StoreError> {
    tracing::error!(delivery_id = %owed.id, "{GONE}");
    let row = deliveries.store.read_row::<DeliveryRow>(keys::delivery(&owed.id)).await?;
    let (attempts, max_attempts) = row.as_ref().map_or((0, 0), |(row, _)| (row.attempts, row.max_attempts));
    let ending = Ending { owed, row, attempts, max_attempts, definition: None, emitted: Vec::new() };
    if !deliveries.end(received, ending, State::Failed, GONE).await? {
        return Err(StoreError::Contended(format!("delivery {}", owed.id)));
    }
    Ok(ClaimOutcome::NothingToSend)
}
