//! What a condition asks of the text that it found (domain A2).

use rust_decimal::Decimal;

use crate::{
    expression::{self, Expression, ExpressionBudget, Steps, Stop},
    money::Money,
};

/// The part of a text that `matches` looks at, in bytes from its beginning.
const MATCHED_BYTES: usize = 64 * 1_024;

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
    Matches(Expression),
    /// Always so.
    Always,
}

/// An operator's word, how many values it takes (0 to 2), and how it is made of them.
pub(super) struct OperatorInfo {
    pub(super) word: &'static str,
    pub(super) values: u8,
    pub(super) make: fn(&str, &str, &mut ExpressionBudget) -> Result<Operator, Refusal>,
}

/// What is wrong with a value: which of the two fields, and the sentence.
pub(super) type Refusal = (&'static str, String);

#[rustfmt::skip]
pub(super) const OPERATORS: [OperatorInfo; 15] = [
    OperatorInfo { word: "equals", values: 1, make: |v, _, _| alternatives(v).map(Operator::Equals) },
    OperatorInfo { word: "not_equals", values: 1, make: |v, _, _| alternatives(v).map(Operator::NotEquals) },
    OperatorInfo { word: "is_true", values: 0, make: |_, _, _| Ok(Operator::IsTrue) },
    OperatorInfo { word: "is_false", values: 0, make: |_, _, _| Ok(Operator::IsFalse) },
    OperatorInfo { word: "bigger_than", values: 1, make: |v, _, _| number("value", v).map(Operator::BiggerThan) },
    OperatorInfo { word: "smaller_than", values: 1, make: |v, _, _| number("value", v).map(Operator::SmallerThan) },
    OperatorInfo { word: "between", values: 2, make: between },
    OperatorInfo { word: "string_contains", values: 1, make: |v, _, _| part(v).map(Operator::StringContains) },
    OperatorInfo { word: "string_not_contains", values: 1, make: |v, _, _| part(v).map(Operator::StringNotContains) },
    OperatorInfo { word: "string_starts_with", values: 1, make: |v, _, _| part(v).map(Operator::StringStartsWith) },
    OperatorInfo { word: "string_ends_with", values: 1, make: |v, _, _| part(v).map(Operator::StringEndsWith) },
    OperatorInfo { word: "is_empty", values: 0, make: |_, _, _| Ok(Operator::IsEmpty) },
    OperatorInfo { word: "is_not_empty", values: 0, make: |_, _, _| Ok(Operator::IsNotEmpty) },
    OperatorInfo { word: "matches", values: 1, make: |v, _, e| expression(v, e) },
    OperatorInfo { word: "always", values: 0, make: |_, _, _| Ok(Operator::Always) },
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

fn between(low: &str, high: &str, _: &mut ExpressionBudget) -> Result<Operator, Refusal> {
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

fn expression(pattern: &str, expressions: &mut ExpressionBudget) -> Result<Operator, Refusal> {
    let compiled = expressions.compile(pattern).map_err(|refused| match refused {
        syntax @ expression::Refused::Syntax(_) => ("value", format!("{syntax}; Rust's regex syntax is allowed")),
        other => ("value", other.to_string()),
    })?;
    Ok(Operator::Matches(compiled))
}

fn read_number(text: &str) -> Option<Decimal> {
    text.trim().parse::<Money>().ok().map(|amount| amount.0)
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

impl Operator {
    /// An estimate of the memory that it takes beside the values it was read from, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Equals(all) | Self::NotEquals(all) => all.len() * size_of::<String>(),
            Self::Matches(expression) => expression.bytes(),
            _ => 0,
        }
    }

    /// Returns true if the text that was found is so.
    pub(super) fn holds(&self, found: &str, steps: &Steps) -> Result<bool, Stop> {
        let alternatives = if let Self::Equals(all) | Self::NotEquals(all) = self { all.len() } else { 0 };
        steps.take(1 + found.len() + alternatives)?;
        let number = || read_number(found);
        Ok(match self {
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
            Self::Matches(expression) => expression.is_match(&found[..found.floor_char_boundary(MATCHED_BYTES)], steps)?,
            Self::Always => true,
        })
    }
}
