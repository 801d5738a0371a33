//! The faults of an input: place, fault and allowed values; all faults at once.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::expression::ExpressionBudget;

/// One fault of an input: a JSON pointer (RFC 6901) to the place, and a sentence with the fault and the allowed values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// JSON pointer to the faulty value; empty for the whole document.
    pub pointer: String,
    /// The fault and the allowed values.
    pub detail: String,
}

/// The most faults that one API response lists.
pub const MAX_FAULTS: usize = 100;

/// The longest word that is shown, and compared with known ones, in characters.
const MAX_SHOWN_CHARS: usize = 64;

/// The detail of an unknown word: `unknown trigger "x"; expected one of …`, or the known one that was probably meant.
pub fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    let shown: String = word.chars().take(MAX_SHOWN_CHARS).collect();
    if let Some(meant) = meant(&shown, known) {
        return format!("unknown {what} {shown:?}; did you mean \"{meant}\"?");
    }
    match known {
        [] => format!("unknown {what} {shown:?}; none is allowed"),
        [only] => format!("unknown {what} {shown:?}; expected {only}"),
        _ => format!("unknown {what} {shown:?}; expected one of {}", known.join(", ")),
    }
}

/// The known word that differs in two letters at most, or that begins with `word` or is its beginning.
fn meant<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase();
    let distance = |known: &str| {
        let known = known.to_lowercase();
        let is_beginning = word.len() > 2 && known.starts_with(&word) || known.len() > 2 && word.starts_with(&known);
        let changed = strsim::damerau_levenshtein(&known, &word);
        (is_beginning || changed <= (known.len() / 3).clamp(1, 2)).then_some(changed)
    };
    known.iter().filter_map(|known| Some((distance(known)?, *known))).min().map(|(_, known)| known)
}

/// The faults of one input, in the order of the document. An error has at least one.
///
/// At most [`MAX_FAULTS`] are kept. One more entry at the end, with an empty pointer, counts the others found: `and 3 more`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Faults(pub Vec<Fault>, #[serde(skip)] Reading);

/// The progress of reading one input.
#[derive(Debug, Clone, Default)]
struct Reading {
    /// The number of faults that are only counted.
    more: usize,
    /// Notes on values that were converted.
    notes: Vec<Fault>,
    expressions: ExpressionBudget,
    /// The number of conditions read so far.
    conditions: usize,
}

impl PartialEq for Faults {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Faults {}

impl Faults {
    /// No faults so far in a rule that is read from the store: an expression over a later budget is no fault.
    pub(crate) fn of_stored_rule() -> Self {
        Self(Vec::new(), Reading { expressions: ExpressionBudget::of_stored_rule(), ..Reading::default() })
    }

    /// Returns true if the rule is read from the store.
    pub(crate) fn is_of_stored_rule(&self) -> bool {
        self.1.expressions.is_of_stored_rule()
    }

    /// Adds one more fault; only counts it if [`MAX_FAULTS`] are kept.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.0.len() < MAX_FAULTS {
            self.0.push(Fault { pointer: pointer.into(), detail: detail.into() });
        } else {
            self.skip(1);
        }
    }

    /// Notes that a value is converted, which is no fault; at most [`MAX_FAULTS`] notes are kept.
    pub(crate) fn note(&mut self, pointer: String, detail: String) {
        if self.1.notes.len() < MAX_FAULTS {
            self.1.notes.push(Fault { pointer, detail });
        }
    }

    /// The notes.
    pub(crate) fn into_notes(self) -> Vec<Fault> {
        self.1.notes
    }

    /// Adds a fault whose text is made only if it is kept.
    pub(crate) fn add_with(&mut self, fault: impl FnOnce() -> (String, String)) {
        if self.0.len() < MAX_FAULTS {
            let (pointer, detail) = fault();
            self.0.push(Fault { pointer, detail });
        } else {
            self.skip(1);
        }
    }

    /// Counts faults that are not described.
    fn skip(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        self.1.more += count;
        self.0.truncate(MAX_FAULTS);
        self.0.push(Fault { pointer: String::new(), detail: format!("and {} more", self.1.more) });
    }

    /// Adds the faults of a part.
    pub fn append(&mut self, part: Self) {
        let Self(faults, Reading { more, .. }) = part;
        let described = if more > 0 { MAX_FAULTS } else { faults.len() };
        for Fault { pointer, detail } in faults.into_iter().take(described) {
            self.add(pointer, detail);
        }
        self.skip(more);
    }

    /// Returns true if there is no fault.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of faults, including those that are only counted.
    pub(crate) fn count(&self) -> usize {
        self.0.len().min(MAX_FAULTS) + self.1.more
    }

    /// The number of faults that may still be described.
    pub(crate) fn room(&self) -> usize {
        MAX_FAULTS.saturating_sub(self.0.len())
    }

    /// Counts one more condition of the input, and returns its number, from 1.
    pub(crate) fn count_condition(&mut self) -> usize {
        self.1.conditions += 1;
        self.1.conditions
    }

    /// The budget of expressions of the input.
    pub(crate) fn expressions(&mut self) -> &mut ExpressionBudget {
        &mut self.1.expressions
    }

    /// The same faults for a document whose place in another is `pointer`.
    #[must_use]
    pub fn below(mut self, pointer: &str) -> Self {
        for fault in self.0.iter_mut().take(MAX_FAULTS) {
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

#[cfg(test)]
mod tests {
    use super::unknown;

    #[track_caller]
    fn check(word: &str, known: &[&str], expected: &str) {
        assert_eq!(unknown("field", word, known), format!("unknown field {word:?}; {expected}"));
    }

    #[test]
    fn case_d4_a_known_word_is_suggested_only_when_it_is_close() {
        let known = ["name", "rate_per_second", "max_retries", "sets"];
        for (word, meant) in
            [("nmae", "name"), ("NAME", "name"), ("max_retrys", "max_retries"), ("rate", "rate_per_second"), ("set", "sets")]
        {
            check(word, &known, &format!("did you mean \"{meant}\"?"));
        }
        for word in ["steps", "retries", "na", "x", "", "né", "mäx_retr\u{0}"] {
            check(word, &known, "expected one of name, rate_per_second, max_retries, sets");
        }
        check("x", &["name"], "expected name");
        check("x", &[], "none is allowed");
    }

    #[test]
    fn case_d4_of_a_long_word_the_beginning_is_shown() {
        let detail = unknown("field", &"ä".repeat(100_000), &["name", "url"]);
        assert_eq!(detail, format!("unknown field \"{}\"; expected one of name, url", "ä".repeat(64)));
    }
}
