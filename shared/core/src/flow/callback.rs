//! The continuation of a flow after a callback or a webhook, or after the time for it (W17, W18).

use jiff::Timestamp;

use super::{
    Plan,
    progress::{Answered, Moved, Progress, in_step},
};
use crate::{answer::Verdict, delivery::State};

/// The step and run that a callback's token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallbackTurn<'a> {
    /// The step that reads it.
    pub step: &'a str,
    /// The run of that step.
    pub run: u32,
    /// See [`Progress::serial`].
    pub serial: u32,
}

impl Progress {
    /// The number of resends before this flow began.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The time until which the step listens; `None` if it does not listen.
    pub fn listens_until(&self, plan: &Plan) -> Option<Timestamp> {
        let listens = self.entered && plan.listen(&self.step).is_some();
        self.until.filter(|_| listens)
    }

    /// The end of the present wait, if there is one.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// The name under which the delivery waits for a webhook, if it does.
    pub fn expects(&self) -> Option<&str> {
        self.expects.as_deref()
    }

    /// Returns true if the present run has read the callback with this name.
    pub fn has_heard(&self, callback: &str) -> bool {
        self.heard.iter().any(|heard| heard == callback)
    }

    /// The run of a step that will read a callback whose URL is rendered now.
    pub fn coming_run(&self, step: &str) -> u32 {
        let runs = self.runs.get(step).copied().unwrap_or(0);
        if self.entered && self.step == *step { runs } else { runs + 1 }
    }

    /// Returns true if the callback's run has ended.
    pub fn is_past(&self, turn: &CallbackTurn<'_>) -> bool {
        let runs = self.runs.get(turn.step).copied().unwrap_or(0);
        let is_in_it = self.entered && self.step == *turn.step;
        turn.serial != self.serial || runs > turn.run || (runs == turn.run && !is_in_it)
    }
}

impl Plan {
    /// Returns the continuation after a callback with this name: a listening step goes on listening after `pending` and `retry`.
    pub fn after_callback(&self, mut progress: Progress, answered: Answered<'_>, callback: &str) -> Moved {
        let Answered { verdict, why, go, attempt, .. } = answered;
        let listening = progress.listens_until(self);
        let Some((step, until)) = self.step(&progress.step).zip(listening) else { return Moved::On(progress) };
        if matches!(verdict, Verdict::Pending | Verdict::Retry) {
            progress.heard.push(callback.to_owned());
            progress.pending |= verdict == Verdict::Pending;
            return Moved::Again(progress, until);
        }
        if verdict == Verdict::Failed && go.is_none() {
            return Moved::Ended(State::Failed, in_step(self, &progress.step, why));
        }
        after_listening(progress, attempt, |progress| match go {
            Some(go) => self.go_to(progress, &super::target::Target::of(go), None, why),
            None => self.go_on(progress, step, why),
        })
    }

    /// Returns the continuation if no callback ended the step in time. `attempt` is the last one.
    pub fn timed_out(&self, progress: Progress, attempt: u32) -> Moved {
        let Some(listen) = self.listen(&progress.step) else { return Moved::On(progress) };
        let what = if listen.is_webhook() { "webhook" } else { "callback" };
        let why = format!("no {what} came within {} s that ended it", listen.timeout_seconds());
        if let Some(target) = listen.on_timeout.clone() {
            return after_listening(progress, attempt, |progress| self.go_to(progress, &target, None, &why));
        }
        let state = if progress.pending { State::Unresolved } else { State::Expired };
        Moved::Ended(state, in_step(self, &progress.step, &why))
    }
}

fn after_listening(mut progress: Progress, attempt: u32, go: impl FnOnce(Progress) -> Moved) -> Moved {
    progress.leave(attempt);
    progress.until = None;
    go(progress)
}
