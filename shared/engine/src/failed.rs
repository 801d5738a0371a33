//! The reasons why a message was not worked.

use crate::backend::StoreError;

/// The reason why a message was not worked: it is ours to mend, and no attempt is charged for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Working it, or another message of the same subject queue, panicked.
    #[error("working it panicked")]
    Panic,
}

impl Failed {
    /// Returns true if a row that it needs is damaged: a retry would not help, so the message is to be dead-lettered.
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::Store(StoreError::Corrupt { .. }))
    }
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Store(error) => error,
            Failed::Panic => Self::Unavailable(failed.to_string()),
        }
    }
}
