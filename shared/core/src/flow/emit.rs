//! `emit`: an event that a flow publishes on the platform's bus (W20).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    document::{Fields, kind},
    fault::{Faults, pointer_token},
    json::{Map, Value},
    name::check_name,
    template::{Allowed, Place, Scope, Template},
};

/// The longest name of an event, in characters.
const MAX_NAME: usize = 100;
/// The most fields of an event.
const MAX_FIELDS: usize = 50;
/// The longest text of a field, as it is written, in bytes.
const MAX_FIELD: usize = 8_192;
/// The largest `count` of an event.
const MAX_COUNT: u32 = 1_000;
/// The most bytes of an event's fields, names included.
const MAX_BYTES: usize = 16 * 1_024;

/// The event of an `emit` step, as it is written.
#[derive(Debug, Clone)]
pub(super) struct Emit {
    name: Box<str>,
    fields: BTreeMap<String, Template>,
    count: u32,
}

/// An event that a step of a delivery emits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emitted {
    /// The step. With its run it identifies repeats of the event.
    pub step: String,
    /// The run of the step; 1 is the first.
    pub run: u32,
    /// The time at which the flow began; a resend begins a new flow.
    pub began: Timestamp,
    /// The time of the event.
    pub at: Timestamp,
    /// The name of the event.
    pub name: String,
    /// Its fields.
    pub fields: BTreeMap<String, String>,
    /// The number of times for which it counts.
    pub count: u32,
}

impl Emit {
    /// Reads `{"name", "fields", "count"}`.
    pub(super) fn parse(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let fields = Fields::open(Some(value), pointer, &["name", "fields", "count"], &[], faults);
        if fields.get("name").is_none() {
            faults.add(fields.at("name"), "required: the name of the event, without macros");
        }
        let name = fields.text("name", faults);
        if name.is_some_and(|name| name.trim().is_empty() || name.chars().count() > MAX_NAME || name.contains(char::is_control)) {
            faults.add(fields.at("name"), format!("expected 1 to {MAX_NAME} characters, none of them a control character"));
        }
        let count = fields.integer("count", 1..=MAX_COUNT, "times", faults).unwrap_or(1);
        let texts = read_fields(fields.get("fields"), &fields.at("fields"), allowed, faults);
        Some(Self { name: name?.into(), fields: texts, count })
    }

    pub(super) fn document(&self) -> Value {
        let mut map = Map::from_iter([("name".to_owned(), (&*self.name).into())]);
        let fields: Map = self.fields.iter().map(|(name, text)| (name.clone(), text.text().into())).collect();
        map.extend((!fields.is_empty()).then(|| ("fields".to_owned(), Value::Object(fields))));
        map.extend((self.count > 1).then(|| ("count".to_owned(), self.count.into())));
        Value::Object(map)
    }

    /// Every text with its place.
    pub(super) fn placed_templates(&self) -> impl Iterator<Item = (String, &Template)> {
        self.fields.iter().map(|(name, text)| (format!("/fields/{}", pointer_token(name)), text))
    }

    /// Renders the event, or the reason why there is none.
    pub(super) fn render(&self, scope: &Scope<'_>, began: Timestamp) -> Result<Emitted, String> {
        let mut fields = BTreeMap::new();
        let mut bytes = 0;
        for (name, text) in &self.fields {
            let mut value = String::new();
            text.render(scope, &mut value).map_err(|fault| format!("field {name}: {fault}"))?;
            bytes += name.len() + value.len();
            if bytes > MAX_BYTES {
                return Err(format!("the fields of the event are longer than {MAX_BYTES} bytes"));
            }
            fields.insert(name.clone(), value);
        }
        let (step, run) = (scope.at.step.to_owned(), scope.at.run);
        Ok(Emitted { step, run, began, at: scope.now, name: self.name.to_string(), fields, count: self.count })
    }
}

fn read_fields(value: Option<&Value>, at: &str, allowed: Allowed, faults: &mut Faults) -> BTreeMap<String, Template> {
    let map = match value {
        None => return BTreeMap::new(),
        Some(Value::Object(map)) => map,
        Some(other) => {
            faults.add(at, format!("{} is not an object: write {{\"name\": \"template\"}}", kind(other)));
            return BTreeMap::new();
        }
    };
    if map.len() > MAX_FIELDS {
        faults.add(at, format!("expected at most {MAX_FIELDS} fields, got {}", map.len()));
    }
    let mut texts = BTreeMap::new();
    for (name, value) in map.iter().take(MAX_FIELDS) {
        let at = format!("{at}/{}", pointer_token(name));
        if let Err(fault) = check_name(name) {
            faults.add(&at, fault.to_string());
        }
        let Some(text) = value.as_str() else {
            faults.add(&at, format!("expected a text, got {}", kind(value)));
            continue;
        };
        let Some(text) = Template::read(text, &at, (Place::Plain, MAX_FIELD), allowed, faults) else { continue };
        if text.secrets().next().is_some() {
            faults.add(&at, "an event may not hold a secret: everybody reads it");
        }
        texts.insert(name.clone(), text);
    }
    texts
}
