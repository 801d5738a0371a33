//! What a rule sets of an answer: templates over its body, headers and status (domain A3).

use std::{collections::BTreeMap, str::FromStr};

use super::Told;
use crate::{
    caller::Owner,
    change::TransactionResult,
    document::{Fields, kind},
    fault::{Faults, pointer_token},
    json,
    json::{Map, Value},
    money::Money,
    name::check_name,
    template::{Allowed, Filled, Place, Scope, Template},
};

/// The longest template, in bytes (contract §2).
const MAX_TEMPLATE: usize = 16 * 1_024;
/// The longest text that an answer may tell, in bytes: that of any free text (contract).
const MAX_TOLD: usize = 2_048;
/// The most variables that one rule may set.
const MAX_VARIABLES: usize = 50;

/// The `set` of an answer rule; what it doesn't set is `None`.
#[derive(Debug, Clone, Default)]
pub(super) struct Set {
    result: Option<Template>,
    payout: Option<Template>,
    value: Option<Template>,
    external_id: Option<Template>,
    variables: BTreeMap<String, Variable>,
}

/// The text of a variable.
#[derive(Debug, Clone)]
struct Variable {
    text: Template,
    /// Its value is shown to nobody.
    is_secret: bool,
}

impl Variable {
    fn document(&self) -> Value {
        if self.is_secret { json!({"value": self.text.text(), "secret": true}) } else { self.text.text().into() }
    }
}

/// What goes back to the platform, so that only an admin's rule may set it.
const FOR_THE_PLATFORM: [&str; 4] = ["result", "payout", "value", "external_id"];

impl Set {
    pub(super) fn parse(value: Option<&Value>, pointer: &str, owner: &Owner, faults: &mut Faults) -> Self {
        let [result, payout, amount, external_id] = FOR_THE_PLATFORM;
        let fields = Fields::open(value, pointer, &[result, payout, amount, external_id, "variables"], &[], faults);
        let admin = owner.affiliate().is_none();
        if !admin {
            fields.refuse(&FOR_THE_PLATFORM, "an affiliate's rule may set variables only", faults);
        }
        let allowed = Allowed { admin, answer: true, ..Allowed::default() };
        let mut template = |key: &str| {
            let text = fields.get(key).filter(|_| admin)?;
            read_template(text, &fields.at(key), allowed, faults)
        };
        let (result, payout) = (template(result), template(payout));
        let (value, external_id) = (template(amount), template(external_id));
        let variables = read_variables(fields.get("variables"), &fields.at("variables"), allowed, faults);
        Self { result, payout, value, external_id, variables }
    }

    /// The resource's form, as it was written; `None` if nothing is set.
    pub(super) fn document(&self) -> Option<Value> {
        let templates = [&self.result, &self.payout, &self.value, &self.external_id];
        let mut map: Map = FOR_THE_PLATFORM
            .iter()
            .zip(templates)
            .filter_map(|(key, template)| Some(((*key).to_owned(), template.as_ref()?.text().into())))
            .collect();
        if !self.variables.is_empty() {
            let variables = self.variables.iter().map(|(name, variable)| (name.clone(), variable.document()));
            map.insert("variables".to_owned(), Value::Object(variables.collect()));
        }
        (!map.is_empty()).then_some(Value::Object(map))
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        let own = [&self.result, &self.payout, &self.value, &self.external_id].into_iter().flatten();
        own.chain(self.variables.values().map(|variable| &variable.text))
    }

    /// Returns true if a template reads the body.
    pub(super) fn looks_at_body(&self) -> bool {
        self.templates().any(Template::reads_body)
    }

    /// Returns true if a template reads fields of the body.
    pub(super) fn reads_fields(&self) -> bool {
        self.templates().any(Template::reads_fields)
    }

    /// The variables whose values are shown to nobody.
    pub(super) fn secret_variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().filter(|(_, variable)| variable.is_secret).map(|(name, _)| name.as_str())
    }

    /// Whether it sets that variable.
    pub(super) fn sets_variable(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// An estimate of the memory that the templates take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.templates().map(Template::bytes).sum()
    }

    /// Renders what is set; `left_out` hears the field and why. Empty is not told, surrounding blanks do not count.
    pub(super) fn tell(&self, scope: &Scope<'_>, left_out: &mut dyn FnMut(&str, String)) -> Told {
        let mut told = Told {
            result: read(self.result.as_ref(), "result", scope, left_out),
            payout: read(self.payout.as_ref(), "payout", scope, left_out),
            value: read(self.value.as_ref(), "value", scope, left_out),
            external_id: read(self.external_id.as_ref(), "external_id", scope, left_out),
            variables: BTreeMap::new(),
        };
        for (name, variable) in &self.variables {
            if let Some(text) = read(Some(&variable.text), &format!("variables/{name}"), scope, left_out) {
                told.variables.insert(name.clone(), text);
            }
        }
        told
    }
}

/// Something that an answer can tell, read from a text.
trait Tellable: Sized {
    fn read(text: &str) -> Result<Self, String>;
}

impl Tellable for TransactionResult {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "pending" => Ok(Self::Pending),
            "approved" => Ok(Self::Approved),
            "rejected" => Ok(Self::Rejected),
            _ => Err("not a result: pending, approved and rejected are".to_owned()),
        }
    }
}

impl Tellable for Money {
    fn read(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|fault| fault.to_string())
    }
}

impl Tellable for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

fn read<T: Tellable>(
    template: Option<&Template>,
    field: &str,
    scope: &Scope<'_>,
    left_out: &mut dyn FnMut(&str, String),
) -> Option<T> {
    let mut rendered = String::new();
    let outcome = template?.render(scope, &mut rendered);
    let text = rendered.trim();
    let read = match outcome {
        Ok(Filled::Omit) => return None,
        Ok(Filled::Written) if text.is_empty() => return None,
        Ok(Filled::Written) if text.len() > MAX_TOLD => Err(format!("{} bytes are too many: {MAX_TOLD} are allowed", text.len())),
        Ok(Filled::Written) => T::read(text).map_err(|why| format!("\"{}\" is {why}", text.chars().take(64).collect::<String>())),
        Err(fault) => Err(fault.to_string()),
    };
    read.map_err(|why| left_out(field, why)).ok()
}

fn read_variables(value: Option<&Value>, pointer: &str, allowed: Allowed, faults: &mut Faults) -> BTreeMap<String, Variable> {
    let map = match value {
        None => return BTreeMap::new(),
        Some(Value::Object(map)) => map,
        Some(other) => {
            faults.add(pointer, format!("{} is not an object: write {{\"name\": \"template\"}}", kind(other)));
            return BTreeMap::new();
        }
    };
    if map.len() > MAX_VARIABLES {
        faults.add(pointer, format!("{} variables are too many: {MAX_VARIABLES} are allowed", map.len()));
    }
    let mut variables = BTreeMap::new();
    for (name, value) in map.iter().take(MAX_VARIABLES) {
        let at = format!("{pointer}/{}", pointer_token(name));
        if let Err(fault) = check_name(name) {
            faults.add(&at, fault.to_string());
        }
        if let Some(variable) = read_variable(value, &at, allowed, faults) {
            variables.insert(name.clone(), variable);
        }
    }
    variables
}

/// Reads a text, or `{"value": text, "secret": true}`.
fn read_variable(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Variable> {
    if !value.is_object() {
        return read_template(value, pointer, allowed, faults).map(|text| Variable { text, is_secret: false });
    }
    let fields = Fields::open(Some(value), pointer, &["value", "secret"], &[], faults);
    let is_secret = fields.flag("secret", faults).unwrap_or(false);
    if fields.get("value").is_none() {
        faults.add(fields.at("value"), "required: write a template such as \"{body.access_token}\"");
    }
    let text = read_template(fields.get("value")?, &fields.at("value"), allowed, faults)?;
    Some(Variable { text, is_secret })
}

fn read_template(value: &Value, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Template> {
    let Some(text) = value.as_str() else {
        faults.add(pointer, format!("{} is not a text: write a template such as \"{{body.payout}}\"", kind(value)));
        return None;
    };
    let template = Template::read(text, pointer, (Place::Plain, MAX_TEMPLATE), allowed, faults)?;
    if template.secrets().next().is_some() {
        faults.add(pointer, "a secret may not be set: it stands in headers, path, query and body of the request only");
        return None;
    }
    Some(template)
}
