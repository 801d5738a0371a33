//! The order in which a rule's change is written: the items that the new head names, then the head, then the removal of obsolete items.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    caller::{Caller, Owner},
    fault::Faults,
    id::Id,
    index::anchors,
    tracking_api::{RuleDefinition, Settings},
};

use super::{
    Refused, Rule, RuleHead,
    audit::{Act, Entry},
    mirrors,
    over::Over,
    versions::Version,
};
use crate::{
    backend::{Backend, Effects, Item, Key, Lane, Message, Swap, Swapped},
    keys, random,
    rows::{self, Task},
    rules::RuleWriter,
};

/// The time for which a deleted rule's tombstone stays: the log remembers nothing for longer.
const LONGEST_MEMORY: SignedDuration = SignedDuration::from_hours(24 * 400);

/// The time for which the history of a deleted rule stays.
const HISTORY_OF_DELETED: SignedDuration = SignedDuration::from_hours(24 * 90);

/// An index copy: its anchor and its write.
pub(super) type Named = (String, String);

impl<B: Backend> RuleWriter<B> {
    /// Writes the new text and index copies, then the head, then removes the items that are no longer needed.
    pub(super) async fn write_rule(
        &self,
        act: &Act,
        id: Id,
        over: Over,
        mut head: RuleHead,
        definition: RuleDefinition,
        mut items: Vec<Item>,
    ) -> Result<Rule, Refused> {
        let anchors = if head.live { anchors(&definition.conditions) } else { Vec::new() };
        head.anchors = anchors.iter().map(ToString::to_string).collect();
        head.note_webhook(&definition);
        items.extend(mirrors::rows_of(&id, &definition));
        items.extend(head.webhook.as_deref().map(|webhook| rows::item(keys::webhook(webhook), &id)));
        items.push(rows::item(keys::body(&id, &head.write_id), &definition.stored()));
        items.extend(head.anchors.iter().map(|anchor| rows::item(keys::copy(anchor, &id, &head.write_id), &())));
        let version = Version::new(over.rule().map(|rule| (&*rule.head, &*rule.definition)), &definition);
        head.text = Some(version.mark.clone());
        self.change_head(act, &id, &over, &head, Some(version), items).await?;
        Ok(Rule { id, head: Arc::new(head), definition: Arc::new(definition) })
    }

    /// Writes the next version of a rule with this head and its present text; its secrets stay as far as they may (Q5).
    pub(super) async fn write_head(&self, act: &Act, (rule, rev): (Rule, u64), mut head: RuleHead) -> Result<Rule, Refused> {
        let (id, definition) = (rule.id.clone(), RuleDefinition::clone(&rule.definition));
        let sealed = self.rules.seal(act, &id, Some(&rule), &mut head, &definition, &BTreeMap::new()).await?;
        self.write_rule(act, id, Over::Rule(rule, rev), head, definition, sealed).await
    }

    /// Writes an intent, the items that the new head names and the history's entry; then the head; then removes the items that are no
    /// longer needed. A writer that comes too late rolls its own items back.
    pub(super) async fn change_head(
        &self,
        act: &Act,
        id: &Id,
        over: &Over,
        new: &RuleHead,
        version: Option<Version>,
        mut items: Vec<Item>,
    ) -> Result<(), Refused> {
        let old = over.rule().map(|rule| &*rule.head);
        items.push(rows::item(keys::audit(id, &new.write_id), &Entry::new(act, over, new, version)));
        // Items of the winning rule stay, whichever write put them.
        let written = items.iter().map(|item| item.key.clone()).filter(|key| !keys::is_shared_by_writes(key));
        let written: Vec<Key> = written.collect();
        let named: Vec<Named> = old.into_iter().chain([new]).flat_map(RuleHead::copies).collect();
        if old.is_none() {
            items.extend(lists(id, &new.owner).into_iter().map(|key| rows::item(key, &())));
        }
        items.push(rows::item(keys::intent(id, &new.write_id), &(self.store.now(), &named)));
        self.store.commit_one(Effects { put: items, ..Effects::default() }).await?;
        let mut item = rows::item(keys::head(id), new);
        item.expires = new.deleted.then(|| new.forgotten_at());
        match self.store.swap_one(Swap { key: keys::head(id), expect: over.revision(), new: Some(item) }).await {
            Swapped::Done => {}
            Swapped::Conflict(current) => {
                let current = current.map(|item| rows::read_item::<RuleHead>(&item)).transpose()?;
                self.roll_back(id, new, current, written).await?;
            }
            Swapped::Unavailable(error) => return Err(error.into()),
        }
        self.rules.cache.forget(id, named.iter().map(|(anchor, _)| anchor));
        let mut effects = Effects { delete: vec![keys::intent(id, &new.write_id)], ..Effects::default() };
        if let Some(old) = old {
            effects.delete.extend(obsolete(id, old, new));
            if new.epoch > old.epoch {
                effects.send.push(cancel_message(id, new.epoch, None));
            }
        } else if over.head().is_some() {
            // A deletion may have removed these meanwhile.
            effects.put.extend(lists(id, &new.owner).into_iter().map(|key| rows::item(key, &())));
        }
        self.store.commit_one(effects).await?;
        if let Err(error) = self.rules.prune_history(id, new.version).await {
            // The change is made. A later one goes on with this.
            tracing::warn!(tracking_api_id = %id, %error, "a rule's history could not be kept short");
        }
        Ok(())
    }

    /// Rolls back the items of a write that came too late, and refuses it. If the answer to a write got lost, its repeat looks like a
    /// conflict, also when a later write has followed since: such a write became the head once, and is accepted.
    async fn roll_back(&self, id: &Id, new: &RuleHead, current: Option<RuleHead>, mut written: Vec<Key>) -> Result<(), Refused> {
        let happened = match &current {
            Some(current) => self.rules.happened(id, current, &new.write_id).await?,
            None => Some(false),
        };
        if happened == Some(true) {
            return Ok(());
        }
        let entry = keys::audit(id, &new.write_id);
        written.retain(|key| {
            !current.as_ref().is_some_and(|current| current.names(id, key)) && (happened.is_some() || *key != entry)
        });
        written.push(keys::intent(id, &new.write_id));
        self.store.commit_one(Effects { delete: written, ..Effects::default() }).await?;
        let current = current.filter(|current| !current.deleted);
        Err(current.map_or(Refused::NotFound, |head| Refused::Changed { current: head.version }))
    }

    pub(crate) fn definition_settings(&self) -> Settings {
        Settings {
            private_targets: self.store.settings.private_targets,
            stored: false,
            has_public_url: self.store.settings.public_url.is_some(),
        }
    }
}

/// Asks for the end of the deliveries that a rule owed before this epoch (P6).
///
/// `from` is the place at which the search for them goes on; `None`: from its beginning.
pub(crate) fn cancel_message(id: &Id, epoch: u64, from: Option<String>) -> Message {
    let task = Task::Cancel { rule: id.clone(), epoch, from };
    Message { lane: Lane::Retry, group: format!("cancel#{id}"), not_before: None, body: rows::write_task(&task) }
}

/// The id of a new webhook: 128 random bits, which nobody can guess.
pub(super) fn new_webhook() -> String {
    format!("whk_{:016x}{:016x}", random(), random())
}

/// Items of the old head that the new one does not need.
fn obsolete(id: &Id, old: &RuleHead, new: &RuleHead) -> Vec<Key> {
    let mut keys = vec![keys::body(id, &old.write_id)];
    keys.extend(old.anchors.iter().map(|anchor| keys::copy(anchor, id, &old.write_id)));
    keys.extend(old.secrets.iter().map(|(name, write_id)| keys::secret(id, name, write_id)));
    keys.retain(|key| !new.names(id, key));
    keys.extend(old.webhook.as_deref().filter(|_| new.webhook != old.webhook).map(keys::webhook));
    if new.deleted {
        // Its owner's list keeps it: through it the owner reaches its deliveries (V2).
        let owned = keys::owned(&old.owner);
        keys.extend(lists(id, &old.owner).into_iter().filter(|key| key.partition != owned));
    }
    keys
}

/// A rule's places in the lists of rules.
pub(super) fn lists(id: &Id, owner: &Owner) -> Vec<Key> {
    let mut lists = vec![keys::ALL_RULES.to_owned(), keys::owned(owner)];
    lists.extend(owner.affiliate().map(|_| keys::AFFILIATE_RULES.to_owned()));
    lists.into_iter().map(|list| Key::new(list, id.as_str())).collect()
}

/// The refusal of an affiliate's attempt to switch on a rule that an admin switched off.
pub(super) const LOCKED: &str = "an admin switched this Tracking API off: ask one to switch it on";

impl RuleHead {
    /// The head of the next version.
    pub(super) fn next(&self, now: Timestamp) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self.clone() }
    }

    /// The part that stays when the rule is deleted: enough to go on from (P6).
    pub(super) fn tombstone(&self, write_id: String, now: Timestamp) -> Self {
        Self {
            version: self.version + 1,
            write_id,
            owner: self.owner.clone(),
            live: false,
            epoch: self.epoch + 1,
            secrets: BTreeMap::new(),
            bindings: BTreeMap::new(),
            unbound: BTreeMap::new(),
            anchors: Vec::new(),
            request_fingerprint: String::new(),
            text: None,
            webhook: None,
            deleted: true,
            paused_since: None,
            locked: false,
            created_at: self.created_at,
            updated_at: now,
        }
    }

    /// The time until which a tombstone stays.
    pub(super) fn forgotten_at(&self) -> Timestamp {
        self.updated_at + LONGEST_MEMORY
    }

    /// The end of a tombstone's history.
    pub(super) fn history_ends_at(&self) -> Timestamp {
        self.updated_at + HISTORY_OF_DELETED
    }

    /// Its index copies.
    fn copies(&self) -> impl Iterator<Item = Named> {
        self.anchors.iter().map(|anchor| (anchor.clone(), self.write_id.clone()))
    }

    /// Notes the time since which the rule is paused.
    pub(super) fn note_pause(&mut self, definition: &RuleDefinition) {
        self.paused_since = definition.pause.then(|| self.paused_since.unwrap_or(self.updated_at));
    }

    /// Gives the rule a webhook if a step waits for one, and keeps the one that it has (W18).
    fn note_webhook(&mut self, definition: &RuleDefinition) {
        let waits = definition.plan.webhooks().next().is_some();
        self.webhook = waits.then(|| self.webhook.take().unwrap_or_else(new_webhook));
    }

    /// Notes who switches an affiliate's rule on and off: a rule that an admin switched off stays so until an admin switches it on.
    /// `asks_off`: a patch says so, which counts also where the rule is off already.
    ///
    /// # Errors
    /// The affiliate would switch it on.
    pub(super) fn lock(
        &mut self,
        by: &Caller,
        was_active: bool,
        asks_off: bool,
        definition: &RuleDefinition,
    ) -> Result<(), Refused> {
        match by {
            Caller::Admin if self.owner == Owner::Admin => {}
            Caller::Admin => self.locked = !definition.active && (was_active || asks_off || self.locked),
            Caller::Affiliate(_) if self.locked && definition.active => {
                return Err(Refused::Conflict(LOCKED.to_owned()));
            }
            Caller::Affiliate(_) => {}
        }
        Ok(())
    }

    /// Sets whether it fires; each time it stops, a new epoch begins (P6).
    pub(super) fn set_live(&mut self, live: bool) {
        if self.live && !live {
            self.epoch += 1;
        }
        self.live = live;
    }
}

pub(crate) fn is_live(definition: &RuleDefinition, secrets: &BTreeMap<String, String>) -> bool {
    let missing = definition.secret_names().into_iter().filter(|name| !secrets.contains_key(name)).collect();
    definition.active && definition.why_inactive(&missing).is_none()
}

/// The value, or its faults among the others.
pub(super) fn collect<T>(result: Result<T, Faults>, faults: &mut Faults) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(more) => {
            faults.append(more);
            None
        }
    }
}
