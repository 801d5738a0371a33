//! Judging conditions on an event, with the conditions that fail.

use std::{borrow::Cow, fmt::Display};

use serde::Serialize;

use super::{Conditions, Ids, ResultCondition};
use crate::{
    change::{Conversion, Transaction},
    event::Event,
    id::Id,
};

/// A condition that fails, and the reason: "source is manual; the rule wants link or iframe".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// The condition's name in JSON.
    pub condition: &'static str,
    /// The event's value and the values that the rule wants.
    pub detail: String,
}

/// One of the ten conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Source,
    ConversionType,
    Affiliate,
    Advertiser,
    Integration,
    Channel,
    IncludedOffers,
    ExcludedOffers,
    Result,
    Commission,
}

impl Condition {
    pub(super) const ALL: [Self; 10] = [
        Self::Source,
        Self::ConversionType,
        Self::Affiliate,
        Self::Advertiser,
        Self::Integration,
        Self::Channel,
        Self::IncludedOffers,
        Self::ExcludedOffers,
        Self::Result,
        Self::Commission,
    ];

    /// The name in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::ConversionType => "conversion_type",
            Self::Affiliate => "affiliate",
            Self::Advertiser => "advertiser",
            Self::Integration => "integration",
            Self::Channel => "channel",
            Self::IncludedOffers => "included_offers",
            Self::ExcludedOffers => "excluded_offers",
            Self::Result => "result",
            Self::Commission => "commission",
        }
    }
}

impl Conditions {
    /// Judges an event: returns the transaction that its postback is about, or every condition that fails.
    ///
    /// On a transaction event the conditions on result and commission are read on that transaction. On a conversion event they hold if
    /// any of `transactions` (all of the conversion's, in the order given) fits both; the postback is about the first that fits (C2).
    /// The result is `None` if there is none and the rule needs none.
    pub fn judge<'a>(&self, event: &'a Event, transactions: &'a [Transaction]) -> Result<Option<&'a Transaction>, Vec<Miss>> {
        let misses = self.misses(event, transactions);
        if misses.is_empty() { Ok(self.transaction_of(event, transactions)) } else { Err(misses) }
    }

    /// Returns true if [`Conditions::judge`] would succeed; allocates nothing.
    pub fn fits(&self, event: &Event, transactions: &[Transaction]) -> bool {
        Condition::ALL.into_iter().all(|condition| self.holds(condition, event, transactions))
    }

    /// Every condition that fails; none if [`Conditions::fits`].
    pub fn misses(&self, event: &Event, transactions: &[Transaction]) -> Vec<Miss> {
        let failing = Condition::ALL.into_iter().filter(|condition| !self.holds(*condition, event, transactions));
        failing.map(|condition| self.miss(condition, event, transactions)).collect()
    }

    /// Every condition that fails and can't hold later; none if [`Conditions::fits_lasting`].
    pub fn lasting_misses(&self, event: &Event, transactions: &[Transaction]) -> Vec<Miss> {
        let failing = Condition::ALL.into_iter().filter(|condition| !self.lasts(*condition, &event.conversion));
        failing.map(|condition| self.miss(condition, event, transactions)).collect()
    }

    fn miss(&self, condition: Condition, event: &Event, transactions: &[Transaction]) -> Miss {
        Miss { condition: condition.name(), detail: self.why(condition, event, transactions) }
    }

    /// Returns true if the conditions that can't change with time hold: all but affiliate, result and commission. An attribute that the
    /// conversion lacks may be added later, so it passes here. Decides whether a hold begins (F1); all conditions are judged at release
    /// (F3).
    pub fn fits_lasting(&self, conversion: &Conversion) -> bool {
        Condition::ALL.into_iter().all(|condition| self.lasts(condition, conversion))
    }

    fn lasts(&self, condition: Condition, conversion: &Conversion) -> bool {
        match condition {
            Condition::Affiliate | Condition::Result | Condition::Commission => true,
            Condition::Integration if conversion.integration_id.is_none() => true,
            Condition::Channel if conversion.channel_id.is_none() => true,
            Condition::ConversionType if super::is_custom(conversion) && conversion.custom_type.is_none() => {
                self.conversion_type.is_empty() || self.conversion_type.iter().any(super::ConversionType::is_custom)
            }
            other => self.holds_for(other, conversion),
        }
    }

    /// The transaction that the event's postback is about: its own, or on a conversion event the first that fits (C2).
    pub(crate) fn transaction_of<'a>(&self, event: &'a Event, transactions: &'a [Transaction]) -> Option<&'a Transaction> {
        if event.kind.is_transaction() {
            return event.transaction.as_ref();
        }
        transactions.iter().find(|transaction| self.accepts(transaction))
    }

    fn holds(&self, condition: Condition, event: &Event, transactions: &[Transaction]) -> bool {
        let any = |fits: &dyn Fn(&Transaction) -> bool| {
            if event.kind.is_transaction() { event.transaction.iter().any(fits) } else { transactions.iter().any(fits) }
        };
        match condition {
            Condition::Commission => self.commission.is_empty() || any(&|transaction| self.has_commission(transaction)),
            Condition::Result if self.result == ResultCondition::NotChosen => true,
            // Transactions of a conversion with another commission do not count.
            Condition::Result if event.kind.is_transaction() => any(&|transaction| self.result.accepts(transaction.result)),
            Condition::Result => any(&|transaction| self.accepts(transaction)),
            other => self.holds_for(other, &event.conversion),
        }
    }

    /// Judges a condition that reads the conversion alone; those on transactions always pass.
    fn holds_for(&self, condition: Condition, conversion: &Conversion) -> bool {
        // C1: an attribute that the conversion lacks passes All and fails any specific list.
        let listed = |ids: &Ids, id: Option<&Id>| ids.is_empty() || id.is_some_and(|id| ids.has(id.as_str()));
        match condition {
            Condition::Source => {
                let is = |source: &super::Source| conversion.source.eq_ignore_ascii_case(source.as_str());
                self.source.is_empty() || self.source.iter().any(is)
            }
            Condition::ConversionType => {
                self.conversion_type.is_empty() || self.conversion_type.iter().any(|wanted| wanted.fits(conversion))
            }
            Condition::Affiliate => listed(&self.affiliate, Some(&conversion.affiliate_id)),
            Condition::Advertiser => listed(&self.advertiser, Some(&conversion.advertiser_id)),
            Condition::Integration => listed(&self.integration, conversion.integration_id.as_ref()),
            Condition::Channel => listed(&self.channel, conversion.channel_id.as_ref()),
            Condition::IncludedOffers => listed(&self.included_offers, Some(&conversion.offer_id)),
            Condition::ExcludedOffers => !self.excluded_offers.has(conversion.offer_id.as_str()),
            Condition::Result | Condition::Commission => true,
        }
    }

    /// The reason why a condition fails.
    fn why(&self, condition: Condition, event: &Event, transactions: &[Transaction]) -> String {
        let conversion = &*event.conversion;
        let ids = |name: &str, has: Option<&Id>, wanted: &Ids| match has {
            Some(id) => format!("{name} is {id}; the rule wants {}", any_of(wanted.iter())),
            None => format!("the conversion has no {name}; the rule wants {}", any_of(wanted.iter())),
        };
        match condition {
            Condition::Source => {
                format!(
                    "source is {}; the rule wants {}",
                    short(&conversion.source),
                    any_of(self.source.iter().map(|source| source.as_str()))
                )
            }
            Condition::ConversionType => {
                let has = match (&*conversion.conversion_type, &conversion.custom_type) {
                    ("custom", Some(name)) => format!("custom:{}", short(name)),
                    (name, _) => short(name).into_owned(),
                };
                format!("conversion type is {has}; the rule wants {}", any_of(self.conversion_type.iter()))
            }
            Condition::Affiliate => ids("affiliate", Some(&conversion.affiliate_id), &self.affiliate),
            Condition::Advertiser => ids("advertiser", Some(&conversion.advertiser_id), &self.advertiser),
            Condition::Integration => ids("integration", conversion.integration_id.as_ref(), &self.integration),
            Condition::Channel => ids("channel", conversion.channel_id.as_ref(), &self.channel),
            Condition::IncludedOffers => ids("offer", Some(&conversion.offer_id), &self.included_offers),
            Condition::ExcludedOffers => format!("offer is {}; the rule excludes it", conversion.offer_id),
            Condition::Result => self.why_result(event, transactions),
            Condition::Commission => self.why_commission(event, transactions),
        }
    }

    fn why_commission(&self, event: &Event, transactions: &[Transaction]) -> String {
        let wanted = any_of(self.commission.iter());
        let of = |transaction: &Transaction| match &transaction.commission_id {
            Some(id) => format!("commission is {}; the rule wants {wanted}", short(id)),
            None => format!("the transaction has no commission; the rule wants {wanted}"),
        };
        match &event.transaction {
            Some(transaction) if event.kind.is_transaction() => of(transaction),
            _ if transactions.is_empty() => {
                format!("the conversion has no transaction; the rule wants one with commission {wanted}")
            }
            _ => format!("no transaction has commission {wanted}"),
        }
    }

    fn why_result(&self, event: &Event, transactions: &[Transaction]) -> String {
        let wanted = match &self.result {
            ResultCondition::Specific(results) => any_of(results.iter().map(|result| result.as_str())),
            ResultCondition::NotChosen | ResultCondition::All => "any result".to_owned(),
        };
        match &event.transaction {
            Some(transaction) if event.kind.is_transaction() => {
                format!("result is {}; the rule wants {wanted}", transaction.result.as_str())
            }
            _ if transactions.is_empty() => format!("the conversion has no transaction; the rule wants one with {wanted}"),
            _ => {
                let fitting: Vec<_> = transactions.iter().filter(|transaction| self.has_commission(transaction)).collect();
                let is_narrowed = !self.commission.is_empty() && !fitting.is_empty();
                let counting = if is_narrowed { fitting } else { transactions.iter().collect() };
                let mut results: Vec<_> = counting.into_iter().map(|transaction| transaction.result).collect();
                results.sort_unstable();
                results.dedup();
                let results: Vec<_> = results.into_iter().map(super::TransactionResult::as_str).collect();
                let of = if is_narrowed { format!(" with commission {}", any_of(self.commission.iter())) } else { String::new() };
                format!("the transactions{of} are {}; the rule wants one with {wanted}", results.join(" and "))
            }
        }
    }
}

/// The beginning of an outsider's text: each event of a change may repeat the text.
fn short(text: &str) -> Cow<'_, str> {
    const SHOWN_BYTES: usize = 100;
    if text.len() <= SHOWN_BYTES { text.into() } else { format!("{}…", &text[..text.floor_char_boundary(SHOWN_BYTES)]).into() }
}

/// "a, b or c"; of long lists the first five and the number of the others.
fn any_of<T: Display>(values: impl ExactSizeIterator<Item = T>) -> String {
    const SHOWN: usize = 5;
    let more = values.len().saturating_sub(SHOWN);
    let mut words: Vec<String> = values.take(SHOWN).map(|value| value.to_string()).collect();
    if more > 0 {
        words.push(format!("one of {more} more"));
    }
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
