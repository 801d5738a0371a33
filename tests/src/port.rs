//! The contract of the port, clause by clause. One list for all implementations: a clause that holds on one machine holds on AWS.
//!
//! Each clause works in partitions of its own ([`Space`]), so that a list can be run on one store, again and again.

mod commit;
mod query;
mod swap;

use std::{pin::Pin, time::Duration};

use jiff::Timestamp;
use tracking_engine::backend::{Backend, Effects, Item, Key, Order, Partition, Range, Swap, Swapped};

/// The function of a clause.
pub type Run<B> = fn(Space<B>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs every clause on one store; panics at the first that is broken.
pub async fn contract<B: Backend>(backend: B) {
    for (name, run) in clauses() {
        run(Space::new(backend.clone(), name)).await;
    }
}

/// Lists clauses by their functions' names.
macro_rules! clauses {
    ($($module:ident: $($clause:ident)*;)*) => {
        /// Returns every clause with its name.
        #[must_use]
        pub fn clauses<B: Backend>() -> Vec<(&'static str, Run<B>)> {
            vec![$($((stringify!($clause), |space| Box::pin($module::$clause(space)))),*),*]
        }
    };
}

clauses! {
    swap:
        what_is_absent_reads_as_none
        a_swap_that_expects_nothing_creates_at_revision_one
        a_swap_that_expects_nothing_conflicts_with_an_existing_item
        a_swap_replaces_only_the_revision_it_read
        a_swap_removes_only_the_revision_it_read
        a_swap_of_nothing_by_nothing_is_done
        what_is_removed_begins_again_at_revision_one
        swaps_of_one_slice_are_each_on_their_own
        of_two_swaps_of_one_slice_one_is_done
        of_two_swaps_at_once_one_is_done
        counting_together_loses_no_count
        items_are_answered_in_the_order_of_their_keys
        a_hundred_items_are_swapped_and_read_in_one_slice
        empty_slices_are_answered_by_empty_ones
        the_run_is_the_same_for_every_handle;
    commit:
        a_put_has_a_revision_that_none_has_read
        a_put_makes_a_swap_that_read_before_it_conflict
        a_delete_removes_and_may_be_repeated
        a_put_replaces_everything
        effects_of_one_slice_are_each_on_their_own
        everything_of_a_step_is_taken
        a_hundred_puts_and_deletes_are_one_step
        bodies_are_kept_to_the_letter
        bodies_of_three_hundred_kilobytes_are_kept
        expiry_is_kept_and_can_be_taken_back
        partitions_with_like_names_stay_apart;
    query:
        a_partition_is_read_in_order
        a_range_has_its_beginning_and_not_its_end
        a_range_that_ends_before_it_begins_is_empty
        a_prefix_finds_what_begins_with_it
        places_are_ordered_by_bytes
        a_limit_is_kept_from_either_end
        fewer_than_the_limit_means_no_more_however_large_they_are
        trouble_appears_moves_and_disappears
        trouble_is_set_by_puts_as_by_swaps
        trouble_goes_with_its_item
        trouble_is_read_in_order_and_in_ranges;
}

/// Partitions that belong to one run of one clause.
#[derive(Debug, Clone)]
pub struct Space<B> {
    backend: B,
    name: String,
}

impl<B: Backend> Space<B> {
    /// Makes a space of this name, which must not have been used on this store before.
    pub fn new(backend: B, name: impl Into<String>) -> Self {
        Self { backend, name: name.into() }
    }

    fn partition(&self, partition: &str) -> String {
        format!("{}/{partition}", self.name)
    }

    fn key(&self, partition: &str, sort: &str) -> Key {
        Key::new(self.partition(partition), sort)
    }

    /// Returns an item of partition `p` with nothing but a body.
    fn item(&self, sort: &str, body: &str) -> Item {
        Item { key: self.key("p", sort), rev: 0, body: body.to_owned(), expires: None, attention: None }
    }

    /// Returns an item as `item` does, with an entry in the attention index.
    fn troubled(&self, sort: &str, partition: &str, place: &str) -> Item {
        Item { attention: Some(self.key(partition, place)), ..self.item(sort, "{}") }
    }

    async fn read(&self, sort: &str) -> Option<Item> {
        let mut items = self.backend.get(&[self.key("p", sort)]).await.expect("the store is there");
        assert_eq!(items.len(), 1, "one answer for one key");
        items.remove(0)
    }

    /// Returns revision and body of an item of partition `p`.
    async fn rev_and_body(&self, sort: &str) -> Option<(u64, String)> {
        self.read(sort).await.map(|item| (item.rev, item.body))
    }

    /// Returns the body of an item of partition `p`.
    async fn body(&self, sort: &str) -> Option<String> {
        self.read(sort).await.map(|item| item.body)
    }

    /// Returns an item of partition `p` without its revision.
    async fn whole(&self, sort: &str) -> Option<Item> {
        self.read(sort).await.map(|item| Item { rev: 0, ..item })
    }

    /// Swaps one item of partition `p` for another body, or for nothing.
    async fn swap(&self, sort: &str, expect: Option<u64>, new: Option<&str>) -> Swapped {
        self.swap_item(sort, expect, new.map(|body| self.item(sort, body))).await
    }

    async fn swap_item(&self, sort: &str, expect: Option<u64>, new: Option<Item>) -> Swapped {
        let mut outcomes = self.backend.swap(vec![Swap { key: self.key("p", sort), expect, new }]).await;
        assert_eq!(outcomes.len(), 1, "one answer for one swap");
        outcomes.remove(0)
    }

    async fn commit(&self, effects: Effects) {
        assert_eq!(self.backend.commit(vec![effects]).await, [Ok(())]);
    }

    async fn put(&self, put: Vec<Item>) {
        self.commit(Effects { put, ..Effects::default() }).await;
    }

    /// Returns the places that a query of the table finds.
    async fn places(&self, partition: &str, range: Range, order: Order, limit: usize) -> Vec<String> {
        let partition = Partition::Table(self.partition(partition));
        let items = self.backend.query(&partition, &range, order, limit).await.expect("the store is there");
        items.into_iter().map(|item| item.key.sort).collect()
    }

    /// Checks the result of a query of the attention index: items by their places in `p`, soon if not at once.
    async fn check_trouble(&self, partition: &str, range: Range, order: Order, limit: usize, expected: &[&str]) {
        const TRIES: u32 = 50;
        let partition = Partition::Attention(self.partition(partition));
        for tried in 1..=TRIES {
            let items = self.backend.query(&partition, &range, order, limit).await.expect("the store is there");
            let found: Vec<_> = items.iter().map(|item| item.key.sort.as_str()).collect();
            if found == expected {
                for item in &items {
                    assert_eq!(item.key.partition, self.partition("p"));
                    let attention = item.attention.as_ref().expect("an item of the index has its place in the index");
                    assert_eq!(Partition::Attention(attention.partition.clone()), partition);
                }
                return;
            }
            assert!(tried < TRIES, "{found:?} instead of {expected:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().expect("a clause writes its times well")
}
