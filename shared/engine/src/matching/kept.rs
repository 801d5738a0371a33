//! Kept events: changes as they came, to explain their effects later and to backfill rules that did not see them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{
    change::{Change, Envelope},
    delivery::conversion_hash,
    fault::{Fault, Faults},
    id::Id,
};

use crate::{
    backend::{Backend, Item, Order, Partition, Range, StoreError},
    keys,
    matching::Matcher,
    rows::{self, Unreadable},
    store::Store,
};

/// A change as it was kept.
pub(crate) struct Kept {
    /// The time at which it came.
    pub(crate) received_at: Timestamp,
    /// The change.
    pub(crate) change: Change,
    /// Notes of each value of it that is taken otherwise than it came.
    pub(crate) notes: Vec<Fault>,
}

/// A kept event's row.
#[derive(Serialize, Deserialize)]
struct Row {
    received_at: Timestamp,
    /// The text as it came.
    event: String,
}

impl Kept {
    /// Reads a row. `None`: a change that was accepted once and that later rules refuse; nothing can be said of it.
    pub(crate) fn read(item: &Item) -> Result<Option<Self>, Unreadable> {
        let Row { received_at, event } = rows::read(&item.body)?;
        Ok(match Envelope::parse_noting(event.as_bytes()) {
            Ok((Envelope::ConversionChanged(change), notes)) => Some(Self { received_at, change, notes }),
            _ => None,
        })
    }
}

/// The most kept events of a conversion among which another use of a change id is looked for, its newest.
const MAX_EARLIER: usize = 100;

/// Changes of one conversion that come together: of those with the same id the first counts.
#[derive(Default)]
pub(crate) struct Together<'a>(BTreeMap<&'a Id, &'a Change>);

impl<'a> Together<'a> {
    fn add(&mut self, change: &'a Change) -> Result<(), Faults> {
        let first = *self.0.entry(&change.change_id).or_insert(change);
        if first.has_same_content_as(change) { Ok(()) } else { Err(change.id_is_taken("/detail")) }
    }
}

/// The kept event of the conversion that used the id of a change for another change, if there is one and events are kept.
pub(crate) async fn other_use<B: Backend>(store: &Store<B>, change: &Change) -> Result<Option<Kept>, StoreError> {
    if !store.settings.keep_events {
        return Ok(None);
    }
    let partition = Partition::Table(keys::conversion(&conversion_hash(&change.conversion.conversion_id)));
    let items = store.backend().query(&partition, &Range::prefix(keys::EVENTS), Order::Descending, MAX_EARLIER).await?;
    let suffix = format!("#{}", change.change_id);
    let mut earlier = items.iter().filter(|item| item.key.sort.ends_with(&suffix));
    Ok(earlier.find_map(|item| {
        let kept = store.or_unreadable(item, Kept::read(item)).flatten();
        kept.filter(|kept| kept.change.change_id == change.change_id && !kept.change.has_same_content_as(change))
    }))
}

impl<B: Backend> Matcher<B> {
    /// Refuses a change whose id was used for another change of the conversion, as far as events are kept. A change with the same content
    /// is the same change (P2).
    pub(crate) async fn check_id<'a>(
        &self,
        change: &'a Change,
        together: &mut Together<'a>,
    ) -> Result<Result<(), Faults>, StoreError> {
        if other_use(&self.store, change).await?.is_some() {
            return Ok(Err(change.id_is_taken("/detail")));
        }
        // Last, so that a refused change refuses no other.
        Ok(together.add(change))
    }

    /// A change that comes now with this text, to be kept for as long as the log.
    pub(crate) fn kept(&self, change: &Change, text: &[u8]) -> Item {
        let now = self.store.now();
        let row = Row { received_at: now, event: String::from_utf8_lossy(text).into_owned() };
        let key = keys::event(&change.conversion.conversion_id, change.conversion.version, &change.change_id);
        let mut item = rows::item(key, &row);
        item.attention = Some(keys::kept_event(now, &item.key));
        item.expires = Some(now + self.store.settings.log_retention);
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_rows_keep_being_read() {
        let row: Row = rows::read(r#"{"v":1,"d":{"event":"{}","received_at":"2026-11-22T09:00:00Z"}}"#).unwrap();
        assert_eq!((row.received_at.to_string().as_str(), row.event.as_str()), ("2026-11-22T09:00:00Z", "{}"));
    }
}
