//! The operators of conditions (A2).

use rust_decimal::Decimal;

use super::{
    blanks::Filled,
    pattern::{Pattern, Position},
};
use crate::{
    expression::{self, Expression, ExpressionBudget, Steps, Stop},
    money::Money,
};

/// The demand on the found text (A2). Texts are compared case-sensitively, numbers exactly; a missing text is empty.
#[derive(Debug, Clone)]
pub(super) enum Operator {
    /// The pattern matches at its position.
    Fits(Pattern),
    /// The pattern does not match at its position.
    FitsNot(Pattern),
    /// The text is `true` or `1`.
    IsTrue,
    /// The text is `false` or `0`; a missing text is neither.
    IsFalse,
    /// The text is a number above this one.
    BiggerThan(Decimal),
    /// The text is a number below this one.
    SmallerThan(Decimal),
    /// The text is a number from the first to the second, both included.
    Between(Decimal, Decimal),
    /// The text is missing or empty.
    IsEmpty,
    /// The text is not empty.
    IsNotEmpty,
    /// The expression matches in the text, anywhere unless anchored by `^` and `$`.
    Matches(Expression),
    /// Every text.
    Always,
}

/// An operator's word, the number of its values (0 to 2), and its constructor.
#[derive(Debug)]
pub(super) struct OperatorInfo {
    pub(super) word: &'static str,
    pub(super) values: u8,
    pub(super) make: fn(&Filled<'_>, &Filled<'_>, &mut ExpressionBudget) -> Result<Operator, Refusal>,
}

/// The fault of a value: its field, and a sentence.
pub(super) type Refusal = (&'static str, String);

#[rustfmt::skip]
pub(super) static OPERATORS: [OperatorInfo; 15] = [
    OperatorInfo { word: "equals", values: 1, make: |v, _, _| pattern(v, Position::Whole).map(Operator::Fits) },
    OperatorInfo { word: "not_equals", values: 1, make: |v, _, _| pattern(v, Position::Whole).map(Operator::FitsNot) },
    OperatorInfo { word: "is_true", values: 0, make: |_, _, _| Ok(Operator::IsTrue) },
    OperatorInfo { word: "is_false", values: 0, make: |_, _, _| Ok(Operator::IsFalse) },
    OperatorInfo { word: "bigger_than", values: 1, make: |v, _, _| number("value", v).map(Operator::BiggerThan) },
    OperatorInfo { word: "smaller_than", values: 1, make: |v, _, _| number("value", v).map(Operator::SmallerThan) },
    OperatorInfo { word: "between", values: 2, make: between },
    OperatorInfo { word: "string_contains", values: 1, make: |v, _, _| pattern(v, Position::Anywhere).map(Operator::Fits) },
    OperatorInfo { word: "string_not_contains", values: 1, make: |v, _, _| pattern(v, Position::Anywhere).map(Operator::FitsNot) },
    OperatorInfo { word: "string_starts_with", values: 1, make: |v, _, _| pattern(v, Position::Start).map(Operator::Fits) },
    OperatorInfo { word: "string_ends_with", values: 1, make: |v, _, _| pattern(v, Position::End).map(Operator::Fits) },
    OperatorInfo { word: "is_empty", values: 0, make: |_, _, _| Ok(Operator::IsEmpty) },
    OperatorInfo { word: "is_not_empty", values: 0, make: |_, _, _| Ok(Operator::IsNotEmpty) },
    OperatorInfo { word: "matches", values: 1, make: |v, _, e| expression(v, e) },
    OperatorInfo { word: "always", values: 0, make: |_, _, _| Ok(Operator::Always) },
];

fn pattern(value: &Filled<'_>, position: Position) -> Result<Pattern, Refusal> {
    if value.text.is_empty() && position != Position::Whole {
        return Err((
            "value",
            "every text contains the empty text: write a longer one, or use is_empty, is_not_empty, always".to_owned(),
        ));
    }
    Pattern::parse(value, position).map_err(|detail| ("value", detail))
}

fn number(field: &'static str, value: &Filled<'_>) -> Result<Decimal, Refusal> {
    let text = value.to_text();
    read_number(&text).ok_or_else(|| (field, format!("\"{}\" is not a number: write a decimal such as 12.50", short(&text))))
}

fn between(low: &Filled<'_>, high: &Filled<'_>, _: &mut ExpressionBudget) -> Result<Operator, Refusal> {
    let (low, high) = (number("value", low)?, number("value2", high)?);
    if low > high {
        return Err(("value2", format!("{high} is less than {low}: value2 is the upper bound, {low} or more")));
    }
    Ok(Operator::Between(low, high))
}

fn expression(value: &Filled<'_>, expressions: &mut ExpressionBudget) -> Result<Operator, Refusal> {
    let compiled = expressions.compile(value.text).map_err(|refused| match refused {
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

impl OperatorInfo {
    /// Returns true if its values may hold macros: in a regular expression braces are repeats.
    pub(super) fn takes_macros(&self) -> bool {
        self.word != "matches"
    }
}

impl Operator {
    /// An estimate of the memory that it takes besides its source values, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Fits(pattern) | Self::FitsNot(pattern) => pattern.bytes(),
            Self::Matches(expression) => expression.bytes(),
            _ => 0,
        }
    }

    /// Returns true if the found text meets the demand.
    pub(super) fn holds(&self, found: &str, steps: &Steps) -> Result<bool, Stop> {
        steps.take(match self {
            Self::Fits(pattern) | Self::FitsNot(pattern) => 1 + pattern.steps(found.len()),
            _ => 1 + found.len(),
        })?;
        let number = || read_number(found);
        Ok(match self {
            Self::Fits(pattern) => pattern.fits(found),
            Self::FitsNot(pattern) => !pattern.fits(found),
            Self::IsTrue => matches!(found, "true" | "1"),
            Self::IsFalse => matches!(found, "false" | "0"),
            Self::BiggerThan(bound) => number().is_some_and(|n| n > *bound),
            Self::SmallerThan(bound) => number().is_some_and(|n| n < *bound),
            Self::Between(low, high) => number().is_some_and(|n| (*low..=*high).contains(&n)),
            Self::IsEmpty => found.is_empty(),
            Self::IsNotEmpty => !found.is_empty(),
            Self::Matches(expression) => expression.is_match(found, steps)?,
            Self::Always => true,
        })
    }
}
