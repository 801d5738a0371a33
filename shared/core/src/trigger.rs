//! The six triggers of rules (T1–T6).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::event::EventKind;

/// The elementary events on which a rule fires; once per event (T1–T6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// T1: every change of a transaction.
    #[default]
    TransactionAll,
    /// T2: a new transaction.
    TransactionCreated,
    /// T3: a changed transaction.
    TransactionUpdated,
    /// T4: every change of a conversion.
    ConversionAll,
    /// T5: a new conversion.
    ConversionCreated,
    /// T6: a changed conversion.
    ConversionUpdated,
}

/// A text that names no trigger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown trigger; expected one of transaction_all, transaction_created, transaction_updated, conversion_all, conversion_created, \
     conversion_updated"
)]
pub struct NoSuchTrigger;

impl Trigger {
    /// All six, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::TransactionAll,
        Self::TransactionCreated,
        Self::TransactionUpdated,
        Self::ConversionAll,
        Self::ConversionCreated,
        Self::ConversionUpdated,
    ];

    /// Returns true if an event of that kind fires it (T1–T6).
    pub fn fires_on(self, kind: EventKind) -> bool {
        match self {
            Self::TransactionAll => kind.is_transaction(),
            Self::TransactionCreated => kind == EventKind::TransactionCreated,
            Self::TransactionUpdated => kind == EventKind::TransactionUpdated,
            Self::ConversionAll => !kind.is_transaction(),
            Self::ConversionCreated => kind == EventKind::ConversionCreated,
            Self::ConversionUpdated => kind == EventKind::ConversionUpdated,
        }
    }

    /// Its number in docs/domain.md, 1 to 6.
    pub fn number(self) -> u8 {
        match self {
            Self::TransactionAll => 1,
            Self::TransactionCreated => 2,
            Self::TransactionUpdated => 3,
            Self::ConversionAll => 4,
            Self::ConversionCreated => 5,
            Self::ConversionUpdated => 6,
        }
    }

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TransactionAll => "transaction_all",
            Self::TransactionCreated => "transaction_created",
            Self::TransactionUpdated => "transaction_updated",
            Self::ConversionAll => "conversion_all",
            Self::ConversionCreated => "conversion_created",
            Self::ConversionUpdated => "conversion_updated",
        }
    }

    /// Returns true if the subject of its postbacks is a transaction (T1–T3) rather than the conversion (T4–T6).
    pub fn is_transaction(self) -> bool {
        matches!(self, Self::TransactionAll | Self::TransactionCreated | Self::TransactionUpdated)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Trigger {
    type Err = NoSuchTrigger;

    fn from_str(text: &str) -> Result<Self, NoSuchTrigger> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == text).ok_or(NoSuchTrigger)
    }
}

#[cfg(test)]
mod tests {
    use super::{EventKind::*, *};

    #[track_caller]
    fn check(name: &str, number: u8, fires_on: &[EventKind]) {
        let trigger: Trigger = name.parse().unwrap();
        assert_eq!(trigger.number(), number, "{name}");
        let all = [ConversionCreated, TransactionCreated, ConversionUpdated, TransactionUpdated];
        let fired: Vec<_> = all.into_iter().filter(|kind| trigger.fires_on(*kind)).collect();
        assert_eq!(fired, fires_on, "{name}");
        assert_eq!(serde_json::to_value(trigger).unwrap(), name);
        assert_eq!(serde_json::from_value::<Trigger>(name.into()).unwrap(), trigger);
    }

    #[test]
    fn t1_transaction_all_is_the_default_and_fires_on_tc_and_tu() {
        assert_eq!(Trigger::default(), Trigger::TransactionAll);
        check("transaction_all", 1, &[TransactionCreated, TransactionUpdated]);
    }

    #[test]
    fn t2_transaction_created_fires_on_tc() {
        check("transaction_created", 2, &[TransactionCreated]);
    }

    #[test]
    fn t3_transaction_updated_fires_on_tu() {
        check("transaction_updated", 3, &[TransactionUpdated]);
    }

    #[test]
    fn t4_conversion_all_fires_on_cc_and_cu() {
        check("conversion_all", 4, &[ConversionCreated, ConversionUpdated]);
    }

    #[test]
    fn t5_conversion_created_fires_on_cc() {
        check("conversion_created", 5, &[ConversionCreated]);
    }

    #[test]
    fn t6_conversion_updated_fires_on_cu() {
        check("conversion_updated", 6, &[ConversionUpdated]);
    }

    #[test]
    fn t6_there_is_no_seventh_trigger() {
        assert_eq!(Trigger::ALL.len(), 6);
        assert_eq!("conversion".parse::<Trigger>(), Err(NoSuchTrigger));
    }
}
