//! Rules as they are stored: a head that decides, a text per write, index copies that are always a superset.
//!
//! A change of a rule is written in this order: an intent, the new text and the new index copies; then the head, if nobody else changed
//! it; then the items that are no longer needed are removed. Everything but the head is stored under the write's own name, so that writers
//! of one version never touch each other's. A crash in between leaves the old head or the new one, and the sweep cleans up after the
//! intent. Matching looks a candidate's head up, so that an index copy too many does no harm.
//!
//! A deleted rule leaves a tombstone for as long as the log may remember it: made again with the same idempotency key, it goes on with
//! the next version and epoch.
//!
//! Every write has its entry in the rule's history (audit), put with its text, so that no change is without one.

mod audit;
mod binding;
mod cache;
mod change;
mod clean_up;
mod create;
pub(crate) mod kept;
mod mirrors;
mod offers;
mod over;
mod prune;
mod quota;
mod secret_values;
mod versions;
mod webhook;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use futures_util::future::join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{
    caller::{Caller, Owner},
    id::Id,
    json::Value,
    matching::RuleMatcher,
    offer::{Placement, placement},
    tracking_api::{RuleDefinition, Settings, TrackingApi},
    trigger::Trigger,
};

pub use crate::refused::Refused;
use crate::{
    backend::{Backend, Key, Order, Partition, Range, StoreError},
    heavy::HeavyWork,
    keys,
    limits::Limits,
    rows::{self, Unreadable},
    secrets::{SealingKey, Vault},
    store::{Store, unreadable},
};
pub use audit::HistoryCursor;
use binding::{Bound, Unbound, show_unbound};
pub(crate) use cache::Cache;
pub use create::New;
pub(crate) use create::WrittenRule;
pub(crate) use offers::offer_item;
use versions::TextMark;
pub(crate) use write::{cancel_message, is_live};

/// The most rules of a list that are read side by side.
const MOST_AT_A_TIME: usize = 100;

/// A rule that was accepted once keeps being read: each send decides whether its host may be called.
const ACCEPTED_ONCE: Settings = Settings { private_targets: true, stored: true, has_public_url: true };

/// The small, strongly read part of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuleHead {
    pub(crate) version: u64,
    /// The write that made it: names its text and its index copies.
    #[serde(rename = "write")]
    pub(crate) write_id: String,
    pub(crate) owner: Owner,
    /// `true` if it fires: asked to, and every secret that it names has a value (V4).
    pub(crate) live: bool,
    /// Grows each time it stops being live: earlier matches are sent no more (P6).
    pub(crate) epoch: u64,
    /// The write that brought each secret's value.
    pub(crate) secrets: BTreeMap<String, String>,
    /// The bindings of the values; one from before there were bindings has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) bindings: BTreeMap<String, Bound>,
    /// Secrets that it names and whose values must be written again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unbound: BTreeMap<String, Unbound>,
    /// The anchors of its index copies.
    pub(crate) anchors: Vec<String>,
    /// Fingerprint of the request that made the rule; of its secrets only the names.
    #[serde(rename = "made_of")]
    pub(crate) request_fingerprint: String,
    /// The mark of the text, from which the next one is kept as a difference; a head from before there were differences has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<TextMark>,
    /// The id of its webhook, if a step waits for one (W18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) webhook: Option<String>,
    /// A tombstone: there is no such rule.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) deleted: bool,
    /// The time since which it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) paused_since: Option<Timestamp>,
    /// An admin switched it off: its affiliate can't switch it on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) locked: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

/// A rule ready to be matched and sent.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) id: Id,
    pub(crate) head: Arc<RuleHead>,
    pub(crate) definition: Arc<RuleDefinition>,
}

impl Rule {
    /// The rule as matching judges it.
    pub(crate) fn candidate(&self) -> RuleMatcher<'_> {
        let RuleHead { owner, live, secrets, .. } = &*self.head;
        RuleMatcher { id: &self.id, owner, definition: &self.definition, live: *live, secrets }
    }
}

/// A rule as the API shows it, with its version, its entity tag.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The rule's id.
    pub id: Id,
    /// Its version.
    pub version: u64,
    /// The whole resource (docs/api.md).
    pub resource: Value,
}

/// The rules that a list shows (docs/api.md).
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of this owner: `admin` or an affiliate's id.
    pub owner: Option<String>,
    /// Only those that affiliates own: the Affiliate Postback list (V2).
    pub affiliates_only: bool,
    /// Only those of this country.
    pub country: Option<String>,
    /// Only those that include this offer.
    pub offer: Option<String>,
    /// Only those that are (not) active.
    pub active: Option<bool>,
    /// Only those of this category.
    pub category: Option<String>,
    /// Only those with this trigger.
    pub trigger: Option<Trigger>,
    /// Only those with this label, whatever its case.
    pub label: Option<String>,
    /// Only those whose newest attempts failed.
    pub failing: bool,
    /// Only those with this text in their name, whatever its case.
    pub text: Option<String>,
}

/// Changes of rules.
#[derive(Debug)]
pub struct RuleWriter<B> {
    pub(crate) store: Arc<Store<B>>,
    pub(crate) rules: Arc<Rules<B>>,
    pub(super) limits: Arc<Limits<B>>,
    heavy: Arc<HeavyWork>,
}

impl<B: Backend> RuleWriter<B> {
    /// The service over these.
    pub(crate) fn new(rules: &Arc<Rules<B>>, limits: &Arc<Limits<B>>, heavy: &Arc<HeavyWork>) -> Self {
        Self { store: Arc::clone(&rules.store), rules: Arc::clone(rules), limits: Arc::clone(limits), heavy: Arc::clone(heavy) }
    }
}

/// The rules, their secrets and their history.
#[derive(Debug)]
pub struct Rules<B> {
    pub(crate) store: Arc<Store<B>>,
    vault: Vault,
    cache: Cache,
}

impl<B: Backend> Rules<B> {
    /// The service over these.
    pub(crate) fn new(store: &Arc<Store<B>>, vault: Vault) -> Self {
        let cache = Cache::new(store.settings.rule_lifetime, store.settings.cache_bytes);
        Self { store: Arc::clone(store), vault, cache }
    }

    /// The key that seals secrets.
    pub(crate) async fn sealing_key(&self) -> Result<Arc<SealingKey>, StoreError> {
        self.vault.key().await
    }

    /// One rule, if the caller may see it.
    pub async fn rule(&self, caller: &Caller, id: &Id) -> Result<View, Refused> {
        let (rule, _) = self.visible(caller, id).await?;
        Ok(self.view(&rule).await?)
    }

    /// The next rule of a list and its place there. Rules are read some at a time, those side by side.
    pub(crate) async fn next_rule(&self, list: &mut Listed) -> Result<Option<(String, Rule)>, StoreError> {
        loop {
            if let Some(next) = list.read.pop_front() {
                return Ok(Some(next));
            }
            let Some(partition) = &list.partition else { return Ok(None) };
            let range = Range { from: None, before: list.before.clone() };
            let items = self.store.backend().query(partition, &range, Order::Descending, list.at_a_time).await?;
            list.before = items.last().map(|item| item.key.sort.clone());
            if items.len() < list.at_a_time {
                list.partition = None;
            }
            let mut ids: Vec<Id> = items.iter().filter_map(|item| item.key.sort.parse().ok()).collect();
            if list.failing {
                let keys: Vec<Key> = ids.iter().map(keys::failing).collect();
                let rows = self.store.get_all(&keys).await?;
                ids = ids.into_iter().zip(rows).filter_map(|(id, row)| row.map(|_| id)).collect();
            }
            let rules = join_all(ids.iter().map(|id| self.read_rule_if(id, |_| true))).await;
            for (id, rule) in ids.iter().zip(rules) {
                match StoreError::pass_over(rule)? {
                    Some(rule) => list.read.extend(rule.map(|(rule, _)| (id.to_string(), rule))),
                    None => list.unreadable.push(keys::head(id)),
                }
            }
        }
    }

    /// The rule and its head's revision, if the caller may see it (V2).
    pub(crate) async fn visible(&self, caller: &Caller, id: &Id) -> Result<(Rule, u64), Refused> {
        match self.read_rule_if(id, |head| caller.sees(&head.owner)).await {
            Ok(found) => found.ok_or(Refused::NotFound),
            // The owner of an unreadable rule is not known: it may be another affiliate.
            Err(error) if error.is_unreadable() && *caller != Caller::Admin => Err(Refused::NotFound),
            Err(error) => Err(error.into()),
        }
    }

    /// The rule as the store has it now, with its head's revision.
    pub(crate) async fn read_rule(&self, id: &Id) -> Result<Option<(Rule, u64)>, StoreError> {
        self.read_rule_if(id, |_| true).await
    }

    /// The same if the head is `wanted`. The text of a rule that isn't is not read: the caller can't distinguish it from a missing one.
    pub(crate) async fn read_rule_if(
        &self,
        id: &Id,
        wanted: impl Fn(&RuleHead) -> bool,
    ) -> Result<Option<(Rule, u64)>, StoreError> {
        let mut seen = None;
        loop {
            let head = self.read_head(id).await?.filter(|(head, _)| !head.deleted && wanted(head));
            let Some((head, rev)) = head else { return Ok(None) };
            if let Some(definition) = self.definition(id, &head).await? {
                return Ok(Some((Rule { id: id.clone(), head: Arc::new(head), definition }, rev)));
            }
            if seen == Some(rev) {
                return Err(StoreError::Unavailable(format!("rule {id} version {} has no text", head.version)));
            }
            seen = Some(rev);
        }
    }

    /// The head or the tombstone, with its revision.
    async fn read_head(&self, id: &Id) -> Result<Option<(RuleHead, u64)>, StoreError> {
        let Some(item) = self.store.get_one(keys::head(id)).await? else { return Ok(None) };
        let head = rows::read(&item.body).inspect_err(|error| self.store.note_unreadable(&item.key, error))?;
        Ok(Some((head, item.rev)))
    }

    /// The text of a rule's head; `None` when another one replaced it meanwhile.
    pub(crate) async fn definition(&self, id: &Id, head: &RuleHead) -> Result<Option<Arc<RuleDefinition>>, StoreError> {
        if let Some(definition) = self.cache.definition(id, &head.write_id) {
            return Ok(Some(definition));
        }
        let Some(item) = self.store.get_one(keys::body(id, &head.write_id)).await? else { return Ok(None) };
        let note = |error: &Unreadable| self.store.note_unreadable(&item.key, error);
        let document = rows::read::<Value>(&item.body).inspect_err(note)?;
        let masters = self.masters(&head.owner, &document).await?;
        let definition = RuleDefinition::parse_with(&document, &head.owner, &ACCEPTED_ONCE, &masters)
            .map_err(|faults| Unreadable::Corrupt(faults.to_string()))
            .inspect_err(note)?;
        let definition = Arc::new(definition);
        self.cache.keep_definition(id, &head.write_id, &definition);
        Ok(Some(definition))
    }

    pub(crate) async fn view(&self, rule: &Rule) -> Result<View, StoreError> {
        let placement = self.placement(&rule.definition).await?;
        let shown = TrackingApi {
            id: rule.id.clone(),
            version: rule.head.version,
            owner: rule.head.owner.clone(),
            definition: RuleDefinition::clone(&rule.definition),
            created_at: rule.head.created_at,
            updated_at: rule.head.updated_at,
        };
        let existing: BTreeSet<String> = rule.head.secrets.keys().cloned().collect();
        let mut resource = shown.view(&placement, &existing, None);
        if rule.head.live {
            // A rule from before placeholders kept rules inactive fires until it is changed.
            resource["active"] = true.into();
            resource.as_object_mut().map(|fields| fields.remove("inactive_reason"));
        }
        show_unbound(rule, &mut resource);
        if let Some(webhook) = &rule.head.webhook {
            resource["webhook_id"] = webhook.as_str().into();
        }
        if rule.head.owner != Owner::Admin {
            resource["locked_by_admin"] = rule.head.locked.into();
            if rule.head.locked {
                resource["inactive_reason"] = "an admin switched it off: only an admin switches it on".into();
            }
        }
        Ok(View { id: rule.id.clone(), version: rule.head.version, resource })
    }

    /// V1: country and category are those of the one included offer, as it is now.
    async fn placement(&self, definition: &RuleDefinition) -> Result<Placement, StoreError> {
        let included: Vec<Id> = definition.conditions.included_offers().to_vec();
        let offer = match included.as_slice() {
            [only] => self.offer(only).await?,
            _ => None,
        };
        Ok(placement(&included, |_| offer))
    }
}

/// A list of rules that is being read, newest first.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The partition that lists them, as long as there may be more.
    partition: Option<Partition>,
    /// The place that was read last.
    before: Option<String>,
    at_a_time: usize,
    /// Only rules that may be failing are read.
    failing: bool,
    read: VecDeque<(String, Rule)>,
    /// Heads of rules that can't be read and were not shown yet.
    unreadable: Vec<Key>,
}

impl Listed {
    /// The rules so far that can't be read, for admins, at most so many.
    pub(crate) fn unreadable(&mut self, caller: &Caller, most: usize) -> Vec<Value> {
        unreadable::take_shown(&mut self.unreadable, caller, most)
    }
}

/// The list of the rules that the caller may see (V2) and the filter's owner has; `before` is the place at which a page begins. The rest
/// of the filter is not checked.
pub(crate) fn listed(caller: &Caller, filter: &Filter, before: Option<String>, limit: usize) -> Listed {
    let partition = match (caller, &filter.owner) {
        (Caller::Affiliate(own), Some(owner)) if owner != own.as_str() => None,
        (Caller::Affiliate(_), _) => Some(keys::owned(&caller.as_owner())),
        (Caller::Admin, Some(owner)) if owner == "admin" && !filter.affiliates_only => Some(keys::owned(&Owner::Admin)),
        (Caller::Admin, Some(affiliate)) => {
            affiliate.parse().ok().map(|affiliate_id| keys::owned(&Owner::Affiliate { affiliate_id }))
        }
        (Caller::Admin, None) if filter.affiliates_only => Some(keys::AFFILIATE_RULES.to_owned()),
        (Caller::Admin, None) => Some(keys::ALL_RULES.to_owned()),
    };
    Listed {
        partition: partition.map(Partition::Table),
        before,
        at_a_time: if filter.failing { MOST_AT_A_TIME } else { (limit + 1).min(MOST_AT_A_TIME) },
        failing: filter.failing,
        read: VecDeque::new(),
        unreadable: Vec::new(),
    }
}

/// Returns true if two texts are the same, whatever the case of their letters.
fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

impl Filter {
    pub(crate) fn admits(&self, rule: &Rule, resource: &Value) -> bool {
        let offers = || rule.definition.conditions.included_offers();
        self.country.as_deref().is_none_or(|country| resource["country"].as_str() == Some(country))
            && self.offer.as_deref().is_none_or(|offer| offers().iter().any(|id| id.as_str() == offer))
            && self.category.as_deref().is_none_or(|category| resource["category"].as_str() == Some(category))
            && self.trigger.is_none_or(|trigger| rule.definition.trigger == trigger)
            && self.label.as_deref().is_none_or(|label| rule.definition.labels.iter().any(|own| same(own, label)))
            && self.active.is_none_or(|active| resource["active"].as_bool() == Some(active))
            && self.text.as_deref().is_none_or(|text| rule.definition.name.to_lowercase().contains(&text.to_lowercase()))
    }
}
