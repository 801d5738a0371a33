//! What a process remembers of rules, so that matching a change asks the store nothing it has asked before.
//!
//! Where one process has the store for itself, what it writes is forgotten here in the same step and nothing ever ages. Where
//! several share it, everything ages by seconds. A load that overlaps a change is not kept.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{id::Id, index::Anchor, tracking_api::Definition};

use super::{Head, Rule};
use crate::{
    Engine,
    backend::{Backend, Order, Partition, Range, Unavailable},
    keys,
};

/// Most texts kept.
const MOST_DEFINITIONS: usize = 200_000;

/// Rules and index entries as they were last read.
#[derive(Debug)]
pub(crate) struct Cache {
    /// How long a rule or an anchor's list counts; `None`: until it is changed here.
    lifetime: Option<SignedDuration>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Grows with every change: a load that began before is not kept.
    generation: u64,
    anchors: HashMap<String, Aged<Arc<Vec<Id>>>>,
    rules: HashMap<Id, Aged<Option<Rule>>>,
    /// By the write that brought the text.
    definitions: HashMap<Id, (String, Arc<Definition>)>,
    secrets: HashMap<Id, Secrets>,
}

type Aged<T> = (Timestamp, T);

/// The writes that brought a rule's secrets, and their values.
type Secrets = (BTreeMap<String, String>, Arc<BTreeMap<String, String>>);

impl Cache {
    pub(crate) fn new(lifetime: Option<SignedDuration>) -> Self {
        Self { lifetime, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn fresh<T: Clone>(&self, entry: Option<&Aged<T>>, now: Timestamp) -> Option<T> {
        let (at, value) = entry?;
        self.lifetime.is_none_or(|lifetime| *at + lifetime > now).then(|| value.clone())
    }

    pub(super) fn definition(&self, id: &Id, write: &str) -> Option<Arc<Definition>> {
        self.kept().definitions.get(id).filter(|(kept, _)| kept == write).map(|(_, definition)| definition.clone())
    }

    pub(super) fn keep_definition(&self, id: &Id, write: &str, definition: &Arc<Definition>) {
        let mut kept = self.kept();
        if kept.definitions.len() >= MOST_DEFINITIONS {
            kept.definitions.clear();
        }
        let entry = kept.definitions.entry(id.clone()).or_insert_with(|| (write.to_owned(), definition.clone()));
        if *write > *entry.0 {
            *entry = (write.to_owned(), definition.clone());
        }
    }

    pub(super) fn secrets(&self, id: &Id, writes: &BTreeMap<String, String>) -> Option<Arc<BTreeMap<String, String>>> {
        self.kept().secrets.get(id).filter(|(kept, _)| kept == writes).map(|(_, values)| values.clone())
    }

    pub(super) fn keep_secrets(&self, id: &Id, writes: &BTreeMap<String, String>, values: &Arc<BTreeMap<String, String>>) {
        self.kept().secrets.insert(id.clone(), (writes.clone(), values.clone()));
    }

    /// Forgets a rule that was changed, and the lists that it may have entered or left.
    pub(super) fn forget<'a>(&self, id: &Id, anchors: impl Iterator<Item = &'a String>) {
        let mut kept = self.kept();
        kept.generation += 1;
        kept.rules.remove(id);
        for anchor in anchors {
            kept.anchors.remove(anchor);
        }
    }
}

impl<B: Backend> Engine<B> {
    /// The rules that stand under an anchor.
    pub(crate) async fn anchored(&self, anchor: &Anchor, now: Timestamp) -> Result<Arc<Vec<Id>>, Unavailable> {
        let name = anchor.to_string();
        let generation = {
            let kept = self.rules.kept();
            if let Some(ids) = self.rules.fresh(kept.anchors.get(&name), now) {
                return Ok(ids);
            }
            kept.generation
        };
        let partition = Partition::Table(keys::index(anchor));
        let mut range = Range::default();
        let mut ids = Vec::new();
        loop {
            let items = self.backend.query(&partition, &range, Order::Ascending, 1_000).await?;
            ids.extend(items.iter().filter_map(|item| item.key.sort.split_once('#')?.0.parse::<Id>().ok()));
            let Some(last) = items.last().filter(|_| items.len() == 1_000) else { break };
            range.from = Some(format!("{}\0", last.key.sort));
        }
        // Copies of several writes of one rule stand side by side.
        ids.dedup();
        let ids = Arc::new(ids);
        let mut kept = self.rules.kept();
        if kept.generation == generation {
            kept.anchors.insert(name, (now, ids.clone()));
        }
        Ok(ids)
    }

    /// A rule as matching may see it: as it is, or as it was within the cache's lifetime.
    pub(crate) async fn matching_rule(&self, id: &Id, now: Timestamp) -> Result<Option<Rule>, Unavailable> {
        let generation = {
            let kept = self.rules.kept();
            if let Some(rule) = self.rules.fresh(kept.rules.get(id), now) {
                return Ok(rule);
            }
            kept.generation
        };
        let rule = self.read_rule(id).await?.map(|(rule, _)| rule);
        let mut kept = self.rules.kept();
        if kept.generation == generation {
            kept.rules.insert(id.clone(), (now, rule.clone()));
        }
        Ok(rule)
    }
}

impl Head {
    /// Whether a postback that matched in this epoch may still be sent (P6).
    pub(crate) fn sends(&self, epoch: u64) -> bool {
        self.live && self.epoch == epoch
    }
}
