//! What a delivery tells the platform: it stands in the delivery's row before the bus is asked to take it, and what is published is always
//! made of the row.
//!
//! A bus that refuses events, or a crash between the row and the bus, therefore repeats no request. The events of an outbox are published
//! again, with the same `event_id`, when the message comes again whose work wrote them, and before the next attempt is claimed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracking_core::{
    answer::Told,
    delivery::State,
    event::Event,
    hash,
    id::Id,
    json,
    json::{Map, Value},
    matching::DEEPEST_CAUSE,
};

use crate::{
    backend::{Backend, Effects, Published, Received, StoreError},
    delivery::Deliveries,
    rows::{DeliveryRow, Outbox},
};

impl<B: Backend> Deliveries<B> {
    /// Adds a row to what a step brings about, and the events that its outbox holds.
    pub(super) fn put_told(&self, effects: &mut Effects, row: &DeliveryRow) {
        effects.publish.extend(row.unpublished());
        let Some(outbox) = &row.outbox else {
            effects.put.push(self.store.delivery_item(row));
            return;
        };
        let published = DeliveryRow { outbox: None, ..row.clone() };
        if self.store.backend().is_transactional() {
            effects.put.push(self.store.delivery_item(&published));
            return;
        }
        effects.put.push(self.store.delivery_item(row));
        if outbox.ended.is_none() && !row.state.is_ended() {
            // The next attempt need not publish it again. What is over has none.
            effects.put_published.push(self.store.delivery_item(&published));
        }
    }

    /// Publishes what the work of this very message may have left unpublished.
    ///
    /// # Errors
    /// Neither the bus nor the queue takes it: nothing else may be done with the message.
    pub(super) async fn publish_left_by(&self, received: &Received, row: &DeliveryRow) -> Result<(), StoreError> {
        match &row.outbox {
            Some(outbox) if outbox.message == received.id => self.publish_left(row).await,
            _ => Ok(()),
        }
    }

    /// Publishes what is left in a row's outbox.
    ///
    /// # Errors
    /// Neither the bus nor the queue takes it.
    pub(super) async fn publish_left(&self, row: &DeliveryRow) -> Result<(), StoreError> {
        self.store.commit_one(Effects { publish: row.unpublished(), ..Effects::default() }).await
    }
}

impl DeliveryRow {
    /// Writes into its outbox what its last response `told`, and its end if it has ended just now; `message` is the one that is worked.
    pub(super) fn note_told(&mut self, message: &Received, told: Option<Told>, now: Timestamp) {
        let ended = self.state.is_announced().then(|| (self.state, self.reason.clone()));
        let variables = told.iter().flat_map(|told| told.variables.keys());
        let variables = variables.filter(|name| !self.secret_variables.contains(*name)).cloned().collect();
        let told = told.map(|told| Told { variables: BTreeMap::new(), ..told });
        let outbox = Outbox { attempt: self.attempts, message: message.id.clone(), at: now, told, variables, ended };
        self.outbox = (outbox.told.is_some() || outbox.ended.is_some()).then(|| Box::new(outbox));
    }

    /// The events that its outbox holds.
    pub(super) fn unpublished(&self) -> Vec<Published> {
        let Some(outbox) = &self.outbox else { return Vec::new() };
        let told = outbox.told.as_ref().and_then(|told| self.result_received(outbox, told));
        let ended = outbox.ended.as_ref().map(|(state, reason)| self.ended(outbox, *state, reason.as_ref()));
        let event = |(detail_type, mut detail): (&'static str, Value)| {
            let number = outbox.attempt.to_string();
            // A delivery may end twice after the same attempt: after a resend that was never sent.
            let at = outbox.at.to_string();
            let id = hash::text(&["event", self.job.id.as_str(), &number, detail_type, &at], 25);
            detail["event_id"] = format!("evt_{id}").into();
            Published::new(outbox.at, detail_type, detail)
        };
        told.into_iter().chain(ended).map(event).collect()
    }

    /// The events of its outbox but for its end, which is not its end if more is known of it.
    pub(super) fn unpublished_told(&self) -> Vec<Published> {
        let outbox = self.outbox.as_ref().map(|outbox| Box::new(Outbox { ended: None, ..Outbox::clone(outbox) }));
        Self { outbox, ..self.clone() }.unpublished()
    }

    /// What a response told the platform (A3); nothing where the chain of causes would be too long (P4).
    fn result_received(&self, outbox: &Outbox, told: &Told) -> Option<(&'static str, Value)> {
        let event = self.job.event.known();
        let causation = next_causation(event, &self.job.rule)?;
        let variables = self.variables.iter().filter(|(name, _)| outbox.variables.contains(name));
        let variables: Map = variables.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let mut detail = json!({
            "attempt": outbox.attempt, "conversion_id": event.conversion.conversion_id, "variables": variables,
            "tracking_api_id": self.job.rule, "delivery_id": self.job.id, "received_at": outbox.at, "causation": causation,
        });
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                detail[name] = value;
            }
        };
        add("transaction_id", event.transaction.as_ref().map(|transaction| json!(transaction.transaction_id)));
        add("pcid", event.conversion.pcid.as_ref().map(|pcid| json!(pcid)));
        add("external_id", told.external_id.as_ref().map(|id| json!(id)));
        add("result", told.result.map(|result| json!(result)));
        add("payout", told.payout.map(|payout| json!(payout)));
        add("value", told.value.map(|value| json!(value)));
        Some(("Conversion Result Received", detail))
    }

    /// The bad end of a delivery (contract §1).
    fn ended(&self, outbox: &Outbox, state: State, reason: Option<&String>) -> (&'static str, Value) {
        let mut then = self.clone();
        then.attempts = outbox.attempt;
        then.state = state;
        then.reason = reason.cloned();
        then.next_due = None;
        then.ended_at = Some(outbox.at);
        let mut detail = then.view();
        detail["attempt"] = outbox.attempt.into();
        detail["delivery_id"] = json!(self.job.id);
        ("Delivery Ended", detail)
    }
}

/// The delivery's causation for what its answer tells the platform; `None` when the chain would be too long (P4).
fn next_causation(event: &Event, rule: &Id) -> Option<Value> {
    let depth = event.causation.as_ref().map_or(0, |causation| causation.depth) + 1;
    (depth <= DEEPEST_CAUSE).then(|| json!({"tracking_api_id": rule, "depth": depth}))
}
