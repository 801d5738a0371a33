//! The folder: one process at a time, old files are read, newer ones refused; the bus; expiry.

use crate::support::{self, all, at, bodies, commit, open, send, store};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use tracking_core::json;
use tracking_embedded::{BusEvent, OpenError, ReadOnlyStore, Store};
use tracking_engine::backend::{Backend, Effects, Item, Key, Order, Partition, Published, Range};

/// Makes a database that a test wrote private to its owner, as the store does.
fn private(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder.join("tracking.db"), std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_folder_that_is_open_is_refused() {
    let (store, folder) = store();
    let other = folder.path().join("../").join(folder.path().file_name().unwrap());
    let Err(error @ OpenError::InUse { .. }) = Store::open(&other) else { panic!("it was opened twice") };
    assert!(error.to_string().ends_with("is in use by another process: stop that one, or choose another folder"), "{error}");
    drop(store);
    open(folder.path());
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_stored_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (store, folder) = store();
    commit(&store, Effects::default()).await;
    for file in ["tracking.db", "tracking.db-wal", "tracking.db-shm"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_folder_that_is_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let Err(error @ OpenError::Folder { .. }) = Store::open(&file) else { panic!("it was opened") };
    assert!(error.to_string().ends_with("file can't be opened: it must be a folder that this user may write to"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_folder_is_made_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("a/b");
    let _store = open(&folder);
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn each_opening_is_an_incarnation_of_its_own_and_a_closed_store_is_one_file() {
    let (store, folder) = store();
    assert_eq!(store.incarnation(), 1);
    drop(store);
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["tracking.db", "tracking.lock"]);
    assert_eq!(open(folder.path()).incarnation(), 2);
}

#[test]
fn a_file_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = Connection::open(folder.path().join("tracking.db")).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    private(folder.path());
    drop(file);
    let Err(error) = Store::open(folder.path()) else { panic!("it was opened") };
    assert_eq!(error.to_string(), "the store has format 99, this program knows formats up to 2: use the newer program");
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tracking.db"), "certainly no database, but a text of some length".repeat(100)).unwrap();
    private(folder.path());
    assert!(matches!(Store::open(folder.path()), Err(OpenError::File(_))));
}

/// A folder with a file as the first version wrote it.
fn first_version() -> tempfile::TempDir {
    let folder = support::folder();
    let file = Connection::open(folder.path().join("tracking.db")).unwrap();
    file.execute_batch(include_str!("v1.sql")).unwrap();
    drop(file);
    private(folder.path());
    folder
}

#[test]
fn a_file_of_the_first_version_can_not_be_read_without_writing() {
    let folder = first_version();
    let Err(error) = ReadOnlyStore::open(folder.path()) else { panic!("it was opened") };
    let expected = "the store has format 1, this program reads format 2: `tracking serve` on this folder brings it there";
    assert_eq!(error.to_string(), expected);
    drop(open(folder.path()));
    ReadOnlyStore::open(folder.path()).unwrap();
}

#[tokio::test]
async fn the_id_of_a_message_that_is_gone_is_never_given_again() {
    let (store, folder) = store();
    let id = async |store: &Store| {
        send(store, vec![support::fresh("g", "m")]).await;
        let received = all(store, at(0)).remove(0);
        commit(store, received.done()).await;
        received.id.parse::<i64>().unwrap()
    };
    assert_eq!((id(&store).await, id(&store).await), (1, 2));
    drop(store);
    let store = open(folder.path());
    let third = id(&store).await;
    assert!(third > 2, "{third}");
}

#[tokio::test]
async fn a_file_of_the_first_version_is_read() {
    let folder = first_version();
    let store = open(folder.path());
    assert_eq!(store.incarnation(), 42);
    let item = Item {
        key: Key::new("C#1", "D#9"),
        rev: 3,
        body: r#"{"f":1}"#.to_owned(),
        expires: Some("2026-11-22T12:00:00Z".parse().unwrap()),
        attention: Some(Key::new("failed#0", "2026#D#9")),
    };
    assert_eq!(store.get(&[Key::new("C#1", "D#9")]).await, Ok(vec![Some(item.clone())]));
    let attention = Partition::Attention("failed#0".to_owned());
    assert_eq!(store.query(&attention, &Range::default(), Order::Ascending, 9).await, Ok(vec![item]));
    assert_eq!(bodies(&all(&store, at(-1))), [r#"{"m":9}"#]);
    let waited = all(&store, at(0)).remove(0);
    assert_eq!((waited.body.as_str(), waited.receive_id.as_str()), (r#"{"m":7}"#, "42-7-2"));
    send(&store, vec![support::fresh("g", "new")]).await;
    assert_eq!(all(&store, at(0))[0].receipt.handle, "42-10-3", "the ids go on");
    let event = BusEvent { seq: 5, time: at(0), detail_type: "Receiver Down".to_owned(), detail: json!({"host": "a.example"}) };
    assert_eq!(store.published(None, 9), Ok(vec![event]));
}

#[tokio::test]
async fn published_events_are_read_in_order_and_in_pages() {
    let (store, _folder) = store();
    let event = |n: i64| Published::new(at(n), "Receiver Up", json!({"n": n, "amount": "12.50"}));
    commit(&store, Effects { publish: vec![event(1), event(2)], ..Effects::default() }).await;
    commit(&store, Effects { publish: vec![event(3)], ..Effects::default() }).await;
    let numbers = |after, limit| -> Vec<(u64, String)> {
        store.published(after, limit).unwrap().into_iter().map(|event| (event.seq, event.detail["n"].to_string())).collect()
    };
    assert_eq!(numbers(None, 2), [(1, "1".to_owned()), (2, "2".to_owned())]);
    assert_eq!(numbers(Some(2), 9), [(3, "3".to_owned())]);
    assert_eq!(numbers(Some(3), 9), []);
    assert_eq!(store.published(None, 1).unwrap()[0].time, at(1));
}

#[tokio::test]
async fn events_leave_the_bus_after_thirty_days() {
    let (store, _folder) = store();
    let event = |time: Timestamp| Published::new(time, "Delivery Ended", json!({}));
    let publish = vec![event(at(0)), event(at(60))];
    commit(&store, Effects { publish, ..Effects::default() }).await;
    let days = SignedDuration::from_hours(24 * 30);
    assert_eq!(store.purge(at(0) + days).await, Ok(0));
    assert_eq!(store.purge(at(30) + days).await, Ok(1));
    assert_eq!(store.published(None, usize::MAX).unwrap().iter().map(|event| event.time).collect::<Vec<_>>(), [at(60)]);
}

#[tokio::test]
async fn what_expired_is_purged_and_nothing_else() {
    let (store, _folder) = store();
    let item =
        |n: i64, expires| Item { key: Key::new("C#1", format!("{n:05}")), rev: 0, body: String::new(), expires, attention: None };
    let mut put: Vec<_> = (0..1_200).map(|n| item(n, Some(at(10)))).collect();
    put.push(item(1_200, Some(at(11))));
    put.push(item(1_201, None));
    commit(&store, Effects { put, ..Effects::default() }).await;
    assert_eq!(store.purge(at(9)).await, Ok(0));
    assert_eq!(store.purge(at(10)).await, Ok(1_200));
    let rest = store.query(&Partition::Table("C#1".to_owned()), &Range::default(), Order::Ascending, 9).await.unwrap();
    assert_eq!(rest.iter().map(|item| item.key.sort.as_str()).collect::<Vec<_>>(), ["01200", "01201"]);
}
