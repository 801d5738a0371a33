//! Very long queues: memory stays bounded, nothing is lost or handed out twice, and no group waits for a crowd (P5).

use std::collections::HashSet;

use crate::support::{self, ack, all, at, bodies, fresh, later, open, send, store};
use tracking_embedded::Limits;
use tracking_engine::backend::Ack;

#[tokio::test]
async fn p5_a_hundred_thousand_messages_of_one_group_hold_up_no_other() {
    let (store, _folder) = store();
    for hundred in 0..100 {
        send(&store, (0..1_000).map(|n| fresh("slow", &format!("{hundred}-{n}"))).collect()).await;
    }
    send(&store, vec![fresh("quick", "me")]).await;
    let picked = store.receive(at(0), &Limits::default(), 2).messages;
    assert_eq!(bodies(&picked), ["0-0", "me"]);
    assert_eq!(store.depth().unwrap().in_memory, 255, "the slow group keeps 256, one of which is out");
}

#[tokio::test]
async fn a_long_group_is_handed_out_whole_in_order_and_once() {
    let (store, _folder) = store();
    let limits = Limits { per_group: 64, per_owner: 64, total: 64, ..Limits::default() };
    let mut seen = Vec::new();
    send(&store, (0..3_000).map(|n| fresh("g", &n.to_string())).collect()).await;
    for round in 0_usize.. {
        let picked = store.receive(at(0), &limits, 50).messages;
        if picked.is_empty() {
            break;
        }
        seen.extend(picked.iter().map(|message| message.body.parse::<usize>().unwrap()));
        if round < 20 {
            send(&store, vec![fresh("g", &(3_000 + round).to_string())]).await;
        }
        ack(&store, picked.into_iter().map(|message| Ack::Delete(message.receipt)).collect()).await;
    }
    assert_eq!(seen, (0..3_020).collect::<Vec<_>>());
}

#[tokio::test]
async fn memory_is_bounded_over_all_groups_too() {
    let (store, _folder) = store();
    for group in 0..100 {
        send(&store, (0..200).map(|n| fresh(&group.to_string(), &n.to_string())).collect()).await;
    }
    assert_eq!(store.depth().unwrap().in_memory, 8_192);
    let messages = all(&store, at(0));
    assert_eq!(messages.len(), 20_000);
    assert_eq!(messages.iter().map(|message| &message.receipt.handle).collect::<HashSet<_>>().len(), 20_000);
    let first: Vec<_> = messages[..100].iter().map(|message| message.body.as_str()).collect();
    assert_eq!(first, ["0"; 100], "each group in turn");
}

#[tokio::test]
async fn memory_is_bounded_in_bytes() {
    let (store, _folder) = store();
    let body = "x".repeat(250_000);
    for group in 0..10 {
        send(&store, (0..20).map(|_| fresh(&group.to_string(), &body)).collect()).await;
    }
    assert_eq!(store.depth().unwrap().in_memory, 68, "16 MiB of them");
    assert_eq!(all(&store, at(0)).len(), 200);
}

#[tokio::test]
async fn ten_thousand_that_fall_due_at_once_all_come() {
    let (store, folder) = store();
    all(&store, at(0));
    for group in 0..10 {
        send(&store, (0..1_000).map(|n| later(&group.to_string(), &n.to_string(), at(60))).collect()).await;
    }
    drop(store);
    let store = open(folder.path());
    assert_eq!(all(&store, at(59)).len(), 0);
    let mut count = 0;
    loop {
        let picked = store.receive(at(60), &support::WIDE, 500);
        count += picked.messages.len();
        if picked.messages.is_empty() {
            assert_eq!(picked.next_due, None);
            break;
        }
    }
    assert_eq!(count, 10_000);
}

/// A small generator of pseudo-random numbers, so that each history is the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test]
async fn whatever_is_done_with_them_every_message_is_done_once() {
    for seed in 1..=4 {
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let (mut store, folder) = store();
        let (mut now, mut sent, mut done, mut out) = (0_i64, 0, HashSet::new(), Vec::new());
        for step in 0.. {
            if step < 400 {
                let group = dice.roll(4).to_string();
                let count = dice.roll(30);
                let batch = (sent..sent + count).map(|n| match n % 3 {
                    0 => later(&group, &n.to_string(), at(now + i64::try_from(n % 40).unwrap())),
                    _ => fresh(&group, &n.to_string()),
                });
                send(&store, batch.collect()).await;
                sent += count;
            } else if done.len() == usize::try_from(sent).unwrap() {
                break;
            }
            assert!(step < 20_000, "seed {seed}: {} of {sent} never came", usize::try_from(sent).unwrap() - done.len());
            now += i64::try_from(dice.roll(3)).unwrap();
            let limits = Limits { per_group: 40, per_owner: 100, total: 100, ..Limits::default() };
            out.extend(store.receive(at(now), &limits, usize::try_from(dice.roll(40)).unwrap()).messages);
            while let Some(message) = out.pop() {
                match dice.roll(8) {
                    0 => store.hand_back(&message.receipt, at(now + i64::try_from(dice.roll(20)).unwrap())),
                    1 => {
                        let again = at(now + i64::try_from(dice.roll(20)).unwrap());
                        ack(&store, vec![Ack::Defer(message.receipt, again)]).await;
                    }

                    2 if step < 400 => {
                        out.push(message);
                        break;
                    }
                    _ => {
                        ack(&store, vec![Ack::Delete(message.receipt)]).await;
                        assert!(done.insert(message.body.clone()), "seed {seed}: {} came twice", message.body);
                    }
                }
            }
            if dice.roll(100) == 0 {
                out.clear();
                drop(store);
                store = open(folder.path());
            }
        }
        assert_eq!(all(&store, at(now + 10_000)).len(), 0);
        let depth = store.depth().unwrap();
        assert_eq!((depth.delivery.ready, depth.retry.ready, depth.in_memory), (0, 0, 0));
    }
}
