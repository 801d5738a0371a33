//! Stored rows and sent messages, each with the number of its format. Old formats keep being read.

mod callback;
pub(crate) mod event;
mod task;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracking_core::{
    answer::ExtractedData,
    caller::Owner,
    delivery::{DeliveryId, State},
    flow::{Emitted, Progress},
    id::Id,
    json,
    json::{Map, Value},
};

use crate::backend::{Item, Key, StoreError};
pub use callback::IncomingRequest;
pub(crate) use callback::{CallbackRow, ReadCallback};
pub(crate) use event::{Parameters, StoredEvent, is_long};
pub(crate) use task::{Backfilling, PutOff, Recording, Replaying, Task, read_task, write_task};

/// The format of rows and messages.
pub(crate) const FORMAT: u32 = 1;
/// The format of those that hold an event whose parameters have a row of their own.
const FORMAT_ASIDE: u32 = 2;

#[derive(Serialize, Deserialize)]
struct Wrapped<T> {
    v: u32,
    #[serde(rename = "d")]
    data: T,
}

/// The number alone, whatever the rest looks like.
#[derive(Deserialize)]
struct Numbered {
    v: u32,
}

/// Writes a row or a message.
fn write_as<T: Serialize>(format: u32, data: &T) -> String {
    serde_json::to_string(&Wrapped { v: format, data }).expect("rows and messages have text keys and no failing serializers")
}

/// Reads a row or a message that some version of this engine wrote.
pub(crate) fn read<T: DeserializeOwned>(body: &str) -> Result<T, Unreadable> {
    let read = serde_json::from_str::<Wrapped<T>>(body);
    let format = match &read {
        Ok(wrapped) => wrapped.v,
        Err(error) => serde_json::from_str::<Numbered>(body).map_err(|_| Unreadable::Corrupt(error.to_string()))?.v,
    };
    match format {
        FORMAT | FORMAT_ASIDE => read.map(|wrapped| wrapped.data).map_err(|error| Unreadable::Corrupt(error.to_string())),
        0 => Err(Unreadable::Corrupt("there is no format 0".to_owned())),
        newer => Err(Unreadable::Newer(newer)),
    }
}

/// Reads a row with its key in the error.
pub(crate) fn read_item<T: DeserializeOwned>(item: &Item) -> Result<T, StoreError> {
    read(&item.body).map_err(|error| error.of(&item.key))
}

/// A row or a message that this version can't read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// A newer version wrote it.
    #[error("format {0} is not known to this version; it knows up to {FORMAT_ASIDE}")]
    Newer(u32),
    /// A task of a kind that a newer version has.
    #[error("a task of kind {0} is not known to this version")]
    UnknownKind(String),
    /// It is damaged.
    #[error("unreadable: {0}")]
    Corrupt(String),
}

impl Unreadable {
    /// Returns true if a newer version can read it.
    pub(crate) fn is_newer(&self) -> bool {
        !matches!(self, Self::Corrupt(_))
    }

    /// The same about the row of this key.
    pub(crate) fn of(self, key: &Key) -> StoreError {
        self.about(Some(key.clone()))
    }

    fn about(self, key: Option<Key>) -> StoreError {
        match self {
            Self::Newer(format) => StoreError::Newer { key, format },
            Self::UnknownKind(_) => StoreError::Newer { key, format: FORMAT_ASIDE },
            Self::Corrupt(why) => StoreError::Corrupt { key, why },
        }
    }
}

impl From<Unreadable> for StoreError {
    fn from(error: Unreadable) -> Self {
        error.about(None)
    }
}

/// An item with this data as its body, in the present format.
pub(crate) fn item<T: Serialize>(key: Key, data: &T) -> Item {
    item_as(FORMAT, key, data)
}

/// An item in the format that the events in its data need.
pub(crate) fn item_as<T: Serialize>(format: u32, key: Key, data: &T) -> Item {
    Item { key, rev: 0, body: write_as(format, data), expires: None, attention: None }
}

/// An owed delivery: everything about a postback that never changes, as a message carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OwedDelivery {
    pub(crate) id: DeliveryId,
    pub(crate) rule: Id,
    pub(crate) owner: Owner,
    /// The rule's epoch when it matched: a rule that was switched off since sends it no more (P6).
    pub(crate) epoch: u64,
    /// A delivery of the same change and subject that goes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<DeliveryId>,
    /// It was held before (F1), so its row exists and the log lists it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) held: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) event: StoredEvent,
}

/// A delivery as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveryRow {
    #[serde(rename = "job")]
    pub(crate) owed: OwedDelivery,
    pub(crate) state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) attempts: u32,
    /// Attempts before the present budget: those before a person's resend (L1).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) base: u32,
    /// Attempts that may be made by the end of the present budget.
    pub(crate) max_attempts: u32,
    /// The replay that resent it last: a repeated step of the replay does not resend it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) replay: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_due: Option<Timestamp>,
    /// The time since which it has waited for its present reason: a secret that is to be written again, a pause, or a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits_since: Option<Timestamp>,
    /// Its wait for a receiver that is down (B4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receiver_wait: Option<Box<ReceiverWait>>,
    /// An attempt was answered pending (L3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) pending: bool,
    /// Fingerprint of the response data that this delivery last published (A3).
    #[serde(rename = "told", default, skip_serializing_if = "Option::is_none")]
    pub(crate) published_fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) variables: BTreeMap<String, String>,
    /// The names of those that nobody sees.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) secret_variables: BTreeSet<String>,
    /// The secret variables, sealed. Earlier versions left them among the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<Timestamp>,
    /// The last attempt, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<Attempt>,
    /// The status of the last response, until it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http_status: Option<u16>,
    /// The duration of the last attempt, until it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) duration_ms: Option<u64>,
    /// Events that the bus may not have taken yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) outbox: Option<Box<Outbox>>,
    /// The events that its steps emitted and that the bus may not have (W20).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) emitted: Vec<Emitted>,
    /// Its place in the flow of its rule, if that is one (W3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flow: Option<Box<Progress>>,
    /// The message that read the last callback, until another one writes the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) read_by: Option<String>,
    /// The number of times that it was resent: distinguishes the callbacks of a flow from those of the one before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) resends: u32,
    /// The time until which it keeps its subject queue for its next step, if that follows at once (W4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keeps_until: Option<Timestamp>,
}

/// The wait of a delivery for a receiver that is down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceiverWait {
    /// The receiver.
    pub(crate) receiver: Id,
    /// The beginning of the outage.
    pub(crate) outage: Timestamp,
    /// The first wait in that outage.
    pub(crate) since: Timestamp,
}

/// The events that an attempt, or the end of its delivery, publishes to the platform. The row holds them before the bus is asked to take
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outbox {
    /// The attempts that were made by then.
    pub(crate) attempt: u32,
    /// The message that was worked: when it comes again, nobody knows whether the bus has the events.
    pub(crate) message: String,
    pub(crate) at: Timestamp,
    /// The response data to publish, without the values of its variables, which the row has.
    #[serde(rename = "told", default, skip_serializing_if = "Option::is_none")]
    pub(crate) extracted: Option<ExtractedData>,
    /// The names of those variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) variables: Vec<String>,
    /// The end of the delivery and its reason, if they are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<(State, Option<String>)>,
}

/// One attempt as the log keeps it (docs/api.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// 1 is the first.
    #[serde(rename = "attempt")]
    pub(crate) number: u32,
    /// The step, and its run, of a rule that has steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<u32>,
    pub(crate) at: Timestamp,
    pub(crate) duration_ms: u64,
    pub(crate) request: LoggedRequest,
    pub(crate) status: Option<u16>,
    pub(crate) answer: Option<String>,
    /// The headers of the response, as far as they are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) answer_headers: Vec<(String, String)>,
    pub(crate) verdict: String,
    pub(crate) error: Option<String>,
}

/// The owner of a delivery's row, and nothing else of it.
#[derive(Deserialize)]
struct Owned {
    #[serde(rename = "job")]
    owed: OwnedDelivery,
}

#[derive(Deserialize)]
struct OwnedDelivery {
    owner: Owner,
}

/// Reads the owner of a delivery's row: for a caller that may not see the row nothing more of it is read.
pub(crate) fn owner_of(body: &str) -> Result<Owner, Unreadable> {
    Ok(read::<Owned>(body)?.owed.owner)
}

/// A request as the log keeps it: secrets masked (Q5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoggedRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

impl LoggedRequest {
    /// As the API shows it.
    pub(crate) fn view(&self) -> Value {
        let headers: tracking_core::json::Map =
            self.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        json!({"method": self.method, "url": self.url, "headers": headers, "body": self.body})
    }
}

impl Attempt {
    /// As the API shows it.
    pub(crate) fn view(&self) -> Value {
        json!({
            "attempt": self.number, "step": self.step, "run": self.run, "at": self.at, "duration_ms": self.duration_ms, "request": self.request.view(),
            "status": self.status, "answer": self.answer,
            "answer_headers": self.status.map(|_| headers_view(&self.answer_headers)), "verdict": self.verdict, "error": self.error,
        })
    }
}

impl DeliveryRow {
    /// A delivery that has had no attempt.
    pub(crate) fn new(owed: OwedDelivery, state: State, max_attempts: u32) -> Self {
        Self {
            owed,
            state,
            reason: None,
            attempts: 0,
            base: 0,
            max_attempts,
            replay: None,
            next_due: None,
            waits_since: None,
            receiver_wait: None,
            pending: false,
            published_fingerprint: None,
            variables: BTreeMap::new(),
            secret_variables: BTreeSet::new(),
            sealed: None,
            ended_at: None,
            last: None,
            http_status: None,
            duration_ms: None,
            outbox: None,
            emitted: Vec::new(),
            flow: None,
            read_by: None,
            resends: 0,
            keeps_until: None,
        }
    }

    /// Notes the secret variables after these were set (A3): the `hidden` ones, and earlier ones that were not set again.
    pub(crate) fn note_hidden(&mut self, variables: &BTreeMap<String, String>, hidden: &BTreeSet<String>) {
        self.secret_variables.retain(|name| !variables.contains_key(name));
        self.secret_variables.extend(hidden.iter().cloned());
    }

    /// Ends it.
    pub(crate) fn end(&mut self, state: State, reason: impl Into<String>, now: Timestamp) {
        self.state = state;
        self.reason = Some(reason.into());
        self.next_due = None;
        self.keeps_until = None;
        self.ended_at = Some(now);
    }

    /// Returns true if it was held, and has had no attempt: its event is as old as the hold.
    pub(crate) fn was_held_back(&self) -> bool {
        self.owed.held && self.attempts == 0
    }

    /// The status of the last response, if there was one.
    pub(crate) fn last_status(&self) -> Option<u16> {
        self.last.as_ref().map_or(self.http_status, |last| last.status)
    }

    /// As a list shows it (docs/api.md).
    pub(crate) fn view(&self) -> Value {
        let event = self.owed.event.known();
        let transaction_id =
            event.transaction.as_ref().filter(|_| event.kind.is_transaction()).map(|t| t.transaction_id.as_str());
        let transaction = event.transaction.as_ref();
        json!({
            "id": self.owed.id, "tracking_api_id": self.owed.rule, "owner": self.owed.owner, "change_id": event.change_id,
            "event": event.kind, "conversion_id": event.conversion.conversion_id, "transaction_id": transaction_id,
            "affiliate_id": event.conversion.affiliate_id, "state": self.state, "reason": self.reason,
            "attempts": self.attempts, "max_attempts": self.max_attempts, "next_due": self.next_due,
            "is_final": event.is_final, "is_correction": event.is_correction,
            "created_at": self.owed.created_at, "ended_at": self.ended_at, "offer_id": event.conversion.offer_id,
            "click_id": event.conversion.affiliate_click_id, "external_id": event.conversion.external_id,
            "result": transaction.map(|transaction| transaction.result),
            "payout": transaction.and_then(|transaction| transaction.payout),
            "currency": transaction.and_then(|transaction| transaction.currency.as_ref()), "http_status": self.last_status(),
            "duration_ms": self.last.as_ref().map(|last| last.duration_ms).or(self.duration_ms),
            "step": self.flow.as_ref().filter(|_| !self.state.is_ended()).map(|flow| flow.step.as_str()),
        })
    }
}

/// The headers as the API shows them: values of one name are joined by commas.
pub(crate) fn headers_view(headers: &[(String, String)]) -> Value {
    let mut view = Map::new();
    for (name, value) in headers {
        let joined = match view.get(name).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.clone(),
        };
        view.insert(name.clone(), joined.into());
    }
    Value::Object(view)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(attempts: &u32) -> bool {
    *attempts == 0
}
