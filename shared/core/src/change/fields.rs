//! Reading the fields of a JSON object. Every fault is noted with its place and the allowed values.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ChangeKind, MAX_TEXT_BYTES, TransactionResult};
use crate::{
    fault::{Faults, pointer_token},
    id::Id,
    json::{Map, Value},
    money::Money,
};

/// The most bytes that the entries of lists add to a set of parameters, and the most entries of one list.
const LISTED_BYTES: usize = 4_096;
const LISTED: usize = 10;

/// The allowed values of a field: a function that reads one, and a sentence for faults.
pub(crate) struct Kind<T> {
    /// Starts with a verb: "give an id, …".
    pub(crate) allowed: &'static str,
    /// `None` when the value isn't allowed.
    pub(crate) read: fn(&Value) -> Option<T>,
}

pub(crate) const ID: Kind<Id> = Kind {
    allowed: "give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -",
    read: |value| value.as_str().and_then(|text| text.parse().ok()),
};

pub(crate) const TEXT: Kind<String> = Kind {
    allowed: "give a text of at most 2048 bytes",
    read: |value| value.as_str().filter(|text| text.len() <= MAX_TEXT_BYTES).map(str::to_owned),
};

pub(crate) const WORD: Kind<String> =
    Kind { allowed: "give a text of 1 to 2048 bytes", read: |value| (TEXT.read)(value).filter(|text| !text.is_empty()) };

pub(crate) const MONEY: Kind<Money> = Kind {
    allowed: "give a decimal such as \"12.50\", at most 28 digits",
    read: |value| match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_str().parse().ok(),
        _ => None,
    },
};

pub(crate) const TIME: Kind<Timestamp> =
    Kind { allowed: "give an RFC 3339 time such as \"2026-11-22T08:59:59.120Z\"", read: |value| rfc3339(value.as_str()?) };

pub(crate) const VERSION: Kind<u64> = Kind {
    allowed: "give an integer from 0 to 9007199254740991",
    read: |value| value.as_u64().filter(|&version| version < 1 << 53),
};

pub(crate) const DEPTH: Kind<u32> = Kind {
    allowed: "give an integer from 1 to 4294967295",
    read: |value| value.as_u64().and_then(|depth| depth.try_into().ok()).filter(|&depth| depth > 0),
};

pub(crate) const FLAG: Kind<bool> = Kind { allowed: "give true or false", read: Value::as_bool };

pub(crate) const CHANGE: Kind<ChangeKind> = Kind {
    allowed: "give created, updated or unchanged",
    read: |value| word(value, &[ChangeKind::Created, ChangeKind::Updated, ChangeKind::Unchanged], ChangeKind::as_str),
};

pub(crate) const RESULT: Kind<TransactionResult> = Kind {
    allowed: "give pending, approved or rejected",
    read: |value| {
        let all = [TransactionResult::Pending, TransactionResult::Approved, TransactionResult::Rejected];
        word(value, &all, TransactionResult::as_str)
    },
};

/// The one of `all` with this name, in any case.
fn word<T: Copy>(value: &Value, all: &[T], written: fn(T) -> &'static str) -> Option<T> {
    let text = value.as_str()?;
    all.iter().copied().find(|one| text.eq_ignore_ascii_case(written(*one)))
}

/// The fields of one object. Unknown fields are never looked at; `null` is the same as absent.
pub(crate) struct Fields<'a, 'f> {
    object: &'a Map,
    pointer: String,
    faults: &'f mut Faults,
}

impl<'a, 'f> Fields<'a, 'f> {
    /// The fields of `value`, whose place is `pointer`; a fault if it isn't an object.
    pub(crate) fn open(value: &'a Value, pointer: &str, faults: &'f mut Faults) -> Option<Self> {
        let Value::Object(object) = value else {
            faults.add(pointer, format!("{} is not allowed: give an object", shown(value)));
            return None;
        };
        Some(Self { object, pointer: pointer.to_owned(), faults })
    }

    /// Notes a fault of the field `key`.
    pub(crate) fn fault(&mut self, key: &str, detail: impl Into<String>) {
        self.faults.add(self.at(key), detail);
    }

    /// Notes that the value below `path` is converted.
    pub(crate) fn note(&mut self, path: &str, detail: &str) {
        self.faults.note(format!("{}/{path}", self.pointer), detail.to_owned());
    }

    /// An optional field. A value that isn't allowed is a fault and reads as absent.
    pub(crate) fn optional<T>(&mut self, key: &str, kind: &Kind<T>) -> Option<T> {
        let value = self.present(key)?;
        let read = (kind.read)(value);
        if read.is_none() {
            self.fault(key, format!("{} is not allowed: {}", shown(value), kind.allowed));
        }
        read
    }

    /// A required field; `None` only after a fault was noted.
    pub(crate) fn required<T>(&mut self, key: &str, kind: &Kind<T>) -> Option<T> {
        if self.present(key).is_none() {
            self.fault(key, format!("missing: {}", kind.allowed));
            return None;
        }
        self.optional(key, kind)
    }

    /// An optional nested object.
    pub(crate) fn optional_object(&mut self, key: &str) -> Option<Fields<'a, '_>> {
        let value = self.present(key)?;
        Fields::open(value, &format!("{}/{key}", self.pointer), self.faults)
    }

    /// A required nested object; `None` only after a fault was noted.
    pub(crate) fn required_object(&mut self, key: &str) -> Option<Fields<'a, '_>> {
        if self.present(key).is_none() {
            self.fault(key, "missing: give an object");
            return None;
        }
        self.optional_object(key)
    }

    /// The entries of a list; none if it is absent, a fault if it isn't a list or has more than `most`.
    pub(crate) fn list(&mut self, key: &str, most: usize) -> &'a [Value] {
        match self.present(key) {
            None => &[],
            Some(Value::Array(entries)) if entries.len() <= most => entries,
            Some(Value::Array(entries)) => {
                self.fault(key, format!("{} entries are too many: give at most {most}", entries.len()));
                &[]
            }
            Some(other) => {
                self.fault(key, format!("{} is not allowed: give a list", shown(other)));
                &[]
            }
        }
    }

    /// The entry at `position` of the list `key`, opened.
    pub(crate) fn entry(&mut self, key: &str, position: usize, value: &'a Value) -> Option<Fields<'a, '_>> {
        Fields::open(value, &format!("{}/{key}/{position}", self.pointer), self.faults)
    }

    /// A text that decides nothing. Any value is converted to a text, with a note.
    pub(crate) fn decoration(&mut self, key: &str) -> Option<String> {
        let value = self.present(key)?;
        self.text_of(key, value)
    }

    /// Named texts that decide nothing. Keys that `keep` refuses are ignored, `null` is left out. The value of a list is its last entry;
    /// its first entries are also stored under `key.0`, `key.1` …. An empty list means no entries: PHP writes an empty object so.
    pub(crate) fn params(&mut self, key: &str, keep: fn(&str) -> bool) -> BTreeMap<String, String> {
        let object = match self.present(key) {
            None => return BTreeMap::new(),
            Some(Value::Object(object)) => object,
            Some(Value::Array(entries)) if entries.is_empty() => return BTreeMap::new(),
            Some(other) => {
                let detail = format!("{} has no names: it is left out, give an object", shown(other));
                self.faults.note(self.at(key), detail);
                return BTreeMap::new();
            }
        };
        let mut fields = Fields { object, pointer: self.at(key), faults: self.faults };
        let mut params = BTreeMap::new();
        let mut listed = 0;
        for (name, value) in object.iter().filter(|(name, value)| keep(name) && !value.is_null()) {
            if name.len() > MAX_TEXT_BYTES {
                let detail =
                    format!("a name of {} bytes is too long, and left out: at most {MAX_TEXT_BYTES} are read", name.len());
                fields.faults.note(fields.at(name), detail);
                continue;
            }
            if let Value::Array(entries) = value {
                for (position, entry) in entries.iter().take(LISTED).enumerate() {
                    let name = format!("{name}.{position}");
                    listed += name.len() + entry.as_str().map_or(LISTED, str::len);
                    // A key that the object itself has takes precedence.
                    if listed <= LISTED_BYTES && !object.contains_key(&name) && keep(&name) && name.len() <= MAX_TEXT_BYTES {
                        params.extend(fields.text_of(&name, entry).map(|text| (name, text)));
                    }
                }
            }
            params.extend(fields.text_of(name, value).map(|text| (name.clone(), text)));
        }
        params
    }

    /// A value as a text: numbers and flags as written, a list as its last entry, an object as JSON; a long text is cut.
    fn text_of(&mut self, key: &str, value: &Value) -> Option<String> {
        let text = match value {
            Value::Null => return None,
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.as_str().to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(entries) => {
                let last = entries.last()?;
                self.faults.note(self.at(key), format!("a list of {}: its last entry counts", entries.len()));
                match last {
                    Value::Array(_) | Value::Object(_) => last.to_string(),
                    scalar => return self.text_of(key, scalar),
                }
            }
            Value::Object(_) => {
                self.faults.note(self.at(key), "an object: it is taken as JSON".to_owned());
                value.to_string()
            }
        };
        if text.len() <= MAX_TEXT_BYTES {
            return Some(text);
        }
        self.faults.note(self.at(key), format!("{} bytes are too many: cut to {MAX_TEXT_BYTES}", text.len()));
        Some(text[..text.floor_char_boundary(MAX_TEXT_BYTES)].to_owned())
    }

    fn at(&self, key: &str) -> String {
        format!("{}/{}", self.pointer, pointer_token(key))
    }

    fn present(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }
}

/// A value as faults show it: short, whatever its size.
pub(crate) fn shown(value: &Value) -> String {
    const SHORT: usize = 40;
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Number(number) if number.as_str().len() <= SHORT => number.to_string(),
        Value::Number(number) => format!("a number of {} characters", number.as_str().len()),
        Value::String(text) if text.chars().nth(SHORT).is_none() => format!("{text:?}"),
        Value::String(text) => {
            let start: String = text.chars().take(SHORT).collect();
            format!("{start:?}… ({} bytes)", text.len())
        }
    }
}

/// A time in RFC 3339's own form, of the years 0000 to 9999 in UTC; wider forms of ISO 8601 are refused.
fn rfc3339(text: &str) -> Option<Timestamp> {
    const YEAR_0: i64 = -62_167_219_200;
    let (date_time, rest) = text.split_at_checked(19)?;
    let shape = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't'),
                b'Z' => matches!(byte, b'Z' | b'z'),
                b'+' => matches!(byte, b'+' | b'-'),
                other => byte == other,
            })
    };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    if !shape(date_time, "0000-00-00T00:00:00") || !(shape(zone, "Z") || shape(zone, "+00:00")) {
        return None;
    }
    text.parse().ok().filter(|time: &Timestamp| time.as_second() >= YEAR_0)
}
