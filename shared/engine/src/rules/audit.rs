//! The author, content and time of every change of a rule: an entry for every write that became the head.
//!
//! An entry is put before the head, under the name of its write, and names the write before it. Only the entries on the way from
//! the head back count; one that a failed write or a crash left beside them does not.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{
    caller::{Actor, Caller, Owner},
    id::Id,
    json,
    json::Value,
    tracking_api::{FieldChange, RuleDefinition, changes},
};

use super::{
    Refused, RuleHead,
    over::Over,
    versions::{Delta, Version, kept_changes},
};
use crate::{
    MOST_PAGE_BYTES,
    backend::{Backend, Effects, Item, Order, Partition, Range, StoreError},
    keys, rows,
    rules::Rules,
    store::Store,
};

/// Entries read at a time; one may hold a whole rule, older ones three times.
const FETCH: usize = 25;

/// An action of somebody on a rule.
pub(super) struct Act {
    pub(super) actor: Actor,
    pub(super) action: Action,
    pub(super) note: Option<String>,
}

impl Act {
    pub(super) fn new(actor: Actor, action: Action) -> Self {
        Self { actor, action, note: None }
    }
}

/// The ways to change a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Created,
    Duplicated,
    Replaced,
    Patched,
    SecretWritten,
    SecretDeleted,
    WebhookRenewed,
    Restored,
    Deleted,
}

/// One change of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    version: u64,
    at: Timestamp,
    by: Owner,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    on_behalf: bool,
    action: Action,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// The differences from the version before; of secrets only that they changed. `None`: too large to be kept twice, they are found by
    /// comparing the documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<FieldChange>>,
    /// The secrets' part of changes that are not kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<FieldChange>,
    /// The whole document, to go back to; none when the rule was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<Value>,
    /// The difference from the document before, where the document is not kept whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delta: Option<Delta>,
    /// The write before; none if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
}

impl Entry {
    /// The entry of a write that puts `new` over the stored rule.
    pub(super) fn new(act: &Act, over: &Over, new: &RuleHead, version: Option<Version>) -> Self {
        let secrets: Vec<FieldChange> = secret_changes(over.rule().map(|rule| &*rule.head), new).collect();
        let (changes, document, delta) = match version {
            Some(Version { changes, document, delta, .. }) => (changes, document, delta),
            None => (over.rule().and_then(|rule| kept_changes(&rule.definition.document(), &json!({}))), None, None),
        };
        let (changes, secrets) = match changes {
            Some(changes) => (Some(changes.into_iter().chain(secrets).collect()), Vec::new()),
            None => (None, secrets),
        };
        Self {
            version: new.version,
            at: new.updated_at,
            by: act.actor.caller.as_owner(),
            subject: act.actor.subject().map(str::to_owned),
            on_behalf: act.actor.on_behalf_of(&new.owner),
            action: act.action,
            note: act.note.clone(),
            changes,
            secrets,
            document,
            delta,
            previous: over.head().map(|head| head.write_id.clone()),
        }
    }

    /// Returns true if no older entry is needed for its document.
    pub(super) fn is_whole(&self) -> bool {
        self.delta.is_none()
    }

    /// As the API shows it. An affiliate does not see which admin made a change (V3).
    fn view(&self, caller: &Caller, changes: &[FieldChange]) -> Value {
        let mut by = match self.by.affiliate() {
            None => json!({"role": "admin"}),
            Some(affiliate) => json!({"role": "affiliate", "affiliate_id": affiliate}),
        };
        if let Some(subject) = self.subject.as_deref().filter(|_| caller.sees(&self.by)) {
            by["subject"] = subject.into();
        }
        json!({
            "version": self.version, "at": self.at, "by": by, "on_behalf": self.on_behalf, "action": self.action,
            "note": self.note, "changes": changes,
        })
    }
}

/// The secrets that got another value, and those that have none any more.
fn secret_changes(old: Option<&RuleHead>, new: &RuleHead) -> impl Iterator<Item = FieldChange> {
    let before = |name: &str| old.and_then(|head| head.value_of(name));
    let changed = new.secrets.keys().filter(|name| before(name) != new.value_of(name)).map(|name| (name, "changed"));
    let old_names = old.into_iter().flat_map(|head| head.secrets.keys());
    let deleted = old_names.filter(|name| !new.secrets.contains_key(*name)).map(|name| (name, "deleted"));
    let change =
        |(name, what): (&String, &str)| FieldChange { pointer: format!("/secrets/{name}"), from: Value::Null, to: what.into() };
    changed.chain(deleted).map(change).collect::<Vec<_>>().into_iter()
}

/// The place at which a page of a history begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryCursor(String);

impl HistoryCursor {
    /// Reads a cursor as a page gave it.
    pub fn parse(text: &str) -> Option<Self> {
        let (version, nonce) = text.split_once('.')?;
        let version = version.bytes().all(|b| b.is_ascii_digit()).then(|| version.parse().ok())??;
        let is_nonce = (1..=64).contains(&nonce.len()) && nonce.bytes().all(|b| b.is_ascii_alphanumeric());
        is_nonce.then(|| Self(keys::write_id(version, nonce)))
    }

    fn text(write_id: &str) -> String {
        write_id.replacen('#', ".", 1)
    }
}

impl<B: Backend> Rules<B> {
    /// The history of a rule, newest first, and the place at which the next page begins. A deleted rule's history stays its owner's (V2),
    /// for as long as the log may remember the rule.
    pub async fn history(
        &self,
        caller: &Caller,
        id: &Id,
        limit: usize,
        cursor: Option<HistoryCursor>,
    ) -> Result<(Vec<Value>, Option<String>), Refused> {
        let found = self.read_head(id).await?.filter(|(head, _)| caller.sees(&head.owner));
        let Some((head, _)) = found else { return Err(Refused::NotFound) };
        let mut entries = Entries::new(id, cursor.map_or(head.write_id, |cursor| cursor.0));
        let (mut items, mut bytes) = (Vec::new(), 0);
        while let Some((write_id, entry)) = entries.next(&self.store).await? {
            let changes = entries.changes(&self.store, &entry).await?;
            let view = entry.view(caller, &changes);
            bytes += view.to_string().len();
            // One more than fits shows that there is a next page.
            if items.len() == limit || (bytes > MOST_PAGE_BYTES && !items.is_empty()) {
                return Ok((items, Some(HistoryCursor::text(&write_id))));
            }
            items.push(view);
        }
        Ok((items, None))
    }

    /// The document of one version: none if the rule was deleted then.
    ///
    /// # Errors
    /// There was no such version, or it is not kept any more.
    pub(super) async fn version(&self, id: &Id, head: &RuleHead, version: u64) -> Result<Option<Value>, Refused> {
        let mut entries = Entries::new(id, head.write_id.clone());
        while let Some((_, entry)) = entries.next(&self.store).await? {
            if entry.version == version {
                let document = entries.document(&self.store, &entry).await?;
                if document.is_none() && entry.action != Action::Deleted {
                    return Err(Refused::NotFound);
                }
                return Ok(document.map(RuleDefinition::current));
            }
            if entry.version < version || entry.previous.is_none() {
                return Err(Refused::NotFound);
            }
        }
        if version == 0 {
            return Err(Refused::NotFound);
        }
        Err(Refused::Removed(format!("version {version} is no longer kept: choose one that the history lists")))
    }

    /// The party that made a write, if the history has it.
    pub(super) async fn author(&self, id: &Id, write_id: &str) -> Result<Option<Owner>, StoreError> {
        let Some(item) = self.store.get_one(keys::audit(id, write_id)).await? else { return Ok(None) };
        Ok(Some(rows::read_item::<Entry>(&item)?.by))
    }

    /// Returns true if a write became the head once; `None` if the entries don't reach back so far.
    pub(super) async fn happened(&self, id: &Id, head: &RuleHead, write_id: &str) -> Result<Option<bool>, StoreError> {
        let version = keys::version_of(write_id);
        if head.write_id == write_id || Some(head.version) <= version {
            return Ok(Some(head.write_id == write_id));
        }
        let mut chain = Chain::new(id, head.write_id.clone());
        while let Some((_, entry)) = chain.next(&self.store).await? {
            match entry.previous {
                None => return Ok(Some(false)),
                Some(previous) if keys::version_of(&previous) <= version => return Ok(Some(previous == write_id)),
                Some(_) => {}
            }
        }
        Ok(None)
    }

    /// Lets the history of a deleted rule expire before its tombstone: P2 needs the epoch, not the texts.
    pub(super) async fn expire_history(&self, id: &Id, tombstone: &RuleHead) -> Result<(), StoreError> {
        let partition = Partition::Table(keys::rule(id));
        let mut range = Range { before: Some(format!("{}\0", keys::audit(id, &tombstone.write_id).sort)), ..all_entries() };
        loop {
            let mut put = self.store.backend().query(&partition, &range, Order::Ascending, FETCH).await?;
            let Some(last) = put.last() else { return Ok(()) };
            range.from = Some(format!("{}\0", last.key.sort));
            for item in &mut put {
                item.expires = Some(tombstone.history_ends_at());
            }
            self.store.commit_one(Effects { put, ..Effects::default() }).await?;
        }
    }
}

fn all_entries() -> Range {
    Range::prefix("A#")
}

/// The way from a write back through those before it.
struct Chain {
    id: Id,
    /// The write whose entry comes next.
    next: Option<String>,
    read: VecDeque<Item>,
}

impl Chain {
    fn new(id: &Id, write_id: String) -> Self {
        Self { id: id.clone(), next: Some(write_id), read: VecDeque::new() }
    }

    /// The next older write and its entry. The way ends at the first one, or where no entries were kept yet.
    async fn next<B: Backend>(&mut self, store: &Store<B>) -> Result<Option<(String, Entry)>, StoreError> {
        let Some(write_id) = self.next.take() else { return Ok(None) };
        let key = keys::audit(&self.id, &write_id);
        // Entries of failed writes are between those that count.
        while self.read.front().is_some_and(|item| item.key.sort > key.sort) {
            self.read.pop_front();
        }
        if self.read.is_empty() {
            let range = Range { before: Some(format!("{}\0", key.sort)), ..all_entries() };
            let partition = Partition::Table(key.partition.clone());
            self.read = store.backend().query(&partition, &range, Order::Descending, FETCH).await?.into();
        }
        let Some(item) = self.read.pop_front().filter(|item| item.key == key) else { return Ok(None) };
        // Entries older than one that can't be read are not found.
        let Some(entry) = store.readable::<Entry>(&item) else { return Ok(None) };
        self.next.clone_from(&entry.previous);
        Ok(Some((write_id, entry)))
    }
}

/// A history with its documents made whole.
struct Entries {
    chain: Chain,
    /// Older entries that were read to make a document whole.
    ahead: VecDeque<(String, Entry)>,
}

impl Entries {
    fn new(id: &Id, write_id: String) -> Self {
        Self { chain: Chain::new(id, write_id), ahead: VecDeque::new() }
    }

    /// The next older write and its entry.
    async fn next<B: Backend>(&mut self, store: &Store<B>) -> Result<Option<(String, Entry)>, StoreError> {
        match self.ahead.pop_front() {
            Some(next) => Ok(Some(next)),
            None => self.chain.next(store).await,
        }
    }

    /// The differences of an entry from the older one that comes next.
    async fn changes<B: Backend>(&mut self, store: &Store<B>, entry: &Entry) -> Result<Vec<FieldChange>, StoreError> {
        if let Some(changes) = &entry.changes {
            return Ok(changes.clone());
        }
        let newer = match self.document(store, entry).await? {
            Some(document) => document,
            None if entry.action == Action::Deleted => json!({}),
            None => return Ok(entry.secrets.clone()),
        };
        let older = match self.text_ahead(store).await? {
            Some(text) => read_document(&text)?,
            // The document before the change is no longer kept.
            None if self.ahead.is_empty() && entry.previous.is_some() => return Ok(entry.secrets.clone()),
            None => json!({}),
        };
        let (older, newer) = (RuleDefinition::current(older), RuleDefinition::current(newer));
        Ok(changes(&older, &newer).into_iter().chain(entry.secrets.iter().cloned()).collect())
    }

    /// The document of an entry; none when the rule was deleted, or if the document that it differs from is gone.
    async fn document<B: Backend>(&mut self, store: &Store<B>, entry: &Entry) -> Result<Option<Value>, StoreError> {
        if entry.document.is_some() {
            return Ok(entry.document.clone());
        }
        let Some(delta) = &entry.delta else { return Ok(None) };
        let older = self.text_ahead(store).await?;
        older.and_then(|older| delta.apply(&older)).map(|text| read_document(&text)).transpose()
    }

    /// The text of the entry that comes next.
    async fn text_ahead<B: Backend>(&mut self, store: &Store<B>) -> Result<Option<String>, StoreError> {
        let mut whole = 0;
        let mut text = loop {
            if whole == self.ahead.len() {
                let Some(next) = self.chain.next(store).await? else { return Ok(None) };
                self.ahead.push_back(next);
            }
            match &self.ahead[whole].1 {
                Entry { document: Some(document), .. } => break document.to_string(),
                Entry { delta: Some(_), .. } => whole += 1,
                _ => return Ok(None),
            }
        };
        for (_, entry) in self.ahead.range(..whole).rev() {
            let Some(newer) = entry.delta.as_ref().and_then(|delta| delta.apply(&text)) else { return Ok(None) };
            text = newer;
        }
        Ok(Some(text))
    }
}

fn read_document(text: &str) -> Result<Value, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Unavailable(format!("a rule's older text does not parse: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_entries_keep_being_read() {
        let first = r#"{"v":1,"d":{"version":1,"at":"2026-11-22T09:00:00Z","by":{"kind":"admin"},"action":"created",
            "changes":[{"pointer":"/retry/max_retries","from":null,"to":3}],"document":{"name":"x"}}}"#;
        let entry: Entry = rows::read(first).unwrap();
        assert_eq!(
            entry.view(&Caller::Admin, entry.changes.as_deref().unwrap()),
            json!({"version": 1, "at": "2026-11-22T09:00:00Z", "by": {"role": "admin"}, "on_behalf": false, "action": "created",
                "note": null, "changes": [{"pointer": "/retry/max_retries", "from": null, "to": 3}]})
        );
        assert_eq!((entry.document, entry.previous), (Some(json!({"name": "x"})), None));
    }

    #[test]
    fn a_cursor_is_read_as_it_was_given() {
        let text = HistoryCursor::text("000000000012#0123456789abcdef");
        assert_eq!(text, "000000000012.0123456789abcdef");
        assert_eq!(HistoryCursor::parse(&text), Some(HistoryCursor("000000000012#0123456789abcdef".to_owned())));
        for bad in ["", "12", "12.", ".abc", "12.a#b", "x.abc", "+1.abc", "99999999999999999999.abc"] {
            assert_eq!(HistoryCursor::parse(bad), None, "{bad}");
        }
    }
}
