//! The row of a receiver, the events about it, and its view.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{
    hash, json,
    json::Value,
    receiver::{Health, Receiver, ReceiverState, Transition},
};

use crate::{
    backend::{Item, Published},
    keys, rows,
};

/// A receiver's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceiverRow {
    pub(crate) receiver: Receiver,
    pub(crate) health: Health,
    /// The outbox: the transition that the bus may not have taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) announcement: Option<Announcement>,
    /// `true` if deliveries may still be in the queue of a receiver that is closed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) leftovers: bool,
}

/// A transition that is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Announcement {
    transition: Transition,
    pub(crate) at: Timestamp,
    reason: String,
}

impl ReceiverRow {
    /// A row of a receiver that has none.
    pub(crate) fn new(receiver: Receiver, health: Health) -> Self {
        Self { receiver, health, announcement: None, leftovers: false }
    }

    /// Notes a transition in the outbox.
    pub(super) fn note_transition(&mut self, transition: Transition, at: Timestamp, reason: Option<&str>) {
        let usual = match transition {
            Transition::Down => self.health.last_error().unwrap_or("it does not answer"),
            Transition::Up => "deliveries are sent to it again",
        };
        let reason = reason.unwrap_or(usual).to_owned();
        self.announcement = Some(Announcement { transition, at, reason });
    }

    /// The event that its outbox holds.
    pub(super) fn unpublished(&self) -> Option<Published> {
        let Announcement { transition, at, reason } = self.announcement.as_ref()?;
        let Receiver { id, owner, host, .. } = &self.receiver;
        let (kind, word) = match transition {
            Transition::Down => ("Receiver Down", "down"),
            Transition::Up => ("Receiver Up", "up"),
        };
        let event_id = format!("evt_{}", hash::text(&["receiver", id.as_str(), word, &at.to_string()], 25));
        let detail =
            json!({"receiver_id": id, "host": host, "owner": owner, "since": at, "reason": reason, "event_id": event_id});
        Some(Published::new(*at, kind, detail))
    }

    /// Returns true if a transition of the receiver is not finished.
    pub(super) fn has_unfinished(&self) -> bool {
        self.announcement.is_some() || self.leftovers
    }

    /// The row as an item: once the receiver is closed it expires, until then the sparse index lists it.
    pub(super) fn item(&self, expires: Timestamp) -> Item {
        let is_well = self.health.state == ReceiverState::Closed && !self.has_unfinished();
        let (expires, attention) =
            if is_well { (Some(expires), None) } else { (None, Some(keys::unwell_receiver(&self.receiver.id))) };
        Item { expires, attention, ..rows::item(keys::receiver(&self.receiver.id), self) }
    }

    /// As the API shows it.
    pub(super) fn view(&self, waiting: usize, next_probe: Option<Timestamp>) -> Value {
        let Self { receiver: Receiver { id, owner, scheme, host }, health, .. } = self;
        json!({
            "id": id, "owner": owner, "scheme": scheme, "host": host, "state": health.state, "since": health.since,
            "down_since": health.down_since, "waiting": waiting, "next_probe": next_probe, "last_error": health.last_error(),
        })
    }
}
