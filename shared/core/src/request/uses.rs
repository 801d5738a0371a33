//! Places of a request that read a secret: the secret's value is bound to them and to the receiver, and their output is masked (Q5).

use std::collections::BTreeSet;

use super::Request;
use crate::{
    hash,
    template::{Reach, Scope, Template},
};

/// The length of a fingerprint in characters: 125 bits.
const FINGERPRINT_CHARS: usize = 25;

impl Template {
    /// Returns true if it reads this secret.
    pub(super) fn reads(&self, secret: &str) -> bool {
        self.secrets().any(|name| name == secret)
    }
}

impl Request {
    /// Scheme, host and port of the receiver as in every URL of this request; a scheme's usual port is left out.
    pub fn origin(&self) -> &str {
        self.target.origin()
    }

    /// The URL as it was written.
    pub fn url(&self) -> &str {
        self.target.text()
    }

    /// The variables that read something directly or through each other, and whether the sorted query holds it. `is_direct` returns true
    /// for a text that reads it directly.
    pub(super) fn reach(&self, is_direct: impl Fn(&Template) -> bool) -> Reach {
        let mut reach = Reach::default();
        // A variable may read the sorted query, which holds variables that come after it.
        for _ in 0..2 {
            for (name, value) in self.variables.iter() {
                if value.templates().any(|template| is_direct(template) || reach.covers(template)) {
                    reach.variables.insert(name.into());
                }
            }
            let own = self.target.query().iter().filter(|template| !self.is_late(template));
            let entries = self.query.iter().filter(|entry| !entry.value.templates().any(|template| self.is_late(template)));
            let mut query = own.chain(entries.flat_map(|entry| entry.value.templates()));
            reach.query_sorted |= query.any(|template| is_direct(template) || reach.covers(template));
        }
        reach
    }

    /// The texts that macros make of secrets, after modifiers and before the encoding of their place (Q5).
    pub fn secret_texts(&self, scope: &Scope<'_>) -> BTreeSet<String> {
        let Ok(bound) = self.bound(scope) else { return BTreeSet::new() };
        let scope = scope.with(&bound);
        self.templates().flat_map(|template| template.secret_texts(&scope)).collect()
    }

    /// Returns a fingerprint of the method, the URL and every place that reads `secret`: header, query entry, body field or text, and
    /// the signature. A signature covers the body, so the fingerprint then covers the body. A place may read the secret through variables
    /// or the sorted query: then the fingerprint covers all of these. `None` means a secret that no place reads.
    /// Stored values depend on it: a change of this function makes all of them unusable.
    pub fn uses_fingerprint(&self, secret: Option<&str>) -> String {
        let mut parts = vec!["secret use", self.method.as_str(), self.target.text()];
        let Some(secret) = secret else { return hash::text(&parts, FINGERPRINT_CHARS) };
        let reach = self.reach(|template| template.reads(secret));
        let uses = |template: &Template| template.reads(secret) || reach.covers(template);
        let signs = self.signing.as_ref().is_some_and(|signing| signing.secret() == secret);
        let covered = || self.templates().filter(|template| uses(template));
        let with_query = signs && self.derived.reads_sorted_query || covered().any(Template::reads_sorted_query);
        for entry in self.query.iter().filter(|entry| with_query || entry.value.templates().any(uses)) {
            parts.extend(["query", &entry.name, entry.value.written()]);
        }
        let header_names: Vec<String> = self.headers.iter().map(|header| header.name.to_ascii_lowercase()).collect();
        for (header, name) in self.headers.iter().zip(&header_names).filter(|(header, _)| header.value.templates().any(uses)) {
            parts.extend(["header", name, header.value.written()]);
        }
        if let Some(signing) = self.signing.as_ref().filter(|signing| signs || signing.templates().any(uses)) {
            parts.extend(signing.fingerprint());
        }
        parts.extend(self.body.parts_that(|template| signs || uses(template)));
        if signs || !reach.variables.is_empty() || covered().any(|template| template.variables().next().is_some()) {
            parts.extend(self.variables.iter().flat_map(|(name, value)| ["variable", name, value.written()]));
        }
        hash::text(&parts, FINGERPRINT_CHARS)
    }
}
