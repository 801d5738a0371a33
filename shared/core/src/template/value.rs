//! The values of macros, borrowed from the event if possible.

use std::{borrow::Cow, fmt};

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::Scope;
use crate::{
    change::{Conversion, TransactionResult},
    hash,
    macros::{Fixed, Macro},
    money::{self, Money},
};

/// The value of a macro, before and between modifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A text; empty if the value is missing (Q2).
    Text(Cow<'a, str>),
    /// Bytes that are a text in most cases.
    Raw(&'a [u8]),
    /// A time, printed as ISO 8601 in UTC.
    Time(Timestamp),
    /// A time, printed as unix seconds.
    Unix(Timestamp),
    /// An exact amount, and its currency if known.
    Amount(Decimal, Option<&'a str>),
    /// A whole number.
    Number(i64),
}

impl<'a> Value<'a> {
    pub(super) const MISSING: Self = Self::Text(Cow::Borrowed(""));

    /// Reads a macro; `number` is its position among the template's macros.
    pub(super) fn of(source: &Macro, number: usize, scope: &Scope<'a>) -> Self {
        let conversion = &*scope.event.conversion;
        match source {
            Macro::Fixed(fixed) => Self::fixed(*fixed, number, scope),
            Macro::Query(key) => Self::text(conversion.query_params.get(&**key)),
            Macro::Cookie(key) => Self::text(conversion.cookie_params.get(&**key)),
            Macro::Secret(name) => Self::text(scope.secrets.get(&**name)),
            Macro::Var(name) => Self::variable(name, scope),
            Macro::Body(path) => {
                scope.answer.and_then(|answer| answer.field(path)).map_or(Self::MISSING, |field| Self::Text(field.into()))
            }
            Macro::Header(name) => Self::text(scope.answer.and_then(|answer| answer.header(name))),
            Macro::Steps(reference) => Self::text(scope.variables.get(reference.key())),
            Macro::CallbackUrl(name) => Self::text(scope.variables.get(name.key())),
        }
    }

    /// The value of a variable. A rule's variable that is a single amount keeps its currency.
    fn variable(name: &str, scope: &Scope<'a>) -> Self {
        let own = scope.bound.and_then(|bound| Some((bound.variables.get(name)?, bound.currencies.get(name))));
        match own {
            Some((text, Some(currency))) => {
                text.parse().map_or(Self::text(Some(text)), |amount| Self::amount(Some(amount), Some(currency)))
            }
            Some((text, None)) => Self::text(Some(text)),
            None => Self::text(scope.variables.get(name)),
        }
    }

    fn fixed(fixed: Fixed, number: usize, scope: &Scope<'a>) -> Self {
        let event = scope.event;
        let conversion = &*event.conversion;
        let transaction = event.transaction.as_ref();
        let currency = transaction.and_then(|t| t.currency.as_deref()).or(conversion.currency.as_deref());
        match fixed {
            Fixed::Pcid => Self::text(conversion.pcid.as_ref()),
            Fixed::ConversionId => Self::text(Some(&conversion.conversion_id)),
            Fixed::TransactionId => Self::text(transaction.map(|t| &t.transaction_id)),
            Fixed::ExternalId => Self::text(conversion.external_id.as_ref()),
            Fixed::CommissionId => Self::text(transaction.and_then(|t| t.commission_id.as_ref())),
            Fixed::EventId => Self::text(Some(&event.change_id)),
            Fixed::DeliveryId => Self::text(Some(scope.delivery_id)),
            Fixed::TrackingApiId => Self::text(Some(scope.tracking_api_id)),
            Fixed::AffiliateId => Self::text(Some(&conversion.affiliate_id)),
            Fixed::AffiliateClickId => Self::text(conversion.affiliate_click_id.as_ref()),
            Fixed::Affs(key) => Self::text(conversion.affs.get(key)),
            Fixed::Voucher => Self::text(conversion.voucher.as_ref()),
            Fixed::OfferId => Self::text(Some(&conversion.offer_id)),
            Fixed::OfferName => Self::text(conversion.offer_name.as_ref()),
            Fixed::AdvertiserId => Self::text(Some(&conversion.advertiser_id)),
            Fixed::AdvertiserName => Self::text(conversion.advertiser_name.as_ref()),
            Fixed::ChannelId => Self::text(conversion.channel_id.as_ref()),
            Fixed::Channel => Self::text(conversion.channel.as_ref()),
            Fixed::IntegrationId => Self::text(conversion.integration_id.as_ref()),
            Fixed::Source => Self::text(Some(&conversion.source)),
            Fixed::Country => Self::text(conversion.country.as_ref()),
            Fixed::ConversionType => Self::text(Some(conversion_type(conversion))),
            Fixed::Value => Self::amount(conversion.value, conversion.currency.as_deref()),
            Fixed::Currency => Self::text(conversion.currency.as_ref()),
            Fixed::Ip => Self::text(conversion.ip.as_ref()),
            Fixed::UserAgent => Self::text(conversion.user_agent.as_ref()),
            Fixed::TransactionType => Self::text(transaction.and_then(|t| t.transaction_type.as_ref())),
            Fixed::Result => Self::text(transaction.map(|t| t.result.as_str())),
            Fixed::PreviousResult => Self::text(transaction.and_then(|t| t.previous_result).map(TransactionResult::as_str)),
            Fixed::Payout => Self::amount(transaction.and_then(|t| t.payout), currency),
            Fixed::PayoutCurrency => Self::text(transaction.and_then(|t| t.currency.as_ref())),
            Fixed::Revenue => Self::amount(transaction.and_then(|t| t.revenue), currency),
            Fixed::Event => Self::text(Some(event.kind.as_str())),
            Fixed::IsFinal => Self::flag(event.is_final),
            Fixed::IsCorrection => Self::flag(event.is_correction),
            Fixed::Attempt => Self::Number(scope.attempt.into()),
            Fixed::Step => Self::text(Some(scope.at.step)),
            Fixed::StepAttempt => Self::Number(scope.step_attempt().into()),
            Fixed::IsTest => Self::flag(scope.is_test),
            Fixed::ClickAt => Self::time(conversion.click_at),
            Fixed::ConversionAt => Self::time(conversion.created_at),
            Fixed::UpdatedAt => Self::time(updated_at(scope)),
            Fixed::ResultAt => Self::time(transaction.and_then(|t| t.result_at)),
            Fixed::EventAt => Self::Time(event.occurred_at),
            Fixed::Now => Self::Time(scope.now),
            Fixed::Timestamp => Self::Unix(event.occurred_at),
            Fixed::Uuid => Self::Text(uuid(scope, number).into()),
            Fixed::Random => Self::Number(random(scope, number)),
            Fixed::Body => Self::body(scope),
            Fixed::QuerySorted => Self::text(scope.bound.map(|bound| &bound.query_sorted)),
            Fixed::CallbackUrl => Self::MISSING,
            Fixed::HttpCode => scope.answer.map_or(Self::MISSING, |answer| Self::Number(answer.status.into())),
        }
    }

    fn body(scope: &Scope<'a>) -> Self {
        scope.answer.map_or(Self::MISSING, |answer| answer.raw().map_or_else(|| Self::Text(answer.text()), Self::Raw))
    }

    fn text<T: AsRef<str> + ?Sized>(text: Option<&'a T>) -> Self {
        text.map_or(Self::MISSING, |text| Self::Text(Cow::Borrowed(text.as_ref())))
    }

    fn amount(amount: Option<Money>, currency: Option<&'a str>) -> Self {
        amount.map_or(Self::MISSING, |amount| Self::Amount(amount.0, currency))
    }

    fn time(time: Option<Timestamp>) -> Self {
        time.map_or(Self::MISSING, Self::Time)
    }

    fn flag(flag: bool) -> Self {
        Self::Text(Cow::Borrowed(if flag { "1" } else { "0" }))
    }

    /// Returns true if it prints nothing.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Raw(bytes) => bytes.is_empty(),
            _ => false,
        }
    }

    /// The value as text.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Raw(bytes) => String::from_utf8_lossy(bytes),
            other => Cow::Owned(other.to_string()),
        }
    }

    /// The value as a time: a time, a text in RFC 3339, or a whole number of unix seconds, above 10^11 of milliseconds.
    pub(super) fn as_time(&self) -> Option<Timestamp> {
        match self {
            Self::Time(time) | Self::Unix(time) => Some(*time),
            Self::Text(text) => text.parse().ok().or_else(|| unix_time(text.parse().ok()?)),
            Self::Number(number) => unix_time(*number),
            Self::Amount(..) | Self::Raw(_) => None,
        }
    }

    /// The value as an exact number: an amount, or a text that is one.
    pub(super) fn as_number(&self) -> Option<Decimal> {
        match self {
            Self::Amount(amount, _) => Some(*amount),
            Self::Number(number) => Some((*number).into()),
            Self::Unix(time) => Some(time.as_second().into()),
            Self::Text(text) => text.parse::<Money>().ok().map(|money| money.0),
            Self::Time(_) | Self::Raw(_) => None,
        }
    }

    /// Another number in the same currency.
    pub(super) fn with_number(&self, number: Decimal) -> Self {
        Self::Amount(number, self.currency())
    }

    /// Its currency, if it is an amount in a known currency.
    pub(super) fn currency(&self) -> Option<&'a str> {
        if let Self::Amount(_, currency) = self { *currency } else { None }
    }

    /// The digits of the smaller unit of its currency (ISO 4217); 2 if the currency is not known.
    pub(super) fn currency_digits(&self) -> u32 {
        self.currency().map_or(2, money::minor_digits)
    }
}

/// The largest number of unix seconds (the year 5138); larger numbers are milliseconds.
const MAX_UNIX_SECONDS: i64 = 100_000_000_000;

fn unix_time(number: i64) -> Option<Timestamp> {
    let time = if number > MAX_UNIX_SECONDS { Timestamp::from_millisecond(number) } else { Timestamp::from_second(number) };
    time.ok()
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Raw(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Time(time) => time.fmt(f),
            Self::Unix(time) => time.as_second().fmt(f),
            Self::Amount(amount, _) => amount.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// The time of the subject's last update.
fn updated_at(scope: &Scope<'_>) -> Option<Timestamp> {
    let transaction = scope.event.transaction.as_ref().filter(|_| scope.event.kind.is_transaction());
    transaction.and_then(|t| t.updated_at).or(scope.event.conversion.updated_at)
}

fn conversion_type(conversion: &Conversion) -> &str {
    match &conversion.custom_type {
        Some(name) if conversion.conversion_type == "custom" && !name.is_empty() => name,
        _ => &conversion.conversion_type,
    }
}

/// A UUID of version 8 (RFC 9562) from a hash; the same for the same delivery, attempt and position.
fn uuid(scope: &Scope<'_>, number: usize) -> String {
    let bytes = hash::digest(&["uuid", scope.delivery_id, &scope.attempt.to_string(), &number.to_string()]);
    let bits = (u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62)) | (8 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// A number of up to ten digits; the same for the same delivery, attempt and position.
fn random(scope: &Scope<'_>, number: usize) -> i64 {
    let all = hash::number(&["random", scope.delivery_id, &scope.attempt.to_string(), &number.to_string()]);
    i64::try_from(all % 10_000_000_000).expect("ten digits fit")
}
