//! The conditions that must hold after a history, worked out from the script alone.

use std::collections::{BTreeMap, BTreeSet};

use tracking_core::json::Value;

use super::{
    Player, Request, flow_checks,
    script::{Change, Rule},
};

/// A subject queue: rule and subject.
type QueueKey = (String, String);

pub(crate) fn check(player: &Player<'_>, log: &[Value]) {
    let about = |what: &str| format!("history {}: {what}", player.number);
    let by_id: BTreeMap<&str, &Value> = log.iter().map(|item| (text(item, "id"), item)).collect();
    assert_eq!(by_id.len(), log.len(), "{}", about("a delivery is listed twice"));
    nothing_is_lost(player, log);
    for item in log {
        let state = text(item, "state");
        let open = matches!(state, "waiting" | "sending");
        assert!(!open, "{}", about(&format!("a delivery never ended: {item}")));
    }
    let mut requests: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
    let mut queues: BTreeMap<QueueKey, Vec<&Request>> = BTreeMap::new();
    for request in &player.requests {
        let id = request.arrival.delivery_id.as_str();
        let Some(item) = by_id.get(id) else { panic!("{}", about(&format!("{id} was sent and is not in the log"))) };
        requests.entry(id).or_default().push(request);
        queues.entry(queue_key(item)).or_default().push(request);
    }
    for (id, requests) in &requests {
        let rule = rule_of(player, by_id[id]);
        if let Some(flow) = &rule.flow {
            flow_checks::check(player, rule, flow, by_id[id], requests);
        } else {
            at_most_n_plus_one(player, by_id[id], requests);
            never_after_its_end(player, by_id[id], requests);
        }
    }
    for (queue, requests) in &queues {
        never_backwards(player, queue, requests);
    }
}

/// P1: every accepted event leads, for every matching rule, to a delivery with a final state; so do settled conversions of final rules.
fn nothing_is_lost(player: &Player<'_>, log: &[Value]) {
    for (rule, id) in player.script.rules.iter().zip(&player.rules) {
        let own: Vec<&Value> = log.iter().filter(|item| text(item, "tracking_api_id") == id.as_str()).collect();
        if rule.is_final {
            // Deliveries held when a rule is switched off are not owed, nor are those of events that came meanwhile.
            if !rule.was_off {
                finals(player, rule, &own);
            }
            continue;
        }
        let mut expected = BTreeSet::new();
        for change in &player.script.changes {
            for (subject, event) in fired(rule.trigger, change) {
                expected.insert((change.id.clone(), subject, event));
            }
        }
        let found: BTreeSet<(String, String, String)> = own
            .iter()
            .map(|item| (text(item, "change_id").to_owned(), queue_key(item).1, text(item, "event").to_owned()))
            .collect();
        assert_eq!(own.len(), found.len(), "history {}: {} twice", player.number, rule.trigger);
        if rule.was_off {
            // Deliveries of events that came meanwhile are not owed.
            assert!(found.is_subset(&expected), "history {}: {}", player.number, rule.trigger);
        } else {
            assert_eq!(found, expected, "history {}: {}", player.number, rule.trigger);
        }
    }
}

/// F1: one final postback per subject once the last state is settled; none before. Later events are noted as skipped.
fn finals(player: &Player<'_>, rule: &Rule, own: &[&Value]) {
    let about = |what: &str| format!("history {}: {} final: {what}: {own:#?}", player.number, rule.trigger);
    let last = player.script.changes.last().expect("a history has changes");
    let settled = |change: &Change| !change.parts.is_empty() && change.parts.iter().all(|part| part.result != "pending");
    let subjects: BTreeSet<String> =
        player.script.changes.iter().flat_map(|change| fired(rule.trigger, change)).map(|(subject, _)| subject).collect();
    let has_parts = player.script.changes.iter().any(|change| !change.parts.is_empty());
    let mut sent = BTreeMap::new();
    for item in own {
        let subject = queue_key(item).1;
        match text(item, "state") {
            "skipped" if rule.flow.is_some() && text(item, "reason") == "the flow ended before it sent a request" => {
                *sent.entry(subject.clone()).or_insert(0) += 1;
            }
            "skipped" => assert_eq!(text(item, "reason"), "final already sent", "{}", about("skipped for another reason")),
            "held" => assert!(!settled(last), "{}", about("held although settled")),
            _ => *sent.entry(subject.clone()).or_insert(0) += 1,
        }
        assert!(subjects.contains(&subject), "{}", about("a subject that never fired"));
    }
    for (subject, count) in &sent {
        assert_eq!(*count, 1, "{}", about(&format!("{subject} has more than one final")));
    }
    if settled(last) && has_parts {
        let missing: Vec<&String> = subjects.iter().filter(|subject| !sent.contains_key(*subject)).collect();
        assert!(missing.is_empty(), "{}", about(&format!("no final for {missing:?}")));
    }
    if player.script.changes.iter().all(|change| !settled(change)) {
        assert!(sent.is_empty(), "{}", about("sent although never settled"));
    }
}

/// Returns the rule of a delivery.
fn rule_of<'p>(player: &'p Player<'_>, item: &Value) -> &'p Rule {
    let rule = player.rules.iter().position(|id| id.as_str() == text(item, "tracking_api_id")).expect("a rule of this history");
    &player.script.rules[rule]
}

/// L1: a delivery has at most n + 1 requests.
fn at_most_n_plus_one(player: &Player<'_>, item: &Value, requests: &[&Request]) {
    let most = rule_of(player, item).max_retries + 1;
    assert!(requests.len() as u64 <= most, "history {}: {} requests of {most}: {item}", player.number, requests.len());
    let attempts: Vec<u32> = requests.iter().map(|request| request.arrival.attempt).collect();
    assert!(attempts.is_sorted_by(|a, b| a < b), "history {}: attempts {attempts:?} of {item}", player.number);
}

/// P2: once an answer that ends a delivery is recorded, nothing is sent any more.
fn never_after_its_end(player: &Player<'_>, item: &Value, requests: &[&Request]) {
    use tracking_tests::world::Reply::Says;
    let ends = |request: &Request| request.recorded && matches!(request.reply, Says(404, _) | Says(200, "ok"));
    let ended = requests.iter().position(|request| ends(request));
    if let Some(ended) = ended {
        assert_eq!(ended + 1, requests.len(), "history {}: sent after its end: {item} {requests:#?}", player.number);
    }
}

/// P3: versions never fall within one subject queue.
fn never_backwards(player: &Player<'_>, queue: &QueueKey, requests: &[&Request]) {
    let version = |request: &Request| -> u64 {
        let (_, rest) = request.arrival.url.split_once("?v=").expect("the version is in the URL");
        rest.split('&').next().and_then(|digits| digits.parse().ok()).expect("a number")
    };
    let versions: Vec<u64> = requests.iter().map(|request| version(request)).collect();
    assert!(versions.is_sorted(), "history {}: {queue:?} went backwards: {versions:?} {requests:#?}", player.number);
}

/// Returns the subjects and event kinds of a change that a trigger fires on (T1 to T6), worked out again.
fn fired(trigger: &str, change: &Change) -> Vec<(String, String)> {
    let mut fired = Vec::new();
    let conversion = if change.version == 1 { "created" } else { "updated" };
    match trigger.split_once('_').expect("a trigger has two halves") {
        ("conversion", which) => {
            if which == "all" || which == conversion {
                fired.push(("conversion".to_owned(), format!("conversion_{conversion}")));
            }
        }
        (_, which) => {
            for part in change.parts.iter().filter(|part| part.change != "unchanged") {
                if which == "all" || which == part.change {
                    fired.push((part.id.clone(), format!("transaction_{}", part.change)));
                }
            }
        }
    }
    fired
}

fn queue_key(item: &Value) -> QueueKey {
    let subject = item["transaction_id"].as_str().unwrap_or("conversion");
    (text(item, "tracking_api_id").to_owned(), subject.to_owned())
}

fn text<'v>(item: &'v Value, name: &str) -> &'v str {
    item[name].as_str().unwrap_or_default()
}
