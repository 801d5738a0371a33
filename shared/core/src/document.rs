//! Documents that a person writes, read field by field: known fields only, all faults at once.

use std::ops::RangeInclusive;

use crate::{
    fault::{Faults, pointer_token, unknown},
    json::{Map, Value},
};

/// One object of a document. A field that is `null` counts as absent.
pub(crate) struct Fields<'v> {
    map: Option<&'v Map>,
    pointer: String,
}

impl<'v> Fields<'v> {
    /// Opens the object at `pointer`; absent is an empty one. Anything else than an object is a fault, and so is every field
    /// that is neither `known` nor `ignored`; the fault names the nearest known field.
    pub(crate) fn open(value: Option<&'v Value>, pointer: &str, known: &[&str], ignored: &[&str], faults: &mut Faults) -> Self {
        let map = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => {
                faults.add(pointer, format!("{} is not an object: write {{…}} with {}", kind(other), known.join(", ")));
                None
            }
        };
        let fields = Self { map, pointer: pointer.to_owned() };
        for key in map.into_iter().flat_map(Map::keys) {
            if !known.contains(&key.as_str()) && !ignored.contains(&key.as_str()) {
                faults.add_with(|| (fields.at(key), unknown("field", key, known)));
            }
        }
        fields
    }

    /// The JSON pointer of a field, present or not.
    pub(crate) fn at(&self, key: &str) -> String {
        format!("{}/{}", self.pointer, pointer_token(key))
    }

    /// A field's value, unless absent or `null`.
    pub(crate) fn get(&self, key: &str) -> Option<&'v Value> {
        self.map?.get(key).filter(|value| !value.is_null())
    }

    /// A field that must be a text.
    pub(crate) fn text(&self, key: &str, faults: &mut Faults) -> Option<&'v str> {
        let value = self.get(key)?;
        if value.as_str().is_none() {
            faults.add(self.at(key), format!("{} is not a text: write a JSON string", kind(value)));
        }
        value.as_str()
    }

    /// A field that must be `true` or `false`.
    pub(crate) fn flag(&self, key: &str, faults: &mut Faults) -> Option<bool> {
        let value = self.get(key)?;
        if value.as_bool().is_none() {
            faults.add(self.at(key), format!("{} is not a flag: choose true or false", kind(value)));
        }
        value.as_bool()
    }

    /// A field that must be a whole number of `units` within `allowed`.
    pub(crate) fn integer(&self, key: &str, allowed: RangeInclusive<u32>, units: &str, faults: &mut Faults) -> Option<u32> {
        let value = self.get(key)?;
        match whole(value, allowed, units) {
            Ok(number) => Some(number),
            Err(detail) => {
                faults.add(self.at(key), detail);
                None
            }
        }
    }

    /// A field that must be one of some words.
    pub(crate) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], faults: &mut Faults) -> Option<T> {
        let text = self.text(key, faults)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            faults.add(self.at(key), unknown(noun(key), text, &names));
        }
        found
    }

    /// A field that must be a list; absent is an empty one.
    pub(crate) fn list(&self, key: &str, faults: &mut Faults) -> &'v [Value] {
        match self.get(key) {
            None => &[],
            Some(Value::Array(items)) => items,
            Some(other) => {
                faults.add(self.at(key), format!("{} is not a list: write […]", kind(other)));
                &[]
            }
        }
    }

    /// A fault for each of `keys` that is present but not allowed here; `why` says where it is allowed.
    pub(crate) fn refuse(&self, keys: &[&str], why: &str, faults: &mut Faults) {
        for key in keys {
            if self.get(key).is_some() {
                faults.add(self.at(key), format!("\"{key}\" has no place here: {why}"));
            }
        }
    }
}

/// A whole number of `units` within `allowed`, or the fault.
pub(crate) fn whole(value: &Value, allowed: RangeInclusive<u32>, units: &str) -> Result<u32, String> {
    let choose = format!("choose {} to {}", allowed.start(), allowed.end());
    let Value::Number(number) = value else {
        return Err(format!("{} is not a number of {units}: {choose}", kind(value)));
    };
    let text = number.to_string();
    let digits = text.strip_prefix('-').unwrap_or(&text);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text} is not a whole number of {units}: {choose}"));
    }
    match text.parse::<u32>() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        Ok(number) if number < *allowed.start() => Err(format!("{number} {units} are too few: {choose}")),
        Err(_) if text.starts_with('-') => Err(format!("{text} {units} are too few: {choose}")),
        _ => Err(format!("{text} {units} are too many: {choose}")),
    }
}

/// The noun for the allowed words of a field.
fn noun(key: &str) -> &str {
    match key {
        "then" | "otherwise" => "verdict",
        "on_expiry" => "action",
        key => key,
    }
}

/// The type of a value, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a flag",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn an_unknown_field_is_reported_with_the_nearest_known_name() {
        let mut faults = Faults::default();
        let document = json!({"max_retrys": 3, "id": "x"});
        Fields::open(Some(&document), "/retry", &["delay_seconds", "max_retries"], &["id"], &mut faults);
        let detail = "unknown field \"max_retrys\"; did you mean \"max_retries\"?";
        assert_eq!(faults, Faults::one("/retry/max_retrys", detail));
    }

    #[test]
    fn case_b11_the_nearest_word_is_found_whatever_its_case() {
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
        for (word, nearest) in [("get", "GET"), ("Post", "POST"), ("delet", "DELETE")] {
            let fault = format!("unknown method \"{word}\"; did you mean \"{nearest}\"?");
            assert_eq!(unknown("method", word, &methods), fault);
        }
    }

    #[test]
    fn whole_numbers_say_what_is_allowed() {
        let fault = |value| whole(&value, 1..=60, "seconds").unwrap_err();
        assert_eq!(whole(&json!(60), 1..=60, "seconds"), Ok(60));
        assert_eq!(fault(json!(61)), "61 seconds are too many: choose 1 to 60");
        assert_eq!(fault(json!(0)), "0 seconds are too few: choose 1 to 60");
        assert_eq!(fault(json!(-5)), "-5 seconds are too few: choose 1 to 60");
        assert_eq!(fault(json!(1.5)), "1.5 is not a whole number of seconds: choose 1 to 60");
        assert_eq!(fault(json!("9")), "a text is not a number of seconds: choose 1 to 60");
        assert_eq!(fault(json!(18_446_744_073_709_551_615_u64)), "18446744073709551615 seconds are too many: choose 1 to 60");
    }
}
