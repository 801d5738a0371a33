//! A change of a conversion, as the platform publishes it on its bus (docs/events-in.md).
//!
//! [`Envelope::parse`] reads a message of the bus, [`Change::parse_detail`] its detail alone; both report all faults at once.
//! [`Change::events`] derives the events that triggers fire on. Serialising a [`Change`] gives the platform's JSON again.

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

pub(crate) use self::detail::{STANDARD_TYPES, causation, conversion, transactions};
pub use self::{
    envelope::{Envelope, MAX_EVENT_BYTES},
    given::{detail_of, notes_on},
};
use crate::{fault::Faults, id::Id, money::Money, times::later};

/// The most transactions that one change may carry.
pub const MAX_TRANSACTIONS: usize = 1_000;

/// The rows of one update have times that differ by less than this: the platform writes one row after another.
const ONE_UPDATE: SignedDuration = SignedDuration::from_secs(1);

/// The most bytes of one free text: names, parameters, click ids.
pub const MAX_TEXT_BYTES: usize = 2_048;

/// The effect of a change on a conversion or a transaction.
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
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// A transaction's result; `approved` and `rejected` are final.
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
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    /// Returns true if the result is final.
    pub fn is_final(self) -> bool {
        self != Self::Pending
    }
}

/// The rule whose response caused this change, and the length of the chain of causes (P4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Causation {
    /// The rule that published the response's data to the platform.
    pub tracking_api_id: Id,
    /// Length of the chain, 1 for a direct cause.
    pub depth: u32,
}

/// One message of the bus: everything that one change did to one conversion and its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The id of the change; the same id again is the same change (P2).
    pub change_id: Id,
    /// The time of the change at the platform.
    pub occurred_at: Timestamp,
    /// The cause, if one of our responses led to this change (P4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation: Option<Causation>,
    /// The conversion as it now is.
    pub conversion: Conversion,
    /// All of the conversion's transactions as they now are.
    pub transactions: Vec<Transaction>,
}

impl Change {
    /// Returns true if both have the same content. Parts of an event that are not read don't count, nor does the order of transactions.
    pub fn has_same_content_as(&self, other: &Self) -> bool {
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

    /// Returns true if the conversion is settled (F1): `settled` of the platform decides if it is set, else whether there is a transaction
    /// and every one has a final result.
    pub fn is_settled(&self) -> bool {
        self.conversion.settled.unwrap_or_else(|| self.has_final_results())
    }

    /// Returns true if there is a transaction and every one has a final result.
    pub(crate) fn has_final_results(&self) -> bool {
        !self.transactions.is_empty() && self.transactions.iter().all(|transaction| transaction.result.is_final())
    }

    /// Returns true if a hold may begin: there is a transaction, or the platform says that the conversion is settled (F1).
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
    /// The effect of this change on the conversion.
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
    /// The advertiser's id of the conversion.
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
    /// The time of the click.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub click_at: Option<Timestamp>,
    /// The time at which the conversion was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The time of its last update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// The platform's `settled`; if absent, the transactions decide (F1).
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
    /// The effect of this change on the transaction, if the message has one; else see [`Transaction::change_in`].
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
    /// The affiliate's part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payout: Option<Money>,
    /// The platform's part; for admins only (V3).
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
    /// The time at which the transaction was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The time of its last update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// The time at which it got its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_at: Option<Timestamp>,
}

impl Transaction {
    /// Reads one transaction on its own, in the platform's JSON; all faults are reported at once.
    pub fn from_value(value: &crate::json::Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let detail = crate::json!({"transactions": [value]});
        let read = fields::Fields::open(&detail, "", &mut faults).and_then(|mut fields| detail::transactions(&mut fields).pop());
        match read {
            Some(transaction) if faults.is_empty() => Ok(transaction),
            _ => Err(faults),
        }
    }

    /// The effect of this change on the transaction: its own `change`, else the conversion's. Without its own `change` it is unchanged if
    /// its last update is older than the conversion's, as when a pixel repeats a conversion that was approved at once.
    pub fn change_in(&self, conversion: &Conversion) -> ChangeKind {
        match (self.change, conversion.change) {
            (None, ChangeKind::Updated) if self.is_older_than(conversion) => ChangeKind::Unchanged,
            (Some(change), _) | (None, change) => change,
        }
    }

    /// Returns true if its result is known to differ from the previous one and is not the one that a click's `AutoApprove` sets.
    pub(crate) fn has_another_result(&self) -> bool {
        self.result != TransactionResult::Approved && self.previous_result.is_some_and(|previous| previous != self.result)
    }

    /// Returns true if its last update is known to be older than the conversion's.
    pub(crate) fn is_older_than(&self, conversion: &Conversion) -> bool {
        let updated = |own: Timestamp, conversions: Timestamp| later(own, ONE_UPDATE) < conversions;
        self.updated_at.zip(conversion.updated_at).is_some_and(|(own, conversions)| updated(own, conversions))
    }
}
