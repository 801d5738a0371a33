//! Kept events: changes as they came, to explain later what they led to and to fill in rules that did not see them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::change::{Change, Envelope};

use crate::{
    backend::{Backend, Item},
    keys,
    matching::Matcher,
    rows::{self, Unreadable},
};

/// A change as it was kept.
pub(crate) struct Kept {
    /// When it came.
    pub(crate) received_at: Timestamp,
    /// What it tells.
    pub(crate) change: Change,
}

/// A kept event's row.
#[derive(Serialize, Deserialize)]
struct Row {
    received_at: Timestamp,
    /// The text as it came.
    event: String,
}

impl Kept {
    /// Reads a row. `None`: what was accepted once is refused by later rules of the contract, and there is nothing to say of it.
    pub(crate) fn read(item: &Item) -> Result<Option<Self>, Unreadable> {
        let Row { received_at, event } = rows::read(&item.body)?;
        Ok(match Envelope::parse(event.as_bytes()) {
            Ok(Envelope::ConversionChanged(change)) => Some(Self { received_at, change }),
            _ => None,
        })
    }
}

impl<B: Backend> Matcher<B> {
    /// A change that comes now with this text, to be kept for as long as the log.
    pub(crate) fn kept(&self, change: &Change, text: &[u8]) -> Item {
        let now = self.store.now();
        let row = Row { received_at: now, event: String::from_utf8_lossy(text).into_owned() };
        let key = keys::event(&change.conversion.conversion_id, change.conversion.version, &change.change_id);
        let mut item = rows::item(key, &row);
        item.trouble = Some(keys::kept_event(now, &item.key));
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
