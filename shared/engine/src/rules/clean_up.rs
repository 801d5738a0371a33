//! Cleaning up after a rule change that a crash cut off.

use jiff::{SignedDuration, Timestamp};
use tracking_core::id::Id;

use super::{
    RuleHead,
    write::{Named, cancel_message},
};
use crate::{
    backend::{Backend, Effects, Key, Order, Partition, Range, StoreError},
    keys,
    rules::RuleWriter,
};

/// An intent younger than this may belong to a change that is still under way.
const UNDER_WAY: SignedDuration = SignedDuration::from_mins(5);

impl<B: Backend> RuleWriter<B> {
    /// Removes everything that unfinished changes left behind: index copies and texts that no head names, the history's entries of writes
    /// that never became the head, and the open deliveries of their rules if they were switched off.
    pub(crate) async fn clean_up_rules(&self, now: Timestamp) -> Result<(), StoreError> {
        let intents = Partition::Table(keys::INTENTS.to_owned());
        for intent in self.store.backend().query(&intents, &Range::default(), Order::Ascending, 100).await? {
            let Some((id, write_id)) = intent.key.sort.split_once('#') else { continue };
            let (Ok(id), Some(version)) = (id.parse::<Id>(), keys::version_of(write_id)) else { continue };
            let Some((begun, copies)) = self.store.readable::<(Timestamp, Vec<Named>)>(&intent) else { continue };
            if begun + UNDER_WAY > now {
                continue;
            }
            let Some(head) = StoreError::pass_over(self.rules.read_head(&id).await)? else { continue };
            let head = head.map(|(head, _)| head);
            // Writes of later versions may be under way; the head never names another write of its own version or of one before.
            let over = |other: &str| {
                other == write_id || head.as_ref().is_some_and(|head| keys::version_of(other).is_some_and(|v| v <= head.version))
            };
            let names = |key: &Key| head.as_ref().is_some_and(|head| head.names(&id, key));
            let mut effects = Effects { delete: vec![intent.key.clone()], ..Effects::default() };
            let copies_over =
                copies.iter().filter(|(_, write_id)| over(write_id)).map(|(anchor, write_id)| keys::copy(anchor, &id, write_id));
            effects.delete.extend(copies_over.filter(|key| !names(key)));
            let own = Partition::Table(keys::rule(&id));
            for kind in ["BODY#", "K#"] {
                for item in self.store.backend().query(&own, &Range::prefix(kind), Order::Ascending, 1_000).await? {
                    if write_of(&item.key).is_some_and(over) && !names(&item.key) {
                        effects.delete.push(item.key);
                    }
                }
            }
            let happened = match &head {
                Some(head) => self.rules.happened(&id, head, write_id).await?,
                None => Some(false),
            };
            if happened == Some(false) {
                effects.delete.push(keys::audit(&id, write_id));
            }
            if let Some(head) = &head
                && head.version >= version
            {
                effects.send.push(cancel_message(&id, head.epoch, None));
            }
            self.store.commit_one(effects).await?;
            self.rules.cache.forget(&id, copies.iter().map(|(anchor, _)| anchor));
        }
        Ok(())
    }
}

impl RuleHead {
    /// Returns true if an item that a write put belongs to this head.
    pub(super) fn names(&self, id: &Id, key: &Key) -> bool {
        *key == keys::head(id)
            || *key == keys::body(id, &self.write_id)
            || self.secrets.iter().any(|(name, write_id)| *key == keys::secret(id, name, write_id))
            || self.anchors.iter().any(|anchor| *key == keys::copy(anchor, id, &self.write_id))
    }
}

/// The write that put a text or a secret.
fn write_of(key: &Key) -> Option<&str> {
    match key.sort.split_once('#')? {
        ("BODY", write_id) => Some(write_id),
        ("K", named) => named.split_once('#').map(|(_, write_id)| write_id),
        _ => None,
    }
}
