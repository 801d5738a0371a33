//! The events that we published, as `GET /bus/events` returns them.

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use tracking_core::json::{self, Value};

/// A published event as the bus keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusEvent {
    /// The sequence number: grows with each event, never used twice.
    pub seq: u64,
    /// The time of the event.
    pub time: Timestamp,
    /// The detail-type of the event (docs/results-out.md).
    pub detail_type: String,
    /// The detail of the event.
    pub detail: Value,
}

const SQL: &str = "SELECT seq, at, detail_type, detail FROM bus WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// Returns at most `limit` events behind `after`, oldest first.
pub(crate) fn published(connection: &Connection, after: Option<u64>, limit: usize) -> rusqlite::Result<Vec<BusEvent>> {
    let mut statement = connection.prepare_cached(SQL)?;
    statement.query_map((after.unwrap_or(0), i64::try_from(limit).unwrap_or(i64::MAX)), event)?.collect()
}

fn event(row: &Row<'_>) -> rusqlite::Result<BusEvent> {
    let unreadable = |column, error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error)
    };
    Ok(BusEvent {
        seq: row.get(0)?,
        time: row.get_ref(1)?.as_str()?.parse().map_err(|error: jiff::Error| unreadable(1, error.into()))?,
        detail_type: row.get(2)?,
        // An unreadable event doesn't stop the list: it is returned without its detail.
        detail: json::parse(row.get_ref(3)?.as_str()?.as_bytes()).unwrap_or_default(),
    })
}
