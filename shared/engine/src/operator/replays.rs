//! Replays and backfills as people see them: listed, counted while they are worked off, and stopped.
//!
//! Each has a row. A second row under its rule names the running one, so that a rule has one at a time; a name whose replay is
//! over, or that never got a row, blocks no other. A step reads the row before it works and notes its result there, with the
//! place of the next step: a repeated step is counted once.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracking_core::{
    caller::{Caller, Owner},
    delivery::State,
    hash,
    id::Id,
    json,
    json::Value,
};

use crate::{
    backend::{Ack, Backend, Effects, Item, Key, Message, Order, Partition, Range, Received, StoreError, Swap, Swapped},
    keys, random, rows,
    rules::{Refused, Rule},
    store::{Store, Update},
};

/// The beginning of an id that has a row. Messages of earlier versions have other ids, and no row.
const PREFIX: &str = "rpl_";
/// The time within which a row is written after its name was taken, or its first message sent.
const BEGINNING: SignedDuration = SignedDuration::from_secs(60);
/// The wait before a first step looks for its row again.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(2);

/// The kind: deliveries are resent, or the deliveries that kept events owe are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReplayKind {
    Replay,
    Backfill,
}

/// The state of a replay or a backfill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Running,
    Completed,
    Cancelled,
}

/// The counts of one step, or of all steps so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Deliveries or events that were looked at.
    pub(crate) looked_at: u64,
    /// Deliveries that are resent, or were made.
    pub(crate) deliveries: u64,
    /// Changes that a hold took.
    pub(crate) held: u64,
}

/// A replay or a backfill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReplayRow {
    id: Id,
    rule: Id,
    owner: Owner,
    kind: ReplayKind,
    standing: Standing,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    from: Timestamp,
    to: Timestamp,
    states: Vec<State>,
    force: bool,
    /// Deliveries that were counted when it began; `false` beside it if there were more than could be counted.
    expected: (u64, bool),
    progress: Progress,
    /// The place of the next step.
    place: Option<String>,
    begun_at: Timestamp,
    ended_at: Option<Timestamp>,
}

/// A request for a replay or a backfill.
pub(crate) struct Begin {
    pub(crate) kind: ReplayKind,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) states: Vec<State>,
    pub(crate) force: bool,
    pub(crate) expected: (u64, bool),
}

/// The name of the one that runs, under its rule.
#[derive(Serialize, Deserialize)]
struct Running {
    id: Id,
    at: Timestamp,
}

/// Replays and backfills: begun, listed, stopped; one runs at a time of each rule.
#[derive(Debug)]
pub struct Replays<B> {
    store: Arc<Store<B>>,
}

impl<B: Backend> Replays<B> {
    /// The service over this store.
    pub(crate) fn new(store: &Arc<Store<B>>) -> Self {
        Self { store: Arc::clone(store) }
    }

    /// The replays and backfills that the caller may see, newest first, and the place at which the next page begins (V2).
    ///
    /// # Errors
    /// The store is unavailable.
    pub async fn list(
        &self,
        caller: &Caller,
        limit: usize,
        before: Option<String>,
    ) -> Result<(Vec<Value>, Option<String>), Refused> {
        let own = match caller {
            Caller::Admin => None,
            Caller::Affiliate(affiliate) => Some(keys::replays_of(affiliate)),
        };
        let partition = Partition::Table(own.clone().unwrap_or_else(|| keys::REPLAYS.to_owned()));
        let range = Range { from: None, before };
        let mut items = self.store.backend().query(&partition, &range, Order::Descending, limit + 1).await?;
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().map(|item| item.key.sort.clone()).filter(|_| has_more);
        if own.is_some() {
            let places: Vec<Key> = items.iter().map(|item| Key::new(keys::REPLAYS, item.key.sort.clone())).collect();
            items = self.store.get_all(&places).await?.into_iter().flatten().collect();
        }
        let rows = items.iter().filter_map(|item| self.store.readable::<ReplayRow>(item));
        Ok((rows.filter(|row| caller.sees(&row.owner)).map(|row| row.view()).collect(), next))
    }

    /// One replay or backfill with its counts so far, if the caller may see it (V2).
    ///
    /// # Errors
    /// Not found; or the store is unavailable.
    pub async fn so_far(&self, caller: &Caller, id: &Id) -> Result<Value, Refused> {
        let found = self.replay_row(id).await?.filter(|(row, _)| caller.sees(&row.owner));
        Ok(found.ok_or(Refused::NotFound)?.0.view())
    }

    /// Stops a replay or a backfill before its next step. Deliveries that it has resent stay sent.
    ///
    /// # Errors
    /// Not found; already over; or the store is unavailable.
    pub async fn cancel(&self, caller: &Caller, id: &Id) -> Result<Value, Refused> {
        let stopped = |found: Option<ReplayRow>| {
            let mut row = found.filter(|row| caller.sees(&row.owner)).ok_or(Refused::NotFound)?;
            if row.standing != Standing::Running {
                return Err(Refused::Conflict("it is over: only one that runs can be stopped".to_owned()));
            }
            row.end(Standing::Cancelled, Some("a person stopped it"), self.store.now());
            Ok(Update::Put(self.replay_item(&row), row))
        };
        let row = self.store.update(&keys::replay(id), stopped).await?;
        self.free_rule(&row).await?;
        tracing::info!(tracking_api_id = %row.rule, replay_id = %row.id, "a replay or backfill was stopped");
        Ok(row.view())
    }

    async fn replay_row(&self, id: &Id) -> Result<Option<(ReplayRow, u64)>, StoreError> {
        self.store.read_row(keys::replay(id)).await
    }

    /// Checks that no replay or backfill of a rule runs.
    ///
    /// # Errors
    /// One runs: the error names its id.
    pub(crate) async fn check_none_runs(&self, rule: &Id) -> Result<(), Refused> {
        self.free_revision(rule).await.map(drop)
    }

    /// The revision of the row that names the running one, if none runs.
    async fn free_revision(&self, rule: &Id) -> Result<Option<u64>, Refused> {
        let Some((Running { id, at }, rev)) = self.store.read_row(keys::running_replay(rule)).await? else { return Ok(None) };
        let runs = match self.replay_row(&id).await? {
            Some((row, _)) => row.standing == Standing::Running,
            None => at + BEGINNING > self.store.now(),
        };
        if runs { Err(one_runs(&id)) } else { Ok(Some(rev)) }
    }

    /// Begins a replay or a backfill: takes the rule's one place, then writes the row and sends the first message.
    ///
    /// # Errors
    /// Another one runs: the error names its id.
    pub(crate) async fn begin_replay(
        &self,
        rule: &Rule,
        begin: Begin,
        first: impl FnOnce(&Id, Timestamp) -> Message,
    ) -> Result<Value, Refused> {
        let now = self.store.now();
        let dice = hash::text(&["replay", rule.id.as_str(), &format!("{:016x}", random())], 10);
        let id: Id = format!("{PREFIX}{}{dice}", keys::sortable(now))
            .parse()
            .map_err(|_| StoreError::Unavailable("a replay has no id".to_owned()))?;
        let expect = self.free_revision(&rule.id).await?;
        let name = rows::item(keys::running_replay(&rule.id), &Running { id: id.clone(), at: now });
        match self.store.swap_one(Swap { key: name.key.clone(), expect, new: Some(name) }).await {
            Swapped::Done => {}
            Swapped::Conflict(Some(item)) => {
                let running = rows::read_item::<Running>(&item)?;
                // The answer to this process's own write may have got lost.
                if running.id != id {
                    return Err(one_runs(&running.id));
                }
            }
            Swapped::Conflict(None) => return Err(StoreError::Contended("the place of the replay".to_owned()).into()),
            Swapped::Unavailable(error) => return Err(error.into()),
        }
        let Begin { kind, from, to, states, force, expected } = begin;
        let row = ReplayRow {
            id,
            rule: rule.id.clone(),
            owner: rule.head.owner.clone(),
            kind,
            standing: Standing::Running,
            reason: None,
            from,
            to,
            states,
            force,
            expected,
            progress: Progress::default(),
            place: None,
            begun_at: now,
            ended_at: None,
        };
        let listed = row.owner.affiliate().map(|affiliate| Key::new(keys::replays_of(affiliate), row.id.as_str()));
        let mut put = vec![rows::item(keys::replay(&row.id), &row)];
        let expires = Some(now + self.store.memory());
        put.extend(listed.map(|key| Item { expires, ..rows::item(key, &()) }));
        self.store.commit_one(Effects { put, send: vec![first(&row.id, now)], ..Effects::default() }).await?;
        Ok(json!(row.id))
    }

    /// Acks the message of a step that may not go on now: a person stopped it, its row is gone, or not there yet. Returns false if it may
    /// go on.
    pub(crate) async fn held_up(&self, received: &Received, id: &str, asked_at: Timestamp) -> Result<bool, StoreError> {
        let Some(id) = replay_id(id) else { return Ok(false) };
        let now = self.store.now();
        let receipt = received.receipt.clone();
        let ack = match self.replay_row(&id).await? {
            Some((row, _)) if row.standing != Standing::Cancelled => return Ok(false),
            None if asked_at + BEGINNING > now => Ack::Defer(receipt, now + LOOK_AGAIN),
            _ => Ack::Delete(receipt),
        };
        self.store.commit_one(Effects { acks: vec![ack], ..Effects::default() }).await?;
        Ok(true)
    }

    /// Notes the result of the step at a place, before its message ends. Without a next place, it is completed.
    pub(crate) async fn note_step(
        &self,
        id: &str,
        place: Option<&str>,
        did: Progress,
        next: Option<&str>,
    ) -> Result<(), StoreError> {
        self.change_replay(id, |row, now| {
            if row.place.as_deref() != place || row.standing == Standing::Completed {
                return false;
            }
            row.progress.looked_at += did.looked_at;
            row.progress.deliveries += did.deliveries;
            row.progress.held += did.held;
            match next {
                Some(next) => row.place = Some(next.to_owned()),
                None if row.standing == Standing::Running => row.end(Standing::Completed, None, now),
                None => {}
            }
            true
        })
        .await
    }

    /// Ends a replay or a backfill whose rule sends nothing any more (P6).
    pub(crate) async fn end_with_rule(&self, id: &str) -> Result<(), StoreError> {
        self.change_replay(id, |row, now| {
            let runs = row.standing == Standing::Running;
            if runs {
                row.end(Standing::Cancelled, Some("the Tracking API was switched off or deleted"), now);
            }
            runs
        })
        .await
    }

    /// Changes a row unless `change` returns false; one that is over frees its rule.
    async fn change_replay(&self, id: &str, change: impl Fn(&mut ReplayRow, Timestamp) -> bool) -> Result<(), StoreError> {
        let Some(id) = replay_id(id) else { return Ok(()) };
        let changed = |found: Option<ReplayRow>| {
            let Some(mut row) = found else { return Ok::<_, StoreError>(Update::Keep(None)) };
            let is_changed = change(&mut row, self.store.now());
            Ok(if is_changed { Update::Put(self.replay_item(&row), Some(row)) } else { Update::Keep(Some(row)) })
        };
        match self.store.update(&keys::replay(&id), changed).await? {
            Some(row) if row.standing != Standing::Running => self.free_rule(&row).await,
            _ => Ok(()),
        }
    }

    /// A row as an item: it expires once the replay is over.
    fn replay_item(&self, row: &ReplayRow) -> Item {
        let mut item = rows::item(keys::replay(&row.id), row);
        item.expires = row.ended_at.map(|ended| ended + self.store.settings.log_retention);
        item
    }

    /// Removes the name of one that is over. A name that is left blocks no other.
    async fn free_rule(&self, row: &ReplayRow) -> Result<(), StoreError> {
        let key = keys::running_replay(&row.rule);
        let Some((Running { id, .. }, rev)) = self.store.read_row(key.clone()).await? else { return Ok(()) };
        if id == row.id {
            self.store.swap_one(Swap { key, expect: Some(rev), new: None }).await.is_done()?;
        }
        Ok(())
    }
}

impl ReplayRow {
    fn end(&mut self, standing: Standing, reason: Option<&str>, now: Timestamp) {
        self.standing = standing;
        self.reason = reason.map(ToOwned::to_owned);
        self.ended_at = Some(now);
    }

    /// As the API shows it.
    fn view(&self) -> Value {
        let Progress { looked_at, deliveries, held } = self.progress;
        let (expected, is_complete) = self.expected;
        json!({
            "id": self.id, "tracking_api_id": self.rule, "owner": self.owner, "kind": self.kind, "state": self.standing,
            "reason": self.reason, "from": self.from, "to": self.to, "states": self.states, "force": self.force,
            "begun_at": self.begun_at, "ended_at": self.ended_at,
            "counts": {
                "expected": expected, "expected_complete": is_complete, "looked_at": looked_at, "deliveries": deliveries, "held": held,
            },
        })
    }
}

/// The id of a replay that has a row.
fn replay_id(id: &str) -> Option<Id> {
    id.starts_with(PREFIX).then(|| id.parse().ok()).flatten()
}

fn one_runs(id: &Id) -> Refused {
    Refused::Conflict(format!(
        "{id} of the same Tracking API is running: wait for its end, or stop it with POST /replays/{id}/cancel"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Task;

    /// Messages of the version before replays had rows.
    #[test]
    fn old_messages_of_replays_and_backfills_keep_being_read() {
        let backfill = r#"{"v":1,"d":{"kind":"backfill","rule":"trk_1","epoch":2,"from":"2026-11-22T00:00:00Z","to":"2026-11-23T00:00:00Z","place":"x"}}"#;
        let Ok(Task::Backfill(old)) = rows::read_task(backfill) else { panic!("a backfill") };
        assert_eq!((old.id.as_str(), old.place.as_deref(), old.epoch), ("", Some("x"), 2));
        assert_eq!((replay_id(&old.id), replay_id("0123456789abcdef")), (None, None));
        assert_eq!(replay_id("rpl_017638020000000123456789").map(String::from).as_deref(), Some("rpl_017638020000000123456789"));
    }
}
