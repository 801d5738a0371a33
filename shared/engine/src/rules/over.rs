//! The rule that a write replaces.

use super::{Refused, Rule, RuleHead};

/// The rule that a write replaces.
pub(super) enum Over {
    Nothing,
    /// A deleted rule, at this revision.
    Tombstone(Box<RuleHead>, u64),
    /// A rule, at this revision.
    Rule(Rule, u64),
}

impl Over {
    /// The head or the tombstone.
    pub(super) fn head(&self) -> Option<&RuleHead> {
        match self {
            Self::Nothing => None,
            Self::Tombstone(head, _) => Some(head),
            Self::Rule(rule, _) => Some(&rule.head),
        }
    }

    /// The rule, if there is one.
    pub(super) fn rule(&self) -> Option<&Rule> {
        match self {
            Self::Nothing | Self::Tombstone(..) => None,
            Self::Rule(rule, _) => Some(rule),
        }
    }

    pub(super) fn revision(&self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::Tombstone(_, rev) | Self::Rule(_, rev) => Some(*rev),
        }
    }
}

/// Refuses a write that was meant for another version.
pub(super) fn expect_version(expected: Option<u64>, head: &RuleHead) -> Result<(), Refused> {
    match expected {
        Some(version) if version != head.version => Err(Refused::Changed { current: head.version }),
        _ => Ok(()),
    }
}
