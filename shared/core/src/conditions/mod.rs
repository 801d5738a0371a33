//! The conditions that select conversions for a rule: all must hold; in one, any listed value will do; one that isn't set is *All*.

mod judge;
mod listed;
mod parse;
#[cfg(test)]
mod tests;

use self::judge::Condition;
pub use self::{judge::Miss, listed::Ids};
use crate::{
    change::{Conversion, Transaction, TransactionResult},
    id::Id,
};

/// The most values of one condition.
pub const MAX_VALUES: usize = 1_000;

/// The conditions of a rule. [`Conditions::parse`] makes them; the default is *All* throughout.
///
/// Every list is without repeats and keeps the order in which it was given; no offer is both included and excluded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    source: Vec<Source>,
    conversion_type: Vec<ConversionType>,
    affiliate: Ids,
    advertiser: Ids,
    integration: Ids,
    channel: Ids,
    included_offers: Ids,
    excluded_offers: Ids,
    result: ResultCondition,
    commission: Ids,
}

/// The sources of conversions that a condition can name; sources added later pass *All* only (C4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A tracking link.
    Link,
    /// A pixel in an iframe.
    Iframe,
    /// A server's call.
    Api,
}

impl Source {
    const ALL: [Self; 3] = [Self::Link, Self::Iframe, Self::Api];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Iframe => "iframe",
            Self::Api => "api",
        }
    }
}

/// The conversion types that a condition can name; types added later pass *All* only (C4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConversionType {
    /// `click`, `view`, `lead`, `send`, `prospect` or `sale`.
    Standard(&'static str),
    /// `custom`: any custom type.
    Custom,
    /// `custom:<name>`: the custom type of that name.
    CustomNamed(String),
}

impl ConversionType {
    fn is_custom(&self) -> bool {
        matches!(self, Self::Custom | Self::CustomNamed(_))
    }

    fn fits(&self, conversion: &Conversion) -> bool {
        match self {
            Self::Standard(name) => conversion.conversion_type.eq_ignore_ascii_case(name),
            Self::Custom => is_custom(conversion),
            Self::CustomNamed(name) => {
                is_custom(conversion) && conversion.custom_type.as_ref().is_some_and(|custom| same_word(custom, name))
            }
        }
    }
}

/// Returns true if it is of a custom type.
fn is_custom(conversion: &Conversion) -> bool {
    conversion.conversion_type.eq_ignore_ascii_case("custom")
}

/// Returns true if two words are equal without regard to case.
fn same_word(a: &str, b: &str) -> bool {
    a == b || a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}

impl std::fmt::Display for ConversionType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Standard(name) => f.write_str(name),
            Self::Custom => f.write_str("custom"),
            Self::CustomNamed(name) => write!(f, "custom:{name}"),
        }
    }
}

/// The condition on a transaction's result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ResultCondition {
    /// *Not chosen*: no condition, conversions without a transaction pass too.
    #[default]
    NotChosen,
    /// *All*: needs a transaction, with any result.
    All,
    /// *Specific*: needs a transaction with one of these results.
    Specific(Vec<TransactionResult>),
}

impl ResultCondition {
    /// Returns true if a transaction with that result fits; without a condition every one does.
    pub fn accepts(&self, result: TransactionResult) -> bool {
        match self {
            Self::NotChosen | Self::All => true,
            Self::Specific(results) => results.contains(&result),
        }
    }
}

impl Conditions {
    /// Sources; empty is *All*.
    pub fn source(&self) -> &[Source] {
        &self.source
    }

    /// Conversion types; empty is *All*.
    pub fn conversion_type(&self) -> &[ConversionType] {
        &self.conversion_type
    }

    /// Affiliates; empty is *All*.
    pub fn affiliate(&self) -> &Ids {
        &self.affiliate
    }

    /// Advertisers; empty is *All*.
    pub fn advertiser(&self) -> &Ids {
        &self.advertiser
    }

    /// Integrations; empty is *All*.
    pub fn integration(&self) -> &Ids {
        &self.integration
    }

    /// Channels; empty is *All*.
    pub fn channel(&self) -> &Ids {
        &self.channel
    }

    /// Included offers; empty is *All*. They also place the rule (V1, [`crate::offer::placement`]).
    pub fn included_offers(&self) -> &Ids {
        &self.included_offers
    }

    /// Excluded offers; empty excludes none.
    pub fn excluded_offers(&self) -> &Ids {
        &self.excluded_offers
    }

    /// The lists of ids, each with its name in JSON.
    fn lists(&self) -> [(&'static str, &Ids); 7] {
        [
            (Condition::Affiliate.name(), &self.affiliate),
            (Condition::Advertiser.name(), &self.advertiser),
            (Condition::Integration.name(), &self.integration),
            (Condition::Channel.name(), &self.channel),
            (Condition::IncludedOffers.name(), &self.included_offers),
            (Condition::ExcludedOffers.name(), &self.excluded_offers),
            (Condition::Commission.name(), &self.commission),
        ]
    }

    /// The ids, each with its JSON pointer into the rule.
    pub(crate) fn placed_texts(&self) -> impl Iterator<Item = (String, &str)> {
        let ids = self.lists().into_iter().flat_map(|(name, ids)| ids.iter().enumerate().map(move |(at, id)| (name, at, id)));
        ids.map(|(name, at, id)| (format!("/conditions/{name}/{at}"), id.as_str()))
    }

    /// The conditions that want the id "all" and so hold for nothing: lists of a rule from before `all` was a word for *All*.
    pub(crate) fn named_all(&self) -> impl Iterator<Item = &'static str> {
        let wants_all = |ids: &Ids| matches!(ids[..], [ref id] if parse::is_all_word(id.as_str()));
        let lists = self.lists().into_iter().filter(|(name, _)| *name != Condition::ExcludedOffers.name());
        lists.filter(move |(_, ids)| wants_all(ids)).map(|(name, _)| name)
    }

    /// The condition on the result.
    pub fn result(&self) -> &ResultCondition {
        &self.result
    }

    /// Commissions; empty is *All*. The rule is about transactions with one of these.
    pub fn commission(&self) -> &Ids {
        &self.commission
    }

    /// Returns true if a transaction fits both conditions on transactions: result and commission.
    pub fn accepts(&self, transaction: &Transaction) -> bool {
        self.result.accepts(transaction.result) && self.has_commission(transaction)
    }

    fn has_commission(&self, transaction: &Transaction) -> bool {
        self.commission.is_empty() || transaction.commission_id.as_ref().is_some_and(|id| self.commission.has(id))
    }

    /// The number of all values.
    pub(crate) fn values(&self) -> usize {
        let ids = [
            &self.affiliate,
            &self.advertiser,
            &self.integration,
            &self.channel,
            &self.included_offers,
            &self.excluded_offers,
            &self.commission,
        ];
        self.source.len() + self.conversion_type.len() + ids.iter().map(|ids| ids.len()).sum::<usize>()
    }

    /// The same conditions for that affiliate alone, as an affiliate's own rule always has them (V3).
    #[must_use]
    pub fn for_affiliate(self, affiliate: Id) -> Self {
        Self { affiliate: Ids::new([affiliate]), ..self }
    }
}
