//! Addresses of fields in nested documents: `lead.items[0].id`.

use std::{fmt, str::FromStr};

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into an object, by key.
    Key(Box<str>),
    /// Into an array, by position.
    Index(usize),
    /// Into an array, to the first object whose field has this text.
    Select {
        /// The field of the object; it may be nested.
        key: FieldPath,
        /// The text of the field.
        value: Box<str>,
    },
}

/// The address of a field: keys joined by `.`, positions and selectors in `[]` (Q1, A2); `\.` is a dot of a key. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(pub Vec<Step>);

/// The sign that replaces a macro while a text is parsed.
pub(crate) const BLANK: char = '\0';

/// A part of a text with each blank replaced by the next value.
pub(crate) fn fill(part: &str, values: &mut dyn Iterator<Item = &String>) -> String {
    let mut filled = String::with_capacity(part.len());
    for c in part.chars() {
        match c {
            BLANK => filled.push_str(values.next().map_or("", String::as_str)),
            c => filled.push(c),
        }
    }
    filled
}

/// A text that is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a path: write keys joined by dots and positions in brackets, such as lead.items[0].id (positions 0 to 999)")]
pub struct NotAPath;

impl FromStr for FieldPath {
    type Err = NotAPath;

    fn from_str(text: &str) -> Result<Self, NotAPath> {
        let mut steps = Vec::new();
        let mut rest = text;
        loop {
            let (key, mut after) = rest.split_at(end_of_key(rest));
            if !key.is_empty() {
                steps.push(Step::Key(key.replace("\\.", ".").into()));
            } else if !steps.is_empty() || !after.starts_with('[') {
                return Err(NotAPath);
            }
            while let Some(inside) = after.strip_prefix('[') {
                let (content, tail) = inside.split_once(']').ok_or(NotAPath)?;
                steps.push(Step::in_brackets(content)?);
                after = tail;
            }
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok(Self(steps)),
                None => return Err(NotAPath),
            }
        }
    }
}

impl Step {
    /// Reads `0` or `key=value`; also `key == "value"`, as other languages of paths write it.
    fn in_brackets(text: &str) -> Result<Self, NotAPath> {
        match text.split_once('=') {
            Some((key, value)) => {
                let value = value.strip_prefix('=').unwrap_or(value).trim();
                let quoted = |mark| value.strip_prefix(mark)?.strip_suffix(mark);
                let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
                Ok(Self::Select { key: key.trim().parse()?, value: value.into() })
            }
            None if text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map(Self::Index).map_err(|_| NotAPath)
            }
            None => Err(NotAPath),
        }
    }
}

/// The length of the key that a text begins with: up to a dot without a backslash before it, or a bracket.
fn end_of_key(text: &str) -> usize {
    let mut ends = text.match_indices(['.', '[', ']']);
    ends.find(|(at, mark)| *mark != "." || !text[..*at].ends_with('\\')).map_or(text.len(), |(at, _)| at)
}

impl FieldPath {
    /// The path with each blank replaced by the next value.
    pub(crate) fn filled(&self, values: &mut dyn Iterator<Item = &String>) -> Self {
        let mut steps = Vec::with_capacity(self.0.len());
        for step in &self.0 {
            steps.push(match step {
                Step::Key(key) => Step::Key(fill(key, values).into()),
                Step::Index(index) => Step::Index(*index),
                Step::Select { key, value } => Step::Select { key: key.filled(values), value: fill(value, values).into() },
            });
        }
        Self(steps)
    }

    /// The path as a single name, for fields that are not nested: dots of keys are not escaped.
    pub(crate) fn name(&self) -> String {
        let mut name = String::new();
        self.write(&mut name, str::to_owned).expect("a string takes everything");
        name
    }

    fn write(&self, out: &mut impl fmt::Write, key_text: impl Fn(&str) -> String) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => out.write_str(&key_text(key))?,
                Step::Key(key) => write!(out, ".{}", key_text(key))?,
                Step::Index(index) => write!(out, "[{index}]")?,
                Step::Select { key, value } => write!(out, "[{key}={value}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, |key| key.replace('.', "\\."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Step {
        Step::Key(key.into())
    }

    #[test]
    fn case_b10_a_dot_after_a_backslash_is_part_of_a_key() {
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
        assert_eq!(path.0, [key("lead"), key("items"), Step::Index(0), Step::Index(12), key("id")]);
        assert_eq!(path.to_string(), "lead.items[0][12].id");
        for bad in ["", ".", "a.", "a..b", "a[", "a[]", "a[x]", "a[1]b", "a]", "a[1000]", "[0].", "[0]a", ".[0]", "a.[0]", "[=x]"]
        {
            assert_eq!(bad.parse::<FieldPath>(), Err(NotAPath), "{bad:?}");
        }
    }

    #[test]
    fn case_a3_a_path_may_begin_with_a_position() {
        let path: FieldPath = "[0].status".parse().unwrap();
        assert_eq!(path.0, [Step::Index(0), key("status")]);
        for text in ["[0]", "[1][2]", "[0].status", "[3][0].a.b[1]"] {
            assert_eq!(text.parse::<FieldPath>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn case_a4_a_selector_names_a_field_and_its_text() {
        let path: FieldPath = "leads[id=X.77].status".parse().unwrap();
        let select = Step::Select { key: "id".parse().unwrap(), value: "X.77".into() };
        assert_eq!(path.0, [key("leads"), select, key("status")]);
        assert_eq!(path.to_string(), "leads[id=X.77].status");
        let path: FieldPath = r"items[ref.id=7][a\.b=8]".parse().unwrap();
        let select = |key: &[&str], value: &str| Step::Select {
            key: FieldPath(key.iter().map(|key| Step::Key((*key).into())).collect()),
            value: value.into(),
        };
        assert_eq!(path.0, [key("items"), select(&["ref", "id"], "7"), select(&["a.b"], "8")]);
        assert_eq!(path.to_string(), r"items[ref.id=7][a\.b=8]");
    }
}
