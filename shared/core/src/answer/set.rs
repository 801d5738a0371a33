//! What a rule sets of an answer: templates over its body, headers and status (domain A3).

use std::str::FromStr;

use super::{
    Told,
    assign::{Assigned, Assignments, Rules},
};
use crate::{
    caller::Owner,
    change::TransactionResult,
    document::{Fields, kind},
    fault::Faults,
    json::{Map, Value},
    money::Money,
    template::{Allowed, Filled, Place, Scope, Template},
};

/// The longest template, in bytes (contract §2).
const MAX_TEMPLATE: usize = 16 * 1_024;
/// The longest text that an answer may tell, in bytes: that of any free text (contract).
const MAX_TOLD: usize = 2_048;

/// The `set` of an answer rule; what it doesn't set is `None`.
#[derive(Debug, Clone, Default)]
pub(super) struct Set {
    result: Option<Template>,
    payout: Option<Template>,
    value: Option<Template>,
    external_id: Option<Template>,
    variables: Assignments,
}

/// What goes back to the platform, so that only an admin's rule may set it.
const FOR_THE_PLATFORM: [&str; 4] = ["result", "payout", "value", "external_id"];

impl Set {
    pub(super) fn parse(value: Option<&Value>, pointer: &str, owner: &Owner, may_keep: bool, faults: &mut Faults) -> Self {
        let [result, payout, amount, external_id] = FOR_THE_PLATFORM;
        let fields = Fields::open(value, pointer, &[result, payout, amount, external_id, "variables"], &[], faults);
        let admin = owner.affiliate().is_none();
        if !admin {
            fields.refuse(&FOR_THE_PLATFORM, "an affiliate's rule may set variables only", faults);
        }
        let allowed = Allowed { admin, answer: true, ..Allowed::default() };
        let mut template = |key: &str| {
            let text = fields.get(key).filter(|_| admin)?;
            read_template(text, &fields.at(key), Rules { allowed, may_keep: false, may_read_secrets: false }, faults)
        };
        let (result, payout) = (template(result), template(payout));
        let (value, external_id) = (template(amount), template(external_id));
        let rules = Rules { allowed, may_keep, may_read_secrets: false };
        let variables = Assignments::parse(fields.get("variables"), &fields.at("variables"), rules, faults);
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
        map.extend(self.variables.document().map(|variables| ("variables".to_owned(), variables)));
        (!map.is_empty()).then_some(Value::Object(map))
    }

    /// The variables that it sets, with their texts.
    pub(super) fn assignments(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.variables.iter()
    }

    /// The texts of what goes back to the platform.
    pub(super) fn platform_templates(&self) -> impl Iterator<Item = &Template> {
        [&self.result, &self.payout, &self.value, &self.external_id].into_iter().flatten()
    }

    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.platform_templates().chain(self.variables.templates())
    }

    /// Returns true if a template reads the body.
    pub(super) fn looks_at_body(&self) -> bool {
        self.templates().any(Template::reads_body)
    }

    /// The variables whose values are shown to nobody.
    pub(super) fn secret_variables(&self) -> impl Iterator<Item = &str> {
        self.variables.secret()
    }

    /// Whether it sets that variable.
    pub(super) fn sets_variable(&self, name: &str) -> bool {
        self.variables.sets(name)
    }

    /// An estimate of the memory that the templates take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.templates().map(Template::bytes).sum()
    }

    /// Renders what is set; `left_out` hears the field and why. Empty is not told, surrounding blanks do not count.
    pub(super) fn tell(&self, scope: &Scope<'_>, left_out: &mut dyn FnMut(&str, String)) -> Told {
        let Assigned { values: variables, keep } = self.variables.tell(scope, left_out);
        Told {
            result: read(self.result.as_ref(), "result", scope, left_out),
            payout: read(self.payout.as_ref(), "payout", scope, left_out),
            value: read(self.value.as_ref(), "value", scope, left_out),
            external_id: read(self.external_id.as_ref(), "external_id", scope, left_out),
            variables,
            keep,
        }
    }

    /// The variables that later deliveries read (W5).
    pub(super) fn kept(&self) -> impl Iterator<Item = &str> {
        self.variables.kept()
    }
}

/// Something that an answer can tell, read from a text.
pub(super) trait Tellable: Sized {
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

pub(super) fn read<T: Tellable>(
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

pub(super) fn read_template(value: &Value, pointer: &str, rules: Rules, faults: &mut Faults) -> Option<Template> {
    let Some(text) = value.as_str() else {
        faults.add(pointer, format!("{} is not a text: write a template such as \"{{body.payout}}\"", kind(value)));
        return None;
    };
    let template = Template::read(text, pointer, (Place::Plain, MAX_TEMPLATE), rules.allowed, faults)?;
    if !rules.may_read_secrets && template.secrets().next().is_some() {
        faults.add(pointer, "a secret may not be set: it stands in headers, path, query and body of the request only");
        return None;
    }
    Some(template)
}
