//! Elementary events: the parts of a change that triggers fire on.
//!
//! [`Change::events`](crate::change::Change::events) derives them; [`Event::to_value`] and [`Event::from_value`] write and read
//! one event in a queue message.

mod derive;
mod message;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    change::{Causation, Conversion, Transaction},
    id::{Id, NotAnId},
};

/// The four kinds of elementary events. Created comes before updated (P3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// CC
    ConversionCreated,
    /// TC
    TransactionCreated,
    /// CU
    ConversionUpdated,
    /// TU
    TransactionUpdated,
}

impl EventKind {
    /// The name in JSON, also the value of `{event}`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConversionCreated => "conversion_created",
            Self::TransactionCreated => "transaction_created",
            Self::ConversionUpdated => "conversion_updated",
            Self::TransactionUpdated => "transaction_updated",
        }
    }

    /// 0 for created, 1 for updated: the second half of P3's order.
    pub fn rank(self) -> u8 {
        match self {
            Self::ConversionCreated | Self::TransactionCreated => 0,
            Self::ConversionUpdated | Self::TransactionUpdated => 1,
        }
    }

    /// Returns true if the subject is a transaction (T1–T3) rather than the conversion (T4–T6).
    pub fn is_transaction(self) -> bool {
        matches!(self, Self::TransactionCreated | Self::TransactionUpdated)
    }
}

/// One elementary event with the data for its postback. On a transaction event `transaction` is its subject; on a
/// conversion event it is the transaction that the result condition chose (C2), if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The change that it follows from.
    pub change_id: Id,
    /// The time of the change at the platform.
    pub occurred_at: Timestamp,
    /// The cause, if one of our responses led to the change (P4).
    pub causation: Option<Causation>,
    /// The kind of the event.
    pub kind: EventKind,
    /// The conversion as the change left it.
    pub conversion: Arc<Conversion>,
    /// The transaction that macros read.
    pub transaction: Option<Transaction>,
    /// `true` if the subject's result is final (F3): on a transaction event the transaction's, on a conversion event all of them.
    pub is_final: bool,
    /// `true` if a final postback about this subject was sent before (F4).
    pub is_correction: bool,
}

/// The subject of a postback: the transaction for T1–T3, the conversion for T4–T6. Its text, `transaction:trx_1` or
/// `conversion:cnv_1`, is stable and used in keys and hashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// One transaction.
    Transaction(Id),
    /// The conversion.
    Conversion(Id),
}

impl Subject {
    /// The id alone.
    pub fn id(&self) -> &Id {
        match self {
            Self::Transaction(id) | Self::Conversion(id) => id,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transaction(id) => write!(f, "transaction:{id}"),
            Self::Conversion(id) => write!(f, "conversion:{id}"),
        }
    }
}

/// A text that is no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a subject: write transaction:ID or conversion:ID")]
pub struct NotASubject;

impl FromStr for Subject {
    type Err = NotASubject;

    fn from_str(text: &str) -> Result<Self, NotASubject> {
        let (kind, id) = text.split_once(':').ok_or(NotASubject)?;
        let id = id.parse().map_err(|NotAnId| NotASubject)?;
        match kind {
            "transaction" => Ok(Self::Transaction(id)),
            "conversion" => Ok(Self::Conversion(id)),
            _ => Err(NotASubject),
        }
    }
}

/// The position of an event among those of its subject: by the conversion's version, then created before updated (P3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Order {
    /// The conversion's version.
    pub version: u64,
    /// [`EventKind::rank`].
    pub rank: u8,
}

impl Event {
    /// The subject: the transaction on a transaction event, else the conversion.
    pub fn subject(&self) -> Subject {
        match &self.transaction {
            Some(transaction) if self.kind.is_transaction() => Subject::Transaction(transaction.transaction_id.clone()),
            _ => Subject::Conversion(self.conversion.conversion_id.clone()),
        }
    }

    /// The position in P3's order.
    pub fn order(&self) -> Order {
        Order { version: self.conversion.version, rank: self.kind.rank() }
    }
}
