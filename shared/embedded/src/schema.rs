//! The tables of the file, version by version. A released step is never edited: a new step follows it.

use rusqlite::Connection;

use crate::open::OpenError;

/// Step n brings a file of version n to version n + 1.
const STEPS: &[&str] = &[include_str!("../migrations/0001_first.sql"), include_str!("../migrations/0002_rows_in_order.sql")];

/// Brings the file to the newest version. Each step is done wholly or not at all.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let known = STEPS.len();
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let start = usize::try_from(found).ok().filter(|&version| version <= known).ok_or(OpenError::Newer { found, known })?;
    if (1..known).contains(&start) {
        tracing::info!(from = start, to = known, "the store is brought to the present format, which may take minutes");
    }
    for (version, step) in STEPS.iter().enumerate().skip(start) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Returns true if the file has the tables that this program knows, false if it has none.
///
/// # Errors
/// The format of the file is newer or older.
pub(crate) fn is_made(connection: &Connection) -> Result<bool, OpenError> {
    let known = STEPS.len();
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = usize::try_from(found).ok().filter(|&version| version <= known).ok_or(OpenError::Newer { found, known })?;
    if (1..known).contains(&version) { Err(OpenError::Older { found, known }) } else { Ok(version == known) }
}

/// Returns the incarnation of the last process that opened the file.
pub(crate) fn last_incarnation(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT coalesce(max(value), 0) FROM meta WHERE name = 'run'", [], |row| row.get(0))
}

/// Counts this opening of the file: returns the new incarnation.
pub(crate) fn next_incarnation(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "INSERT INTO meta (name, value) VALUES ('run', 1) ON CONFLICT DO UPDATE SET value = value + 1 RETURNING value";
    connection.query_row(sql, [], |row| row.get(0))
}
