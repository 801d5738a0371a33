//! One event in a queue message: the platform's detail with the one transaction that counts, and three more fields.
//!
//! The form has no version number; the message around it has.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{Event, EventKind};
use crate::{
    change::{
        Causation, Conversion, Transaction, causation, conversion,
        fields::{FLAG, Fields, ID, Kind, TIME},
        transactions,
    },
    fault::Faults,
    id::Id,
    json::Value,
};

const EVENT_KIND: Kind<EventKind> = Kind {
    allowed: "give transaction_created, transaction_updated, conversion_created or conversion_updated",
    read: |value| match value.as_str()? {
        "transaction_created" => Some(EventKind::TransactionCreated),
        "transaction_updated" => Some(EventKind::TransactionUpdated),
        "conversion_created" => Some(EventKind::ConversionCreated),
        "conversion_updated" => Some(EventKind::ConversionUpdated),
        _ => None,
    },
};

/// The written form of an [`Event`].
#[derive(Serialize)]
struct Written<'a> {
    change_id: &'a Id,
    occurred_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation: Option<&'a Causation>,
    conversion: &'a Conversion,
    transactions: &'a [Transaction],
    event: EventKind,
    is_final: bool,
    is_correction: bool,
}

/// Writes the result of [`Event::to_value`] without building a [`Value`] first.
impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            change_id: &self.change_id,
            occurred_at: self.occurred_at,
            causation: self.causation.as_ref(),
            conversion: &self.conversion,
            transactions: self.transaction.as_slice(),
            event: self.kind,
            is_final: self.is_final,
            is_correction: self.is_correction,
        };
        written.serialize(serializer)
    }
}

impl Event {
    /// The event as the body of a queue message; [`Event::from_value`] reads it back.
    pub fn to_value(&self) -> Value {
        Value::from_serialize(self).expect("every map of an event has texts as keys")
    }

    /// Reads an event from [`Event::to_value`] or from its serialisation; unknown fields are ignored. All faults are reported at once.
    pub fn from_value(message: &Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let event = Fields::open(message, "", &mut faults).and_then(|mut fields| read(&mut fields));
        match event {
            Some(event) if faults.is_empty() => Ok(event),
            _ => Err(faults),
        }
    }
}

fn read(fields: &mut Fields) -> Option<Event> {
    let change_id = fields.required("change_id", &ID);
    let occurred_at = fields.required("occurred_at", &TIME);
    let causation = causation(fields);
    let conversion = fields.required_object("conversion").and_then(|mut fields| conversion(&mut fields));
    let transactions = transactions(fields);
    let kind = fields.required("event", &EVENT_KIND);
    let is_final = fields.required("is_final", &FLAG);
    let is_correction = fields.required("is_correction", &FLAG);
    if transactions.len() > 1 {
        fields.fault("transactions", "several are given: give the one that counts");
    }
    if transactions.is_empty() && kind.is_some_and(EventKind::is_transaction) {
        fields.fault("transactions", "missing: give the transaction that a transaction event is about");
    }
    Some(Event {
        change_id: change_id?,
        occurred_at: occurred_at?,
        causation,
        kind: kind?,
        conversion: Arc::new(conversion?),
        transaction: transactions.into_iter().next(),
        is_final: is_final?,
        is_correction: is_correction?,
    })
}
