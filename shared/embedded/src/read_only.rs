//! Read-only access to a folder, beside the process that may have it open: `SQLite` lets other processes read a file that one writes.
//!
//! Nothing is locked, counted or written, so that a server that runs, starts or stops meanwhile isn't affected.

use std::{io, path::Path, sync::Arc};

use jiff::SignedDuration;
use tracking_engine::backend::{Backend, Effects, Item, Key, Order, Partition, Range, StoreError, Swap, Swapped};

use crate::{
    files::{self, FileError},
    open::{self, FILES, OpenError},
    read::{self, Readers},
    schema,
};

/// The items of a folder, read only.
#[derive(Clone)]
pub struct ReadOnlyStore {
    /// The incarnation of the process that opened the folder last.
    incarnation: u64,
    readers: Arc<Readers>,
}

impl ReadOnlyStore {
    /// Opens a folder that a [`Store`](crate::Store) has made.
    ///
    /// # Errors
    /// There is no store in the folder, its format is another one, or others could read or change its files.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        files::check(folder, &FILES).map_err(|error| match error {
            FileError::Exposed(exposed) => OpenError::Exposed(exposed),
            FileError::System(source) => OpenError::Folder { folder: folder.to_owned(), source },
        })?;
        let missing = || OpenError::Missing { folder: folder.to_owned() };
        match open::file_in(folder).symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            _ => {}
        }
        let connection = open::reading(folder)?;
        if !schema::is_made(&connection)? {
            return Err(missing());
        }
        Ok(Self { incarnation: schema::last_incarnation(&connection)?, readers: Arc::new(Readers::new(folder)) })
    }
}

fn read_only() -> StoreError {
    StoreError::Unavailable("it is opened for reading only".to_owned())
}

impl Backend for ReadOnlyStore {
    fn incarnation(&self) -> u64 {
        self.incarnation
    }

    fn is_transactional(&self) -> bool {
        true
    }

    fn longest_wait(&self) -> SignedDuration {
        SignedDuration::ZERO
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        self.readers.read(|connection| read::many(connection, keys))
    }

    async fn query(&self, partition: &Partition, range: &Range, order: Order, limit: usize) -> Result<Vec<Item>, StoreError> {
        self.readers.read(|connection| read::range(connection, partition, range, order, limit))
    }

    async fn swap(&self, swaps: Vec<Swap>) -> Vec<Swapped> {
        swaps.iter().map(|_| Swapped::Unavailable(read_only())).collect()
    }

    async fn commit(&self, effects: Vec<Effects>) -> Vec<Result<(), StoreError>> {
        effects.iter().map(|_| Err(read_only())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use tracking_engine::backend::Backend as _;

    use super::*;
    use crate::{Durability, Store};

    fn folder() -> tempfile::TempDir {
        tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
    }

    fn item(body: &str) -> Item {
        Item { key: Key::new("p", "s"), rev: 1, body: body.to_owned(), expires: None, attention: None }
    }

    async fn write(store: &Store, body: &str) {
        let put = vec![item(body)];
        assert_eq!(store.commit(vec![Effects { put, ..Effects::default() }]).await, [Ok(())]);
    }

    async fn body(store: &ReadOnlyStore) -> Option<String> {
        store.get(&[Key::new("p", "s")]).await.unwrap().pop().flatten().map(|item| item.body)
    }

    #[tokio::test]
    async fn what_a_process_writes_is_read_beside_it_and_after_it() {
        let folder = folder();
        let store = Store::open_with(folder.path(), Durability::Relaxed).unwrap();
        write(&store, "1").await;
        let beside = ReadOnlyStore::open(folder.path()).unwrap();
        assert_eq!((body(&beside).await.as_deref(), beside.incarnation()), (Some("1"), store.incarnation()));
        write(&store, "2").await;
        assert_eq!(body(&beside).await.as_deref(), Some("2"));
        let incarnation = store.incarnation();
        drop((store, beside));
        let after = ReadOnlyStore::open(folder.path()).unwrap();
        assert_eq!(
            (body(&after).await.as_deref(), after.incarnation()),
            (Some("2"), incarnation),
            "opening it counts no incarnation"
        );
        let again = Store::open_with(folder.path(), Durability::Relaxed).unwrap();
        assert_eq!(again.incarnation(), incarnation + 1, "a reader keeps nobody out");
    }

    #[tokio::test]
    async fn nothing_is_written() {
        let folder = folder();
        write(&Store::open_with(folder.path(), Durability::Relaxed).unwrap(), "1").await;
        let store = ReadOnlyStore::open(folder.path()).unwrap();
        let put = vec![item("2")];
        assert_eq!(store.commit(vec![Effects { put, ..Effects::default() }]).await, [Err(read_only())]);
        let swap = Swap { key: Key::new("p", "s"), expect: None, new: Some(item("2")) };
        assert_eq!(store.swap(vec![swap]).await, [Swapped::Unavailable(read_only())]);
        assert_eq!(body(&store).await.as_deref(), Some("1"));
    }

    #[test]
    fn a_folder_without_a_store_is_left_as_it_is() {
        let folder = folder();
        for place in [folder.path().to_owned(), folder.path().join("absent")] {
            assert!(matches!(ReadOnlyStore::open(&place), Err(OpenError::Missing { .. })));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
