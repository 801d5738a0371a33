//! Clauses about reading a partition, of the table and of the attention index.

use tracking_engine::backend::{Backend, Effects, Item, Order, Partition, Range, Swapped};

use super::Space;

/// Puts items at these places of partition `p`.
async fn fill<B: Backend>(space: &Space<B>, places: &[&str]) {
    space.put(places.iter().map(|sort| space.item(sort, "{}")).collect()).await;
}

fn range(from: Option<&str>, before: Option<&str>) -> Range {
    Range { from: from.map(str::to_owned), before: before.map(str::to_owned) }
}

pub(super) async fn a_partition_is_read_in_order<B: Backend>(space: Space<B>) {
    fill(&space, &["b", "c", "a"]).await;
    space.put(vec![Item { key: space.key("q", "aa"), ..space.item("", "{}") }]).await;
    assert_eq!(space.places("p", Range::default(), Order::Ascending, 9).await, ["a", "b", "c"]);
    assert_eq!(space.places("p", Range::default(), Order::Descending, 9).await, ["c", "b", "a"]);
    let none: [&str; 0] = [];
    assert_eq!(space.places("r", Range::default(), Order::Ascending, 9).await, none);
    let partition = Partition::Table(space.partition("p"));
    let items = space.backend.query(&partition, &Range::default(), Order::Ascending, 1).await;
    assert_eq!(items, Ok(space.read("a").await.into_iter().collect()), "items come whole");
}

pub(super) async fn a_range_has_its_beginning_and_not_its_end<B: Backend>(space: Space<B>) {
    fill(&space, &["a", "b", "c", "d"]).await;
    let check = async |range, ascending: &[&str]| {
        assert_eq!(space.places("p", range, Order::Ascending, 9).await, ascending);
    };
    check(range(Some("b"), Some("d")), &["b", "c"]).await;
    check(range(Some("b"), None), &["b", "c", "d"]).await;
    check(range(None, Some("b")), &["a"]).await;
    check(range(Some("bb"), Some("cc")), &["c"]).await;
    check(range(Some("e"), None), &[]).await;
    assert_eq!(space.places("p", range(Some("b"), Some("d")), Order::Descending, 9).await, ["c", "b"]);
    assert_eq!(space.places("p", range(Some("b"), Some("d")), Order::Descending, 1).await, ["c"]);
}

pub(super) async fn a_range_that_ends_before_it_begins_is_empty<B: Backend>(space: Space<B>) {
    fill(&space, &["a", "b", "c"]).await;
    let none: [&str; 0] = [];
    assert_eq!(space.places("p", range(Some("c"), Some("a")), Order::Ascending, 9).await, none);
    assert_eq!(space.places("p", range(Some("b"), Some("b")), Order::Descending, 9).await, none);
}

pub(super) async fn a_prefix_finds_what_begins_with_it<B: Backend>(space: Space<B>) {
    fill(&space, &["D", "D#", "D#1", "D#1#A#01", "D#ž", "D#😀", "D$", "E#1"]).await;
    assert_eq!(space.places("p", Range::prefix("D#"), Order::Ascending, 9).await, ["D#", "D#1", "D#1#A#01", "D#ž", "D#😀"]);
    assert_eq!(space.places("p", Range::prefix("D#1"), Order::Descending, 9).await, ["D#1#A#01", "D#1"]);
}

pub(super) async fn places_are_ordered_by_bytes<B: Backend>(space: Space<B>) {
    fill(&space, &["😀", "ž", "a", "\u{FFFD}", "Z", "é", "10", "e\u{301}", "9", "€", "A", " ", "~", "aa"]).await;
    let ordered = [" ", "10", "9", "A", "Z", "a", "aa", "e\u{301}", "~", "é", "ž", "€", "\u{FFFD}", "😀"];
    assert_eq!(space.places("p", Range::default(), Order::Ascending, 99).await, ordered);
    assert_eq!(space.places("p", range(Some("é"), Some("\u{FFFD}")), Order::Ascending, 99).await, ["é", "ž", "€"]);
}

pub(super) async fn a_limit_is_kept_from_either_end<B: Backend>(space: Space<B>) {
    fill(&space, &["a", "b", "c", "d"]).await;
    assert_eq!(space.places("p", Range::default(), Order::Ascending, 2).await, ["a", "b"]);
    assert_eq!(space.places("p", Range::default(), Order::Descending, 2).await, ["d", "c"]);
    assert_eq!(space.places("p", Range::default(), Order::Ascending, 4).await, ["a", "b", "c", "d"]);
    assert_eq!(space.places("p", Range::default(), Order::Ascending, 5).await, ["a", "b", "c", "d"]);
}

/// Checks that a store that reads by pages of a megabyte goes on to the limit.
pub(super) async fn fewer_than_the_limit_means_no_more_however_large_they_are<B: Backend>(space: Space<B>) {
    let body = "0123456789".repeat(30_000);
    for sort in ["a", "b", "c", "d", "e", "f", "g"] {
        space.put(vec![space.item(sort, &body)]).await;
    }
    assert_eq!(space.places("p", Range::default(), Order::Ascending, 9).await, ["a", "b", "c", "d", "e", "f", "g"]);
    assert_eq!(space.places("p", Range::default(), Order::Descending, 6).await, ["g", "f", "e", "d", "c", "b"]);
}

pub(super) async fn trouble_appears_moves_and_disappears<B: Backend>(space: Space<B>) {
    assert_eq!(space.swap_item("a", None, Some(space.item("a", "{}"))).await, Swapped::Done);
    check(&space, "failed", &[]).await;
    assert_eq!(space.swap_item("a", Some(1), Some(space.troubled("a", "failed", "1"))).await, Swapped::Done);
    check(&space, "failed", &["a"]).await;
    assert_eq!(space.swap_item("a", Some(2), Some(space.troubled("a", "exhausted", "1"))).await, Swapped::Done);
    check(&space, "exhausted", &["a"]).await;
    check(&space, "failed", &[]).await;
    assert_eq!(space.swap_item("a", Some(3), Some(space.item("a", "{}"))).await, Swapped::Done);
    check(&space, "exhausted", &[]).await;
}

pub(super) async fn trouble_is_set_by_puts_as_by_swaps<B: Backend>(space: Space<B>) {
    space.put(vec![space.troubled("a", "failed", "1"), space.troubled("b", "failed", "2")]).await;
    check(&space, "failed", &["a", "b"]).await;
    space.put(vec![space.troubled("a", "failed", "3"), space.item("c", "{}")]).await;
    check(&space, "failed", &["b", "a"]).await;
    space.put(vec![space.item("b", "{}")]).await;
    check(&space, "failed", &["a"]).await;
}

pub(super) async fn trouble_goes_with_its_item<B: Backend>(space: Space<B>) {
    space.put(vec![space.troubled("a", "failed", "1"), space.troubled("b", "failed", "2")]).await;
    check(&space, "failed", &["a", "b"]).await;
    space.commit(Effects { delete: vec![space.key("p", "a")], ..Effects::default() }).await;
    check(&space, "failed", &["b"]).await;
    let rev = space.read("b").await.map(|item| item.rev);
    assert_eq!(space.swap("b", rev, None).await, Swapped::Done);
    check(&space, "failed", &[]).await;
}

pub(super) async fn trouble_is_read_in_order_and_in_ranges<B: Backend>(space: Space<B>) {
    let items = [("a", "3"), ("b", "1"), ("c", "2"), ("d", "ž")].map(|(sort, place)| space.troubled(sort, "failed", place));
    space.put(items.into()).await;
    space.put(vec![space.troubled("e", "failed#", "0")]).await;
    let check = async |range, order, limit, expected: &[&str]| {
        space.check_trouble("failed", range, order, limit, expected).await;
    };
    check(Range::default(), Order::Ascending, 9, &["b", "c", "a", "d"]).await;
    check(Range::default(), Order::Descending, 9, &["d", "a", "c", "b"]).await;
    check(Range::default(), Order::Ascending, 2, &["b", "c"]).await;
    check(Range::default(), Order::Descending, 2, &["d", "a"]).await;
    check(range(Some("2"), Some("ž")), Order::Ascending, 9, &["c", "a"]).await;
    check(range(Some("2"), None), Order::Descending, 9, &["d", "a", "c"]).await;
}

/// Checks all items in a partition of the attention index.
async fn check<B: Backend>(space: &Space<B>, partition: &str, expected: &[&str]) {
    space.check_trouble(partition, Range::default(), Order::Ascending, 9, expected).await;
}
