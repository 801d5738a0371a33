//! The catalogue of macros and modifiers: what `{…}` may hold (domain §5), as data that `GET /macros` serves.

mod callback;
mod lookup;
mod origin;
mod presence;
mod reference;
mod table;

use serde::Serialize;

use crate::path::FieldPath;

pub(crate) use callback::CallbackName;
pub(crate) use lookup::{is_known, meant, nearest, plain_name, secret_name, shown};
pub(crate) use reference::StepReference;

/// One macro of the catalogue, or one family of them such as `query.<key>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MacroInfo {
    /// What stands between the braces.
    pub name: &'static str,
    /// Other names of the same.
    pub aliases: &'static [&'static str],
    /// The heading that it stands under.
    pub group: &'static str,
    /// What it prints.
    pub description: &'static str,
    /// A use of it.
    pub example: &'static str,
    /// What that use may print.
    pub gives: &'static str,
    /// Only rules of admins may use it (V3).
    pub admins_only: bool,
    /// Only answer rules may use it (A3).
    pub answer_only: bool,
    #[serde(skip)]
    kind: Kind,
}

/// One modifier of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ModifierInfo {
    /// The word after the `|`.
    pub name: &'static str,
    /// The form of its argument; empty if it takes none.
    pub argument: &'static str,
    /// What it does.
    pub description: &'static str,
    /// A use of it.
    pub example: &'static str,
    /// What that use may print.
    pub gives: &'static str,
}

/// Every macro, in the order of the documentation.
pub fn catalogue() -> &'static [MacroInfo] {
    table::MACROS
}

/// Every modifier, in the order of the documentation.
pub fn modifiers() -> &'static [ModifierInfo] {
    table::MODIFIERS
}

/// How a row of the catalogue is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fixed(Fixed),
    Family(Family),
}

/// The families that take a key after their dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Query,
    Cookie,
    Secret,
    Var,
    Body,
    Header,
    Steps,
    CallbackUrl,
}

/// A macro as a template holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Macro {
    /// One that takes no key.
    Fixed(Fixed),
    /// `query.<key>`: a parameter of the tracking link.
    Query(Box<str>),
    /// `cookie.<key>`: a cookie that the pixel read.
    Cookie(Box<str>),
    /// `secret.<name>`: a secret of the rule (Q5).
    Secret(Box<str>),
    /// `var.<name>`: what an earlier answer set (A3).
    Var(Box<str>),
    /// `body.<path>`: a field of the answer (A3).
    Body(FieldPath),
    /// `header.<name>`: a header of the answer (A3).
    Header(Box<str>),
    /// `steps.<name>.body.<path>` or `steps.<name>.http_code`: the response of another step (W7).
    Steps(StepReference),
    /// `callback_url` or `callback_url.<step>`: the URL that a step listens at (W17).
    CallbackUrl(CallbackName),
}

/// The macros that take no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fixed {
    Pcid,
    ConversionId,
    TransactionId,
    ExternalId,
    CommissionId,
    EventId,
    DeliveryId,
    TrackingApiId,
    AffiliateId,
    AffiliateClickId,
    /// `affs1` … `affs10`, by the key under which the event carries it.
    Affs(&'static str),
    Voucher,
    OfferId,
    OfferName,
    AdvertiserId,
    AdvertiserName,
    ChannelId,
    Channel,
    IntegrationId,
    Source,
    Country,
    ConversionType,
    Value,
    Currency,
    Ip,
    UserAgent,
    TransactionType,
    Result,
    PreviousResult,
    Payout,
    PayoutCurrency,
    Revenue,
    Event,
    IsFinal,
    IsCorrection,
    Attempt,
    Step,
    StepAttempt,
    IsTest,
    ClickAt,
    ConversionAt,
    UpdatedAt,
    ResultAt,
    EventAt,
    Now,
    Timestamp,
    Uuid,
    Random,
    Body,
    HttpCode,
    QuerySorted,
    CallbackUrl,
}

#[cfg(test)]
mod tests;
