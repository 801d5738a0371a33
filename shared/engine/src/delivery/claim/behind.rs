//! Waiting for the end of an older flow of the same subject (`on_newer: finish`, W4).
//!
//! A delivery that waits is an entry of the subject queue, and its message is deleted; its row waits for an hour from now. The end of a
//! flow defers its own message once more, and that wakes the oldest delivery that waits. A delivery that begins to wait looks at the older
//! flow once more after that: so either the end of the flow sees the waiting delivery, or that delivery sees the end.

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    delivery::{DeliveryId, State},
    subject_queue::{Entry, SubjectQueue, WaitBehind},
    tracking_api::{OnNewer, RuleDefinition},
};

use super::{
    super::{
        flow::InFlow,
        owed::wake,
        walk::{AGAIN, Walker},
    },
    Claimant, View,
};
use crate::{
    backend::{Backend, Effects, Received, StoreError},
    delivery::Deliveries,
    keys,
    rows::{OwedDelivery, Task},
};

/// The time after which a delivery looks by itself if nothing wakes it.
const LOOK: SignedDuration = SignedDuration::from_hours(1);
/// The reason of a delivery that waits.
const WAITS: &str = "an older delivery of the same subject finishes its flow first";
/// The reason of a delivery that ends since too many wait.
const GIVES_WAY: &str = "more than 20 changes waited for the end of an older flow, and this was the oldest of them";

/// Returns true if newer deliveries wait for the end of a flow of this rule.
pub(in crate::delivery) fn finishes(definition: &RuleDefinition) -> bool {
    definition.on_newer == OnNewer::Finish && definition.plan.is_flow()
}

/// Returns true if an older flow of the same subject is to end before this delivery sends its first request.
pub(super) fn is_behind<B: Backend>(deliveries: &Deliveries<B>, asking: &Claimant<'_>, view: &View) -> bool {
    finishes(&asking.rule.definition) && {
        let request = deliveries.claim_request(asking, 0, deliveries.store.now());
        view.queue.is_behind(&request, &|entry| view.is_open(entry))
    }
}

/// The ack of the message of a delivery that is over, and a message that wakes the oldest delivery that waits for its end.
pub(super) fn release<B: Backend>(deliveries: &Deliveries<B>, asking: &Claimant<'_>, view: &View) -> Effects {
    let mut effects = asking.received.done();
    let now = deliveries.store.now();
    let is_waiting = |entry: &Entry| entry.id != asking.owed.id && view.records.contains_key(&entry.id) && view.is_open(entry);
    let waits = view.queue.first_waiting(now, &is_waiting).filter(|_| finishes(&asking.rule.definition));
    if let Some(id) = waits {
        wake(&mut effects, &Task::Wake { delivery: id.clone() }, &asking.owed, asking.rule.definition.first_host(), now, now);
    }
    effects
}

/// The ack of the message of a delivery whose flow has just ended: deleted, or deferred once more where others may wait for this
/// end.
pub(in crate::delivery) fn delete_or_defer<B: Backend>(
    deliveries: &Deliveries<B>,
    received: &Received,
    (owed, definition): (&OwedDelivery, Option<&RuleDefinition>),
) -> Effects {
    match definition.filter(|definition| finishes(definition)) {
        Some(definition) => deliveries.defer(received, owed, definition.first_host(), deliveries.store.now(), None),
        None => received.done(),
    }
}

impl View {
    fn is_open(&self, entry: &Entry) -> bool {
        self.records.get(&entry.id).map_or(entry.claim.is_some(), |row| !row.state.is_ended())
    }
}

impl<B: Backend> Walker<'_, B> {
    /// Lets a delivery wait for the end of an older flow.
    pub(in crate::delivery) async fn wait_behind(&self, flow: &InFlow, attempts: u32) -> Result<(), StoreError> {
        let Self { deliveries, received, owed, rule, .. } = *self;
        let until = deliveries.store.now() + LOOK;
        match self.queue_up(until).await? {
            Some(oldest) if oldest == owed.id => return self.end(attempts, State::Superseded, GIVES_WAY).await,
            Some(oldest) => deliveries.overtake(&[oldest], GIVES_WAY).await?,
            None => {}
        }
        let recorded = self.write_place(flow, attempts, (until, WAITS.to_owned())).await?;
        let key = keys::subject_queue(&owed.id, &owed.rule, &owed.event.known().subject());
        let view = deliveries.read_queue(received, owed, &key).await?;
        let request = self.claim_request();
        let at = match &recorded {
            None => deliveries.store.now() + AGAIN,
            Some(_) if view.queue.is_behind(&request, &|entry| view.is_open(entry)) => until,
            Some(_) => deliveries.store.now(),
        };
        let host = rule.definition.first_host();
        deliveries.store.commit_one(deliveries.defer(received, owed, host, at, recorded.as_ref())).await
    }

    /// Writes a delivery that waits on its subject queue. Returns the delivery that ends to make room for it.
    async fn queue_up(&self, until: Timestamp) -> Result<Option<DeliveryId>, StoreError> {
        let change = |queue: &SubjectQueue| {
            queue.behind(&self.claim_request(), until).map(|WaitBehind { queue, gives_way }| (queue, gives_way))
        };
        Ok(self.change_queue(change).await?.flatten())
    }
}
