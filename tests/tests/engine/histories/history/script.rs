//! The parts of a history: rules, and the changes of one conversion as the bus brings them.

use tracking_core::{caller::Caller, id::Id, json, json::Value};
use tracking_tests::world::event;

use super::{Dice, flow::Flow};

/// A rule of a history.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) trigger: &'static str,
    pub(crate) is_final: bool,
    pub(crate) max_retries: u64,
    /// The current steps, if the rule has any.
    pub(crate) flow: Option<Flow>,
    /// The number of times that the steps were changed.
    pub(crate) edits: usize,
    /// `true` if the rule is switched off now.
    pub(crate) is_off: bool,
    /// `true` if the rule was switched off once.
    pub(crate) was_off: bool,
    pub(crate) document: Value,
}

/// One transaction after one change.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) id: String,
    /// `created`, `updated` or `unchanged`.
    pub(crate) change: &'static str,
    pub(crate) result: &'static str,
}

/// One change of the conversion.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) parts: Vec<Part>,
}

/// A whole history before it is played.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    affiliate: String,
    conversion: String,
    pub(crate) rules: Vec<Rule>,
    pub(crate) changes: Vec<Change>,
    /// The events in the order in which the bus brings them, with repeats.
    pub(crate) posts: Vec<Value>,
}

impl Script {
    /// Makes a history with this percentage of flows among its rules.
    pub(crate) fn roll(number: u64, flows: u64, dice: &mut Dice) -> Self {
        let affiliate = format!("aff_{number}");
        let conversion = format!("cnv_{number}");
        let rules: Vec<Rule> = (0..=dice.roll(3)).map(|position| rule(position, flows, dice)).collect();
        let changes = changes(number, dice);
        let mut posts = Vec::new();
        for change in &changes {
            for _ in 0..=dice.roll(3) {
                posts.push(envelope(&affiliate, &conversion, change));
            }
        }
        // Mostly in order, with some events that come early or late.
        for position in 1..posts.len() {
            if dice.chance(40) {
                let other = usize::try_from(dice.roll(posts.len() as u64)).unwrap_or(0);
                posts.swap(position, other);
            }
        }
        Self { affiliate, conversion, rules, changes, posts }
    }

    pub(crate) fn owner(&self) -> Caller {
        Caller::Affiliate(self.affiliate.parse().expect("an id"))
    }

    pub(crate) fn conversions(&self) -> Vec<Id> {
        vec![self.conversion.parse().expect("an id")]
    }
}

fn rule(position: u64, flows: u64, dice: &mut Dice) -> Rule {
    const TRIGGERS: [&str; 6] = [
        "transaction_all",
        "transaction_created",
        "transaction_updated",
        "conversion_all",
        "conversion_created",
        "conversion_updated",
    ];
    let trigger = TRIGGERS[usize::try_from(dice.roll(6)).unwrap_or(0)];
    let is_final = dice.chance(35);
    let max_retries = dice.roll(4);
    let delay = match (is_final, dice.chance(50)) {
        (false, _) => json!({"mode": "none"}),
        (true, true) => json!({"mode": "final"}),
        (true, false) => json!({"mode": "final", "settle_seconds": 1 + dice.roll(5)}),
    };
    let flow = if dice.chance(flows) { Some(Flow::roll(dice)) } else { None };
    let mut document = json!({
        "name": format!("rule {position}"),
        "trigger": trigger,
        "request": {"url": format!("http://127.0.0.1:9/{position}?v={{updated_at|unix}}&c={{conversion_id}}")},
        "retry": {"max_retries": max_retries, "delay_seconds": 1 + dice.roll(3), "backoff": "fixed"},
        "answer": {"rules": [
            {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}], "then": "pending"},
        ]},
        "delay": delay,
    });
    if let Some(flow) = &flow {
        let on_newer = if flow.finishes { "finish" } else { "supersede" };
        let members = document.as_object_mut().expect("a rule is an object");
        for name in ["request", "retry", "answer"] {
            members.remove(name);
        }
        members.insert("steps".to_owned(), flow.document(position));
        // A mirrored request names the rule's place by this variable.
        members.insert("variables".to_owned(), json!({"place": position.to_string()}));
        members.insert("on_newer".to_owned(), on_newer.into());
    }
    Rule { trigger, is_final, max_retries, flow, edits: 0, is_off: false, was_off: false, document }
}

/// Makes one to four changes of a conversion with none to two transactions, each of which is created once and then pending or final.
fn changes(number: u64, dice: &mut Dice) -> Vec<Change> {
    let mut parts: Vec<Part> = Vec::new();
    let mut changes = Vec::new();
    for version in 1..=1 + dice.roll(4) {
        for part in &mut parts {
            part.change = "unchanged";
            if dice.chance(60) {
                part.change = "updated";
                part.result = ["pending", "approved", "rejected"][usize::try_from(dice.roll(3)).unwrap_or(0)];
            }
        }
        if parts.len() < 2 && dice.chance(55) {
            let result = if dice.chance(20) { "approved" } else { "pending" };
            parts.push(Part { id: format!("trx_{number}_{}", parts.len()), change: "created", result });
        }
        changes.push(Change { id: format!("chg_{number}_{version}"), version, parts: parts.clone() });
    }
    changes
}

fn envelope(affiliate: &str, conversion: &str, change: &Change) -> Value {
    let transactions: Vec<Value> = change
        .parts
        .iter()
        .map(|part| json!({"transaction_id": part.id, "change": part.change, "result": part.result}))
        .collect();
    let conversion = json!({
        "conversion_id": conversion, "affiliate_id": affiliate, "version": change.version,
        "change": if change.version == 1 { "created" } else { "updated" },
        // The version, for checks that read the request.
        "updated_at": format!("1970-01-01T00:00:{:02}Z", change.version),
    });
    event(&change.id, conversion, json!(transactions))
}
