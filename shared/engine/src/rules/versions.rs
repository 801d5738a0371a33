//! Texts of a rule's versions, as its history keeps them: whole ones now and then, and between them the differences of each version from
//! the one before.

use serde::{Deserialize, Serialize};
use tracking_core::{
    hash, json,
    json::Value,
    tracking_api::{FieldChange, RuleDefinition, changes},
};

use super::RuleHead;

/// Versions in a row that are kept as differences: at most so many texts are read to make one whole again.
const MAX_DELTAS: u32 = 15;
/// Changes up to so many bytes of JSON are kept as they are shown; larger ones are found by comparing the two texts.
const MAX_CHANGES_BYTES: usize = 1_024;
/// Characters of a checksum.
const SUM_CHARS: usize = 16;

/// The mark of a head's text: enough to keep the next text as a difference from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TextMark {
    sum: String,
    /// Versions since the last whole text.
    deltas: u32,
}

/// A text as its differences from an older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Delta {
    /// Bytes at the beginning that both have.
    start: usize,
    /// Bytes at the end that both have.
    end: usize,
    /// The text between them in the newer one.
    new: String,
    /// Checksum of the newer text.
    sum: String,
}

/// A version as it is written.
pub(super) struct Version {
    pub(super) mark: TextMark,
    /// The differences from the version before, if they are small.
    pub(super) changes: Option<Vec<FieldChange>>,
    /// The whole document, or else the difference.
    pub(super) document: Option<Value>,
    pub(super) delta: Option<Delta>,
}

impl Version {
    /// The version with this text that follows `before`, if there is one.
    pub(super) fn new(before: Option<(&RuleHead, &RuleDefinition)>, definition: &RuleDefinition) -> Self {
        let document = definition.document();
        let older = before.map_or_else(|| json!({}), |(_, older)| older.document());
        let stored = definition.stored();
        let text = stored.to_string();
        let mark = before.and_then(|(head, _)| head.text.as_ref());
        // If the version before is the first with a mark, the history may not have it.
        let changes = match before {
            Some(_) if mark.is_none() => Some(changes(&older, &document)),
            _ => kept_changes(&older, &document),
        };
        let older = before.map(|(_, older)| older.stored().to_string()).unwrap_or_default();
        let delta = mark.and_then(|mark| Delta::after(mark, &older, &text));
        match (delta, mark) {
            (Some(delta), Some(mark)) => {
                let mark = TextMark { sum: delta.sum.clone(), deltas: mark.deltas + 1 };
                Self { mark, changes, document: None, delta: Some(delta) }
            }
            _ => Self { mark: TextMark { sum: sum(&text), deltas: 0 }, changes, document: Some(stored), delta: None },
        }
    }
}

/// The changes, unless they are to be found by comparing the texts.
pub(super) fn kept_changes(older: &Value, newer: &Value) -> Option<Vec<FieldChange>> {
    let changes = changes(older, newer);
    let bytes: usize = changes.iter().map(|c| c.pointer.len() + c.from.to_string().len() + c.to.to_string().len()).sum();
    (bytes <= MAX_CHANGES_BYTES).then_some(changes)
}

impl Delta {
    /// The difference of `new` from `old`, which has this mark; `None` if the whole text is to be kept.
    fn after(mark: &TextMark, old: &str, new: &str) -> Option<Self> {
        if mark.deltas >= MAX_DELTAS || mark.sum != sum(old) {
            return None;
        }
        let delta = Self::between(old, new);
        (delta.new.len() <= new.len() / 2).then_some(delta)
    }

    fn between(old: &str, new: &str) -> Self {
        let same = |pairs: &mut dyn Iterator<Item = (u8, u8)>| pairs.take_while(|(a, b)| a == b).count();
        let start = new.floor_char_boundary(same(&mut old.bytes().zip(new.bytes())));
        let (old_rest, new_rest) = (&old[start..], &new[start..]);
        let mut end = same(&mut old_rest.bytes().rev().zip(new_rest.bytes().rev()));
        while !new_rest.is_char_boundary(new_rest.len() - end) {
            end -= 1;
        }
        Self { start, end, new: new_rest[..new_rest.len() - end].to_owned(), sum: sum(new) }
    }

    /// The newer text; `None` if `old` is not the text that it differs from.
    pub(super) fn apply(&self, old: &str) -> Option<String> {
        let rest = old.len().checked_sub(self.end)?;
        let new = [old.get(..self.start)?, &self.new, old.get(rest..)?].concat();
        (sum(&new) == self.sum).then_some(new)
    }
}

fn sum(text: &str) -> String {
    hash::text(&["rule text", text], SUM_CHARS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(old: &str, new: &str, expected: (usize, usize, &str)) {
        let delta = Delta::between(old, new);
        assert_eq!((delta.start, delta.end, delta.new.as_str()), expected);
        assert_eq!(delta.apply(old).as_deref(), Some(new));
    }

    #[test]
    fn f10_a_difference_is_the_text_between_the_common_ends() {
        check("abcdef", "abXdef", (2, 3, "X"));
        check("abab", "ababab", (4, 0, "ab"));
        check("aaa", "a", (1, 0, ""));
        check("", "x", (0, 0, "x"));
        check("same", "same", (4, 0, ""));
        // é and è share their first byte, à and €'s last ones don't: none is cut in two.
        check("xéy", "xèy", (1, 1, "è"));
    }

    #[test]
    fn f10_a_difference_from_another_text_gives_none() {
        let delta = Delta::between("abcdef", "abXdef");
        for other in ["", "abc", "abcdeg", "zbcdef"] {
            assert_eq!(delta.apply(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn f10_any_text_comes_back_from_its_difference(old in "[aé€b😀]{0,12}", new in "[aé€b😀]{0,12}") {
            prop_assert_eq!(Delta::between(&old, &new).apply(&old), Some(new));
        }
    }
}
