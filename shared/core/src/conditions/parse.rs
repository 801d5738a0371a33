//! Reading a rule's conditions: every fault at once, unknown names refused with the nearest known one.

use super::{Conditions, ConversionType, Ids, MAX_VALUES, ResultCondition, Source, judge::Condition};
use crate::{
    change::{
        MAX_TEXT_BYTES, STANDARD_TYPES,
        fields::{ID, RESULT, shown},
    },
    fault::{Faults, pointer_token, unknown},
    id::Id,
    json,
    json::{Map, Value},
};

impl Conditions {
    /// Reads a rule's conditions at `pointer` and notes every fault in `faults`. Absent, `null` and `[]` are *All*,
    /// for each condition and for the whole; repeated values count once. With faults noted the result isn't to be used.
    pub fn parse(value: Option<&Value>, pointer: &str, faults: &mut Faults) -> Self {
        let mut conditions = Self::default();
        let object = match value {
            None | Some(Value::Null) => return conditions,
            Some(Value::Object(object)) => object,
            Some(other) => {
                faults.add(pointer, format!("{} is not allowed: give an object with the conditions that are set", shown(other)));
                return conditions;
            }
        };
        for name in object.keys() {
            if Condition::ALL.iter().all(|condition| condition.name() != name) {
                faults.add_with(|| {
                    (
                        format!("{pointer}/{}", pointer_token(name)),
                        unknown("condition", name, &Condition::ALL.map(Condition::name)),
                    )
                });
            }
        }
        let mut reader = Reader { object, pointer, faults };
        conditions.source = distinct(reader.list(Condition::Source, "choose link, iframe or api", source));
        conditions.conversion_type = distinct(reader.list(Condition::ConversionType, CONVERSION_TYPES, conversion_type));
        conditions.affiliate = reader.ids(Condition::Affiliate);
        conditions.advertiser = reader.ids(Condition::Advertiser);
        conditions.integration = reader.ids(Condition::Integration);
        conditions.channel = reader.ids(Condition::Channel);
        conditions.included_offers = reader.ids(Condition::IncludedOffers);
        conditions.excluded_offers = reader.ids(Condition::ExcludedOffers);
        conditions.result = reader.result();
        conditions.commission = reader.ids(Condition::Commission);
        reader.offers_in_both(&conditions);
        conditions
    }

    /// The conditions as a rule shows them: every one, `[]` for *All*. [`Conditions::parse`] reads this form.
    pub fn document(&self) -> Value {
        let words = |ids: &Ids| ids.iter().map(Id::as_str).collect::<Value>();
        let result = match &self.result {
            ResultCondition::NotChosen => json!("not_chosen"),
            ResultCondition::All => json!("all"),
            ResultCondition::Specific(results) => json!(results),
        };
        json!({
            "source": self.source.iter().map(|source| source.as_str()).collect::<Vec<_>>(),
            "conversion_type": self.conversion_type.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "affiliate": words(&self.affiliate),
            "advertiser": words(&self.advertiser),
            "integration": words(&self.integration),
            "channel": words(&self.channel),
            "included_offers": words(&self.included_offers),
            "excluded_offers": words(&self.excluded_offers),
            "result": result,
            "commission": words(&self.commission),
        })
    }
}

const CONVERSION_TYPES: &str = "choose click, view, lead, send, prospect, sale, custom or custom:NAME";
const RESULTS: &str = "choose \"not_chosen\", \"all\" or a list of pending, approved and rejected";

/// Returns true if a condition is the word "all", alone or in a list of one.
fn is_all(value: &Value) -> bool {
    match value {
        Value::String(word) => is_all_word(word),
        Value::Array(entries) => matches!(&entries[..], [Value::String(word)] if is_all_word(word)),
        _ => false,
    }
}

pub(super) fn is_all_word(word: &str) -> bool {
    word.eq_ignore_ascii_case("all")
}

fn source(value: &Value) -> Option<Source> {
    Source::ALL.into_iter().find(|source| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(source.as_str())))
}

fn conversion_type(value: &Value) -> Option<ConversionType> {
    let text = value.as_str()?;
    if let Some((_, name)) = text.split_once(':').filter(|(word, _)| word.eq_ignore_ascii_case("custom")) {
        return (1..=MAX_TEXT_BYTES).contains(&name.len()).then(|| ConversionType::CustomNamed(name.to_owned()));
    }
    let standard = STANDARD_TYPES.into_iter().find(|name| text.eq_ignore_ascii_case(name));
    standard.map(ConversionType::Standard).or_else(|| text.eq_ignore_ascii_case("custom").then_some(ConversionType::Custom))
}

fn distinct<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut kept = Vec::with_capacity(values.len());
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

struct Reader<'a, 'f> {
    object: &'a Map,
    pointer: &'a str,
    faults: &'f mut Faults,
}

impl Reader<'_, '_> {
    fn fault(&mut self, condition: Condition, detail: String) {
        self.faults.add(format!("{}/{}", self.pointer, condition.name()), detail);
    }

    /// The values of a list condition; those with faults are left out.
    fn list<T>(&mut self, condition: Condition, allowed: &str, read: fn(&Value) -> Option<T>) -> Vec<T> {
        let is_new = !self.faults.is_of_stored_rule();
        // In a stored rule "all" is an id, from before it was a word: All is stored as an empty list.
        let are_ids = |all: &Value| !is_new && all.as_array().is_some_and(|entries| entries.iter().all(|id| read(id).is_some()));
        let entries = match self.object.get(condition.name()) {
            None | Some(Value::Null) => return Vec::new(),
            Some(all) if is_all(all) && !are_ids(all) => return Vec::new(),
            Some(Value::Array(entries)) => entries,
            Some(other) => {
                self.fault(condition, format!("{} is not allowed: give a list, or null for all", shown(other)));
                return Vec::new();
            }
        };
        if entries.len() > MAX_VALUES {
            self.fault(condition, format!("{} values are too many: give at most {MAX_VALUES}", entries.len()));
            return Vec::new();
        }
        let mut values = Vec::with_capacity(entries.len());
        for (position, entry) in entries.iter().enumerate() {
            match read(entry) {
                Some(_) if is_new && is_all(entry) => self.faults.add(
                    format!("{}/{}/{position}", self.pointer, condition.name()),
                    "all excludes other values: leave them out, or leave out all",
                ),
                Some(value) => values.push(value),
                None => self.faults.add(
                    format!("{}/{}/{position}", self.pointer, condition.name()),
                    format!("{} is not allowed: {allowed}", shown(entry)),
                ),
            }
        }
        values
    }

    fn ids(&mut self, condition: Condition) -> Ids {
        Ids::new(self.list(condition, ID.allowed, ID.read))
    }

    fn result(&mut self) -> ResultCondition {
        match self.object.get(Condition::Result.name()) {
            None | Some(Value::Null) => ResultCondition::NotChosen,
            Some(Value::String(word)) if word.eq_ignore_ascii_case("not_chosen") => ResultCondition::NotChosen,
            Some(all) if is_all(all) => ResultCondition::All,
            Some(Value::Array(_)) => {
                match distinct(self.list(Condition::Result, "choose pending, approved or rejected", RESULT.read)) {
                    results if results.is_empty() => ResultCondition::NotChosen,
                    results => ResultCondition::Specific(results),
                }
            }
            Some(other) => {
                self.fault(Condition::Result, format!("{} is not allowed: {RESULTS}", shown(other)));
                ResultCondition::NotChosen
            }
        }
    }

    /// Names every offer that is both included and excluded, at its place among the included.
    fn offers_in_both(&mut self, conditions: &Conditions) {
        let Some(Value::Array(included)) = self.object.get(Condition::IncludedOffers.name()) else { return };
        for offer in conditions.included_offers.iter().filter(|offer| conditions.excluded_offers.has(offer.as_str())) {
            let place = included.iter().position(|entry| entry == offer.as_str()).unwrap_or_default();
            self.faults.add(
                format!("{}/{}/{place}", self.pointer, Condition::IncludedOffers.name()),
                format!("{offer} is both included and excluded: keep it in included_offers or in excluded_offers"),
            );
        }
    }
}
