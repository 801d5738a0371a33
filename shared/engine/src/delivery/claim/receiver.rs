//! Waiting for a receiver that is down (B4): uncharged, filed once under the receiver, with its place on the subject queue kept (P3).
//!
//! The order of writes: the place on the queue, the row, the file; then one more look at the receiver; the message's end comes last. So
//! either the step that closes the receiver sees the file, or this one sees that it is closed.

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    delivery::{DeliveryId, State},
    receiver::{LONGEST_OUTAGE, Receiver},
    standstill::WaitCause,
    subject_queue::{Position, SubjectQueue},
};

use super::{
    super::{group, outbox::publish_emitted, walk::AGAIN},
    Claimant, Ending, Step, View,
};
use crate::{
    backend::{Backend, StoreError, Swap},
    delivery::Deliveries,
    keys,
    receivers::{Outage, queue::WaitingRow},
    rows::{DeliveryRow, ReceiverWait},
    spans,
};

/// The time for which a delivery keeps its place on its subject queue beyond the end of its wait.
const KEEPS_PLACE: SignedDuration = SignedDuration::from_hours(1);
/// A wait behind another that is longer than this is one for its receiver.
const LONG: SignedDuration = SignedDuration::from_mins(2);
/// The pause of a delivery for which its subject queue has no room.
const NO_ROOM: SignedDuration = SignedDuration::from_secs(30);

/// Lets a sendable delivery wait if its receiver is down. `None`: the receiver is not down. `attempt` is the delivery's next.
pub(super) async fn wait<B: Backend>(
    deliveries: &Deliveries<B>,
    asking: &Claimant<'_>,
    view: &View,
    attempt: u32,
) -> Result<Option<Step>, StoreError> {
    let receiver = Receiver::of(&asking.owed.owner, &asking.call().request);
    let row = view.records.get(&asking.owed.id);
    let has_waited = row.and_then(|row| row.receiver_wait.as_ref()).is_some_and(|wait| wait.receiver == receiver.id);
    match deliveries.receivers.outage(&receiver, &asking.owed.id, has_waited).await? {
        Some(outage) => Box::pin(file(deliveries, asking, view, (&outage, attempt))).await.map(Some),
        None => Ok(None),
    }
}

/// Lets a delivery without an attempt wait for the receiver that an older delivery ahead of it waits for. If the older one was
/// let go, the delivery looks again soon. `None`: it waits for something else, until `until`.
pub(super) async fn wait_behind<B: Backend>(
    deliveries: &Deliveries<B>,
    asking: &Claimant<'_>,
    view: &View,
    until: Timestamp,
) -> Result<Option<Step>, StoreError> {
    let now = deliveries.store.now();
    let base = view.records.get(&asking.owed.id).map_or(0, |row| row.base);
    let request = deliveries.claim_request(asking, base, now);
    let recorded = |id: &DeliveryId| view.records.get(id).map(DeliveryRow::recorded);
    let Position { attempts, blocker, .. } = view.queue.position(&request, &recorded);
    let Some(blocker) = blocker.filter(|_| attempts == 0) else { return Ok(None) };
    let Some(wait) = view.records.get(&blocker.id).and_then(|row| row.receiver_wait.as_ref()) else { return Ok(None) };
    if let Some(outage) = deliveries.receivers.outage_now(&wait.receiver).await? {
        return Box::pin(file(deliveries, asking, view, (&outage, 1))).await.map(Some);
    }
    if until <= now + LONG {
        return Ok(None);
    }
    if let Some(queue) = view.queue.waiting(&request, 1, now, None)
        && !deliveries.swap_queue(asking.key.clone(), view.rev, &queue, now).await.is_done()?
    {
        return Ok(Some(Step::Again));
    }
    let again = now + AGAIN;
    spans::waits(WaitCause::Behind, again);
    let row = view.records.get(&asking.owed.id);
    let host = asking.call().request.host();
    deliveries.store.commit_one(deliveries.defer(asking.received, &asking.owed, host, again, row)).await?;
    Ok(Some(Step::Acked))
}

/// Files a delivery under the receiver that it waits for, or ends it if it has waited as long as it may.
async fn file<B: Backend>(
    deliveries: &Deliveries<B>,
    asking: &Claimant<'_>,
    view: &View,
    (outage, attempt): (&Outage, u32),
) -> Result<Step, StoreError> {
    let Claimant { received, owed, .. } = asking;
    deliveries.receivers.pace.turn(&owed.owner).await;
    let now = deliveries.store.now();
    let known = view.records.get(&owed.id);
    let receiver = &outage.receiver.id;
    let is_same = |wait: &&ReceiverWait| wait.receiver == *receiver && wait.outage == outage.since;
    let since = known.and_then(|row| row.receiver_wait.as_deref()).filter(is_same).map_or(now, |wait| wait.since);
    let until = since + LONGEST_OUTAGE;
    if now >= until {
        return end(deliveries, asking, view, (outage, attempt - 1)).await;
    }
    let base = known.map_or(0, |row| row.base);
    if attempt == 1 && !has_place(&view.queue, &owed.id, until) {
        let request = deliveries.claim_request(asking, base, now);
        let Some(queue) = view.queue.waiting(&request, attempt, until + KEEPS_PLACE, None) else {
            spans::waits(WaitCause::Receiver, now + NO_ROOM);
            let host = asking.call().request.host();
            deliveries.store.commit_one(deliveries.defer(received, owed, host, now + NO_ROOM, known)).await?;
            return Ok(Step::Acked);
        };
        if !deliveries.swap_queue(asking.key.clone(), view.rev, &queue, now).await.is_done()? {
            return Ok(Step::Again);
        }
    }
    let wait = ReceiverWait { receiver: receiver.clone(), outage: outage.since, since };
    let Some(row) = write_row(deliveries, asking, view, (outage, wait)).await? else { return Ok(Step::Again) };
    let attempts_left = (base + asking.max_attempts(base)).saturating_sub(attempt - 1);
    let group = group(owed, asking.call().request.host());
    let waiting = WaitingRow { delivery: owed.id.clone(), created_at: owed.created_at, attempts_left, until, group };
    deliveries.receivers.file(receiver, &waiting).await?;
    if deliveries.receivers.outage_now(receiver).await?.is_some() {
        spans::waits(WaitCause::Receiver, until);
        deliveries.store.commit_one(received.done()).await?;
    } else {
        let host = asking.call().request.host();
        deliveries.store.commit_one(deliveries.defer(received, owed, host, now, Some(&row))).await?;
        deliveries.receivers.unfile(receiver, &waiting).await?;
    }
    Ok(Step::Acked)
}

/// Returns true if the delivery keeps its place on the subject queue beyond its wait.
fn has_place(queue: &SubjectQueue, id: &DeliveryId, until: Timestamp) -> bool {
    queue.entries.iter().any(|entry| entry.id == *id && entry.parked_until.is_some_and(|known| known > until))
}

/// Writes that a delivery waits for its receiver. `None`: somebody else has written its row.
async fn write_row<B: Backend>(
    deliveries: &Deliveries<B>,
    asking: &Claimant<'_>,
    view: &View,
    (outage, wait): (&Outage, ReceiverWait),
) -> Result<Option<DeliveryRow>, StoreError> {
    let Claimant { owed, rule, flow, seal, .. } = asking;
    let known = view.records.get(&owed.id).cloned();
    let is_known = known.is_some();
    let row = deliveries.without_outbox(known).await?;
    let mut row = row.unwrap_or_else(|| DeliveryRow::new(owed.clone(), State::Waiting, asking.max_attempts(0)));
    if !is_known && !owed.held {
        deliveries.recorder.list(&row).await?;
    }
    row.owed = owed.clone();
    row.state = State::Waiting;
    row.reason = Some(outage.reason());
    row.receiver_wait = Some(Box::new(wait));
    row.next_due = None;
    row.keeps_until = None;
    if let Some(flow) = flow {
        flow.note(&rule.definition, seal, &mut row);
    }
    let expect = view.row_rev.filter(|_| is_known);
    let swap = Swap { key: keys::delivery(&owed.id), expect, new: Some(deliveries.store.delivery_item(&row)) };
    if !deliveries.store.swap_one(swap).await.is_done()? {
        return Ok(None);
    }
    publish_emitted(&deliveries.store, &row).await?;
    Ok(Some(row))
}

/// Ends a delivery that has waited for 72 hours.
async fn end<B: Backend>(
    deliveries: &Deliveries<B>,
    asking: &Claimant<'_>,
    view: &View,
    (outage, attempts): (&Outage, u32),
) -> Result<Step, StoreError> {
    let row = view.records.get(&asking.owed.id).cloned();
    let state = if row.as_ref().is_some_and(|row| row.pending) { State::Unresolved } else { State::Exhausted };
    let reason = format!("receiver {} was down for 72 hours, since {}", outage.receiver.host, outage.since);
    let ending = Ending {
        owed: &asking.owed,
        row: row.zip(view.row_rev),
        attempts,
        max_attempts: asking.max_attempts(0),
        definition: Some(&asking.rule.definition),
        emitted: Vec::new(),
    };
    deliveries.end_step(asking.received, ending, state, &reason).await
}
