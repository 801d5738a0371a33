//! The postbacks that a rule owes, and the messages that carry them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracking_core::{
    caller::Owner,
    change::Change,
    delivery::{Cause, DeliveryId},
    event::{Event, Subject},
    hash,
    id::Id,
};

use crate::{
    backend::{Backend, Effects, Lane, Message},
    due,
    rows::{self, OwedDelivery, StoredEvent, Task},
    rules::Rule,
    store::Store,
};

/// The postbacks of a rule that sends each change as it comes.
pub(crate) fn owed_now(rule: &Rule, change: &Change, events: &[Event], now: Timestamp) -> Vec<OwedDelivery> {
    let mut first: BTreeMap<Subject, DeliveryId> = BTreeMap::new();
    let mut all_owed = Vec::new();
    let candidate = rule.candidate();
    for event in events {
        let Some(event) = candidate.fires(change, event) else { continue };
        let subject = event.subject();
        let mut owed = owed_delivery(rule, event, None, now);
        owed.after = first.insert(subject, owed.id.clone());
        all_owed.push(owed);
    }
    all_owed
}

/// A postback that a rule owes for a change, or for a hold's cause.
pub(crate) fn owed_delivery(rule: &Rule, event: Event, cause: Option<Cause<'_>>, now: Timestamp) -> OwedDelivery {
    let cause = cause.unwrap_or(Cause::Change(&event.change_id, event.kind));
    let subject = event.subject().to_string();
    OwedDelivery {
        id: DeliveryId::derive(&event.conversion.conversion_id, &rule.id, &subject, cause),
        rule: rule.id.clone(),
        owner: rule.head.owner.clone(),
        epoch: rule.head.epoch,
        after: None,
        held: false,
        created_at: now,
        event: StoredEvent::new(event),
    }
}

/// Adds the first try of an owed delivery, after the row of its event's parameters if it is a long one.
pub(crate) fn hand_over<B: Backend>(store: &Store<B>, effects: &mut Effects, host: &str, mut owed: OwedDelivery) {
    store.set_aside(&mut owed, &mut effects.put);
    effects.send.push(deliver_message(host, owed));
}

/// A first try. The group is the owner and the receiver's host, so that a slow receiver holds up no other (P5).
fn deliver_message(host: &str, owed: OwedDelivery) -> Message {
    let group = group(&owed, host);
    Message { lane: Lane::Delivery, group, not_before: None, body: rows::write_task(&Task::Deliver(Box::new(owed))) }
}

/// The group of a postback: those of one group share one turn.
pub(crate) fn group(owed: &OwedDelivery, host: &str) -> String {
    group_of(&owed.owner, host)
}

/// The group of one part of an owner's work, such as a receiver's host.
pub(crate) fn group_of(owner: &Owner, part: &str) -> String {
    let owner = owner.affiliate().map_or("admin", Id::as_str);
    format!("{}/{}", hash::text(&["owner", owner], 16), hash::text(&["group", owner, part], 16))
}

/// A message of the retry lane for this time.
pub(crate) fn message(task: &Task, group: String, at: Timestamp) -> Message {
    Message { lane: Lane::Retry, group, not_before: Some(at), body: rows::write_task(task) }
}

/// Adds a message about an owed delivery for this time, however far away that is.
pub(super) fn wake(effects: &mut Effects, task: &Task, owed: &OwedDelivery, host: &str, at: Timestamp, now: Timestamp) {
    due::file(effects, message(task, group(owed, host), at), &format!("D#{}", owed.id), now);
}
