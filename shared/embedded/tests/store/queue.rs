//! The queue: the time and order of hand-outs, and the effect of acks and restarts.

use crate::support::{self, ack, all, at, bodies, commit, fresh, later, open, send, store};
use tracking_embedded::{LaneDepth, Limits};
use tracking_engine::backend::{Ack, Backend, Effects, Item, Key, Lane, Receipt};

#[tokio::test]
async fn a_message_is_handed_out_once_and_gone_when_done() {
    let (store, folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let messages = all(&store, at(0));
    assert_eq!(bodies(&messages), ["a"]);
    assert_eq!(messages[0].receipt, Receipt { lane: Lane::Delivery, handle: "1-1-1".to_owned() });
    assert_eq!(messages[0].receive_id, "1-1-1", "incarnation, message, hand-out");
    assert_eq!(bodies(&all(&store, at(9_999))), [""; 0]);
    ack(&store, vec![Ack::Delete(messages[0].receipt.clone())]).await;
    drop(store);
    assert_eq!(bodies(&all(&open(folder.path()), at(9_999))), [""; 0]);
}

#[tokio::test]
async fn a_message_is_not_handed_out_before_its_time() {
    let (store, _folder) = store();
    all(&store, at(0));
    send(&store, vec![later("g", "late", at(60)), later("g", "soon", at(30))]).await;
    let picked = store.receive(at(29), &Limits::default(), 16);
    assert_eq!((bodies(&picked.messages), picked.next_due), (vec![], Some(at(30))));
    let picked = store.receive(at(30), &Limits::default(), 16);
    assert_eq!((bodies(&picked.messages), picked.next_due), (vec!["soon"], Some(at(60))));
    let picked = store.receive(at(60), &Limits::default(), 16);
    assert_eq!((bodies(&picked.messages), picked.next_due), (vec!["late"], None));
}

#[tokio::test]
async fn a_fraction_of_a_microsecond_is_waited_for() {
    let (store, _folder) = store();
    let due = "2026-11-22T09:00:00.000000001Z".parse().unwrap();
    send(&store, vec![later("g", "a", due)]).await;
    assert_eq!(bodies(&all(&store, at(0))), [""; 0]);
    assert_eq!(bodies(&all(&store, "2026-11-22T09:00:00.000001Z".parse().unwrap())), ["a"]);
}

#[tokio::test]
async fn a_group_is_handed_out_by_time_and_then_as_it_was_sent() {
    let (store, _folder) = store();
    all(&store, at(0));
    send(&store, vec![later("g", "at 9", at(9)), later("g", "at 3", at(3)), later("g", "at 3 too", at(3))]).await;
    all(&store, at(1));
    send(&store, vec![later("g", "at 1", at(0))]).await;
    assert_eq!(bodies(&all(&store, at(9))), ["at 1", "at 3", "at 3 too", "at 9"]);
}

#[tokio::test]
async fn p5_groups_take_turns() {
    let (store, _folder) = store();
    send(&store, vec![fresh("a", "a1"), fresh("a", "a2"), fresh("a", "a3"), fresh("b", "b1"), fresh("c", "c1")]).await;
    assert_eq!(bodies(&all(&store, at(0))), ["a1", "b1", "c1", "a2", "a3"]);
}

#[tokio::test]
async fn p5_a_group_has_only_so_many_out_and_goes_on_after_an_ack() {
    let (store, _folder) = store();
    let limits = Limits { per_group: 2, per_owner: 100, total: 100, ..Limits::default() };
    send(&store, vec![fresh("a", "a1"), fresh("a", "a2"), fresh("a", "a3"), fresh("b", "b1")]).await;
    let first = store.receive(at(0), &limits, 16).messages;
    assert_eq!(bodies(&first), ["a1", "b1", "a2"]);
    assert_eq!(bodies(&store.receive(at(0), &limits, 16).messages), [""; 0]);
    ack(&store, vec![Ack::Delete(first[0].receipt.clone())]).await;
    assert_eq!(bodies(&store.receive(at(0), &limits, 16).messages), ["a3"]);
}

#[tokio::test]
async fn f5_an_owner_has_only_so_many_out_whatever_the_group_and_others_pass_it() {
    let (store, _folder) = store();
    let limits = Limits { per_group: 2, per_owner: 3, total: 100, ..Limits::default() };
    let mut messages: Vec<_> = (1..=5).flat_map(|n| [fresh("o/a", &format!("a{n}")), fresh("o/b", &format!("b{n}"))]).collect();
    messages.extend([fresh("p/x", "x1"), fresh("p/x", "x2"), fresh("none", "n1")]);
    send(&store, messages).await;
    let mut out = store.receive(at(0), &limits, 16).messages;
    assert_eq!(bodies(&out), ["a1", "b1", "x1", "n1", "a2", "x2"]);
    out.retain(|received| received.body.starts_with(['a', 'b']));
    // A message that comes back makes room for the waiting group, in turn; no turn is wasted meanwhile.
    for expected in ["b2", "a3", "b3", "a4", "b4", "a5", "b5"] {
        assert_eq!(bodies(&store.receive(at(0), &limits, 16).messages), [""; 0]);
        ack(&store, vec![Ack::Delete(out.remove(0).receipt)]).await;
        let next = store.receive(at(0), &limits, 16).messages;
        assert_eq!(bodies(&next), [expected]);
        out.extend(next);
    }
}

#[tokio::test]
async fn f5_groups_of_an_owner_at_its_bound_all_come_in_turn_on_every_lane() {
    let (store, _folder) = store();
    let limits = Limits { per_group: 2, per_owner: 4, total: 100, ..Limits::default() };
    all(&store, at(0));
    let mut messages = Vec::new();
    for group in 0..20 {
        for n in 0..10 {
            messages.push(fresh(&format!("o/{group}"), &format!("f{group}-{n}")));
            messages.push(later(&format!("o/{group}"), &format!("r{group}-{n}"), at(0)));
        }
    }
    send(&store, messages).await;
    let (mut out, mut seen) = (Vec::new(), Vec::new());
    while seen.len() < 400 {
        let next = store.receive(at(0), &limits, 16).messages;
        seen.extend(bodies(&next).into_iter().map(str::to_owned));
        out.extend(next);
        assert!(!out.is_empty() && out.len() <= 4, "{} are out after {}", out.len(), seen.len());
        let first = out.remove(0);
        ack(&store, vec![Ack::Delete(first.receipt)]).await;
    }
    let first_hundred: std::collections::BTreeSet<&str> =
        seen[..100].iter().map(|body| body[1..].split('-').next().unwrap()).collect();
    assert_eq!(first_hundred.len(), 20, "each group had its turn");
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 400, "each came once");
}

#[tokio::test]
async fn only_so_many_are_out_in_all_and_the_retry_lane_leaves_a_quarter() {
    let (store, _folder) = store();
    let limits = Limits { per_group: 100, per_owner: 4, total: 4, ..Limits::default() };
    all(&store, at(0));
    send(&store, (0..9).map(|n| later("g", &format!("r{n}"), at(0))).collect()).await;
    assert_eq!(bodies(&store.receive(at(0), &limits, 16).messages), ["r0", "r1", "r2"]);
    send(&store, vec![fresh("g", "f0"), fresh("g", "f1")]).await;
    assert_eq!(bodies(&store.receive(at(0), &limits, 16).messages), ["f0"]);
    assert_eq!(bodies(&store.receive(at(0), &limits, 16).messages), [""; 0]);
}

#[tokio::test]
async fn again_puts_a_message_off_and_gives_it_another_token() {
    let (store, _folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let first = all(&store, at(0)).remove(0);
    ack(&store, vec![Ack::Defer(first.receipt.clone(), at(60))]).await;
    let picked = store.receive(at(59), &support::WIDE, 16);
    assert_eq!((picked.messages.len(), picked.next_due), (0, Some(at(60))));
    let second = all(&store, at(60)).remove(0);
    assert_eq!((second.body.as_str(), second.receive_id.as_str()), ("a", "1-1-2"));
}

#[tokio::test]
async fn again_outlives_a_restart() {
    let (store, folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let first = all(&store, at(0)).remove(0);
    ack(&store, vec![Ack::Defer(first.receipt, at(60))]).await;
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.receive(at(1), &support::WIDE, 16).next_due, Some(at(60)));
    assert_eq!(bodies(&all(&store, at(60))), ["a"]);
}

#[tokio::test]
async fn again_in_the_past_is_at_once() {
    let (store, _folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let first = all(&store, at(10)).remove(0);
    ack(&store, vec![Ack::Defer(first.receipt, at(5))]).await;
    assert_eq!(bodies(&all(&store, at(10))), ["a"]);
}

#[tokio::test]
async fn what_is_handed_back_comes_again_at_its_time() {
    let (store, _folder) = store();
    send(&store, vec![fresh("g", "a"), fresh("g", "b")]).await;
    let first = all(&store, at(0)).remove(0);
    store.hand_back(&first.receipt, at(1));
    assert_eq!(store.receive(at(0), &support::WIDE, 16).next_due, Some(at(1)));
    assert_eq!(bodies(&all(&store, at(1))), ["a"]);
}

#[tokio::test]
async fn what_was_handed_back_comes_at_once_after_a_restart() {
    let (store, folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let first = all(&store, at(0)).remove(0);
    store.hand_back(&first.receipt, at(1_000));
    drop(store);
    assert_eq!(bodies(&all(&open(folder.path()), at(0))), ["a"]);
}

#[tokio::test]
async fn very_many_that_are_handed_back_are_put_off_on_disk() {
    let (store, _folder) = store();
    send(&store, (0..20_005).map(|n| fresh("g", &n.to_string())).collect()).await;
    for message in all(&store, at(0)) {
        store.hand_back(&message.receipt, at(60));
    }
    ack(&store, vec![]).await;
    assert_eq!(bodies(&all(&store, at(59))), [""; 0]);
    assert_eq!(all(&store, at(60)).len(), 20_005);
}

#[tokio::test]
async fn a_stale_receipt_acks_nothing_and_the_rest_of_its_step_is_written() {
    let (store, _folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let stale = all(&store, at(0)).remove(0).receipt;
    store.hand_back(&stale, at(0));
    let valid = all(&store, at(0)).remove(0).receipt;
    let key = Key::new("C#1", "L#1");
    let item = Item { key: key.clone(), rev: 0, body: "{}".to_owned(), expires: None, attention: None };
    commit(&store, Effects { put: vec![item], acks: vec![Ack::Delete(stale.clone())], ..Effects::default() }).await;
    assert!(store.get(&[key]).await.unwrap()[0].is_some());
    store.hand_back(&stale, at(0));
    assert_eq!(bodies(&all(&store, at(0))), [""; 0], "it is still out");
    store.hand_back(&valid, at(0));
    assert_eq!(bodies(&all(&store, at(0))), ["a"]);
}

#[tokio::test]
async fn a_receipt_acks_once() {
    let (store, _folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let receipt = all(&store, at(0)).remove(0).receipt;
    ack(&store, vec![Ack::Delete(receipt.clone()), Ack::Defer(receipt, at(0))]).await;
    assert_eq!(store.depth().unwrap().delivery, LaneDepth::default());
}

#[tokio::test]
async fn a_receipt_of_an_earlier_incarnation_acks_nothing() {
    let (store, folder) = store();
    send(&store, vec![fresh("g", "a")]).await;
    let old = all(&store, at(0)).remove(0);
    drop(store);
    let store = open(folder.path());
    let again = all(&store, at(0)).remove(0);
    assert_eq!((again.body.as_str(), again.receive_id.as_str()), ("a", "2-1-1"));
    ack(&store, vec![Ack::Delete(old.receipt)]).await;
    assert_eq!(store.depth().unwrap().delivery, LaneDepth { ready: 0, waiting: 0, in_flight: 1 });
}

#[tokio::test]
async fn a_restart_makes_every_message_visible_that_was_not_acked() {
    let (store, folder) = store();
    send(&store, vec![fresh("g", "a"), fresh("g", "b"), fresh("h", "c")]).await;
    let messages = all(&store, at(0));
    ack(&store, vec![Ack::Delete(messages[1].receipt.clone())]).await;
    drop(store);
    let store = open(folder.path());
    assert_eq!(store.incarnation(), 2);
    assert_eq!(bodies(&all(&store, at(0))), ["a", "b"]);
}

#[tokio::test]
async fn the_lanes_take_turns() {
    let (store, _folder) = store();
    all(&store, at(0));
    send(&store, vec![fresh("g", "f1"), fresh("h", "f2"), later("g", "r1", at(0)), later("h", "r2", at(0))]).await;
    assert_eq!(bodies(&all(&store, at(0))), ["f1", "r1", "f2", "r2"]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_loses_nothing() {
    let (store, _folder) = store();
    all(&store, at(1_000));
    send(&store, vec![fresh("g", "at once"), later("g", "at 500", at(500)), later("g", "at 1500", at(1_500))]).await;
    for message in all(&store, at(2_000)) {
        store.hand_back(&message.receipt, at(0));
    }
    assert_eq!(bodies(&all(&store, at(0)))[..2], ["at once", "at 500"]);
    send(&store, vec![later("h", "at 20", at(20)), fresh("h", "now")]).await;
    assert_eq!(bodies(&all(&store, at(0))), ["now"]);
    assert!(bodies(&all(&store, at(20))).contains(&"at 20"));
}

#[tokio::test]
async fn the_depth_counts_what_is_ready_waiting_and_out() {
    let (store, folder) = store();
    all(&store, at(0));
    send(&store, vec![fresh("g", "a"), fresh("g", "b"), fresh("g", "c"), later("g", "d", at(60))]).await;
    let out = store.receive(at(0), &support::WIDE, 2).messages;
    store.hand_back(&out[0].receipt, at(5));
    let depth = store.depth().unwrap();
    assert_eq!(depth.delivery, LaneDepth { ready: 1, waiting: 1, in_flight: 1 });
    assert_eq!(depth.retry, LaneDepth { ready: 0, waiting: 1, in_flight: 0 });
    assert_eq!(depth.events, LaneDepth::default());
    drop(store);
    let depth = open(folder.path()).depth().unwrap();
    assert_eq!(depth.delivery, LaneDepth { ready: 3, waiting: 0, in_flight: 0 });
}
