//! A process's memory of rules, so that matching a change asks the store nothing it has asked before.
//!
//! If one process has the store for itself, rules that it writes are forgotten here in the same step and nothing ever ages. If several
//! share it, everything ages by seconds. A load that overlaps a change is not kept.
//!
//! Each part has a share of the cache's bytes; the least recently used entries go first.

use std::{
    borrow::Borrow,
    collections::BTreeMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard},
};

use jiff::{SignedDuration, Timestamp};
use lru::LruCache;
use tracking_core::{id::Id, index::Anchor, tracking_api::RuleDefinition};

use super::{Rule, RuleHead};
use crate::{
    backend::{Backend, Order, Partition, Range, StoreError},
    keys,
    rules::Rules,
};

/// The memory that an entry takes beside its content, and a text or an id beside its bytes, in bytes.
const ENTRY_BYTES: usize = 256;
const TEXT_BYTES: usize = 48;

/// Rules and index entries as they were last read.
#[derive(Debug)]
pub(crate) struct Cache {
    /// The time for which a rule or an anchor's list counts; `None`: until it is changed here.
    lifetime: Option<SignedDuration>,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    /// Grows with every change: a load that began before is not kept.
    generation: u64,
    anchors: Bounded<String, Aged<Arc<Vec<Id>>>>,
    /// Heads; the texts are among the definitions.
    heads: Bounded<Id, Aged<Option<Arc<RuleHead>>>>,
    /// By the write that brought the text.
    definitions: Bounded<Id, (String, Arc<RuleDefinition>)>,
    secrets: Bounded<Id, Secrets>,
}

type Aged<T> = (Timestamp, T);

/// The writes that brought a rule's secrets, and their values.
type Secrets = (BTreeMap<String, String>, Arc<BTreeMap<String, String>>);

/// A part of the cache, bounded in bytes.
#[derive(Debug)]
struct Bounded<K: Hash + Eq, V> {
    entries: LruCache<K, (usize, V)>,
    bytes: usize,
    most_bytes: usize,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    fn new(most_bytes: usize) -> Self {
        Self { entries: LruCache::unbounded(), bytes: 0, most_bytes }
    }

    /// The value of a key, which counts as used now.
    fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Keeps a value that takes so many bytes, in place of those that were not used for longest.
    fn put(&mut self, key: K, value: V, bytes: usize) {
        let bytes = bytes + ENTRY_BYTES;
        self.remove(&key);
        if bytes > self.most_bytes {
            return;
        }
        self.bytes += bytes;
        self.entries.put(key, (bytes, value));
        while self.bytes > self.most_bytes
            && let Some((_, (freed, _))) = self.entries.pop_lru()
        {
            self.bytes -= freed;
        }
    }

    fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some((freed, _)) = self.entries.pop(key) {
            self.bytes -= freed;
        }
    }
}

impl<K: Hash + Eq, T: Clone> Bounded<K, Aged<T>> {
    /// A value that is not older than `lifetime`; an older one goes.
    fn fresh<Q: Hash + Eq + ?Sized>(&mut self, key: &Q, lifetime: Option<SignedDuration>, now: Timestamp) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let (at, value) = self.get(key)?;
        if lifetime.is_none_or(|lifetime| *at + lifetime > now) {
            return Some(value.clone());
        }
        self.remove(key);
        None
    }
}

impl Cache {
    /// A cache of at most so many bytes: three quarters for texts, the others in equal parts.
    pub(crate) fn new(lifetime: Option<SignedDuration>, bytes: usize) -> Self {
        let part = bytes / 12;
        let kept = Kept {
            generation: 0,
            anchors: Bounded::new(part),
            heads: Bounded::new(part),
            definitions: Bounded::new(9 * part),
            secrets: Bounded::new(part),
        };
        Self { lifetime, kept: Mutex::new(kept) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn definition(&self, id: &Id, write_id: &str) -> Option<Arc<RuleDefinition>> {
        self.kept().definitions.get(id).filter(|(kept, _)| kept == write_id).map(|(_, definition)| definition.clone())
    }

    pub(super) fn keep_definition(&self, id: &Id, write_id: &str, definition: &Arc<RuleDefinition>) {
        let bytes = write_id.len() + definition.bytes();
        let mut kept = self.kept();
        if kept.definitions.get(id).is_none_or(|(earlier, _)| write_id > earlier.as_str()) {
            kept.definitions.put(id.clone(), (write_id.to_owned(), definition.clone()), bytes);
        }
    }

    pub(super) fn secrets(&self, id: &Id, write_ids: &BTreeMap<String, String>) -> Option<Arc<BTreeMap<String, String>>> {
        self.kept().secrets.get(id).filter(|(kept, _)| kept == write_ids).map(|(_, values)| values.clone())
    }

    pub(super) fn keep_secrets(&self, id: &Id, write_ids: &BTreeMap<String, String>, values: &Arc<BTreeMap<String, String>>) {
        let bytes = bytes_of_map(write_ids) + bytes_of_map(values);
        self.kept().secrets.put(id.clone(), (write_ids.clone(), values.clone()), bytes);
    }

    /// Forgets a rule that was changed, and the lists that it may have entered or left.
    pub(super) fn forget<'a>(&self, id: &Id, anchors: impl Iterator<Item = &'a String>) {
        let mut kept = self.kept();
        kept.generation += 1;
        kept.heads.remove(id);
        for anchor in anchors {
            kept.anchors.remove(anchor);
        }
    }
}

fn bytes_of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> usize {
    texts.into_iter().map(|text| text.len() + TEXT_BYTES).sum()
}

fn bytes_of_map(map: &BTreeMap<String, String>) -> usize {
    bytes_of_texts(map.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]))
}

impl<B: Backend> Rules<B> {
    /// The rules under an anchor.
    pub(crate) async fn anchored(&self, anchor: &Anchor, now: Timestamp) -> Result<Arc<Vec<Id>>, StoreError> {
        let name = anchor.to_string();
        let generation = {
            let mut kept = self.cache.kept();
            if let Some(ids) = kept.anchors.fresh(&name, self.cache.lifetime, now) {
                return Ok(ids);
            }
            kept.generation
        };
        let partition = Partition::Table(keys::index(anchor));
        let mut range = Range::default();
        let mut ids = Vec::new();
        loop {
            let items = self.store.backend().query(&partition, &range, Order::Ascending, 1_000).await?;
            ids.extend(items.iter().filter_map(|item| item.key.sort.split_once('#')?.0.parse::<Id>().ok()));
            let Some(last) = items.last().filter(|_| items.len() == 1_000) else { break };
            range.from = Some(format!("{}\0", last.key.sort));
        }
        // Copies of several writes of one rule are side by side.
        ids.dedup();
        let ids = Arc::new(ids);
        let mut kept = self.cache.kept();
        if kept.generation == generation {
            let bytes = bytes_of_texts(ids.iter().map(Id::as_str).chain([&*name]));
            kept.anchors.put(name, (now, ids.clone()), bytes);
        }
        Ok(ids)
    }

    /// A rule as matching may see it: as it is, or as it was within the cache's lifetime.
    pub(crate) async fn matching_rule(&self, id: &Id, now: Timestamp) -> Result<Option<Rule>, StoreError> {
        let generation = {
            let mut kept = self.cache.kept();
            if let Some(rule) = kept.rule(id, self.cache.lifetime, now) {
                return Ok(rule);
            }
            kept.generation
        };
        // A rule that can't be read can't be judged, and stops no other rule.
        let rule = StoreError::pass_over(self.read_rule_if(id, |_| true).await)?.flatten().map(|(rule, _)| rule);
        let mut kept = self.cache.kept();
        if kept.generation == generation {
            let head = rule.as_ref().map(|rule| rule.head.clone());
            let bytes = head.as_deref().map_or(0, RuleHead::bytes);
            kept.heads.put(id.clone(), (now, head), bytes);
        }
        Ok(rule)
    }
}

impl Kept {
    /// A rule whose head is fresh and whose text is here; or the knowledge that there is none.
    #[expect(clippy::option_option, reason = "not known, or known to be no rule")]
    fn rule(&mut self, id: &Id, lifetime: Option<SignedDuration>, now: Timestamp) -> Option<Option<Rule>> {
        let Some(head) = self.heads.fresh(id, lifetime, now)? else { return Some(None) };
        let (_, definition) = self.definitions.get(id).filter(|(write_id, _)| *write_id == head.write_id)?;
        Some(Some(Rule { id: id.clone(), definition: definition.clone(), head }))
    }
}

impl RuleHead {
    /// An estimate of the memory that it takes, in bytes.
    fn bytes(&self) -> usize {
        size_of::<Self>() + bytes_of_map(&self.secrets) + bytes_of_texts(self.anchors.iter().map(String::as_str))
    }

    /// Returns true if a postback that matched in this epoch may still be sent (P6).
    pub(crate) fn sends(&self, epoch: u64) -> bool {
        self.live && self.epoch == epoch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f2_a_part_of_the_cache_keeps_what_was_used_last_within_its_bytes() {
        let mut part: Bounded<String, u8> = Bounded::new(3_000);
        let keys = |part: &Bounded<String, u8>| {
            let mut keys: Vec<String> = part.entries.iter().map(|(key, _)| key.clone()).collect();
            keys.sort();
            keys.concat()
        };
        for key in ["a", "b", "c"] {
            part.put(key.to_owned(), 1, 744);
        }
        assert_eq!((keys(&part), part.bytes), ("abc".to_owned(), 3_000));
        part.get("a");
        part.put("d".to_owned(), 1, 1);
        assert_eq!((keys(&part), part.bytes), ("acd".to_owned(), 2_257));
        part.put("a".to_owned(), 2, 0);
        assert_eq!(part.get("a"), Some(&2));
        assert_eq!(part.bytes, 1_513);
        part.put("e".to_owned(), 1, 2_745);
        assert_eq!((keys(&part), part.bytes), ("acd".to_owned(), 1_513));
        part.put("f".to_owned(), 1, 2_744);
        assert_eq!((keys(&part), part.bytes), ("f".to_owned(), 3_000));
        part.remove("f");
        assert_eq!(part.bytes, 0);
    }

    #[test]
    fn f2_what_has_aged_is_dropped_when_it_is_asked_for() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut part: Bounded<String, Aged<u8>> = Bounded::new(1_000);
        part.put("a".to_owned(), (at("2026-11-22T09:00:00Z"), 1), 0);
        let lifetime = Some(SignedDuration::from_secs(5));
        assert_eq!(part.fresh("a", lifetime, at("2026-11-22T09:00:04Z")), Some(1));
        assert_eq!(part.fresh("a", lifetime, at("2026-11-22T09:00:05Z")), None);
        assert_eq!((part.entries.len(), part.bytes), (0, 0));
    }
}
