//! One random history, and the conditions that must hold after it.

mod callbacks;
mod checks;
mod flow;
mod flow_checks;
mod script;

use std::{collections::BTreeMap, fmt};

use callbacks::{Accepted, Url};

use jiff::SignedDuration;
use tracking_core::{id::Id, json};
use tracking_engine::backend::Received;
use tracking_tests::{
    crash::Cut,
    world::{Arrival, Reply, World},
};

use script::Script;

/// Random numbers that the number of the history determines (`SplitMix64`).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(number: u64) -> Self {
        Self(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def0)
    }

    /// Returns a number below `sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }
}

/// The number of events of each kind in histories: it shows that the test has tested them.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    counts: BTreeMap<String, u64>,
}

impl Totals {
    pub(crate) fn count(&mut self, what: &str, how_often: u64) {
        *self.counts.entry(what.to_owned()).or_default() += how_often;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            self.count(what, *count);
        }
    }

    pub(crate) fn assert_that_everything_happened(&self, more: &[&str]) {
        let always = [
            "histories",
            "crashes",
            "requests",
            "cut off",
            "repeated hand-outs",
            "delivered",
            "failed",
            "exhausted",
            "unresolved",
            "superseded",
            "skipped",
            "held",
            "finals sent",
            "flows",
            "requests of flows",
        ];
        for what in always.iter().chain(more) {
            assert!(self.counts.get(*what).is_some_and(|count| *count > 0), "no history had: {what}\n{self}");
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> = self.counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        f.write_str(&counts.join(", "))
    }
}

/// One attempt as the receiver saw it; `recorded` is true if the engine could record it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) arrival: Arrival,
    pub(crate) recorded: bool,
    pub(crate) reply: Reply,
}

/// Plays one history on a machine.
pub(crate) struct Player<'a> {
    world: &'a mut World,
    number: u64,
    dice: Dice,
    script: Script,
    rules: Vec<Id>,
    /// The rule whose step others mirror, and how often it was changed.
    master: Option<(Id, usize)>,
    /// The callback URLs that were given away and are still to be called.
    urls: Vec<Url>,
    /// The callbacks that were accepted.
    accepted: Vec<Accepted>,
    requests: Vec<Request>,
    /// `true` at the end of the history, when no crashes are planned any more.
    is_ending: bool,
    totals: Totals,
}

impl<'a> Player<'a> {
    /// Makes the player of a history with this percentage of flows among its rules.
    pub(crate) fn new(world: &'a mut World, number: u64, flows: u64, mut dice: Dice) -> Self {
        let script = Script::roll(number, flows, &mut dice);
        let (rules, urls, accepted, requests) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self {
            world,
            number,
            dice,
            script,
            rules,
            master: None,
            urls,
            accepted,
            requests,
            is_ending: false,
            totals: Totals::default(),
        }
    }

    /// Plays the history and checks it.
    pub(crate) async fn play(mut self) -> Totals {
        self.make_rules().await;
        let mut posts = self.script.posts.clone();
        posts.reverse();
        let mut spare: Vec<Received> = Vec::new();
        while let Some(change) = posts.pop() {
            self.plan_crash();
            // The bus repeats events that were not accepted, and may bring two changes at once.
            let second = if self.dice.chance(30) { posts.pop() } else { None };
            let (first, other) =
                tokio::join!(self.world.post(std::slice::from_ref(&change)), self.world.post(second.as_slice()),);
            posts.extend(second.filter(|_| other.is_err()));
            posts.extend(Some(change).filter(|_| first.is_err()));
            self.come_back();
            for _ in 0..self.dice.roll(4) {
                self.step(&mut spare).await;
                self.call_back().await;
            }
            self.change_a_flow().await;
            self.change_the_master().await;
        }
        Box::pin(self.finish(&mut spare)).await;
        let log = self.read_log().await;
        checks::check(&self, &log);
        self.check_callbacks(&log).await;
        self.totals.count("histories", 1);
        for item in &log {
            self.totals.count(item["state"].as_str().unwrap_or_default(), 1);
        }
        self.totals
            .count("finals sent", log.iter().filter(|item| item["is_final"] == true && item["attempts"] != 0).count() as u64);
        self.totals.count("requests", self.requests.len() as u64);
        self.count_flows(&log);
        self.totals.count("cut off", self.requests.iter().filter(|request| !request.recorded).count() as u64);
        self.totals
    }

    /// Makes the rules, before them the one whose step they mirror if they do.
    async fn make_rules(&mut self) {
        let owner = self.script.owner();
        if self.script.rules.iter().any(|rule| callbacks::is_mirroring(&rule.document)) {
            self.master = Some((self.world.rule(&owner, flow::master(0)).await, 0));
        }
        for rule in self.script.rules.clone() {
            let document = self.with_master(rule.document);
            self.rules.push(self.world.rule(&owner, document).await);
        }
    }

    /// Works a message, or a repeat of one that was worked before; time passes now and then.
    async fn step(&mut self, spare: &mut Vec<Received>) {
        if self.dice.chance(30) {
            self.world.clock.pass(SignedDuration::from_millis(i64::try_from(self.dice.roll(4_000)).unwrap_or(0)));
        }
        let max = 1 + usize::try_from(self.dice.roll(3)).unwrap_or(0);
        let mut picked = self.world.pick(max);
        if self.dice.chance(20) {
            picked.reverse();
        }
        if self.dice.chance(15)
            && let Some(again) = spare.pop()
        {
            self.totals.count("repeated hand-outs", 1);
            picked.push(again);
        }
        for received in picked {
            self.plan_crash();
            self.work(&received).await;
            if self.dice.chance(20) {
                let mut again = received;
                again.receive_id.push_str("-again");
                spare.push(again);
            }
            if self.come_back() {
                return;
            }
        }
    }

    async fn work(&mut self, received: &Received) {
        let before = self.world.arrivals.len();
        let mut replies = Vec::new();
        let (script, dice) = (&self.script, &mut self.dice);
        let outcome = self
            .world
            .work(received, &mut |arrival| {
                let reply = Self::reply(script, arrival, dice);
                replies.extend(Some(reply).filter(|reply| *reply != Reply::Stuck));
                reply
            })
            .await;
        let arrivals = self.world.arrivals[before..].to_vec();
        assert_eq!(arrivals.len(), replies.len());
        let count = replies.len();
        for (number, (arrival, reply)) in arrivals.into_iter().zip(replies).enumerate() {
            let rule = &self.script.rules[position_of(&arrival)];
            assert!(!rule.is_off, "history {}: sent although its rule is off: {arrival:?}", self.number);
            self.note_urls(&arrival);
            self.check_mirrored(&arrival);
            // A step that follows at once is sent after the record of the one before.
            let recorded = outcome.is_ok() || number + 1 < count;
            self.requests.push(Request { arrival, recorded, reply });
        }
    }

    /// Changes the steps of a rule now and then, or switches it off, or on again (P6, W12, W13).
    async fn change_a_flow(&mut self) {
        let flows: Vec<usize> = (0..self.rules.len()).filter(|index| self.script.rules[*index].flow.is_some()).collect();
        if flows.is_empty() || !self.dice.chance(20) {
            return;
        }
        let index = flows[usize::try_from(self.dice.roll(flows.len() as u64)).unwrap_or(0)];
        let rule = &mut self.script.rules[index];
        let patch = if rule.is_off || self.dice.chance(25) {
            self.totals.count("switched off or on", 1);
            (rule.is_off, rule.was_off) = (!rule.is_off, true);
            json!({"active": !rule.is_off})
        } else {
            self.totals.count("edits", 1);
            rule.edits += 1;
            rule.flow = rule.flow.as_ref().map(|flow| flow.edited(rule.edits, &mut self.dice));
            json!({"steps": rule.flow.as_ref().map(|flow| flow.document(index as u64))})
        };
        let patch = self.with_master(patch);
        let (owner, id) = (self.script.owner(), &self.rules[index]);
        let patched = self.world.engine().writer().patch_rule(&owner, id, &patch, None).await;
        patched.unwrap_or_else(|refused| panic!("history {}: {patch} is refused: {refused}", self.number));
    }

    /// Counts the events of this history's flows.
    fn count_flows(&mut self, log: &[json::Value]) {
        let of_flows: Vec<&Request> =
            self.requests.iter().filter(|request| self.script.rules[position_of(&request.arrival)].flow.is_some()).collect();
        let later_runs =
            of_flows.iter().filter(|request| !request.arrival.headers.contains(&("Tracking-Run".to_owned(), "1".to_owned())));
        let logins = of_flows.iter().filter(|request| flow_checks::step_of(request) == "login");
        let counts = [
            ("flows", self.script.rules.iter().filter(|rule| rule.flow.is_some()).count()),
            ("requests of flows", of_flows.len()),
            ("requests of later runs", later_runs.count()),
            ("logins", logins.count()),
        ];
        let gone = log
            .iter()
            .filter(|item| item["reason"].as_str().is_some_and(|reason| reason.contains("of the rule; a resend")))
            .count();
        for (what, count) in counts.into_iter().chain([("steps gone", gone)]) {
            self.totals.count(what, count as u64);
        }
    }

    fn reply(script: &Script, arrival: &Arrival, dice: &mut Dice) -> Reply {
        if let Some(flow) = &script.rules[position_of(arrival)].flow {
            let step = arrival.headers.iter().find(|(name, _)| name == "Tracking-Step").map_or("", |(_, step)| step);
            return flow.reply(step, dice);
        }
        match dice.roll(10) {
            0 => Reply::Says(500, "down"),
            1 => Reply::Silence,
            2 | 3 => Reply::Says(200, "pending"),
            4 => Reply::Says(404, "gone"),
            5 => Reply::Stuck,
            _ => Reply::Says(200, "ok"),
        }
    }

    /// Plans a crash at one of the next four writes, now and then.
    fn plan_crash(&mut self) {
        if self.dice.chance(35) {
            let cut = if self.dice.chance(50) { Cut::Before } else { Cut::After };
            let write = 1 + self.dice.roll(4);
            self.world.fate().crash_at(write, cut);
        }
    }

    /// Restarts the machine if it died.
    fn come_back(&mut self) -> bool {
        let died = self.world.fate().is_down();
        if died {
            self.totals.count("crashes", 1);
            self.world.restart();
        } else {
            self.world.fate().revive();
        }
        died
    }

    /// Ends the history: the bus has no more events, and there are no more crashes. Everything that is due is worked.
    async fn finish(&mut self, spare: &mut Vec<Received>) {
        self.world.restart();
        self.is_ending = true;
        for _ in 0..6_000 {
            let due = self.world.pick(1);
            match due.into_iter().next() {
                Some(received) => {
                    self.work(&received).await;
                    self.call_back().await;
                }
                None => match self.world.next_due() {
                    Some(next) => self.world.clock.until(next),
                    // A delivery that waits for long has a due row.
                    None if self.is_any_open().await => {
                        self.world.clock.pass(SignedDuration::from_mins(1));
                        self.world.engine().sweeper().sweep().await.expect("the store is there");
                    }
                    None => break,
                },
            }
            if self.dice.chance(10)
                && let Some(again) = spare.pop()
            {
                self.work(&again).await;
            }
        }
        assert_eq!(self.world.next_due(), None, "history {}: the work never ends", self.number);
    }

    /// Returns true if a delivery of this history waits.
    async fn is_any_open(&self) -> bool {
        self.read_log().await.iter().any(|item| item["state"] == "waiting" || item["state"] == "sending")
    }

    async fn read_log(&self) -> Vec<tracking_core::json::Value> {
        let mut log = Vec::new();
        for conversion in self.script.conversions() {
            let filter = tracking_engine::DeliveryFilter { conversion_id: Some(conversion), ..Default::default() };
            log.extend(self.world.log(&filter).await);
        }
        log
    }
}

/// Returns the position of the rule that sent a request.
fn position_of(arrival: &Arrival) -> usize {
    let path = arrival.url.trim_start_matches("http://127.0.0.1:9/");
    path.split('?').next().and_then(|position| position.parse().ok()).expect("the URL begins with the rule's position")
}
