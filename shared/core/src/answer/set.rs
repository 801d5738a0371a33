//! The values that a rule takes from a response: templates over its body, headers and status (A3).

use std::collections::BTreeSet;

use super::{
    ExtractedData,
    assign::{Assigned, Assignments},
    texts::{Rules, read, read_template},
};
use crate::{
    caller::Owner,
    document::Fields,
    fault::Faults,
    json::{Map, Value},
    template::{Allowed, Scope, Template},
};

/// The `set` of an answer rule; a field that it doesn't set is `None`.
#[derive(Debug, Clone, Default)]
pub(super) struct Set {
    result: Option<Template>,
    payout: Option<Template>,
    value: Option<Template>,
    external_id: Option<Template>,
    variables: Assignments,
}

/// The fields that are published to the platform; only an admin's rule may set them.
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
        let fields = self.for_the_platform();
        let mut map: Map = fields.map(|(key, template)| (key.to_owned(), template.text().into())).collect();
        map.extend(self.variables.document().map(|variables| ("variables".to_owned(), variables)));
        (!map.is_empty()).then_some(Value::Object(map))
    }

    /// The variables that it sets, with their texts.
    pub(super) fn assignments(&self) -> impl Iterator<Item = (&str, &Template)> {
        self.variables.iter()
    }

    /// The texts that are published to the platform.
    pub(super) fn platform_templates(&self) -> impl Iterator<Item = &Template> {
        self.for_the_platform().map(|(_, template)| template)
    }

    /// The fields that are published to the platform, with their texts.
    fn for_the_platform(&self) -> impl Iterator<Item = (&'static str, &Template)> {
        let templates = [&self.result, &self.payout, &self.value, &self.external_id];
        FOR_THE_PLATFORM.into_iter().zip(templates).filter_map(|(key, template)| Some((key, template.as_ref()?)))
    }

    /// Every text with its place below `set`.
    pub(super) fn placed_templates(&self) -> impl Iterator<Item = (String, &Template)> {
        let fields = self.for_the_platform().map(|(key, template)| (format!("/{key}"), template));
        fields.chain(self.variables.placed_templates().map(|(place, template)| (format!("/variables{place}"), template)))
    }

    /// The fields for the platform that read a part of the response which is also stored in a secret variable, each with the fault.
    pub(super) fn leaks(&self) -> Vec<(&'static str, String)> {
        let hidden: BTreeSet<&str> = self.variables.secret_texts().flat_map(Template::response_parts).collect();
        let leak = |text: &Template| text.response_parts().find(|part| hidden.contains(part)).map(ToOwned::to_owned);
        let detail = |part: String| format!("{part} is set as a secret variable here: no event may hold its value");
        self.for_the_platform().filter_map(|(field, text)| Some((field, detail(leak(text)?)))).collect()
    }

    pub(super) fn templates(&self) -> impl Iterator<Item = &Template> {
        self.platform_templates().chain(self.variables.templates())
    }

    /// Returns true if a template reads the body.
    pub(super) fn looks_at_body(&self) -> bool {
        self.templates().any(Template::reads_body)
    }

    /// Returns true if a template reads fields of the body.
    pub(super) fn reads_fields(&self) -> bool {
        self.templates().any(Template::reads_fields)
    }

    /// The variables whose values nobody may see.
    pub(super) fn secret_variables(&self) -> impl Iterator<Item = &str> {
        self.variables.secret()
    }

    /// Returns true if it sets the variable.
    pub(super) fn sets_variable(&self, name: &str) -> bool {
        self.variables.sets(name)
    }

    /// An estimate of the memory that the templates take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.templates().map(Template::bytes).sum()
    }

    /// Renders its fields. `left_out` receives each field that is left out and the reason. An empty text sets nothing; surrounding blanks
    /// are removed.
    pub(super) fn extract(&self, scope: &Scope<'_>, left_out: &mut dyn FnMut(&str, String)) -> ExtractedData {
        let Assigned { values: variables, keep } = self.variables.extract(scope, left_out);
        ExtractedData {
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
