//! What an answer told about the conversion (domain A3).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::{change::TransactionResult, hash, money::Money};

/// What an answer told, read through the `set` of the rule that decided; what it did not tell is `None` (A3).
///
/// Amounts are texts in JSON. A field that is missing in JSON was not told, so that newer fields may be added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
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

impl Told {
    /// Whether there is nothing to tell the platform; variables do not count, they stay with the delivery.
    pub fn is_empty(&self) -> bool {
        self.result.is_none() && self.payout.is_none() && self.value.is_none() && self.external_id.is_none()
    }

    /// The same for two answers that told the platform the same, so that a repeat is not told again (A3).
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
