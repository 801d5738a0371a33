//! An event inside a row or a message. The parameters of a long one have a row of their own, so that neither twenty rules nor a hundred
//! waits write them again.

use std::{collections::BTreeMap, mem, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tracking_core::{change::Conversion, event::Event, hash, json::Value};

use super::{FORMAT, FORMAT_ASIDE};

/// Parameters that are this long as JSON, in bytes, make an event long.
const LONG_BYTES: usize = 4 * 1_024;

/// The quotes, the colon and the comma of an entry.
const ENTRY_BYTES: usize = 6;

/// The parts of a conversion that visitors make as long as they like, except those by which deliveries are searched, or that are published
/// to the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Parameters {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    affs: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    query_params: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    cookie_params: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voucher: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

impl Parameters {
    /// Takes them out of a conversion.
    fn taken_from(conversion: &mut Conversion) -> Self {
        Self {
            affs: mem::take(&mut conversion.affs),
            query_params: mem::take(&mut conversion.query_params),
            cookie_params: mem::take(&mut conversion.cookie_params),
            voucher: conversion.voucher.take(),
            user_agent: conversion.user_agent.take(),
        }
    }

    /// Puts them back.
    fn put_into(self, conversion: &mut Conversion) {
        let Self { affs, query_params, cookie_params, voucher, user_agent } = self;
        (conversion.affs, conversion.query_params, conversion.cookie_params) = (affs, query_params, cookie_params);
        (conversion.voucher, conversion.user_agent) = (voucher, user_agent);
    }
}

/// Returns true if the parameters of such a conversion have a row of their own.
pub(crate) fn is_long(conversion: &Conversion) -> bool {
    length(conversion) >= LONG_BYTES
}

/// An event inside a row or a message.
#[derive(Debug, Clone)]
pub(crate) struct StoredEvent {
    /// The event; a long one without its parameters.
    event: Event,
    long: Option<Long>,
}

/// The parameters of a long event.
#[derive(Debug, Clone)]
struct Long {
    /// The hash of the parameters, by which their row is found.
    name: String,
    /// The event with them, if they were read.
    whole: Option<Event>,
    /// True if their row is there.
    is_kept: bool,
}

impl StoredEvent {
    pub(crate) fn new(event: Event) -> Self {
        if !is_long(&event.conversion) {
            return Self { event, long: None };
        }
        let mut short = Conversion::clone(&event.conversion);
        let parameters = Parameters::taken_from(&mut short);
        let text = serde_json::to_string(&parameters).expect("texts have no failing serializers");
        let name = hash::text(&["parameters", &text], 32);
        let short = Event { conversion: Arc::new(short), ..event.clone() };
        Self { event: short, long: Some(Long { name, whole: Some(event), is_kept: false }) }
    }

    /// The event as the row or message itself holds it: a long one without its parameters.
    pub(crate) fn known(&self) -> &Event {
        &self.event
    }

    /// The event with all of its parameters. A claim reads them before it does anything else.
    pub(crate) fn whole(&self) -> &Event {
        self.long.as_ref().map_or(&self.event, |long| long.whole.as_ref().expect("the parameters were read at the claim"))
    }

    /// The name of parameters that are to be read before the whole event is known.
    pub(crate) fn unread(&self) -> Option<&str> {
        self.long.as_ref().filter(|long| long.whole.is_none()).map(|long| long.name.as_str())
    }

    /// Completes it with its parameters.
    pub(crate) fn complete(&mut self, parameters: Parameters) {
        let mut whole = Conversion::clone(&self.event.conversion);
        parameters.put_into(&mut whole);
        if let Some(long) = &mut self.long {
            long.whole = Some(Event { conversion: Arc::new(whole), ..self.event.clone() });
        }
    }

    /// The name of parameters that have no row yet.
    pub(crate) fn unkept(&self) -> Option<&str> {
        self.long.as_ref().filter(|long| !long.is_kept).map(|long| long.name.as_str())
    }

    /// Its parameters, for their row.
    pub(crate) fn parameters(&self) -> Parameters {
        Parameters::taken_from(&mut Conversion::clone(&self.whole().conversion))
    }

    /// The length of its parameters as JSON in bytes, if it is long and they were read; else 0.
    pub(crate) fn long_bytes(&self) -> usize {
        self.long.as_ref().and_then(|long| long.whole.as_ref()).map_or(0, |whole| length(&whole.conversion))
    }

    /// Notes that its parameters have their row: from here on it is written without them.
    pub(crate) fn keep(&mut self) {
        if let Some(long) = &mut self.long {
            long.is_kept = true;
        }
    }

    /// The format of the row or message that holds it.
    pub(crate) fn format(&self) -> u32 {
        if self.long.as_ref().is_some_and(|long| long.is_kept) { FORMAT_ASIDE } else { FORMAT }
    }
}

/// The length of the parameters of a conversion as JSON, in bytes.
fn length(conversion: &Conversion) -> usize {
    let maps = [&conversion.affs, &conversion.query_params, &conversion.cookie_params];
    let texts = [&conversion.voucher, &conversion.user_agent];
    let maps = maps.into_iter().flatten().map(|(key, value)| json_length(key) + json_length(value) + ENTRY_BYTES);
    maps.chain(texts.into_iter().flatten().map(|text| json_length(text))).sum()
}

/// The length of a text in a JSON string, in bytes.
fn json_length(text: &str) -> usize {
    text.bytes().map(|byte| if byte < b' ' { 6 } else { 1 + usize::from(matches!(byte, b'"' | b'\\')) }).sum()
}

/// Events with parameters of the same name have the same parameters, wherever these are stored.
impl PartialEq for StoredEvent {
    fn eq(&self, other: &Self) -> bool {
        let name = |event: &Self| event.long.as_ref().map(|long| long.name.clone());
        self.event == other.event && name(self) == name(other)
    }
}

impl Eq for StoredEvent {}

/// An event whose parameters are stored aside, as it is written.
#[derive(Serialize)]
struct Aside<'a> {
    parameters: &'a str,
    event: &'a Event,
}

impl Serialize for StoredEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.long {
            Some(long) if long.is_kept => Aside { parameters: &long.name, event: &self.event }.serialize(serializer),
            _ => self.whole().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for StoredEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = |event: &Value| Event::from_value(event).map_err(serde::de::Error::custom);
        match value.get("parameters").and_then(Value::as_str) {
            Some(name) => {
                let event = read(value.get("event").unwrap_or(&Value::Null))?;
                Ok(Self { event, long: Some(Long { name: name.to_owned(), whole: None, is_kept: true }) })
            }
            None => read(&value).map(Self::new),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tracking_core::{change::Change, json, json::Map};

    use super::*;

    /// An event with link parameters of so many KiB.
    pub(crate) fn event(kib: usize) -> Event {
        let parameters: Map = (0..kib).map(|n| (format!("k{n}"), Value::from("x".repeat(1_024)))).collect();
        let detail = json!({"change_id": "chg_1", "occurred_at": "2026-11-22T12:00:00Z", "conversion": {"conversion_id": "cnv_1",
            "version": 1, "change": "created", "type": "click", "source": "link", "affiliate_id": "aff_7", "advertiser_id": "adv_2",
            "offer_id": "off_5", "affs": {"affs1": "one"}, "query_params": parameters, "cookie_params": {"c": "two"}}});
        Change::parse_detail(&detail, "").unwrap().events().remove(0)
    }

    fn written(event: &StoredEvent) -> (usize, StoredEvent) {
        let text = serde_json::to_string(event).unwrap();
        (text.len(), serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn f10_the_parameters_of_a_long_event_stand_aside() {
        let short = StoredEvent::new(event(3));
        assert_eq!((short.unkept(), short.format(), short.whole() == &event(3)), (None, 1, true));
        let mut long = StoredEvent::new(event(16));
        assert!(long.unkept().is_some(), "its row is not there yet");
        let (length, read) = written(&long);
        assert_eq!((length > 16 * 1_024, read == long, read.whole() == &event(16), read.format()), (true, true, true, 1));
        long.keep();
        let (length, mut read) = written(&long);
        assert_eq!((length < 1_024, read == long, long.format(), read.format()), (true, true, 2, 2));
        assert_eq!((read.unread() == Some(long.long.as_ref().unwrap().name.as_str()), read.unkept()), (true, None));
        assert_eq!(read.known().conversion.query_params, BTreeMap::new());
        read.complete(long.parameters());
        assert_eq!((read.whole() == &event(16), read.unread()), (true, None));
        assert_ne!(StoredEvent::new(event(17)), long, "other parameters are another event");
    }

    #[test]
    fn f10_a_text_is_as_long_as_its_json() {
        for text in ["a", "\u{1}", "\"", "\\", "é", "\u{7f}", "\n"] {
            let written = serde_json::to_string(text).unwrap().len() - 2;
            assert!((written..=6).contains(&json_length(text)) || json_length(text) == written, "{text:?}");
        }
        let with = |change: fn(&mut Conversion)| {
            let mut conversion = Conversion::clone(&event(0).conversion);
            change(&mut conversion);
            is_long(&conversion)
        };
        assert!(with(|conversion| conversion.user_agent = Some("\u{1}".repeat(700))));
        assert!(with(
            |conversion| (conversion.voucher, conversion.user_agent) = (Some("x".repeat(2_048)), Some("x".repeat(2_048)))
        ));
        assert!(!with(|conversion| conversion.user_agent = Some("x".repeat(2_048))));
    }
}
