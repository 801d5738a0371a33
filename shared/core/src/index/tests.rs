use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{fault::Faults, json, json::Value, testing};

/// Checks the anchors of a rule with these conditions.
#[track_caller]
fn check(what: &str, document: &Value, places: &[&str]) {
    let conditions = Conditions::parse(Some(document), "", &mut Faults::default());
    let anchors = anchors(&conditions);
    assert_eq!(anchors.iter().map(ToString::to_string).collect::<Vec<_>>(), places, "{what}");
    for anchor in anchors {
        assert_eq!(anchor.to_string().parse(), Ok(anchor), "{what}");
    }
}

#[test]
fn s_a_rule_is_filed_under_its_most_selective_condition() {
    let five = json!({"affiliate": ["a:1", "a2"], "included_offers": ["o"], "channel": ["c"], "integration": ["i"], "advertiser": ["d"]});
    check("affiliate first", &five, &["affiliate:a:1", "affiliate:a2"]);
    check("then the offer", &json!({"included_offers": ["o"], "channel": ["c"]}), &["offer:o"]);
    check("then the channel", &json!({"channel": ["c"], "integration": ["i"]}), &["channel:c"]);
    check("then the integration", &json!({"integration": ["i"], "advertiser": ["d"]}), &["integration:i"]);
    check("then the advertiser", &json!({"advertiser": ["d"], "source": ["link"]}), &["advertiser:d"]);
    check("else any", &json!({"source": ["link"], "excluded_offers": ["o"]}), &["any"]);
}

#[test]
fn s_a_condition_with_more_than_100_values_does_not_anchor() {
    let many = |count: usize| (0..count).map(|number| format!("aff_{number}")).collect::<Value>();
    let anchored = Conditions::parse(Some(&json!({"affiliate": many(100), "channel": ["c"]})), "", &mut Faults::default());
    assert_eq!(anchors(&anchored).len(), 100);
    check("101 affiliates and a channel", &json!({"affiliate": many(101), "channel": ["c"]}), &["channel:c"]);
    check("101 affiliates", &json!({"affiliate": many(101)}), &["any"]);
}

#[test]
fn s_a_conversion_asks_at_six_places_at_most() {
    let mut detail = testing::detail();
    let places = |detail: &Value| {
        let change = crate::change::Change::parse_detail(detail, "").unwrap();
        anchors_of(&change.conversion).map(|anchor| anchor.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        places(&detail),
        ["affiliate:aff_7", "offer:off_5", "channel:chn_1", "integration:int_3", "advertiser:adv_2", "any"]
    );
    detail["conversion"]["channel_id"] = Value::Null;
    detail["conversion"]["integration_id"] = Value::Null;
    assert_eq!(places(&detail), ["affiliate:aff_7", "offer:off_5", "advertiser:adv_2", "any"]);
}

#[test]
fn s_a_text_that_is_no_anchor_is_refused() {
    for bad in ["", "all", "any:", "affiliate", "affiliate:", "affiliate:a b", "voucher:x"] {
        assert_eq!(bad.parse::<Anchor>(), Err(NotAnAnchor), "{bad}");
    }
}

/// Operations on an index: rules inserted (again) and removed.
fn steps() -> impl Strategy<Value = Vec<(Id, Option<Conditions>)>> {
    let conditions = prop_oneof![3 => testing::conditions().prop_map(Some), 1 => Just(None)];
    vec((testing::id("trk", 12), conditions), 1..40)
}

proptest! {
    #[test]
    fn s_the_index_finds_what_a_linear_scan_finds(steps in steps(), changes in vec(testing::change(), 1..6)) {
        let mut index = Index::default();
        let mut scanned = BTreeMap::new();
        for (id, conditions) in steps {
            let (before, expected) = match conditions {
                Some(conditions) => {
                    let rule = (id.clone(), conditions.clone());
                    (index.insert(id.clone(), &conditions, rule), scanned.insert(id.clone(), conditions))
                }
                None => (index.remove(&id), scanned.remove(&id)),
            };
            prop_assert_eq!(before.map(|(_, conditions)| conditions), expected);
            prop_assert_eq!(index.get(&id).map(|(_, conditions)| conditions), scanned.get(&id));
            prop_assert_eq!((index.len(), index.is_empty()), (scanned.len(), scanned.is_empty()));
        }
        for change in changes {
            for event in change.events() {
                let fits = |conditions: &Conditions| conditions.fits(&event, &change.transactions);
                let mut candidates: Vec<_> = index.candidates(&event.conversion).map(|(id, _)| id).collect();
                candidates.sort();
                prop_assert!(candidates.windows(2).all(|pair| pair[0] != pair[1]), "each once");
                candidates.retain(|id| fits(&scanned[*id]));
                let expected: Vec<_> = scanned.iter().filter(|(_, conditions)| fits(conditions)).map(|(id, _)| id).collect();
                prop_assert_eq!(candidates, expected);
            }
        }
    }

    #[test]
    fn s_a_fitting_rule_has_one_anchor_of_its_conversion(conditions in testing::conditions(), change in testing::change()) {
        if change.events().iter().any(|event| conditions.fits(event, &change.transactions)) {
            let anchors = anchors(&conditions);
            prop_assert_eq!(anchors_of(&change.conversion).filter(|anchor| anchors.contains(anchor)).count(), 1);
        }
    }
}
