//! The value of each macro of a template and its origin, for people who try a rule.

use std::{collections::HashSet, fmt};

use super::{Modifier, Scope, Slot, Template, Value};
use crate::{change::Transaction, macros::Macro};

/// The mask of every value that is made with a secret (Q5).
pub const MASK: &str = "***";

/// One macro of a template in one rendering.
#[derive(Clone, PartialEq, Eq)]
pub struct Traced<'t> {
    /// The macro as it was written, braces and modifiers included.
    pub written: &'t str,
    /// Its name in the catalogue, aliases resolved.
    pub name: String,
    /// The origin of its value: a pointer into the event's detail, or a description.
    pub from: String,
    /// The value before its modifiers, a mask for a secret; empty if it is missing (Q2).
    pub value: String,
    /// The text after its modifiers and before the encoding of its place; a mask if it is made with a secret.
    pub text: String,
    /// `true` if there was no value.
    pub missing: bool,
}

impl fmt::Debug for Traced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced").field("written", &self.written).field("from", &self.from).finish_non_exhaustive()
    }
}

impl Template {
    /// The macros with their values, in the order of the text, repeated ones once. `transactions` are all of the conversion's: a pointer to
    /// the event's transaction uses its position among them.
    pub fn trace<'t>(&'t self, scope: &Scope<'_>, transactions: &[Transaction]) -> impl Iterator<Item = Traced<'t>> {
        let mut written = HashSet::new();
        let first = self.slots().filter(move |slot| written.insert(self.text.get(slot.written.clone())));
        first.map(|slot| slot.trace(&self.text, scope, transactions))
    }

    /// The texts that its macros make of secrets, after their modifiers and before the encoding of their place (Q5).
    pub fn secret_texts<'t>(&'t self, scope: &'t Scope<'_>) -> impl Iterator<Item = String> {
        self.slots()
            .filter(|slot| slot.reads_secret(scope))
            .map(|slot| slot.modified(slot.value(scope).unwrap_or(Value::MISSING), scope))
    }
}

impl Slot {
    fn trace<'t>(&'t self, template: &'t str, scope: &Scope<'_>, transactions: &[Transaction]) -> Traced<'t> {
        let value = self.value(scope).unwrap_or(Value::MISSING);
        let missing = value.is_empty();
        let mut shown = value.to_string();
        let mut text = self.modified(value, scope);
        if self.reads_secret_before_modifiers(scope) && !missing {
            MASK.clone_into(&mut shown);
        }
        if self.reads_secret(scope) && !text.is_empty() {
            MASK.clone_into(&mut text);
        }
        Traced {
            written: template.get(self.written.clone()).unwrap_or_default(),
            name: self.name(),
            from: self.origin(scope, transactions),
            value: shown,
            text,
            missing,
        }
    }

    fn origin(&self, scope: &Scope<'_>, transactions: &[Transaction]) -> String {
        match (&self.source, scope.bound) {
            (Macro::Var(name), Some(bound)) if bound.variables.contains_key(&**name) => format!("variable {name} of the rule"),
            (source, _) => source.origin(scope.event, transactions),
        }
    }

    /// Returns true if the value is a secret, or is made with one.
    fn reads_secret_before_modifiers(&self, scope: &Scope<'_>) -> bool {
        self.source.secret().is_some() || scope.bound.is_some_and(|bound| bound.secret.holds(&self.source))
    }

    pub(super) fn reads_secret(&self, scope: &Scope<'_>) -> bool {
        self.reads_secret_before_modifiers(scope) || self.modifiers.iter().any(|modifier| modifier.secret().is_some())
    }

    /// The text after all modifiers; empty if it is dropped or can't be rendered.
    fn modified<'v>(&'v self, mut value: Value<'v>, scope: &Scope<'v>) -> String {
        for modifier in &self.modifiers {
            if matches!(modifier, Modifier::OmitIfEmpty) {
                if value.is_empty() {
                    return String::new();
                }
                continue;
            }
            match modifier.apply(value, scope) {
                Ok(changed) => value = changed,
                Err(_) => return String::new(),
            }
        }
        value.to_string()
    }
}
