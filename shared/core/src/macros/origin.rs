//! The origin of a macro's value, for people who ask where a value comes from.

use super::{Fixed, Macro};
use crate::{
    change::{Conversion, Transaction},
    event::Event,
    fault::pointer_token,
};

/// The rule itself.
const RULE: &str = "the rule";
/// Values that are made for each delivery.
const DELIVERY: &str = "the delivery";
/// The time of the attempt.
const TIME: &str = "the time";
/// Values that an earlier response to this delivery set.
const EARLIER_ANSWER: &str = "an earlier answer";
/// The response that is being read.
const ANSWER: &str = "the answer";

/// The place that a fixed macro reads.
enum Place {
    /// A field of the detail.
    Detail(&'static str),
    /// A field of the conversion.
    Conversion(&'static str),
    /// A field of the transaction that the event is about.
    Transaction(&'static str),
    /// Not in the event.
    Elsewhere(&'static str),
}

impl Macro {
    /// A pointer into the event's detail, such as `/conversion/external_id`, or other origins in words. `transactions` are all of
    /// the conversion's; a macro of a missing transaction points to the whole list.
    pub(crate) fn origin(&self, event: &Event, transactions: &[Transaction]) -> String {
        match self {
            Self::Fixed(Fixed::Affs(key)) => format!("/conversion/affs/{key}"),
            Self::Fixed(fixed) => match fixed.place(event) {
                Place::Detail(field) => format!("/{field}"),
                Place::Conversion(field) => format!("/conversion/{field}"),
                Place::Transaction(field) => transaction_field(event, transactions, field),
                Place::Elsewhere(words) => words.to_owned(),
            },
            Self::Query(key) => format!("/conversion/query_params/{}", pointer_token(key)),
            Self::Cookie(key) => format!("/conversion/cookie_params/{}", pointer_token(key)),
            Self::Secret(name) => format!("secret {name}"),
            Self::Var(_) => EARLIER_ANSWER.to_owned(),
            Self::Body(_) | Self::Header(_) => ANSWER.to_owned(),
            Self::CallbackUrl(_) => DELIVERY.to_owned(),
            Self::Steps(reference) => format!("the answer of step {}", reference.step()),
        }
    }
}

fn transaction_field(event: &Event, transactions: &[Transaction], field: &str) -> String {
    let transaction_id = event.transaction.as_ref().map(|transaction| &transaction.transaction_id);
    match transaction_id.and_then(|id| transactions.iter().position(|transaction| transaction.transaction_id == *id)) {
        Some(position) => format!("/transactions/{position}/{field}"),
        None => "/transactions".to_owned(),
    }
}

impl Fixed {
    fn place(self, event: &Event) -> Place {
        let of_transaction = event.kind.is_transaction();
        let conversion = &*event.conversion;
        match self {
            Self::EventId => Place::Detail("change_id"),
            Self::EventAt | Self::Timestamp => Place::Detail("occurred_at"),
            Self::Pcid => Place::Conversion("pcid"),
            Self::ConversionId => Place::Conversion("conversion_id"),
            Self::ExternalId => Place::Conversion("external_id"),
            Self::AffiliateId => Place::Conversion("affiliate_id"),
            Self::AffiliateClickId => Place::Conversion("affiliate_click_id"),
            Self::Affs(_) => Place::Conversion("affs"),
            Self::Voucher => Place::Conversion("voucher"),
            Self::OfferId => Place::Conversion("offer_id"),
            Self::OfferName => Place::Conversion("offer_name"),
            Self::AdvertiserId => Place::Conversion("advertiser_id"),
            Self::AdvertiserName => Place::Conversion("advertiser_name"),
            Self::ChannelId => Place::Conversion("channel_id"),
            Self::Channel => Place::Conversion("channel"),
            Self::IntegrationId => Place::Conversion("integration_id"),
            Self::Source => Place::Conversion("source"),
            Self::Country => Place::Conversion("country"),
            Self::ConversionType => Place::Conversion(type_field(conversion)),
            Self::Value => Place::Conversion("value"),
            Self::Currency => Place::Conversion("currency"),
            Self::Ip => Place::Conversion("ip"),
            Self::UserAgent => Place::Conversion("user_agent"),
            Self::ClickAt => Place::Conversion("click_at"),
            Self::ConversionAt => Place::Conversion("created_at"),
            Self::UpdatedAt => match &event.transaction {
                Some(transaction) if of_transaction && transaction.updated_at.is_some() => Place::Transaction("updated_at"),
                _ => Place::Conversion("updated_at"),
            },
            Self::TransactionId => Place::Transaction("transaction_id"),
            Self::CommissionId => Place::Transaction("commission_id"),
            Self::TransactionType => Place::Transaction("type"),
            Self::Result => Place::Transaction("result"),
            Self::PreviousResult => Place::Transaction("previous_result"),
            Self::Payout => Place::Transaction("payout"),
            Self::PayoutCurrency => Place::Transaction("currency"),
            Self::Revenue => Place::Transaction("revenue"),
            Self::ResultAt => Place::Transaction("result_at"),
            Self::Event => match &event.transaction {
                Some(transaction) if of_transaction && transaction.change.is_some() => Place::Transaction("change"),
                _ => Place::Conversion("change"),
            },
            Self::QuerySorted => Place::Elsewhere("the request"),
            Self::IsFinal if of_transaction => Place::Transaction("result"),
            Self::IsFinal => Place::Detail("transactions"),
            Self::TrackingApiId | Self::Step => Place::Elsewhere(RULE),
            Self::Now => Place::Elsewhere(TIME),
            Self::Body | Self::HttpCode => Place::Elsewhere(ANSWER),
            // Its id, its attempts, whether it is a trial or a correction, and values derived from these.
            _ => Place::Elsewhere(DELIVERY),
        }
    }
}

/// The field of the conversion that names its type.
fn type_field(conversion: &Conversion) -> &'static str {
    match &conversion.custom_type {
        Some(name) if conversion.conversion_type == "custom" && !name.is_empty() => "custom_type",
        _ => "type",
    }
}
