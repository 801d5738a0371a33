//! The time limit of a request.

use crate::{document::Fields, fault::Faults};

/// The time limit of one request, from connecting to the last byte of the response: 1 to 120 seconds, 40 unless set (Q4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeout(u8);

/// A number of seconds out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} seconds are not possible: choose 1 to 120")]
pub struct NotATimeout(u32);

impl Timeout {
    const LONGEST_SECONDS: u8 = 120;

    /// A time limit in seconds.
    pub fn from_seconds(seconds: u32) -> Result<Self, NotATimeout> {
        match u8::try_from(seconds) {
            Ok(seconds @ 1..=Self::LONGEST_SECONDS) => Ok(Self(seconds)),
            _ => Err(NotATimeout(seconds)),
        }
    }

    /// The time limit in seconds.
    pub fn seconds(self) -> u32 {
        self.0.into()
    }

    /// The time limit as a duration.
    pub fn duration(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.0.into())
    }

    /// Reads `timeout_seconds`.
    pub(super) fn parse(fields: &Fields<'_>, faults: &mut Faults) -> Option<Self> {
        let key = "timeout_seconds";
        if fields.get(key).is_none() {
            return Some(Self::default());
        }
        let seconds = fields.integer(key, 1..=Self::LONGEST_SECONDS.into(), "seconds", faults)?;
        Self::from_seconds(seconds).ok()
    }
}

impl Default for Timeout {
    fn default() -> Self {
        Self(40)
    }
}
