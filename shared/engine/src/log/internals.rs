//! The internals of one delivery, for admins: everything that decides its next action, read in at most five steps; nothing is written.
//!
//! 1. its row, by which rule and subject are known; without one, the subject queues of its conversion are searched for it,
//! 2. in one read: the row again, the queue, the hold, the rule's head, its rate, its due row, the sweep's cursor, the receiver that it
//!    waits for,
//! 3. the rule's text,
//! 4. in one read: the rows of the others on the queue, and the due row of the hold.
//!
//! [`tracking_core::standstill`] then derives the reason. A row that can't be read is listed; it fails nothing.

mod reading;
mod view;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use tracking_core::{delivery::DeliveryId, subject_queue::SubjectQueue};

pub use view::{
    ClaimInternals, DueRowInternals, EntryInternals, HoldInternals, Internals, OutboxInternals, QueueInternals, RateInternals,
    RowInternals, RuleInternals, UnreadableRow,
};

use crate::{
    backend::{Backend, Item, Key, Order, Partition, Range, StoreError},
    due::{Cursor, DueRow},
    holds, keys,
    log::Log,
    rows::DeliveryRow,
    rules::{Refused, Rule},
};
use reading::{About, Look, Rows, beginning};

/// Subject queues of a conversion that are read at a time, and the most such reads.
const QUEUES_A_READ: usize = 200;
const MAX_QUEUE_READS: usize = 5;

impl<B: Backend> Log<B> {
    /// Returns everything that decides what a delivery does next, for admins. Nothing is written.
    ///
    /// # Errors
    /// Neither a row nor a subject queue knows the delivery, or the store is unavailable.
    pub async fn internals(&self, id: &DeliveryId) -> Result<Internals, Refused> {
        let mut rows = Rows::default();
        let stored = self.store.get_one(keys::delivery(id)).await?;
        let row = stored.as_ref().and_then(|item| self.decoded::<DeliveryRow>(item, &mut rows));
        let about = match &row {
            Some(row) => Some(About::of(row)),
            None => self.about_by_queue(id).await?,
        };
        match about {
            Some(about) => {
                self.read_about(id, &about, row.as_ref(), &mut rows).await?;
                Ok(rows.view(self.look(id), Some(about)))
            }
            None if stored.is_some() => Ok(rows.view(self.look(id), None)),
            None => Err(Refused::NotFound),
        }
    }

    fn look<'a>(&self, id: &'a DeliveryId) -> Look<'a> {
        Look { id, present: self.store.present() }
    }

    /// Reads an item; one that can't be read is noted.
    fn decoded<T: DeserializeOwned>(&self, item: &Item, rows: &mut Rows) -> Option<T> {
        let read = self.store.readable(item);
        if read.is_none() {
            rows.note(item.key.clone());
        }
        read
    }

    /// The rule and subject of a delivery that has no row yet: its subject queue knows it if it waits.
    async fn about_by_queue(&self, id: &DeliveryId) -> Result<Option<About>, StoreError> {
        let partition = Partition::Table(keys::conversion(id.conversion_part()));
        let mut range = Range::prefix(keys::SUBJECT_QUEUES);
        for _ in 0..MAX_QUEUE_READS {
            let items = self.store.backend().query(&partition, &range, Order::Ascending, QUEUES_A_READ).await?;
            for item in &items {
                let entries = self.store.readable::<SubjectQueue>(item).map(|queue| queue.entries).unwrap_or_default();
                let Some(entry) = entries.into_iter().find(|entry| entry.id == *id) else { continue };
                return Ok(About::at(&item.key, entry.order));
            }
            let Some(last) = items.last().filter(|_| items.len() == QUEUES_A_READ) else { break };
            range.from = Some(format!("{}\0", last.key.sort));
        }
        Ok(None)
    }

    async fn read_about(
        &self,
        id: &DeliveryId,
        about: &About,
        row: Option<&DeliveryRow>,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        let mut wanted = vec![
            keys::delivery(id),
            keys::subject_queue(id, &about.rule, &about.subject),
            keys::head(&about.rule),
            keys::pace(&about.rule),
            keys::hold_of(id, &about.rule),
            keys::sweep_cursor(),
        ];
        let awaited = row.and_then(|row| row.receiver_wait.as_ref());
        let has_receiver = awaited.is_some();
        wanted.extend(awaited.map(|wait| keys::receiver(&wait.receiver)));
        wanted.extend(row.and_then(|row| row.next_due).map(|at| keys::due(at, &format!("D#{id}"))));
        let mut found = self.store.backend().get(&wanted).await?.into_iter();
        let [own, queue, head, free, hold, cursor] = std::array::from_fn(|_| found.next().flatten());
        rows.row = own.and_then(|item| Some((item.rev, self.decoded(&item, rows)?)));
        rows.queue = queue.and_then(|item| Some((item.rev, self.decoded(&item, rows)?)));
        rows.head = head.and_then(|item| self.decoded(&item, rows));
        rows.free = free.and_then(|item| self.decoded(&item, rows));
        rows.swept = cursor.and_then(|item| self.decoded::<Cursor>(&item, rows)).and_then(|cursor| beginning(cursor.hour));
        if has_receiver {
            rows.receiver = found.next().flatten().and_then(|item| self.decoded(&item, rows));
        }
        let due = found.next().flatten();
        let due = due.and_then(|item| self.due_row(&item, rows));
        rows.due.extend(due);
        self.read_rule_text(about, rows).await?;
        if let Some(item) = &hold {
            let epoch = rows.head.as_ref().map(|head| head.epoch);
            let peeked = self.store.or_unreadable(item, holds::peek(item, rows.rule.as_ref(), epoch, &about.subject));
            if peeked.is_none() {
                rows.note(item.key.clone());
            }
            rows.hold = peeked;
        }
        self.read_others(id, about, rows).await
    }

    /// The rule's text, if its head can be read.
    async fn read_rule_text(&self, about: &About, rows: &mut Rows) -> Result<(), StoreError> {
        let Some(head) = rows.head.clone().filter(|head| !head.deleted) else { return Ok(()) };
        match self.rules.definition(&about.rule, &head).await {
            Ok(definition) => {
                let rule = |definition| Rule { id: about.rule.clone(), head: Arc::new(head), definition };
                rows.rule = definition.map(rule);
            }
            Err(error) if error.is_unreadable() => rows.note(keys::body(&about.rule, &head.write_id)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The rows of the others on the subject queue, and the due row of the hold.
    async fn read_others(&self, id: &DeliveryId, about: &About, rows: &mut Rows) -> Result<(), StoreError> {
        let first = rows.row.as_ref().and_then(|(_, row)| row.owed.after.clone());
        let entries = rows.queue.iter().flat_map(|(_, queue)| &queue.entries).map(|entry| entry.id.clone());
        let mut others: Vec<DeliveryId> = entries.chain(first).filter(|other| other != id).collect();
        others.sort_unstable();
        others.dedup();
        let mut wanted: Vec<Key> = others.iter().map(keys::delivery).collect();
        let conversion = rows.row.as_ref().map(|(_, row)| row.owed.event.known().conversion.conversion_id.clone());
        if let (Some(conversion), Some((HoldInternals { woken_at: Some(at), .. }, _))) = (conversion, &rows.hold) {
            wanted.push(keys::due(*at, &format!("H#{}#{conversion}", about.rule)));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        for (at, item) in self.store.backend().get(&wanted).await?.into_iter().enumerate() {
            let Some(item) = item else { continue };
            if let Some(other) = others.get(at) {
                let row = self.decoded::<DeliveryRow>(&item, rows);
                rows.others.extend(row.map(|row| (other.clone(), row)));
            } else {
                let due = self.due_row(&item, rows);
                rows.due.extend(due);
            }
        }
        Ok(())
    }

    fn due_row(&self, item: &Item, rows: &mut Rows) -> Option<DueRowInternals> {
        let due: DueRow = self.decoded(item, rows)?;
        let Key { partition, sort } = item.key.clone();
        Some(DueRowInternals { at: due.at, partition, sort })
    }
}
