//! The row of a bad event.
//!
//! Every one is kept. **So many bytes a day are kept whole** ([`RejectedRoom`]), and of those beyond it the beginning with some of the
//! faults: the sender's answer had all of them. On AWS the queue of bad events has each of them whole.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{change::MAX_EVENT_BYTES, fault::Faults, hash};

use super::Store;
use crate::{
    backend::{Backend, Item, Key},
    keys, rows,
};

/// The most bytes of a row of one bad event, as JSON.
const MAX_ROW_BYTES: usize = 384 * 1_024;
/// The bytes of bad events that a process keeps whole at a go, and a day after that.
const MAX_WHOLE_BYTES: usize = 64 << 20;
/// The bytes that are kept of an event that is not kept whole.
const CUT_EVENT_BYTES: usize = 2 * 1_024;
/// The faults that are kept with it.
const CUT_FAULTS: usize = 5;
/// The milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A bad event as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RejectedRow {
    pub(crate) received_at: Timestamp,
    /// The text as it was received.
    pub(crate) event: String,
    pub(crate) errors: Faults,
    /// `true` if no more than the beginning of the event is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cut: bool,
}

impl RejectedRow {
    /// The row with only the beginning of its event.
    fn cut(self) -> Self {
        let Self { received_at, mut event, mut errors, .. } = self;
        // A character that JSON escapes takes six bytes.
        event.truncate(event.floor_char_boundary(CUT_EVENT_BYTES));
        let more = errors.0.len().saturating_sub(CUT_FAULTS);
        if more > 0 {
            errors.0.truncate(CUT_FAULTS);
            errors.add("", format!("and {more} more"));
        }
        Self { received_at, event, errors, cut: true }
    }
}

/// The room for bad events that are kept whole: it fills with them, and is empty again after a day.
#[derive(Debug, Default)]
pub(super) struct RejectedRoom(Mutex<Filled>);

#[derive(Debug, Default)]
struct Filled {
    bytes: usize,
    since: Option<Timestamp>,
}

impl RejectedRoom {
    /// Takes room for so many bytes; returns false if there is none.
    fn take(&self, bytes: usize, now: Timestamp) -> bool {
        let mut filled = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = filled
            .since
            .map_or(DAY_MS, |since| now.duration_since(since).as_millis().try_into().unwrap_or(DAY_MS))
            .clamp(0, DAY_MS);
        let emptied = MAX_WHOLE_BYTES as u64 * passed.unsigned_abs() / DAY_MS.unsigned_abs();
        let left = filled.bytes.saturating_sub(usize::try_from(emptied).unwrap_or(MAX_WHOLE_BYTES));
        let is_room = left + bytes <= MAX_WHOLE_BYTES;
        *filled = Filled { bytes: if is_room { left + bytes } else { left }, since: Some(now) };
        is_room
    }
}

impl<B: Backend> Store<B> {
    /// A bad event, kept for people.
    pub(crate) fn rejected_item(&self, bytes: &[u8], faults: &Faults) -> Item {
        let now = self.now();
        let event = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_EVENT_BYTES)]).into_owned();
        let place = format!("{}#{}", keys::sortable(now), hash::text(&["rejected", &event], 10));
        let row = RejectedRow { received_at: now, event, errors: faults.clone(), cut: bytes.len() > MAX_EVENT_BYTES };
        let key = Key::new(keys::REJECTED, place);
        let mut item = rows::item(key.clone(), &row);
        if item.body.len() > MAX_ROW_BYTES || !self.rejected_room.take(item.body.len(), now) {
            tracing::warn!(place = key.sort, bytes = bytes.len(), "of a bad event only the beginning is kept");
            item = rows::item(key, &row.cut());
        }
        item.expires = Some(now + self.settings.log_retention);
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn f10_so_many_bytes_of_bad_events_are_kept_whole_a_day() {
        let room = RejectedRoom::default();
        let mib = 1 << 20;
        for count in 0..64 {
            assert!(room.take(mib, at(0)), "{count}");
        }
        assert!(!room.take(1, at(0)));
        // A 64th of a day later there is room for one more.
        assert!(!room.take(mib, at(1_349)));
        assert!(room.take(mib, at(1_351)));
        assert!(!room.take(mib, at(1_352)));
        assert!(room.take(64 * mib, at(1_352 + 86_400)));
    }

    #[test]
    fn f10_of_what_is_cut_the_beginning_is_kept_with_some_faults() {
        let mut errors = Faults::default();
        for number in 0..100 {
            errors.add(format!("/{number}"), "x".repeat(100));
        }
        let row = RejectedRow { received_at: at(0), event: "\u{1}".repeat(256 * 1_024), errors, cut: false }.cut();
        assert_eq!((row.event.len(), row.errors.0.len(), row.cut), (2_048, 6, true));
        assert_eq!(row.errors.0[5].detail, "and 95 more");
        let item = rows::item(Key::new("X", "x"), &row);
        assert!(item.body.len() < 14_000, "{}", item.body.len());
    }
}
