//! Random flows: up to eight steps with branches, loops, waits, callbacks, mirrored requests and kept variables; and which step may follow
//! which.

use std::collections::{BTreeMap, BTreeSet};

use tracking_core::{json, json::Value};
use tracking_tests::world::Reply;

use super::Dice;

/// The most steps of a flow, a login included.
const MAX_STEPS: u64 = 8;
/// The requests of a step at most, whatever its runs (W2).
pub(crate) const MAX_STEP_REQUESTS: usize = 31;

/// The steps of a rule.
#[derive(Debug, Clone)]
pub(crate) struct Flow {
    pub(crate) steps: Vec<Step>,
    /// `true` with `on_newer: finish`.
    pub(crate) finishes: bool,
    /// `true` if no step leads back.
    pub(crate) is_straight: bool,
}

/// One step. Its name keeps its limits and answers in every version of the rule.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: String,
    kind: Kind,
    /// The conditions that may skip it.
    when: Option<Value>,
    go: Option<String>,
    pub(crate) max_runs: Option<u64>,
}

#[derive(Debug, Clone)]
enum Kind {
    Call(Call),
    Set,
    Switch(Vec<String>),
    Wait(u64),
    Listen(Listen),
}

/// A step that waits for a callback.
#[derive(Debug, Clone)]
pub(crate) struct Listen {
    timeout_seconds: u64,
    on_timeout: Option<String>,
}

/// A request, and what its answers lead to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) max_retries: u64,
    /// The targets, by the word of an answer.
    words: BTreeMap<&'static str, String>,
    on_exhausted: Option<String>,
    /// The step whose last answer its URL repeats.
    repeats: Option<String>,
    /// `true` if the request is that of the master's step.
    is_mirrored: bool,
}

/// The place of the master's id in a rule's document.
pub(crate) const MASTER: &str = "MASTER";
/// The retries of the master's request.
const MASTER_RETRIES: u64 = 2;

/// Returns the master after this many changes: a rule that never fires, with the request that others mirror.
pub(crate) fn master(edits: usize) -> Value {
    let url = format!("http://127.0.0.1:9/{{var.place}}?v={{updated_at|unix}}&s={{step}}&seen={{var.seen|default:}}&m={edits}");
    json!({"name": "master", "active": false, "variables": {"place": "none"}, "steps": [master_step(&url)]})
}

fn master_step(url: &str) -> Value {
    let pending = json!([{"source": "body", "key": "status", "operator": "equals", "value": "pending"}]);
    json!({"name": "shared", "call": {"url": url}, "answer": {"rules": [{"when": pending, "then": "pending"}]},
        "retry": {"max_retries": MASTER_RETRIES, "delay_seconds": 1, "backoff": "fixed"}})
}

impl Step {
    pub(crate) fn call(&self) -> Option<&Call> {
        if let Kind::Call(call) = &self.kind { Some(call) } else { None }
    }

    /// Returns true if the step waits for a callback.
    pub(crate) fn listens(&self) -> bool {
        matches!(self.kind, Kind::Listen(_))
    }

    /// Returns true if the step has a request of its own, which gives callback URLs away.
    fn gives(&self) -> bool {
        self.call().is_some_and(|call| !call.is_mirrored)
    }

    fn is_set(&self) -> bool {
        matches!(self.kind, Kind::Set)
    }

    fn document(&self, position: u64, listening: &[&str]) -> Value {
        let mut step = match &self.kind {
            Kind::Call(call) if call.is_mirrored => json!({"mirror": {"tracking_api_id": MASTER, "step": "shared"}}),
            Kind::Call(call) => self.call_document(call, position, listening),
            Kind::Set => json!({"set": {"variables": {"seen": format!("{{var.seen}}.{}", self.name)}}}),
            Kind::Switch(targets) => {
                let case = |(number, go): (usize, &String)| {
                    let more = (number + 1).to_string();
                    json!({"when": [{"source": "macro", "key": "attempt", "operator": "bigger_than", "value": more}], "go": go})
                };
                json!({"switch": targets.iter().enumerate().map(case).collect::<Vec<_>>()})
            }
            Kind::Wait(seconds) => json!({"wait": {"seconds": seconds}}),
            Kind::Listen(listen) => listen.document(),
        };
        if let Kind::Call(Call { on_exhausted: Some(target), .. }) = &self.kind {
            step["on_exhausted"] = target.as_str().into();
        }
        step["name"] = self.name.as_str().into();
        if let Some(when) = &self.when {
            step["when"] = when.clone();
        }
        if let Some(go) = &self.go {
            step["go"] = go.as_str().into();
        }
        if let Some(runs) = self.max_runs {
            step["max_runs"] = runs.into();
        }
        step
    }

    fn call_document(&self, call: &Call, position: u64, listening: &[&str]) -> Value {
        let mut url = format!("http://127.0.0.1:9/{position}?v={{updated_at|unix}}&s={{step}}&seen={{var.seen}}&t={{var.token}}");
        if let Some(other) = &call.repeats {
            url = format!("{url}&of={other}&was={{steps.{other}.body.status}}");
        }
        let is = |word: &str| json!([{"source": "body", "key": "status", "operator": "equals", "value": word}]);
        let mut rules = vec![json!({"when": is("pending"), "then": "pending"})];
        for (word, go) in &call.words {
            rules.push(match *word {
                "back" => json!({"when": is(word), "then": "pending", "go": go}),
                "refused" => json!({"when": is(word), "forget": ["token"], "go": go}),
                _ => json!({"when": is(word), "go": go}),
            });
        }
        let mut answer = json!({"rules": rules});
        if self.name == "login" {
            let token = json!({"token": {"value": "{body.status}", "secret": true, "keep_seconds": 20}});
            let delivered = json!({"when": is("ok"), "then": "delivered", "set": {"variables": token}});
            answer = json!({"hide": true, "rules": [delivered, {"when": is("pending"), "then": "pending"}]});
        }
        let retry = json!({"max_retries": call.max_retries, "delay_seconds": 1, "backoff": "fixed"});
        let give = |step: &&str| json!({"name": format!("{CALLBACK}{step}"), "value": format!("{{callback_url.{step}}}")});
        let headers: Vec<Value> = listening.iter().map(give).collect();
        json!({"call": {"url": url, "headers": headers}, "answer": answer, "retry": retry})
    }
}

/// The beginning of the header that gives away the URL of a step.
pub(crate) const CALLBACK: &str = "X-Callback-";

impl Listen {
    fn document(&self) -> Value {
        let is = |word: &str| json!([{"source": "body", "key": "status", "operator": "equals", "value": word}]);
        let rules = json!([{"when": is("pending"), "then": "pending"}, {"when": is("no"), "then": "failed"}]);
        let mut step = json!({"listen": {"timeout_seconds": self.timeout_seconds, "answer": {"rules": rules}}});
        if let Some(target) = &self.on_timeout {
            step["on_timeout"] = target.as_str().into();
        }
        step
    }
}

impl Flow {
    pub(crate) fn roll(dice: &mut Dice) -> Self {
        let mut steps = Vec::new();
        let has_login = dice.chance(30);
        if has_login {
            let when = json!([{"source": "variable", "key": "token", "operator": "is_empty"}]);
            let call = Call { max_retries: dice.roll(3), ..Call::default() };
            steps.push(Step { name: "login".to_owned(), kind: Kind::Call(call), when: Some(when), go: None, max_runs: Some(4) });
        }
        let count = 1 + dice.roll(MAX_STEPS - u64::from(has_login));
        let names: Vec<String> = (0..count).map(|number| format!("s{number}")).collect();
        for number in 0..count {
            steps.push(roll_step(&names, number, has_login, dice));
        }
        // What is mirrored gives no callback URL away.
        if !steps.iter().any(Step::gives) {
            steps.push(Step { name: "last".to_owned(), ..roll_call(&names, count, has_login, dice) });
        }
        let mut flow = Self { steps, finishes: dice.chance(40), is_straight: true };
        flow.refer(dice);
        flow.bound_loops(dice);
        flow
    }

    /// Lets some requests repeat the answer to another step.
    fn refer(&mut self, dice: &mut Dice) {
        let plain = |step: &&Step| step.gives() && step.name != "login";
        let calls: Vec<String> = self.steps.iter().filter(plain).map(|step| step.name.clone()).collect();
        for step in &mut self.steps {
            if let Kind::Call(call) = &mut step.kind
                && !call.is_mirrored
            {
                let other = usize::try_from(dice.roll(calls.len().max(1) as u64)).unwrap_or(0);
                call.repeats = calls.get(other).cloned();
            }
        }
    }

    /// Limits the runs of every step that leads back.
    fn bound_loops(&mut self, dice: &mut Dice) {
        let positions: BTreeMap<String, usize> =
            self.steps.iter().enumerate().map(|(position, step)| (step.name.clone(), position)).collect();
        for (position, step) in self.steps.iter_mut().enumerate() {
            let leads_back = targets(step).iter().any(|target| positions.get(target).is_some_and(|to| *to <= position));
            if leads_back {
                self.is_straight = false;
                step.max_runs = step.max_runs.or(Some(1 + dice.roll(4)));
            }
        }
    }

    /// The `steps` of the rule.
    pub(crate) fn document(&self, position: u64) -> Value {
        let listening: Vec<&str> = self.steps.iter().filter(|step| step.listens()).map(|step| &*step.name).collect();
        self.steps.iter().map(|step| step.document(position, &listening)).collect::<Vec<_>>().into()
    }

    pub(crate) fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// Returns the same flow with a change that people make: one step less, one of another kind, or one more.
    pub(crate) fn edited(&self, number: usize, dice: &mut Dice) -> Self {
        let mut flow = self.clone();
        let place = usize::try_from(dice.roll(flow.steps.len() as u64)).unwrap_or(0);
        let removed = flow.steps[place].name.clone();
        let is_needed = |step: &Step| step.call().is_some_and(|call| call.repeats.as_ref() == Some(&removed));
        let others_call = flow.steps.iter().any(|step| step.name != removed && step.gives());
        if dice.chance(50) && removed != "login" && others_call && !flow.steps.iter().any(is_needed) {
            flow.steps.remove(place);
            flow.steps.iter_mut().for_each(|step| redirect(step, &removed));
            return flow;
        }
        let kind = if dice.chance(50) { Kind::Set } else { Kind::Wait(1 + dice.roll(3)) };
        if dice.chance(30) && flow.steps[place].call().is_none() {
            flow.steps[place].kind = kind;
            return flow;
        }
        let step = Step { name: format!("e{number}"), kind, when: None, go: None, max_runs: None };
        flow.steps.insert(place, step);
        flow
    }

    /// The answer of a receiver to a request of this step.
    pub(crate) fn reply(&self, step: &str, dice: &mut Dice) -> Reply {
        let words: Vec<&'static str> =
            self.step(step).and_then(Step::call).map(|call| call.words.keys().copied().collect()).unwrap_or_default();
        match dice.roll(14) {
            0 => Reply::Says(500, "down"),
            1 => Reply::Silence,
            2 => Reply::Says(200, "pending"),
            3 if dice.chance(40) => Reply::Says(404, "gone"),
            4 => Reply::Stuck,
            5..=8 if !words.is_empty() => Reply::Says(200, words[usize::try_from(dice.roll(words.len() as u64)).unwrap_or(0)]),
            _ => Reply::Says(200, "ok"),
        }
    }

    /// Returns the steps with a request that may follow a request of `step` after this reply, which was `recorded` or not.
    pub(crate) fn followers(&self, step: &str, reply: Reply, recorded: bool) -> BTreeSet<String> {
        let mut followers = BTreeSet::new();
        let Some((place, call)) =
            self.steps.iter().position(|other| other.name == step).and_then(|place| Some((place, self.steps[place].call()?)))
        else {
            return followers;
        };
        let mut open: Vec<String> = Vec::new();
        let repeats = self.repeats(step, reply);
        if repeats || !recorded {
            followers.insert(step.to_owned());
            open.extend(call.on_exhausted.clone());
            if step == "login" {
                // Another delivery may have logged in since (W5).
                open.extend(self.in_order(place));
            }
        }
        match reply {
            Reply::Says(200, word) if call.words.contains_key(word) => open.push(call.words[word].clone()),
            Reply::Says(200, _) if !repeats => open.extend(self.after(place)),
            _ => {}
        }
        self.reach(open, &mut followers);
        followers
    }

    /// Returns true if a step asks again after this answer, at once or by way of others.
    pub(crate) fn repeats(&self, step: &str, reply: Reply) -> bool {
        let has_back = self.step(step).and_then(Step::call).is_some_and(|call| call.words.contains_key("back"));
        match reply {
            Reply::Silence | Reply::Stuck | Reply::Says(500, _) | Reply::Says(200, "pending") => true,
            Reply::Says(200, "back") => has_back,
            _ => false,
        }
    }

    /// The step after the one at this place.
    fn after(&self, place: usize) -> Option<String> {
        self.steps[place].go.clone().or_else(|| self.in_order(place))
    }

    fn in_order(&self, place: usize) -> Option<String> {
        self.steps.get(place + 1).map(|step| step.name.clone())
    }

    /// Adds the requests that these targets may lead to.
    fn reach(&self, mut open: Vec<String>, found: &mut BTreeSet<String>) {
        let mut visited = BTreeSet::new();
        while let Some(name) = open.pop() {
            let Some(place) = self.steps.iter().position(|step| step.name == name) else { continue };
            if !visited.insert(place) {
                continue;
            }
            let step = &self.steps[place];
            if step.when.is_some() {
                open.extend(self.in_order(place));
            }
            match &step.kind {
                Kind::Call(call) => {
                    found.insert(name);
                    // The step may have had all of its runs.
                    open.extend(call.on_exhausted.clone());
                }
                Kind::Switch(targets) => {
                    open.extend(targets.iter().cloned());
                    open.extend(self.after(place));
                }
                Kind::Listen(listen) => {
                    open.extend(listen.on_timeout.clone());
                    open.extend(self.after(place));
                }
                Kind::Set | Kind::Wait(_) => open.extend(self.after(place)),
            }
        }
    }

    /// Returns the first requests that a delivery may send.
    pub(crate) fn first(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        self.reach(self.steps.first().map(|step| step.name.clone()).into_iter().collect(), &mut found);
        found
    }

    /// Returns the names of its `set` steps.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter(|step| step.is_set()).map(|step| step.name.as_str())
    }
}

fn roll_step(names: &[String], number: u64, has_login: bool, dice: &mut Dice) -> Step {
    let name = names[usize::try_from(number).unwrap_or(0)].clone();
    let plain = |kind| Step { name: name.clone(), kind, when: None, go: None, max_runs: None };
    match dice.roll(12) {
        0 => plain(Kind::Set),
        10 => {
            let on_timeout = if dice.chance(40) { Some(roll_target(names, number, dice)) } else { None };
            plain(Kind::Listen(Listen { timeout_seconds: 1 + dice.roll(20), on_timeout }))
        }
        11 => {
            let on_exhausted = if dice.chance(25) { Some(roll_target(names, number, dice)) } else { None };
            let call = Call { max_retries: MASTER_RETRIES, on_exhausted, is_mirrored: true, ..Call::default() };
            plain(Kind::Call(call))
        }
        1 | 2 => plain(Kind::Wait(1 + dice.roll(5))),
        3 => {
            let targets = (0..=dice.roll(2)).map(|_| roll_target(names, number, dice)).collect();
            plain(Kind::Switch(targets))
        }
        _ => Step { name, ..roll_call(names, number, has_login, dice) },
    }
}

fn roll_call(names: &[String], number: u64, has_login: bool, dice: &mut Dice) -> Step {
    let mut words = BTreeMap::new();
    if dice.chance(30) && number > 0 {
        words.insert("back", names[usize::try_from(dice.roll(number)).unwrap_or(0)].clone());
    }
    if dice.chance(30) {
        let back = usize::try_from(dice.roll(number + 1)).unwrap_or(0);
        words.insert("loop", names[back.min(names.len() - 1)].clone());
    }
    if dice.chance(30) {
        words.insert("skip", roll_target(names, number, dice));
    }
    if has_login && dice.chance(50) {
        words.insert("refused", "login".to_owned());
    }
    let on_exhausted = if dice.chance(25) { Some(roll_target(names, number, dice)) } else { None };
    let call = Call { max_retries: dice.roll(4), words, on_exhausted, ..Call::default() };
    let when = dice.chance(15).then(|| json!([{"source": "macro", "key": "attempt", "operator": "bigger_than", "value": "1"}]));
    let max_runs = dice.chance(15).then(|| 1 + dice.roll(3));
    Step { name: String::new(), kind: Kind::Call(call), when, go: None, max_runs }
}

/// Chooses a later step, or an end.
fn roll_target(names: &[String], number: u64, dice: &mut Dice) -> String {
    let later = names.len() as u64 - (number + 1).min(names.len() as u64);
    match dice.roll(later + 2) {
        1 if dice.chance(50) => "fail".to_owned(),
        0 | 1 => "end".to_owned(),
        ahead => names[usize::try_from(number + ahead - 1).unwrap_or(0)].clone(),
    }
}

/// Returns the names that a step leads to, except the next in order.
fn targets(step: &Step) -> Vec<String> {
    match &step.kind {
        Kind::Call(call) => call.words.values().chain(&call.on_exhausted).cloned().collect(),
        Kind::Switch(targets) => targets.clone(),
        Kind::Listen(listen) => listen.on_timeout.iter().cloned().collect(),
        Kind::Set | Kind::Wait(_) => Vec::new(),
    }
}

/// Makes a step end the flow in place of going to a removed step.
fn redirect(step: &mut Step, removed: &str) {
    let mend = |target: &mut String| {
        if target == removed {
            "end".clone_into(target);
        }
    };
    match &mut step.kind {
        Kind::Call(call) => call.words.values_mut().chain(&mut call.on_exhausted).for_each(mend),
        Kind::Switch(targets) => targets.iter_mut().for_each(mend),
        Kind::Listen(listen) => listen.on_timeout.iter_mut().for_each(mend),
        Kind::Set | Kind::Wait(_) => {}
    }
}
