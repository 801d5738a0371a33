//! The port's contract on the embedded store.

use tracking_embedded::{Durability, Store};
use tracking_tests::port::{Space, clauses};

/// Runs every clause on one store, each in partitions of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_keeps_every_clause() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), Durability::Relaxed).unwrap();
    let mut broken = Vec::new();
    for (name, run) in clauses() {
        if tokio::spawn(run(Space::new(store.clone(), name))).await.is_err() {
            broken.push(name);
        }
    }
    assert!(broken.is_empty(), "these clauses are broken, see above: {broken:#?}");
}

#[test]
fn no_clause_is_twice_in_the_list() {
    let mut names: Vec<_> = clauses::<Store>().into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!((names.len(), count), (37, 37));
}
