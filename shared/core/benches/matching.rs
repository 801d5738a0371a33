//! Finding the rules of an event: the index beside a linear scan, in the same run.
//!
//! 50 of the rules are global; the others are anchored at an affiliate, offer or advertiser, as on a platform with some thousand
//! affiliates.

use divan::{Bencher, black_box};
use tracking_core::{
    change::Change, conditions::Conditions, event::Event, fault::Faults, id::Id, index::Index, json, trigger::Trigger,
};

const RULES: [usize; 2] = [10_000, 100_000];
const GLOBAL: usize = 50;

fn main() {
    divan::main();
}

struct Rule {
    trigger: Trigger,
    conditions: Conditions,
}

fn rules(count: usize) -> Vec<(Id, Rule)> {
    let rule = |number: usize| {
        let document = match number % 4 {
            _ if number < GLOBAL => json!({"source": ["link"], "result": "all"}),
            0 | 1 => json!({"affiliate": [format!("aff_{}", number % 5_000)], "conversion_type": ["sale"]}),
            2 => json!({"included_offers": [format!("off_{}", number % 1_000)], "source": ["link", "api"]}),
            _ => json!({"advertiser": [format!("adv_{}", number % 300)], "result": ["approved"]}),
        };
        let mut faults = Faults::default();
        let conditions = Conditions::parse(Some(&document), "", &mut faults);
        assert!(faults.is_empty(), "{faults}");
        let id = format!("trk_{number}").parse().expect("letters, a bar and digits");
        (id, Rule { trigger: Trigger::ALL[number % 6], conditions })
    };
    (0..count).map(rule).collect()
}

fn sample() -> (Change, Event) {
    let detail = json!({
        "change_id": "chg_1", "occurred_at": "2026-11-22T09:00:00Z",
        "conversion": {
            "conversion_id": "cnv_1", "version": 1, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": "aff_1240", "advertiser_id": "adv_103", "offer_id": "off_402", "channel_id": "chn_1", "integration_id": "int_1",
        },
        "transactions": [{"transaction_id": "trx_1", "result": "approved"}],
    });
    let change = Change::parse_detail(&detail, "").expect("a valid detail");
    let event = change.events().swap_remove(1);
    (change, event)
}

fn fires(rule: &Rule, change: &Change, event: &Event) -> bool {
    rule.trigger.fires_on(event.kind) && rule.conditions.fits(event, &change.transactions)
}

#[divan::bench(args = RULES)]
fn index(bencher: Bencher, count: usize) {
    let mut index = Index::default();
    for (id, rule) in rules(count) {
        let conditions = rule.conditions.clone();
        index.insert(id, &conditions, rule);
    }
    let (change, event) = sample();
    bencher.bench(|| index.candidates(&black_box(&event).conversion).filter(|rule| fires(rule, &change, &event)).count());
}

#[divan::bench(args = RULES)]
fn linear_scan(bencher: Bencher, count: usize) {
    let rules = rules(count);
    let (change, event) = sample();
    bencher.bench(|| rules.iter().filter(|(_, rule)| fires(rule, &change, black_box(&event))).count());
}
