//! The ids of messages. They are reserved many at a time, so that a message costs no write for its id; a reserved one that was not given
//! before the process ended is never given.

use rusqlite::Connection;

/// Ids that are reserved at a time.
const RESERVED: i64 = 10_000;

/// The ids that are reserved and not given yet.
#[derive(Debug)]
pub(super) struct MessageIds {
    last_given: i64,
    last_reserved: i64,
}

impl MessageIds {
    /// Begins after the last id that any process has reserved.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let last = connection.query_row("SELECT value FROM meta WHERE name = 'message_id'", [], |row| row.get(0))?;
        Ok(Self { last_given: last, last_reserved: last })
    }

    /// Gives the next id, in a transaction that writes a message.
    pub(super) fn give(&mut self, connection: &Connection) -> rusqlite::Result<i64> {
        if self.last_given == self.last_reserved {
            let last = self.last_reserved + RESERVED;
            connection.prepare_cached("UPDATE meta SET value = ?1 WHERE name = 'message_id'")?.execute([last])?;
            self.last_reserved = last;
        }
        self.last_given += 1;
        Ok(self.last_given)
    }

    /// Takes back what a failed transaction may have reserved.
    pub(super) fn failed(&mut self) {
        self.last_reserved = self.last_given;
    }
}
