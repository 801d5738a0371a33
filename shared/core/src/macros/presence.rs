//! What a macro is about, and whether it may come out empty: what warnings about a rule go by.

use super::{Fixed, Macro};

impl Macro {
    /// Whether it reads a transaction: empty for a conversion that has none.
    pub(crate) fn is_of_transaction(&self) -> bool {
        matches!(self, Self::Fixed(fixed) if fixed.is_of_transaction())
    }

    /// Whether an event may leave it empty. `on_transaction`: the event is a transaction's.
    pub(crate) fn may_be_missing(&self, on_transaction: bool) -> bool {
        let Self::Fixed(fixed) = self else { return !matches!(self, Self::Secret(_)) };
        match fixed {
            Fixed::TransactionId | Fixed::Result => !on_transaction,
            other => other.is_optional(),
        }
    }

    /// Returns true if its value may hold a quote: it is none of our own words, an id, a number or a time.
    pub(crate) fn may_hold_quote(&self) -> bool {
        matches!(self, Self::Fixed(fixed) if fixed.is_free_text()) || !matches!(self, Self::Fixed(_))
    }

    /// Whether it tells one conversion from another, so that a receiver knows what it hears about.
    pub(crate) fn tells_which(&self) -> bool {
        let same_for_all = [
            Fixed::TrackingApiId,
            Fixed::Attempt,
            Fixed::Step,
            Fixed::StepAttempt,
            Fixed::IsTest,
            Fixed::Now,
            Fixed::Uuid,
            Fixed::Random,
        ];
        match self {
            Self::Secret(_) => false,
            Self::Fixed(fixed) => !same_for_all.contains(fixed),
            _ => true,
        }
    }
}

impl Fixed {
    /// Returns true if people or browsers choose its text.
    fn is_free_text(self) -> bool {
        matches!(
            self,
            Self::Pcid
                | Self::ExternalId
                | Self::AffiliateClickId
                | Self::Affs(_)
                | Self::Voucher
                | Self::OfferName
                | Self::AdvertiserName
                | Self::Channel
                | Self::Country
                | Self::ConversionType
                | Self::Currency
                | Self::Ip
                | Self::UserAgent
                | Self::TransactionType
                | Self::PayoutCurrency
                | Self::Body
                | Self::QuerySorted
        )
    }

    fn is_of_transaction(self) -> bool {
        matches!(
            self,
            Self::TransactionId
                | Self::CommissionId
                | Self::TransactionType
                | Self::Result
                | Self::PreviousResult
                | Self::Payout
                | Self::PayoutCurrency
                | Self::Revenue
                | Self::ResultAt
        )
    }

    /// Whether the platform may leave it out of any event (contract §1).
    fn is_optional(self) -> bool {
        !matches!(
            self,
            Self::ConversionId
                | Self::TransactionId
                | Self::EventId
                | Self::DeliveryId
                | Self::TrackingApiId
                | Self::AffiliateId
                | Self::OfferId
                | Self::AdvertiserId
                | Self::Source
                | Self::ConversionType
                | Self::Result
                | Self::Event
                | Self::IsFinal
                | Self::IsCorrection
                | Self::Attempt
                | Self::Step
                | Self::StepAttempt
                | Self::IsTest
                | Self::EventAt
                | Self::Now
                | Self::Timestamp
                | Self::Uuid
                | Self::Random
                | Self::Body
                | Self::HttpCode
                | Self::QuerySorted
        )
    }
}
