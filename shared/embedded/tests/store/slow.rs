//! Groups that are slow have slots of their own (P5).

use tracking_embedded::{Limits, Store};
use tracking_engine::backend::{Ack, Received};

use super::support::{ack, at, fresh, send, store};

const LIMITS: Limits = Limits { per_group: 8, per_owner: 8, total: 8, unproven: 2, slow_per_group: 3, slow_total: 4 };

fn pick(store: &Store, seconds: i64) -> Vec<Received> {
    store.receive(at(seconds), &LIMITS, 100).messages
}

fn groups(picked: &[Received]) -> Vec<&str> {
    picked.iter().map(|message| &message.body[..1]).collect()
}

async fn done(store: &Store, messages: Vec<Received>) {
    ack(store, messages.into_iter().map(|message| Ack::Delete(message.receipt)).collect()).await;
}

#[tokio::test]
async fn p5_a_group_has_two_out_until_one_is_acked_in_time() {
    let (store, _folder) = store();
    send(&store, (0..20).map(|n| fresh("o/a", &format!("a{n}"))).collect()).await;
    let first = pick(&store, 0);
    assert_eq!(first.len(), 2);
    done(&store, first).await;
    assert_eq!(pick(&store, 1).len(), 8);
}

#[tokio::test]
async fn p5_messages_that_are_out_for_three_seconds_make_room_for_others() {
    let (store, _folder) = store();
    for group in ["a", "b", "c", "d"] {
        send(&store, (0..20).map(|n| fresh(&format!("{group}/{group}"), &format!("{group}{n}"))).collect()).await;
    }
    let hanging = pick(&store, 0);
    assert_eq!(groups(&hanging), ["a", "b", "c", "d", "a", "b", "c", "d"]);
    send(&store, (0..20).map(|n| fresh("z/z", &format!("z{n}"))).collect()).await;
    assert_eq!(pick(&store, 2).len(), 0, "all slots are taken");
    let picked = store.receive(at(2), &LIMITS, 0);
    assert_eq!(picked.next_due, Some(at(3)), "then it is known that they hang");
    let others = pick(&store, 3);
    assert_eq!(groups(&others), ["z", "z"], "no slow slot is left");
    done(&store, others).await;
    assert_eq!(groups(&pick(&store, 4)), ["z"; 8]);
}

#[tokio::test]
async fn p5_a_slow_group_is_fast_again_after_two_in_time() {
    let (store, _folder) = store();
    send(&store, (0..40).map(|n| fresh("a/a", &format!("a{n}"))).collect()).await;
    let mut out = pick(&store, 0);
    out.extend(pick(&store, 3));
    assert_eq!(out.len(), 3, "as many as a slow group may have");
    done(&store, vec![out.remove(2)]).await;
    let next = pick(&store, 3);
    assert_eq!(next.len(), 1);
    done(&store, next).await;
    assert_eq!(pick(&store, 4).len(), 6, "those that hang are two of its eight");
}
