//! Elementary events: what a change means for triggers (domain §2).

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    change::{Causation, Conversion, Transaction},
    id::Id,
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
    /// The word of the contract, also what `{event}` prints.
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

    /// Whether the subject is a transaction (T1–T3) rather than the conversion (T4–T6).
    pub fn is_transaction(self) -> bool {
        matches!(self, Self::TransactionCreated | Self::TransactionUpdated)
    }
}

/// One elementary event with what a postback about it may tell. On a transaction event `transaction` is its subject; on a
/// conversion event it is the transaction that the result condition chose (C2), if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The change it follows from.
    pub change_id: Id,
    /// When the change happened at the platform.
    pub occurred_at: Timestamp,
    /// Set when an answer of ours led to it (P4).
    pub causation: Option<Causation>,
    /// Which of the four it is.
    pub kind: EventKind,
    /// The conversion as the change left it.
    pub conversion: Arc<Conversion>,
    /// The transaction that macros read.
    pub transaction: Option<Transaction>,
    /// Whether the subject's result is final (F3): of a transaction event the transaction's, of a conversion event all of them.
    pub is_final: bool,
    /// Whether a final postback about this subject went out before (F4).
    pub is_correction: bool,
}
