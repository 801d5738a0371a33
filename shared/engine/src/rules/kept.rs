//! Kept variables: values that outlive their delivery, such as a login's token (W5). They belong to one version of their rule and are
//! sealed. One delivery at a time runs a step that sets one; the lease is stored beside the values.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracking_core::{delivery::DeliveryId, tracking_api::Binding};

use super::{Rule, Rules};
use crate::{
    backend::{Backend, Item, StoreError},
    keys, rows,
    secrets::{Place, SealingKey},
    store::Update,
};

/// The kept variables of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptRow {
    /// The version of the rule that they belong to.
    version: u64,
    values: BTreeMap<String, KeptValue>,
    /// The delivery that runs a step that sets one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptValue {
    sealed: String,
    until: Timestamp,
    /// Nobody sees it, whatever the rule says of its name: it held the value of a secret when it was kept (W8).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    hidden: bool,
}

/// A value that a delivery keeps for later ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptText {
    pub(crate) value: String,
    /// The time for which it counts, in seconds.
    pub(crate) seconds: u32,
    /// Nobody sees it (W8).
    pub(crate) is_hidden: bool,
}

/// The kept variables that count at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeptVariables {
    pub(crate) values: BTreeMap<String, String>,
    /// The names of those that nobody sees, whatever the rule says of them (W8).
    pub(crate) hidden: BTreeSet<String>,
}

/// A lease on setting kept variables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lease {
    delivery: DeliveryId,
    until: Timestamp,
}

/// A delivery's use of kept variables.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeptChange {
    pub(crate) keep: BTreeMap<String, KeptText>,
    /// Names with the values that were read: dropped only if they are still those (W5).
    pub(crate) forget: BTreeMap<String, String>,
    /// The delivery whose lease ends.
    pub(crate) release: Option<DeliveryId>,
}

impl KeptChange {
    fn is_empty(&self) -> bool {
        self.keep.is_empty() && self.forget.is_empty() && self.release.is_none()
    }
}

impl<B: Backend> Rules<B> {
    /// The kept variables that count now.
    ///
    /// # Errors
    /// The store is unavailable.
    pub(crate) async fn kept(&self, rule: &Rule) -> Result<KeptVariables, StoreError> {
        if rule.definition.plan.kept_variables().is_empty() {
            return Ok(KeptVariables::default());
        }
        let stored = self.store.read_row(keys::kept(&rule.id)).await?;
        let row = of_version(rule, stored.map(|(row, _)| row));
        if row.values.is_empty() {
            return Ok(KeptVariables::default());
        }
        let values = opened(&*self.vault.key().await?, rule, &row, self.store.now());
        let hidden = values.keys().filter(|name| row.values.get(*name).is_some_and(|value| value.hidden)).cloned().collect();
        Ok(KeptVariables { values, hidden })
    }

    /// Takes the lease on setting kept variables for a delivery that has `read` these, until then. Returns the time at which to ask again
    /// if another one has it, or has set one since.
    ///
    /// # Errors
    /// The store is unavailable.
    pub(crate) async fn lease_kept(
        &self,
        rule: &Rule,
        (delivery, read): (&DeliveryId, &BTreeMap<String, String>),
        until: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let leased = |stored: Option<KeptRow>| {
            let (mut row, now) = (of_version(rule, stored), self.store.now());
            if let Some(lease) = row.lease.as_ref().filter(|lease| lease.until > now && lease.delivery != *delivery) {
                return Ok(Update::Keep(Some(lease.until)));
            }
            if row.values.iter().any(|(name, value)| value.until > now && !read.contains_key(name)) {
                return Ok(Update::Keep(Some(now)));
            }
            row.lease = Some(Lease { delivery: delivery.clone(), until });
            Ok(Update::Put(row.item(rule, now), None))
        };
        self.store.update(&keys::kept(&rule.id), leased).await
    }

    /// Changes kept variables, if there is anything to change.
    ///
    /// # Errors
    /// The store is unavailable.
    pub(crate) async fn change_kept(&self, rule: &Rule, change: &KeptChange) -> Result<(), StoreError> {
        if change.is_empty() {
            return Ok(());
        }
        let key = self.vault.key().await?;
        let changed = |stored: Option<KeptRow>| {
            let (mut row, now) = (of_version(rule, stored), self.store.now());
            let before = row.clone();
            row.values.retain(|_, value| value.until > now);
            let values = opened(&key, rule, &row, now);
            row.values.retain(|name, _| change.forget.get(name).is_none_or(|read| values.get(name) != Some(read)));
            for (name, KeptText { value, seconds, is_hidden }) in &change.keep {
                let sealed = key.seal(place(rule, name), &binding(rule), value);
                let until = now + SignedDuration::from_secs((*seconds).into());
                row.values.insert(name.clone(), KeptValue { sealed, until, hidden: *is_hidden });
            }
            if change.release.is_some() && row.lease.as_ref().map(|lease| &lease.delivery) == change.release.as_ref() {
                row.lease = None;
            }
            Ok(if row == before { Update::Keep(()) } else { Update::Put(row.item(rule, now), ()) })
        };
        self.store.update(&keys::kept(&rule.id), changed).await
    }
}

impl KeptRow {
    /// The row as an item: it expires a day after its last value and its lease.
    fn item(&self, rule: &Rule, now: Timestamp) -> Item {
        let last = self.values.values().map(|value| value.until).chain(self.lease.as_ref().map(|lease| lease.until)).max();
        let expires = last.unwrap_or(now) + SignedDuration::from_hours(24);
        Item { expires: Some(expires), ..rows::item(keys::kept(&rule.id), self) }
    }
}

/// The row for the present version of the rule: a stored one, or a new one.
fn of_version(rule: &Rule, stored: Option<KeptRow>) -> KeptRow {
    let version = rule.head.version;
    stored.filter(|row| row.version == version).unwrap_or_else(|| KeptRow { version, ..KeptRow::default() })
}

/// The values of a row that count now. One that does not open counts as missing: it is set again.
fn opened(key: &SealingKey, rule: &Rule, row: &KeptRow, now: Timestamp) -> BTreeMap<String, String> {
    let counting = row.values.iter().filter(|(_, value)| value.until > now);
    let open = |(name, value): (&String, &KeptValue)| {
        Some((name.clone(), key.open(place(rule, name), Some(&binding(rule)), &value.sealed).ok()?))
    };
    counting.filter_map(open).collect()
}

fn place<'a>(rule: &'a Rule, name: &'a str) -> Place<'a> {
    Place { rule: &rule.id, name, write_id: "kept" }
}

/// No secret of the rule has this binding.
fn binding(rule: &Rule) -> Binding {
    Binding { party: rule.head.owner.clone(), origin: "kept".to_owned(), uses: rule.head.version.to_string() }
}
