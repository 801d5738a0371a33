//! What is wrong with an input, where, and what is allowed: all faults at once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One fault of an input: a JSON pointer (RFC 6901) to the place and a sentence that says what is wrong and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// JSON pointer to the faulty value; empty for the whole document.
    pub pointer: String,
    /// What is wrong and what is allowed.
    pub detail: String,
}

/// All faults of one input, in the order of the document. Never empty when returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Notes one more fault.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(Fault { pointer: pointer.into(), detail: detail.into() });
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same faults of a document that stands at `pointer` of another.
    #[must_use]
    pub fn below(mut self, pointer: &str) -> Self {
        for fault in &mut self.0 {
            fault.pointer.insert_str(0, pointer);
        }
        self
    }

    /// One fault on its own.
    pub fn one(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut faults = Self::default();
        faults.add(pointer, detail);
        faults
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            if fault.pointer.is_empty() {
                write!(f, "{separator}{}", fault.detail)?;
            } else {
                write!(f, "{separator}{}: {}", fault.pointer, fault.detail)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A key escaped as one JSON pointer token (RFC 6901: `~` is `~0`, `/` is `~1`).
pub fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
