//! Addresses of fields in nested documents: `lead.items[0].id`.

use std::{fmt, str::FromStr};

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into an object, by key.
    Key(Box<str>),
    /// Into an array, by position.
    Index(usize),
}

/// The address of a field: keys joined by `.`, positions in `[]` (Q1, A2); `\\.` is a dot of a key. Starts with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(pub Vec<Step>);

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a path: write keys joined by dots and positions in brackets, such as lead.items[0].id (positions 0 to 999)")]
pub struct NotAPath;

impl FromStr for FieldPath {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let mut steps = Vec::new();
        for part in parts(text) {
            let (key, mut rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            if key.is_empty() || key.contains(']') {
                return Err(NotAPath);
            }
            steps.push(Step::Key(key.replace("\\.", ".").into()));
            while !rest.is_empty() {
                let inside = rest.strip_prefix('[').ok_or(NotAPath)?;
                let (digits, after) = inside.split_once(']').ok_or(NotAPath)?;
                if digits.is_empty() || digits.len() > 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(NotAPath);
                }
                steps.push(Step::Index(digits.parse().map_err(|_| NotAPath)?));
                rest = after;
            }
        }
        Ok(Self(steps))
    }
}

/// The parts between dots; one after a backslash separates nothing.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.match_indices('.').map(|(at, _)| at).find(|at| !text[..*at].ends_with('\\'));
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => f.write_str(&key.replace('.', "\\."))?,
                Step::Key(key) => write!(f, ".{}", key.replace('.', "\\."))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b10_a_dot_after_a_backslash_is_part_of_a_key() {
        let key = |k: &str| Step::Key(k.into());
        for (text, steps) in [
            (r"user\.name", vec![key("user.name")]),
            (r"a.b\.c[0].d", vec![key("a"), key("b.c"), Step::Index(0), key("d")]),
            (r"\.", vec![key(".")]),
            (r"a\b", vec![key(r"a\b")]),
        ] {
            let path: FieldPath = text.parse().unwrap();
            assert_eq!((path.0.clone(), path.to_string()), (steps, text.to_owned()), "{text}");
        }
    }

    #[test]
    fn q1_paths_are_keys_and_positions() {
        let path: FieldPath = "lead.items[0][12].id".parse().unwrap();
        let key = |k: &str| Step::Key(k.into());
        assert_eq!(path.0, [key("lead"), key("items"), Step::Index(0), Step::Index(12), key("id")]);
        assert_eq!(path.to_string(), "lead.items[0][12].id");
        for bad in ["", ".", "a.", "a..b", "[0]", "a[", "a[]", "a[x]", "a[1]b", "a]", "a[1000]"] {
            assert_eq!(bad.parse::<FieldPath>(), Err(NotAPath), "{bad:?}");
        }
    }
}
