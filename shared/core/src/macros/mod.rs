//! The catalogue of macros and modifiers: the contents of `{…}`, as data for `GET /macros` (docs/macros.md).

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
    /// The text between the braces.
    pub name: &'static str,
    /// Other names of the same macro.
    pub aliases: &'static [&'static str],
    /// Its heading in the catalogue.
    pub group: &'static str,
    /// The value that it prints.
    pub description: &'static str,
    /// An example of its use.
    pub example: &'static str,
    /// A possible output of the example.
    pub gives: &'static str,
    /// `true` if only admins' rules may use it (V3).
    pub admins_only: bool,
    /// `true` if only answer rules may use it (A3).
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
    /// The effect on a value.
    pub description: &'static str,
    /// An example of its use.
    pub example: &'static str,
    /// A possible output of the example.
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

/// The way in which a row of the catalogue is read.
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
    /// `var.<name>`: a variable, such as one that an earlier response set (A3).
    Var(Box<str>),
    /// `body.<path>`: a field of the response (A3).
    Body(FieldPath),
    /// `header.<name>`: a header of the response (A3).
    Header(Box<str>),
    /// `steps.<name>.body.<path>` or `steps.<name>.http_code`: the response of another step (W7).
    Steps(StepReference),
    /// `callback_url` or `callback_url.<step>`: the URL at which a step listens (W17).
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
    /// `affs1` … `affs10`, by their key in the event.
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
