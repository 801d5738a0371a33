//! A postback of a change whose id was used for another change, where no kept events would have shown it before (P2).
//!
//! Its delivery has the id of the other's, whose row proves that the other was taken over.

use tracking_core::{change::Change, event::Event, json};

use crate::{
    backend::{Backend, Received, StoreError},
    rows::{DeliveryRow, OwedDelivery},
    store::Store,
};

/// Returns true if the row is that of another change. A held delivery is published with a later change than it began with.
pub(super) fn is_another(row: &DeliveryRow, owed: &OwedDelivery) -> bool {
    !owed.held && !row.owed.held && row.owed.event != owed.event
}

/// Keeps the change of a message as a bad event, and ends the message.
pub(super) async fn reject<B: Backend>(store: &Store<B>, received: &Received, owed: &OwedDelivery) -> Result<(), StoreError> {
    let change = change_of(owed.event.whole());
    let faults = change.id_is_taken("/detail");
    tracing::warn!(%faults, delivery_id = %owed.id, "a bad event was rejected");
    let event = json!({"detail-type": "Conversion Changed", "detail": change}).to_string();
    let mut effects = received.done();
    effects.put.push(store.rejected_item(event.as_bytes(), &faults));
    store.commit_one(effects).await
}

/// The change that an event follows from, with the one transaction that it is about.
fn change_of(event: &Event) -> Change {
    Change {
        change_id: event.change_id.clone(),
        occurred_at: event.occurred_at,
        causation: event.causation.clone(),
        conversion: (*event.conversion).clone(),
        transactions: event.transaction.iter().cloned().collect(),
    }
}
