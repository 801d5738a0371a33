//! Resending the deliveries of a period (L1): counted first, then worked off by messages, one step each.
//!
//! A step reads the rule's log from where the last one stopped, in the order in which deliveries were first recorded, and its message ends
//! once everything that it began is durable. Each delivery is marked with the replay, so that a repeated step does nothing twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    caller::Caller,
    delivery::{DeliveryId, State},
    id::Id,
    json,
    json::Value,
    repair::{Period, Replay},
    subject_queue::SubjectQueue,
};

use crate::{
    backend::{Backend, Item, Key, Lane, Message, Order, Partition, Range, Received, StoreError},
    keys, limits,
    operator::{
        Operator,
        replays::{Begin, Progress, ReplayKind},
        resend::{Again, IN_TIME, Obstacle, changing, queue_key, wake},
    },
    recorder::Page,
    rows::{self, DeliveryRow, Replaying, Task},
    rules::{Refused, Rule},
};

/// Deliveries or events that a count looks at, at most.
pub(crate) const MOST_COUNTED: usize = 10_000;
/// The longest time of a count: the person who asked waits for it.
const LONGEST_COUNT: SignedDuration = SignedDuration::from_secs(5);
/// Postbacks that a replay or a backfill makes in a second, at most.
const PER_SECOND: u32 = 50;
/// Pages that are read at a time.
const PAGES: usize = 50;
/// Rows that are read at a time.
const FETCH: usize = 100;
/// The longest time from the creation of a delivery to its first record: no message lives longer.
const LATEST_RECORD: SignedDuration = SignedDuration::from_hours(24 * 15);
/// The number of times that a delivery is looked at that changes at the same time.
const READS: usize = 5;

/// The counts of a replay.
#[derive(Debug, Default)]
struct Counted {
    states: BTreeMap<&'static str, usize>,
    skipped: usize,
    complete: bool,
}

impl<B: Backend> Operator<B> {
    /// Resends the deliveries of a rule from a period, or only counts them (L1, docs/api.md). Open deliveries are left alone, and unless
    /// it is forced also those of which a newer one was delivered. Returns the counts, and true if it began.
    pub async fn replay(&self, caller: &Caller, id: &Id, body: &Value) -> Result<(Value, bool), Refused> {
        self.rules.visible(caller, id).await?;
        let asked = Replay::parse(body)?;
        let rule = self.sending(id).await?;
        if !asked.dry_run {
            self.replays.check_none_runs(id).await?;
            self.limits.charge_affiliate(caller, &limits::REPAIRS).await?;
        }
        let now = self.store.now();
        let mut replaying = Replaying {
            rule: id.clone(),
            epoch: rule.head.epoch,
            id: String::new(),
            asked_at: now,
            from: asked.period.from,
            to: asked.period.to,
            states: asked.states,
            force: asked.force,
            place: None,
        };
        let counted = self.dry_run_replay(&rule, &replaying).await?;
        let count = counted.states.values().sum::<usize>();
        let mut view = json!({
            "dry_run": asked.dry_run, "deliveries": count, "states": counted.states,
            "skipped": counted.skipped, "complete": counted.complete, "per_second": per_second(&rule),
        });
        if !asked.dry_run {
            let begin = Begin {
                kind: ReplayKind::Replay,
                from: replaying.from,
                to: replaying.to,
                states: replaying.states.clone(),
                force: replaying.force,
                expected: (count as u64, counted.complete),
            };
            view["id"] = self
                .replays
                .begin_replay(&rule, begin, |id, asked_at| {
                    (replaying.id, replaying.asked_at) = (id.to_string(), asked_at);
                    replay_message(&replaying, None)
                })
                .await?;
            tracing::info!(tracking_api_id = %id, "a replay begins");
        }
        Ok((view, !asked.dry_run))
    }

    async fn dry_run_replay(&self, rule: &Rule, replaying: &Replaying) -> Result<Counted, StoreError> {
        let mut counted = Counted::default();
        let mut seen = BTreeSet::new();
        let mut place = None;
        let until = self.counting_ends();
        loop {
            let (found, next) = self.listed(rule, replaying, place.take(), FETCH).await?;
            let new: Vec<DeliveryId> = found.into_iter().filter(|id| seen.insert(id.clone())).collect();
            let fitting = self.fitting(rule, &new, replaying).await?;
            let obstacles = fitting.iter().map(|(row, queue)| self.obstacle(rule, row, queue, replaying.force));
            let obstacles = try_join_all(obstacles).await?;
            for ((row, _), obstacle) in fitting.iter().zip(obstacles) {
                match obstacle {
                    None => *counted.states.entry(standing(rule, row).as_str()).or_default() += 1,
                    Some(Obstacle::Sending(_)) => {}
                    Some(_) => counted.skipped += 1,
                }
            }
            counted.complete = next.is_none();
            if counted.complete || seen.len() >= MOST_COUNTED || self.store.now() >= until {
                return Ok(counted);
            }
            place = next;
        }
    }

    /// The time at which a count that begins now stops, however little it has seen.
    pub(crate) fn counting_ends(&self) -> Timestamp {
        later(self.store.now(), LONGEST_COUNT)
    }

    /// The next deliveries of the period in the rule's log, about as many as asked for, and the place after them.
    async fn listed(
        &self,
        rule: &Rule,
        replaying: &Replaying,
        place: Option<String>,
        about: usize,
    ) -> Result<(Vec<DeliveryId>, Option<String>), StoreError> {
        let partitions: Vec<_> = keys::rule_log(&rule.id, &rule.head.owner).into_iter().map(Partition::Table).collect();
        let period = Period { from: replaying.from, to: replaying.to };
        let last = (replaying.asked_at + SignedDuration::from_secs(1)).min(later(period.to, LATEST_RECORD));
        let from = place.unwrap_or_else(|| keys::sortable(period.from));
        let range = Range { from: Some(from), before: Some(keys::sortable(last)) };
        let pages = self.merged(&partitions, &range, PAGES).await?;
        let full = pages.len() == PAGES;
        let count = pages.len();
        let mut ids = Vec::new();
        for (number, page) in pages.into_iter().enumerate() {
            let listed = self.store.readable::<Page>(&page).map(|page| page.listed).unwrap_or_default();
            let inside = listed.into_iter().filter(|(_, made)| (period.from..period.to).contains(made));
            ids.extend(inside.map(|(id, _)| id));
            let more = full || number + 1 < count;
            if more && (ids.len() >= about || number + 1 == count) {
                return Ok((ids, Some(format!("{}\0", page.key.sort))));
            }
        }
        Ok((ids, None))
    }

    /// The deliveries among these that are over in one of the states, each with its subject queue.
    async fn fitting(
        &self,
        rule: &Rule,
        ids: &[DeliveryId],
        replaying: &Replaying,
    ) -> Result<Vec<(DeliveryRow, SubjectQueue)>, StoreError> {
        let mut found = Vec::new();
        for ids in ids.chunks(FETCH) {
            let keys: Vec<Key> = ids.iter().map(keys::delivery).collect();
            for item in self.store.backend().get(&keys).await?.into_iter().flatten() {
                let Some(row) = self.store.readable::<DeliveryRow>(&item) else { continue };
                if row.owed.rule == replaying.rule && replaying.states.contains(&standing(rule, &row)) {
                    found.push(row);
                }
            }
        }
        let keys: BTreeSet<Key> = found.iter().map(queue_key).collect();
        let keys: Vec<Key> = keys.into_iter().collect();
        // `None`: the subject queue exists and can't be read.
        let mut queues: HashMap<Key, Option<SubjectQueue>> = HashMap::new();
        for keys in keys.chunks(FETCH) {
            for item in self.store.backend().get(keys).await?.into_iter().flatten() {
                queues.insert(item.key.clone(), self.store.readable(&item));
            }
        }
        let with_queue = |row: DeliveryRow| match queues.get(&queue_key(&row)) {
            Some(queue) => Some((row, queue.clone()?)),
            None => Some((row, SubjectQueue::default())),
        };
        Ok(found.into_iter().filter_map(with_queue).collect())
    }

    /// The first items of partitions that are shards of one, in order. Fewer than `limit`: there are no more.
    pub(crate) async fn merged(&self, partitions: &[Partition], range: &Range, limit: usize) -> Result<Vec<Item>, StoreError> {
        let queries = partitions.iter().map(|partition| self.store.backend().query(partition, range, Order::Ascending, limit));
        let mut items: Vec<Item> = try_join_all(queries).await?.into_iter().flatten().collect();
        items.sort_by(|a, b| merged_place(a).cmp(merged_place(b)));
        items.truncate(limit);
        Ok(items)
    }

    /// One step of a replay: resends about a second's worth, and asks for the next step.
    pub(crate) async fn replay_step(&self, received: &Received, replaying: Replaying) -> Result<(), StoreError> {
        if self.replays.held_up(received, &replaying.id, replaying.asked_at).await? {
            return Ok(());
        }
        let rule = self.rules.read_rule(&replaying.rule).await?.map(|(rule, _)| rule);
        let Some(rule) = rule.filter(|rule| rule.head.sends(replaying.epoch)) else {
            self.replays.end_with_rule(&replaying.id).await?;
            return self.store.commit_one(received.done()).await;
        };
        let rate = per_second(&rule);
        let (ids, next) = self.listed(&rule, &replaying, replaying.place.clone(), rate as usize).await?;
        let sent = self.replay_all(&rule, &replaying, &ids).await?;
        let mut effects = received.done();
        let count = sent.len();
        effects.send.extend(sent.iter().map(|row| wake(&rule, row, self.store.now())));
        let did = Progress { looked_at: ids.len() as u64, deliveries: count as u64, held: 0 };
        self.replays.note_step(&replaying.id, replaying.place.as_deref(), did, next.as_deref()).await?;
        if let Some(place) = next {
            let next = Replaying { place: Some(place), ..replaying };
            effects.send.push(replay_message(&next, self.next_step(count, rate)));
        }
        tracing::info!(tracking_api_id = %rule.id, count, "replayed");
        self.store.commit_one(effects).await
    }

    /// The time at which the next step may come after this many postbacks.
    pub(crate) fn next_step(&self, count: usize, per_second: u32) -> Option<Timestamp> {
        let seconds = i64::try_from(count.div_ceil(per_second as usize)).unwrap_or(i64::MAX);
        (count > 0).then(|| later(self.store.now(), SignedDuration::from_secs(seconds)))
    }

    /// Resends these, those of one subject queue one after another; returns the ones that wait for their message now.
    async fn replay_all(&self, rule: &Rule, replaying: &Replaying, ids: &[DeliveryId]) -> Result<Vec<DeliveryRow>, StoreError> {
        let mut queues: BTreeMap<Key, Vec<DeliveryRow>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for ids in ids.chunks(FETCH) {
            let keys: Vec<Key> = ids.iter().filter(|id| seen.insert((*id).clone())).map(keys::delivery).collect();
            let items = self.store.get_all(&keys).await?;
            for item in items.into_iter().flatten() {
                let Some(row) = self.store.readable::<DeliveryRow>(&item) else { continue };
                if row.owed.rule == rule.id {
                    queues.entry(queue_key(&row)).or_default().push(row);
                }
            }
        }
        let all = queues.into_values().map(|rows| async move {
            let mut sent = Vec::new();
            for row in rows {
                sent.extend(self.replay_one(rule, replaying, row).await?);
            }
            Ok::<_, StoreError>(sent)
        });
        Ok(try_join_all(all).await?.into_iter().flatten().collect())
    }

    async fn replay_one(&self, rule: &Rule, replaying: &Replaying, row: DeliveryRow) -> Result<Option<DeliveryRow>, StoreError> {
        for _ in 0..READS {
            let Some(seen) = self.look_at(&row).await? else { return Ok(None) };
            if seen.row.replay.as_ref() == Some(&replaying.id) {
                // The step before this one was cut off: only the message can be missing.
                return Ok(Some(seen.row).filter(|row| row.state == State::Waiting));
            }
            if !replaying.states.contains(&standing(rule, &seen.row)) {
                return Ok(None);
            }
            if self.obstacle(rule, &seen.row, &seen.queue, replaying.force).await?.is_some() {
                return Ok(None);
            }
            self.store.commit_one(self.moved_aside(&seen.row)).await?;
            let again = Again { replay: Some(&replaying.id), from_step: None };
            if let Some(row) = self.send_again(rule, seen, again, later(self.store.now(), IN_TIME)).await? {
                return Ok(Some(row));
            }
        }
        Err(changing())
    }
}

/// The state of a delivery: one that is open since before its rule was switched off is about to be cancelled (P6).
fn standing(rule: &Rule, row: &DeliveryRow) -> State {
    if !row.state.is_ended() && row.owed.epoch < rule.head.epoch { State::Cancelled } else { row.state }
}

/// The place of an item among those of its shards.
pub(crate) fn merged_place(item: &Item) -> &str {
    item.attention.as_ref().map_or(&item.key.sort, |attention| &attention.sort)
}

/// The number of a rule's postbacks that a replay or a backfill makes in a second.
pub(crate) fn per_second(rule: &Rule) -> u32 {
    rule.definition.rate_per_second.unwrap_or(PER_SECOND).clamp(1, PER_SECOND)
}

pub(crate) fn later(time: Timestamp, wait: SignedDuration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn replay_message(replaying: &Replaying, not_before: Option<Timestamp>) -> Message {
    let group = format!("replay#{}", replaying.rule);
    Message { lane: Lane::Retry, group, not_before, body: rows::write_task(&Task::Replay(Box::new(replaying.clone()))) }
}
