//! Values of secrets when their rule changes (Q5, V2).
//!
//! A value is bound to the party that wrote it and to the request that it was written for ([`Binding`]). A change by the same party takes
//! it along: it is sealed again. A change by another party drops it; the rule then reads inactive with a reason, and its deliveries wait
//! until the value is written again. So an affiliate can't lead an admin's token to its own server, nor an admin an affiliate's.
//!
//! Values from before there were bindings open as they are. When their request is changed, the history names their writer; where it does
//! not reach back so far, every change drops them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{
    caller::Owner,
    id::Id,
    json,
    json::Value,
    tracking_api::{Binding, Difference, RuleDefinition},
};

use super::{
    Refused, Rule, RuleHead,
    audit::{Act, Action},
};
use crate::{
    backend::{Backend, Item, StoreError},
    keys, rows,
    rules::Rules,
    secrets::Place,
};

/// The binding of a stored value, as the head has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub(crate) binding: Binding,
    /// The write that brought the value; the value was sealed again since if it is stored under another.
    pub(crate) value_of: String,
}

/// A secret whose value was dropped because another party changed its request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unbound {
    /// The change, in words.
    pub(crate) why: String,
    pub(crate) since: Timestamp,
}

/// A value that is to be sealed under a new write.
struct Unsealed {
    name: String,
    value: String,
    party: Owner,
    /// The write that brought it; `None`: the new one.
    value_of: Option<String>,
}

/// The fate of a value when its rule changes.
enum Fate {
    Stays,
    SealedAgain(Unsealed),
    Dropped(String),
}

impl<B: Backend> Rules<B> {
    /// Names the head's write, seals the given values and those that come along, and enters them in the head.
    pub(super) async fn seal(
        &self,
        act: &Act,
        id: &Id,
        old: Option<&Rule>,
        head: &mut RuleHead,
        definition: &RuleDefinition,
        given: &BTreeMap<String, String>,
    ) -> Result<Vec<Item>, Refused> {
        head.write_id = keys::new_write_id(head.version);
        let party = act.actor.caller.as_owner();
        let mut unsealed = Vec::new();
        for (name, value) in given {
            head.unbound.remove(name);
            unsealed.push(Unsealed { name: name.clone(), value: value.clone(), party: party.clone(), value_of: None });
        }
        if let Some(rule) = old {
            let names: Vec<String> = head.secrets.keys().filter(|name| !given.contains_key(*name)).cloned().collect();
            for name in names {
                match self.fate(act, &party, rule, &name, definition).await? {
                    Fate::Stays if !given.is_empty() => rule.head.expect_party(&party, &name)?,
                    Fate::Stays => {}
                    Fate::SealedAgain(value) => unsealed.push(value),
                    Fate::Dropped(why) => {
                        head.secrets.remove(&name);
                        head.bindings.remove(&name);
                        head.unbound.insert(name, Unbound { why, since: head.updated_at });
                    }
                }
            }
        }
        let used = definition.secret_names();
        head.unbound.retain(|name, _| used.contains(name));
        if unsealed.is_empty() {
            return Ok(Vec::new());
        }
        let key = self.vault.key().await?;
        let mut items = Vec::new();
        for Unsealed { name, value, party, value_of } in unsealed {
            let binding = definition.binding(&name, &party);
            let sealed = key.seal(Place { rule: id, name: &name, write_id: &head.write_id }, &binding, &value);
            items.push(rows::item(keys::secret(id, &name, &head.write_id), &sealed));
            let value_of = value_of.unwrap_or_else(|| head.write_id.clone());
            head.secrets.insert(name.clone(), head.write_id.clone());
            head.bindings.insert(name, Bound { binding, value_of });
        }
        Ok(items)
    }

    async fn fate(
        &self,
        act: &Act,
        party: &Owner,
        rule: &Rule,
        name: &str,
        definition: &RuleDefinition,
    ) -> Result<Fate, Refused> {
        let Rule { id, head, definition: before } = rule;
        let Some(write_id) = head.secrets.get(name) else { return Ok(Fate::Stays) };
        let bound = head.bindings.get(name);
        let honoured = bound.filter(|bound| definition.honours(name, &bound.binding));
        if honoured.is_some_and(|bound| bound.binding.party == *party) {
            return Ok(Fate::Stays);
        }
        let Some(difference) = definition.difference(before, name) else {
            // An older value has no binding; a binding that this rule doesn't honour was never one of its values.
            let is_foreign = bound.is_some() && honoured.is_none();
            return Ok(if is_foreign { Fate::Dropped("it was written for another request".to_owned()) } else { Fate::Stays });
        };
        let writer = match bound {
            Some(bound) => Some(bound.binding.party.clone()),
            None => self.writer_of(id, &head.owner, write_id).await?,
        };
        let part = difference.as_str();
        if writer.as_ref() != Some(party) {
            let unknown = if writer.is_none() { ", and who wrote the secret is not known" } else { " by another party" };
            return Ok(Fate::Dropped(format!("{part} was changed{unknown}")));
        }
        if act.action == Action::Restored && difference == Difference::Origin {
            return Ok(Fate::Dropped("the version that was restored goes to another host".to_owned()));
        }
        let Some(item) = self.store.get_one(keys::secret(id, name, write_id)).await? else {
            // Somebody has changed the rule since it was read.
            return Err(Refused::Changed { current: head.version + 1 });
        };
        let Some(value) = self.open_secret(rule, name, write_id, &item).await? else {
            return Ok(Fate::Dropped("it was written for another request".to_owned()));
        };
        let value_of = bound.map_or(write_id, |bound| &bound.value_of).clone();
        Ok(Fate::SealedAgain(Unsealed { name: name.to_owned(), value, party: party.clone(), value_of: Some(value_of) }))
    }

    /// The party that wrote a value from before there were bindings, if that is known.
    async fn writer_of(&self, id: &Id, owner: &Owner, write_id: &str) -> Result<Option<Owner>, StoreError> {
        if *owner == Owner::Admin {
            return Ok(Some(Owner::Admin));
        }
        self.author(id, write_id).await
    }

    /// A value in clear; `None` if the rule is not the one that it was written for.
    async fn open_secret(&self, rule: &Rule, name: &str, write_id: &str, item: &Item) -> Result<Option<String>, StoreError> {
        let binding = rule.head.bindings.get(name).map(|bound| &bound.binding);
        if binding.is_some_and(|binding| !rule.definition.honours(name, binding)) {
            return Ok(None);
        }
        let sealed: String = rows::read_item(item)?;
        let key = self.vault.key().await?;
        let value = key.open(Place { rule: &rule.id, name, write_id }, binding, &sealed);
        value.map(Some).map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    /// The values of a rule's secrets that it may send as it is (Q5). `None`: one of them was replaced since the head was read.
    pub(crate) async fn secrets(&self, rule: &Rule) -> Result<Option<Arc<BTreeMap<String, String>>>, StoreError> {
        let Rule { id, head, definition } = rule;
        let may_send = |name: &str| head.bindings.get(name).is_none_or(|bound| definition.honours(name, &bound.binding));
        let write_ids: BTreeMap<String, String> = head
            .secrets
            .iter()
            .filter(|(name, _)| may_send(name))
            .map(|(name, write_id)| (name.clone(), write_id.clone()))
            .collect();
        if write_ids.is_empty() {
            return Ok(Some(Arc::default()));
        }
        if let Some(values) = self.cache.secrets(id, &write_ids) {
            return Ok(Some(values));
        }
        let keys: Vec<_> = write_ids.iter().map(|(name, write_id)| keys::secret(id, name, write_id)).collect();
        let items = self.store.backend().get(&keys).await?;
        let mut values = BTreeMap::new();
        for ((name, write_id), item) in write_ids.iter().zip(items) {
            let Some(item) = item else { return Ok(None) };
            values.extend(self.open_secret(rule, name, write_id, &item).await?.map(|value| (name.clone(), value)));
        }
        let values = Arc::new(values);
        self.cache.keep_secrets(id, &write_ids, &values);
        Ok(Some(values))
    }
}

impl RuleHead {
    /// The write that brought a secret's value, also if it was sealed again since.
    pub(super) fn value_of(&self, name: &str) -> Option<&String> {
        let write_id = self.secrets.get(name)?;
        Some(self.bindings.get(name).map_or(write_id, |bound| &bound.value_of))
    }

    /// The party that wrote a secret's value. One from before there were bindings counts as an admin's.
    fn party_of(&self, name: &str) -> &Owner {
        self.bindings.get(name).map_or(&Owner::Admin, |bound| &bound.binding.party)
    }

    /// Refuses to write values beside one that another party wrote: one response holds both, and the places of one value's masks would
    /// reveal the other value.
    fn expect_party(&self, party: &Owner, name: &str) -> Result<(), Refused> {
        if self.party_of(name) == party {
            return Ok(());
        }
        Err(Refused::Conflict(format!(
            "another party wrote secret {name}, and one party writes all secrets of a Tracking API: write its value too, in the same \
             request (secret_values), or take it out of the rule and delete it first"
        )))
    }

    /// Returns true if its values are of more than one party, as only those can be that were written before this was refused.
    pub(crate) fn is_of_two_parties(&self) -> bool {
        let mut parties = self.secrets.keys().map(|name| self.party_of(name));
        let first = parties.next();
        parties.any(|party| Some(party) != first)
    }

    /// Returns true if the rule fires: it was asked to, no placeholder is left in it, and every secret that it names has a value (V4) or had
    /// one that must be written again, for which its postbacks wait.
    pub(super) fn fires(&self, definition: &RuleDefinition) -> bool {
        let known = |name: &String| self.secrets.contains_key(name) || self.unbound.contains_key(name);
        definition.active && definition.placeholders().is_empty() && definition.secret_names().iter().all(known)
    }

    /// The reason why a value must be written again, and the time since then; `None` if every secret that the rule names may be sent.
    pub(crate) fn unbound(&self, definition: &RuleDefinition) -> Option<(String, Timestamp)> {
        let found: BTreeMap<String, Unbound> = definition
            .secret_names()
            .into_iter()
            .filter_map(|name| self.unbound_one(definition, &name).map(|one| (name, one)))
            .collect();
        let since = found.values().map(|unbound| unbound.since).max()?;
        let reasons: Vec<String> =
            found.iter().map(|(name, Unbound { why, .. })| format!("secret {name} must be written again: {why}")).collect();
        Some((reasons.join("; "), since))
    }

    /// The names of the secrets whose values must be written again.
    pub(crate) fn unbound_names(&self, definition: &RuleDefinition) -> Vec<String> {
        definition.secret_names().into_iter().filter(|name| self.unbound_one(definition, name).is_some()).collect()
    }

    fn unbound_one(&self, definition: &RuleDefinition, name: &str) -> Option<Unbound> {
        let foreign = self.bindings.get(name).is_some_and(|bound| !definition.honours(name, &bound.binding));
        let foreign =
            || foreign.then(|| Unbound { why: "it was written for another request".to_owned(), since: self.updated_at });
        self.unbound.get(name).cloned().or_else(foreign)
    }
}

/// Adds to a rule's resource the values that must be written again.
pub(super) fn show_unbound(rule: &Rule, resource: &mut Value) {
    let Some((reason, _)) = rule.head.unbound(&rule.definition) else { return };
    if let Some(warnings) = resource["warnings"].as_array_mut() {
        warnings.push(json!({"pointer": "", "detail": format!("postbacks wait for at most 72 hours: {reason}")}));
    }
    if !rule.definition.active {
        return;
    }
    let unbound = rule.head.unbound_names(&rule.definition);
    let never = |name: &String| !rule.head.secrets.contains_key(name) && !unbound.contains(name);
    let never = rule.definition.secret_names().into_iter().filter(never).collect();
    let never = if rule.head.live { None } else { rule.definition.why_inactive(&never) };
    resource["active"] = false.into();
    resource["inactive_reason"] = never.into_iter().chain([reason]).collect::<Vec<_>>().join("; ").into();
}
