//! The place of one delivery in its flow, and its continuation after a response (W1–W3).

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Call, Kind, MAX_FLOW_REQUESTS, MAX_STEP_REQUESTS, Plan, Step, target::Target};
use crate::{
    answer::Verdict,
    delivery::{DeliveryId, Next, Repeats, State, after_attempt, used_up},
};

/// The place of a delivery in its flow. It names steps; the rule's present version of a step is read when the step begins (W12).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The present step.
    pub step: String,
    /// `true` if the step has begun; else it begins at `until`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) entered: bool,
    /// The end of the present wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Timestamp>,
    /// The time at which the flow began.
    pub(super) began: Timestamp,
    /// The attempts of the delivery before the present visit of its step.
    pub(super) before: u32,
    /// Requests of the present run at earlier visits: the run left for other steps by `pending` or `retry` with `go` (W2).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) used: u32,
    /// `true` if the present run of the step got a pending response (L3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) pending: bool,
    /// The number of resends before this flow began; it distinguishes the callback URLs of this flow from those of the flow before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) serial: u32,
    /// The names of the callbacks that the present run has read (W17).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) heard: Vec<String>,
    /// The name under which the delivery waits for a webhook (W18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expects: Option<String>,
    /// The number of runs of each step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) runs: BTreeMap<String, u32>,
    /// The number of requests of each step at finished visits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) sent: BTreeMap<String, u32>,
    /// Runs that will be continued, with the number of their requests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) open: BTreeMap<String, u32>,
}

/// A response, or its absence, with its meaning.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The meaning of the response.
    pub verdict: Verdict,
    /// The meaning in words.
    pub why: &'a str,
    /// The target that the deciding answer rule names.
    pub go: Option<&'a str>,
    /// The wait that the receiver asks for.
    pub retry_after: Option<Duration>,
    /// The number of the attempt over the whole delivery; 1 is the first.
    pub attempt: u32,
}

/// The continuation after a response, or after the end of all repeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// The same step repeats its request at this time.
    Again(Progress, Timestamp),
    /// The flow goes on from this place with a walk.
    On(Progress),
    /// The delivery ends.
    Ended(State, String),
}

impl Progress {
    /// The place before the first step, after `attempts` of the delivery that count towards earlier budgets.
    pub fn first(plan: &Plan, attempts: u32, now: Timestamp) -> Self {
        let step = plan.steps.first().map_or_else(String::new, |step| step.name.to_string());
        let until = plan.delay_seconds.map(|seconds| now + jiff::SignedDuration::from_secs(seconds.into()));
        Self {
            step,
            entered: false,
            until,
            began: now,
            before: attempts,
            used: 0,
            pending: false,
            serial: 0,
            heard: Vec::new(),
            expects: None,
            runs: BTreeMap::new(),
            sent: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    /// The same place after `serial` resends of the delivery.
    #[must_use]
    pub fn of_resend(self, serial: u32) -> Self {
        Self { serial, ..self }
    }

    /// The place before a step that a person names (W13).
    pub fn at(plan: &Plan, step: &str, attempts: u32, now: Timestamp) -> Self {
        Self { step: step.to_owned(), until: None, ..Self::first(plan, attempts, now) }
    }

    /// The run of the present step; 1 is the first.
    pub fn run(&self) -> u32 {
        self.runs.get(&self.step).copied().unwrap_or(1)
    }

    /// The number of an attempt within its run.
    pub fn attempt_of_run(&self, attempt: u32) -> u32 {
        self.used + attempt.saturating_sub(self.before)
    }

    /// Returns true if no step has begun.
    pub fn is_untouched(&self) -> bool {
        self.runs.is_empty()
    }

    /// Returns true if the flow waits.
    pub fn waits(&self) -> bool {
        self.until.is_some()
    }

    /// Ends the present wait now (W13).
    pub fn wake(&mut self) {
        // A step that has begun and waits is recognised by its time.
        self.until = self.until.filter(|_| self.entered).map(|_| self.began);
    }

    /// Returns true if the flow may go on at this step: a step that has begun must be a `wait` or `listen` with a time, or a
    /// `call` (W12).
    pub(super) fn may_resume_at(&self, step: &Step) -> bool {
        match step.kind {
            _ if !self.entered => true,
            Kind::Wait(_) | Kind::Listen(_) => self.until.is_some(),
            Kind::Call(_) => self.until.is_none(),
            Kind::Set(_) | Kind::Switch(_) | Kind::Emit(_) | Kind::End(_) | Kind::Fail(_) => false,
        }
    }

    /// The number of attempts that the delivery may have reached at the end of the present run (W2); `base` are those of earlier budgets.
    pub fn max_attempts(&self, call: &Call, base: u32) -> u32 {
        let of_run = call.retry.max_attempts().saturating_sub(self.used);
        let of_step = MAX_STEP_REQUESTS.saturating_sub(self.sent.get(&self.step).copied().unwrap_or(0));
        let of_flow = (base + MAX_FLOW_REQUESTS).saturating_sub(self.before);
        self.before + of_run.min(of_step).min(of_flow)
    }

    /// Leaves the present step when the delivery has had `attempts`.
    pub(super) fn leave(&mut self, attempts: u32) {
        let requests = attempts.saturating_sub(self.before);
        if requests > 0 {
            *self.sent.entry(self.step.clone()).or_insert(0) += requests;
        }
        (self.used, self.before, self.pending) = (0, attempts, false);
        (self.heard, self.expects) = (Vec::new(), None);
    }

    /// Charges requests that were cut off to the step for which they were claimed: the flow has moved on since.
    pub fn charge(&mut self, step: &str, requests: u32) {
        self.before += requests;
        *self.sent.entry(step.to_owned()).or_insert(0) += requests;
    }

    /// Leaves a step whose conditions hold no longer; a run without a request does not count.
    pub(super) fn pass(&mut self, attempts: u32) {
        if attempts <= self.before && self.used == 0 {
            self.runs.entry(self.step.clone()).and_modify(|runs| *runs = runs.saturating_sub(1));
        }
        self.leave(attempts);
    }

    /// Moves to another step, which has not begun.
    pub(super) fn move_to(&mut self, step: &Step, until: Option<Timestamp>) {
        (self.entered, self.until) = (false, until);
        self.step = step.name.to_string();
    }

    /// Returns true if a request was sent in this budget.
    pub(super) fn has_sent(&self) -> bool {
        self.sent.values().any(|count| *count > 0)
    }
}

impl Plan {
    /// Returns the continuation after a response (W1, W2, A1, L1–L3). `base` are the attempts of earlier budgets.
    pub fn after(&self, mut progress: Progress, answered: Answered<'_>, base: u32, id: &DeliveryId, now: Timestamp) -> Moved {
        let Answered { verdict, why, go, retry_after, attempt } = answered;
        let Some((step, call)) = self.step(&progress.step).and_then(|step| Some((step, step.call()?))) else {
            // The definition changed while the request was under way: the walk finds the next step.
            return Moved::On(progress);
        };
        progress.pending |= verdict == Verdict::Pending;
        let max = progress.max_attempts(call, base).saturating_sub(progress.before) + progress.used;
        let of_run = progress.attempt_of_run(attempt);
        let repeats = matches!(verdict, Verdict::Pending | Verdict::Retry);
        if repeats {
            let (policy, pending_seen) = (&call.retry, progress.pending);
            let repeats = Repeats { attempt: of_run, max_attempts: max, policy, id, pending_seen };
            let next = after_attempt(verdict, why, &repeats, retry_after, now);
            let Next::Again(due) = next else { return self.exhausted(progress, attempt, why) };
            let Some(go) = go else { return Moved::Again(progress, due) };
            // The flow will come back to the same run.
            let left = progress.step.clone();
            progress.leave(attempt);
            progress.open.insert(left, of_run);
            return self.go_to(progress, &Target::of(go), Some(due), why);
        }
        if verdict == Verdict::Failed && go.is_none() {
            return Moved::Ended(State::Failed, in_step(self, &progress.step, why));
        }
        progress.leave(attempt);
        match go {
            Some(go) => self.go_to(progress, &Target::of(go), None, why),
            None => self.go_on(progress, step, why),
        }
    }

    /// Returns the continuation after the last repeat of a step (L3): another step, or the end. `attempt` is the last one.
    pub fn exhausted(&self, mut progress: Progress, attempt: u32, why: &str) -> Moved {
        let (pending, of_run) = (progress.pending, progress.attempt_of_run(attempt));
        if let Some(target) = self.step(&progress.step).and_then(Step::call).and_then(|call| call.on_exhausted.clone()) {
            progress.leave(attempt);
            return self.go_to(progress, &target, None, why);
        }
        let (state, reason) = used_up(of_run, pending, why);
        Moved::Ended(state, in_step(self, &progress.step, &reason))
    }

    /// Goes on with the target after a step.
    pub(super) fn go_on(&self, progress: Progress, step: &Step, why: &str) -> Moved {
        match &step.go {
            Some(target) => self.go_to(progress, target, None, why),
            None => self.go_next(progress, why),
        }
    }

    /// Goes on with the next step in order.
    pub(super) fn go_next(&self, mut progress: Progress, why: &str) -> Moved {
        let next = self.position(&progress.step).and_then(|position| self.steps.get(position + 1));
        let Some(next) = next else { return finished(&progress, why) };
        progress.move_to(next, None);
        Moved::On(progress)
    }

    pub(super) fn go_to(&self, mut progress: Progress, target: &Target, until: Option<Timestamp>, why: &str) -> Moved {
        match target {
            Target::End => finished(&progress, why),
            Target::Fail => Moved::Ended(State::Failed, in_step(self, &progress.step, why)),
            Target::Step(name) => {
                if let Some(step) = self.step(name) {
                    progress.move_to(step, until);
                } else {
                    // The step was removed since the request began: the walk reports it.
                    (progress.step, progress.entered, progress.until) = (name.to_string(), false, until);
                }
                Moved::On(progress)
            }
        }
    }
}

/// The end after the last step (W1).
pub(super) fn finished(progress: &Progress, why: &str) -> Moved {
    let state = if progress.has_sent() { State::Delivered } else { State::Skipped };
    let reason = if progress.has_sent() { why.to_owned() } else { "the flow ended before it sent a request".to_owned() };
    Moved::Ended(state, reason)
}

/// A reason that names its step, if the rule has steps.
pub(super) fn in_step(plan: &Plan, step: &str, why: &str) -> String {
    if plan.has_steps() { format!("step {step}: {why}") } else { why.to_owned() }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
