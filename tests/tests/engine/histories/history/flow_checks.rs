//! The conditions that must hold for the requests of a flow, worked out from its script alone (W1–W4, W12).

use std::collections::{BTreeMap, BTreeSet};

use tracking_core::json::Value;
use tracking_tests::world::Reply;

use super::{
    Player, Request,
    flow::{Flow, MAX_STEP_REQUESTS},
    script::Rule,
};

/// The most requests of a flow (W2).
const MAX_FLOW_REQUESTS: usize = 100;

/// The requests of one delivery, in order.
struct Sent<'a> {
    flow: &'a Flow,
    item: &'a Value,
    requests: &'a [&'a Request],
    number: u64,
}

/// Checks the requests of a delivery of a rule with steps.
pub(crate) fn check(player: &Player<'_>, rule: &Rule, flow: &Flow, item: &Value, requests: &[&Request]) {
    let sent = Sent { flow, item, requests, number: player.number };
    sent.finished_runs_stay_finished();
    sent.limits_are_kept();
    sent.variables_are_kept(rule.edits > 0);
    sent.nothing_follows_an_end(rule.edits > 0);
    if rule.edits == 0 {
        sent.steps_follow_as_they_are_written();
    }
    let is_superseded = item["state"] == "superseded";
    assert!(!(flow.finishes && is_superseded), "{}", sent.about("it had begun, and a newer one did not wait for its end"));
}

/// Returns the step that sent a request.
pub(crate) fn step_of(request: &Request) -> &str {
    header(request, "Tracking-Step")
}

fn run_of(request: &Request) -> u64 {
    header(request, "Tracking-Run").parse().expect("a run is a number")
}

fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    let found = request.arrival.headers.iter().find(|(given, _)| given == name);
    found.map_or_else(|| panic!("{name} is missing: {request:?}"), |(_, value)| value.as_str())
}

fn query<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    let (_, query) = request.arrival.url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

impl Sent<'_> {
    fn about(&self, what: &str) -> String {
        let describe = |request: &&Request| {
            let (step, run) = (step_of(request), run_of(request));
            format!(
                "{} {step}/{run} {:?} recorded={} {}",
                request.arrival.attempt, request.reply, request.recorded, request.arrival.url
            )
        };
        let requests: Vec<String> = self.requests.iter().map(describe).collect();
        format!("history {}: {what}: {}\n{}\n{:#?}", self.number, self.item, requests.join("\n"), self.flow)
    }

    /// W3: a run of a step that was answered for good is over.
    fn finished_runs_stay_finished(&self) {
        for (position, request) in self.requests.iter().enumerate() {
            let (step, run) = (step_of(request), run_of(request));
            let is_finished = request.recorded && !self.flow.repeats(step, request.reply);
            let later = &self.requests[position + 1..];
            let again = later.iter().any(|later| step_of(later) == step && run_of(later) == run);
            assert!(!is_finished || !again, "{}", self.about(&format!("run {run} of step {step} was over and was sent again")));
        }
    }

    /// W2, L1: the requests of runs, steps and deliveries stay within their limits.
    fn limits_are_kept(&self) {
        let attempts: Vec<u32> = self.requests.iter().map(|request| request.arrival.attempt).collect();
        assert!(attempts.is_sorted_by(|a, b| a < b), "{}", self.about("an attempt was sent twice"));
        assert!(attempts.len() <= MAX_FLOW_REQUESTS, "{}", self.about("too many requests"));
        let mut runs: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for request in self.requests {
            // If a token that was kept or dropped meanwhile leads to another step than the one that was cut off before its record, the
            // attempt counts for that one.
            if request.recorded || self.flow.step("login").is_none() {
                runs.entry(step_of(request)).or_default().push(run_of(request));
            }
        }
        for (step, runs) in runs {
            let Some((known, call)) = self.flow.step(step).and_then(|step| Some((step, step.call()?))) else { continue };
            assert!(runs.is_sorted(), "{}", self.about(&format!("step {step} went back to an earlier run")));
            assert!(runs.len() <= MAX_STEP_REQUESTS, "{}", self.about(&format!("too many requests of step {step}")));
            let last = runs.iter().max().copied().unwrap_or(0);
            assert!(last <= known.max_runs.unwrap_or(31), "{}", self.about(&format!("step {step} has too many runs")));
            for run in 1..=last {
                let of_run = runs.iter().filter(|of| **of == run).count() as u64;
                assert!(of_run <= call.max_retries + 1, "{}", self.about(&format!("too many requests of run {run} of {step}")));
            }
        }
    }

    /// W3, W7: variables grow, and the kept answer of a step is its last response.
    fn variables_are_kept(&self, is_edited: bool) {
        let mut before = "";
        for (position, request) in self.requests.iter().enumerate() {
            let seen = query(request, "seen").unwrap_or_default();
            assert!(seen.starts_with(before), "{}", self.about("a variable lost what was set before"));
            // Variables that were set before a request without a record are set again.
            if request.recorded {
                before = seen;
            }
            if is_edited {
                continue;
            }
            if let Some((other, was)) = query(request, "of").zip(query(request, "was")) {
                let earlier = self.requests[..position].iter().rev().find(|earlier| step_of(earlier) == other);
                if let Some(Request { recorded: true, reply: Reply::Says(_, word), .. }) = earlier {
                    assert_eq!(was, *word, "{}", self.about(&format!("the answer to step {other} was not kept")));
                }
            }
        }
        if self.flow.is_straight && !is_edited {
            for set in self.flow.sets() {
                let count = before.split('.').filter(|name| *name == set).count();
                assert!(count <= 1, "{}", self.about(&format!("step {set} ran {count} times")));
            }
        }
    }

    /// W1: a failed call ends the flow.
    fn nothing_follows_an_end(&self, is_edited: bool) {
        let ends = |request: &Request| {
            let is_last = || !is_edited && self.flow.followers(step_of(request), request.reply, true).is_empty();
            request.recorded && (matches!(request.reply, Reply::Says(404, _)) || is_last())
        };
        if let Some(ended) = self.requests.iter().position(|request| ends(request)) {
            assert_eq!(ended + 1, self.requests.len(), "{}", self.about("sent after its end"));
        }
    }

    /// W1: steps follow each other as the rule says.
    fn steps_follow_as_they_are_written(&self) {
        let mut allowed: BTreeSet<String> = self.flow.first();
        for request in self.requests {
            let step = step_of(request);
            assert!(allowed.contains(step), "{}", self.about(&format!("{step} does not follow: {allowed:?} may")));
            let followers = self.flow.followers(step, request.reply, request.recorded);
            // After a request without a record the way to it is gone again, past a login if the token is gone by then (W5).
            let is_new_way = request.recorded || self.flow.step("login").is_none();
            allowed = if is_new_way { followers } else { allowed.union(&followers).cloned().collect() };
        }
    }
}
