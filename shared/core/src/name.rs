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

#[cfg(test)]
mod tests {
    use super::*;

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
