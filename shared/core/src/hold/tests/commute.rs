//! Changes in any order, and repeated ones, lead to the same hold; and a subject has one final postback.

use std::collections::BTreeMap;

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
};

use super::*;

/// The effect of one change: on the conversion, the platform's `settled`, and each transaction's new result, if it gets one.
type Story = (&'static str, Option<bool>, [Option<&'static str>; 3]);

fn story() -> impl Strategy<Value = Story> {
    let settled = prop_oneof![6 => Just(None), 1 => option::of(any::<bool>())];
    let results = || option::of(select(&["pending", "approved", "rejected"][..]));
    (select(&["updated", "unchanged"][..]), settled, [results(), results(), results()])
}

/// The changes of a conversion, version by version; each lists all transactions that there are by then.
fn changes(stories: &[Story]) -> Vec<Change> {
    const IDS: [&str; 3] = ["trx_0", "trx_1", "trx_2"];
    let mut now: BTreeMap<&str, &str> = BTreeMap::new();
    let mut changes = Vec::new();
    for (version, (kind, settled, results)) in (1..).zip(stories) {
        let kind = if version == 1 { "created" } else { kind };
        let before = now.clone();
        now.extend(IDS.into_iter().zip(results).filter_map(|(id, result)| Some((id, (*result)?))));
        let what = |id| match before.get(id) {
            None => "created",
            Some(result) if now.get(id) == Some(result) => "unchanged",
            Some(_) => "updated",
        };
        let listed: Vec<_> = now.iter().map(|(id, result)| (*id, what(*id), *result)).collect();
        changes.push(change(version, kind, *settled, &listed));
    }
    changes
}

/// A trigger by its number, 1 to 6.
fn trigger() -> impl Strategy<Value = Trigger> {
    select(&Trigger::ALL[..])
}

fn absorbed<'a>(changes: impl IntoIterator<Item = &'a Change>, trigger: Trigger) -> Hold {
    let mut now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
    let mut hold: Option<Hold> = None;
    for change in changes {
        let hold = hold.get_or_insert_with(|| Hold::begin(change, now));
        let owed = hold.absorb(change, &fired(change, trigger), Final::default(), now);
        assert_eq!(owed, [], "nothing was sent before");
        now += SignedDuration::from_secs(1);
    }
    hold.unwrap()
}

proptest! {
    #[test]
    fn f1_updates_commute(
        stories in vec(story(), 1..=6),
        trigger in trigger(),
        repeats in vec(any::<Index>(), 0..4),
        order in Just((0..10_usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let changes = changes(&stories);
        let mut arrivals: Vec<&Change> = changes.iter().chain(repeats.iter().map(|index| index.get(&changes))).collect();
        let places: Vec<usize> = order.into_iter().filter(|place| *place < arrivals.len()).collect();
        arrivals = places.into_iter().map(|place| arrivals[place]).collect();
        let (in_order, shuffled) = (absorbed(&changes, trigger), absorbed(arrivals, trigger));
        prop_assert_eq!(&in_order.newest, &shuffled.newest);
        prop_assert_eq!(&in_order.subjects, &shuffled.subjects);
        prop_assert!(in_order.subjects.values().all(|held| held.phase == Phase::Held));
        prop_assert_eq!(in_order.settled_at.is_some(), shuffled.settled_at.is_some());
        prop_assert_eq!(in_order.is_open(), shuffled.is_open());
        let events = |hold: &Hold| -> Vec<_> {
            hold.subjects.keys().map(|subject| hold.event_about(subject)).collect()
        };
        prop_assert_eq!(events(&in_order), events(&shuffled));
    }

    #[test]
    fn f1_one_final_postback_a_subject_ever(
        stories in vec(story(), 1..=6),
        arrivals in vec((any::<Index>(), 0..100_i64, any::<bool>()), 1..20),
        trigger in trigger(),
        settle_seconds in select(&[0, 86_400 * 7][..]),
        send_current in any::<bool>(),
        corrections in any::<bool>(),
    ) {
        let on_expiry = if send_current { OnExpiry::SendCurrent } else { OnExpiry::Expire };
        let delay = Final { settle_seconds, max_hold_days: 60, on_expiry, corrections };
        let changes = changes(&stories);
        let mut now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let mut hold: Option<Hold> = None;
        let mut finals: BTreeMap<Subject, u32> = BTreeMap::new();
        let mut sent_before: BTreeMap<Subject, u64> = BTreeMap::new();
        for (index, days, fits) in arrivals {
            let change = index.get(&changes);
            let hold = hold.get_or_insert_with(|| Hold::begin(change, now));
            let mut owed = hold.absorb(change, &fired(change, trigger), delay, now);
            now += SignedDuration::from_hours(24 * days);
            owed.extend(hold.owed(delay, now));
            for due in owed {
                let version = due.event.conversion.version;
                let sent = fits && due.instead.is_none();
                if due.kind == PostbackKind::Final {
                    *finals.entry(due.subject.clone()).or_default() += 1;
                }
                if due.event.is_correction {
                    prop_assert!(corrections && sent_before.contains_key(&due.subject), "a correction of nothing");
                }
                if sent {
                    let before = sent_before.insert(due.subject.clone(), version);
                    prop_assert!(before.is_none_or(|before| before < version || due.kind == PostbackKind::Late), "backwards (P3)");
                }
                hold.conclude(&due, sent);
            }
            let again = hold.owed(delay, now);
            prop_assert_eq!(again, [], "what is concluded is owed no more");
            prop_assert!(hold.due(delay).is_none_or(|due| due > now), "a hold is never left without a later look");
            prop_assert_eq!(hold.held_since.is_some(), hold.is_open());
        }
        prop_assert!(finals.values().all(|count| *count == 1), "{finals:?}");
    }
}
