//! The detail of a `Conversion Changed` event (docs/events-in.md).

use std::collections::HashMap;

use super::{
    Causation, Change, ChangeKind, Conversion, MAX_TRANSACTIONS, Transaction,
    fields::{CHANGE, DEPTH, FLAG, Fields, ID, MONEY, RESULT, TEXT, TIME, VERSION, WORD},
};
use crate::{
    fault::{Fault, Faults},
    id::Id,
    json::Value,
};

impl Change {
    /// Reads the detail of a `Conversion Changed` event. `pointer_prefix` is its place in the document (`""`, `/detail`, `/event`).
    ///
    /// Unknown fields are ignored and `null` is the same as absent; sources and types that the platform adds later are accepted
    /// (C4). All faults are reported at once, each with its place below `pointer_prefix`.
    ///
    /// Fields that decide are read strictly: ids, versions, words, money and times. Decorating fields never refuse a conversion: such a
    /// value is converted as far as possible, see [`Change::parse_noting`].
    pub fn parse_detail(detail: &Value, pointer_prefix: &str) -> Result<Self, Faults> {
        Self::parse_noting(detail, pointer_prefix).map(|(change, _)| change)
    }

    /// The same, with a note for each value that is converted: a list, an object or a long text among the fields that decorate a
    /// conversion.
    pub fn parse_noting(detail: &Value, pointer_prefix: &str) -> Result<(Self, Vec<Fault>), Faults> {
        let mut faults = Faults::default();
        let change = Fields::open(detail, pointer_prefix, &mut faults).and_then(|mut fields| change(&mut fields));
        match change {
            Some(change) if faults.is_empty() => Ok((change, faults.into_notes())),
            _ => Err(faults),
        }
    }
}

// Each of these reads the required fields first, then the others, and returns on a missing one only at the end: so no fault hides
// another.

fn change(fields: &mut Fields) -> Option<Change> {
    let change_id = fields.required("change_id", &ID);
    let occurred_at = fields.required("occurred_at", &TIME);
    let causation = causation(fields);
    let conversion = fields.required_object("conversion").and_then(|mut fields| conversion(&mut fields));
    let transactions = transactions(fields);
    let conversion = conversion?;
    for (position, transaction) in transactions.iter().enumerate() {
        if transaction.change.is_some() || conversion.change != ChangeKind::Updated {
            continue;
        }
        let reading = if transaction.is_older_than(&conversion) {
            "no change is given and its updated_at is older than the conversion's: it counts as unchanged"
        } else if transaction.auto_approved && !transaction.has_another_result() {
            "no change is given and auto_approved is set: it counts as unchanged"
        } else {
            "no change is given: it counts as updated, as its conversion"
        };
        fields.note(&format!("transactions/{position}"), reading);
    }
    Some(Change { change_id: change_id?, occurred_at: occurred_at?, causation, conversion, transactions })
}

/// The field `causation` of a detail, if there is one.
pub(crate) fn causation(fields: &mut Fields) -> Option<Causation> {
    let mut fields = fields.optional_object("causation")?;
    let tracking_api_id = fields.required("tracking_api_id", &ID);
    let depth = fields.required("depth", &DEPTH);
    Some(Causation { tracking_api_id: tracking_api_id?, depth: depth? })
}

/// The platform's types of conversions, but for custom ones.
pub(crate) const STANDARD_TYPES: [&str; 6] = ["click", "view", "lead", "send", "prospect", "sale"];
/// The type of all custom ones.
const CUSTOM_TYPE: &str = "custom";
/// The platform's sources of conversions.
const SOURCES: [&str; 3] = ["link", "iframe", "api"];

/// A word of the platform in its own spelling, whatever the case in which it came; another word as it is.
fn as_known(word: String, known: impl IntoIterator<Item = &'static str>) -> String {
    known.into_iter().find(|known| known.eq_ignore_ascii_case(&word)).map_or(word, str::to_owned)
}

/// A conversion from its own fields.
pub(crate) fn conversion(fields: &mut Fields) -> Option<Conversion> {
    let conversion_id = fields.required("conversion_id", &ID);
    let version = fields.required("version", &VERSION);
    let change = fields.required("change", &CHANGE);
    let conversion_type =
        fields.required("type", &WORD).map(|word| as_known(word, STANDARD_TYPES.into_iter().chain([CUSTOM_TYPE])));
    let source = fields.required("source", &WORD).map(|word| as_known(word, SOURCES));
    let affiliate_id = fields.required("affiliate_id", &ID);
    let advertiser_id = fields.required("advertiser_id", &ID);
    let offer_id = fields.required("offer_id", &ID);
    Some(Conversion {
        custom_type: fields.optional("custom_type", &TEXT),
        advertiser_name: fields.decoration("advertiser_name"),
        offer_name: fields.decoration("offer_name"),
        channel_id: fields.optional("channel_id", &ID),
        channel: fields.decoration("channel"),
        integration_id: fields.optional("integration_id", &ID),
        country: fields.decoration("country"),
        pcid: fields.decoration("pcid"),
        external_id: fields.decoration("external_id"),
        affiliate_click_id: fields.decoration("affiliate_click_id"),
        affs: fields.params("affs", is_affs),
        value: fields.optional("value", &MONEY),
        currency: fields.optional("currency", &TEXT),
        voucher: fields.decoration("voucher"),
        query_params: fields.params("query_params", |_| true),
        cookie_params: fields.params("cookie_params", |_| true),
        ip: fields.decoration("ip"),
        user_agent: fields.decoration("user_agent"),
        click_at: fields.optional("click_at", &TIME),
        created_at: fields.optional("created_at", &TIME),
        updated_at: fields.optional("updated_at", &TIME),
        settled: fields.optional("settled", &FLAG),
        conversion_id: conversion_id?,
        version: version?,
        change: change?,
        conversion_type: conversion_type?,
        source: source?,
        affiliate_id: affiliate_id?,
        advertiser_id: advertiser_id?,
        offer_id: offer_id?,
    })
}

/// The field `transactions` of a detail: all of the conversion's, each id once. Those with faults are left out.
pub(crate) fn transactions(fields: &mut Fields) -> Vec<Transaction> {
    let mut read = Vec::new();
    let mut first_places: HashMap<Id, usize> = HashMap::new();
    for (position, value) in fields.list("transactions", MAX_TRANSACTIONS).iter().enumerate() {
        let Some(mut fields) = fields.entry("transactions", position, value) else { continue };
        let Some(transaction_id) = fields.required("transaction_id", &ID) else {
            transaction(&mut fields, None);
            continue;
        };
        if let Some(first) = first_places.get(&transaction_id) {
            let detail = format!("{transaction_id} is at {first} already: give every transaction once, as it now is");
            fields.fault("transaction_id", detail);
        } else {
            first_places.insert(transaction_id.clone(), position);
        }
        read.extend(transaction(&mut fields, Some(transaction_id)));
    }
    read
}

fn transaction(fields: &mut Fields, transaction_id: Option<Id>) -> Option<Transaction> {
    let result = fields.required("result", &RESULT);
    Some(Transaction {
        version: fields.optional("version", &VERSION),
        change: fields.optional("change", &CHANGE),
        commission_id: fields.optional("commission_id", &TEXT),
        transaction_type: fields.decoration("type"),
        previous_result: fields.optional("previous_result", &RESULT),
        payout: fields.optional("payout", &MONEY),
        revenue: fields.optional("revenue", &MONEY),
        currency: fields.optional("currency", &TEXT),
        auto_approved: fields.optional("auto_approved", &FLAG).unwrap_or(false),
        auto_set: fields.optional("auto_set", &FLAG).unwrap_or(false),
        created_at: fields.optional("created_at", &TIME),
        updated_at: fields.optional("updated_at", &TIME),
        result_at: fields.optional("result_at", &TIME),
        transaction_id: transaction_id?,
        result: result?,
    })
}

/// `affs1` to `affs10`.
fn is_affs(name: &str) -> bool {
    name.strip_prefix("affs").is_some_and(|number| matches!(number.as_bytes(), [b'1'..=b'9'] | [b'1', b'0']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_c3_macros_print_the_platforms_words_in_its_own_spelling() {
        let read = |word: &str| as_known(word.to_owned(), STANDARD_TYPES.into_iter().chain([CUSTOM_TYPE]).chain(SOURCES));
        for (word, expected) in
            [("Sale", "sale"), ("CUSTOM", "custom"), ("Iframe", "iframe"), ("API", "api"), ("Sign Up", "Sign Up")]
        {
            assert_eq!(read(word), expected);
        }
    }
}
