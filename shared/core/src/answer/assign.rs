//! Variables that a response or a step sets: a text each, some secret, some kept for later deliveries (A3, W5).

use std::collections::BTreeMap;

use super::texts::{MAX_VARIABLE_BYTES, Rules, VariableText, read, read_template};
use crate::{
    document::{Fields, kind},
    fault::{Faults, pointer_token},
    json::{Map, Value},
    name::check_name,
    template::{Allowed, Place, Scope, Template},
};

/// The most variables that one list may set.
const MAX_VARIABLES: usize = 50;
/// The longest time for which a value is kept, in seconds: 30 days (W5).
pub(crate) const MAX_KEEP_SECONDS: u32 = 2_592_000;
/// The least time for which a value is kept, in seconds.
const LEAST_KEEP_SECONDS: u32 = 15;
/// The longest text of `keep_seconds`, in bytes.
const MAX_KEEP_TEXT: usize = 1_024;

/// The assigned texts by variable name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Assignments(BTreeMap<String, Assignment>);

/// The text of one variable.
#[derive(Debug, Clone)]
struct Assignment {
    text: Template,
    /// `true` if nobody may see its value.
    is_secret: bool,
    /// The seconds for which later deliveries may read it.
    keep_seconds: Option<Template>,
}

impl Assignment {
    /// Returns true if the resource's form is the text alone.
    fn is_short(&self) -> bool {
        !self.is_secret && self.keep_seconds.is_none()
    }

    fn document(&self) -> Value {
        if self.is_short() {
            return self.text.text().into();
        }
        let mut map = Map::from_iter([("value".to_owned(), self.text.text().into())]);
        map.extend(self.is_secret.then(|| ("secret".to_owned(), true.into())));
        map.extend(self.keep_seconds.as_ref().map(|seconds| ("keep_seconds".to_owned(), seconds_document(seconds))));
        Value::Object(map)
    }
}

/// A number as it was written, or a text with macros.
fn seconds_document(seconds: &Template) -> Value {
    seconds.text().parse::<u32>().map_or_else(|_| seconds.text().into(), Value::from)
}

impl Assignments {
    /// Reads `{"name": text}`, where a text may also be `{"value", "secret", "keep_seconds"}`.
    pub(crate) fn parse(value: Option<&Value>, pointer: &str, rules: Rules, faults: &mut Faults) -> Self {
        let map = match value {
            None => return Self::default(),
            Some(Value::Object(map)) => map,
            Some(other) => {
                faults.add(pointer, format!("{} is not an object: write {{\"name\": \"template\"}}", kind(other)));
                return Self::default();
            }
        };
        if map.len() > MAX_VARIABLES {
            faults.add(pointer, format!("{} variables are too many: {MAX_VARIABLES} are allowed", map.len()));
        }
        let mut all = BTreeMap::new();
        for (name, value) in map.iter().take(MAX_VARIABLES) {
            let at = format!("{pointer}/{}", pointer_token(name));
            if let Err(fault) = check_name(name) {
                faults.add(&at, fault.to_string());
            }
            if let Some(assignment) = read_one(value, &at, rules, faults) {
                all.insert(name.clone(), assignment);
            }
        }
        Self(all)
    }

    /// The resource's form, as it was written; `None` if nothing is set.
    pub(crate) fn document(&self) -> Option<Value> {
        let all = self.0.iter().map(|(name, assignment)| (name.clone(), assignment.document()));
        (!self.0.is_empty()).then(|| Value::Object(all.collect()))
    }

    /// Returns true if nothing is set.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the variables with their texts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.0.iter().map(|(name, assignment)| (name.as_str(), &assignment.text))
    }

    /// Every text, those of `keep_seconds` included.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.0.values().flat_map(|assignment| [Some(&assignment.text), assignment.keep_seconds.as_ref()]).flatten()
    }

    /// Every text, those of `keep_seconds` included, with its place.
    pub(crate) fn placed_templates(&self) -> impl Iterator<Item = (String, &Template)> {
        self.0.iter().flat_map(|(name, assignment)| {
            let at = format!("/{}", pointer_token(name));
            let text = if assignment.is_short() { at.clone() } else { format!("{at}/value") };
            let keep = assignment.keep_seconds.as_ref().map(|seconds| (format!("{at}/keep_seconds"), seconds));
            [Some((text, &assignment.text)), keep].into_iter().flatten()
        })
    }

    /// The variables that are declared secret.
    pub(crate) fn secret(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, assignment)| assignment.is_secret).map(|(name, _)| name.as_str())
    }

    /// The texts of the variables that are declared secret.
    pub(super) fn secret_texts(&self) -> impl Iterator<Item = &Template> {
        self.0.values().filter(|assignment| assignment.is_secret).map(|assignment| &assignment.text)
    }

    /// The variables that later deliveries read.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, assignment)| assignment.keep_seconds.is_some()).map(|(name, _)| name.as_str())
    }

    /// Returns true if it sets the variable.
    pub(crate) fn sets(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Renders the texts of a `set` step; an empty text is a value. `left_out` receives each field that is left out and the reason.
    pub(crate) fn assign(&self, scope: &Scope<'_>, left_out: &mut dyn FnMut(&str, String)) -> Assigned {
        let mut assigned = Assigned::default();
        for (name, assignment) in &self.0 {
            let mut text = String::new();
            match assignment.text.render(scope, &mut text) {
                Ok(_) if text.len() > MAX_VARIABLE_BYTES => {
                    left_out(
                        &format!("variables/{name}"),
                        format!("{} bytes are too many: {MAX_VARIABLE_BYTES} are allowed", text.len()),
                    );
                }
                Ok(_) => {
                    assigned.values.insert(name.clone(), text);
                    let seconds = assignment.keep_seconds.as_ref();
                    let seconds = seconds.map(|seconds| seconds_of(seconds, name, scope, left_out));
                    assigned.keep.extend(seconds.map(|seconds| (name.clone(), seconds)));
                }
                Err(fault) => left_out(&format!("variables/{name}"), fault.to_string()),
            }
        }
        assigned
    }

    /// Renders the texts of a response. `left_out` receives each field that is left out and the reason. An empty text sets nothing;
    /// surrounding blanks are removed.
    pub(crate) fn extract(&self, scope: &Scope<'_>, left_out: &mut dyn FnMut(&str, String)) -> Assigned {
        let mut assigned = Assigned::default();
        for (name, assignment) in &self.0 {
            if let Some(VariableText(text)) = read(Some(&assignment.text), &format!("variables/{name}"), scope, left_out) {
                assigned.values.insert(name.clone(), text);
                if let Some(seconds) = &assignment.keep_seconds {
                    let seconds = seconds_of(seconds, name, scope, left_out);
                    assigned.keep.insert(name.clone(), seconds);
                }
            }
        }
        assigned
    }
}

/// Values that were set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Assigned {
    /// The values by variable name.
    pub(crate) values: BTreeMap<String, String>,
    /// The seconds for which some of the values are kept.
    pub(crate) keep: BTreeMap<String, u32>,
}

/// The seconds for which a value is kept, 30 days at most. If the text gives no time, or a time in the past, the value is kept for
/// [`LEAST_KEEP_SECONDS`], long enough for steps that follow at once.
fn seconds_of(text: &Template, name: &str, scope: &Scope<'_>, left_out: &mut dyn FnMut(&str, String)) -> u32 {
    let field = format!("variables/{name}/keep_seconds");
    let Some(seconds) = read::<String>(Some(text), &field, scope, left_out) else { return LEAST_KEEP_SECONDS };
    let whole = seconds.split('.').next().unwrap_or_default();
    let Ok(whole) = whole.parse::<i64>() else {
        left_out(&field, format!("\"{seconds}\" is not a number of seconds"));
        return LEAST_KEEP_SECONDS;
    };
    u32::try_from(whole).unwrap_or(if whole < 0 { 0 } else { u32::MAX }).clamp(LEAST_KEEP_SECONDS, MAX_KEEP_SECONDS)
}

fn read_one(value: &Value, pointer: &str, rules: Rules, faults: &mut Faults) -> Option<Assignment> {
    if !value.is_object() {
        let text = read_template(value, pointer, rules, faults)?;
        return Some(Assignment { text, is_secret: false, keep_seconds: None });
    }
    let known: &[&str] = if rules.may_keep { &["value", "secret", "keep_seconds"] } else { &["value", "secret"] };
    let fields = Fields::open(Some(value), pointer, known, &[], faults);
    let is_secret = fields.flag("secret", faults).unwrap_or(false);
    if fields.get("value").is_none() {
        faults.add(fields.at("value"), "required: write a template such as \"{body.access_token}\"");
    }
    let keep_seconds = if rules.may_keep { read_keep(&fields, rules.allowed, faults) } else { None };
    let text = read_template(fields.get("value")?, &fields.at("value"), rules, faults)?;
    Some(Assignment { text, is_secret, keep_seconds })
}

/// Reads a number of seconds, or a text that gives one.
fn read_keep(fields: &Fields<'_>, allowed: Allowed, faults: &mut Faults) -> Option<Template> {
    let (value, at) = (fields.get("keep_seconds")?, fields.at("keep_seconds"));
    let text = match value {
        Value::Number(_) => fields.integer("keep_seconds", 0..=MAX_KEEP_SECONDS, "seconds", faults)?.to_string(),
        Value::String(text) => text.clone(),
        other => {
            faults.add(
                at,
                format!("{} is not a number of seconds: choose 0 to {MAX_KEEP_SECONDS}, or a text with macros", kind(other)),
            );
            return None;
        }
    };
    Template::read(&text, &at, (Place::Plain, MAX_KEEP_TEXT), allowed, faults)
}
