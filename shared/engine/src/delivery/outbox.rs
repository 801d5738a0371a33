//! The events that a delivery publishes to the platform: the delivery's row holds them before the bus is asked to take them, and they are
//! always made of the row.
//!
//! A bus that refuses events, or a crash between the row and the bus, therefore repeats no request. The events of an outbox are
//! published again, with the same `event_id`, when the message that wrote them comes again, and before the next attempt is
//! claimed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracking_core::{
    answer::ExtractedData,
    delivery::State,
    event::Event,
    flow::Emitted,
    hash,
    id::Id,
    json,
    json::{Map, Value},
    matching::DEEPEST_CAUSE,
};

use crate::{
    backend::{Backend, Effects, Published, Received, StoreError, Swap},
    delivery::Deliveries,
    keys, rows,
    rows::{DeliveryRow, Outbox},
    store::Store,
};

impl<B: Backend> Deliveries<B> {
    /// Adds a row to a step's effects, and the events of its outbox.
    pub(super) fn put_with_outbox(&self, effects: &mut Effects, row: &DeliveryRow) {
        effects.publish.extend(row.unpublished());
        if !row.has_unpublished() {
            effects.put.push(self.store.delivery_item(row));
            return;
        }
        let published = row.published();
        if self.store.backend().is_transactional() {
            effects.put.push(self.store.delivery_item(&published));
            return;
        }
        effects.put.push(self.store.delivery_item(row));
        // The next attempt need not publish it again. A delivery that is over has no next attempt, but may be resent from its first step.
        if !row.state.is_ended() {
            effects.put_published.push(self.store.delivery_item(&published));
        } else if !row.emitted.is_empty() {
            effects.put_published.push(self.store.delivery_item(&DeliveryRow { emitted: Vec::new(), ..row.clone() }));
        }
    }

    /// Publishes events that the work of this very message may have left unpublished.
    ///
    /// # Errors
    /// Neither the bus nor the queue takes it: nothing else may be done with the message.
    pub(super) async fn publish_left_by(&self, received: &Received, row: &DeliveryRow) -> Result<(), StoreError> {
        match &row.outbox {
            Some(outbox) if outbox.message == received.id => self.publish_left(row).await,
            _ if !row.emitted.is_empty() => self.publish_left(row).await,
            _ => Ok(()),
        }
    }

    /// Publishes the remaining events of a row's outbox.
    ///
    /// # Errors
    /// Neither the bus nor the queue takes it.
    pub(super) async fn publish_left(&self, row: &DeliveryRow) -> Result<(), StoreError> {
        self.store.commit_one(Effects { publish: row.unpublished(), ..Effects::default() }).await
    }
}

/// Publishes the events that the steps before a wait or an end emitted, and removes them from the delivery's row. If it is cut off in
/// between, they are published again, with the same `event_id`.
///
/// # Errors
/// Neither the bus nor the queue takes it, or the store is unavailable.
pub(super) async fn publish_emitted<B: Backend>(store: &Store<B>, row: &DeliveryRow) -> Result<(), StoreError> {
    if row.emitted.is_empty() {
        return Ok(());
    }
    store.commit_one(Effects { publish: row.emitted_events(), ..Effects::default() }).await?;
    take_out(store, row, |stored| (stored.emitted == row.emitted).then(|| DeliveryRow { emitted: Vec::new(), ..stored.clone() }))
        .await
}

/// Publishes all events in a delivery's row, and removes them from the row.
///
/// # Errors
/// As [`publish_emitted`].
pub(super) async fn publish_all<B: Backend>(store: &Store<B>, row: &DeliveryRow) -> Result<(), StoreError> {
    if !row.has_unpublished() {
        return Ok(());
    }
    store.commit_one(Effects { publish: row.unpublished(), ..Effects::default() }).await?;
    take_out(store, row, |stored| ((&stored.outbox, &stored.emitted) == (&row.outbox, &row.emitted)).then(|| stored.published()))
        .await
}

async fn take_out<B: Backend>(
    store: &Store<B>,
    row: &DeliveryRow,
    published: impl Fn(&DeliveryRow) -> Option<DeliveryRow>,
) -> Result<(), StoreError> {
    let key = keys::delivery(&row.owed.id);
    let Some(item) = store.get_one(key.clone()).await? else { return Ok(()) };
    if let Some(published) = published(&rows::read_item(&item)?) {
        let new = Some(store.delivery_item(&published));
        // If somebody else has written it, that writer publishes it once more.
        let _other = store.swap_one(Swap { key, expect: Some(item.rev), new }).await.is_done()?;
    }
    Ok(())
}

impl DeliveryRow {
    /// Writes the data of the last response into the outbox, and the delivery's end if it has just ended. `message` is the one
    /// that is worked.
    pub(super) fn fill_outbox(&mut self, message: &Received, extracted: Option<ExtractedData>, now: Timestamp) {
        let ended = self.state.is_announced().then(|| (self.state, self.reason.clone()));
        let variables = extracted.iter().flat_map(|extracted| extracted.variables.keys());
        let variables = variables.filter(|name| !self.secret_variables.contains(*name)).cloned().collect();
        let extracted = extracted.map(|extracted| ExtractedData { variables: BTreeMap::new(), ..extracted });
        let outbox = Outbox { attempt: self.attempts, message: message.id.clone(), at: now, extracted, variables, ended };
        self.outbox = (outbox.extracted.is_some() || outbox.ended.is_some()).then(|| Box::new(outbox));
    }

    /// Returns true if it holds events that the bus may not have.
    pub(super) fn has_unpublished(&self) -> bool {
        self.outbox.is_some() || !self.emitted.is_empty()
    }

    /// The row after the bus has taken its events.
    pub(super) fn published(&self) -> Self {
        Self { outbox: None, emitted: Vec::new(), ..self.clone() }
    }

    /// The events that it holds: those that its steps emitted, and those of its outbox.
    pub(super) fn unpublished(&self) -> Vec<Published> {
        let mut events = self.emitted_events();
        events.extend(self.unpublished_in_outbox());
        events
    }

    fn emitted_events(&self) -> Vec<Published> {
        self.emitted.iter().filter_map(|emitted| self.emitted_event(emitted)).collect()
    }

    /// An event of a step (W20); nothing where the chain of causes would be too long (P4).
    fn emitted_event(&self, emitted: &Emitted) -> Option<Published> {
        let Emitted { step, run, began, at, name, fields, count } = emitted;
        let event = self.owed.event.known();
        let causation = next_causation(event, &self.owed.rule)?;
        let id = hash::text(&["emitted", self.owed.id.as_str(), &began.to_string(), step, &run.to_string()], 25);
        let detail = json!({
            "event_id": format!("evt_{id}"), "name": name, "fields": fields, "count": count, "tracking_api_id": self.owed.rule,
            "delivery_id": self.owed.id, "conversion_id": event.conversion.conversion_id, "causation": causation,
        });
        Some(Published::new(*at, "Tracking API Event", detail))
    }

    fn unpublished_in_outbox(&self) -> Vec<Published> {
        let Some(outbox) = &self.outbox else { return Vec::new() };
        let result = outbox.extracted.as_ref().and_then(|extracted| self.result_received(outbox, extracted));
        let ended = outbox.ended.as_ref().map(|(state, reason)| self.ended(outbox, *state, reason.as_ref()));
        let event = |(detail_type, mut detail): (&'static str, Value)| {
            let number = outbox.attempt.to_string();
            // A delivery may end twice after the same attempt: after a resend that was never sent.
            let at = outbox.at.to_string();
            let id = hash::text(&["event", self.owed.id.as_str(), &number, detail_type, &at], 25);
            detail["event_id"] = format!("evt_{id}").into();
            Published::new(outbox.at, detail_type, detail)
        };
        result.into_iter().chain(ended).map(event).collect()
    }

    /// The unpublished events without the delivery's end: a later attempt or a resend has made that end void.
    pub(super) fn unpublished_without_end(&self) -> Vec<Published> {
        let outbox = self.outbox.as_ref().map(|outbox| Box::new(Outbox { ended: None, ..Outbox::clone(outbox) }));
        Self { outbox, ..self.clone() }.unpublished()
    }

    /// The data that a response reports to the platform (A3); nothing where the chain of causes would be too long (P4).
    fn result_received(&self, outbox: &Outbox, extracted: &ExtractedData) -> Option<(&'static str, Value)> {
        let event = self.owed.event.known();
        let causation = next_causation(event, &self.owed.rule)?;
        let variables = self.variables.iter().filter(|(name, _)| outbox.variables.contains(name));
        let variables: Map = variables.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let mut detail = json!({
            "attempt": outbox.attempt, "conversion_id": event.conversion.conversion_id, "variables": variables,
            "tracking_api_id": self.owed.rule, "delivery_id": self.owed.id, "received_at": outbox.at, "causation": causation,
        });
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                detail[name] = value;
            }
        };
        add("transaction_id", event.transaction.as_ref().map(|transaction| json!(transaction.transaction_id)));
        add("pcid", event.conversion.pcid.as_ref().map(|pcid| json!(pcid)));
        add("external_id", extracted.external_id.as_ref().map(|id| json!(id)));
        add("result", extracted.result.map(|result| json!(result)));
        add("payout", extracted.payout.map(|payout| json!(payout)));
        add("value", extracted.value.map(|value| json!(value)));
        Some(("Conversion Result Received", detail))
    }

    /// The event about a delivery that ended badly (docs/results-out.md).
    fn ended(&self, outbox: &Outbox, state: State, reason: Option<&String>) -> (&'static str, Value) {
        let mut then = self.clone();
        then.attempts = outbox.attempt;
        then.state = state;
        then.reason = reason.cloned();
        then.next_due = None;
        then.ended_at = Some(outbox.at);
        let mut detail = then.view();
        detail["attempt"] = outbox.attempt.into();
        detail["delivery_id"] = json!(self.owed.id);
        ("Delivery Ended", detail)
    }
}

/// The delivery's causation for the response data that it publishes; `None` when the chain would be too long (P4).
fn next_causation(event: &Event, rule: &Id) -> Option<Value> {
    let depth = event.causation.as_ref().map_or(0, |causation| causation.depth) + 1;
    (depth <= DEEPEST_CAUSE).then(|| json!({"tracking_api_id": rule, "depth": depth}))
}
