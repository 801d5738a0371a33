//! Secret variables: values that a response gave to later requests of its delivery, and that nobody sees (A3).
//!
//! The rule reads them as they are. People see them masked: in requests that hold them, and in the responses that they came from. A
//! variable whose value holds that of a secret one is secret too, and so is a part of a response that other steps refer to.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use tracking_core::request::Rendered;

use super::{
    SendResult,
    render::{Judged, Rendering},
};
use crate::secrets::{MASK, Scrubber, Texts, derived};

impl Rendering<'_> {
    /// The secret variables: those of the rule as it is, and those that were secret when they were set.
    fn secret_variables(&self) -> BTreeSet<&str> {
        let kept = self.secret_variables.iter().map(String::as_str);
        kept.chain(self.definition.plan.secret_variables().iter().map(String::as_str)).collect()
    }

    /// The variables as people see them.
    pub(super) fn shown_variables(&self) -> Cow<'_, BTreeMap<String, String>> {
        let secret = self.secret_variables();
        if !self.variables.keys().any(|name| secret.contains(name.as_str())) {
            return Cow::Borrowed(self.variables);
        }
        let scrubber = Scrubber::of_variables(self.variables, &secret);
        let shown = |(name, value): (&String, &String)| {
            let is_secret = !value.is_empty() && secret.contains(name.as_str());
            (name.clone(), if is_secret { MASK.to_owned() } else { scrubber.scrub(value) })
        };
        Cow::Owned(self.variables.iter().map(shown).collect())
    }

    /// Returns true if a request may hold the value of a secret variable.
    pub(super) fn has_secret_variables(&self) -> bool {
        matches!(self.shown_variables(), Cow::Owned(_))
    }

    /// The text of an end, or of a note, as people see it: secrets and the secret ones of `variables` are masked.
    pub(crate) fn shown_text(&self, text: &str, variables: &BTreeMap<String, String>, is_of_two_parties: bool) -> String {
        let mut text = text.to_owned();
        self.mask_texts(std::iter::once(&mut text), variables, is_of_two_parties);
        text
    }

    /// Masks several such texts.
    pub(super) fn mask_texts<'t>(
        &self,
        texts: impl Iterator<Item = &'t mut String>,
        variables: &BTreeMap<String, String>,
        is_of_two_parties: bool,
    ) {
        // Without the request as people see it, everything that the event gave to the request would count as made of a secret.
        let shown = self.shown().ok();
        let (secrets, variables) =
            (self.scrubber(shown.as_ref(), is_of_two_parties), Scrubber::of_variables(variables, &self.secret_variables()));
        for text in texts {
            *text = variables.scrub(&secrets.scrub(text));
        }
    }

    /// Masks the values of secret variables in the response and its meaning. The new values of the variables stay.
    pub(super) fn hide(&self, sent: SendResult, mut judged: Judged, shown: Option<&Rendered>) -> (SendResult, Judged) {
        let secret = self.secret_variables();
        let values = |variables: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            let of_secrets = variables.iter().filter(|(name, _)| secret.contains(name.as_str()));
            of_secrets.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        let (before, new) = (values(self.variables), values(&judged.extracted.variables));
        if before.is_empty() && new.is_empty() {
            return (sent, judged);
        }
        let real = if before.is_empty() { None } else { self.request().ok() };
        let derived = real.map(|real| derived(&self.call().request, &self.scope(self.secrets, None), &real, shown));
        // The same variable may have two values: the one that was sent, and the one that came.
        let names: Vec<(String, &str)> = [("before", &before), ("new", &new)]
            .into_iter()
            .flat_map(|(age, values)| values.iter().map(move |(name, value)| (format!("{age} {name}"), value.as_str())))
            .collect();
        let secrets = names.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let scrubber = Scrubber::new(&Texts { secrets, derived: derived.unwrap_or_default() });
        judged.hidden = hidden(&judged, &secret, &scrubber);
        judged.why = scrubber.scrub(&judged.why);
        judged.notes.iter_mut().for_each(|note| *note = scrubber.scrub(note));
        judged.extracted.external_id = judged.extracted.external_id.as_deref().map(|id| scrubber.scrub(id));
        (sent.map(|answer| scrubber.answer(answer)), judged)
    }
}

/// The variables of a response that nobody sees, and the parts of it that other steps refer to and nobody sees.
fn hidden(judged: &Judged, secret: &BTreeSet<&str>, scrubber: &Scrubber) -> BTreeSet<String> {
    let is_hidden = |(name, value): &(&String, &String)| secret.contains(name.as_str()) || scrubber.scrub(value) != **value;
    let references = judged.references.iter().map(|(name, value)| (name, value));
    judged.extracted.variables.iter().chain(references).filter(is_hidden).map(|(name, _)| name.clone()).collect()
}
