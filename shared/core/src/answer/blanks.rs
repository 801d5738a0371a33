//! Texts of a condition with macros in them: read once, filled for each answer (A2).
//!
//! **A macro's value is data**: the text around it is parsed with a blank in its place, and the value goes where the blank ended up.

use crate::{
    fault::Faults,
    template::{Allowed, Place, RenderFault, Scope, Template},
};

/// The mark of a macro in a text that is parsed.
pub(super) const BLANK: char = '\0';

/// A text with macros.
#[derive(Debug, Clone)]
pub(super) struct Text {
    written: Box<str>,
    /// The text with a blank in place of each macro.
    blanked: Box<str>,
    macros: Box<[Template]>,
}

/// A text with blanks, and the values that belong there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled<'a> {
    pub(super) text: &'a str,
    pub(super) values: &'a [String],
}

impl Text {
    /// Reads a text of a rule, or tells its faults.
    pub(super) fn parse(written: &str, pointer: &str, allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        if written.contains(BLANK) {
            faults.add(pointer, "holds a NUL character: leave it out");
            return None;
        }
        let template = match Template::parse_within(written, Place::Plain, allowed, faults) {
            Ok(template) => template,
            Err(all) => {
                for fault in all {
                    faults.add(pointer, format!("character {}: {}", fault.offset, fault.detail));
                }
                return None;
            }
        };
        if template.secrets().next().is_some() {
            faults.add(pointer, "a secret has no place here: responses are masked before conditions look at them");
            return None;
        }
        let (blanked, macros) = template.blanks(BLANK);
        Some(Self { written: written.into(), blanked: blanked.into(), macros: macros.into() })
    }

    /// A text that is taken as it is.
    pub(super) fn literal(written: &str) -> Self {
        Self { written: written.into(), blanked: written.into(), macros: Box::default() }
    }

    pub(super) fn written(&self) -> &str {
        &self.written
    }

    pub(super) fn has_macros(&self) -> bool {
        !self.macros.is_empty()
    }

    /// Returns true if a macro reads the body of the answer.
    pub(super) fn reads_body(&self) -> bool {
        self.macros.iter().any(Template::reads_body)
    }

    /// The text with these values.
    pub(super) fn with<'a>(&'a self, values: &'a [String]) -> Filled<'a> {
        Filled { text: &self.blanked, values }
    }

    /// Values that stand for those of an event while the rule is read.
    pub(super) fn sample(&self) -> Vec<String> {
        vec!["1".to_owned(); self.macros.len()]
    }

    /// The values of its macros; an empty text for one that is missing.
    pub(super) fn values(&self, scope: &Scope<'_>) -> Result<Vec<String>, RenderFault> {
        let render = |template: &Template| {
            let mut value = String::new();
            template.render(scope, &mut value).map(|_| value)
        };
        self.macros.iter().map(render).collect()
    }

    /// An estimate of the memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.written.len() + self.blanked.len() + self.macros.iter().map(Template::bytes).sum::<usize>()
    }
}

impl Filled<'_> {
    pub(super) fn to_text(self) -> String {
        fill(self.text, &mut self.values.iter())
    }
}

/// A part of a text with the next of the values in place of each blank.
pub(super) fn fill<'v>(part: &str, values: &mut impl Iterator<Item = &'v String>) -> String {
    let mut filled = String::with_capacity(part.len());
    for c in part.chars() {
        match c {
            BLANK => filled.push_str(values.next().map_or("", String::as_str)),
            c => filled.push(c),
        }
    }
    filled
}
