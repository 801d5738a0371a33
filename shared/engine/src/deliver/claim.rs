//! Claiming an attempt.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    delivery::{DeliveryId, Next, State, used_up},
    line::{Ask, Decision, Line, Recorded},
};

use super::{Claimed, Claiming, Ending, STOPPED, SWITCHED_OFF, unbound::Unbound};
use crate::{
    Engine,
    backend::{Backend, Effects, Item, Key, Lane, Received, Swap, Swapped, Unavailable},
    keys,
    pace::Turn,
    rows::{self, DeliveryRow, Job, Task, Unreadable},
    rules::{Head, Rule},
};

/// How often a rule is read that is being changed at the same time.
const READS: usize = 10;
/// How long a delivery waits for the one of its change that goes first, at most.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);
/// What concluding and recording an attempt may take after its timeout.
const CONCLUDING: Duration = Duration::from_secs(5);
/// A lease that was reckoned longer ago than this is reckoned anew.
const SLOW: SignedDuration = SignedDuration::from_secs(1);

/// A rule with the values of its secrets.
type Ready = (Rule, Arc<BTreeMap<String, String>>);

/// The reason why a rule does not send a delivery as it is now.
enum NotNow {
    /// It sends no more what matched in the delivery's epoch (P6).
    Off,
    /// A value must be written again first.
    Unbound(Unbound),
}

impl<B: Backend> Engine<B> {
    /// Claims the next attempt of what a message is about, or deals with the message in another way.
    ///
    /// # Errors
    /// The store is unavailable: the message is to come again; no attempt is charged beyond one that may have been claimed.
    pub async fn claim(&self, received: &Received) -> Result<Claiming, Unavailable> {
        self.claim_task(received, rows::read(&received.body), None).await
    }

    /// The same for a message that has been read. Nothing is claimed that may not be over by `until`.
    pub(crate) async fn claim_task(
        &self,
        received: &Received,
        task: Result<Task, Unreadable>,
        until: Option<Timestamp>,
    ) -> Result<Claiming, Unavailable> {
        let task = match task {
            Ok(task) => task,
            Err(error) => {
                // Poison: it will never be read, so it is set aside at once, with its reason.
                tracing::error!(%error, "a message that can't be read was set aside");
                self.set_aside(received, &error.to_string()).await?;
                return Ok(Claiming::Settled);
            }
        };
        match task {
            Task::Deliver(job) => self.claim_job(received, *job, None, until).await,
            Task::Wake { delivery } => {
                let Some(item) = self.get_one(keys::delivery(&delivery)).await? else {
                    self.commit_one(received.done()).await?;
                    return Ok(Claiming::Settled);
                };
                let row: DeliveryRow = rows::read(&item.body)?;
                self.claim_job(received, row.job.clone(), Some(row), until).await
            }
            Task::Release { conversion, rule } => {
                self.release(received, &conversion, &rule).await?;
                Ok(Claiming::Settled)
            }
            Task::Cancel { rule, epoch, from } => {
                self.cancel_waiting(received, &rule, epoch, from).await?;
                Ok(Claiming::Settled)
            }
            Task::Replay(replaying) => {
                self.replay_step(received, *replaying).await?;
                Ok(Claiming::Settled)
            }
            Task::Backfill { rule, epoch, from, to, place } => {
                self.backfill_step(received, &rule, epoch, from..to, place).await?;
                Ok(Claiming::Settled)
            }
        }
    }

    async fn claim_job(
        &self,
        received: &Received,
        job: Job,
        row: Option<DeliveryRow>,
        until: Option<Timestamp>,
    ) -> Result<Claiming, Unavailable> {
        let (rule, secrets) = match self.sending_rule(&job).await? {
            Ok(ready) => ready,
            Err(why) => return self.not_now(received, &job, row, why).await,
        };
        let host = rule.definition.request.host();
        let needed = rule.definition.request.timeout().duration() + CONCLUDING;
        if until.is_some_and(|until| self.now() + needed > until) {
            // Handed back, uncharged: another process has the time. The retry lane counts no receives.
            let again = self.come_again(received, &job, host, self.now(), row.as_ref());
            self.commit_one(again).await?;
            return Ok(Claiming::Settled);
        }
        // A first try finds no line most of the time. Where something may be known of it, it is read first.
        let mut read_first = received.receipt.lane != Lane::Delivery
            || job.after.is_some()
            || rule.head.epoch > 0
            || rule.definition.rate_per_second.is_some();
        // The attempt that its rule's rate lets go, and the slot that it waits for otherwise.
        let (mut paced, mut slot) = (None, None);
        loop {
            let key = keys::line(&job.id, &rule.id, &job.event.0.subject());
            let (rev, line, records) =
                if read_first { self.read_line(&job, &key).await? } else { (None, Line::default(), HashMap::new()) };
            let now = self.now();
            let max_attempts = rule.definition.retry.max_attempts();
            let ask = Ask {
                id: &job.id,
                order: job.event.0.order(),
                after: job.after.as_ref().filter(|_| job.created_at + PATIENCE > now),
                token: &received.token,
                run: self.backend.run(),
                now,
                timeout_seconds: rule.definition.request.timeout().seconds(),
                max_attempts,
            };
            let recorded = |id: &DeliveryId| records.get(id).map(DeliveryRow::recorded);
            let row = records.get(&job.id).cloned();
            let ending = |row: Option<DeliveryRow>, attempts: u32| Ending { job: &job, row, attempts, max_attempts };
            match line.decide(&ask, &recorded) {
                Decision::Claim { line: claimed, attempt, base, lease_until, overtaken } => {
                    if let Some(rate) = rule.definition.rate_per_second
                        && paced != Some(attempt)
                    {
                        let given = slot.or_else(|| line.slot(&job.id));
                        let turn = self.pace(&rule.id, rate, given).await?;
                        if let Turn::At(until) | Turn::Ask(until) = turn {
                            slot = if turn == Turn::At(until) { Some(until) } else { given };
                            // What waits keeps its place and its slot on the line (P3).
                            if let Some(waiting) = line.waiting(&ask, attempt, until, slot).filter(|waiting| *waiting != line)
                                && !self.swap_line(key, rev, &waiting, now).await.is_done()?
                            {
                                continue;
                            }
                            self.commit_one(self.come_again(received, &job, host, until, row.as_ref())).await?;
                            return Ok(Claiming::Settled);
                        }
                        paced = Some(attempt);
                        if self.now() > now + SLOW {
                            // The lease began long ago.
                            continue;
                        }
                    }
                    self.in_time(&rule, lease_until, until)?;
                    if !self.swap_line(key, rev, &claimed, now).await.is_done()? {
                        read_first = true;
                        continue;
                    }
                    if let Err(error) = self.overtake(&overtaken).await {
                        tracing::debug!(%error, "overtaken deliveries end when their own messages come");
                    }
                    self.in_time(&rule, lease_until, until)?;
                    return Ok(self.claimed(received, rule, secrets, job, row, (attempt, base), lease_until));
                }
                Decision::Mine { line, attempt, base, lease_until } => {
                    if !self.swap_if_any(key, rev, line.as_ref(), now).await? {
                        continue;
                    }
                    self.in_time(&rule, lease_until, until)?;
                    return Ok(self.claimed(received, rule, secrets, job, row, (attempt, base), lease_until));
                }
                Decision::Ended => self.commit_one(received.done()).await?,
                Decision::Wait { until, line } => {
                    if !self.swap_if_any(key, rev, line.as_ref(), now).await? {
                        continue;
                    }
                    self.commit_one(self.come_again(received, &job, host, until, row.as_ref())).await?;
                }
                Decision::Spent { attempts, base, cut_off } => {
                    let why = if cut_off { "cut off; it may have arrived" } else { "no answer that ended it" };
                    let pending = row.as_ref().is_some_and(|row| row.pending);
                    let Next::Ended(state, reason) = used_up(attempts - base, pending, why) else { continue };
                    self.end(received, ending(row, attempts), state, &reason).await?;
                }
                Decision::Superseded => {
                    self.end(received, ending(row, 0), State::Superseded, "a newer change of the same subject went first")
                        .await?;
                }
                Decision::Stopped { attempts } => {
                    self.end(received, ending(row, attempts), State::Cancelled, STOPPED).await?;
                }
            }
            return Ok(Claiming::Settled);
        }
    }

    /// The rule sends this no more, or not until a secret is written again.
    async fn not_now(
        &self,
        received: &Received,
        job: &Job,
        row: Option<DeliveryRow>,
        why: NotNow,
    ) -> Result<Claiming, Unavailable> {
        match why {
            NotNow::Unbound(unbound) => self.wait_for_secret(received, job, &unbound).await?,
            NotNow::Off => self.end_switched_off(received, job, row).await?,
        }
        Ok(Claiming::Settled)
    }

    /// The rule sends this no more (P6).
    async fn end_switched_off(&self, received: &Received, job: &Job, row: Option<DeliveryRow>) -> Result<(), Unavailable> {
        let row = match row {
            Some(row) => Some(row),
            None => self.row(&job.id).await?,
        };
        if row.as_ref().is_some_and(|row| row.job.epoch > job.epoch) {
            // A person sent it again since: that has a message of its own.
            return self.commit_one(received.done()).await;
        }
        let ending = Ending { job, row, attempts: 0, max_attempts: 0 };
        self.end(received, ending, State::Cancelled, SWITCHED_OFF).await
    }

    /// Nothing is sent that its lease or its process may not outlive: a newer change could be sent beside it (P3). What was claimed stays
    /// counted.
    fn in_time(&self, rule: &Rule, lease_until: Timestamp, until: Option<Timestamp>) -> Result<(), Unavailable> {
        let over = self.now() + rule.definition.request.timeout().duration();
        if over > lease_until || until.is_some_and(|until| over > until) {
            return Err(Unavailable("claiming took too long to send in time".to_owned()));
        }
        Ok(())
    }

    /// The rule as it is now with its secrets, if it still sends what matched in the job's epoch (P6). All that sending needs is
    /// read before an attempt is counted.
    async fn sending_rule(&self, job: &Job) -> Result<Result<Ready, NotNow>, Unavailable> {
        for _ in 0..READS {
            let Some(item) = self.get_one(keys::head(&job.rule)).await? else { return Ok(Err(NotNow::Off)) };
            let head: Head = rows::read(&item.body)?;
            if !head.sends(job.epoch) {
                return Ok(Err(NotNow::Off));
            }
            // Text and secrets of a head that was replaced meanwhile may be gone: then it is read again.
            let Some(definition) = self.definition(&job.rule, &head).await? else { continue };
            let rule = Rule { id: job.rule.clone(), head: head.into(), definition };
            if let Some((reason, since)) = rule.head.unbound(&rule.definition) {
                return Ok(Err(NotNow::Unbound(Unbound { rule, reason, since })));
            }
            let Some(secrets) = self.secrets(&rule).await? else { continue };
            if rule.definition.secret_names().iter().all(|name| secrets.contains_key(name)) {
                return Ok(Ok((rule, secrets)));
            }
        }
        Err(Unavailable(format!("the text or a secret of rule {} is missing", job.rule)))
    }

    /// Writes a line if there is one to write. Returns false if somebody else changed it since it was read.
    async fn swap_if_any(&self, key: Key, rev: Option<u64>, line: Option<&Line>, now: Timestamp) -> Result<bool, Unavailable> {
        match line {
            Some(line) => self.swap_line(key, rev, line, now).await.is_done(),
            None => Ok(true),
        }
    }

    /// Writes a line if nobody else has changed it since it was read.
    pub(crate) async fn swap_line(&self, key: Key, rev: Option<u64>, line: &Line, now: Timestamp) -> Swapped {
        let item = Item { expires: Some(now + self.memory()), ..rows::item(key.clone(), line) };
        self.swap_one(Swap { key, expect: rev, new: Some(item) }).await
    }

    pub(crate) async fn row(&self, id: &DeliveryId) -> Result<Option<DeliveryRow>, Unavailable> {
        let item = self.get_one(keys::delivery(id)).await?;
        Ok(item.map(|item| rows::read(&item.body)).transpose()?)
    }

    /// The line, its revision, and what the log has of this delivery and of those on the line.
    async fn read_line(
        &self,
        job: &Job,
        key: &crate::backend::Key,
    ) -> Result<(Option<u64>, Line, HashMap<DeliveryId, DeliveryRow>), Unavailable> {
        let mut read = self.backend.get(&[key.clone(), keys::delivery(&job.id)]).await?;
        let own = read.pop().flatten();
        let item = read.pop().flatten();
        let rev = item.as_ref().map(|item| item.rev);
        let line: Line = item.map(|item| rows::read(&item.body)).transpose()?.unwrap_or_default();
        let others: Vec<_> = line.entries.iter().map(|entry| &entry.id).chain(&job.after).filter(|id| **id != job.id).collect();
        let keys: Vec<_> = others.into_iter().map(keys::delivery).collect();
        let others = if keys.is_empty() { Vec::new() } else { self.backend.get(&keys).await? };
        let mut records = HashMap::new();
        for item in others.into_iter().chain([own]).flatten() {
            let row: DeliveryRow = rows::read(&item.body)?;
            records.insert(row.job.id.clone(), row);
        }
        Ok((rev, line, records))
    }

    /// Ends older deliveries that waited for a retry (P3). Should this be cut off, their own messages end them.
    async fn overtake(&self, overtaken: &[DeliveryId]) -> Result<(), Unavailable> {
        if overtaken.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let keys: Vec<_> = overtaken.iter().map(keys::delivery).collect();
        let mut effects = Effects::default();
        for item in self.backend.get(&keys).await?.into_iter().flatten() {
            let mut row: DeliveryRow = rows::read(&item.body)?;
            if !row.state.is_ended() {
                row.end(State::Superseded, "a newer change of the same subject went first", now);
                effects.put.push(self.delivery_item(&row));
            }
        }
        self.commit_one(effects).await
    }

    #[expect(clippy::too_many_arguments, reason = "all that an attempt is made of")]
    fn claimed(
        &self,
        received: &Received,
        rule: Rule,
        secrets: Arc<BTreeMap<String, String>>,
        job: Job,
        row: Option<DeliveryRow>,
        (attempt, base): (u32, u32),
        lease_until: jiff::Timestamp,
    ) -> Claiming {
        let at = self.now();
        let under_way = self.recorder.begin();
        let received = received.clone();
        let listed = AtomicBool::new(row.is_some() || job.held);
        let shown = AtomicBool::new(false);
        Claiming::Send(Box::new(Claimed {
            received,
            rule,
            job,
            row,
            secrets,
            attempt,
            base,
            lease_until,
            at,
            listed,
            shown,
            under_way,
        }))
    }
}

impl DeliveryRow {
    fn recorded(&self) -> Recorded {
        Recorded { attempts: self.attempts, base: self.base, ended: self.state.is_ended(), due: self.next_due }
    }
}
