//! What a history is made of: rules, and the changes of one conversion as the bus brings them.

use tracking_core::{caller::Caller, id::Id, json, json::Value};
use tracking_tests::world::event;

use super::Dice;

/// A rule of a history.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) trigger: &'static str,
    pub(crate) is_final: bool,
    pub(crate) max_retries: u64,
    /// The requests of its flow; 0 if it has one request.
    pub(crate) steps: u64,
    pub(crate) document: Value,
}

/// One transaction as one change leaves it.
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
    pub(crate) fn roll(number: u64, dice: &mut Dice) -> Self {
        let affiliate = format!("aff_{number}");
        let conversion = format!("cnv_{number}");
        let rules: Vec<Rule> = (0..=dice.roll(3)).map(|position| rule(position, dice)).collect();
        let changes = changes(number, dice);
        let mut posts = Vec::new();
        for change in &changes {
            for _ in 0..=dice.roll(3) {
                posts.push(envelope(&affiliate, &conversion, change));
            }
        }
        // Mostly in order, with some that come early or late.
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

fn rule(position: u64, dice: &mut Dice) -> Rule {
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
    let steps = if dice.chance(30) { 1 + dice.roll(4) } else { 0 };
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
    if steps > 0 {
        let on_newer = if dice.chance(30) { "finish" } else { "supersede" };
        let all = flow(position, steps, &document, dice);
        let members = document.as_object_mut().expect("a rule is an object");
        for name in ["request", "retry", "answer"] {
            members.remove(name);
        }
        members.insert("steps".to_owned(), all);
        members.insert("on_newer".to_owned(), on_newer.into());
    }
    Rule { trigger, is_final, max_retries, steps, document }
}

/// So many requests in order, with waits, branches and variables between them.
fn flow(position: u64, steps: u64, one: &Value, dice: &mut Dice) -> Value {
    let mut all = Vec::new();
    for step in 1..=steps {
        if dice.chance(40) {
            all.push(json!({"name": format!("w{step}"), "wait": {"seconds": 1 + dice.roll(5)}}));
        }
        if dice.chance(20) {
            all.push(json!({"name": format!("v{step}"), "set": {"variables": {"seen": format!("{{var.seen}}{step}")}}}));
        }
        let url = format!("http://127.0.0.1:9/{position}?v={{updated_at|unix}}&s={step}&seen={{var.seen}}");
        all.push(json!({"name": format!("s{step}"), "call": {"url": url}, "retry": one["retry"], "answer": one["answer"]}));
        if dice.chance(15) {
            let when = json!([{"source": "macro", "key": "affiliate_id", "operator": "is_empty"}]);
            all.push(json!({"name": format!("b{step}"), "switch": [{"when": when, "go": "fail"}]}));
        }
    }
    all.into()
}

/// One to four changes of a conversion with none to two transactions, each of which is created once and then pending or final.
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
        // The version, for whoever reads the request.
        "updated_at": format!("1970-01-01T00:00:{:02}Z", change.version),
    });
    event(&change.id, conversion, json!(transactions))
}
