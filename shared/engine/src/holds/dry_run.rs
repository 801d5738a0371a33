//! Kept changes and holds: a dry run of taking them in, which writes nothing; and taking them in.

use std::collections::{BTreeMap, BTreeSet};

use tracking_core::{
    change::Change,
    event::{Event, Subject},
    hold::{DuePostback, Hold},
    id::Id,
    matching::{Release, Taken, is_foreign},
};

use super::{HoldRow, delay_of};
use crate::{
    backend::{Backend, Key, StoreError},
    holds::Holds,
    keys, rows,
    rules::Rule,
};

/// A hold as it would be.
pub(crate) struct DryRunHold {
    hold: Hold,
    /// The subjects that are stored.
    known: BTreeSet<Subject>,
    /// The known subjects that fire again.
    again: BTreeSet<Subject>,
}

/// The counts of a dry run of a hold.
pub(crate) struct DryRunCount {
    /// Postbacks that go out at once.
    pub(crate) owed: usize,
    /// Postbacks that are held.
    pub(crate) held: usize,
    /// Postbacks that are held or over already.
    pub(crate) already: usize,
}

impl<B: Backend> Holds<B> {
    /// Takes changes into the holds as they would be.
    pub(crate) async fn dry_run(
        &self,
        rule: &Rule,
        changes: impl Iterator<Item = &Change>,
        dry_holds: &mut BTreeMap<Id, DryRunHold>,
    ) -> Result<(), StoreError> {
        let taken: Vec<(&Change, Taken)> =
            changes.map(|change| (change, rule.candidate().takes(change, &change.events()))).collect();
        self.read_holds(rule, &taken, dry_holds).await?;
        let delay = delay_of(rule);
        for (change, Taken { fired, begins }) in taken {
            let id = &change.conversion.conversion_id;
            if !dry_holds.contains_key(id) {
                if !begins {
                    continue;
                }
                let hold = Hold::begin(change, self.store.now());
                dry_holds.insert(id.clone(), DryRunHold { hold, known: BTreeSet::new(), again: BTreeSet::new() });
            }
            if let Some(DryRunHold { hold, known, again }) = dry_holds.get_mut(id) {
                again.extend(fired.iter().map(Event::subject).filter(|subject| known.contains(subject)));
                hold.absorb(change, &fired, delay, self.store.now());
            }
        }
        Ok(())
    }

    /// Reads the holds of these changes' conversions. A change of which the rule takes nothing needs none: it begins no hold, and an
    /// existing hold has taken it in already.
    async fn read_holds(
        &self,
        rule: &Rule,
        taken: &[(&Change, Taken)],
        dry_holds: &mut BTreeMap<Id, DryRunHold>,
    ) -> Result<(), StoreError> {
        let asked = taken.iter().filter(|(_, taken)| taken.begins || !taken.fired.is_empty());
        let ids = asked.map(|(change, _)| &change.conversion.conversion_id).filter(|id| !dry_holds.contains_key(*id));
        let ids: BTreeSet<&Id> = ids.collect();
        if ids.is_empty() {
            return Ok(());
        }
        let keys: Vec<Key> = ids.iter().map(|id| keys::hold(id, &rule.id)).collect();
        for (item, id) in self.store.backend().get(&keys).await?.into_iter().zip(ids) {
            let Some(item) = item else { continue };
            let read = rows::read::<HoldRow>(&item.body).and_then(|row| row.stored(item.rev));
            let Some(mut stored) = self.store.or_unreadable(&item, read) else { continue };
            if stored.epoch < rule.head.epoch {
                stored.hold.cancel();
            }
            let known = stored.hold.subjects.keys().cloned().collect();
            dry_holds.insert(id.clone(), DryRunHold { hold: stored.hold, known, again: BTreeSet::new() });
        }
        Ok(())
    }

    /// Counts the postbacks that a hold would make.
    pub(crate) fn dry_run_count(&self, rule: &Rule, DryRunHold { hold, known, again }: &DryRunHold) -> DryRunCount {
        let already = again.len();
        if is_foreign(&rule.head.owner, &hold.newest.conversion) {
            return DryRunCount { owed: 0, held: 0, already };
        }
        let delay = delay_of(rule);
        let due = hold.owed(delay, self.store.now());
        let new = |subject: &Subject| !known.contains(subject);
        let sent = |due: &&DuePostback| new(&due.subject) && rule.candidate().release(due).1 == Release::Send;
        let owed = due.iter().filter(sent).count();
        let held = if due.is_empty() { hold.held().filter(|(subject, _)| new(subject)).count() } else { 0 };
        DryRunCount { owed, held, already }
    }

    /// Takes a kept change into the rule's hold. Returns true if the hold concerns the change.
    pub(crate) async fn hold_for(&self, rule: &Rule, change: &Change) -> Result<bool, StoreError> {
        let held = keys::hold(&change.conversion.conversion_id, &rule.id);
        if !rule.candidate().may_begin(&change.conversion) && self.store.get_one(held).await?.is_none() {
            return Ok(false);
        }
        self.absorb(rule.clone(), change, &change.events()).await?;
        Ok(true)
    }
}
