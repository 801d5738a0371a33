//! Money as exact decimals, never floats.

use std::{fmt, str::FromStr};

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

/// An amount as it was written: `12.50` stays `12.50`. The currency is stored beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money(pub Decimal);

/// A text that is no amount, or has too many digits: any 28 are stored exactly, 29 only up to 79228162514264337593543950335.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an amount: write a decimal such as \"12.50\", at most 28 digits")]
pub struct NotMoney;

/// The digits of a currency's smaller unit (ISO 4217): 0 for JPY, 3 for KWD, 2 for most and for unknown ones.
pub(crate) fn minor_digits(currency: &str) -> u32 {
    match currency.to_ascii_uppercase().as_str() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND" | "VUV" | "XAF"
        | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

impl FromStr for Money {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        if text.contains('_') {
            return Err(NotMoney);
        }
        // The scientific parser rounds digits, so they are parsed exactly first.
        let digits = text.split(['e', 'E']).next().unwrap_or(text);
        let exact = Decimal::from_str_exact(digits);
        let exact = if digits == text { exact } else { exact.and_then(|_| Decimal::from_scientific(text)) };
        let mut amount = exact.map_err(|_| NotMoney)?;
        // A negative amount that rounds to zero keeps its sign.
        if amount.is_zero() && text.starts_with('-') {
            amount.set_sign_negative(true);
        }
        Ok(Self(amount))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s_amounts_are_read_as_they_are_written_or_not_at_all() {
        for (text, shown) in [
            ("12.50", "12.50"),
            ("-0.1", "-0.1"),
            ("0.00", "0.00"),
            ("-0", "-0"),
            ("-0.00", "-0.00"),
            ("1.5e3", "1500"),
            ("125E-2", "1.25"),
            ("7e+1", "70"),
            ("9999999999999999999999999999", "9999999999999999999999999999"),
            ("-0.0000000000000000000000000001", "-0.0000000000000000000000000001"),
        ] {
            assert_eq!(text.parse::<Money>().unwrap().to_string(), shown, "{text}");
        }
        assert_eq!("-0.00".parse::<Money>(), "0".parse(), "they are the same amount");
        for bad in [
            "",
            "x",
            "1_000",
            "1,5",
            "1.5e",
            "e5",
            "1e29",
            "12345678901234567890123456789.01",
            "1.23456789012345678901234567890123e2",
        ] {
            assert_eq!(bad.parse::<Money>(), Err(NotMoney), "{bad:?}");
        }
    }
}
