//! Reading: a few read-only connections, used on the caller's own thread, since a read takes microseconds.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OptionalExtension, Row, types::ToSqlOutput, types::ValueRef};
use tracking_engine::backend::{Item, Key, Order, Partition, Range, StoreError};

use crate::{open, time};

/// Idle connections that are kept. More are opened when more callers read at once, and closed after use.
const KEPT: usize = 4;

/// The idle connections.
pub(crate) struct Readers {
    folder: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), idle: Mutex::new(Vec::new()) }
    }

    /// Reads on an idle connection, or a new one.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = self.lock().pop();
        let connection = idle.map_or_else(|| open::reading(&self.folder), Ok).map_err(|error| unavailable(&error))?;
        let answer = read(&connection).map_err(|error| unavailable(&error))?;
        let mut idle = self.lock();
        if idle.len() < KEPT {
            idle.push(connection);
        }
        Ok(answer)
    }

    /// Closes the idle connections.
    pub(crate) fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Converts a fault of `SQLite` to the engine's error.
pub(crate) fn unavailable(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

const GET: &str = "SELECT rev, expires, trouble_pk, trouble_sk, body FROM items WHERE pk = ?1 AND sk = ?2";

/// Reads one item.
pub(crate) fn one(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Item>> {
    let mut statement = connection.prepare_cached(GET)?;
    statement.query_row((&key.partition, &key.sort), |row| rest(row, 0, key.clone())).optional()
}

/// Reads the items of these keys in one snapshot.
pub(crate) fn many(connection: &Connection, keys: &[Key]) -> rusqlite::Result<Vec<Option<Item>>> {
    let snapshot = if keys.len() > 1 { Some(connection.unchecked_transaction()?) } else { None };
    let items = keys.iter().map(|key| one(connection, key)).collect::<Result<_, _>>()?;
    snapshot.map_or(Ok(()), rusqlite::Transaction::commit)?;
    Ok(items)
}

/// Reads at most `limit` items of a range, in order.
pub(crate) fn range(
    connection: &Connection,
    partition: &Partition,
    range: &Range,
    order: Order,
    limit: usize,
) -> rusqlite::Result<Vec<Item>> {
    const TABLE: &str = "SELECT pk, sk, rev, expires, trouble_pk, trouble_sk, body FROM items \
        WHERE pk = ?1 AND sk >= ?2 AND sk < ?3 ORDER BY sk LIMIT ?4";
    const TABLE_DOWN: &str = "SELECT pk, sk, rev, expires, trouble_pk, trouble_sk, body FROM items \
        WHERE pk = ?1 AND sk >= ?2 AND sk < ?3 ORDER BY sk DESC LIMIT ?4";
    const ATTENTION: &str = "SELECT pk, sk, rev, expires, trouble_pk, trouble_sk, body FROM items \
        WHERE trouble_pk = ?1 AND trouble_sk >= ?2 AND trouble_sk < ?3 ORDER BY trouble_sk, pk, sk LIMIT ?4";
    const ATTENTION_DOWN: &str = "SELECT pk, sk, rev, expires, trouble_pk, trouble_sk, body FROM items \
        WHERE trouble_pk = ?1 AND trouble_sk >= ?2 AND trouble_sk < ?3 ORDER BY trouble_sk DESC, pk DESC, sk DESC LIMIT ?4";
    let (name, sql) = match (partition, order) {
        (Partition::Table(name), Order::Ascending) => (name, TABLE),
        (Partition::Table(name), Order::Descending) => (name, TABLE_DOWN),
        (Partition::Attention(name), Order::Ascending) => (name, ATTENTION),
        (Partition::Attention(name), Order::Descending) => (name, ATTENTION_DOWN),
    };
    let from = range.from.as_deref().unwrap_or("");
    // To SQLite every text is smaller than every blob: an empty blob bounds nothing.
    let before = range.before.as_deref().map_or(ValueRef::Blob(b""), |text| ValueRef::Text(text.as_bytes()));
    let mut statement = connection.prepare_cached(sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map((name, from, ToSqlOutput::Borrowed(before), limit), |row| {
        rest(row, 2, Key { partition: row.get(0)?, sort: row.get(1)? })
    })?;
    rows.collect()
}

/// Reads the columns behind the key: rev, expires, attention, body.
fn rest(row: &Row<'_>, first: usize, key: Key) -> rusqlite::Result<Item> {
    let expires: Option<i64> = row.get(first + 1)?;
    let partition: Option<String> = row.get(first + 2)?;
    let attention = match partition {
        Some(partition) => Some(Key { partition, sort: row.get(first + 3)? }),
        None => None,
    };
    Ok(Item { key, rev: row.get(first)?, body: row.get(first + 4)?, expires: expires.map(time::read), attention })
}
