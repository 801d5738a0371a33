//! Applying modifiers to a value. A modifier that can't be applied (a date of a text that is no time) leaves the value unchanged.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use jiff::fmt::strtime::BrokenDownTime;
use md5::Md5;
use percent_encoding::percent_decode_str;
use rust_decimal::{Decimal, RoundingStrategy};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::{
    Expense, Scope,
    encode::{json_escaped, percent_encoded},
    modifier::{Calculation, LITERAL_STAR, Modifier},
    value::Value,
};
use crate::{
    expression::{self, Expression, Spent},
    hash::hex,
};

/// The longest value between two modifiers, in bytes.
pub(super) const LONGEST_VALUE_BYTES: usize = 64 * 1024;

/// The longest value that `regex` takes, in bytes.
pub(super) const MAX_REGEX_INPUT_BYTES: usize = 4 * 1024;

/// The steps for each byte that is hashed, searched for a text, or changed by case.
const STEPS_PER_SLOW_BYTE: usize = 4;

/// The reasons why a modifier gives no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    TooLong { limit_bytes: usize },
    Expensive(Expense),
}

const TOO_LONG: Stop = Stop::TooLong { limit_bytes: LONGEST_VALUE_BYTES };

impl From<Spent> for Stop {
    fn from(_: Spent) -> Self {
        Self::Expensive(Expense::Steps)
    }
}

impl From<expression::Stop> for Stop {
    fn from(stop: expression::Stop) -> Self {
        match stop {
            expression::Stop::Spent => Self::Expensive(Expense::Steps),
            expression::Stop::TooLong => TOO_LONG,
            expression::Stop::Unusable => Self::Expensive(Expense::Expression),
        }
    }
}

impl Modifier {
    /// Applies the step. The caller handles `omit_if_empty`; it changes nothing here.
    pub(super) fn apply<'v>(&'v self, value: Value<'v>, scope: &Scope<'v>) -> Result<Value<'v>, Stop> {
        scope.steps.take(self.steps(&value))?;
        let changed = match self {
            Self::Default(text) if value.is_empty() => Value::Text(Cow::Borrowed(text)),
            Self::Default(_) | Self::OmitIfEmpty => value,
            Self::Map(pairs) => Value::Text(mapped(pairs, value.into_text())),
            Self::Date { format, zone } => match value.as_time() {
                Some(time) => {
                    let local = time.to_zoned(zone.clone());
                    let text = BrokenDownTime::from(&local).to_string(&**format);
                    text.map_or(value, |text| Value::Text(text.into()))
                }
                None => value,
            },
            Self::DateAdd(added) => match value.as_time().and_then(|time| time.checked_add(*added).ok()) {
                Some(time) if matches!(value, Value::Unix(_)) => Value::Unix(time),
                Some(time) => Value::Time(time),
                None => value,
            },
            Self::Unix => value.as_time().map_or(value, |time| Value::Number(time.as_second())),
            Self::UnixMs => value.as_time().map_or(value, |time| Value::Number(time.as_millisecond())),
            Self::Number { digits } => match value.as_number() {
                Some(number) => {
                    let text = rounded(number, *digits);
                    match text.parse() {
                        Ok(number) if value.currency().is_some() => value.with_number(number),
                        _ => Value::Text(text.into()),
                    }
                }
                None => value,
            },
            Self::Cents => {
                let units = Decimal::from(10_u32.pow(value.currency_digits()));
                match value.as_number().and_then(|number| number.checked_mul(units)) {
                    Some(cents) => Value::Text(rounded(cents, 0).into()),
                    None => value,
                }
            }
            Self::Calculate(calculation, by) => match value.as_number().and_then(|number| calculation.of(number, *by)) {
                Some(number) => value.with_number(number),
                None => value,
            },
            _ => {
                let of_bytes = if let Value::Raw(bytes) = &value { self.apply_to_bytes(bytes, scope) } else { None };
                Value::Text(match of_bytes {
                    Some(text) => text.into(),
                    None => self.apply_to_text(value.into_text(), scope)?,
                })
            }
        };
        match &changed {
            Value::Text(text) if text.len() > LONGEST_VALUE_BYTES => Err(TOO_LONG),
            _ => Ok(changed),
        }
    }

    /// The number of steps for a value, without those of a regular expression.
    fn steps(&self, value: &Value<'_>) -> usize {
        let bytes = match value {
            Value::Text(text) => text.len(),
            Value::Raw(bytes) => bytes.len(),
            _ => 0,
        };
        1 + match self {
            Self::Map(pairs) => bytes + pairs.len(),
            Self::Md5
            | Self::Sha1
            | Self::Sha256
            | Self::Sha512
            | Self::Hmac { .. }
            | Self::Replace { .. }
            | Self::Lower
            | Self::Upper => bytes * STEPS_PER_SLOW_BYTE,
            Self::Prefix(text) | Self::Suffix(text) => bytes + text.len(),
            _ => bytes,
        }
    }

    /// Applies a modifier that reads bytes; `None` if it reads texts.
    fn apply_to_bytes(&self, bytes: &[u8], scope: &Scope<'_>) -> Option<String> {
        Some(match self {
            Self::Hex => hex(bytes),
            Self::Base64 => BASE64_STANDARD.encode(bytes),
            Self::Md5 => hex(&Md5::digest(bytes)),
            Self::Sha1 => hex(&Sha1::digest(bytes)),
            Self::Sha256 => hex(&Sha256::digest(bytes)),
            Self::Sha512 => hex(&Sha512::digest(bytes)),
            Self::Hmac { hash, secret } => {
                scope.secrets.get(&**secret).map_or_else(String::new, |key| hex(&hash.hmac(key.as_bytes(), bytes)))
            }
            _ => return None,
        })
    }

    /// Applies the modifiers that read any value as a text.
    fn apply_to_text<'v>(&'v self, text: Cow<'v, str>, scope: &Scope<'v>) -> Result<Cow<'v, str>, Stop> {
        if let Some(changed) = self.apply_to_bytes(text.as_bytes(), scope) {
            return Ok(changed.into());
        }
        Ok(match self {
            Self::Lower => text.to_lowercase().into(),
            Self::Upper => text.to_uppercase().into(),
            Self::Trim => match text {
                Cow::Borrowed(text) => text.trim().into(),
                Cow::Owned(text) => text.trim().to_owned().into(),
            },
            Self::UrlEncode => percent_encoded(&text).into(),
            Self::UrlDecode => percent_decode_str(&text).decode_utf8().map(Cow::into_owned).map_or(text, Cow::Owned),
            Self::Json => json_escaped(&text).into(),
            Self::Base64Decode => base64_decoded(&text).map_or(text, Cow::Owned),
            Self::Replace { from, to } => {
                let matches = text.matches(&**from).count();
                let bytes = text.len() - matches * from.len() + matches * to.len();
                if bytes > LONGEST_VALUE_BYTES {
                    return Err(TOO_LONG);
                }
                scope.steps.take(bytes)?;
                if matches == 0 { text } else { text.replace(&**from, to).into() }
            }
            Self::Regex { from, to } => replaced(from, to, text, scope)?,
            Self::First(expression) => first(expression, &text, scope)?.into(),
            Self::Prefix(prefix) => format!("{prefix}{text}").into(),
            Self::Suffix(suffix) => format!("{text}{suffix}").into(),
            // The other modifiers read values, not texts.
            _ => text,
        })
    }
}

impl Calculation {
    /// The exact result; of a division 28 digits. `None` if it has too many digits.
    fn of(self, number: Decimal, by: Decimal) -> Option<Decimal> {
        match self {
            Self::Add => number.checked_add(by),
            Self::Subtract => number.checked_sub(by),
            Self::Multiply => number.checked_mul(by),
            Self::Divide => number.checked_div(by).map(|quotient| quotient.normalize()),
        }
    }
}

/// The text that `pairs` give for `text`, or the text of `*`, or `text` itself.
fn mapped<'v>(pairs: &'v [(Box<str>, Box<str>)], text: Cow<'v, str>) -> Cow<'v, str> {
    let of = |key: &str| pairs.iter().find(|(from, _)| **from == *key).map(|(_, to)| Cow::Borrowed(&**to));
    of(if text == "*" { LITERAL_STAR } else { &text }).or_else(|| of("*")).unwrap_or(text)
}

/// `number` with exactly `digits` decimal places, halves rounded away from zero.
fn rounded(number: Decimal, digits: u32) -> String {
    let mut number = number.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
    if number.is_zero() {
        number.set_sign_positive(true);
    }
    let mut text = number.to_string();
    let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let missing = (digits as usize).saturating_sub(places);
    if places == 0 && missing > 0 {
        text.push('.');
    }
    text.extend(std::iter::repeat_n('0', missing));
    text
}

fn base64_decoded(text: &str) -> Option<String> {
    let bare = text.trim_end_matches('=');
    let bytes = BASE64_STANDARD_NO_PAD.decode(bare).or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(bare)).ok()?;
    String::from_utf8(bytes).ok()
}

/// The first match, or its first group if the expression has groups; empty if there is no match.
fn first(expression: &Expression, text: &str, scope: &Scope<'_>) -> Result<String, Stop> {
    if text.len() > MAX_REGEX_INPUT_BYTES {
        return Err(Stop::Expensive(Expense::RegexInput(text.len())));
    }
    Ok(expression.first(text, &scope.steps)?.unwrap_or_default())
}

/// The text with every match replaced; stops as soon as the text is too long.
fn replaced<'v>(from: &Expression, to: &str, text: Cow<'v, str>, scope: &Scope<'_>) -> Result<Cow<'v, str>, Stop> {
    if text.len() > MAX_REGEX_INPUT_BYTES {
        return Err(Stop::Expensive(Expense::RegexInput(text.len())));
    }
    let replaced = from.replace(&text, to, LONGEST_VALUE_BYTES, &scope.steps)?;
    Ok(replaced.map_or(text, Cow::Owned))
}
