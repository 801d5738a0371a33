//! The envelope of a change on the bus (docs/events-in.md).

use super::{Change, fields::shown};
use crate::{
    fault::{Fault, Faults},
    json::{self, Value},
    offer::OfferChange,
};

/// The most bytes of one event: 256 KiB. A larger one is refused by [`Envelope::parse`]; the HTTP API answers it with 413.
pub const MAX_EVENT_BYTES: usize = 256 * 1024;

/// A message of the bus, by its detail-type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every message is a change of a conversion")]
pub enum Envelope {
    /// `Conversion Changed`.
    ConversionChanged(Change),
    /// `Offer Changed`.
    OfferChanged(OfferChange),
}

impl Envelope {
    /// Reads an `EventBridge` envelope. Its `detail-type` decides; its `source` isn't checked, and all other fields may be absent.
    /// An envelope larger than [`MAX_EVENT_BYTES`] is refused unread; all other faults are reported at once.
    pub fn parse(bytes: &[u8]) -> Result<Self, Faults> {
        Self::parse_noting(bytes).map(|(envelope, _)| envelope)
    }

    /// The same, with the notes of [`Change::parse_noting`].
    pub fn parse_noting(bytes: &[u8]) -> Result<(Self, Vec<Fault>), Faults> {
        if bytes.len() > MAX_EVENT_BYTES {
            return Err(Faults::one("", format!("{} bytes are too many: an event has at most {MAX_EVENT_BYTES}", bytes.len())));
        }
        match json::parse_event(bytes) {
            Ok(envelope) => Self::from_value_noting(&envelope),
            Err(error) => Err(Faults::one("", format!("not JSON ({error}): give one event as a JSON object"))),
        }
    }

    /// Reads a parsed envelope as [`Envelope::parse`] does, without checking its size.
    pub fn from_value(envelope: &Value) -> Result<Self, Faults> {
        Self::from_value_noting(envelope).map(|(envelope, _)| envelope)
    }

    fn from_value_noting(envelope: &Value) -> Result<(Self, Vec<Fault>), Faults> {
        let Value::Object(fields) = envelope else {
            return Err(Faults::one("", format!("{} is not allowed: give one event as a JSON object", shown(envelope))));
        };
        let detail = || match fields.get("detail") {
            None | Some(Value::Null) => Err(Faults::one("/detail", "missing: give an object")),
            Some(detail) => Ok(detail),
        };
        match fields.get("detail-type").unwrap_or(&Value::Null) {
            Value::String(name) if name == "Conversion Changed" => {
                Change::parse_noting(detail()?, "/detail").map(|(change, notes)| (Self::ConversionChanged(change), notes))
            }
            Value::String(name) if name == "Offer Changed" => {
                OfferChange::parse_detail(detail()?, "/detail").map(|offer| (Self::OfferChanged(offer), Vec::new()))
            }
            other => {
                let wrong = if other.is_null() { "missing".to_owned() } else { format!("{} is not known", shown(other)) };
                Err(Faults::one("/detail-type", format!("{wrong}: give \"Conversion Changed\" or \"Offer Changed\"")))
            }
        }
    }
}
