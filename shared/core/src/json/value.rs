//! The values of a document.

use std::{
    collections::{HashMap, HashSet},
    fmt::{self, Write as _},
    ops::{Index, IndexMut},
};

/// One JSON value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number with its digits.
    Number(Number),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// An object.
    Object(Map),
}

/// A number exactly as it was written: `0.10` stays `0.10`, and nothing is too large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number(pub(super) Box<str>);

/// The members of an object, in the order they were written. A key may be repeated in a response of a receiver; its last member counts.
#[derive(Debug, Clone, Default)]
pub struct Map(pub(super) Vec<(String, Value)>);

static NULL: Value = Value::Null;

impl Number {
    /// The digits as they were written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number, if it is written as an integer that fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.0.parse().ok()
    }

    /// The number, if it is written as an integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Map {
    /// An object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of members, repeated keys included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value of a key, mutable.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.iter_mut().rev().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Returns true if the key has a value.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Sets the value of a key and returns the one before.
    pub fn insert(&mut self, key: impl Into<String>, value: Value) -> Option<Value> {
        let key = key.into();
        if let Some(old) = self.get_mut(&key) {
            return Some(std::mem::replace(old, value));
        }
        self.0.push((key, value));
        None
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let mut removed = None;
        while let Some(position) = self.0.iter().rposition(|(name, _)| name == key) {
            let (_, value) = self.0.remove(position);
            removed = removed.or(Some(value));
        }
        removed
    }

    /// The value of a key, mutable; inserts `null` if it has none.
    pub fn entry(&mut self, key: &str) -> &mut Value {
        let position = self.0.iter().rposition(|(name, _)| name == key).unwrap_or_else(|| {
            self.0.push((key.to_owned(), Value::Null));
            self.0.len() - 1
        });
        &mut self.0[position].1
    }

    /// Calls `merge` for every member of `changes` with the value of its key here, `null` if there is none. If it returns false, the
    /// key is removed. The work grows with the number of members of both, not with their product.
    pub fn merge(&mut self, changes: &Self, mut merge: impl FnMut(&mut Value, &Value) -> bool) {
        let mut places: HashMap<String, usize> = self.keys().cloned().enumerate().map(|(place, key)| (key, place)).collect();
        let mut removed = HashSet::new();
        for (key, change) in changes.iter() {
            let place = *places.entry(key.clone()).or_insert_with(|| {
                self.0.push((key.clone(), Value::Null));
                self.0.len() - 1
            });
            let value = &mut self.0[place].1;
            if merge(value, change) {
                removed.remove(key);
            } else {
                *value = Value::Null;
                removed.insert(key);
            }
        }
        if !removed.is_empty() {
            self.0.retain(|(key, _)| !removed.contains(key));
        }
    }

    /// The members in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&String, &Value)> + ExactSizeIterator {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Keeps the members for which `keep` returns true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Value) -> bool) {
        self.0.retain(|(key, value)| keep(key, value));
    }

    /// The keys in their order.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values in their order.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values in their order, mutable.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.0.iter_mut().map(|(_, value)| value)
    }
}

/// Compares without regard to the order of members; the last member with a repeated key counts.
impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.keys().all(|key| self.get(key) == other.get(key))
            && other.keys().all(|key| self.contains_key(key))
    }
}

impl Eq for Map {}

impl IntoIterator for Map {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromIterator<(String, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        let mut map = Self::new();
        map.extend(members);
        map
    }
}

impl Extend<(String, Value)> for Map {
    fn extend<I: IntoIterator<Item = (String, Value)>>(&mut self, members: I) {
        for (key, value) in members {
            self.insert(key, value);
        }
    }
}

impl Value {
    /// Returns true if it is `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Returns true if it is an object.
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Returns true if it is a list.
    pub fn is_array(&self) -> bool {
        matches!(self, Self::Array(_))
    }

    /// The flag, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(flag) = self { Some(*flag) } else { None }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The number, if it is written as an integer that fits.
    pub fn as_u64(&self) -> Option<u64> {
        if let Self::Number(number) = self { number.as_u64() } else { None }
    }

    /// The number, if it is written as an integer that fits.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { number.as_i64() } else { None }
    }

    /// The entries, if it is a list.
    pub fn as_array(&self) -> Option<&Vec<Self>> {
        if let Self::Array(entries) = self { Some(entries) } else { None }
    }

    /// The entries, if it is a list, mutable.
    pub fn as_array_mut(&mut self) -> Option<&mut Vec<Self>> {
        if let Self::Array(entries) = self { Some(entries) } else { None }
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<&Map> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The members, if it is an object, mutable.
    pub fn as_object_mut(&mut self) -> Option<&mut Map> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The value of a key or at a position.
    pub fn get(&self, place: impl KeyOrIndex) -> Option<&Self> {
        place.of(self)
    }

    /// The value of a key or at a position, mutable.
    pub fn get_mut(&mut self, place: impl KeyOrIndex) -> Option<&mut Self> {
        place.of_mut(self)
    }

    /// The value at a JSON pointer (RFC 6901).
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        tokens(pointer)?.try_fold(self, |value, token| match value {
            Self::Object(members) => members.get(&token),
            Self::Array(entries) => entries.get(token.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// The value at a JSON pointer (RFC 6901), mutable.
    pub fn pointer_mut(&mut self, pointer: &str) -> Option<&mut Self> {
        tokens(pointer)?.try_fold(self, |value, token| match value {
            Self::Object(members) => members.get_mut(&token),
            Self::Array(entries) => entries.get_mut(token.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Takes the value and leaves `null`.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

/// The unescaped tokens of a JSON pointer.
fn tokens(pointer: &str) -> Option<impl Iterator<Item = String>> {
    let rest = if pointer.is_empty() { None } else { Some(pointer.strip_prefix('/')?) };
    let unescape = |token: &str| token.replace("~1", "/").replace("~0", "~");
    Some(rest.into_iter().flat_map(move |rest| rest.split('/').map(unescape)))
}

/// A place inside a value: a key of an object or a position in a list.
pub trait KeyOrIndex {
    /// The value at the place.
    fn of(self, value: &Value) -> Option<&Value>;
    /// The value at the place, mutable.
    fn of_mut(self, value: &mut Value) -> Option<&mut Value>;
}

impl KeyOrIndex for &str {
    fn of(self, value: &Value) -> Option<&Value> {
        value.as_object()?.get(self)
    }

    fn of_mut(self, value: &mut Value) -> Option<&mut Value> {
        value.as_object_mut()?.get_mut(self)
    }
}

impl KeyOrIndex for usize {
    fn of(self, value: &Value) -> Option<&Value> {
        value.as_array()?.get(self)
    }

    fn of_mut(self, value: &mut Value) -> Option<&mut Value> {
        value.as_array_mut()?.get_mut(self)
    }
}

impl Index<&str> for Value {
    type Output = Self;

    /// The value of a key; `null` if there is none.
    fn index(&self, key: &str) -> &Self {
        self.get(key).unwrap_or(&NULL)
    }
}

impl IndexMut<&str> for Value {
    /// The value of a key, inserted if there is none; `null` becomes an object.
    ///
    /// # Panics
    /// It is neither an object nor `null`.
    fn index_mut(&mut self, key: &str) -> &mut Self {
        if self.is_null() {
            *self = Self::Object(Map::new());
        }
        self.as_object_mut().expect("only an object has keys").entry(key)
    }
}

impl Index<usize> for Value {
    type Output = Self;

    /// The value at a position; `null` if there is none.
    fn index(&self, position: usize) -> &Self {
        self.get(position).unwrap_or(&NULL)
    }
}

impl IndexMut<usize> for Value {
    /// The value at a position.
    ///
    /// # Panics
    /// There is no such position.
    fn index_mut(&mut self, position: usize) -> &mut Self {
        self.get_mut(position).expect("only a position in a list has a value")
    }
}

/// Compact JSON that reads back to the same value.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Number(number) => f.write_str(&number.0),
            Self::String(text) => write_text(text, f),
            Self::Array(entries) => {
                f.write_char('[')?;
                for (i, entry) in entries.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { "," })?;
                    entry.fmt(f)?;
                }
                f.write_char(']')
            }
            Self::Object(Map(members)) => {
                f.write_char('{')?;
                for (i, (key, value)) in members.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { "," })?;
                    write_text(key, f)?;
                    f.write_char(':')?;
                    value.fmt(f)?;
                }
                f.write_char('}')
            }
        }
    }
}

/// Writes a text as a JSON string, quotes included.
pub(crate) fn write_text(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    out.write_char('"')?;
    write_escaped(text, out)?;
    out.write_char('"')
}

/// Writes a text as the inside of a JSON string.
pub(crate) fn write_escaped(text: &str, out: &mut impl fmt::Write) -> fmt::Result {
    let mut run = 0;
    for (i, byte) in text.bytes().enumerate().filter(|(_, byte)| *byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        out.write_str(&text[run..i])?;
        match byte {
            b'"' => out.write_str("\\\""),
            b'\\' => out.write_str("\\\\"),
            b'\n' => out.write_str("\\n"),
            b'\r' => out.write_str("\\r"),
            b'\t' => out.write_str("\\t"),
            control => write!(out, "\\u{control:04x}"),
        }?;
        run = i + 1;
    }
    out.write_str(&text[run..])
}
