//! Placeholders: parts of a text that its author must replace, as in presets (`YOUR-DOMAIN`). A rule with a placeholder is inactive
//! until it is filled in.

use super::RuleDefinition;
use crate::{fault::Faults, json::Value, placeholder::find, when::Condition};

/// A part of a rule's text that must still be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder<'a> {
    /// JSON pointer to the text that holds it.
    pub pointer: String,
    /// The placeholder as it is written.
    pub text: &'a str,
}

impl RuleDefinition {
    /// Returns the placeholders in its texts and conditions, each once for each text.
    pub fn placeholders(&self) -> Vec<Placeholder<'_>> {
        let mut found: Vec<Placeholder<'_>> = self.conditions.placed_texts().flat_map(|(at, text)| all_in(&at, text)).collect();
        for (at, template) in self.variables().placed_templates() {
            found.extend(all_in(&at, template.text()));
        }
        for call in self.plan.calls() {
            let (request_at, answer_at) = (call.request_pointer(), call.pointer("answer"));
            for (place, template) in call.request.placed_templates() {
                found.extend(all_in(&format!("{request_at}{place}"), template.text()));
            }
            for (place, condition) in call.request.placed_conditions(&request_at) {
                found.extend(all_in_condition(&place, condition));
            }
            for (place, condition) in call.answer.placed_conditions() {
                found.extend(all_in_condition(&format!("{answer_at}{place}"), condition));
            }
            // Those of steps are among the texts of the flow.
            for (place, template) in call.answer.placed_templates().filter(|_| !self.plan.has_steps()) {
                found.extend(all_in(&format!("{answer_at}{place}"), template.text()));
            }
        }
        for (place, mirror) in self.plan.placed_mirrors() {
            found.extend(all_in(&format!("{place}/tracking_api_id"), mirror.tracking_api_id.as_str()));
        }
        for (place, template) in self.plan.texts().placed_templates() {
            found.extend(all_in(&place, template.text()));
        }
        for (place, condition) in self.plan.texts().placed_conditions() {
            found.extend(all_in_condition(&place, condition));
        }
        found
    }

    /// Checks that the rule may be switched on, if `written`, a rule or a patch, does so.
    ///
    /// # Errors
    /// Every remaining placeholder, with its place.
    pub fn may_be_activated_by(&self, written: &Value) -> Result<(), Faults> {
        let is_asked = written.get("active").and_then(Value::as_bool) == Some(true);
        let mut faults = Faults::default();
        for Placeholder { pointer, text } in if is_asked { self.placeholders() } else { Vec::new() } {
            faults.add(pointer, format!("{text} is a placeholder: write your own value in its place before the rule is active"));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

/// The reason why a rule with these placeholders is inactive; `None` if there are none.
pub(super) fn reason(placeholders: &[Placeholder<'_>]) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for placeholder in placeholders {
        if !names.contains(&placeholder.text) {
            names.push(placeholder.text);
        }
    }
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("placeholder {one} is not filled in yet")),
        several => Some(format!("placeholders {} are not filled in yet", several.join(", "))),
    }
}

fn all_in<'a>(pointer: &str, text: &'a str) -> Vec<Placeholder<'a>> {
    find(text).into_iter().map(|text| Placeholder { pointer: pointer.to_owned(), text }).collect()
}

fn all_in_condition<'a>(pointer: &str, condition: &'a Condition) -> Vec<Placeholder<'a>> {
    condition.texts().flat_map(|(field, text)| all_in(&format!("{pointer}/{field}"), text)).collect()
}
