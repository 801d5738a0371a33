//! Changing rules.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tracking_core::{
    caller::{Caller, Owner},
    fault::{Fault, Faults},
    hash,
    id::Id,
    index::anchors,
    name::check_name,
    tracking_api::{Definition, Settings, keeps_owner, merge_patch, owner_of_new},
};

use super::{Head, Refused, Rule, View};
use crate::{
    Engine,
    backend::{Backend, Effects, Item, Key, Lane, Message, Swap, Swapped},
    keys,
    rows::{self, Task},
};

/// Longest value of a secret, in bytes.
const MAX_SECRET_BYTES: usize = 4_096;

/// How long a deleted rule's tombstone stays: the log remembers nothing for longer.
const LONGEST_MEMORY: SignedDuration = SignedDuration::from_hours(24 * 400);

/// An index copy: its anchor and its write.
pub(super) type Named = (String, String);

/// What a rule is written over.
enum Over {
    Nothing,
    /// A deleted rule, at this revision.
    Tombstone(u64),
    /// A rule, at this revision.
    Rule(Rule, u64),
}

/// A rule as a person wrote it, with all that it is made of.
pub(crate) struct Whole {
    pub(crate) owner: Owner,
    /// Values of its secrets (Q5).
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) definition: Definition,
}

/// What tells a new rule from all others.
#[derive(Debug, Clone)]
pub enum New {
    /// Dice of the caller's.
    Random([u8; 16]),
    /// A key of the person who asks: the same key again is the same rule.
    IdempotencyKey(String),
}

impl<B: Backend> Engine<B> {
    /// Makes a rule. The answer says whether it is new: the same idempotency key again gives the rule that it made before.
    pub async fn create_rule(&self, caller: &Caller, document: &Value, new: New) -> Result<(View, bool), Refused> {
        let now = self.now();
        let Whole { owner, values, definition } = self.read_new(caller, document)?;
        let id = new_id(&new, &owner, now);
        let made_of = fingerprint(&definition, &values);
        let repeatable = matches!(new, New::IdempotencyKey(_));
        loop {
            let mut tombstone = None;
            if repeatable {
                if let Some((rule, _)) = self.read_rule(&id).await? {
                    if rule.head.made_of != made_of {
                        return Err(Refused::Conflict("this Idempotency-Key made another rule before: use a new key".to_owned()));
                    }
                    return Ok((self.view(&rule).await?, false));
                }
                tombstone = self.read_head(&id).await?;
                if tombstone.as_ref().is_some_and(|(head, _)| !head.deleted) {
                    continue;
                }
            }
            let mut head = Head {
                version: tombstone.as_ref().map_or(1, |(head, _)| head.version + 1),
                write: String::new(),
                live: false,
                owner: owner.clone(),
                epoch: tombstone.as_ref().map_or(0, |(head, _)| head.epoch + 1),
                secrets: BTreeMap::new(),
                anchors: Vec::new(),
                made_of: made_of.clone(),
                deleted: false,
                created_at: now,
                updated_at: now,
            };
            let sealed = self.seal(&id, &mut head, &values);
            head.live = is_live(&definition, &head.secrets);
            let over = tombstone.map_or(Over::Nothing, |(_, rev)| Over::Tombstone(rev));
            match self.write_rule(id.clone(), over, head, definition.clone(), sealed).await {
                Err(Refused::Changed { .. } | Refused::NotFound) if repeatable => {}
                written => return Ok((self.view(&written?).await?, true)),
            }
        }
    }

    /// Reads a rule as one that this caller creates, all faults at once (V2, V3).
    pub(crate) fn read_new(&self, caller: &Caller, document: &Value) -> Result<Whole, Faults> {
        let mut faults = Faults::default();
        let owner = collect(owner_of_new(document, caller), &mut faults).unwrap_or_else(|| caller.as_owner());
        let values = collect(secret_values(document), &mut faults).unwrap_or_default();
        let definition = collect(Definition::parse(document, &owner, &self.definition_settings()), &mut faults);
        match definition {
            Some(definition) if faults.is_empty() => Ok(Whole { owner, values, definition }),
            _ => Err(faults),
        }
    }

    /// Replaces what a person may write of a rule. `expected`: the version of an `If-Match`.
    pub async fn replace_rule(&self, caller: &Caller, id: &Id, document: &Value, expected: Option<u64>) -> Result<View, Refused> {
        self.change_rule(caller, id, expected, |_| document.clone()).await
    }

    /// Changes parts of a rule (RFC 7396).
    pub async fn patch_rule(&self, caller: &Caller, id: &Id, patch: &Value, expected: Option<u64>) -> Result<View, Refused> {
        self.change_rule(caller, id, expected, |rule| {
            let mut document = rule.definition.document();
            merge_patch(&mut document, patch);
            document
        })
        .await
    }

    async fn change_rule(
        &self,
        caller: &Caller,
        id: &Id,
        expected: Option<u64>,
        change: impl Fn(&Rule) -> Value,
    ) -> Result<View, Refused> {
        loop {
            let (rule, rev) = self.visible(caller, id).await?;
            expect_version(expected, &rule.head)?;
            let document = change(&rule);
            let mut faults = Faults::default();
            collect(keeps_owner(&document, &rule.head.owner), &mut faults);
            let values = collect(secret_values(&document), &mut faults).unwrap_or_default();
            let definition = collect(Definition::parse(&document, &rule.head.owner, &self.definition_settings()), &mut faults);
            let Some(definition) = definition.filter(|_| faults.is_empty()) else { return Err(faults.into()) };
            let mut head = rule.head.next(self.now());
            let sealed = self.seal(id, &mut head, &values);
            head.set_live(is_live(&definition, &head.secrets));
            match self.write_rule(id.clone(), Over::Rule(rule, rev), head, definition, sealed).await {
                Err(Refused::Changed { .. }) if expected.is_none() => {}
                written => return Ok(self.view(&written?).await?),
            }
        }
    }

    /// Deletes a rule: it sends nothing more, what waits or is held ends cancelled (P6).
    pub async fn delete_rule(&self, caller: &Caller, id: &Id, expected: Option<u64>) -> Result<(), Refused> {
        loop {
            let (rule, rev) = self.visible(caller, id).await?;
            expect_version(expected, &rule.head)?;
            let now = self.now();
            let tombstone = rule.head.tombstone(keys::write(rule.head.version + 1, &self.vault.nonce(id)), now);
            match self.change_head(id, Some((&rule.head, rev)), None, &tombstone, Vec::new()).await {
                Err(Refused::Changed { .. }) => {}
                Err(refused) => return Err(refused),
                Ok(()) => {
                    // Somebody may have made it again before its places in the lists were removed.
                    if self.read_head(id).await?.is_some_and(|(head, _)| !head.deleted) {
                        let put = lists(id, &rule.head.owner).into_iter().map(|key| rows::item(key, &())).collect();
                        self.commit_one(Effects { put, ..Effects::default() }).await?;
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Writes a secret's value; it is never read back (Q5).
    pub async fn put_secret(&self, caller: &Caller, id: &Id, name: &str, value: &str) -> Result<(), Refused> {
        check_secret(name, value, "")?;
        loop {
            let (rule, rev) = self.visible(caller, id).await?;
            let mut head = rule.head.next(self.now());
            let sealed = self.seal(id, &mut head, &BTreeMap::from([(name.to_owned(), value.to_owned())]));
            head.set_live(is_live(&rule.definition, &head.secrets));
            let definition = Definition::clone(&rule.definition);
            match self.write_rule(id.clone(), Over::Rule(rule, rev), head, definition, sealed).await {
                Err(Refused::Changed { .. }) => {}
                written => return written.map(drop),
            }
        }
    }

    /// Forgets a secret that the rule does not use.
    pub async fn delete_secret(&self, caller: &Caller, id: &Id, name: &str) -> Result<(), Refused> {
        loop {
            let (rule, rev) = self.visible(caller, id).await?;
            if !rule.head.secrets.contains_key(name) {
                return Err(Refused::NotFound);
            }
            if rule.definition.secret_names().contains(name) {
                return Err(Refused::Conflict(format!("the rule uses secret {name}: take it out of the rule first")));
            }
            let mut head = rule.head.next(self.now());
            head.secrets.remove(name);
            let sealed = self.seal(id, &mut head, &BTreeMap::new());
            let definition = Definition::clone(&rule.definition);
            match self.write_rule(id.clone(), Over::Rule(rule, rev), head, definition, sealed).await {
                Err(Refused::Changed { .. }) => {}
                written => return written.map(drop),
            }
        }
    }

    /// Gives the head's write its name, seals values under it and enters them in the head.
    fn seal(&self, id: &Id, head: &mut Head, values: &BTreeMap<String, String>) -> Vec<Item> {
        head.write = keys::write(head.version, &self.vault.nonce(id));
        let sealed = |(name, value): (&String, &String)| {
            rows::item(keys::secret(id, name, &head.write), &self.vault.seal(id, name, &head.write, value))
        };
        let items = values.iter().map(sealed).collect();
        head.secrets.extend(values.keys().map(|name| (name.clone(), head.write.clone())));
        items
    }

    /// New text and index copies, then the head, then what is no longer needed.
    async fn write_rule(
        &self,
        id: Id,
        over: Over,
        mut head: Head,
        definition: Definition,
        mut items: Vec<Item>,
    ) -> Result<Rule, Refused> {
        let anchors = if head.live { anchors(&definition.conditions) } else { Vec::new() };
        head.anchors = anchors.iter().map(ToString::to_string).collect();
        items.push(rows::item(keys::body(&id, &head.write), &definition.document()));
        items.extend(head.anchors.iter().map(|anchor| rows::item(keys::copy(anchor, &id, &head.write), &())));
        let (old, expect) = match &over {
            Over::Nothing => (None, None),
            Over::Tombstone(rev) => (None, Some(*rev)),
            Over::Rule(rule, rev) => (Some((&*rule.head, *rev)), Some(*rev)),
        };
        self.change_head(&id, old, expect, &head, items).await?;
        Ok(Rule { id, head: Arc::new(head), definition: Arc::new(definition) })
    }

    /// An intent and what the new head names; then the head; then what is no longer needed goes. Who comes too late takes back what
    /// it wrote. `tombstone`: the revision of what stands in place of an old head.
    async fn change_head(
        &self,
        id: &Id,
        old: Option<(&Head, u64)>,
        tombstone: Option<u64>,
        new: &Head,
        mut items: Vec<Item>,
    ) -> Result<(), Refused> {
        let expect = old.map(|(_, rev)| rev).or(tombstone);
        let old = old.map(|(head, _)| head);
        let mut written: Vec<Key> = items.iter().map(|item| item.key.clone()).collect();
        let named: Vec<Named> = old.into_iter().chain([new]).flat_map(Head::copies).collect();
        if old.is_none() {
            items.extend(lists(id, &new.owner).into_iter().map(|key| rows::item(key, &())));
        }
        items.push(rows::item(keys::intent(id, &new.write), &(self.now(), &named)));
        self.commit_one(Effects { put: items, ..Effects::default() }).await?;
        let mut item = rows::item(keys::head(id), new);
        item.expires = new.deleted.then(|| self.now() + LONGEST_MEMORY);
        match self.swap_one(Swap { key: keys::head(id), expect, new: Some(item) }).await {
            Swapped::Done => {}
            Swapped::Conflict(current) => {
                let current = current.map(|item| rows::read::<Head>(&item.body)).transpose().map_err(crate::Unavailable::from)?;
                // An answer that got lost on its way and was asked for again looks like a conflict with oneself.
                if current.as_ref().is_none_or(|current| current.write != new.write) {
                    written.retain(|key| !current.as_ref().is_some_and(|current| current.names(id, key)));
                    written.push(keys::intent(id, &new.write));
                    self.commit_one(Effects { delete: written, ..Effects::default() }).await?;
                    let current = current.filter(|current| !current.deleted);
                    return Err(current.map_or(Refused::NotFound, |head| Refused::Changed { current: head.version }));
                }
            }
            Swapped::Unavailable(error) => return Err(error.into()),
        }
        self.rules.forget(id, named.iter().map(|(anchor, _)| anchor));
        let mut effects = Effects { delete: vec![keys::intent(id, &new.write)], ..Effects::default() };
        if let Some(old) = old {
            effects.delete.extend(obsolete(id, old, new));
            if new.epoch > old.epoch {
                effects.send.push(cancel_message(id, new.epoch, None));
            }
        } else if tombstone.is_some() {
            // Who deleted it may have removed these meanwhile.
            effects.put.extend(lists(id, &new.owner).into_iter().map(|key| rows::item(key, &())));
        }
        self.commit_one(effects).await?;
        Ok(())
    }

    pub(crate) fn definition_settings(&self) -> Settings {
        Settings { private_targets: self.settings.private_targets }
    }
}

/// Asks for the end of what a rule owed before this epoch (P6).
///
/// `from` is where the search for it goes on; `None`: from its beginning.
pub(crate) fn cancel_message(id: &Id, epoch: u64, from: Option<String>) -> Message {
    let task = Task::Cancel { rule: id.clone(), epoch, from };
    Message { lane: Lane::Retry, group: format!("cancel#{id}"), not_before: None, body: rows::write(&task) }
}

/// Items that stood for the old head and stand for nothing in the new one.
fn obsolete(id: &Id, old: &Head, new: &Head) -> Vec<Key> {
    let mut keys = vec![keys::body(id, &old.write)];
    keys.extend(old.anchors.iter().map(|anchor| keys::copy(anchor, id, &old.write)));
    keys.extend(old.secrets.iter().map(|(name, write)| keys::secret(id, name, write)));
    keys.retain(|key| !new.names(id, key));
    if new.deleted {
        // Its owner's list keeps it: that is the way to its deliveries (V2).
        let owned = keys::owned(&old.owner);
        keys.extend(lists(id, &old.owner).into_iter().filter(|key| key.partition != owned));
    }
    keys
}

/// A rule's places in the lists of rules.
fn lists(id: &Id, owner: &Owner) -> Vec<Key> {
    let mut lists = vec![keys::ALL_RULES.to_owned(), keys::owned(owner)];
    lists.extend(owner.affiliate().map(|_| keys::AFFILIATE_RULES.to_owned()));
    lists.into_iter().map(|list| Key::new(list, id.as_str())).collect()
}

/// What a request to make a rule asks for; of its secrets only the names.
fn fingerprint(definition: &Definition, secrets: &BTreeMap<String, String>) -> String {
    let document = definition.document().to_string();
    let parts: Vec<&str> = ["made of", &document].into_iter().chain(secrets.keys().map(String::as_str)).collect();
    hash::text(&parts, 25)
}

impl Head {
    /// The head of the next version.
    fn next(&self, now: Timestamp) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self.clone() }
    }

    /// What stays when the rule is deleted: enough to go on from (P6).
    fn tombstone(&self, write: String, now: Timestamp) -> Self {
        Self {
            version: self.version + 1,
            write,
            owner: self.owner.clone(),
            live: false,
            epoch: self.epoch + 1,
            secrets: BTreeMap::new(),
            anchors: Vec::new(),
            made_of: String::new(),
            deleted: true,
            created_at: self.created_at,
            updated_at: now,
        }
    }

    /// Its index copies.
    fn copies(&self) -> impl Iterator<Item = Named> {
        self.anchors.iter().map(|anchor| (anchor.clone(), self.write.clone()))
    }

    /// Sets whether it fires; each time it stops, a new epoch begins (P6).
    fn set_live(&mut self, live: bool) {
        if self.live && !live {
            self.epoch += 1;
        }
        self.live = live;
    }
}

pub(crate) fn is_live(definition: &Definition, secrets: &BTreeMap<String, String>) -> bool {
    definition.active && definition.secret_names().iter().all(|name| secrets.contains_key(name))
}

fn expect_version(expected: Option<u64>, head: &Head) -> Result<(), Refused> {
    match expected {
        Some(version) if version != head.version => Err(Refused::Changed { current: head.version }),
        _ => Ok(()),
    }
}

/// Rule ids sort like the times at which they were made.
fn new_id(new: &New, owner: &Owner, now: Timestamp) -> Id {
    let id = match new {
        New::Random(dice) => {
            let dice = u128::from_be_bytes(*dice).to_string();
            format!("trk_{}{}", keys::sortable(now), hash::text(&["rule", &dice], 10))
        }
        New::IdempotencyKey(key) => {
            let owner = keys::owned(owner);
            format!("trk_{}", hash::text(&["idempotency", &owner, key], 24))
        }
    };
    id.parse().expect("a prefix and lower-case letters and digits are an id")
}

/// `secret_values` of a body (contract §2).
fn secret_values(document: &Value) -> Result<BTreeMap<String, String>, Faults> {
    let mut faults = Faults::default();
    let mut values = BTreeMap::new();
    match document.get("secret_values") {
        None | Some(Value::Null) => {}
        Some(Value::Object(given)) => {
            for (name, value) in given {
                let pointer = format!("/secret_values/{}", tracking_core::fault::pointer_token(name));
                match value {
                    Value::String(value) => {
                        if collect(check_secret(name, value, &pointer), &mut faults).is_some() {
                            values.insert(name.clone(), value.clone());
                        }
                    }
                    _ => faults.add(pointer, "a secret's value is a text"),
                }
            }
        }
        Some(_) => faults.add("/secret_values", "give an object of names and values, such as {\"token\": \"…\"}"),
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

fn check_secret(name: &str, value: &str, pointer: &str) -> Result<(), Faults> {
    let mut faults = Faults::default();
    if let Err(error) = check_name(name) {
        faults.add(pointer, error.to_string());
    }
    if value.is_empty() || value.len() > MAX_SECRET_BYTES {
        let pointer = if pointer.is_empty() { "/value" } else { pointer };
        faults.add(pointer, format!("a secret's value has 1 to {MAX_SECRET_BYTES} bytes"));
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn collect<T>(result: Result<T, Faults>, faults: &mut Faults) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(more) => {
            for Fault { pointer, detail } in more.0 {
                faults.add(pointer, detail);
            }
            None
        }
    }
}
