//! The walk: the steps that need no request, up to the next request, wait or end (W1, W12, W14).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    Emitted, Kind, Listen, Plan, Step,
    emit::Emit,
    parse::MAX_RUNS,
    progress::{Moved, Progress, finished, in_step},
    wait::WaitEnd,
};
use crate::{
    answer::assign::{Assigned, Assignments},
    delivery::State,
    template::{At, Scope, Template},
    when::When,
};

/// The longest time that a flow lasts (W2).
const MAX_DURATION: SignedDuration = SignedDuration::from_hours(24 * 120);
/// The most steps that one walk enters: more than all runs of all steps.
const MAX_ENTRIES: usize = 1_000;
/// The most bytes of a delivery's variables.
const MAX_VARIABLES_BYTES: usize = 32 * 1_024;
/// The most events that a flow emits from one request or wait to the next.
const MAX_EMITTED: usize = 100;
/// The most waits of a flow.
const MAX_WAITS: u32 = 100;

/// The end of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stance {
    /// The step's request is next.
    Send,
    /// The step listens until this time, for this reason (W17, W18).
    Listen(Timestamp, String),
    /// The flow waits until this time, for this reason.
    Wait(Timestamp, String),
    /// The flow has ended.
    End(State, String),
}

/// The result of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walked {
    /// The place at the end of the walk.
    pub progress: Progress,
    /// The variables of the delivery.
    pub variables: BTreeMap<String, String>,
    /// The seconds for which some of the variables are kept for later deliveries (W5).
    pub keep: BTreeMap<String, u32>,
    /// The events to publish (W20).
    pub emitted: Vec<Emitted>,
    /// The kind of place at which the walk ended.
    pub stance: Stance,
    /// Notes on the steps and `set` fields that were left out.
    pub notes: Vec<String>,
}

/// The reason why a delivery fails if its variables are longer than allowed.
pub fn variables_too_long<'v>(values: impl Iterator<Item = &'v String>) -> Option<String> {
    let is_too_long = values.map(String::len).sum::<usize>() > MAX_VARIABLES_BYTES;
    is_too_long.then(|| format!("the variables of the delivery are longer than {MAX_VARIABLES_BYTES} bytes"))
}

impl Plan {
    /// Walks on from `progress`, in the scope of the delivery. `version` is the rule's version, for messages.
    pub fn walk(&self, progress: Progress, scope: &Scope<'_>, attempts: u32, version: u64) -> Walked {
        let variables = scope.variables.clone();
        let (keep, notes, emitted) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut walk = Walk { plan: self, progress, variables, keep, notes, emitted, version, attempts };
        let stance = walk.run(scope);
        let Walk { progress, variables, keep, notes, emitted, .. } = walk;
        Walked { progress, variables, keep, emitted, stance, notes }
    }
}

struct Walk<'p> {
    plan: &'p Plan,
    progress: Progress,
    variables: BTreeMap<String, String>,
    keep: BTreeMap<String, u32>,
    notes: Vec<String>,
    emitted: Vec<Emitted>,
    version: u64,
    /// The attempts of the delivery so far.
    attempts: u32,
}

impl Walk<'_> {
    fn run(&mut self, scope: &Scope<'_>) -> Stance {
        if scope.now >= self.progress.began + MAX_DURATION {
            return Stance::End(State::Expired, "the flow lasted 120 days".to_owned());
        }
        for _ in 0..MAX_ENTRIES {
            if let Some(until) = self.progress.listens_until(self.plan) {
                return self.listen(until);
            }
            if let Some(until) = self.progress.until.filter(|until| *until > scope.now) {
                return self.wait(until);
            }
            let Some(step) = self.plan.step(&self.progress.step).filter(|step| self.progress.may_resume_at(step)) else {
                if self.restarts() {
                    continue;
                }
                return self.gone();
            };
            match self.visit(step, scope) {
                Ok(Moved::On(progress)) => self.progress = progress,
                Ok(Moved::Ended(state, reason)) => return Stance::End(state, reason),
                Ok(Moved::Again(_, until)) => return self.wait(until),
                Err(stance) => return stance,
            }
        }
        Stance::End(State::Failed, format!("the flow entered {MAX_ENTRIES} steps without a request or a wait"))
    }

    fn wait(&mut self, until: Timestamp) -> Stance {
        let until = until.min(self.progress.began + MAX_DURATION);
        self.progress.until = Some(until);
        let plan = self.plan;
        let what = if plan.has_steps() {
            format!("step {} goes on at {until}", self.progress.step)
        } else {
            format!("delayed until {until}")
        };
        Stance::Wait(until, what)
    }

    fn listen(&mut self, until: Timestamp) -> Stance {
        let step = &self.progress.step;
        let what = if self.progress.expects().is_some() { "its webhook" } else { "its callback" };
        Stance::Listen(until, format!("step {step} waits for {what} until {until}"))
    }

    fn begin_listening(&mut self, step: &Step, listen: &Listen, scope: &Scope<'_>) -> Stance {
        match listen.expects(&step.name, scope) {
            Ok(expects) => self.progress.expects = expects,
            Err(why) => return Stance::End(State::Failed, in_step(self.plan, &step.name, &why)),
        }
        let timeout = SignedDuration::from_secs(listen.timeout_seconds().into());
        let until = (scope.now + timeout).min(self.progress.began + MAX_DURATION);
        self.progress.until = Some(until);
        self.listen(until)
    }

    /// Moves a delivery without a finished step to the rule's present first step (W12). Returns true if it moved.
    fn restarts(&mut self) -> bool {
        let Some(first) = self.plan.steps.first() else { return false };
        let Progress { step, runs, sent, .. } = &self.progress;
        let is_other = *first.name != **step || !self.progress.may_resume_at(first);
        let is_untouched = sent.is_empty() && runs.keys().all(|name| name == step) && is_other;
        if is_untouched {
            self.progress.move_to(first, None);
            self.progress.runs.clear();
        }
        is_untouched
    }

    fn gone(&self) -> Stance {
        let (step, version) = (&self.progress.step, self.version);
        let what = if self.plan.step(step).is_some() { "of another kind" } else { "not" };
        Stance::End(
            State::Failed,
            format!("step {step} is {what} in version {version} of the rule; a resend starts at the first step"),
        )
    }

    /// Enters a step, or continues in it.
    fn visit(&mut self, step: &Step, scope: &Scope<'_>) -> Result<Moved, Stance> {
        if step.reflects.as_ref().is_some_and(|reflected| reflected.is_gone) {
            let why = in_step(self.plan, &step.name, "the step that it mirrors is gone");
            return Err(Stance::End(State::Failed, why));
        }
        if self.progress.entered && step.call().is_some() && !self.plan.kept_variables().iter().any(|name| step.sets(name)) {
            // Its texts are rendered with the request.
            return Err(Stance::Send);
        }
        let at = At { step: &step.name, run: self.progress.run(), attempt: 0 };
        let variables = std::mem::take(&mut self.variables);
        let bound =
            self.plan.first_call().request.bound(&Scope { at, variables: &variables, steps: scope.steps.clone(), ..*scope });
        let here = Scope { at, variables: &variables, steps: scope.steps.clone(), ..*scope };
        let visited = match &bound {
            Ok(bound) => self.visit_in(step, &here.with(bound)),
            Err(_) => self.visit_in(step, &here),
        };
        drop(bound);
        self.variables = variables;
        let (moved, assigned) = visited?;
        self.variables.extend(assigned.values);
        self.keep.extend(assigned.keep);
        if let Some(why) = variables_too_long(self.variables.values()) {
            return Err(Stance::End(State::Failed, in_step(self.plan, &step.name, &why)));
        }
        Ok(moved)
    }

    fn visit_in(&mut self, step: &Step, scope: &Scope<'_>) -> Result<(Moved, Assigned), Stance> {
        if self.progress.entered && step.call().is_some() {
            // Since the step began, another delivery may have kept the variable that it would set (W5).
            if self.is_run(step, scope)? {
                return Err(Stance::Send);
            }
            self.progress.pass(self.attempts);
            return Ok((self.plan.go_next(self.progress.clone(), "the flow has ended"), Assigned::default()));
        }
        if !self.progress.entered {
            if !self.is_run(step, scope)? {
                return Ok((self.plan.go_next(self.progress.clone(), "the flow has ended"), Assigned::default()));
            }
            if let Some(moved) = self.enter(step) {
                return Ok((moved, Assigned::default()));
            }
            if let Kind::Wait(wait) = &step.kind {
                match wait.due(scope) {
                    Ok(WaitEnd::At(until)) => {
                        self.progress.until = Some(until);
                        return Ok((Moved::On(self.progress.clone()), Assigned::default()));
                    }
                    Ok(WaitEnd::Now) => {}
                    Err(why) => return Err(Stance::End(State::Failed, in_step(self.plan, &step.name, &why))),
                }
            }
        }
        let on = |walk: &Self| walk.plan.go_on(Progress { until: None, ..walk.progress.clone() }, step, "the flow has ended");
        match &step.kind {
            Kind::Call(_) => Err(Stance::Send),
            Kind::Listen(listen) => Err(self.begin_listening(step, listen, scope)),
            Kind::Wait(_) => Ok((on(self), Assigned::default())),
            Kind::Set(set) => {
                let assigned = self.set(step, set, scope);
                Ok((on(self), assigned))
            }
            Kind::Emit(emit) => {
                self.emit(step, emit, scope)?;
                Ok((on(self), Assigned::default()))
            }
            Kind::Switch(cases) => {
                for case in cases {
                    if self.holds(step, &case.when, scope)? {
                        let moved = self.plan.go_to(self.progress.clone(), &case.go, None, "the flow has ended");
                        return Ok((moved, Assigned::default()));
                    }
                }
                Ok((on(self), Assigned::default()))
            }
            Kind::End(reason) => {
                let why = Self::reason(reason.as_ref(), "the flow has ended", scope);
                Ok((finished(&self.progress, &why), Assigned::default()))
            }
            Kind::Fail(reason) => {
                let why = Self::reason(reason.as_ref(), "the flow ended by fail", scope);
                Err(Stance::End(State::Failed, in_step(self.plan, &step.name, &why)))
            }
        }
    }

    /// Begins a run of the step, or continues one (W2); returns the continuation if there is no further run.
    fn enter(&mut self, step: &Step) -> Option<Moved> {
        let name = step.name.to_string();
        self.progress.before = self.attempts;
        if let Some(used) = self.progress.open.remove(&name) {
            (self.progress.used, self.progress.pending) = (used, true);
        } else {
            let max_runs = step.max_runs.unwrap_or(MAX_RUNS);
            let runs = self.progress.runs.get(&name).copied().unwrap_or(0);
            if runs >= max_runs {
                let why = format!("it has run {runs} time{}, as often as max_runs says", if runs == 1 { "" } else { "s" });
                return Some(self.no_more_runs(step, &why));
            }
            let waits = self.plan.steps.iter().filter(|step| matches!(step.kind, Kind::Wait(_)));
            let waited: u32 = waits.filter_map(|step| self.progress.runs.get(&*step.name)).sum();
            if matches!(step.kind, Kind::Wait(_)) && waited >= MAX_WAITS {
                return Some(self.no_more_runs(step, &format!("the flow has waited {MAX_WAITS} times")));
            }
            self.progress.runs.insert(name, runs + 1);
            (self.progress.used, self.progress.pending) = (0, false);
        }
        self.progress.entered = true;
        self.progress.until = None;
        None
    }

    fn no_more_runs(&self, step: &Step, why: &str) -> Moved {
        if let Some(target) = step.call().and_then(|call| call.on_exhausted.as_ref()) {
            return self.plan.go_to(self.progress.clone(), target, None, why);
        }
        Moved::Ended(State::Exhausted, in_step(self.plan, &step.name, why))
    }

    fn is_run(&self, step: &Step, scope: &Scope<'_>) -> Result<bool, Stance> {
        let when = step.when.as_ref().map_or(Ok(true), |when| self.holds(step, when, scope))?;
        Ok(when && !step.unless.as_ref().map_or(Ok(false), |unless| self.holds(step, unless, scope))?)
    }

    fn holds(&self, step: &Step, when: &When, scope: &Scope<'_>) -> Result<bool, Stance> {
        when.holds(scope).map_err(|fault| Stance::End(State::Failed, in_step(self.plan, &step.name, &fault.to_string())))
    }

    fn set(&mut self, step: &Step, set: &Assignments, scope: &Scope<'_>) -> Assigned {
        let notes = &mut self.notes;
        set.assign(scope, &mut |field, why| notes.push(format!("step {}: {field}: {why}; left out", step.name)))
    }

    fn emit(&mut self, step: &Step, emit: &Emit, scope: &Scope<'_>) -> Result<(), Stance> {
        let rendered = if self.emitted.len() < MAX_EMITTED {
            emit.render(scope, self.progress.began)
        } else {
            Err(format!("the flow emits more than {MAX_EMITTED} events at a go"))
        };
        let fail = |why: String| Stance::End(State::Failed, in_step(self.plan, &step.name, &why));
        self.emitted.push(rendered.map_err(fail)?);
        Ok(())
    }

    fn reason(reason: Option<&Template>, otherwise: &str, scope: &Scope<'_>) -> String {
        let mut text = String::new();
        let rendered = reason.map(|reason| reason.render(scope, &mut text));
        let is_written = matches!(rendered, Some(Ok(_))) && !text.trim().is_empty();
        if is_written { text.trim().chars().filter(|c| !c.is_control()).take(500).collect() } else { otherwise.to_owned() }
    }
}
