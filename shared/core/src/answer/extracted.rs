//! The data that a response reports about the conversion (A3).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{change::TransactionResult, hash, money::Money};

/// The data that the `set` of the deciding rule took from a response; a field that was not set is `None` (A3).
///
/// Amounts are texts in JSON. A field that is missing in JSON is not set, so that fields can be added later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractedData {
    /// The transaction's result as the receiver sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<TransactionResult>,
    /// The payout as the receiver sees it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "amount")]
    pub payout: Option<Money>,
    /// The order's value as the receiver sees it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "amount")]
    pub value: Option<Money>,
    /// The receiver's own id of the conversion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Variables for later requests of the same delivery, `{var.name}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The seconds for which some of the variables are kept for later deliveries (W5).
    #[serde(skip)]
    pub keep: BTreeMap<String, u32>,
}

impl ExtractedData {
    /// Returns true if there is nothing to publish to the platform; variables do not count, they stay with the delivery.
    pub fn is_empty(&self) -> bool {
        self.result.is_none() && self.payout.is_none() && self.value.is_none() && self.external_id.is_none()
    }

    /// A text that is equal for two responses with the same data for the platform, so that a repeat is not published again (A3).
    ///
    /// `12.5` and `12.50` are the same amount; variables do not count.
    pub fn fingerprint(&self) -> String {
        let amount = |money: Option<Money>| money.map(|m| m.0.normalize().to_string()).unwrap_or_default();
        let result = self.result.map_or("", TransactionResult::as_str);
        let external_id = self.external_id.as_deref().unwrap_or_default();
        hash::text(&["told", result, &amount(self.payout), &amount(self.value), external_id], 25)
    }
}

fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Money>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}
