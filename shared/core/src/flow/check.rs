//! Faults of a plan as a whole: unknown and unreachable steps, loops that never end (W9), secret variables in the open (W8).

use std::collections::BTreeSet;

use super::{Kind, Plan, Step, target::Target};
use crate::{
    answer::Verdict,
    fault::Faults,
    macros::{StepReference, nearest},
};

/// The most parts of responses that other steps refer to (W7).
const MAX_REFERENCES: usize = 50;
/// The most steps with emit (W20).
const MAX_EMITS: usize = 20;
/// The most variables that outlive their delivery (W5).
const MAX_KEPT: usize = 10;

/// A way from a step to another one.
struct Edge<'p> {
    /// JSON pointer to the word that names the target; `None` if the target is the next step in order.
    pointer: Option<String>,
    to: Option<&'p Target>,
    /// `true` if the flow waits for at least a second before it goes on.
    waits: bool,
}

/// Adds every fault of the plan as a whole.
pub(super) fn check(plan: &Plan, faults: &mut Faults) {
    check_names(plan, faults);
    let before = faults.count();
    check_targets(plan, faults);
    if plan.calls().next().is_none() {
        faults.add("/steps", "no step sends a request: write one with call");
    }
    if faults.count() > before {
        return;
    }
    check_reachable(plan, faults);
    check_loops(plan, faults);
    check_references(plan, faults);
    check_callbacks(plan, faults);
}

fn check_names(plan: &Plan, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, step) in plan.steps.iter().enumerate() {
        if !seen.insert(&*step.name) {
            faults.add(format!("/steps/{index}/name"), format!("another step is named {}: names are unique", step.name));
        }
    }
    let emits = plan.steps.iter().filter(|step| matches!(step.kind, Kind::Emit(_))).count();
    if emits > MAX_EMITS {
        faults.add("/steps", format!("expected at most {MAX_EMITS} steps with emit, got {emits}"));
    }
    if plan.kept_variables().len() > MAX_KEPT {
        faults.add(
            "/steps",
            format!("expected at most {MAX_KEPT} variables with keep_seconds, got {}", plan.kept_variables().len()),
        );
    }
}

fn check_targets(plan: &Plan, faults: &mut Faults) {
    for (index, step) in plan.steps.iter().enumerate() {
        for edge in edges(step, index) {
            let (Some(pointer), Some(Target::Step(name))) = (edge.pointer, edge.to) else { continue };
            if plan.step(name).is_none() {
                let meant = nearest(name, plan.steps.iter().map(|step| &*step.name).chain(["end", "fail"]));
                let hint = meant.map_or_else(String::new, |meant| format!("; did you mean \"{meant}\"?"));
                faults.add(pointer, format!("unknown step \"{name}\"{hint}"));
            }
        }
    }
    for (at, answer) in plan.texts().answers() {
        let kept = plan.kept_variables();
        for (place, name) in answer.forgotten() {
            if !kept.contains(name) {
                faults.add(format!("{at}{place}"), format!("{name} is no variable with keep_seconds"));
            }
        }
    }
}

/// The ways out of a step. After a step whose conditions don't hold comes the next in order.
fn edges(step: &Step, index: usize) -> Vec<Edge<'_>> {
    let at = format!("/steps/{index}");
    let mut edges = Vec::new();
    if step.when.is_some() || step.unless.is_some() {
        edges.push(Edge { pointer: None, to: None, waits: false });
    }
    let on = |waits| match &step.go {
        Some(go) => Edge { pointer: Some(format!("{at}/go")), to: Some(go), waits },
        None => Edge { pointer: None, to: None, waits },
    };
    match &step.kind {
        Kind::End(_) | Kind::Fail(_) => {}
        Kind::Set(_) | Kind::Emit(_) => edges.push(on(false)),
        Kind::Wait(_) => edges.push(on(true)),
        Kind::Listen(listen) => {
            edges.push(on(true));
            let goes = listen.goes.iter().map(|(place, go, _)| (format!("{at}/listen/answer{place}"), go));
            let all = goes.chain(listen.on_timeout.iter().map(|to| (format!("{at}/on_timeout"), to)));
            edges.extend(all.map(|(pointer, to)| Edge { pointer: Some(pointer), to: Some(to), waits: true }));
        }
        Kind::Switch(cases) => {
            let cases = cases.iter().enumerate();
            edges.extend(cases.map(|(i, case)| Edge {
                pointer: Some(format!("{at}/switch/{i}/go")),
                to: Some(&case.go),
                waits: false,
            }));
            edges.push(on(false));
        }
        Kind::Call(call) => {
            edges.push(on(false));
            edges.extend(call.goes.iter().map(|(place, go, then)| Edge {
                pointer: Some(format!("{at}/answer{place}")),
                to: Some(go),
                waits: matches!(then, Some(Verdict::Pending | Verdict::Retry)),
            }));
            let exhausted = call.on_exhausted.iter();
            edges.extend(exhausted.map(|to| Edge { pointer: Some(format!("{at}/on_exhausted")), to: Some(to), waits: false }));
        }
    }
    edges
}

/// The target position of an edge, unless the flow ends there.
fn follower(plan: &Plan, index: usize, edge: &Edge<'_>) -> Option<usize> {
    match edge.to {
        None => Some(index + 1).filter(|next| *next < plan.steps.len()),
        Some(Target::Step(name)) => plan.position(name),
        Some(Target::End | Target::Fail) => None,
    }
}

/// The positions of the steps that may follow a step.
fn followers(plan: &Plan, index: usize) -> Vec<usize> {
    edges(&plan.steps[index], index).iter().filter_map(|edge| follower(plan, index, edge)).collect()
}

fn check_reachable(plan: &Plan, faults: &mut Faults) {
    let mut reached = reachable_from(plan, 0);
    reached.insert(0);
    for (index, step) in plan.steps.iter().enumerate().filter(|(index, _)| !reached.contains(index)) {
        faults.add(format!("/steps/{index}"), format!("step {} is never reached", step.name));
    }
}

/// Checks that loops end: a loop must have a way that waits, or a step with `max_runs`.
fn check_loops(plan: &Plan, faults: &mut Faults) {
    let reachable: Vec<BTreeSet<usize>> = (0..plan.steps.len()).map(|start| reachable_from(plan, start)).collect();
    let mut reported = BTreeSet::new();
    for start in (0..plan.steps.len()).filter(|start| reachable[*start].contains(start)) {
        let of_loop: BTreeSet<usize> =
            reachable[start].iter().copied().filter(|step| reachable[*step].contains(&start)).collect();
        let waits = |index: &usize| {
            let edges = edges(&plan.steps[*index], *index).into_iter().filter(|edge| edge.waits);
            edges.filter_map(|edge| follower(plan, *index, &edge)).any(|next| of_loop.contains(&next))
        };
        let is_bounded = of_loop.iter().any(|index| plan.steps[*index].max_runs.is_some() || waits(index));
        if !is_bounded && reported.insert(of_loop) {
            let name = &plan.steps[start].name;
            let detail = format!(
                "a loop leads back to step {name} without a wait: add a step with wait, choose pending or retry with go, or write max_runs"
            );
            faults.add(format!("/steps/{start}"), detail);
        }
    }
}

/// The positions that a step leads to, directly or through others.
fn reachable_from(plan: &Plan, start: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(index) = open.pop() {
        open.extend(followers(plan, index).into_iter().filter(|next| reached.insert(*next)));
    }
    reached
}

fn check_references(plan: &Plan, faults: &mut Faults) {
    let count = plan.derived.references.len();
    if count > MAX_REFERENCES {
        faults.add("/steps", format!("expected at most {MAX_REFERENCES} different parts of responses, got {count}"));
    }
    let unknown: BTreeSet<&str> = plan
        .derived
        .references
        .iter()
        .map(StepReference::step)
        .filter(|step| plan.step(step).is_none_or(|step| step.answer().is_none()))
        .collect();
    for step in unknown {
        faults.add("/steps", format!("{{steps.{step}.…}} names no step with a request"));
    }
}

/// Checks that each callback URL is that of a listening step, and that a text names the URL of each such step (W17).
fn check_callbacks(plan: &Plan, faults: &mut Faults) {
    let at_url = |name: &str| plan.listen(name).is_some_and(|listen| !listen.is_webhook());
    for name in &plan.derived.callbacks {
        match name.step() {
            None if plan.texts().only_listening().is_some() => {}
            None if plan.steps.iter().any(|step| at_url(&step.name)) => {
                faults.add("/steps", "{callback_url} is of one step, and several listen: write {callback_url.STEP}");
            }
            Some(step) if at_url(step) => {}
            _ => faults.add("/steps", format!("{{{}}} names no step that listens at a URL", name.key().trim_end_matches('.'))),
        }
    }
    let named: BTreeSet<&str> = plan.callback_urls().map(|(_, step)| step).collect();
    for (index, step) in plan.steps.iter().enumerate() {
        if at_url(&step.name) && !named.contains(&*step.name) {
            let detail = format!("no text holds {{callback_url.{}}}: nobody would learn where to call", step.name);
            faults.add(format!("/steps/{index}/listen"), detail);
        }
    }
}

/// Checks that no secret variable is in a text that everybody reads (W8).
pub(crate) fn check_secrets(plan: &Plan, faults: &mut Faults) {
    let secret = plan.secret_variables();
    for (index, step) in plan.steps.iter().enumerate() {
        let (place, texts): (_, Vec<_>) = match &step.kind {
            Kind::End(Some(reason)) => ("end/reason", vec![reason]),
            Kind::Fail(Some(reason)) => ("fail/reason", vec![reason]),
            Kind::Wait(wait) => ("wait/until", wait.template().into_iter().collect()),
            Kind::Emit(emit) => ("emit/fields", emit.placed_templates().map(|(_, text)| text).collect()),
            Kind::Call(call) => ("answer", call.answer.platform_templates().collect()),
            Kind::Listen(listen) => ("listen/answer", listen.answer.platform_templates().collect()),
            _ => continue,
        };
        let at = if plan.is_short { format!("/{place}") } else { format!("/steps/{index}/{place}") };
        for text in texts {
            for name in secret.iter().filter(|name| text.reads_secret_of(&|read| read == **name)) {
                faults.add(&at, format!("{name} is a secret variable, and everybody reads this"));
            }
        }
    }
}
