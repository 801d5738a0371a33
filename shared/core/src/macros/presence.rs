//! The subject of a macro, and whether it may be empty, for warnings about a rule.

use super::{Fixed, Macro};

impl Macro {
    /// Returns true if it reads a transaction: it is empty for a conversion without one.
    pub(crate) fn is_of_transaction(&self) -> bool {
        matches!(self, Self::Fixed(fixed) if fixed.is_of_transaction())
    }

    /// Returns true if an event may leave it empty. `on_transaction`: the event is a transaction's.
    pub(crate) fn may_be_missing(&self, on_transaction: bool) -> bool {
        let Self::Fixed(fixed) = self else { return !matches!(self, Self::Secret(_)) };
        match fixed {
            Fixed::TransactionId | Fixed::Result => !on_transaction,
            other => other.is_optional(),
        }
    }

    /// Returns true if its value may hold a quote: it is free text, not an id, a number, a time or a word of ours.
    pub(crate) fn may_hold_quote(&self) -> bool {
        matches!(self, Self::Fixed(fixed) if fixed.is_free_text()) || !matches!(self, Self::Fixed(_))
    }

    /// Returns true if it distinguishes conversions, so that a receiver knows the conversion of a postback.
    pub(crate) fn identifies_conversion(&self) -> bool {
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

    /// Returns true if any event may lack it (docs/events-in.md).
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
