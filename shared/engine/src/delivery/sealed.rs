//! Secret variables at rest: a delivery's row holds them sealed (W8), as those that are kept for its rule are.
//!
//! A row in which an earlier version left them in clear is read as it is; its next attempt seals them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use tracking_core::{
    caller::Owner,
    id::Id,
    tracking_api::{Binding, RuleDefinition},
};

use crate::{
    backend::{Backend, StoreError},
    rows::{DeliveryRow, OwedDelivery},
    rules::Rules,
    secrets::{Place, SealingKey, holders},
};

/// The seal of a delivery's secret variables; it has no key where no variable can be secret.
#[derive(Clone, Default)]
pub(super) struct Seal(Option<Arc<SealingKey>>);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// The seal of a delivery of this rule that has this row, or none.
    ///
    /// # Errors
    /// The key can't be had: nothing may be sent for now.
    pub(super) async fn of<B: Backend>(
        rules: &Rules<B>,
        definition: &RuleDefinition,
        row: Option<&DeliveryRow>,
    ) -> Result<Self, StoreError> {
        let has_secret = row.is_some_and(|row| row.sealed.is_some() || !row.secret_variables.is_empty());
        let is_needed = has_secret || !definition.plan.secret_variables().is_empty() || definition.plan.listens();
        Ok(Self(if is_needed { Some(rules.sealing_key().await?) } else { None }))
    }

    /// The key, if one is needed.
    pub(super) fn key(&self) -> Option<&Arc<SealingKey>> {
        self.0.as_ref()
    }

    /// All variables of a row.
    ///
    /// # Errors
    /// They were sealed with another key: the delivery waits until that is back, as for its rule's secrets.
    pub(super) fn open(&self, row: &DeliveryRow) -> Result<BTreeMap<String, String>, StoreError> {
        let mut variables = row.variables.clone();
        if let (Some(key), Some(sealed)) = (&self.0, &row.sealed) {
            let opened = key.open(place(&row.owed), Some(&binding(&row.owed)), sealed);
            let opened = opened.map_err(|error| StoreError::Unavailable(error.to_string()))?;
            let secret: BTreeMap<String, String> =
                serde_json::from_str(&opened).map_err(|error| StoreError::Unavailable(error.to_string()))?;
            variables.extend(secret);
        }
        Ok(variables)
    }

    /// Writes variables into a row in place of those that it has. The secret ones are sealed: those that the rule or the row calls secret,
    /// and those whose values hold that of a secret one.
    pub(super) fn write(&self, definition: &RuleDefinition, row: &mut DeliveryRow, variables: BTreeMap<String, String>) {
        (row.variables, row.sealed) = (variables, None);
        let Some(key) = &self.0 else { return };
        let named = definition.plan.secret_variables().iter().chain(&row.secret_variables).map(String::as_str).collect();
        let holders = holders(&row.variables, &named);
        let (secret, shown) = std::mem::take(&mut row.variables).into_iter().partition(|(name, _)| holders.contains(name));
        let secret: BTreeMap<String, String> = secret;
        row.variables = shown;
        if !secret.is_empty() {
            let text = serde_json::to_string(&secret).expect("a map of texts has a JSON form");
            row.sealed = Some(key.seal(place(&row.owed), &binding(&row.owed), &text));
        }
        row.secret_variables.extend(secret.into_keys());
    }
}

impl Seal {
    /// Opens a request from outside that was sealed when it came.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) fn open_callback(&self, rule: &Id, name: &str, sealed: &str) -> Result<String, StoreError> {
        let none = || StoreError::Unavailable("the key of callbacks is not there".to_owned());
        open_callback(self.0.as_deref().ok_or_else(none)?, rule, name, sealed)
    }
}

/// Seals a request from outside until its delivery reads it; `name` is its own.
pub(crate) fn seal_callback(key: &SealingKey, rule: &Id, name: &str, text: &str) -> String {
    key.seal(Place { rule, name, write_id: "callback" }, &of_outside(), text)
}

fn open_callback(key: &SealingKey, rule: &Id, name: &str, sealed: &str) -> Result<String, StoreError> {
    let opened = key.open(Place { rule, name, write_id: "callback" }, Some(&of_outside()), sealed);
    opened.map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// No secret of a rule has this binding.
fn of_outside() -> Binding {
    Binding { party: Owner::Admin, origin: "callback".to_owned(), uses: String::new() }
}

fn place(owed: &OwedDelivery) -> Place<'_> {
    Place { rule: &owed.rule, name: owed.id.as_str(), write_id: "variables" }
}

/// No secret of a rule has this binding.
fn binding(owed: &OwedDelivery) -> Binding {
    Binding { party: owed.owner.clone(), origin: "delivery".to_owned(), uses: String::new() }
}
