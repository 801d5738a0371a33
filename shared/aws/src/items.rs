//! An item as DynamoDB stores it.
//!
//! | attribute | type | what |
//! | --- | --- | --- |
//! | `pk`, `sk` | S | the key |
//! | `rev` | N | the revision |
//! | `w` | S | names the swap that wrote it, so that a swap whose answer was lost recognizes its own write |
//! | `expires` | N | unix seconds: the table's TTL attribute |
//! | `tpk`, `tsk` | S | its place in the attention index, `trouble` |
//! | `body` | S | the body, if it is short |
//! | `z` | B | a longer body, compressed: the number of the dictionary, and zstd's output |
//!
//! A write is billed by the kilobyte: a delivery's row with its snapshot, its request and its answer fits into one.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use jiff::Timestamp;
use tracking_engine::backend::{Item, Key, StoreError};

use crate::body;

/// DynamoDB's form of an item.
pub(crate) type Attributes = HashMap<String, AttributeValue>;

pub(crate) const PARTITION: &str = "pk";
pub(crate) const SORT: &str = "sk";
pub(crate) const REV: &str = "rev";
pub(crate) const WRITE: &str = "w";
pub(crate) const ATTENTION_PARTITION: &str = "tpk";
pub(crate) const ATTENTION_SORT: &str = "tsk";
const EXPIRES: &str = "expires";
const BODY: &str = "body";
const COMPRESSED: &str = "z";

/// The length in bytes up to which a body is stored uncompressed: subject queues, heads, pointers. People can read these in the table.
const READABLE: usize = 512;

pub(crate) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(crate) fn number(value: impl Into<i128>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

pub(crate) fn key(key: &Key) -> Attributes {
    Attributes::from([(PARTITION.to_owned(), text(&key.partition)), (SORT.to_owned(), text(&key.sort))])
}

/// Returns the attributes of the item with this revision.
pub(crate) fn attributes(item: &Item, rev: u64) -> Attributes {
    let mut attributes = key(&item.key);
    let mut add = |name: &str, value| attributes.insert(name.to_owned(), value);
    add(REV, number(rev));
    match compressed(&item.body) {
        Some(bytes) => add(COMPRESSED, AttributeValue::B(Blob::new(bytes))),
        None => add(BODY, text(&item.body)),
    };
    if let Some(expires) = item.expires {
        // Never too early: a second that has begun counts whole.
        let begun = i64::from(expires.subsec_nanosecond() > 0);
        add(EXPIRES, number(expires.as_second() + begun));
    }
    if let Some(attention) = &item.attention {
        add(ATTENTION_PARTITION, text(&attention.partition));
        add(ATTENTION_SORT, text(&attention.sort));
    }
    attributes
}

/// Reads an item from its attributes.
pub(crate) fn item(attributes: &Attributes) -> Result<Item, StoreError> {
    let unreadable = |name: &str| StoreError::Unavailable(format!("an item of the table has no {name} that can be read"));
    let text = |name: &str| attributes.get(name).and_then(|value| value.as_s().ok()).cloned();
    let number = |name: &str| attributes.get(name).and_then(|value| value.as_n().ok()).map(|digits| digits.parse::<u64>());
    let key = |partition: &str, sort: &str| Some(Key::new(text(partition)?, text(sort)?));
    let body = match attributes.get(COMPRESSED).and_then(|value| value.as_b().ok()) {
        Some(bytes) => body::expand(bytes.as_ref()).ok_or_else(|| unreadable(COMPRESSED))?,
        None => text(BODY).unwrap_or_default(),
    };
    let expires = number(EXPIRES).transpose().map_err(|_| unreadable(EXPIRES))?;
    let expires = expires.map(|second| i64::try_from(second).ok().and_then(|second| Timestamp::from_second(second).ok()));
    Ok(Item {
        key: key(PARTITION, SORT).ok_or_else(|| unreadable("key"))?,
        // The index has neither revision nor body.
        rev: number(REV).transpose().map_err(|_| unreadable(REV))?.unwrap_or(0),
        body,
        expires: expires.flatten(),
        attention: key(ATTENTION_PARTITION, ATTENTION_SORT),
    })
}

/// Returns the compressed body if it is shorter than the body.
fn compressed(body: &str) -> Option<Vec<u8>> {
    let bytes = (body.len() > READABLE).then(|| body::compress(body))??;
    (bytes.len() < body.len()).then_some(bytes)
}

/// Returns the approximate size of an item in a call, in bytes.
pub(crate) fn size(attributes: &Attributes) -> usize {
    let size = |value: &AttributeValue| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len() * 4 / 3,
        _ => 0,
    };
    attributes.iter().map(|(name, value)| name.len() + size(value) + 16).sum()
}
