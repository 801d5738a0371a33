//! Mirrors: steps whose requests are those of other rules' steps (W19).
//!
//! A rule's text names the steps that it mirrors; they are read with it. When a rule is changed whose steps others mirror, those are
//! written again after it, as their own next versions: their secrets are bound to the requests that they send now, by the same party, or
//! must be written again. The rows that name mirrors may be too many and are never too few.

use std::collections::BTreeSet;

use tracking_core::{
    caller::{Actor, Caller, Owner},
    fault::Faults,
    flow::{Masters, Mirror},
    id::Id,
    json::Value,
    tracking_api::RuleDefinition,
};

use super::{
    Refused, Rule, RuleHead, Rules,
    audit::{Act, Action},
};
use crate::{
    backend::{Backend, Effects, Item, Order, Partition, Range, StoreError},
    keys, rows,
    rules::RuleWriter,
};

/// The most rules that mirror steps of one rule (W19).
const MAX_MIRRORS: usize = 50;
/// The most rows of them that are looked at.
const MAX_LOOKED_AT: usize = 200;

impl<B: Backend> Rules<B> {
    /// The steps that a rule of this owner mirrors by its document. A missing step is left out.
    pub(crate) async fn masters(&self, owner: &Owner, document: &Value) -> Result<Masters, StoreError> {
        let mut masters = Masters::default();
        for mirror in Mirror::of_document(document) {
            let Some(master) = self.text_of(owner, &mirror.tracking_api_id).await? else { continue };
            if let Some(taken) = mirror.take(&master) {
                masters.insert(mirror, taken);
            }
        }
        Ok(masters)
    }

    /// The document of a rule of this owner, as it is now; `None` if there is no such rule.
    ///
    /// # Errors
    /// It can't be read now.
    async fn text_of(&self, owner: &Owner, id: &Id) -> Result<Option<Value>, StoreError> {
        let mut seen = None;
        loop {
            let Some(item) = self.store.get_one(keys::head(id)).await? else { return Ok(None) };
            let head: RuleHead = rows::read_item(&item)?;
            if head.deleted || head.owner != *owner {
                return Ok(None);
            }
            if let Some(item) = self.store.get_one(keys::body(id, &head.write_id)).await? {
                return Ok(Some(RuleDefinition::current(rows::read_item(&item)?)));
            }
            // Another write has replaced it meanwhile.
            if seen == Some(item.rev) {
                return Err(StoreError::Unavailable(format!("rule {id} version {} has no text", head.version)));
            }
            seen = Some(item.rev);
        }
    }

    /// The rules that mirror a step of this one.
    async fn mirroring(&self, id: &Id) -> Result<Vec<Rule>, StoreError> {
        let partition = Partition::Table(keys::mirrored(id));
        let items = self.store.backend().query(&partition, &Range::default(), Order::Ascending, MAX_LOOKED_AT).await?;
        let mut rules = Vec::new();
        for mirroring in items.iter().filter_map(|item| item.key.sort.parse::<Id>().ok()) {
            let Some(Some((rule, _))) = StoreError::pass_over(self.read_rule(&mirroring).await)? else { continue };
            if masters_of(&rule.definition).contains(id) {
                rules.push(rule);
            }
        }
        Ok(rules)
    }
}

/// The rules whose steps a rule mirrors.
fn masters_of(definition: &RuleDefinition) -> BTreeSet<&Id> {
    definition.plan.mirrors().map(|mirror| &mirror.tracking_api_id).collect()
}

/// The rows that name the rules that a rule mirrors.
pub(super) fn rows_of(id: &Id, definition: &RuleDefinition) -> Vec<Item> {
    masters_of(definition).into_iter().map(|master| rows::item(keys::mirroring(master, id), &())).collect()
}

impl<B: Backend> RuleWriter<B> {
    /// Checks that a rule may mirror the steps that it names: of its own kind, and not too many of one rule.
    pub(super) async fn check_mirrors(&self, id: Option<&Id>, definition: &RuleDefinition) -> Result<(), Refused> {
        let masters = masters_of(definition);
        if let Some(own) = id.filter(|id| masters.contains(id)) {
            return Err(Faults::one("/steps", format!("{own} can't mirror a step of its own: name another Tracking API")).into());
        }
        for master in masters {
            let mirroring = self.rules.mirroring(master).await?;
            let others = mirroring.iter().filter(|rule| Some(&rule.id) != id).count();
            if others >= MAX_MIRRORS {
                let detail = format!("{master} is mirrored by {MAX_MIRRORS} Tracking APIs, which is the most");
                return Err(Faults::one("/steps", detail).into());
            }
        }
        Ok(())
    }

    /// Checks that the rules that mirror steps of this one are right with its new text too; returns them.
    ///
    /// # Errors
    /// A step is gone that they mirror, or one of them would have a fault.
    pub(super) async fn check_mirrored(
        &self,
        caller: &Caller,
        rule: &Rule,
        new: Option<&RuleDefinition>,
    ) -> Result<Vec<Id>, Refused> {
        let mirroring = self.rules.mirroring(&rule.id).await?;
        let document = new.map(RuleDefinition::document);
        let is_kept = |mirror: &Mirror| document.as_ref().is_some_and(|document| mirror.take(document).is_some());
        let lost: Vec<&str> = mirroring
            .iter()
            .filter(|other| {
                let mut mirrors = other.definition.plan.mirrors().filter(|mirror| mirror.tracking_api_id == rule.id);
                !mirrors.all(is_kept)
            })
            .map(|other| other.id.as_str())
            .collect();
        if !lost.is_empty() {
            let ids = lost.join(", ");
            return Err(Refused::Conflict(format!("a step of this Tracking API is mirrored by {ids}: change those first")));
        }
        let Some(document) = document else { return Ok(Vec::new()) };
        let mut faults = Faults::default();
        let mut ids = Vec::new();
        for other in mirroring {
            let text = other.definition.document();
            let mut masters = self.rules.masters(&other.head.owner, &text).await?;
            for mirror in Mirror::of_document(&text).into_iter().filter(|mirror| mirror.tracking_api_id == rule.id) {
                if let Some(taken) = mirror.take(&document) {
                    masters.insert(mirror, taken);
                }
            }
            let (owner, settings) = (other.head.owner.clone(), self.definition_settings());
            let read = move || RuleDefinition::parse_with(&text, &owner, &settings, &masters).err();
            if let Some(found) = self.heavy.run(Some(caller.as_owner()), read).await {
                let first = found.to_string();
                faults.add("/steps", format!("with this change {} would be wrong, which mirrors it: {first}", other.id));
            }
            ids.push(other.id);
        }
        if faults.is_empty() { Ok(ids) } else { Err(faults.into()) }
    }

    /// Writes the mirrors of a changed rule again. A mirror for which this fails is written at the next change of either rule; until then
    /// its deliveries wait where a secret is missing.
    pub(super) async fn renew_mirrors(&self, actor: &Actor, master: &Id, mirroring: &[Id]) {
        for id in mirroring {
            let note = Some(format!("{master} was changed, a step of which is mirrored"));
            let act = Act { note, ..Act::new(actor.clone(), Action::Patched) };
            if let Err(error) = Box::pin(self.rewrite(act, id)).await {
                tracing::warn!(tracking_api_id = %id, %error, "a mirroring rule was not written again");
            }
        }
    }

    /// Removes the rows of mirrors that a rule no longer has.
    pub(super) async fn forget_mirrors(&self, id: &Id, old: &RuleDefinition, new: Option<&RuleDefinition>) {
        let kept = new.map(masters_of).unwrap_or_default();
        let gone = masters_of(old).into_iter().filter(|master| !kept.contains(master));
        let delete: Vec<_> = gone.map(|master| keys::mirroring(master, id)).collect();
        if delete.is_empty() {
            return;
        }
        if let Err(error) = self.store.commit_one(Effects { delete, ..Effects::default() }).await {
            // Every reader of such a row looks at the rule.
            tracing::debug!(tracking_api_id = %id, %error, "rows of mirrors stay");
        }
    }
}
