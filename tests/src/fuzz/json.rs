//! The target `json`: our reader beside `serde_json`.
//!
//! Both accept the same documents, with these differences, each of which is checked: our reader bounds depth and the number of values, and
//! takes numbers of any size; in strict mode it refuses repeated keys. `serde_json` doesn't decode values that it skips, so there it
//! accepts halves of surrogate pairs and bytes that are not UTF-8.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny},
};
use tracking_core::json::{self, JsonError, MAX_DEPTH, MAX_VALUES, Value};

/// Reads any bytes with our reader and with `serde_json`, and compares the results.
pub fn json(data: &[u8]) {
    let ours = json::parse_lenient(data);
    let tree = serde_json::from_slice::<Tree>(data);
    let skipped = serde_json::from_slice::<IgnoredAny>(data).is_ok();
    assert_eq!(ours.is_ok(), json::is_json(data), "reading and passing over differ");
    match (&ours, &tree) {
        (Ok(value), Ok(tree)) => tree.assert_same(value),
        (Ok(_), Err(error)) => assert!(error.to_string().contains("number out of range"), "only serde_json refuses: {error}"),
        (Err(error), Ok(tree)) => assert!(passes_a_bound(error, tree), "only we refuse: {error}"),
        (Err(error), Err(_)) if skipped => assert!(is_not_decoded(error), "serde_json passes over what we refuse: {error}"),
        (Err(_), Err(_)) => {}
    }
    let Ok(value) = ours else {
        assert!(json::parse(data).is_err(), "reading strictly takes more than reading leniently");
        return;
    };
    assert!(skipped, "serde_json does not pass over what we read");
    assert_eq!(digits_of(&value), digits_in(data), "digits are kept");
    reads_back(&value);
    strictly(data, &value);
    entries(data, &value);
}

/// Checks that a written document is read as the same document, and written the same again.
fn reads_back(value: &Value) {
    let written = value.to_string();
    let again = json::parse_lenient(written.as_bytes()).expect("what is written can be read");
    assert_eq!(again, *value);
    assert_eq!(again.to_string(), written);
}

/// Checks that strict reading gives the same value, unless a key is repeated.
fn strictly(data: &[u8], value: &Value) {
    match json::parse(data) {
        Ok(strict) => assert!(strict == *value && !repeats_a_key(value)),
        Err(error) => assert!(repeats_a_key(value), "only reading strictly refuses: {error}"),
    }
}

/// Checks that a list is split into the texts of its entries.
fn entries(data: &[u8], value: &Value) {
    let split = json::elements(data, usize::MAX);
    let Value::Array(entries) = value else {
        assert!(split.is_err(), "only a list has entries");
        return;
    };
    let split = split.expect("a list can be split");
    let read: Vec<Value> = split.iter().map(|text| json::parse_lenient(text).expect("an entry can be read")).collect();
    assert_eq!(read, *entries);
    let some = json::elements(data, entries.len() / 2).expect("a list can be split");
    assert_eq!(some, split[..some.len()]);
}

fn passes_a_bound(error: &JsonError, tree: &Tree) -> bool {
    let (depth, values) = tree.size();
    let error_text = error.to_string();
    (error_text.contains("nested deeper than") && depth > MAX_DEPTH) || (error_text.contains("more than") && values > MAX_VALUES)
}

/// Returns true for the faults that only a decoder of texts finds, and for those of our bounds.
fn is_not_decoded(error: &JsonError) -> bool {
    let error_text = error.to_string();
    ["half of a surrogate pair", "not UTF-8", "nested deeper than", "more than"].iter().any(|fault| error_text.contains(fault))
}

fn repeats_a_key(value: &Value) -> bool {
    match value {
        Value::Array(entries) => entries.iter().any(repeats_a_key),
        Value::Object(members) => {
            let keys: HashSet<&String> = members.keys().collect();
            keys.len() < members.len() || members.values().any(repeats_a_key)
        }
        _ => false,
    }
}

/// Returns the digits of all numbers, in the order of the document.
fn digits_of(value: &Value) -> Vec<&str> {
    match value {
        Value::Number(number) => vec![number.as_str()],
        Value::Array(entries) => entries.iter().flat_map(digits_of).collect(),
        Value::Object(members) => members.values().flat_map(digits_of).collect(),
        _ => Vec::new(),
    }
}

/// Returns the digits of all numbers of a text that is JSON: the runs outside of strings that hold a digit.
fn digits_in(data: &[u8]) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut at, mut in_string) = (0, false);
    while at < data.len() {
        match data[at] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'-' | b'0'..=b'9' if !in_string => {
                let run = data[at..].iter().take_while(|byte| b"+-.eE0123456789".contains(byte)).count();
                found.push(std::str::from_utf8(&data[at..at + run]).expect("these are ASCII"));
                at += run;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// A document as `serde_json` reads it, in which no key has a special meaning.
#[derive(Debug)]
enum Tree {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Returns the depth of the deepest value, 0 for the document itself, and the number of values.
    fn size(&self) -> (usize, usize) {
        let inside = |sizes: &mut dyn Iterator<Item = (usize, usize)>| {
            sizes.fold((0, 1), |(depth, values), (inner, more)| (depth.max(inner + 1), values + more))
        };
        match self {
            Self::List(entries) => inside(&mut entries.iter().map(Self::size)),
            Self::Object(members) => inside(&mut members.iter().map(|(_, value)| value.size())),
            _ => (0, 1),
        }
    }

    fn assert_same(&self, value: &Value) {
        match (self, value) {
            (Self::Null, Value::Null) => {}
            (Self::Bool(theirs), Value::Bool(ours)) => assert_eq!(theirs, ours),
            (Self::Integer(theirs), Value::Number(ours)) => assert_eq!(theirs.to_string(), ours.as_str()),
            (Self::Float(theirs), Value::Number(ours)) => {
                let ours: f64 = ours.as_str().parse().expect("a number of JSON is one of Rust");
                assert!((theirs - ours).abs() <= ours.abs() * 1e-14 || (ours.abs() < 1e-300 && theirs.abs() < 1e-300));
            }
            (Self::Text(theirs), Value::String(ours)) => assert_eq!(theirs, ours),
            (Self::List(theirs), Value::Array(ours)) => {
                assert_eq!(theirs.len(), ours.len());
                theirs.iter().zip(ours).for_each(|(theirs, ours)| theirs.assert_same(ours));
            }
            (Self::Object(theirs), Value::Object(ours)) => {
                assert_eq!(theirs.len(), ours.len());
                for ((their_key, theirs), (our_key, ours)) in theirs.iter().zip(ours.iter()) {
                    assert_eq!(their_key, our_key);
                    theirs.assert_same(ours);
                }
            }
            _ => panic!("{self:?} is read as {value}"),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> de::Visitor<'de> for Reading {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Integer(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Tree::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut read = Vec::new();
        while let Some(entry) = entries.next_element()? {
            read.push(entry);
        }
        Ok(Tree::List(read))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut members: A) -> Result<Tree, A::Error> {
        let mut read = Vec::new();
        while let Some(member) = members.next_entry()? {
            read.push(member);
        }
        Ok(Tree::Object(read))
    }
}
