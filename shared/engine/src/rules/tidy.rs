//! Tidying up after a rule change that a crash cut off.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use tracking_core::id::Id;

use super::{Head, write::cancel_message};
use crate::{
    Engine,
    backend::{Backend, Effects, Key, Order, Partition, Range, Unavailable},
    keys, rows,
};

/// An intent younger than this may belong to a change that is still under way.
const UNDER_WAY: SignedDuration = SignedDuration::from_mins(5);

impl<B: Backend> Engine<B> {
    /// Removes what changes that never came to their end left behind: index copies and texts that no head names, and what their
    /// rules owed if they were switched off.
    pub(crate) async fn tidy_rules(&self, now: Timestamp) -> Result<(), Unavailable> {
        let intents = Partition::Table(keys::INTENTS.to_owned());
        for intent in self.backend.query(&intents, &Range::default(), Order::Ascending, 100).await? {
            let Some((id, version)) = intent.key.sort.rsplit_once('#') else { continue };
            let (Ok(id), Ok(version)) = (id.parse::<Id>(), version.parse::<u64>()) else { continue };
            let (begun, named): (Timestamp, Vec<String>) = rows::read(&intent.body)?;
            if begun + UNDER_WAY > now {
                continue;
            }
            let head = self.backend.get(&[keys::head(&id)]).await?.pop().flatten();
            let head = head.map(|item| rows::read::<Head>(&item.body)).transpose()?;
            let mut effects = Effects { delete: vec![intent.key.clone()], ..Effects::default() };
            let kept: BTreeSet<&String> = head.iter().flat_map(|head| head.anchors.iter()).collect();
            effects.delete.extend(named.iter().filter(|a| !kept.contains(a)).map(|a| Key::new(format!("I#{a}"), id.as_str())));
            let own = Partition::Table(keys::rule(&id));
            for item in self.backend.query(&own, &Range::default(), Order::Ascending, 1_000).await? {
                if !head.as_ref().is_some_and(|head| head.names(&id, &item.key)) {
                    effects.delete.push(item.key);
                }
            }
            if let Some(head) = &head
                && head.version >= version
            {
                effects.send.push(cancel_message(&id, head.epoch));
            }
            self.commit_one(effects).await?;
            self.rules.forget(&id, named.iter());
        }
        Ok(())
    }
}

impl Head {
    /// Whether an item of the rule's partition belongs to this head.
    fn names(&self, id: &Id, key: &Key) -> bool {
        *key == keys::head(id)
            || *key == keys::body(id, self.version)
            || self.secrets.iter().any(|(name, version)| *key == keys::secret(id, name, *version))
    }
}
