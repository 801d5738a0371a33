//! Concluding an attempt: the answer's meaning, the next action, and the record of both.

use std::{sync::atomic::Ordering, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    answer::{ExtractedData, Verdict},
    delivery::{DeliveryId, Next, Repeats, State, after_attempt},
    receiver::{Receiver, Sign},
    request::Rendered,
    retry::parse_retry_after,
    subject_queue::SubjectQueue,
};

use super::{
    ClaimedAttempt, Continued, SWITCHED_OFF, SendResult,
    render::{Judged, ShownResponse, is_heavy, masked, shown_request},
    walk::{Followed, after_response, change_kept_variables},
};
use crate::{
    backend::{Backend, Effects, Item, StoreError, Swap, Swapped},
    delivery::Deliveries,
    failing::Concluded,
    keys,
    receivers::ReceiverAttempt,
    rows::{self, Attempt, DeliveryRow, LoggedRequest, OwedDelivery},
    rules::RuleHead,
    secrets::Scrubber,
    sender::SendFault,
};

/// The most bytes of a request's body that the log keeps.
const LOGGED_BODY: usize = 16_384;
/// The time for which a delivery keeps its subject queue for a step that follows at once (W4).
const KEEPS: SignedDuration = SignedDuration::from_secs(60);
/// The time beyond the log's retention for which a row of an earlier attempt is kept. Its delivery is kept for the retention from its end
/// on, and it ends within this time: 30 retries of at most a day each, with their jitter, are 33 days (L1, L2).
const LONGEST_OPEN: SignedDuration = SignedDuration::from_hours(24 * 45);

/// The result of an attempt: the request as people may see it, the response without secrets, and its meaning.
struct Understood {
    shown: Option<Rendered>,
    scrubber: Scrubber,
    retry_after: Option<String>,
    judged: Judged,
    heard: ShownResponse,
}

impl Understood {
    fn of(claimed: &ClaimedAttempt, sent: SendResult) -> Self {
        let rendering = claimed.rendering();
        let shown = rendering.shown().ok();
        let scrubber = rendering.scrubber(shown.as_ref(), claimed.rule.head.is_of_two_parties());
        let sent = masked(sent, &scrubber);
        let (sent, judged) = rendering.read(sent, shown.as_ref(), &scrubber);
        let retry_after = sent.as_ref().ok().and_then(|answer| answer.header("retry-after")).map(str::to_owned);
        // Nothing of a long body is kept beyond this.
        let heard = rendering.heard(&sent, &judged, &scrubber);
        Self { shown, scrubber, retry_after, judged, heard }
    }
}

impl Understood {
    /// The result for its receiver's health (B1); `None` if the reason for the missing response is unknown.
    fn sign(&self) -> Option<Sign> {
        let Self { judged, heard, .. } = self;
        match heard.status {
            Some(status) if (status >= 500 || status == 429) && judged.verdict == Verdict::Retry => {
                Some(Sign::Refusal(format!("status {status}")))
            }
            Some(_) => Some(Sign::Response),
            None => heard.error.clone().map(Sign::Failure),
        }
    }
}

/// The row of a delivery after an attempt, before it is known whether its rule still sends.
struct Draft {
    row: DeliveryRow,
    /// The response data to publish to the platform.
    to_publish: Option<ExtractedData>,
    followed: Followed,
}

impl Draft {
    fn of(claimed: &ClaimedAttempt, understood: &Understood, now: Timestamp) -> Self {
        let mut row = claimed.row_or_new(State::Waiting);
        let Understood { retry_after, judged, scrubber, .. } = understood;
        row.owed = claimed.owed.clone();
        row.keeps_until = None;
        row.attempts = claimed.attempt;
        row.base = claimed.base;
        row.max_attempts = claimed.max_attempts();
        row.pending |= judged.verdict == Verdict::Pending;
        row.note_hidden(&judged.extracted.variables, &judged.hidden);
        let to_publish = data_to_publish(&mut row, &judged.extracted, scrubber);
        let retry_after = retry_after.as_deref().and_then(|value| parse_retry_after(value, now));
        let followed = follow(claimed, &mut row, judged, retry_after, now);
        Self { row, to_publish, followed }
    }
}

impl<B: Backend> Deliveries<B> {
    /// Concludes an attempt and records it, with the message's end in the same step. An attempt that a fault of this machine kept from
    /// leaving is given back instead, and comes again. Returns the next request of the flow if it follows at once: the message is still
    /// open then.
    ///
    /// # Errors
    /// Neither the store nor the queue takes the record: the attempt stays counted, and the message comes again.
    pub async fn conclude(&self, claimed: ClaimedAttempt, sent: SendResult) -> Result<Option<Continued>, StoreError> {
        let sent = match sent {
            Err(SendFault::Ours(fault)) => return Box::pin(self.give_back(claimed, &fault)).await.map(|()| None),
            sent => sent.map_err(|fault| fault.for_owner(&claimed.owed.owner)),
        };
        let now = self.store.now();
        // If the store does not answer, the record is written by the step that finds out.
        let holds = if now > claimed.lease_until { Box::pin(self.still_holds(&claimed)).await } else { Ok(true) };
        let may_have_left = sent.as_ref().err().is_none_or(SendFault::may_have_left);
        let (claimed, understood, draft) = Box::pin(self.understood(claimed, sent, now)).await;
        let verdict = understood.judged.verdict;
        let heard = understood.sign().filter(|_| may_have_left).map(|sign| Box::new(heard(&claimed, sign)));
        let (row, earlier) = Box::pin(self.concluded(&claimed, understood, draft, now)).await;
        if holds == Ok(false) {
            return Box::pin(self.leave_trace(claimed, &row, earlier, now)).await.map(|()| None);
        }
        log_conclusion(&row, verdict);
        let (state, at, rule, owner) = (row.state, claimed.at, claimed.rule.id.clone(), claimed.owed.owner.clone());
        let recorded = Box::pin(self.record_attempt(claimed, row, earlier, holds.is_ok())).await;
        if recorded.is_ok() {
            self.store.tally.attempt(verdict, now.duration_since(at));
            if state.is_ended() {
                self.store.tally.ended(state);
            }
            self.store.failing.conclude(Concluded { rule, owner, verdict, at });
            if let Some(heard) = heard {
                Box::pin(self.receivers.note(*heard)).await;
            }
        }
        recorded
    }

    /// Writes the attempt's own row and publishes its response data, and nothing else: another hand-out has claimed a later
    /// attempt since.
    async fn leave_trace(
        &self,
        claimed: ClaimedAttempt,
        row: &DeliveryRow,
        earlier: Option<Attempt>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut effects = claimed.received.done();
        let attempt = earlier.as_ref().or(row.last.as_ref());
        effects.put.extend(attempt.map(|attempt| self.earlier_attempt(&row.owed.id, attempt, now)));
        effects.publish = row.unpublished_without_end();
        drop(claimed.under_way);
        self.recorder.record(effects, None).await
    }

    /// The delivery's row after an attempt, and the attempt if it did not end the delivery: then the row does not hold it.
    async fn concluded(
        &self,
        claimed: &ClaimedAttempt,
        understood: Box<Understood>,
        draft: Box<Draft>,
        now: Timestamp,
    ) -> (DeliveryRow, Option<Attempt>) {
        let Draft { mut row, to_publish, followed } = *draft;
        let Followed { mut next, reason, keep, is_at_once } = followed;
        let judged = &understood.judged;
        Box::pin(change_kept_variables(self, claimed, keep, &judged.forget)).await;
        // If the store does not answer, the next claim asks again.
        if matches!(next, Next::Again(_)) && self.is_still_owed(&claimed.owed).await == Ok(false) {
            next = Next::Ended(State::Cancelled, SWITCHED_OFF.to_owned());
        }
        // At the end the row holds the last attempt.
        (row.http_status, row.duration_ms) = (None, None);
        let mut earlier = None;
        match next {
            Next::Ended(state, reason) => {
                row.end(state, reason, now);
                row.last = Some(logged(claimed, *understood, now));
            }
            Next::Again(due) => {
                let due = if is_at_once { due } else { self.pace.slot(&row.owed.owner, row.owed.event.long_bytes(), due, now) };
                crate::spans::waits(tracking_core::standstill::WaitCause::Retry, due);
                row.state = State::Waiting;
                row.reason = Some(reason.unwrap_or_else(|| judged.why.clone()));
                row.next_due = Some(due);
                row.keeps_until = is_at_once.then_some(now + KEEPS);
                let attempt = logged(claimed, *understood, now);
                (row.http_status, row.duration_ms) = (attempt.status, Some(attempt.duration_ms));
                earlier = Some(attempt);
            }
        }
        row.fill_outbox(&claimed.received, to_publish, now);
        (row, earlier)
    }

    /// Reads and masks the result of a claimed attempt, and drafts its delivery's row.
    async fn understood(
        &self,
        claimed: ClaimedAttempt,
        sent: SendResult,
        now: Timestamp,
    ) -> (ClaimedAttempt, Box<Understood>, Box<Draft>) {
        let owner = claimed.heavy_owner().or_else(|| is_heavy(&sent).then(|| claimed.owner().clone()));
        let understand = move || {
            let understood = Understood::of(&claimed, sent);
            let draft = Draft::of(&claimed, &understood, now);
            (claimed, Box::new(understood), Box::new(draft))
        };
        self.heavy.run(owner, understand).await
    }

    /// Shows a delivery whose attempt takes long as `sending`.
    pub(crate) async fn show_as_sending(&self, claimed: &ClaimedAttempt) -> Result<(), StoreError> {
        let mut row = claimed.row_or_new(State::Sending);
        row.state = State::Sending;
        row.base = claimed.base;
        row.max_attempts = claimed.max_attempts();
        row.next_due = None;
        row.keeps_until = None;
        row.reason = None;
        if let Some(listing) = claimed.listing(&row) {
            self.recorder.record(Effects::default(), Some(listing)).await?;
            claimed.listed.store(true, Ordering::Relaxed);
        }
        // A write that is late must not replace the attempt's record.
        let swap = |expect| Swap { key: keys::delivery(&row.owed.id), expect, new: Some(self.store.delivery_item(&row)) };
        let mut swapped = self.store.swap_one(swap(claimed.row_rev)).await;
        if let (Swapped::Conflict(Some(held)), None) = (&swapped, claimed.row_rev) {
            // The row of a held delivery is not read for its first attempt.
            if rows::read_item::<DeliveryRow>(held)?.state == State::Held {
                swapped = self.store.swap_one(swap(Some(held.rev))).await;
            }
        }
        if swapped.is_done()? {
            claimed.shown.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The row of an attempt that is not its delivery's last.
    pub(crate) fn earlier_attempt(&self, delivery: &DeliveryId, attempt: &Attempt, now: Timestamp) -> Item {
        let mut item = rows::item(keys::attempt(delivery, attempt.number), attempt);
        item.expires = Some(now + self.store.settings.log_retention + LONGEST_OPEN);
        item
    }

    /// Returns true if the rule still sends deliveries of this epoch (P6).
    async fn is_still_owed(&self, owed: &OwedDelivery) -> Result<bool, StoreError> {
        let Some(item) = self.store.get_one(keys::head(&owed.rule)).await? else { return Ok(false) };
        Ok(rows::read_item::<RuleHead>(&item)?.sends(owed.epoch))
    }

    /// Returns true if nobody else has taken a lease that has run out.
    async fn still_holds(&self, claimed: &ClaimedAttempt) -> Result<bool, StoreError> {
        let key = keys::subject_queue(&claimed.owed.id, &claimed.rule.id, &claimed.owed.event.known().subject());
        let Some(item) = self.store.get_one(key).await? else { return Ok(false) };
        let queue: SubjectQueue = rows::read_item(&item)?;
        Ok(queue.holds(&claimed.owed.id, claimed.attempt, claimed.base))
    }
}

/// Decides on the continuation after a response, and moves the delivery on in its flow, if its rule has one.
fn follow(
    claimed: &ClaimedAttempt,
    row: &mut DeliveryRow,
    judged: &Judged,
    retry_after: Option<Duration>,
    now: Timestamp,
) -> Followed {
    if let Some(flow) = claimed.flow.as_deref() {
        return after_response(claimed, flow, row, (judged, retry_after), now);
    }
    let mut variables = claimed.own.clone();
    variables.extend(judged.extracted.variables.clone());
    claimed.seal.write(&claimed.rule.definition, row, variables);
    // Its place in the present budget (L1).
    let (attempt, policy) = (claimed.attempt - claimed.base, &claimed.call().retry);
    let (max_attempts, id) = (policy.max_attempts(), &claimed.owed.id);
    let repeats = Repeats { attempt, max_attempts, policy, id, pending_seen: row.pending };
    Followed::at_once(after_attempt(judged.verdict, &judged.why, &repeats, retry_after, now))
}

/// An attempt as its receiver's health sees it.
fn heard(claimed: &ClaimedAttempt, sign: Sign) -> ReceiverAttempt {
    let receiver = Receiver::of(claimed.owner(), &claimed.call().request);
    ReceiverAttempt { receiver, delivery: claimed.owed.id.clone(), began: claimed.at, sign }
}

/// The response data to publish to the platform (A3), if it differs from the data that this delivery published last.
pub(super) fn data_to_publish(row: &mut DeliveryRow, extracted: &ExtractedData, scrubber: &Scrubber) -> Option<ExtractedData> {
    let fingerprint = extracted.fingerprint();
    if extracted.is_empty() || row.published_fingerprint.as_ref() == Some(&fingerprint) {
        return None;
    }
    row.published_fingerprint = Some(fingerprint);
    let known = row.owed.event.known().conversion.external_id.as_ref();
    let external_id = extracted.external_id.as_ref().or(known).map(|id| scrubber.scrub(id));
    Some(ExtractedData { external_id, ..extracted.clone() })
}

/// Logs the result of an attempt in the process's log.
fn log_conclusion(row: &DeliveryRow, verdict: Verdict) {
    if row.state == State::Delivered {
        tracing::debug!(tracking_api_id = %row.owed.rule, delivery_id = %row.owed.id, attempt = row.attempts, "delivered");
    } else {
        tracing::info!(
            tracking_api_id = %row.owed.rule, delivery_id = %row.owed.id, attempt = row.attempts,
            outcome = verdict.as_str(), state = row.state.as_str(), "attempt concluded"
        );
    }
}

/// The attempt as the log keeps it, secrets masked (Q5).
fn logged(claimed: &ClaimedAttempt, understood: Understood, now: Timestamp) -> Attempt {
    let Understood { shown, judged, heard: ShownResponse { status, answer, answer_headers, error }, .. } = understood;
    let unsendable = || LoggedRequest { method: String::new(), url: String::new(), headers: Vec::new(), body: None };
    let request = shown.map_or_else(unsendable, |shown| shown_request(shown, LOGGED_BODY));
    let duration = now.duration_since(claimed.at).as_millis();
    let step = claimed.flow.as_ref().filter(|_| claimed.rule.definition.plan.has_steps());
    Attempt {
        number: claimed.attempt,
        step: step.map(|flow| flow.progress.step.clone()),
        run: step.map(|flow| flow.progress.run()),
        at: claimed.at,
        duration_ms: u64::try_from(duration).unwrap_or(0),
        request,
        status,
        answer,
        answer_headers,
        verdict: judged.verdict.as_str().to_owned(),
        error,
    }
}
