//! Claims in a flow: the next request, and what follows when the attempts of a step are used up (L3).

use super::{
    super::{
        Ending,
        flow::InFlow,
        walk::{WalkedOn, Walker},
    },
    Claimant, Step, View, behind,
};
use crate::{
    backend::{Backend, StoreError},
    delivery::Deliveries,
    rows::DeliveryRow,
};

/// Walks on to the next request of a flow. Returns false if the delivery waits or is over: then its message is acked.
pub(super) async fn walk_on<B: Backend>(
    deliveries: &Deliveries<B>,
    asking: &mut Claimant<'_>,
    view: &View,
) -> Result<bool, StoreError> {
    let Claimant { received, owed, rule, secrets, seal, .. } = &*asking;
    let known = view.records.get(&owed.id).cloned().zip(view.row_rev);
    let lost = view.queue.lost(&owed.id, known.as_ref().map_or(0, |(row, _)| row.attempts));
    let is_behind = behind::is_behind(deliveries, asking, view);
    let walker = Walker { deliveries, received, owed, rule, secrets, known: known.as_ref(), seal, lost, is_behind };
    let WalkedOn::Send(flow) = walker.walk_on().await? else { return Ok(false) };
    asking.flow = Some(flow);
    Ok(true)
}

/// Goes on in a flow, or ends it, where the attempts of a step are used up.
pub(super) async fn spent_in_flow<B: Backend>(
    deliveries: &Deliveries<B>,
    asking: &Claimant<'_>,
    flow: &InFlow,
    (known, attempts): (Option<(DeliveryRow, u64)>, u32),
    why: &str,
) -> Result<Step, StoreError> {
    let Claimant { received, owed, rule, secrets, seal, .. } = asking;
    let walker = Walker { deliveries, received, owed, rule, secrets, known: known.as_ref(), seal, lost: None, is_behind: false };
    let Some((state, reason)) = walker.walk_on_exhausted(flow, attempts, why).await? else { return Ok(Step::Acked) };
    let max_attempts = known.as_ref().map_or(0, |(row, _)| row.max_attempts);
    let ending = Ending { owed, row: known, attempts, max_attempts, definition: Some(&rule.definition), emitted: Vec::new() };
    deliveries.end_step(received, ending, state, &reason).await
}
