//! Patterns: the value of `equals`, `not_equals` and the operators of texts (A2).
//!
//! `*` matches any text and `|` separates alternatives; `\*`, `\|` and `\\` are literal characters, any other `\` is literal.
//! **The value of a macro is never a pattern**: it is filled in after the pattern was read.

use super::blanks::Filled;
use crate::path::{BLANK, fill};

/// A list of alternatives, not empty.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Alternative>);

/// The texts before, between and after the `*`, in order; without a `*` the whole text.
#[derive(Debug, Clone)]
struct Alternative(Vec<String>);

/// The position in a text where a pattern must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Whole,
    Start,
    End,
    Anywhere,
}

impl Pattern {
    /// Reads a pattern. An alternative with an empty macro is left out: it would match more than was meant.
    pub(super) fn parse(value: &Filled<'_>, position: Position) -> Result<Self, String> {
        let mut values = value.values;
        let mut alternatives = Vec::new();
        for written in split(value.text) {
            if written == [""] {
                return Err("an alternative is empty: write them as approved|rejected, or use the operator is_empty".to_owned());
            }
            let blanks = written.iter().flat_map(|text| text.chars()).filter(|c| *c == BLANK).count();
            let (own, others) = values.split_at(blanks);
            values = others;
            if own.iter().any(String::is_empty) {
                continue;
            }
            alternatives.push(Alternative::new(written, own, position));
        }
        if alternatives.is_empty() { Err("its macros are empty for this event".to_owned()) } else { Ok(Self(alternatives)) }
    }

    /// Returns true if an alternative matches a text. Two decimals are equal as numbers.
    pub(super) fn fits(&self, text: &str) -> bool {
        self.0.iter().any(|alternative| alternative.fits(text))
    }

    /// Returns true if an alternative is a decimal, which equals other texts of the same number.
    pub(super) fn has_numbers(&self) -> bool {
        self.0.iter().any(|Alternative(texts)| matches!(&texts[..], [number] if decimal(number).is_some()))
    }

    /// The number of steps for comparing with a text of this length.
    pub(super) fn steps(&self, bytes: usize) -> usize {
        let searching = self.0.iter().filter(|alternative| alternative.0.len() > 1).count();
        self.0.len() + bytes * searching.max(1)
    }

    /// An estimate of the memory that the pattern takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|Alternative(texts)| size_of::<Alternative>() + texts.len() * size_of::<String>()).sum()
    }
}

/// The alternatives of a pattern, each split at its `*`.
fn split(value: &str) -> Vec<Vec<String>> {
    let mut alternatives = vec![vec![String::new()]];
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next_if(|next| matches!(next, '*' | '|' | '\\')) } else { None };
        let last = alternatives.last_mut().expect("there is one from the start");
        match (c, escaped) {
            ('|', None) => alternatives.push(vec![String::new()]),
            ('*', None) => last.push(String::new()),
            (c, escaped) => last.last_mut().expect("there is one from the start").push(escaped.unwrap_or(c)),
        }
    }
    alternatives
}

impl Alternative {
    fn new(written: Vec<String>, values: &[String], position: Position) -> Self {
        let mut values = values.iter();
        let open = |is_open: bool| is_open.then(String::new);
        let start = open(matches!(position, Position::End | Position::Anywhere));
        let end = open(matches!(position, Position::Start | Position::Anywhere));
        let texts = written.into_iter().map(|text| fill(&text, &mut values));
        Self(start.into_iter().chain(texts).chain(end).collect())
    }

    fn fits(&self, text: &str) -> bool {
        let (first, rest) = self.0.split_first().expect("there is one text at least");
        let Some((last, between)) = rest.split_last() else { return first == text || is_same_number(first, text) };
        let Some(inner) = text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last)) else { return false };
        let behind = between.iter().try_fold(inner, |rest, text| rest.split_once(&**text).map(|(_, behind)| behind));
        behind.is_some()
    }
}

/// Returns true if both are decimals without leading zeros and equal as numbers: `10.5` is `10.50`, `007` is not `7`.
fn is_same_number(one: &str, other: &str) -> bool {
    decimal(one).is_some_and(|number| decimal(other) == Some(number))
}

/// The sign of a decimal, its digits before the point, and those after it without trailing zeros.
fn decimal(text: &str) -> Option<(bool, &str, &str)> {
    let (is_negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    Some((is_negative && !(whole == "0" && fraction.is_empty()), whole, fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, position: Position, fitting: &[&str], others: &[&str]) {
        let pattern = Pattern::parse(&Filled { text: pattern, values: &[] }, position).unwrap();
        for text in fitting {
            assert!(pattern.fits(text), "{pattern:?} fits {text}");
        }
        for text in others {
            assert!(!pattern.fits(text), "{pattern:?} does not fit {text}");
        }
    }

    #[test]
    fn case_a14_a_star_is_any_text_and_a_bar_parts_alternatives() {
        check("app*|rej*", Position::Whole, &["approved", "app", "rejected"], &["unapproved", "ap", "|rej", ""]);
        check("*ok*", Position::Whole, &["ok", "not ok!", "okok"], &["o k", ""]);
        check("a*b*a", Position::Whole, &["aba", "a-b-a", "abba", "aabaa"], &["aa", "ab", "a", "xaba"]);
        check("a*a", Position::Whole, &["aa", "a a"], &["a"]);
        check("*", Position::Whole, &["", "anything"], &[]);
        check(r"a\*b|a\|b|a\\b|a\b", Position::Whole, &["a*b", "a|b", r"a\b"], &["axb", "a", "b", r"a\\b"]);
    }

    #[test]
    fn case_a14_texts_begin_end_and_contain_patterns() {
        check("ERR*42|FAIL", Position::Start, &["ERR 42!", "FAIL", "FAILED"], &["ERR", "an ERR 42"]);
        check("ok|d*ne", Position::End, &["is ok", "done", "well done"], &["ok.", "dne?"]);
        check("ok|d*ne", Position::Anywhere, &["(ok)", "it is done now"], &["no", "d"]);
        check(r"50%|\*", Position::Anywhere, &["50% off", "a*b"], &["50", "ab"]);
    }

    #[test]
    fn case_a14_numbers_are_equal_as_numbers() {
        check("10.5", Position::Whole, &["10.5", "10.50", "10.500"], &["10.05", "010.5", "10.5 ", "1.05e1", "10.", "+10.5"]);
        check("7", Position::Whole, &["7", "7.0", "7.00"], &["007", "07", "7.01", "-7"]);
        check("007", Position::Whole, &["007"], &["7", "07"]);
        check("0", Position::Whole, &["0", "0.0", "-0", "-0.00"], &["00", "", "."]);
        let long = "12345678901234567890123456789012345678901234567890";
        check(&format!("{long}.10"), Position::Whole, &[&format!("{long}.1")], &[long, &format!("{long}.11")]);
        check("10.5*", Position::Whole, &["10.50"], &["10.4"]);
    }
}
