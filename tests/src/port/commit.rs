//! Clauses about effects.

use tracking_core::json;
use tracking_engine::backend::{Backend, Effects, Item, Lane, Message, Order, Published, Range, Swapped};

use super::{Space, time};

pub(super) async fn a_put_has_a_revision_that_none_has_read<B: Backend>(space: Space<B>) {
    let mut revs = Vec::new();
    for body in ["1", "2", "2"] {
        space.put(vec![Item { rev: 9, ..space.item("a", body) }]).await;
        revs.push(space.rev_and_body("a").await.expect("the item exists").0);
    }
    assert_eq!(space.swap("a", Some(revs[2]), Some("3")).await, Swapped::Done);
    assert_eq!(space.rev_and_body("a").await, Some((revs[2] + 1, "3".to_owned())));
    revs.push(revs[2] + 1);
    space.put(vec![space.item("a", "4")]).await;
    revs.push(space.rev_and_body("a").await.expect("the item exists").0);
    revs.sort_unstable();
    revs.dedup();
    assert_eq!(revs.len(), 5, "{revs:?}");
}

pub(super) async fn a_put_makes_a_swap_that_read_before_it_conflict<B: Backend>(space: Space<B>) {
    assert_eq!(space.swap("a", None, Some("1")).await, Swapped::Done);
    space.put(vec![space.item("a", "1")]).await;
    let outcome = space.swap("a", Some(1), Some("2")).await;
    assert_eq!(outcome, Swapped::Conflict(space.read("a").await));
    assert_eq!(space.body("a").await.as_deref(), Some("1"));
}

pub(super) async fn a_delete_removes_and_may_be_repeated<B: Backend>(space: Space<B>) {
    space.put(vec![space.item("a", "1"), space.item("b", "1")]).await;
    let delete = || Effects { delete: vec![space.key("p", "a")], ..Effects::default() };
    space.commit(delete()).await;
    space.commit(delete()).await;
    assert_eq!(space.read("a").await, None);
    assert_eq!(space.body("b").await, Some("1".to_owned()));
}

pub(super) async fn a_put_replaces_everything<B: Backend>(space: Space<B>) {
    let expires = Some(time("2099-11-22T09:00:00Z"));
    space.put(vec![Item { expires, ..space.troubled("a", "t", "x") }]).await;
    assert_eq!(space.whole("a").await, Some(Item { expires, ..space.troubled("a", "t", "x") }));
    space.put(vec![space.item("a", "2")]).await;
    assert_eq!(space.whole("a").await, Some(space.item("a", "2")));
}

pub(super) async fn effects_of_one_slice_are_each_on_their_own<B: Backend>(space: Space<B>) {
    space.put(vec![space.item("b", "1")]).await;
    let put = |sort: &str| Effects { put: vec![space.item(sort, "2")], ..Effects::default() };
    let delete = Effects { delete: vec![space.key("p", "b")], ..Effects::default() };
    let outcomes = space.backend.commit(vec![put("a"), delete, Effects::default(), put("c")]).await;
    assert_eq!(outcomes, [Ok(()), Ok(()), Ok(()), Ok(())]);
    assert_eq!(space.body("a").await, Some("2".to_owned()));
    assert_eq!(space.read("b").await, None);
    assert_eq!(space.body("c").await, Some("2".to_owned()));
}

pub(super) async fn everything_of_a_step_is_taken<B: Backend>(space: Space<B>) {
    space.put(vec![space.item("b", "1")]).await;
    let message = |lane, not_before| Message { lane, group: space.name.clone(), not_before, body: "{}".to_owned() };
    let at = time("2026-11-22T09:00:00Z");
    let event = |detail_type| Published::new(at, detail_type, json!({"value": "12.50", "text": "Žluťoučký \" kůň"}));
    space
        .commit(Effects {
            publish: vec![event("Delivery Ended"), event("Receiver Down")],
            send: vec![message(Lane::Events, None), message(Lane::Delivery, None), message(Lane::Retry, Some(at))],
            put: vec![space.item("a", "1"), space.item("c", "1")],
            put_published: vec![space.item("c", "2")],
            delete: vec![space.key("p", "b")],
            acks: Vec::new(),
        })
        .await;
    assert_eq!(space.body("a").await, Some("1".to_owned()));
    assert_eq!(space.body("c").await, Some("2".to_owned()));
    assert_eq!(space.read("b").await, None);
}

pub(super) async fn a_hundred_puts_and_deletes_are_one_step<B: Backend>(space: Space<B>) {
    let names = |from: u32| (from..from + 100).map(|n| format!("{n:03}"));
    space.put(names(0).map(|sort| space.item(&sort, "1")).collect()).await;
    let put = names(100).map(|sort| space.item(&sort, "2")).collect();
    let delete = names(0).map(|sort| space.key("p", &sort)).collect();
    space.commit(Effects { put, delete, ..Effects::default() }).await;
    let places = space.places("p", Range::default(), Order::Ascending, 1_000).await;
    assert_eq!(places, names(100).collect::<Vec<_>>());
}

pub(super) async fn bodies_are_kept_to_the_letter<B: Backend>(space: Space<B>) {
    let bodies = ["", "{}", r#"{"a":"\u0000\"\\"}"#, "line\r\nline\ttab", "Žluťoučký kůň 😀 \u{FFFD}\u{10FFFF}", "' OR 1=1 --"];
    for (n, body) in bodies.iter().enumerate() {
        space.put(vec![space.item(&format!("put {n}"), body)]).await;
        assert_eq!(space.body(&format!("put {n}")).await, Some((*body).to_owned()));
        assert_eq!(space.swap(&format!("swap {n}"), None, Some(body)).await, Swapped::Done);
        assert_eq!(space.rev_and_body(&format!("swap {n}")).await, Some((1, (*body).to_owned())));
    }
}

pub(super) async fn bodies_of_three_hundred_kilobytes_are_kept<B: Backend>(space: Space<B>) {
    let body = "0123456789".repeat(30_000);
    space.put(vec![space.item("a", &body), space.item("b", "1")]).await;
    assert_eq!(space.body("a").await, Some(body.clone()));
    let rev = space.read("b").await.map(|item| item.rev);
    assert_eq!(space.swap("b", rev, Some(&body)).await, Swapped::Done);
    assert_eq!(space.body("b").await, Some(body));
}

pub(super) async fn expiry_is_kept_and_can_be_taken_back<B: Backend>(space: Space<B>) {
    let expires = Some(time("2099-11-22T09:00:00Z"));
    let item = |expires| Item { expires, ..space.item("a", "1") };
    assert_eq!(space.swap_item("a", None, Some(item(expires))).await, Swapped::Done);
    assert_eq!(space.read("a").await, Some(Item { rev: 1, ..item(expires) }));
    assert_eq!(space.swap_item("a", Some(1), Some(item(None))).await, Swapped::Done);
    assert_eq!(space.read("a").await, Some(Item { rev: 2, ..item(None) }));
    space.put(vec![item(expires)]).await;
    assert_eq!(space.whole("a").await, Some(item(expires)));
}

pub(super) async fn partitions_with_like_names_stay_apart<B: Backend>(space: Space<B>) {
    let item = |partition: &str, body: &str| Item { key: space.key(partition, "a"), ..space.item("a", body) };
    space.put(vec![item("p", "1"), item("P", "2"), item("p#", "3")]).await;
    assert_eq!(space.places("p", Range::default(), Order::Ascending, 9).await, ["a"]);
    let keys = ["p", "P", "p#", "p##"].map(|partition| space.key(partition, "a"));
    let items = space.backend.get(&keys).await.expect("the store is there");
    let bodies: Vec<_> = items.iter().map(|item| item.as_ref().map(|item| item.body.as_str())).collect();
    assert_eq!(bodies, [Some("1"), Some("2"), Some("3"), None]);
}
