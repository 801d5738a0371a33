//! Placeholders: parts of a text that its author must replace, as in presets (`YOUR-DOMAIN`). A rule with a placeholder is inactive
//! until it is filled in.

use super::RuleDefinition;
use crate::{fault::Faults, json::Value, template::Template};

/// The beginnings of placeholders. [`crate::presets`] use the first.
const BEGINNINGS: [&str; 2] = ["YOUR-", "YOUR_"];

/// A part of a rule's text that must still be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder<'a> {
    /// JSON pointer to the text that holds it.
    pub pointer: String,
    /// The placeholder as it is written.
    pub text: &'a str,
}

impl RuleDefinition {
    /// Returns the placeholders in its texts, in the order of the document, each once for each text.
    pub fn placeholders(&self) -> Vec<Placeholder<'_>> {
        let requests = self.plan.calls().flat_map(|call| {
            let at = call.request_pointer();
            call.request.placed_templates().map(move |(place, template)| (format!("{at}{place}"), template))
        });
        let variables = self.variables().placed_templates();
        requests
            .chain(variables)
            .chain(self.plan.texts().placed_templates())
            .flat_map(|(pointer, template)| all_in(&pointer, template))
            .collect()
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

fn all_in<'a>(pointer: &str, template: &'a Template) -> Vec<Placeholder<'a>> {
    placeholders_of(template).into_iter().map(|text| Placeholder { pointer: pointer.to_owned(), text }).collect()
}

/// The placeholders in a text, each once.
pub(super) fn placeholders_of(template: &Template) -> Vec<&str> {
    find(template.text())
}

fn find(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(start) = BEGINNINGS.iter().filter_map(|beginning| text[at..].find(beginning)).min().map(|start| at + start) {
        let rest = &text[start..];
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let placeholder = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        // `GET-YOUR-LOAN` and `forYOUR_` are no placeholders.
        let stands_alone = !text[..start].ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        if stands_alone && placeholder.len() > BEGINNINGS[0].len() && !found.contains(&placeholder) {
            found.push(placeholder);
        }
        at = start + placeholder.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(find(text), expected, "{text}");
    }

    #[test]
    fn case_d3_a_placeholder_is_a_word_of_its_own_in_capitals() {
        check("https://YOUR-DOMAIN.example/p?n=YOUR-NETWORK-ID&t=YOUR_TOKEN", &["YOUR-DOMAIN", "YOUR-NETWORK-ID", "YOUR_TOKEN"]);
        check("<YOUR_API_KEY>", &["YOUR_API_KEY"]);
        check("YOUR-ID and YOUR-ID2 and YOUR-ID", &["YOUR-ID", "YOUR-ID2"]);
        check("https://a.example/?utm=GET-YOUR-LOAN&x=YOUR- YOUR_&y=your-domain", &[]);
        check("žYOUR-DOMAIN", &[]);
    }
}
