//! A stored rule and its resource.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{RuleDefinition, placeholders};
use crate::{caller::Owner, id::Id, json, json::Value, offer::Placement};

/// A rule with the fields that the server sets.
#[derive(Debug, Clone)]
pub struct TrackingApi {
    /// Its id.
    pub id: Id,
    /// Grows by 1 with every change; the `ETag`.
    pub version: u64,
    /// The owner; it never changes (V2).
    pub owner: Owner,
    /// The part that a person wrote.
    pub definition: RuleDefinition,
    /// The time of its creation.
    pub created_at: Timestamp,
    /// The time of its last change.
    pub updated_at: Timestamp,
}

impl TrackingApi {
    /// The secrets that the rule names and that have no value; `existing` have one (V4).
    pub fn missing_secrets(&self, existing: &BTreeSet<String>) -> BTreeSet<String> {
        self.definition.secret_names().difference(existing).cloned().collect()
    }

    /// Returns true if it is active: switched on, without placeholders, and with a value for every secret that it names (V4).
    pub fn is_active(&self, existing: &BTreeSet<String>) -> bool {
        self.definition.active && self.definition.why_inactive(&self.missing_secrets(existing)).is_none()
    }

    /// The whole resource: the fields that a person wrote, `country` and `category` of its placement (V1), the
    /// names of the secrets that have a value, never their values (Q5), the waits of the retries, warnings, and
    /// `health` if known.
    ///
    /// While a secret has no value or a placeholder is left, it reads inactive, with the reason.
    pub fn view(&self, placement: &Placement, existing_secrets: &BTreeSet<String>, health: Option<Value>) -> Value {
        let mut resource = self.definition.document();
        resource["id"] = self.id.as_str().into();
        resource["version"] = self.version.into();
        resource["owner"] = json!(self.owner);
        resource["country"] = placement.country.as_str().into();
        resource["category"] = json!(placement.category);
        resource["secrets"] = json!(existing_secrets);
        resource["created_at"] = json!(self.created_at);
        resource["updated_at"] = json!(self.updated_at);
        resource["schedule"] = json!(self.definition.plan.first_call().retry.schedule());
        resource["warnings"] = json!(self.definition.warnings());
        if let Some(health) = health {
            resource["health"] = health;
        }
        let reason = self.definition.why_inactive(&self.missing_secrets(existing_secrets));
        if let Some(reason) = reason.filter(|_| self.definition.active) {
            resource["active"] = false.into();
            resource["inactive_reason"] = reason.into();
        }
        resource
    }
}

impl RuleDefinition {
    /// The reason why it is inactive although it is switched on (V4): placeholders are left, or these secrets have no value.
    pub fn why_inactive(&self, missing_secrets: &BTreeSet<String>) -> Option<String> {
        let reasons = [placeholders::reason(&self.placeholders()), missing_reason(missing_secrets)];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }
}

fn missing_reason(missing: &BTreeSet<String>) -> Option<String> {
    let names: Vec<&str> = missing.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("secret {one} has no value yet")),
        several => Some(format!("secrets {} have no value yet", several.join(", "))),
    }
}
