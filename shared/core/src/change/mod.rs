//! A change of a conversion, as the platform's bus tells it (contract §1).
//!
//! [`Envelope::parse`] reads a message of the bus, [`Change::parse_detail`] its detail alone; both tell all faults at once.
//! What a change means for triggers is [`Change::events`]. Serialising a [`Change`] gives the contract's form again.

mod detail;
mod envelope;
pub(crate) mod fields;
mod given;
mod offer;
mod sample;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub(crate) use self::detail::{causation, conversion, transactions};
pub use self::{
    envelope::{Envelope, MAX_EVENT_BYTES},
    given::notes_on,
};
use crate::{fault::Faults, id::Id, money::Money, times::later};

/// The most transactions that one change may carry.
pub const MAX_TRANSACTIONS: usize = 1_000;

/// Times of one update differ by less: it writes one row after another.
const ONE_UPDATE: SignedDuration = SignedDuration::from_secs(1);

/// The most bytes of one free text: names, parameters, click ids (contract, conventions).
pub const MAX_TEXT_BYTES: usize = 2_048;

/// What a change did to a conversion or a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Created,
    /// It was there and is different now.
    Updated,
    /// It is as it was.
    Unchanged,
}

impl ChangeKind {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A transaction's result (domain §1); `approved` and `rejected` are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionResult {
    /// Not decided yet.
    Pending,
    /// The payout is owed.
    Approved,
    /// The payout is not owed.
    Rejected,
}

impl TransactionResult {
    /// The word of the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    /// Whether the result will not change by itself any more.
    pub fn is_final(self) -> bool {
        self != Self::Pending
    }
}

/// The rule whose answer caused this change, and how long the chain of causes is (P4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Causation {
    /// The rule whose answer went back to the platform.
    pub tracking_api_id: Id,
    /// Length of the chain, 1 for a direct cause.
    pub depth: u32,
}

/// One message of the bus: everything that one change did to one conversion and its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The same id again is the same change (P2).
    pub change_id: Id,
    /// When it happened at the platform.
    pub occurred_at: Timestamp,
    /// Set when an answer of ours led to this change (P4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation: Option<Causation>,
    /// The conversion as it now is.
    pub conversion: Conversion,
    /// All of the conversion's transactions as they now are.
    pub transactions: Vec<Transaction>,
}

impl Change {
    /// Returns true if both tell the same. The parts of an event that are not read don't count, nor does the order of transactions.
    pub fn tells_same_as(&self, other: &Self) -> bool {
        let by_id = |change: &'_ Self| -> BTreeMap<Id, Transaction> {
            change.transactions.iter().map(|transaction| (transaction.transaction_id.clone(), transaction.clone())).collect()
        };
        let is_about_same = self.change_id == other.change_id && self.conversion == other.conversion;
        let has_same_cause = self.occurred_at == other.occurred_at && self.causation == other.causation;
        is_about_same && has_same_cause && by_id(self) == by_id(other)
    }

    /// The fault of a change at this pointer whose id another one had (P2).
    pub fn id_is_taken(&self, pointer: &str) -> Faults {
        Faults::one(format!("{pointer}/change_id"), format!("change_id \"{}\" was used for another change", self.change_id))
    }

    /// Whether the conversion is settled (domain §1): the platform's word if it gives one, else whether there is a transaction
    /// and every one of them has a final result.
    pub fn is_settled(&self) -> bool {
        self.conversion.settled.unwrap_or_else(|| self.has_final_results())
    }

    /// Whether there is a transaction and every one of them has a final result.
    pub(crate) fn has_final_results(&self) -> bool {
        !self.transactions.is_empty() && self.transactions.iter().all(|transaction| transaction.result.is_final())
    }

    /// Whether there is something to hold for: a transaction, or the platform's word that the conversion is settled (F1).
    pub(crate) fn has_substance(&self) -> bool {
        !self.transactions.is_empty() || self.conversion.settled == Some(true)
    }
}

/// A conversion as it is after a change. Text that the platform may leave out is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Conversion {
    /// The conversion's id.
    pub conversion_id: Id,
    /// Grows with every change of this conversion (P3).
    pub version: u64,
    /// What this change did to it.
    pub change: ChangeKind,
    /// `click`, `lead`, `sale`, `custom` …; types that the platform adds later are accepted (C4).
    #[serde(rename = "type")]
    pub conversion_type: String,
    /// Name of a custom type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_type: Option<String>,
    /// `link`, `iframe`, `api`; sources that the platform adds later are accepted (C4).
    pub source: String,
    /// The final owner (C3).
    pub affiliate_id: Id,
    /// The advertiser.
    pub advertiser_id: Id,
    /// The advertiser's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertiser_name: Option<String>,
    /// The offer.
    pub offer_id: Id,
    /// The offer's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer_name: Option<String>,
    /// The channel, if it has one (C1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<Id>,
    /// The channel's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The integration, if it has one (C1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration_id: Option<Id>,
    /// The conversion's own country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The platform's click id, given to the advertiser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pcid: Option<String>,
    /// The advertiser's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The affiliate's own click id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affiliate_click_id: Option<String>,
    /// The affiliate's sub-parameters, `affs1` to `affs10`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub affs: BTreeMap<String, String>,
    /// The order's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Money>,
    /// Currency of `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Promo code that may have moved the conversion to its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voucher: Option<String>,
    /// Parameters of the tracking link.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query_params: BTreeMap<String, String>,
    /// Cookies that the pixel read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cookie_params: BTreeMap<String, String>,
    /// The visitor's address, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// The visitor's browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// When the click happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click_at: Option<Timestamp>,
    /// When the conversion was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// The platform's own word on whether it is settled (domain §1); absent: read from the transactions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<bool>,
}

/// A payout that a commission rule made of a conversion, as it is after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transaction {
    /// The transaction's id.
    pub transaction_id: Id,
    /// Its own version, for the receiver's information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// What this change did to it, if the message says so; `None` takes the conversion's, see [`Transaction::change_in`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeKind>,
    /// The commission rule that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commission_id: Option<String>,
    /// Its type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub transaction_type: Option<String>,
    /// Its result now.
    pub result: TransactionResult,
    /// Its result before this change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_result: Option<TransactionResult>,
    /// What the affiliate gets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payout: Option<Money>,
    /// What the platform gets; for admins only (V3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revenue: Option<Money>,
    /// Currency of payout and revenue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// This change set the result as the transaction was created (R5).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auto_approved: bool,
    /// This change set the result by `AutoSet` (R6).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auto_set: bool,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// When it got its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_at: Option<Timestamp>,
}

impl Transaction {
    /// Reads one transaction on its own, in the contract's form; all faults are told at once.
    pub fn from_value(value: &crate::json::Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let detail = crate::json!({"transactions": [value]});
        let read = fields::Fields::open(&detail, "", &mut faults).and_then(|mut fields| detail::transactions(&mut fields).pop());
        match read {
            Some(transaction) if faults.is_empty() => Ok(transaction),
            _ => Err(faults),
        }
    }

    /// The effect of this change on the transaction: its own word, else the conversion's (contract §1). Without a word of its own it is as it was
    /// if it was last updated well before the conversion was, as where a pixel repeats what was approved at once.
    pub fn change_in(&self, conversion: &Conversion) -> ChangeKind {
        match (self.change, conversion.change) {
            (None, ChangeKind::Updated) if self.is_older_than(conversion) => ChangeKind::Unchanged,
            (Some(change), _) | (None, change) => change,
        }
    }

    /// Returns true if its result is known to be another than before, and not the one that a click's `AutoApprove` gives.
    pub(crate) fn has_another_result(&self) -> bool {
        self.result != TransactionResult::Approved && self.previous_result.is_some_and(|previous| previous != self.result)
    }

    /// Returns true if its last update is known to be another one than the conversion's.
    pub(crate) fn is_older_than(&self, conversion: &Conversion) -> bool {
        let updated = |own: Timestamp, conversions: Timestamp| later(own, ONE_UPDATE) < conversions;
        self.updated_at.zip(conversion.updated_at).is_some_and(|(own, conversions)| updated(own, conversions))
    }
}
