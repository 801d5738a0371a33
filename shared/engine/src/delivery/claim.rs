//! Claims of attempts.

mod behind;
mod in_flow;
mod incomplete;
mod receiver;
mod slot;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    delivery::{DeliveryId, State, used_up},
    flow::Call,
    standstill::WaitCause,
    subject_queue::{ClaimRequest, Decision, Present, Recorded, SubjectQueue},
};

pub(super) use self::behind::{delete_or_defer, finishes};
use self::in_flow::{spent_in_flow, walk_on};
use super::{
    ClaimOutcome, ClaimedAttempt, Ending, STOPPED, SWITCHED_OFF,
    another::{self, is_another},
    flow::{InFlow, call_of},
    sealed::Seal,
    standby::Standby,
};
use crate::{
    backend::{Backend, Key, Lane, Received, StoreError, Swap, Swapped},
    delivery::Deliveries,
    keys,
    rows::{self, DeliveryRow, OwedDelivery},
    rules::{Rule, RuleHead},
    spans,
};

/// The reads of a rule that others change at the same time.
const READS: usize = 10;
/// The longest time that a delivery waits for the one of its change that goes first.
pub(crate) const PATIENCE: SignedDuration = SignedDuration::from_mins(15);
/// The time that concluding and recording an attempt may take after its timeout.
const CONCLUDING: Duration = Duration::from_secs(5);

/// The reason of a delivery that waits because its rule is paused.
const PAUSED: &str = "the Tracking API is paused";

/// The reason of a delivery that a newer one overtook (P3).
const OVERTAKEN: &str = "a newer change of the same subject went first";

/// A rule with the values of its secrets.
type Ready = (Rule, Arc<BTreeMap<String, String>>);

/// A delivery that asks for its next attempt.
struct Claimant<'a> {
    received: &'a Received,
    owed: OwedDelivery,
    rule: Rule,
    /// Its place in the flow of its rule, if that is one.
    flow: Option<Box<InFlow>>,
    secrets: Arc<BTreeMap<String, String>>,
    seal: Seal,
    /// The key of its subject queue.
    key: Key,
    /// The time by which all work on it must be over, if there is one.
    until: Option<Timestamp>,
    /// The time of the first of the requests that follow on one another at once, if this is not the first.
    began: Option<Timestamp>,
    /// The attempt that its rule's rate lets go.
    paced: Option<u32>,
    /// The slot that it waits for otherwise.
    slot: Option<Timestamp>,
}

impl Claimant<'_> {
    /// The request that is next.
    fn call(&self) -> &Call {
        call_of(&self.rule.definition, self.flow.as_deref())
    }

    /// The attempts that one budget allows; in a flow, up to the end of the present run of its step (W2). `base` are those of earlier
    /// budgets.
    fn max_attempts(&self, base: u32) -> u32 {
        match &self.flow {
            Some(flow) => flow.progress.max_attempts(self.call(), base).saturating_sub(base),
            None => self.call().retry.max_attempts(),
        }
    }
}

/// The state that a decision is based on.
#[derive(Default)]
struct View {
    /// The subject queue's revision; none if there is no such queue, or it was not read.
    rev: Option<u64>,
    queue: SubjectQueue,
    /// The revision of the delivery's own row.
    row_rev: Option<u64>,
    /// The log's rows of the deliveries on the subject queue.
    records: HashMap<DeliveryId, DeliveryRow>,
}

/// An attempt that the subject queue grants.
struct Won {
    row: Option<DeliveryRow>,
    /// The revision of its row.
    row_rev: Option<u64>,
    attempt: u32,
    /// The attempts before its present budget (L1).
    base: u32,
    lease_until: Timestamp,
}

/// A subject queue with a claim, to be written.
struct Claim {
    queue: SubjectQueue,
    overtaken: Vec<DeliveryId>,
    won: Won,
}

/// The result of a decision.
enum Step {
    /// Somebody else was faster: the decision is taken again.
    Again,
    /// The message is acked.
    Acked,
    /// It is sent.
    Send(Box<Won>),
}

/// The reason why a rule does not send a delivery as it is now.
enum NotNow {
    /// It no longer sends deliveries of this epoch (P6).
    Off,
    /// Not for now: a value must be written again first, or it is paused.
    Standby(Standby),
}

impl<B: Backend> Deliveries<B> {
    pub(crate) async fn claim_owed(
        &self,
        received: &Received,
        mut owed: OwedDelivery,
        row: Option<DeliveryRow>,
        until: Option<Timestamp>,
        began: Option<Timestamp>,
    ) -> Result<ClaimOutcome, StoreError> {
        if !self.store.complete(&mut owed).await? {
            return incomplete::end(self, received, &owed).await;
        }
        // A first try finds no subject queue most of the time. Where something may be known of it, the queue is read first.
        let is_fresh = received.receipt.lane == Lane::Delivery && !received.redelivered && owed.after.is_none();
        let key = keys::subject_queue(&owed.id, &owed.rule, &owed.event.known().subject());
        // Before anything else is decided, so that what the message has to publish is not lost if the rule is gone or time is up.
        let mut view = if is_fresh { None } else { Some(self.read_queue(received, &owed, &key).await?) };
        let (rule, secrets) = match self.sending_rule(&owed).await? {
            Ok(ready) => ready,
            Err(NotNow::Off) => return self.end_switched_off(received, &owed).await,
            Err(NotNow::Standby(standby)) => {
                self.stand_by(received, &owed, &standby).await?;
                return Ok(ClaimOutcome::NothingToSend);
            }
        };
        let needed = rule.definition.plan.longest_timeout().duration() + CONCLUDING;
        if until.is_some_and(|until| self.store.now() + needed > until) {
            // Handed back, uncharged: another process has the time. The retry lane counts no receives.
            tracing::debug!(cause = "no_time", until = %self.store.now(), "a delivery waits");
            let host = rule.definition.first_host();
            self.store.commit_one(self.defer(received, &owed, host, self.store.now(), row.as_ref())).await?;
            return Ok(ClaimOutcome::NothingToSend);
        }
        let reads = !is_fresh || rule.head.epoch > 0 || rule.definition.rate_per_second.is_some() || finishes(&rule.definition);
        let seal = Seal::default();
        let mut asking = Claimant { received, owed, rule, flow: None, secrets, seal, key, until, began, paced: None, slot: None };
        if view.is_none() && !reads {
            view = Some(View::default());
        }
        loop {
            let view = match view.take() {
                Some(view) => view,
                None => self.read_queue(received, &asking.owed, &asking.key).await?,
            };
            asking.seal = Box::pin(Seal::of(&self.rules, &asking.rule.definition, view.records.get(&asking.owed.id))).await?;
            // The place in a flow is as old as the row that it is read from.
            if asking.rule.definition.plan.is_flow() && !Box::pin(walk_on(self, &mut asking, &view)).await? {
                return Ok(ClaimOutcome::NothingToSend);
            }
            match self.step(&mut asking, view).await? {
                Step::Again => {}
                Step::Acked => return Ok(ClaimOutcome::NothingToSend),
                Step::Send(won) => return self.claimed(asking, *won),
            }
        }
    }

    /// Takes one decision of the subject queue, and acts on it.
    async fn step(&self, asking: &mut Claimant<'_>, view: View) -> Result<Step, StoreError> {
        let now = self.store.now();
        let Claimant { received, owed, rule, .. } = &*asking;
        let base = view.records.get(&owed.id).map_or(0, |row| row.base);
        let max_attempts = asking.max_attempts(base);
        let (row, row_rev) = (view.records.get(&owed.id).cloned(), view.row_rev);
        if row.as_ref().is_some_and(|row| is_another(row, owed)) {
            another::reject(&self.store, received, owed).await?;
            return Ok(Step::Acked);
        }
        let ending = |attempts| {
            let row = row.clone().zip(row_rev);
            Ending { owed, row, attempts, max_attempts, definition: Some(&rule.definition), emitted: Vec::new() }
        };
        let recorded = |id: &DeliveryId| view.records.get(id).map(DeliveryRow::recorded);
        let decision = view.queue.decide(&self.claim_request(asking, base, now), &recorded);
        match decision {
            Decision::Claim { queue, attempt, base, lease_until, overtaken } => {
                let claim = Claim { queue, overtaken, won: Won { row, row_rev, attempt, base, lease_until } };
                return self.win(asking, &view, claim, now).await;
            }
            Decision::Mine { queue, attempt, base, lease_until } => {
                let row = self.without_outbox(row).await?;
                if !self.swap_if_any(asking.key.clone(), view.rev, queue.as_ref(), now).await? {
                    return Ok(Step::Again);
                }
                self.in_time(asking, lease_until)?;
                return Ok(Step::Send(Box::new(Won { row, row_rev, attempt, base, lease_until })));
            }
            Decision::Ended => self.store.commit_one(behind::release(self, asking, &view)).await?,
            Decision::Wait { until, queue } => {
                if let Some(step) = receiver::wait_behind(self, asking, &view, until).await? {
                    return Ok(step);
                }
                let until = self.pace.slot(&owed.owner, owed.event.long_bytes(), until, now);
                spans::waits_in_queue(&view.queue, &self.claim_request(asking, base, now), &recorded, until);
                if !self.swap_if_any(asking.key.clone(), view.rev, queue.as_ref(), now).await? {
                    return Ok(Step::Again);
                }
                let is_sent = view.queue.position(&self.claim_request(asking, base, now), &recorded).lease.is_some();
                let row = match row {
                    None if !is_sent => self.show_waiting(owed, max_attempts, until, WaitCause::Behind).await?,
                    row => row,
                };
                self.store.commit_one(self.defer(received, owed, asking.call().request.host(), until, row.as_ref())).await?;
            }
            Decision::Spent { attempts, base, cut_off } => {
                let why = if cut_off { "cut off; it may have arrived" } else { "no answer that ended it" };
                if let Some(flow) = &asking.flow {
                    return Box::pin(spent_in_flow(self, asking, flow, (row.zip(row_rev), attempts), why)).await;
                }
                let pending = row.as_ref().is_some_and(|row| row.pending);
                let (state, reason) = used_up(attempts - base, pending, why);
                return self.end_step(received, ending(attempts), state, &reason).await;
            }
            Decision::Superseded => return self.end_step(received, ending(0), State::Superseded, OVERTAKEN).await,
            Decision::Stopped { attempts } => return self.end_step(received, ending(attempts), State::Cancelled, STOPPED).await,
        }
        Ok(Step::Acked)
    }

    /// Ends the delivery of a step.
    async fn end_step(&self, received: &Received, ending: Ending<'_>, state: State, why: &str) -> Result<Step, StoreError> {
        Ok(if self.end(received, ending, state, why).await? { Step::Acked } else { Step::Again })
    }

    /// The claim request of a delivery.
    fn claim_request<'a>(&self, asking: &'a Claimant<'_>, base: u32, now: Timestamp) -> ClaimRequest<'a> {
        let Claimant { received, owed, .. } = asking;
        ClaimRequest {
            id: &owed.id,
            order: owed.event.known().order(),
            after: owed.after.as_ref().filter(|_| owed.created_at + PATIENCE > now),
            receive_id: &received.receive_id,
            present: Present { now, ..self.store.present() },
            timeout_seconds: asking.call().request.timeout().seconds(),
            step: asking.flow.as_deref().filter(|_| asking.rule.definition.plan.has_steps()).map(|flow| &*flow.progress.step),
            max_attempts: asking.max_attempts(base),
        }
    }

    /// Writes a subject queue with a claim, once the rule's rate lets it go.
    async fn win(&self, asking: &mut Claimant<'_>, view: &View, claim: Claim, now: Timestamp) -> Result<Step, StoreError> {
        let Claim { queue, overtaken, won } = claim;
        if let Some(step) = receiver::wait(self, asking, view, won.attempt).await? {
            return Ok(step);
        }
        if let Some(step) = self.wait_for_slot(asking, view, &won, now).await? {
            return Ok(step);
        }
        let row = self.without_outbox(won.row).await?;
        self.in_time(asking, won.lease_until)?;
        if !self.swap_queue(asking.key.clone(), view.rev, &queue, now).await.is_done()? {
            return Ok(Step::Again);
        }
        if let Err(error) = self.overtake(&overtaken, OVERTAKEN).await {
            tracing::debug!(%error, "overtaken deliveries end when their own messages come");
        }
        self.in_time(asking, won.lease_until)?;
        Ok(Step::Send(Box::new(Won { row, ..won })))
    }

    /// Ends a delivery that its rule does not send any more (P6).
    async fn end_switched_off(&self, received: &Received, owed: &OwedDelivery) -> Result<ClaimOutcome, StoreError> {
        for _ in 0..READS {
            let row = self.store.read_row::<DeliveryRow>(keys::delivery(&owed.id)).await?;
            if row.as_ref().is_some_and(|(row, _)| row.owed.epoch > owed.epoch) {
                // A person has resent it since: the resend has a message of its own.
                self.store.commit_one(received.done()).await?;
                return Ok(ClaimOutcome::NothingToSend);
            }
            let ending = Ending { owed, row, attempts: 0, max_attempts: 0, definition: None, emitted: Vec::new() };
            if self.end(received, ending, State::Cancelled, SWITCHED_OFF).await? {
                return Ok(ClaimOutcome::NothingToSend);
            }
        }
        Err(StoreError::Contended(format!("the row of delivery {}", owed.id)))
    }

    /// Refuses a send that may outlive its lease or its process: a newer change could be sent beside it (P3). The claimed attempt stays
    /// counted.
    fn in_time(&self, asking: &Claimant<'_>, lease_until: Timestamp) -> Result<(), StoreError> {
        let over = self.store.now() + asking.call().request.timeout().duration();
        if over > lease_until || asking.until.is_some_and(|until| over > until) {
            return Err(StoreError::TooLate("claiming".to_owned()));
        }
        Ok(())
    }

    /// The rule as it is now with its secrets, if it still sends deliveries of this epoch (P6). Everything that sending needs is read
    /// before an attempt is counted.
    async fn sending_rule(&self, owed: &OwedDelivery) -> Result<Result<Ready, NotNow>, StoreError> {
        for _ in 0..READS {
            let Some(item) = self.store.get_one(keys::head(&owed.rule)).await? else { return Ok(Err(NotNow::Off)) };
            let head: RuleHead = rows::read_item(&item)?;
            if !head.sends(owed.epoch) {
                return Ok(Err(NotNow::Off));
            }
            // Text and secrets of a head that was replaced meanwhile may be gone: then the head is read again.
            let Some(definition) = self.rules.definition(&owed.rule, &head).await? else { continue };
            let rule = Rule { id: owed.rule.clone(), head: head.into(), definition };
            if let Some((reason, since)) = rule.head.unbound(&rule.definition) {
                return Ok(Err(NotNow::Standby(Standby { rule, cause: WaitCause::Secret, reason, since })));
            }
            if rule.definition.pause {
                let since = rule.head.paused_since.unwrap_or(rule.head.updated_at);
                let reason = PAUSED.to_owned();
                return Ok(Err(NotNow::Standby(Standby { rule, cause: WaitCause::Paused, reason, since })));
            }
            let Some(secrets) = self.rules.secrets(&rule).await? else { continue };
            if rule.definition.secret_names().iter().all(|name| secrets.contains_key(name)) {
                return Ok(Ok((rule, secrets)));
            }
        }
        Err(StoreError::Unavailable(format!("the text or a secret of rule {} is missing", owed.rule)))
    }

    /// Writes a subject queue if there is one to write. Returns false if somebody else changed it since it was read.
    async fn swap_if_any(
        &self,
        key: Key,
        rev: Option<u64>,
        queue: Option<&SubjectQueue>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        match queue {
            Some(queue) => self.swap_queue(key, rev, queue, now).await.is_done(),
            None => Ok(true),
        }
    }

    /// Writes a subject queue if nobody else has changed it since it was read.
    pub(crate) async fn swap_queue(&self, key: Key, rev: Option<u64>, queue: &SubjectQueue, now: Timestamp) -> Swapped {
        let new = Some(self.store.queue_item(key.clone(), queue, now));
        self.store.swap_one(Swap { key, expect: rev, new }).await
    }

    /// Publishes a row's outbox and returns the row without it: the next attempt writes a new one.
    async fn without_outbox(&self, row: Option<DeliveryRow>) -> Result<Option<DeliveryRow>, StoreError> {
        match row {
            Some(row) if row.has_unpublished() => {
                self.publish_left(&row).await?;
                Ok(Some(row.published()))
            }
            row => Ok(row),
        }
    }

    /// The subject queue, and the log's rows of this delivery and of those on the queue. Publishes events that the message may have left
    /// unpublished.
    async fn read_queue(&self, received: &Received, owed: &OwedDelivery, key: &Key) -> Result<View, StoreError> {
        let mut read = self.store.backend().get(&[key.clone(), keys::delivery(&owed.id)]).await?;
        let own = read.pop().flatten();
        let item = read.pop().flatten();
        let rev = item.as_ref().map(|item| item.rev);
        let queue: SubjectQueue = item.map(|item| rows::read_item(&item)).transpose()?.unwrap_or_default();
        let others: Vec<_> =
            queue.entries.iter().map(|entry| &entry.id).chain(&owed.after).filter(|id| **id != owed.id).collect();
        let keys: Vec<_> = others.into_iter().map(keys::delivery).collect();
        let others = self.store.get_all(&keys).await?;
        let row_rev = own.as_ref().map(|item| item.rev);
        let mut records = HashMap::new();
        for item in others.into_iter().chain([own]).flatten() {
            let row: DeliveryRow = rows::read_item(&item)?;
            records.insert(row.owed.id.clone(), row);
        }
        if let Some(row) = records.get(&owed.id) {
            self.publish_left_by(received, row).await?;
        }
        Ok(View { rev, queue, row_rev, records })
    }

    /// Ends older deliveries that wait (P3). If this is cut off, their own messages end them.
    async fn overtake(&self, overtaken: &[DeliveryId], why: &str) -> Result<(), StoreError> {
        if overtaken.is_empty() {
            return Ok(());
        }
        let now = self.store.now();
        let keys: Vec<_> = overtaken.iter().map(keys::delivery).collect();
        let mut swaps = Vec::new();
        for item in self.store.backend().get(&keys).await?.into_iter().flatten() {
            let mut row: DeliveryRow = rows::read_item(&item)?;
            if !row.state.is_ended() {
                row.end(State::Superseded, why, now);
                swaps.push(Swap { key: item.key, expect: Some(item.rev), new: Some(self.store.delivery_item(&row)) });
            }
        }
        for swapped in self.store.backend().swap(swaps).await {
            // If somebody else was faster, that writer may have recorded an attempt.
            swapped.is_done()?;
        }
        Ok(())
    }

    fn claimed(&self, asking: Claimant<'_>, won: Won) -> Result<ClaimOutcome, StoreError> {
        let Claimant { received, owed, rule, flow, secrets, seal, until, began, .. } = asking;
        let Won { row, row_rev, attempt, base, lease_until } = won;
        let at = self.store.now();
        let under_way = self.recorder.begin();
        let received = received.clone();
        let listed = AtomicBool::new(row.is_some() || owed.held);
        let shown = AtomicBool::new(false);
        // Variables of a flow are stored with its place.
        let own = row.as_ref().filter(|_| flow.is_none()).map(|row| seal.open(row)).transpose()?;
        Ok(ClaimOutcome::Send(Box::new(ClaimedAttempt {
            received,
            rule,
            owed,
            row,
            row_rev,
            flow,
            own: own.unwrap_or_default(),
            secrets,
            seal,
            attempt,
            base,
            lease_until,
            until,
            began: began.unwrap_or(at),
            at,
            listed,
            shown,
            under_way,
        })))
    }
}

impl DeliveryRow {
    pub(crate) fn recorded(&self) -> Recorded {
        let Self { attempts, base, next_due: due, keeps_until, .. } = *self;
        Recorded { attempts, base, ended: self.state.is_ended(), due, keeps_until }
    }
}
