//! What a condition asks of the text that it found (domain A2).

use regex::{Regex, RegexBuilder};
use rust_decimal::Decimal;

use crate::money::Money;

/// What a compiled expression may take, in bytes: a hostile pattern is refused when the rule is saved.
const MAX_REGEX: usize = 256 * 1_024;

/// What must be so of the text that was found (A2). Text compares case-sensitively, numbers exactly; a missing text is empty.
#[derive(Debug, Clone)]
pub(super) enum Operator {
    /// It is one of the alternatives.
    Equals(Vec<String>),
    /// It is none of the alternatives.
    NotEquals(Vec<String>),
    /// It is `true` or `1`.
    IsTrue,
    /// It is `false` or `0`; a missing text is neither.
    IsFalse,
    /// It is a number above this one.
    BiggerThan(Decimal),
    /// It is a number below this one.
    SmallerThan(Decimal),
    /// It is a number from the first to the second, both included.
    Between(Decimal, Decimal),
    /// This stands in it.
    StringContains(String),
    /// This does not stand in it.
    StringNotContains(String),
    /// It begins with this.
    StringStartsWith(String),
    /// It ends with this.
    StringEndsWith(String),
    /// It is missing or empty.
    IsEmpty,
    /// It is there and not empty.
    IsNotEmpty,
    /// The expression is found in it, anywhere unless anchored by `^` and `$`.
    Matches(Box<Regex>),
    /// Always so.
    Always,
}

/// An operator's word, how many values it takes (0 to 2), and how it is made of them.
pub(super) struct OperatorInfo {
    pub(super) word: &'static str,
    pub(super) values: u8,
    pub(super) make: fn(&str, &str) -> Result<Operator, Refusal>,
}

/// What is wrong with a value: which of the two fields, and the sentence.
pub(super) type Refusal = (&'static str, String);

#[rustfmt::skip]
pub(super) const OPERATORS: [OperatorInfo; 15] = [
    OperatorInfo { word: "equals", values: 1, make: |v, _| alternatives(v).map(Operator::Equals) },
    OperatorInfo { word: "not_equals", values: 1, make: |v, _| alternatives(v).map(Operator::NotEquals) },
    OperatorInfo { word: "is_true", values: 0, make: |_, _| Ok(Operator::IsTrue) },
    OperatorInfo { word: "is_false", values: 0, make: |_, _| Ok(Operator::IsFalse) },
    OperatorInfo { word: "bigger_than", values: 1, make: |v, _| number("value", v).map(Operator::BiggerThan) },
    OperatorInfo { word: "smaller_than", values: 1, make: |v, _| number("value", v).map(Operator::SmallerThan) },
    OperatorInfo { word: "between", values: 2, make: between },
    OperatorInfo { word: "string_contains", values: 1, make: |v, _| part(v).map(Operator::StringContains) },
    OperatorInfo { word: "string_not_contains", values: 1, make: |v, _| part(v).map(Operator::StringNotContains) },
    OperatorInfo { word: "string_starts_with", values: 1, make: |v, _| part(v).map(Operator::StringStartsWith) },
    OperatorInfo { word: "string_ends_with", values: 1, make: |v, _| part(v).map(Operator::StringEndsWith) },
    OperatorInfo { word: "is_empty", values: 0, make: |_, _| Ok(Operator::IsEmpty) },
    OperatorInfo { word: "is_not_empty", values: 0, make: |_, _| Ok(Operator::IsNotEmpty) },
    OperatorInfo { word: "matches", values: 1, make: |v, _| expression(v) },
    OperatorInfo { word: "always", values: 0, make: |_, _| Ok(Operator::Always) },
];

/// `a|b` is `a` or `b`; a `|` that is meant is written `\|`, a `\` before it `\\`; any other `\` is itself.
fn alternatives(value: &str) -> Result<Vec<String>, Refusal> {
    let mut all = vec![String::new()];
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next_if(|next| matches!(next, '|' | '\\')) } else { None };
        match (c, escaped) {
            ('|', None) => all.push(String::new()),
            (plain, None) => all.last_mut().expect("there is one from the start").push(plain),
            (_, Some(meant)) => all.last_mut().expect("there is one from the start").push(meant),
        }
    }
    if all.iter().any(String::is_empty) {
        let detail = "an alternative is empty: write them as approved|rejected, or use the operator is_empty";
        return Err(("value", detail.to_owned()));
    }
    Ok(all)
}

fn number(field: &'static str, text: &str) -> Result<Decimal, Refusal> {
    read_number(text).ok_or_else(|| (field, format!("\"{}\" is not a number: write a decimal such as 12.50", short(text))))
}

fn between(low: &str, high: &str) -> Result<Operator, Refusal> {
    let (low, high) = (number("value", low)?, number("value2", high)?);
    if low > high {
        return Err(("value2", format!("{high} is less than {low}: value2 is the upper bound, {low} or more")));
    }
    Ok(Operator::Between(low, high))
}

fn part(text: &str) -> Result<String, Refusal> {
    if text.is_empty() {
        return Err(("value", "an empty text stands in every text: write one, or use is_empty, is_not_empty, always".to_owned()));
    }
    Ok(text.to_owned())
}

fn expression(pattern: &str) -> Result<Operator, Refusal> {
    match RegexBuilder::new(pattern).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).nest_limit(50).build() {
        Ok(regex) => Ok(Operator::Matches(Box::new(regex))),
        Err(regex::Error::CompiledTooBig(_)) => {
            Err(("value", "the expression is too big: write one without large repetitions".to_owned()))
        }
        Err(fault) => {
            let why = fault.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Err(("value", format!("not a regular expression: {why}; Rust's regex syntax is allowed")))
        }
    }
}

fn read_number(text: &str) -> Option<Decimal> {
    text.trim().parse::<Money>().ok().map(|amount| amount.0)
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

impl Operator {
    pub(super) fn holds(&self, found: &str) -> bool {
        let number = || read_number(found);
        match self {
            Self::Equals(alternatives) => alternatives.iter().any(|one| one == found),
            Self::NotEquals(alternatives) => alternatives.iter().all(|one| one != found),
            Self::IsTrue => matches!(found, "true" | "1"),
            Self::IsFalse => matches!(found, "false" | "0"),
            Self::BiggerThan(bound) => number().is_some_and(|n| n > *bound),
            Self::SmallerThan(bound) => number().is_some_and(|n| n < *bound),
            Self::Between(low, high) => number().is_some_and(|n| (*low..=*high).contains(&n)),
            Self::StringContains(part) => found.contains(part),
            Self::StringNotContains(part) => !found.contains(part),
            Self::StringStartsWith(part) => found.starts_with(part),
            Self::StringEndsWith(part) => found.ends_with(part),
            Self::IsEmpty => found.is_empty(),
            Self::IsNotEmpty => !found.is_empty(),
            Self::Matches(regex) => regex.is_match(found),
            Self::Always => true,
        }
    }
}
