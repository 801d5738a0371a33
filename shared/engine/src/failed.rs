//! Why something was not worked.

use crate::backend::Unavailable;

/// Why a message was not worked: it is ours to mend, and no attempt is charged for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The store did not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Working it, or another of the same line, panicked.
    #[error("working it panicked")]
    Panic,
}

impl From<Failed> for Unavailable {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unavailable(error) => error,
            Failed::Panic => Self(failed.to_string()),
        }
    }
}
