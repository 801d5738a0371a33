//! Names of secrets and variables.

/// A text that can't name a secret or a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a name: 1 to 64 characters of A-Z a-z 0-9 _ - are allowed")]
pub struct NotAName;

/// Checks the name of a secret (Q5) or of a variable (A3): 1 to 64 of `A–Z a–z 0–9 _ -`.
///
/// # Errors
/// Any other text.
pub fn check_name(name: &str) -> Result<(), NotAName> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) { Ok(()) } else { Err(NotAName) }
}

/// The beginnings of secrets' values from well-known services.
const VALUE_BEGINNINGS: [&str; 20] = [
    "whsec_",
    "sk_",
    "sk-",
    "pk_live",
    "pk_test",
    "rk_live",
    "rk_test",
    "bearer",
    "ghp_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "shpat_",
    "shpss_",
    "shpca_",
    "akia",
    "aiza",
    "eyj",
];
/// The longest name in characters that is not made of words.
const MAX_MIXED_CHARS: usize = 24;
/// The length from which hexadecimal digits count as a key, in characters.
const MIN_HEX_CHARS: usize = 32;

/// The fault of a secret's value written instead of its name; it does not repeat the text.
pub const VALUE_FOR_NAME: &str =
    "looks like the value of a secret: write its NAME here, such as key, and the value as secret_values.key";

/// Returns true if a secret's name is probably its value: it begins like a service's key, or it is long
/// and mixes digits with letters of both cases. Digits at the end count as part of a name such as `Key2026`.
pub fn is_probably_value(text: &str) -> bool {
    let begins = |beginning: &str| text.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning));
    let without_number = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let has = |is: fn(&u8) -> bool| without_number.bytes().any(|byte| is(&byte));
    let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    let is_hex = text.len() >= MIN_HEX_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    VALUE_BEGINNINGS.iter().any(|beginning| begins(beginning)) || text.len() > MAX_MIXED_CHARS && is_mixed || is_hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_b11_a_value_is_distinguished_from_a_name() {
        for value in [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
            "pk_live_x",
            "AKIAIOSFODNN7EXAMPLE",
            "xoxb-1234",
            "shpat_a1",
            "github_pat_11A",
            "Bearer",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "5f4dcc3b5aa765d61d8327deb882cf99",
        ] {
            assert!(is_probably_value(value), "{value}");
        }
        let names =
            ["key", "TOKEN_2", "webhook-secret", "AffiliateNetworkSigningKey2026", "token_of_the_second_bank_in_prague_2026", ""];
        for name in names {
            assert!(!is_probably_value(name), "{name}");
        }
    }

    #[test]
    fn q5_a3_names_of_secrets_and_variables() {
        for name in ["a", "TOKEN_2", "-", &"x".repeat(64)] {
            assert_eq!(check_name(name), Ok(()), "{name:?}");
        }
        for name in ["", "a b", "a.b", "a:b", "ž", "{a}", &"x".repeat(65)] {
            assert_eq!(check_name(name), Err(NotAName), "{name:?}");
        }
    }
}
