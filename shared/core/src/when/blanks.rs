//! Texts of a condition with macros: read once, filled for each response (A2).
//!
//! **A macro's value is data**: the text around it is parsed with a blank in its place, and the value then replaces the blank.

use crate::{
    fault::Faults,
    path::{BLANK, fill},
    template::{Allowed, RenderFault, Scope, Template, add_all},
};

/// A text with macros.
#[derive(Debug, Clone)]
pub(super) struct Text {
    template: Template,
    /// The text with a blank in place of each macro.
    blanked: Box<str>,
    /// The texts in braces that are no macros.
    strays: Box<[Box<str>]>,
}

/// A text with blanks, and the values for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled<'a> {
    pub(super) text: &'a str,
    pub(super) values: &'a [String],
}

impl Text {
    /// Reads a text of a rule; adds its faults to `faults`.
    pub(super) fn parse(written: &str, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        if written.contains(BLANK) {
            faults.add(pointer, "holds a NUL character: leave it out");
            return None;
        }
        let read = Template::parse_condition(written, allowed, faults);
        let (template, strays) = read.map_err(|found| add_all(found, pointer, faults)).ok()?;
        if !may_read(&template, pointer, allowed, faults) {
            return None;
        }
        let blanked = template.blanks(BLANK).into();
        Some(Self { template, blanked, strays: strays.into() })
    }

    /// A literal text.
    pub(super) fn literal(written: &str) -> Self {
        Self { template: Template::verbatim(written), blanked: written.into(), strays: Box::default() }
    }

    pub(super) fn written(&self) -> &str {
        self.template.text()
    }

    pub(super) fn template(&self) -> &Template {
        &self.template
    }

    /// The texts in braces that are no macros, as they were written.
    pub(super) fn strays(&self) -> impl Iterator<Item = &str> {
        self.strays.iter().map(|stray| &**stray)
    }

    pub(super) fn has_macros(&self) -> bool {
        self.template.has_macros()
    }

    /// The text with these values.
    pub(super) fn with<'a>(&'a self, values: &'a [String]) -> Filled<'a> {
        Filled { text: &self.blanked, values }
    }

    /// Example values, used in place of an event's while the rule is read.
    pub(super) fn sample(&self) -> Vec<String> {
        vec!["1".to_owned(); self.template.macros().count()]
    }

    /// The values of its macros; an empty text for a missing one.
    pub(super) fn values(&self, scope: &Scope<'_>) -> Result<Vec<String>, RenderFault> {
        self.template.values(scope)
    }

    /// An estimate of the memory that the text takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.template.bytes() + self.blanked.len() + self.strays().map(str::len).sum::<usize>()
    }
}

/// Returns true if a condition may read the template's macros; else adds a fault.
pub(super) fn may_read(template: &Template, pointer: &str, allowed: Allowed, faults: &mut Faults) -> bool {
    let reads_secret = template.secrets().next().is_some();
    let refused = match (reads_secret, allowed.answer) {
        (true, true) => Some("a secret has no place here: responses are masked before conditions look at them"),
        (true, false) => Some("a secret has no place here: the request would reveal it"),
        (false, false) if template.reads_sorted_query() => Some("the sorted query is made once the conditions are judged"),
        (false, _) => None,
    };
    if let Some(detail) = refused {
        faults.add(pointer, detail);
    }
    refused.is_none()
}

impl Filled<'_> {
    pub(super) fn to_text(self) -> String {
        fill(self.text, &mut self.values.iter())
    }
}
