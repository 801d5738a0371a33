//! Callbacks of a history: early, late, twice and never, with crashes between any two writes (W17); and changes of the rule whose step the
//! others mirror (W19).

use std::collections::BTreeSet;

use tracking_core::{caller::Caller, delivery::DeliveryId, json, json::Value};
use tracking_engine::{IncomingRequest, rules::Refused};
use tracking_tests::world::Arrival;

use super::{Player, flow, position_of};

/// The most calls of one URL.
const MAX_CALLS: u32 = 4;

/// A callback URL that a request gave away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    token: String,
    delivery: String,
    calls: u32,
    /// The body that was sent last, to be sent again.
    last: Option<String>,
}

/// A callback that was answered with 202.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Accepted {
    delivery: String,
    token: String,
    body: String,
}

/// Returns true if a document mirrors the master's step.
pub(crate) fn is_mirroring(document: &Value) -> bool {
    document.to_string().contains(flow::MASTER)
}

impl Player<'_> {
    /// A document with the id of the rule whose step it mirrors.
    pub(super) fn with_master(&self, document: Value) -> Value {
        let Some((master, _)) = &self.master else { return document };
        let text = document.to_string().replace(&format!("\"{}\"", flow::MASTER), &format!("\"{master}\""));
        json::parse(text.as_bytes()).expect("an id needs no escapes")
    }

    /// Notes the callback URLs of a request; the same in each retry.
    pub(super) fn note_urls(&mut self, arrival: &Arrival) {
        for (name, value) in &arrival.headers {
            if !name.starts_with(flow::CALLBACK) {
                continue;
            }
            let token = value.rsplit('/').next().unwrap_or_default().to_owned();
            if !self.urls.iter().any(|url| url.token == token) {
                self.totals.count("callback URLs", 1);
                self.urls.push(Url { token, delivery: arrival.delivery_id.clone(), calls: 0, last: None });
            }
        }
    }

    /// Sends a callback at random: a new one, or the last one again. An unanswered one may be sent again later.
    pub(super) async fn call_back(&mut self) {
        if self.urls.is_empty() || !self.dice.chance(40) {
            return;
        }
        let place = usize::try_from(self.dice.roll(self.urls.len() as u64)).unwrap_or(0);
        let mut url = self.urls[place].clone();
        if url.calls >= MAX_CALLS {
            return;
        }
        let word = ["pending", "ok", "ok", "no"][usize::try_from(self.dice.roll(4)).unwrap_or(0)];
        let body = match &url.last {
            Some(last) if self.dice.chance(40) => {
                self.totals.count("callbacks sent again", 1);
                last.clone()
            }
            _ => json!({"status": word, "number": url.calls}).to_string(),
        };
        url.calls += 1;
        if !self.is_ending {
            self.plan_crash();
        }
        let request = IncomingRequest {
            method: "POST".to_owned(),
            query: String::new(),
            headers: Vec::new(),
            body: body.clone().into_bytes(),
        };
        let taken = self.world.call_back(&url.token, request).await;
        let died = self.come_back();
        match taken {
            Ok(()) => {
                self.totals.count("callbacks accepted", 1);
                self.accepted.push(Accepted { delivery: url.delivery.clone(), token: url.token.clone(), body: body.clone() });
            }
            Err(Refused::Gone(_)) => self.totals.count("callbacks too late", 1),
            Err(Refused::Unavailable(_)) if died => self.totals.count("callbacks cut off", 1),
            Err(refused) => panic!("history {}: a callback is refused: {refused}", self.number),
        }
        url.last = Some(body);
        self.urls[place] = url;
    }

    /// Changes the master at random, with a crash between any two of its writes; after a crash the change is repeated.
    pub(super) async fn change_the_master(&mut self) {
        let Some((master, edits)) = self.master.clone() else { return };
        if !self.dice.chance(15) {
            return;
        }
        let patch = json!({"steps": flow::master(edits + 1)["steps"]});
        self.plan_crash();
        let owner = self.script.owner();
        let first = self.world.engine().writer().patch_rule(&owner, &master, &patch, None).await;
        if self.come_back() || first.is_err() {
            self.totals.count("edits of a master cut off", 1);
            let again = self.world.engine().writer().patch_rule(&owner, &master, &patch, None).await;
            again.unwrap_or_else(|refused| panic!("history {}: the master can't be changed: {refused}", self.number));
        }
        self.totals.count("edits of a master", 1);
        self.master = Some((master, edits + 1));
    }

    /// W19: a mirrored request is the one that the master has at the time of sending.
    pub(super) fn check_mirrored(&mut self, arrival: &Arrival) {
        let Some((_, sent)) = arrival.url.rsplit_once("&m=") else { return };
        let edits = self.master.as_ref().map_or(0, |(_, edits)| *edits);
        assert_eq!(sent, edits.to_string(), "history {}: another request than the master's: {arrival:?}", self.number);
        assert!(self.script.rules[position_of(arrival)].flow.is_some(), "history {}: {arrival:?}", self.number);
        self.totals.count("mirrored requests", 1);
    }

    /// W17: what was accepted is in the log once; what was read was read once; and no run that timed out left one unread.
    pub(super) async fn check_callbacks(&mut self, log: &[Value]) {
        let accepted: BTreeSet<Accepted> = self.accepted.iter().cloned().collect();
        for item in log {
            let id = item["id"].as_str().unwrap_or_default();
            let of_it = accepted.iter().filter(|callback| callback.delivery == id).count();
            let given = self.urls.iter().any(|url| url.delivery == id);
            if !given {
                continue;
            }
            let delivery_id = DeliveryId::parse(id).expect("an id of the log");
            let delivery = self.world.engine().log().delivery(&Caller::Admin, &delivery_id).await.expect("it is there");
            let callbacks: Vec<&Value> = delivery["callbacks"].as_array().into_iter().flatten().collect();
            let about = |what: &str| format!("history {}: {what}: {of_it} accepted\n{delivery}", self.number);
            // One that was cut off after its write is in the log too.
            assert!(callbacks.len() >= of_it, "{}", about("a callback is lost"));
            let verdict = |callback: &Value| callback["verdict"].as_str().map(str::to_owned);
            let mut ended = BTreeSet::new();
            for callback in &callbacks {
                let run = (callback["step"].to_string(), callback["run"].to_string());
                let ends = matches!(verdict(callback).as_deref(), Some("delivered" | "failed"));
                assert!(!ends || ended.insert(run), "{}", about("two callbacks ended one run"));
            }
            let read = callbacks.iter().filter(|callback| verdict(callback).is_some()).count();
            self.totals.count("callbacks read", read as u64);
            let reason = delivery["reason"].as_str().unwrap_or_default();
            if let Some((step, _)) = reason.strip_prefix("step ").and_then(|rest| rest.split_once(": no callback came within")) {
                self.totals.count("callbacks that never came", 1);
                let of_step = |callback: &&&Value| callback["step"] == *step;
                let last = callbacks.iter().filter(of_step).filter_map(|callback| callback["run"].as_u64()).max();
                // A later run may have timed out for which nothing came.
                let is_over = |callback: &Value| ended.contains(&(callback["step"].to_string(), callback["run"].to_string()));
                let unread =
                    |callback: &&&Value| callback["run"].as_u64() == last && verdict(callback).is_none() && !is_over(callback);
                assert_eq!(
                    callbacks.iter().filter(of_step).filter(unread).count(),
                    0,
                    "{}",
                    about("a callback in time was not read")
                );
            }
        }
    }
}
