//! The flow of a delivery whose rule has steps or a fixed delay (W1–W4): walking on before a claim, and after a response.
//!
//! The steps between two requests are run by core. Their result stands in the delivery's row before the next request is claimed, so that a
//! crash repeats no finished step (W3). A rule with one request has none of this, and costs nothing for it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    delivery::{Next, State},
    flow::{Answered, Call, Moved, Progress, Stance, Walked},
    hash,
    line::{Ask, Line, Present},
    standstill::Cause,
    tracking_api::Definition,
};

use super::{Claimed, Ending, render::Rendering};
use crate::{
    backend::{Backend, Received, StoreError, Swap},
    delivery::Deliveries,
    keys, rows,
    rows::{DeliveryRow, Job},
    rules::{Rule, kept::KeptChange},
};

/// The pause after somebody else wrote the row.
const AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// The part of the lease on setting kept variables beyond the request's timeout (W5).
const LEASE_MARGIN: SignedDuration = SignedDuration::from_secs(15);
/// The least time after which a delivery looks again whether such a lease is free, and the spread of those looks, in milliseconds.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(2);
const LOOK_SPREAD_MS: u64 = 3_000;
/// The tries to write a line while others write it.
const PLACE_TRIES: usize = 10;

/// The place of a delivery in its flow, with its variables, before a request of it is claimed.
#[derive(Debug, Clone)]
pub(crate) struct InFlow {
    pub(crate) progress: Progress,
    /// The variables that texts read: those of the delivery, and what is kept for its rule (W5).
    pub(crate) variables: BTreeMap<String, String>,
    /// The kept variables as they were read; they are no part of the delivery.
    kept: BTreeMap<String, String>,
    /// It has the lease on setting kept variables.
    leases: bool,
}

impl InFlow {
    /// The place of a delivery that has this row, or none.
    fn of(rule: &Rule, row: Option<&DeliveryRow>, kept: BTreeMap<String, String>, now: Timestamp) -> Self {
        let progress = row.and_then(|row| row.flow.as_deref().cloned());
        let base = row.map_or(0, |row| row.base);
        let own = row.map(|row| row.variables.clone()).unwrap_or_default();
        Self {
            progress: progress.unwrap_or_else(|| Progress::first(&rule.definition.plan, base, now)),
            variables: own.into_iter().chain(kept.clone()).collect(),
            kept,
            leases: false,
        }
    }

    /// The place of a trial, which reads what is kept and keeps nothing (W11).
    pub(crate) fn of_trial(progress: Progress, kept: BTreeMap<String, String>) -> Self {
        Self { progress, variables: kept.clone(), kept, leases: false }
    }

    /// The same delivery at another place.
    pub(crate) fn moved(&self, progress: Progress, variables: BTreeMap<String, String>) -> Self {
        Self { progress, variables, kept: self.kept.clone(), leases: false }
    }

    /// Writes it into the delivery's row.
    pub(crate) fn note(&self, definition: &Definition, row: &mut DeliveryRow) {
        row.flow = Some(Box::new(self.progress.clone()));
        let kept = definition.plan.kept_variables();
        let own = self.variables.iter().filter(|(name, _)| !kept.contains(name.as_str()));
        row.variables = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    }
}

/// The request that is next, or that none is for now.
pub(crate) enum WalkedOn {
    /// The request at this place.
    Send(Box<InFlow>),
    /// The delivery waits or is over: the message is dealt with.
    Settled,
}

/// The request of a place in a flow; of a rule without a flow, or whose step is gone, its first.
pub(crate) fn call_of<'r>(definition: &'r Definition, flow: Option<&InFlow>) -> &'r Call {
    let plan = &definition.plan;
    flow.and_then(|flow| plan.call(&flow.progress.step)).unwrap_or_else(|| plan.first_call())
}

/// A delivery that is about to walk on.
pub(super) struct Walker<'a> {
    pub(super) received: &'a Received,
    pub(super) job: &'a Job,
    pub(super) rule: &'a Rule,
    pub(super) secrets: &'a BTreeMap<String, String>,
    /// The delivery's row with its revision, if it has one.
    pub(super) known: Option<(DeliveryRow, u64)>,
}

impl Walker<'_> {
    fn walk(&self, flow: &InFlow, now: Timestamp) -> Walked {
        let row = self.known.as_ref().map(|(row, _)| row);
        walk(self.rule, self.job, (flow, row.map_or(0, |row| row.attempts)), self.secrets, now)
    }
}

/// Walks on from a place, after so many attempts of the delivery.
fn walk(rule: &Rule, job: &Job, (flow, attempts): (&InFlow, u32), secrets: &BTreeMap<String, String>, now: Timestamp) -> Walked {
    static NONE: BTreeSet<String> = BTreeSet::new();
    let InFlow { progress, variables, .. } = flow;
    let rendering = Rendering {
        rule: &rule.id,
        definition: &rule.definition,
        event: &job.event.0,
        delivery_id: job.id.as_str(),
        attempt: attempts,
        flow: None,
        is_test: false,
        at: now,
        secrets,
        variables,
        secret_variables: &NONE,
    };
    let mut walked = rule.definition.plan.walk(progress.clone(), &rendering.scope(secrets, None), attempts, rule.head.version);
    if let Stance::End(_, reason) = &mut walked.stance {
        *reason = rendering.scrubber(None, rule.head.is_of_two_parties()).scrub(reason);
    }
    walked
}

impl<B: Backend> Deliveries<B> {
    /// Walks on to the next request of a delivery. One that waits, or whose flow ends, is dealt with.
    ///
    /// # Errors
    /// The store is unavailable: the message is to come again.
    pub(super) async fn walk_on(&self, walker: Walker<'_>) -> Result<WalkedOn, StoreError> {
        let now = self.store.now();
        let is_over = walker.known.as_ref().is_some_and(|(row, _)| row.state.is_ended());
        let kept = self.rules.kept(walker.rule).await?;
        let flow = InFlow::of(walker.rule, walker.known.as_ref().map(|(row, _)| row), kept, now);
        if is_over {
            // The subject queue says what becomes of the message.
            return Ok(WalkedOn::Send(Box::new(flow)));
        }
        self.stand(walker, flow, now).await
    }

    /// Goes on where the repeats of a step are used up (L3). `attempts` were claimed, `why` says how the last one went.
    pub(super) async fn walk_on_exhausted(
        &self,
        walker: Walker<'_>,
        flow: &InFlow,
        attempts: u32,
        why: &str,
    ) -> Result<Option<(State, String)>, StoreError> {
        match walker.rule.definition.plan.exhausted(flow.progress.clone(), attempts, why) {
            Moved::Next(Next::Ended(state, reason)) => Ok(Some((state, reason))),
            Moved::Next(Next::Again(_)) => Ok(None),
            Moved::On(progress) => {
                let mut walker = walker;
                if let Some((row, _)) = &mut walker.known {
                    row.attempts = row.attempts.max(attempts);
                }
                let moved = flow.moved(progress, flow.variables.clone());
                let (received, job, rule) = (walker.received, walker.job, walker.rule);
                let known = walker.known.clone();
                if let WalkedOn::Send(flow) = self.stand(walker, moved, self.store.now()).await? {
                    self.rest(received, job, rule, known, &flow, (self.store.now(), None)).await?;
                }
                Ok(None)
            }
        }
    }

    /// Walks, and deals with what does not lead to a request.
    async fn stand(&self, walker: Walker<'_>, flow: InFlow, now: Timestamp) -> Result<WalkedOn, StoreError> {
        let Walked { progress, variables, keep, stance, .. } = walker.walk(&flow, now);
        let (before, mut flow) = (flow.clone(), flow.moved(progress, variables));
        let Walker { received, job, rule, known, .. } = walker;
        self.keep(rule, &flow, &keep, KeptChange::default()).await?;
        match stance {
            Stance::Send => {
                if let Some(until) = self.await_lease(rule, job, &mut flow).await? {
                    let why = format!("another delivery runs step {}", flow.progress.step);
                    // It looks again whether the step is still to be run.
                    self.rest(received, job, rule, known, &before, (until, Some(why))).await?;
                    return Ok(WalkedOn::Settled);
                }
                return Ok(WalkedOn::Send(Box::new(flow)));
            }
            Stance::Wait(until, why) => {
                if flow.progress.is_untouched() {
                    self.keep_place(received, job, rule, until).await?;
                }
                self.rest(received, job, rule, known, &flow, (until, Some(why))).await?;
            }
            Stance::End(state, reason) => {
                let attempts = known.as_ref().map_or(0, |(row, _)| row.attempts);
                let max_attempts = known.as_ref().map_or(0, |(row, _)| row.max_attempts);
                let ending = Ending { job, row: known, attempts, max_attempts };
                if !self.end(received, ending, state, &reason).await? {
                    let host = rule.definition.first_host();
                    self.store.commit_one(self.come_again(received, job, host, now + AGAIN, None)).await?;
                }
            }
        }
        Ok(WalkedOn::Settled)
    }

    /// Takes the lease on a step that sets kept variables (W5). Returns the time at which to look again if another delivery has it.
    async fn await_lease(&self, rule: &Rule, job: &Job, flow: &mut InFlow) -> Result<Option<Timestamp>, StoreError> {
        let plan = &rule.definition.plan;
        let step = &flow.progress.step;
        if !plan.kept_variables().into_iter().any(|name| plan.step_sets(step, name)) {
            return Ok(None);
        }
        let now = self.store.now();
        let timeout = call_of(&rule.definition, Some(flow)).request.timeout().duration();
        let Some(until) = self.rules.lease_kept(rule, &job.id, now + timeout + LEASE_MARGIN).await? else {
            flow.leases = true;
            return Ok(None);
        };
        let spread = hash::number(&["lease", job.id.as_str()]) % LOOK_SPREAD_MS;
        let look = now + LOOK_AGAIN + SignedDuration::from_millis(i64::try_from(spread).unwrap_or(0));
        Ok(Some(until.min(look).max(now + SignedDuration::from_millis(1))))
    }

    /// Keeps variables for later deliveries of the rule, for so many seconds, and makes the other changes.
    async fn keep(
        &self,
        rule: &Rule,
        flow: &InFlow,
        seconds: &BTreeMap<String, u32>,
        mut change: KeptChange,
    ) -> Result<(), StoreError> {
        let now = self.store.now();
        for (name, seconds) in seconds {
            let Some(value) = flow.variables.get(name) else { continue };
            change.keep.insert(name.clone(), (value.clone(), now + SignedDuration::from_secs((*seconds).into())));
        }
        if change.is_empty() { Ok(()) } else { self.rules.change_kept(rule, &change).await }
    }

    /// Keeps, forgets and releases what a response and the steps after it say, before anything says that they are over.
    pub(super) async fn settle_kept(&self, claimed: &Claimed, keep: &BTreeMap<String, (String, u32)>, forget: &[Box<str>]) {
        let Some(flow) = claimed.flow.as_deref() else { return };
        let now = self.store.now();
        let until = |seconds: u32| now + SignedDuration::from_secs(seconds.into());
        let change = KeptChange {
            keep: keep.iter().map(|(name, (value, seconds))| (name.clone(), (value.clone(), until(*seconds)))).collect(),
            forget: forget.iter().filter_map(|name| Some((name.to_string(), flow.kept.get(&**name)?.clone()))).collect(),
            release: flow.leases.then(|| claimed.job.id.clone()),
        };
        if change.is_empty() {
            return;
        }
        if let Err(error) = self.rules.change_kept(&claimed.rule, &change).await {
            // The next delivery sets them again.
            tracing::warn!(tracking_api_id = %claimed.rule.id, delivery_id = %claimed.job.id, %error, "kept variables were not written");
        }
    }

    /// Puts a delivery with a fixed delay on its line, so that what came later is sent later (P3, W10).
    async fn keep_place(&self, received: &Received, job: &Job, rule: &Rule, until: Timestamp) -> Result<(), StoreError> {
        let key = keys::line(&job.id, &job.rule, &job.event.0.subject());
        let call = rule.definition.plan.first_call();
        for _ in 0..PLACE_TRIES {
            let read = self.store.get_one(key.clone()).await?;
            let rev = read.as_ref().map(|item| item.rev);
            let line: Line = read.map(|item| rows::read_item(&item)).transpose()?.unwrap_or_default();
            let now = self.store.now();
            let ask = Ask {
                id: &job.id,
                order: job.event.0.order(),
                after: None,
                token: &received.token,
                present: Present { now, ..self.store.present() },
                timeout_seconds: call.request.timeout().seconds(),
                max_attempts: call.retry.max_attempts(),
            };
            let Some(waiting) = line.waiting(&ask, 1, until, None).filter(|waiting| *waiting != line) else { return Ok(()) };
            if self.swap_line(key.clone(), rev, &waiting, now).await.is_done()? {
                return Ok(());
            }
        }
        Err(StoreError::Contended(format!("the line of delivery {}", job.id)))
    }

    /// Writes the place of a delivery that goes on at a time, and lets its message come again then.
    async fn rest(
        &self,
        received: &Received,
        job: &Job,
        rule: &Rule,
        known: Option<(DeliveryRow, u64)>,
        flow: &InFlow,
        (until, why): (Timestamp, Option<String>),
    ) -> Result<(), StoreError> {
        let now = self.store.now();
        let call = call_of(&rule.definition, Some(flow));
        let (row, rev): (Option<DeliveryRow>, _) = known.unzip();
        let is_known = row.is_some();
        let mut row = row.unwrap_or_else(|| DeliveryRow::new(job.clone(), State::Waiting, call.retry.max_attempts()));
        self.publish_left(&row).await?;
        row.outbox = None;
        if !is_known && !job.held {
            self.recorder.list(&row).await?;
        }
        row.job = job.clone();
        row.state = State::Waiting;
        row.reason = Some(why.unwrap_or_else(|| next_step(flow)));
        row.next_due = Some(until);
        flow.note(&rule.definition, &mut row);
        let swap = Swap { key: keys::delivery(&job.id), expect: rev, new: Some(self.store.delivery_item(&row)) };
        let is_written = self.store.swap_one(swap).await.is_done()?;
        let at = if is_written { until } else { now + AGAIN };
        crate::spans::waits(Cause::Retry, at);
        let recorded = (is_known && is_written).then_some(&row);
        self.store.commit_one(self.come_again(received, job, call.request.host(), at, recorded)).await
    }
}

/// The reason of a delivery whose next step is a request that follows at once.
fn next_step(flow: &InFlow) -> String {
    format!("step {} is next", flow.progress.step)
}

/// What follows a response in a flow.
pub(super) struct After {
    pub(super) flow: InFlow,
    pub(super) next: Next,
    /// The reason of the wait, if it is not the response's.
    pub(super) reason: Option<String>,
    /// Values that are kept for so many seconds (W5).
    pub(super) keep: BTreeMap<String, (String, u32)>,
}

/// Says what follows a response, and walks on to the next request, wait or end. `variables` are those after the response.
pub(super) fn after_response(
    claimed: &Claimed,
    flow: &InFlow,
    variables: BTreeMap<String, String>,
    answered: Answered<'_>,
    now: Timestamp,
) -> After {
    let plan = &claimed.rule.definition.plan;
    let stays = |progress, variables, next| {
        let flow = flow.moved(progress, variables);
        After { flow, next, reason: None, keep: BTreeMap::new() }
    };
    let mut before = flow.progress.clone();
    match plan.after(flow.progress.clone(), answered, claimed.base, &claimed.job.id, now) {
        Moved::Next(next) => {
            before.note(answered.verdict);
            stays(before, variables, next)
        }
        Moved::On(progress) => {
            let moved = flow.moved(progress, variables);
            let Walked { progress, variables, keep, stance, .. } =
                walk(&claimed.rule, &claimed.job, (&moved, answered.attempt), &claimed.secrets, now);
            let flow = moved.moved(progress, variables);
            let value = |name: &String| flow.variables.get(name).cloned().unwrap_or_default();
            let keep = keep.into_iter().map(|(name, seconds)| (name.clone(), (value(&name), seconds))).collect();
            match stance {
                Stance::Send => {
                    let reason = Some(next_step(&flow));
                    After { flow, next: Next::Again(now), reason, keep }
                }
                Stance::Wait(until, why) => After { flow, next: Next::Again(until), reason: Some(why), keep },
                Stance::End(state, reason) => After { flow, next: Next::Ended(state, reason), reason: None, keep },
            }
        }
    }
}
