//! The flow of a delivery whose rule has steps or a fixed delay (W1–W4): walking on before a claim, and after a response.
//!
//! Core runs the steps between two requests. Their result is stored in the delivery's row before the next request is claimed, so that a
//! crash repeats no finished step (W3). A rule with one request has none of this, and costs nothing for it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    delivery::{Next, State},
    flow::{Emitted, Moved, Stance, Walked},
    hash,
    standstill::WaitCause,
    subject_queue::{ClaimRequest, Present, SubjectQueue},
};

use super::{
    ClaimedAttempt, Ending,
    flow::{InFlow, Kept, call_of, keep},
    outbox::publish_emitted,
    render::{Judged, Rendering},
    sealed::Seal,
};
use crate::{
    backend::{Backend, Received, StoreError, Swap},
    delivery::Deliveries,
    keys,
    rows::{DeliveryRow, OwedDelivery},
    rules::{Rule, kept::KeptChange},
    store::Update,
};

/// The pause after somebody else wrote the row.
pub(super) const AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// The part of the lease on setting kept variables beyond the request's timeout (W5).
const LEASE_MARGIN: SignedDuration = SignedDuration::from_secs(15);
/// The least time after which a delivery looks again whether such a lease is free, and the spread of those looks, in milliseconds.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(2);
const LOOK_SPREAD_MS: u64 = 3_000;
/// The bytes that such a look costs: it writes the delivery's row and its message again.
const LOOK_BYTES: usize = 16 * 1_024;
/// The longest time between two such looks: it grows with the time that has been waited.
const LONGEST_LOOK: SignedDuration = SignedDuration::from_mins(2);

/// The next request, if there is one now.
pub(crate) enum WalkedOn {
    /// The request at this place.
    Send(Box<InFlow>),
    /// The delivery waits or is over: the message is acked.
    Acked,
}

/// A delivery that is about to walk on.
pub(super) struct Walker<'a, B> {
    pub(super) deliveries: &'a Deliveries<B>,
    pub(super) received: &'a Received,
    pub(super) owed: &'a OwedDelivery,
    pub(super) rule: &'a Rule,
    pub(super) secrets: &'a Arc<BTreeMap<String, String>>,
    /// The delivery's row with its revision, if it has one.
    pub(super) known: Option<&'a (DeliveryRow, u64)>,
    pub(super) seal: &'a Seal,
    /// The step that its last attempts were claimed for, and their number, if they have no record.
    pub(super) lost: Option<(&'a str, u32)>,
    /// An older flow of its subject is to finish before it sends (W4).
    pub(super) is_behind: bool,
}

impl<B: Backend> Walker<'_, B> {
    /// Walks on to the next request of the delivery. If it waits or its flow ends, its message is acked.
    ///
    /// # Errors
    /// The store is unavailable: the message is to come again.
    pub(super) async fn walk_on(&self) -> Result<WalkedOn, StoreError> {
        let row = self.known.map(|(row, _)| row);
        let (kept, store) = (self.deliveries.rules.kept(self.rule).await?, &self.deliveries.store);
        let public_url = store.settings.public_url.as_deref();
        let flow = InFlow::of((self.rule, self.owed), (row, self.seal), kept, (public_url, store.now()))?;
        if row.is_some_and(|row| row.state.is_ended()) {
            // The subject queue decides on the message.
            return Ok(WalkedOn::Send(Box::new(flow)));
        }
        self.walk_to_request(flow, row.map_or(0, |row| row.attempts)).await
    }

    /// Goes on where the repeats of a step are used up (L3). `attempts` were claimed, `why` is the result of the last one. Returns the end
    /// of the delivery, if it ends.
    pub(super) async fn walk_on_exhausted(
        &self,
        flow: &InFlow,
        attempts: u32,
        why: &str,
    ) -> Result<Option<(State, String)>, StoreError> {
        match self.rule.definition.plan.exhausted(flow.progress.clone(), attempts, why) {
            Moved::Ended(state, reason) => Ok(Some((state, reason))),
            // Used-up repeats never ask again.
            Moved::Again(..) => Ok(None),
            Moved::On(progress) => {
                let moved = flow.moved(progress, flow.variables.clone());
                if let WalkedOn::Send(flow) = self.walk_to_request(moved, attempts).await? {
                    let why = next_step(&flow);
                    self.rest(&flow, attempts, (self.deliveries.store.now(), why)).await?;
                }
                Ok(None)
            }
        }
    }

    /// Walks to the next request, after so many attempts. A delivery that waits or ends instead is written, and its message
    /// acked.
    async fn walk_to_request(&self, flow: InFlow, attempts: u32) -> Result<WalkedOn, StoreError> {
        let now = self.deliveries.store.now();
        let walked = if self.rule.definition.is_heavy {
            let (rule, owed, flow) = (self.rule.clone(), self.owed.clone(), flow.clone());
            let (owner, secrets) = (Some(owed.owner.clone()), Arc::clone(self.secrets));
            self.deliveries.heavy.run(owner, move || walk(&rule, &owed, (&flow, attempts), &secrets, now)).await
        } else {
            walk(self.rule, self.owed, (&flow, attempts), self.secrets, now)
        };
        let Walked { progress, variables, keep, emitted, stance, .. } = walked;
        let (before, mut flow) = (flow.clone(), flow.moved(progress, variables).emitting(emitted));
        if let Some((step, requests)) = self.lost.filter(|(step, _)| *step != flow.progress.step && stance == Stance::Send) {
            flow.progress.charge(step, requests);
        }
        self.keep(&flow, &keep).await?;
        match stance {
            Stance::Send => {
                // A delivery that waits finds out again whether the step is still to be run.
                if self.is_behind {
                    self.wait_behind(&before, attempts).await?;
                    return Ok(WalkedOn::Acked);
                }
                match self.await_lease(&mut flow).await? {
                    Some(wait) => self.rest(&before, attempts, wait).await?,
                    None => return Ok(WalkedOn::Send(Box::new(flow))),
                }
            }
            Stance::Wait(until, why) => {
                if flow.progress.is_untouched() {
                    self.keep_place(until).await?;
                }
                self.rest(&flow, attempts, (until, why)).await?;
            }
            Stance::Listen(until, why) => Box::pin(self.listen(flow, attempts, (until, why))).await?,
            Stance::End(state, reason) => self.end_emitting((attempts, flow.emitted), state, &reason).await?,
        }
        Ok(WalkedOn::Acked)
    }

    pub(super) async fn end(&self, attempts: u32, state: State, reason: &str) -> Result<(), StoreError> {
        self.end_emitting((attempts, Vec::new()), state, reason).await
    }

    /// Ends a delivery whose last steps emitted these events.
    async fn end_emitting(&self, (attempts, emitted): (u32, Vec<Emitted>), state: State, reason: &str) -> Result<(), StoreError> {
        let max_attempts = self.known.map_or(0, |(row, _)| row.max_attempts);
        let definition = Some(&*self.rule.definition);
        let ending = Ending { owed: self.owed, row: self.known.cloned(), attempts, max_attempts, definition, emitted };
        if !self.deliveries.end(self.received, ending, state, reason).await? {
            let at = self.deliveries.store.now() + AGAIN;
            let deferred = self.deliveries.defer(self.received, self.owed, self.rule.definition.first_host(), at, None);
            self.deliveries.store.commit_one(deferred).await?;
        }
        Ok(())
    }

    /// Takes the lease on a step that sets kept variables (W5). Returns the time at which to look again if another delivery has it, and
    /// the reason of the wait.
    async fn await_lease(&self, flow: &mut InFlow) -> Result<Option<(Timestamp, String)>, StoreError> {
        let step = &flow.progress.step;
        let plan = &self.rule.definition.plan;
        if !plan.kept_variables().iter().any(|name| plan.step_sets(step, name)) {
            return Ok(None);
        }
        let now = self.deliveries.store.now();
        let lease_until = now + call_of(&self.rule.definition, Some(flow)).request.timeout().duration() + LEASE_MARGIN;
        let Some(until) = self.deliveries.rules.lease_kept(self.rule, (&self.owed.id, &flow.kept), lease_until).await? else {
            flow.leases = true;
            return Ok(None);
        };
        let why = format!("another delivery runs step {step}");
        let spread = hash::number(&["lease", self.owed.id.as_str()]) % LOOK_SPREAD_MS;
        let waits = self.known.filter(|(row, _)| row.reason.as_ref() == Some(&why));
        let waited = waits.and_then(|(row, _)| row.waits_since).map_or(SignedDuration::ZERO, |since| now.duration_since(since));
        let pause = (waited / 2).clamp(LOOK_AGAIN, LONGEST_LOOK);
        let look = now + pause + SignedDuration::from_millis(i64::try_from(spread).unwrap_or(0));
        let due = until.min(look).max(now + SignedDuration::from_millis(1));
        Ok(Some((self.deliveries.pace.slot(&self.owed.owner, LOOK_BYTES, due, now), why)))
    }

    /// Keeps variables for later deliveries of the rule, for so many seconds.
    async fn keep(&self, flow: &InFlow, seconds: &BTreeMap<String, u32>) -> Result<(), StoreError> {
        let keep = flow.kept_for(seconds);
        self.deliveries.rules.change_kept(self.rule, &KeptChange { keep, ..KeptChange::default() }).await
    }

    /// The claim request of a delivery that waits for its first request.
    pub(super) fn claim_request(&self) -> ClaimRequest<'_> {
        let (store, owed, call) = (&self.deliveries.store, self.owed, self.rule.definition.plan.first_call());
        ClaimRequest {
            id: &owed.id,
            order: owed.event.known().order(),
            after: None,
            receive_id: &self.received.receive_id,
            present: Present { now: store.now(), ..store.present() },
            timeout_seconds: call.request.timeout().seconds(),
            step: None,
            max_attempts: call.retry.max_attempts(),
        }
    }

    /// Puts a delivery with a fixed delay on its subject queue, so that later changes are sent later (P3, W10).
    async fn keep_place(&self, until: Timestamp) -> Result<(), StoreError> {
        self.change_queue(|queue| Some((queue.waiting(&self.claim_request(), 1, until, None)?, ()))).await.map(drop)
    }

    /// Changes and writes the subject queue of a delivery, unless nothing changes. Returns the other half of the result of `change`.
    pub(super) async fn change_queue<T>(
        &self,
        change: impl Fn(&SubjectQueue) -> Option<(SubjectQueue, T)>,
    ) -> Result<Option<T>, StoreError> {
        let (store, owed) = (&self.deliveries.store, self.owed);
        let key = keys::subject_queue(&owed.id, &owed.rule, &owed.event.known().subject());
        let changed = |stored: Option<SubjectQueue>| {
            let queue = stored.unwrap_or_default();
            Ok(match change(&queue) {
                None => Update::Keep(None),
                Some((changed, said)) if changed == queue => Update::Keep(Some(said)),
                Some((changed, said)) => Update::Put(store.queue_item(key.clone(), &changed, store.now()), Some(said)),
            })
        };
        store.update(&key, changed).await
    }

    /// Writes the place of a delivery that goes on at a time, for a reason, and defers its message to that time.
    pub(super) async fn rest(&self, flow: &InFlow, attempts: u32, (until, why): (Timestamp, String)) -> Result<(), StoreError> {
        let Self { deliveries, received, owed, rule, .. } = *self;
        let until = deliveries.pace.slot(&owed.owner, owed.event.long_bytes(), until, deliveries.store.now());
        let written = self.write_place(flow, attempts, (until, why)).await?;
        let at = if written.is_some() { until } else { deliveries.store.now() + AGAIN };
        if let Some(row) = &written {
            publish_emitted(&deliveries.store, row).await?;
        }
        crate::spans::waits(WaitCause::Retry, at);
        let recorded = written.as_ref().filter(|_| self.known.is_some());
        let host = call_of(&rule.definition, Some(flow)).request.host();
        deliveries.store.commit_one(deliveries.defer(received, owed, host, at, recorded)).await
    }

    /// Writes the place of a delivery that goes on at a time, for a reason. Returns its row, unless somebody else has written it.
    pub(super) async fn write_place(
        &self,
        flow: &InFlow,
        attempts: u32,
        (until, why): (Timestamp, String),
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let Self { deliveries, owed, rule, seal, .. } = *self;
        let call = call_of(&rule.definition, Some(flow));
        let (known, rev): (Option<DeliveryRow>, _) = self.known.cloned().unzip();
        let is_known = known.is_some();
        let mut row = known.unwrap_or_else(|| DeliveryRow::new(owed.clone(), State::Waiting, call.retry.max_attempts()));
        deliveries.publish_left(&row).await?;
        row.outbox = None;
        if !is_known && !owed.held {
            deliveries.recorder.list(&row).await?;
        }
        row.owed = owed.clone();
        row.attempts = row.attempts.max(attempts);
        row.state = State::Waiting;
        row.waits_since = row.waits_since.filter(|_| row.reason.as_ref() == Some(&why)).or(Some(deliveries.store.now()));
        row.reason = Some(why);
        row.next_due = Some(until);
        row.keeps_until = None;
        flow.note(&rule.definition, seal, &mut row);
        let swap = Swap { key: keys::delivery(&owed.id), expect: rev, new: Some(deliveries.store.delivery_item(&row)) };
        Ok(deliveries.store.swap_one(swap).await.is_done()?.then_some(row))
    }
}

/// Walks on from a place, after so many attempts of the delivery.
fn walk(
    rule: &Rule,
    owed: &OwedDelivery,
    (flow, attempts): (&InFlow, u32),
    secrets: &BTreeMap<String, String>,
    now: Timestamp,
) -> Walked {
    let rendering = Rendering::unclaimed(rule, owed, (flow, attempts), secrets, now);
    let mut walked =
        rule.definition.plan.walk(flow.progress.clone(), &rendering.scope(secrets, None), attempts, rule.head.version);
    let Walked { variables, emitted, stance, .. } = &mut walked;
    let reason = if let Stance::End(_, reason) = stance { Some(reason) } else { None };
    let mut seen = emitted.iter_mut().flat_map(|event| event.fields.values_mut()).chain(reason).peekable();
    if seen.peek().is_some() {
        rendering.mask_texts(seen, variables, rule.head.is_of_two_parties());
    }
    walked
}

/// Keeps, forgets and releases kept variables as a response and the steps after it say, before a row says that these are over.
pub(super) async fn change_kept_variables<B: Backend>(
    deliveries: &Deliveries<B>,
    claimed: &ClaimedAttempt,
    keep: Kept,
    forget: &[Box<str>],
) {
    let Some(flow) = claimed.flow.as_deref() else { return };
    let read = |name: &str| Some((name.to_owned(), flow.kept.get(name)?.clone()));
    let change = KeptChange {
        keep,
        forget: forget.iter().filter_map(|name| read(name)).collect(),
        release: flow.leases.then(|| claimed.owed.id.clone()),
    };
    if let Err(error) = deliveries.rules.change_kept(&claimed.rule, &change).await {
        // The next delivery sets them again.
        tracing::warn!(tracking_api_id = %claimed.rule.id, delivery_id = %claimed.owed.id, %error, "kept variables were not written");
    }
}

/// The reason of a delivery whose next step is a request that follows at once.
pub(super) fn next_step(flow: &InFlow) -> String {
    format!("step {} is next", flow.progress.step)
}

/// The continuation of a delivery after a response.
pub(super) struct Followed {
    pub(super) next: Next,
    /// The reason of a wait that is not the response's.
    pub(super) reason: Option<String>,
    pub(super) keep: Kept,
    /// The next request follows at once.
    pub(super) is_at_once: bool,
}

impl Followed {
    /// The continuation of a delivery that stays at its place.
    pub(super) fn at_once(next: Next) -> Self {
        Self { next, reason: None, keep: Kept::new(), is_at_once: false }
    }
}

/// Decides on the continuation after a response, walks on to the next request, wait or end, and writes the place into the delivery's row.
pub(super) fn after_response(
    claimed: &ClaimedAttempt,
    flow: &InFlow,
    row: &mut DeliveryRow,
    (judged, retry_after): (&Judged, Option<Duration>),
    now: Timestamp,
) -> Followed {
    let (plan, attempt) = (&claimed.rule.definition.plan, claimed.attempt);
    let variables = judged.variables_after(&flow.variables);
    let answered = judged.answered(retry_after, attempt);
    let (flow, mut followed) = match plan.after(flow.progress.clone(), answered, claimed.base, &claimed.owed.id, now) {
        Moved::Again(progress, due) => (flow.moved(progress, variables), Followed::at_once(Next::Again(due))),
        Moved::Ended(state, reason) => {
            (flow.moved(flow.progress.clone(), variables), Followed::at_once(Next::Ended(state, reason)))
        }
        Moved::On(progress) => {
            let mut moved = flow.moved(progress, variables);
            moved.hidden.extend(row.secret_variables.iter().cloned());
            let Walked { progress, variables, keep, emitted, stance, .. } =
                walk(&claimed.rule, &claimed.owed, (&moved, attempt), &claimed.secrets, now);
            let flow = moved.moved(progress, variables).emitting(emitted);
            let is_at_once = matches!(stance, Stance::Send);
            let (next, reason) = match stance {
                Stance::Send => (Next::Again(now), Some(next_step(&flow))),
                // A delivery that listens is woken at once, and looks for the callbacks that have come meanwhile.
                Stance::Listen(_, why) => (Next::Again(now), Some(why)),
                Stance::Wait(until, why) => (Next::Again(until), Some(why)),
                Stance::End(state, reason) => (Next::Ended(state, reason), None),
            };
            let keep = flow.kept_for(&keep);
            (flow, Followed { next, reason, keep, is_at_once })
        }
    };
    for (name, kept) in keep(&judged.extracted.keep, &judged.extracted.variables, &judged.hidden) {
        followed.keep.entry(name).or_insert(kept);
    }
    flow.note(&claimed.rule.definition, &claimed.seal, row);
    if let Some(call) = plan.call(&flow.progress.step) {
        row.max_attempts = flow.progress.max_attempts(call, row.base);
    }
    followed
}
