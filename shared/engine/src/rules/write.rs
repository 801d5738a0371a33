//! Changing rules.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
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
        let mut faults = Faults::default();
        let owner = collect(owner_of_new(document, caller), &mut faults).unwrap_or_else(|| caller.as_owner());
        let values = collect(secret_values(document), &mut faults).unwrap_or_default();
        let definition = collect(Definition::parse(document, &owner, &self.definition_settings()), &mut faults);
        let Some(definition) = definition.filter(|_| faults.is_empty()) else { return Err(faults.into()) };
        let id = new_id(&new, &owner, now);
        if matches!(new, New::IdempotencyKey(_))
            && let Some((rule, _)) = self.read_rule(&id).await?
        {
            return Ok((self.view(&rule).await?, false));
        }
        let sealed: BTreeMap<String, u64> = values.keys().map(|name| (name.clone(), 1)).collect();
        let head = Head {
            version: 1,
            live: is_live(&definition, &sealed),
            owner,
            epoch: 0,
            secrets: sealed,
            anchors: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        let secrets = values.iter().map(|(name, value)| self.sealed(&id, name, 1, value)).collect();
        let rule = self.write_rule(id, None, head, definition, secrets).await?;
        Ok((self.view(&rule).await?, true))
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
            let mut sealed = Vec::new();
            for (name, value) in &values {
                head.secrets.insert(name.clone(), head.version);
                sealed.push(self.sealed(id, name, head.version, value));
            }
            head.set_live(is_live(&definition, &head.secrets));
            match self.write_rule(id.clone(), Some((rule, rev)), head, definition, sealed).await {
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
            self.begin_change(id, rule.head.version + 1, &[], Vec::new()).await?;
            match self.swap_one(Swap { key: keys::head(id), expect: Some(rev), new: None }).await {
                Swapped::Done => {
                    self.rules.forget(id, rule.head.anchors.iter());
                    self.finish_change(id, Some(&rule.head), None).await?;
                    return Ok(());
                }
                Swapped::Conflict(_) => {}
                Swapped::Unavailable(error) => return Err(error.into()),
            }
        }
    }

    /// Writes a secret's value; it is never read back (Q5).
    pub async fn put_secret(&self, caller: &Caller, id: &Id, name: &str, value: &str) -> Result<(), Refused> {
        check_secret(name, value, "")?;
        loop {
            let (rule, rev) = self.visible(caller, id).await?;
            let mut head = rule.head.next(self.now());
            head.secrets.insert(name.to_owned(), head.version);
            head.set_live(is_live(&rule.definition, &head.secrets));
            let sealed = vec![self.sealed(id, name, head.version, value)];
            let definition = Definition::clone(&rule.definition);
            match self.write_rule(id.clone(), Some((rule, rev)), head, definition, sealed).await {
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
            let definition = Definition::clone(&rule.definition);
            match self.write_rule(id.clone(), Some((rule, rev)), head, definition, Vec::new()).await {
                Err(Refused::Changed { .. }) => {}
                written => return written.map(drop),
            }
        }
    }

    /// New text and index copies, then the head, then what is no longer needed.
    async fn write_rule(
        &self,
        id: Id,
        old: Option<(Rule, u64)>,
        mut head: Head,
        definition: Definition,
        mut items: Vec<Item>,
    ) -> Result<Rule, Refused> {
        let anchors = if head.live { anchors(&definition.conditions) } else { Vec::new() };
        head.anchors = anchors.iter().map(ToString::to_string).collect();
        items.push(rows::item(keys::body(&id, head.version), &definition.document()));
        items.extend(anchors.iter().map(|anchor| rows::item(Key::new(keys::index(anchor), id.as_str()), &())));
        if old.is_none() {
            let mut lists = vec![keys::ALL_RULES.to_owned(), keys::owned(&head.owner)];
            lists.extend(head.owner.affiliate().map(|_| keys::AFFILIATE_RULES.to_owned()));
            items.extend(lists.into_iter().map(|list| rows::item(Key::new(list, id.as_str()), &())));
        }
        self.begin_change(&id, head.version, &head.anchors, items).await?;
        let (old, rev) = old.map_or((None, None), |(rule, rev)| (Some(rule), Some(rev)));
        let swap = Swap { key: keys::head(&id), expect: rev, new: Some(rows::item(keys::head(&id), &head)) };
        match self.swap_one(swap).await {
            Swapped::Done => {}
            Swapped::Conflict(current) => {
                let current = current.map(|item| rows::read::<Head>(&item.body)).transpose().map_err(crate::Unavailable::from)?;
                return Err(current.map_or(Refused::NotFound, |head| Refused::Changed { current: head.version }));
            }
            Swapped::Unavailable(error) => return Err(error.into()),
        }
        let before = old.as_ref().map(|rule| &*rule.head);
        self.rules.forget(&id, head.anchors.iter().chain(before.into_iter().flat_map(|head| head.anchors.iter())));
        self.finish_change(&id, before, Some(&head)).await?;
        Ok(Rule { id, head: Arc::new(head), definition: Arc::new(definition) })
    }

    async fn begin_change(&self, id: &Id, version: u64, anchors: &[String], mut items: Vec<Item>) -> Result<(), Refused> {
        items.push(rows::item(Key::new(keys::INTENTS, format!("{id}#{version:012}")), &(self.now(), anchors)));
        self.commit_one(Effects { put: items, ..Effects::default() }).await?;
        Ok(())
    }

    /// Removes what the new head no longer names, and ends what the rule owed if it stopped being live.
    async fn finish_change(&self, id: &Id, old: Option<&Head>, new: Option<&Head>) -> Result<(), Refused> {
        let version = new.map_or_else(|| old.map_or(0, |old| old.version + 1), |new| new.version);
        let mut effects = Effects::default();
        effects.delete.push(Key::new(keys::INTENTS, format!("{id}#{version:012}")));
        if let Some(old) = old {
            effects.delete.extend(obsolete(id, old, new));
            let stopped = new.map_or(old.epoch + 1, |new| new.epoch);
            if stopped > old.epoch {
                effects.send.push(cancel_message(id, stopped));
            }
        }
        self.commit_one(effects).await?;
        Ok(())
    }

    fn sealed(&self, id: &Id, name: &str, version: u64, value: &str) -> Item {
        rows::item(keys::secret(id, name, version), &self.vault.seal(id, name, version, value))
    }

    pub(crate) fn definition_settings(&self) -> Settings {
        Settings { private_targets: self.settings.private_targets }
    }
}

/// Asks for the end of what a rule owed before this epoch (P6).
pub(super) fn cancel_message(id: &Id, epoch: u64) -> Message {
    let task = Task::Cancel { rule: id.clone(), epoch, from: None };
    Message { lane: Lane::Retry, group: format!("cancel#{id}"), not_before: None, body: rows::write(&task) }
}

/// Items that stood for the old head and stand for nothing in the new one.
fn obsolete(id: &Id, old: &Head, new: Option<&Head>) -> Vec<Key> {
    let mut keys = Vec::new();
    keys.push(keys::body(id, old.version));
    let kept: BTreeSet<&String> = new.into_iter().flat_map(|new| new.anchors.iter()).collect();
    keys.extend(
        old.anchors.iter().filter(|anchor| !kept.contains(anchor)).map(|anchor| Key::new(format!("I#{anchor}"), id.as_str())),
    );
    for (name, version) in &old.secrets {
        if new.and_then(|new| new.secrets.get(name)) != Some(version) {
            keys.push(keys::secret(id, name, *version));
        }
    }
    if new.is_none() {
        let mut lists = vec![keys::ALL_RULES.to_owned()];
        lists.extend(old.owner.affiliate().map(|_| keys::AFFILIATE_RULES.to_owned()));
        keys.extend(lists.into_iter().map(|list| Key::new(list, id.as_str())));
    }
    keys
}

impl Head {
    /// The head of the next version.
    fn next(&self, now: Timestamp) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self.clone() }
    }

    /// Sets whether it fires; each time it stops, a new epoch begins (P6).
    fn set_live(&mut self, live: bool) {
        if self.live && !live {
            self.epoch += 1;
        }
        self.live = live;
    }
}

fn is_live(definition: &Definition, secrets: &BTreeMap<String, u64>) -> bool {
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
