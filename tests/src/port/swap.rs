//! Clauses about reading by key, and compare-and-set.

use tracking_engine::backend::{Backend, Item, Swap, Swapped};

use super::Space;

pub(super) async fn what_is_absent_reads_as_none<B: Backend>(space: Space<B>) {
    assert_eq!(space.read("a").await, None);
}

pub(super) async fn a_swap_that_expects_nothing_creates_at_revision_one<B: Backend>(space: Space<B>) {
    let item = Item { rev: 77, ..space.item("a", "1") };
    assert_eq!(space.swap_item("a", None, Some(item)).await, Swapped::Done);
    assert_eq!(space.read("a").await, Some(Item { rev: 1, ..space.item("a", "1") }));
}

pub(super) async fn a_swap_that_expects_nothing_conflicts_with_an_existing_item<B: Backend>(space: Space<B>) {
    let stored = Item { rev: 1, ..space.troubled("a", "t", "x") };
    assert_eq!(space.swap_item("a", None, Some(stored.clone())).await, Swapped::Done);
    assert_eq!(space.swap("a", None, Some("2")).await, Swapped::Conflict(Some(stored.clone())));
    assert_eq!(space.swap("a", None, None).await, Swapped::Conflict(Some(stored.clone())));
    assert_eq!(space.read("a").await, Some(stored));
}

pub(super) async fn a_swap_replaces_only_the_revision_it_read<B: Backend>(space: Space<B>) {
    assert_eq!(space.swap("a", Some(1), Some("1")).await, Swapped::Conflict(None));
    assert_eq!(space.swap("a", None, Some("1")).await, Swapped::Done);
    assert_eq!(space.swap("a", Some(1), Some("2")).await, Swapped::Done);
    let stored = Item { rev: 2, ..space.item("a", "2") };
    assert_eq!(space.swap("a", Some(1), Some("3")).await, Swapped::Conflict(Some(stored.clone())));
    assert_eq!(space.swap("a", Some(3), Some("3")).await, Swapped::Conflict(Some(stored)));
    assert_eq!(space.rev_and_body("a").await, Some((2, "2".to_owned())));
}

pub(super) async fn a_swap_removes_only_the_revision_it_read<B: Backend>(space: Space<B>) {
    assert_eq!(space.swap("a", Some(1), None).await, Swapped::Conflict(None));
    assert_eq!(space.swap("a", None, Some("1")).await, Swapped::Done);
    let stored = Item { rev: 1, ..space.item("a", "1") };
    assert_eq!(space.swap("a", Some(2), None).await, Swapped::Conflict(Some(stored)));
    assert_eq!(space.swap("a", Some(1), None).await, Swapped::Done);
    assert_eq!(space.read("a").await, None);
}

pub(super) async fn a_swap_of_nothing_by_nothing_is_done<B: Backend>(space: Space<B>) {
    assert_eq!(space.swap("a", None, None).await, Swapped::Done);
    assert_eq!(space.read("a").await, None);
}

pub(super) async fn what_is_removed_begins_again_at_revision_one<B: Backend>(space: Space<B>) {
    assert_eq!(space.swap("a", None, Some("1")).await, Swapped::Done);
    assert_eq!(space.swap("a", Some(1), Some("2")).await, Swapped::Done);
    assert_eq!(space.swap("a", Some(2), None).await, Swapped::Done);
    assert_eq!(space.swap("a", Some(2), Some("3")).await, Swapped::Conflict(None));
    assert_eq!(space.swap("a", None, Some("4")).await, Swapped::Done);
    assert_eq!(space.rev_and_body("a").await, Some((1, "4".to_owned())));
}

pub(super) async fn swaps_of_one_slice_are_each_on_their_own<B: Backend>(space: Space<B>) {
    assert_eq!(space.swap("b", None, Some("1")).await, Swapped::Done);
    let swap = |sort: &str| Swap { key: space.key("p", sort), expect: None, new: Some(space.item(sort, "2")) };
    let stored = Item { rev: 1, ..space.item("b", "1") };
    let outcomes = space.backend.swap(vec![swap("a"), swap("b"), swap("c")]).await;
    assert_eq!(outcomes, [Swapped::Done, Swapped::Conflict(Some(stored)), Swapped::Done]);
    assert_eq!(space.rev_and_body("a").await, Some((1, "2".to_owned())));
    assert_eq!(space.rev_and_body("b").await, Some((1, "1".to_owned())));
    assert_eq!(space.rev_and_body("c").await, Some((1, "2".to_owned())));
}

pub(super) async fn of_two_swaps_of_one_slice_one_is_done<B: Backend>(space: Space<B>) {
    let swap = |body| Swap { key: space.key("p", "a"), expect: None, new: Some(space.item("a", body)) };
    let outcomes = space.backend.swap(vec![swap("1"), swap("2")]).await;
    check_one_done(&space, &outcomes, &["1", "2"]).await;
}

pub(super) async fn of_two_swaps_at_once_one_is_done<B: Backend>(space: Space<B>) {
    let (one, two) = tokio::join!(space.swap("a", None, Some("1")), space.swap("a", None, Some("2")));
    check_one_done(&space, &[one, two], &["1", "2"]).await;
}

/// Checks that exactly one of the swaps is done; the others got the item that was written meanwhile.
async fn check_one_done<B: Backend>(space: &Space<B>, outcomes: &[Swapped], bodies: &[&str]) {
    let done: Vec<_> = outcomes.iter().zip(bodies).filter(|(outcome, _)| **outcome == Swapped::Done).collect();
    let [(_, body)] = done[..] else { panic!("{} of {outcomes:?} are done", done.len()) };
    let stored = Item { rev: 1, ..space.item("a", body) };
    for outcome in outcomes.iter().filter(|outcome| **outcome != Swapped::Done) {
        assert_eq!(*outcome, Swapped::Conflict(Some(stored.clone())));
    }
    assert_eq!(space.read("a").await, Some(stored));
}

pub(super) async fn counting_together_loses_no_count<B: Backend>(space: Space<B>) {
    let counters = (0..8).map(|_| {
        let space = space.clone();
        tokio::spawn(async move {
            for _ in 0..5 {
                count(&space).await;
            }
        })
    });
    for counter in counters.collect::<Vec<_>>() {
        counter.await.expect("a counter goes on to its end");
    }
    assert_eq!(space.rev_and_body("a").await, Some((40, "40".to_owned())));
}

/// Adds one to the number that item `a` holds.
async fn count<B: Backend>(space: &Space<B>) {
    let mut current = space.rev_and_body("a").await;
    loop {
        let number = current.as_ref().map_or(0, |(_, body)| body.parse::<u64>().expect("the body is a number"));
        let expect = current.as_ref().map(|(rev, _)| *rev);
        match space.swap("a", expect, Some(&(number + 1).to_string())).await {
            Swapped::Done => return,
            Swapped::Conflict(since) => current = since.map(|item| (item.rev, item.body)),
            Swapped::Unavailable(fault) => panic!("{fault}"),
        }
    }
}

pub(super) async fn items_are_answered_in_the_order_of_their_keys<B: Backend>(space: Space<B>) {
    space.put(vec![space.item("a", "1"), space.item("b", "2")]).await;
    let keys = ["b", "x", "a", "b"].map(|sort| space.key("p", sort));
    let items = space.backend.get(&keys).await.expect("the store is there");
    let bodies: Vec<_> = items.iter().map(|item| item.as_ref().map(|item| item.body.as_str())).collect();
    assert_eq!(bodies, [Some("2"), None, Some("1"), Some("2")]);
}

pub(super) async fn a_hundred_items_are_swapped_and_read_in_one_slice<B: Backend>(space: Space<B>) {
    let names: Vec<_> = (0..120).map(|n| format!("{n:03}")).collect();
    let swap = |sort: &String| Swap { key: space.key("p", sort), expect: None, new: Some(space.item(sort, sort)) };
    assert_eq!(space.backend.swap(names.iter().map(swap).collect()).await, vec![Swapped::Done; 120]);
    let keys: Vec<_> = names.iter().map(|sort| space.key("p", sort)).collect();
    let items = space.backend.get(&keys).await.expect("the store is there");
    assert_eq!(items.into_iter().flatten().map(|item| item.body).collect::<Vec<_>>(), names);
}

pub(super) async fn empty_slices_are_answered_by_empty_ones<B: Backend>(space: Space<B>) {
    assert_eq!(space.backend.get(&[]).await, Ok(Vec::new()));
    assert_eq!(space.backend.swap(Vec::new()).await, []);
    assert_eq!(space.backend.commit(Vec::new()).await, []);
}

pub(super) async fn the_run_is_the_same_for_every_handle<B: Backend>(space: Space<B>) {
    assert_eq!(space.backend.incarnation(), space.backend.clone().incarnation());
}
