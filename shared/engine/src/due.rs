//! Due rows: messages for later than a queue can hold them, filed by the hour; and the sweep that sends them in time.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    backend::{Backend, Effects, Lane, Message, Order, Partition, Range, StoreError, Swap, Swapped},
    keys,
    receivers::Receivers,
    rows,
    rules::RuleWriter,
    store::Store,
};

/// The longest that a message waits on a lane before it is handed out.
const LONGEST_DELAY: SignedDuration = SignedDuration::from_mins(15);
/// The time that the sweep looks ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(2);
/// The hours that it looks back once an hour, for rows that were filed late.
const LOOK_BACK: i64 = 24;

/// A message for later.
#[derive(Serialize, Deserialize)]
pub(crate) struct DueRow {
    group: String,
    pub(crate) at: Timestamp,
    body: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The first hour that is not known to be drained.
    pub(crate) hour: i64,
}

/// Adds a message for later to a step's effects: on its lane if that can hold it so long, else as a due row. `target` names the message's
/// object; the same target at the same time is one row.
pub(crate) fn file(effects: &mut Effects, message: Message, target: &str, now: Timestamp) {
    match message.not_before {
        Some(at) if at > now + LONGEST_DELAY => {
            let row = DueRow { group: message.group, at, body: message.body };
            effects.put.push(rows::item(keys::due(at, target), &row));
        }
        _ => effects.send.push(message),
    }
}

/// Puts due rows back on their lane in time, looks after receivers that are not well, and cleans up after rules.
#[derive(Debug)]
pub struct Sweeper<B> {
    store: Arc<Store<B>>,
    writer: Arc<RuleWriter<B>>,
    receivers: Arc<Receivers<B>>,
}

impl<B: Backend> Sweeper<B> {
    /// The service over these.
    pub(crate) fn new(writer: &Arc<RuleWriter<B>>, receivers: &Arc<Receivers<B>>) -> Self {
        Self { store: Arc::clone(&writer.store), writer: Arc::clone(writer), receivers: Arc::clone(receivers) }
    }

    /// Sends the messages that fall due within two minutes. Call it about twice a minute; a call too many does no harm. Returns the number
    /// of messages that it sent.
    ///
    /// # Errors
    /// The store is unavailable: a later sweep sends the rest.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let now = self.store.now();
        let key = keys::sweep_cursor();
        let read = self.store.get_one(key.clone()).await?;
        let rev = read.as_ref().map(|item| item.rev);
        let this_hour = keys::hour(now);
        // A cursor that can't be read is made again: looking back too far does no harm.
        let drained = read.and_then(|item| self.store.readable(&item)).unwrap_or(Cursor { hour: this_hour - LOOK_BACK });
        // A new hour: look again at the day behind.
        let first = if drained.hour < this_hour { drained.hour.min(this_hour - LOOK_BACK) } else { drained.hour };
        let ahead = now + AHEAD;
        let (mut sent, mut failed) = (0, None);
        for hour in first..=keys::hour(ahead) {
            for shard in 0..keys::DUE_SHARDS {
                // An hour that can't be drained holds up no other.
                match self.drain(&keys::due_hour(hour, shard), ahead).await {
                    Ok(drained) => sent += drained,
                    Err(error) => {
                        tracing::error!(hour, shard, %error, "what is due could not be sent: a later sweep does it");
                        failed = Some(error);
                    }
                }
            }
        }
        if let Err(error) = self.receivers.look_after().await {
            failed = Some(error);
        }
        self.writer.clean_up_rules(now).await?;
        if let Some(error) = failed {
            return Err(error);
        }
        if rev.is_some() && drained.hour == this_hour {
            return Ok(sent);
        }
        let item = rows::item(key.clone(), &Cursor { hour: this_hour });
        match self.store.swap_one(Swap { key, expect: rev, new: Some(item) }).await {
            Swapped::Done | Swapped::Conflict(_) => Ok(sent),
            Swapped::Unavailable(error) => Err(error),
        }
    }

    async fn drain(&self, partition: &str, ahead: Timestamp) -> Result<usize, StoreError> {
        let partition = Partition::Table(partition.to_owned());
        let mut range = Range { from: None, before: Some(keys::sortable(ahead)) };
        let (mut sent, mut failed) = (0, None);
        loop {
            let items = self.store.backend().query(&partition, &range, Order::Ascending, 100).await?;
            let last = items.last().filter(|_| items.len() == 100).map(|item| format!("{}\0", item.key.sort));
            let mut effects = Vec::new();
            for item in items {
                match rows::read::<DueRow>(&item.body) {
                    Ok(row) => {
                        let message = Message { lane: Lane::Retry, group: row.group, not_before: Some(row.at), body: row.body };
                        effects.push(Effects { send: vec![message], delete: vec![item.key], ..Effects::default() });
                    }
                    // It stays where it is, for a version that reads it.
                    Err(error) => self.store.note_unreadable(&item.key, &error),
                }
            }
            for outcome in self.store.backend().commit(effects).await {
                match outcome {
                    Ok(()) => sent += 1,
                    Err(error) => failed = Some(error),
                }
            }
            match (last, failed) {
                (Some(last), still) => (range.from, failed) = (Some(last), still),
                (None, Some(error)) => return Err(error),
                (None, None) => return Ok(sent),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_waits_are_filed_and_short_ones_stay_on_the_lane() {
        let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let message = |minutes: i64| Message {
            lane: Lane::Retry,
            group: "g".to_owned(),
            not_before: Some(now + SignedDuration::from_mins(minutes)),
            body: "{}".to_owned(),
        };
        let mut effects = Effects::default();
        file(&mut effects, message(15), "D#a", now);
        assert_eq!((effects.send.len(), effects.put.len()), (1, 0));
        file(&mut effects, message(16), "D#a", now);
        assert_eq!((effects.send.len(), effects.put.len()), (1, 1));
        assert!(effects.put[0].key.partition.starts_with("DUE#00498705#"), "{}", effects.put[0].key.partition);
    }
}
