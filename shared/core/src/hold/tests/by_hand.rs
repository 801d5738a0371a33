//! Resends of held deliveries by a person before the release.

use super::*;

#[test]
fn f3_a_postback_sent_by_a_person_is_final_only_if_the_conversion_is_settled() {
    let sent_by_hand = |play: &mut Play, is_own| {
        let held = fired(&sale(1, "pending"), Trigger::TransactionAll).remove(0);
        let kept = play.hold.as_mut().unwrap();
        let due = kept.as_known_now(&held);
        kept.sent_by_hand(&due, &held, is_own);
        (due.event.conversion.version, kept.subjects[&due.subject].phase)
    };
    let mut play = Play::new(Final { settle_seconds: 60, ..Final::default() });
    play.take(&sale(1, "pending"));
    assert_eq!(sent_by_hand(&mut play, false), (1, Phase::Held), "another delivery is held");
    assert_eq!(sent_by_hand(&mut play, true), (1, Phase::SentAsWas));
    assert_eq!(play.held().len(), 0);
    play.take(&sale(2, "approved"));
    assert_eq!(sent_by_hand(&mut play, true), (2, Phase::Released(2)));
    assert_eq!(play.due(), None);
    play.take(&sale(3, "pending"));
    assert_eq!(sent_by_hand(&mut play, true), (3, Phase::Released(2)), "the final one stays the final one");
    play.hold.as_mut().unwrap().subjects.clear();
    assert_eq!(sent_by_hand(&mut play, true), (3, Phase::SentAsWas), "the rule was switched off in between");
    let transaction = play.hold().subjects.values().next().unwrap().transaction.clone().unwrap();
    assert_eq!(transaction, sale(3, "pending").transactions[0]);
}
