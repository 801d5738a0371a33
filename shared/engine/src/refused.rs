//! The reasons why a request is refused.

use tracking_core::{fault::Faults, limit::Exceeded};

use crate::backend::StoreError;

/// The reason why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not found, or not visible to the caller.
    #[error("not found")]
    NotFound,
    /// It does not exist any more, for this reason.
    #[error("{0}")]
    Removed(String),
    /// It is over: nothing takes this any more, for this reason.
    #[error("{0}")]
    Gone(String),
    /// The request does not prove that it is the receiver's.
    #[error("the request does not carry the proof that this step asks for")]
    Unproven,
    /// The caller's text has faults.
    #[error("{0}")]
    Faults(Faults),
    /// Somebody else changed it: `If-Match` named another version.
    #[error("the rule is at version {current} now, not at the one that If-Match names: read it again")]
    Changed {
        /// The version now.
        current: u64,
    },
    /// It conflicts with the present state.
    #[error("{0}")]
    Conflict(String),
    /// The caller did so too often.
    #[error(transparent)]
    TooMany(#[from] Exceeded),
    /// The store can't be reached.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

impl From<Faults> for Refused {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}
